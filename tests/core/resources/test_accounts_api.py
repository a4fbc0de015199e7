from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from aigateway_core.bootstrap import House
from aigateway_core.settings import Settings
from aigateway_core.state import EVERY_MODEL, Cooldown, one_model, one_quota

pytestmark = pytest.mark.anyio
SECRET = "sk-canary-5c1d7e2f9a"
ACME = {"provider_id": "acme", "label": "one", "auth_data": {"api_key": SECRET}}


async def create(admin: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    answer = await admin.post("/api/v1/accounts", json={**ACME, **changes})
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


async def test_an_account_is_added_read_changed_and_removed(admin: httpx.AsyncClient) -> None:
    created = await create(admin, metadata={"team": "a"})
    path = f"/api/v1/accounts/{created['id']}"
    assert (await admin.get(path)).json() == created
    changed = await admin.put(path, json={"label": "two", "is_active": False})
    assert changed.status_code == 200
    assert (changed.json()["label"], changed.json()["status"]) == ("two", "disabled")
    assert changed.json()["metadata"] == {"team": "a"}
    assert (await admin.delete(path)).status_code == 204
    assert (await admin.get(path)).status_code == 404
    assert (await admin.delete(path)).status_code == 404


async def test_secrets_are_never_read_back(admin: httpx.AsyncClient) -> None:
    created = await create(admin, proxy_url="socks5://user:proxy-canary-77@proxy.example:1080")
    everything = (await admin.get("/api/v1/accounts")).text + str(created)
    assert SECRET not in everything
    assert "proxy-canary-77" not in everything
    assert created["auth_data"] == {"api_key": {"set": True, "last4": SECRET[-4:]}}
    assert created["proxy_url"] == "socks5://user:***@proxy.example:1080"


async def test_auth_data_may_be_json_text_as_the_seed_sent_it(admin: httpx.AsyncClient) -> None:
    created = await create(admin, auth_data='{"api_key": "sk-from-text-123456"}')
    assert created["auth_data"]["api_key"]["last4"] == "3456"


async def test_a_change_keeps_what_it_does_not_name(admin: httpx.AsyncClient) -> None:
    created = await create(admin)
    changed = (
        await admin.put(f"/api/v1/accounts/{created['id']}", json={"auth_data": {"api_key": "sk-new-key-999999"}})
    ).json()
    assert changed["label"] == "one"
    assert changed["auth_data"]["api_key"]["last4"] == "9999"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, "provider_id: is missing"),
        ({"provider_id": "nobody", "auth_data": {}}, "provider_id: no such provider; installed: acme, config-only"),
        ({"provider_id": "acme"}, "auth_data: is missing"),
        ({"provider_id": "acme", "auth_data": {}}, "auth_data.api_key: is missing"),
        ({"provider_id": "acme", "auth_data": {"token": "x"}}, "auth_data.token: unknown key"),
        ({"provider_id": "acme", "auth_data": {"api_key": 5}}, "auth_data.api_key"),
        ({"provider_id": "acme", "auth_data": {"api_key": "a\r\nX: y"}}, "auth_data.api_key"),
        ({"provider_id": "acme", "auth_data": {"api_key": "ключ"}}, "auth_data.api_key"),
        ({"provider_id": "acme", "auth_data": "not json"}, "auth_data: is text, but not JSON"),
        ({**ACME, "label": 5}, "label"),
        ({**ACME, "is_active": "yes"}, "is_active"),
        ({**ACME, "lable": "x"}, "lable: unknown key; did you mean 'label'?"),
        ({**ACME, "id": "mine"}, "id: unknown key"),
        ({**ACME, "proxy_url": "ftp://x"}, "proxy_url"),
        ({**ACME, "proxy_url": "socks5://"}, "proxy_url"),
        ({**ACME, "proxy_url": "http://proxy.example:8080/a/path"}, "proxy_url"),
        ({**ACME, "proxy_url": "http://proxy.example:8080?a=1"}, "proxy_url"),
        ({**ACME, "proxy_url": "http://127.0.0.1:3128"}, "security.allow_private_hosts"),
        ({**ACME, "proxy_url": "socks5://user:proxy-canary-77@[::ffff:10.0.0.1]:1080"}, "allow_private_hosts"),
        ({**ACME, "proxy_url": "http://2130706433"}, "allow_private_hosts"),
        ({"provider_id": "acme", "auth_data": "[" * 100_000}, "auth_data: is text, but not JSON"),
        ({"provider_id": "acme", "auth_data": '{"api_key": "\\ud800-1234567890"}'}, "auth_data"),
        ({"provider_id": "acme", "auth_data": '{"api_key": NaN}'}, "auth_data: is text, but not JSON"),
    ],
)
async def test_what_cannot_be_stored_is_a_422_that_says_where(
    admin: httpx.AsyncClient, body: dict[str, Any], problem: str
) -> None:
    answer = await admin.post("/api/v1/accounts", json=body)
    assert answer.status_code == 422, answer.text
    error = answer.json()["error"]
    assert any(problem in line for line in error["details"]), error
    assert "proxy-canary-77" not in answer.text
    assert error["request_id"] == "req-test"
    assert (await admin.get("/api/v1/accounts?provider_id=acme")).json()["total"] == 0


