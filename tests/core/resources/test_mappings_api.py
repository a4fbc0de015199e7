"""Model mappings through the admin API, and the names that clients see."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx
import pytest

from aigateway_core.server.inspection import _ODD_PATH

pytestmark = pytest.mark.anyio

ALIAS = {"alias": "team/fast", "targets": [{"provider": "config-only", "model": "m-2"}], "description": "for us"}
PATH = "/api/v1/model-mappings"


async def test_a_mapping_is_added_read_changed_and_removed(admin: httpx.AsyncClient) -> None:
    answer = await admin.post(PATH, json=ALIAS)
    assert answer.status_code == 201
    made = answer.json()
    assert {name: made[name] for name in ALIAS} == ALIAS
    assert (made["is_active"], made["warnings"]) == (True, [])
    for path in (f"{PATH}/team/fast", f"{PATH}/team%2Ffast"):
        assert (await admin.get(path)).json() == made
    assert (await admin.get(PATH)).json() == {"data": [made], "total": 1, "limit": 20, "offset": 0}
    targets = [{"provider": "acme", "model": "m-1"}, *ALIAS["targets"]]
    changed = (await admin.put(f"{PATH}/team/fast", json={"targets": targets, "is_active": False})).json()
    assert (changed["targets"], changed["is_active"], changed["description"]) == (targets, False, "for us")
    assert (await admin.get(f"{PATH}?is_active=true")).json()["total"] == 0
    assert (await admin.delete(f"{PATH}/team/fast")).status_code == 204
    assert (await admin.get(f"{PATH}/team/fast")).status_code == 404


async def test_clients_are_listed_an_alias_while_it_is_switched_on(
    admin: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    async def names() -> list[str]:
        return [model["id"] for model in (await client.get("/v1/models")).json()["data"]]

    await admin.post(PATH, json=ALIAS)
    assert await names() == ["m-2", "team/fast"]
    assert (await client.get("/v1/models/team/fast")).json()["owned_by"] == "config-only"
    await admin.put(f"{PATH}/team/fast", json={"is_active": False})
    assert await names() == ["m-2"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"alias": ""}, "alias: is empty"),
        ({"alias": " a"}, "alias: begins or ends with a space"),
        ({"alias": "x" * 256}, "alias: expected at most 255 characters"),
        ({"alias": "a\nb"}, "alias: expected at most 255 characters, and none that cannot be printed"),
        ({"targets": []}, "targets: expected from 1 to 8"),
        ({"targets": [{"provider": "acmee", "model": "m"}]}, "targets[0].provider: there is no provider 'acmee'"),
        ({"targets": [{"provider": "acme"}]}, "targets[0].model: is missing"),
        ({"targets": [{"provider": "acme", "model": ""}]}, "targets[0].model: is empty"),
        ({"targets": ALIAS["targets"] * 2}, "targets[1]: stands there twice"),
        ({"colour": 1}, "colour: unknown key"),
    ],
)
async def test_what_cannot_be_is_told_with_its_path(
    admin: httpx.AsyncClient, change: dict[str, Any], told: str
) -> None:
    answer = await admin.post(PATH, json={**ALIAS, **change})
    assert answer.status_code == 422
    assert any(problem.startswith(told) for problem in answer.json()["error"]["details"]), answer.text


@pytest.mark.parametrize("alias", ["a//b", "/a", "../a", "a/../b", "a/..", ".", "./a", "a/./b", "a/.", "a\\b", "//"])
async def test_an_alias_by_which_nobody_could_ask_for_it_is_none(admin: httpx.AsyncClient, alias: str) -> None:
    assert _ODD_PATH.search(f"{PATH}/{alias}"), "the server would let it through"
    answer = await admin.post(PATH, json={**ALIAS, "alias": alias})
    assert answer.status_code == 422
    assert answer.json()["error"]["details"][0].startswith("alias: cannot stand in an address")


@pytest.mark.parametrize("alias", ["a/", "a/.b", "a..b/c", "..a", "x?y#z%41", "a b", "é:1", "a/b:c"])
async def test_any_other_alias_can_be_read_and_removed(admin: httpx.AsyncClient, alias: str) -> None:
    assert not _ODD_PATH.search(f"{PATH}/{alias}")
    assert (await admin.post(PATH, json={**ALIAS, "alias": alias})).status_code == 201
    address = f"{PATH}/{quote(alias, safe='')}"
    assert (await admin.get(address)).json()["alias"] == alias
    assert (await admin.delete(address)).status_code == 204


async def test_a_mapping_needs_its_name_and_its_targets(admin: httpx.AsyncClient) -> None:
    answer = await admin.post(PATH, json={})
    assert answer.json()["error"]["details"] == ["alias: is missing", "targets: is missing"]


async def test_the_same_alias_twice_is_a_conflict_and_it_keeps_its_name(admin: httpx.AsyncClient) -> None:
    await admin.post(PATH, json=ALIAS)
    assert (await admin.post(PATH, json=ALIAS)).status_code == 409
    assert (await admin.put(f"{PATH}/team/fast", json={"alias": "other"})).status_code == 422


async def test_an_alias_that_hides_a_model_is_told_of(admin: httpx.AsyncClient) -> None:
    made = (await admin.post(PATH, json={**ALIAS, "alias": "m-1"})).json()
    (warning,) = made["warnings"]
    assert warning.startswith("the model 'm-1' of the provider 'acme' cannot be asked by this name any more")


async def test_an_update_of_what_was_changed_meanwhile_is_refused(admin: httpx.AsyncClient) -> None:
    tag = (await admin.post(PATH, json=ALIAS)).headers["etag"]
    put = {"headers": {"if-match": tag}, "json": {"description": "first"}}
    assert (await admin.put(f"{PATH}/team/fast", **put)).status_code == 200  # type: ignore[arg-type]
    assert (await admin.put(f"{PATH}/team/fast", **put)).status_code == 412  # type: ignore[arg-type]


async def test_accounts_and_proxies_have_tags_too(admin: httpx.AsyncClient) -> None:
    account = {"provider_id": "acme", "auth_data": {"api_key": "sk-1234567890"}}
    for noun, body, change in (
        ("accounts", account, {"label": "x"}),
        ("proxies", {"url": "http://proxy.test:3128"}, {"priority": 2}),
    ):
        made = await admin.post(f"/api/v1/{noun}", json=body)
        path = f"/api/v1/{noun}/{made.json()['id']}"
        tag = (await admin.get(path)).headers["etag"]
        assert (await admin.put(path, json=change, headers={"if-match": tag})).status_code == 200
        assert (await admin.put(path, json=change, headers={"if-match": tag})).status_code == 412
        assert (await admin.put(path, json=change)).status_code == 200
    assert "etag" not in (await admin.get("/api/v1/accounts/config:config-only")).headers


async def test_nobody_but_an_admin_sees_mappings(client: httpx.AsyncClient) -> None:
    for path in ("", "/team/fast"):
        assert (await client.get(f"{PATH}{path}")).status_code == 401