async def test_malformed_json_is_a_400_in_the_admin_shape(admin: httpx.AsyncClient) -> None:
    answer = await admin.post("/api/v1/accounts", content=b"{")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")


async def test_a_list_has_pages_and_filters(admin: httpx.AsyncClient) -> None:
    for number in range(5):
        await create(admin, label=str(number), is_active=number % 2 == 0)
    page = (await admin.get("/api/v1/accounts?limit=2&offset=1")).json()
    assert (page["total"], page["limit"], page["offset"]) == (6, 2, 1)
    assert [row["label"] for row in page["data"]] == ["0", "1"]
    first = (await admin.get("/api/v1/accounts?limit=2")).json()
    assert [row["label"] for row in first["data"]] == ["config", "0"]
    assert (await admin.get("/api/v1/accounts?provider_id=acme")).json()["total"] == 5
    assert (await admin.get("/api/v1/accounts?is_active=false")).json()["total"] == 2
    assert (await admin.get("/api/v1/accounts?provider_id=acme&is_active=true")).json()["total"] == 3


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=-1", "limit=201", "limit=x", "offset=-1", f"offset={'9' * 30}", "is_active=1", "limit=٣"],
)
async def test_a_bad_query_is_a_400_that_names_the_parameter(admin: httpx.AsyncClient, query: str) -> None:
    answer = await admin.get(f"/api/v1/accounts?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(query.partition("=")[0])


async def test_what_the_configuration_says_only_the_configuration_changes(admin: httpx.AsyncClient) -> None:
    path = "/api/v1/accounts/config:config-only"
    shown = (await admin.get(path)).json()
    assert (shown["source"], shown["auth_data"]["api_key"]["last4"]) == ("configuration", "0001")
    for answer in (await admin.put(path, json={"label": "x"}), await admin.delete(path)):
        assert answer.status_code == 409
        assert "providers.config-only" in answer.json()["error"]["message"]


async def test_an_account_that_rests_says_so_and_until_when(admin: httpx.AsyncClient, house: House) -> None:
    created = await create(admin)
    assert (created["status"], created["status_reason"], created["status_until"]) == ("active", None, None)
    for account_id in (created["id"], "config:config-only"):
        house._state.cool(account_id, EVERY_MODEL, Cooldown(4102444800.0, "credential"))
        shown = (await admin.get(f"/api/v1/accounts/{account_id}")).json()
        assert (shown["status"], shown["status_reason"]) == ("cooling", "credential")
        assert shown["status_until"] == "2100-01-01T00:00:00Z"
    mended = await admin.put(f"/api/v1/accounts/{created['id']}", json={"auth_data": {"api_key": "sk-new-123456"}})
    assert mended.json()["status"] == "active"


async def test_an_account_that_rests_for_some_models_is_active_and_says_for_which(
    admin: httpx.AsyncClient, house: House
) -> None:
    created = await create(admin)
    assert created["resting"] == []
    for account_id in (created["id"], "config:config-only"):
        house._state.cool(account_id, one_quota("large models"), Cooldown(4102444800.0, "quota"))
        house._state.cool(account_id, one_model("small"), Cooldown(1.0, "rate_limit"))
        for by_an_earlier_version in ("large models", "*"):
            house._state.cool(account_id, by_an_earlier_version, Cooldown(4102444800.0, "quota"))
        shown = (await admin.get(f"/api/v1/accounts/{account_id}")).json()
        assert shown["status"] == "active"
        assert shown["resting"] == [{"name": "large models", "reason": "quota", "until": "2100-01-01T00:00:00Z"}]


async def test_an_account_cannot_move_to_another_provider(admin: httpx.AsyncClient) -> None:
    created = await create(admin)
    answer = await admin.put(f"/api/v1/accounts/{created['id']}", json={"provider_id": "config-only"})
    assert answer.status_code == 422


async def test_a_change_is_seen_by_the_request_path_at_once(admin: httpx.AsyncClient) -> None:
    assert [model["id"] for model in (await admin.get("/v1/models")).json()["data"]] == ["m-2"]
    created = await create(admin)
    assert [model["id"] for model in (await admin.get("/v1/models")).json()["data"]] == ["m-1", "m-2"]
    await admin.delete(f"/api/v1/accounts/{created['id']}")
    assert [model["id"] for model in (await admin.get("/v1/models")).json()["data"]] == ["m-2"]


async def test_s_19_an_account_whose_row_was_tampered_with_is_shown_as_unusable_and_not_used(
    admin: httpx.AsyncClient, house: House, settings: Settings
) -> None:
    one, two = await create(admin, label="one"), await create(admin, label="two")
    with closing(sqlite3.connect(settings.database.path)) as database, database:
        database.execute(
            "UPDATE accounts SET auth_data = (SELECT auth_data FROM accounts WHERE id = ?) WHERE id = ?",
            (two["id"], one["id"]),
        )
    shown = (await admin.get(f"/api/v1/accounts/{one['id']}")).json()
    assert (shown["status"], shown["status_reason"], shown["auth_data"]) == ("unusable", "crypto_error", None)
    assert (await admin.get(f"/api/v1/accounts/{two['id']}")).json()["status"] == "active"


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir() if not path.name.endswith(".key"))


async def test_the_database_file_holds_no_secret(admin: httpx.AsyncClient, house: House, tmp_path: Path) -> None:
    await create(admin, proxy_url="http://user:proxy-canary-77@proxy.example")
    await house.stop()
    stored = everything_in(tmp_path)
    assert SECRET.encode() not in stored
    assert b"proxy-canary-77" not in stored


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/api/v1/accounts", "/api/v1/accounts/x", "/api/v1/providers"])
async def test_the_admin_api_asks_for_the_admin_key(client: httpx.AsyncClient, method: str, path: str) -> None:
    for headers in ({}, {"authorization": "Bearer wrong"}, {"x-api-key": "wrong"}):
        answer = await client.request(method, path, headers=headers, json={})
        assert answer.status_code in {401, 405}
        assert "data" not in answer.json()


async def test_providers_are_listed(admin: httpx.AsyncClient) -> None:
    data = (await admin.get("/api/v1/providers")).json()["data"]
    assert [(each["id"], each["kind"], each["auth_strategy"]) for each in data] == [
        ("acme", "openai-compatible", "api_key"),
        ("config-only", "anthropic-compatible", "api_key"),
    ]


async def test_c_18_of_fifty_who_change_the_same_state_at_once_one_wins(admin: httpx.AsyncClient) -> None:
    path = f"/api/v1/accounts/{(await create(admin))['id']}"
    tag = (await admin.get(path)).headers["etag"]
    changes = [admin.put(path, json={"label": f"n{n}"}, headers={"if-match": tag}) for n in range(50)]
    answers = await asyncio.gather(*changes)
    assert sorted(answer.status_code for answer in answers) == [200, *[412] * 49]
    (won,) = [answer for answer in answers if answer.status_code == 200]
    assert (await admin.get(path)).json()["label"] == won.json()["label"]
