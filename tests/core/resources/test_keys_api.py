"""Client keys through the admin API, and what they open."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from aigateway_core.bootstrap import House

pytestmark = pytest.mark.anyio

ASK = {"model": "m-1", "messages": [{"role": "user", "content": "hi"}]}


async def make(admin: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await admin.post("/api/v1/keys", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def opens(client: httpx.AsyncClient, key: str) -> bool:
    answer = await client.get("/v1/models", headers={"authorization": f"Bearer {key}"})
    assert answer.status_code in {200, 401}
    return answer.status_code == 200


async def test_a_key_is_shown_once_listed_and_changed(admin: httpx.AsyncClient) -> None:
    made = await make(admin, name="laptop", models=["m-*"], requests_per_minute=5)
    key = made.pop("key")
    assert key.startswith(made["prefix"])
    assert (made["name"], made["status"], made["models"], made["requests_per_minute"]) == (
        "laptop",
        "active",
        ["m-*"],
        5,
    )
    assert (made["providers"], made["accounts"], made["concurrency"], made["last_used_at"]) == (None,) * 4
    path = f"/api/v1/keys/{made['id']}"
    assert (await admin.get(path)).json() == made
    assert (await admin.get("/api/v1/keys")).json() == {"data": [made], "total": 1, "limit": 20, "offset": 0}
    changed = (await admin.put(path, json={"name": "desk", "models": None, "concurrency": 2})).json()
    assert (changed["name"], changed["models"], changed["concurrency"]) == ("desk", None, 2)
    assert changed["requests_per_minute"] == 5
    for text in ((await admin.get(path)).text, (await admin.get("/api/v1/keys")).text):
        assert key not in text


async def test_a_revoked_key_opens_nothing_and_stays_in_the_list(
    admin: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    made = await make(admin)
    assert await opens(client, made["key"])
    assert (await admin.delete(f"/api/v1/keys/{made['id']}")).status_code == 204
    assert not await opens(client, made["key"])
    (listed,) = (await admin.get("/api/v1/keys")).json()["data"]
    assert listed["status"] == "revoked"
    assert listed["revoked_at"] is not None
    assert (await admin.delete(f"/api/v1/keys/{made['id']}")).status_code == 204
    assert (await admin.put(f"/api/v1/keys/{made['id']}", json={"name": "again"})).status_code == 409


async def test_the_end_of_the_last_key_opens_the_door_to_nobody(
    admin: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    assert (await client.get("/v1/models")).status_code == 200, "no key was made yet"
    made = await make(admin)
    assert (await client.get("/v1/models")).status_code == 401
    await admin.delete(f"/api/v1/keys/{made['id']}")
    assert (await client.get("/v1/models")).status_code == 401


async def test_a_key_that_has_expired_opens_nothing(admin: httpx.AsyncClient, client: httpx.AsyncClient) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.4)
    made = await make(admin, expires_at=soon.isoformat())
    assert await opens(client, made["key"])
    while datetime.now(UTC) < soon:  # noqa: ASYNC110 - the clock tells nobody
        await asyncio.sleep(0.05)
    assert not await opens(client, made["key"])
    assert (await admin.get(f"/api/v1/keys/{made['id']}")).json()["status"] == "expired"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"colour": 1}, "colour: unknown key"),
        ({"name": 7}, "name: expected"),
        ({"providers": ["acmee"]}, "providers[0]: there is no provider 'acmee'; did you mean 'acme'?"),
        ({"accounts": ["nobody"]}, "accounts[0]: there is no account 'nobody'"),
        ({"models": []}, "models: is empty"),
        ({"models": ["a*b"]}, "models[0]: expected a model's name"),
        ({"requests_per_minute": 0}, "requests_per_minute: must be at least 1"),
        ({"concurrency": "3"}, "concurrency: expected an integer"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at: is over already"),
        ({"expires_at": "tomorrow"}, "expires_at: expected a date and time"),
        ({"id": "x", "key": "mine", "role": "admin"}, "role: unknown key"),
    ],
)
async def test_what_cannot_be_is_told_with_its_path(admin: httpx.AsyncClient, body: dict[str, Any], told: str) -> None:
    answer = await admin.post("/api/v1/keys", json=body)
    assert answer.status_code == 422
    assert any(problem.startswith(told) for problem in answer.json()["error"]["details"]), answer.text
    assert (await admin.get("/api/v1/keys")).json()["total"] == 0


async def test_a_key_that_nobody_has_is_not_found(admin: httpx.AsyncClient) -> None:
    for answer in (
        await admin.get("/api/v1/keys/abcdefgh"),
        await admin.put("/api/v1/keys/abcdefgh", json={}),
        await admin.delete("/api/v1/keys/abcdefgh"),
    ):
        assert answer.status_code == 404


async def test_a_client_key_opens_nothing_of_the_admin_api(admin: httpx.AsyncClient, client: httpx.AsyncClient) -> None:
    made = await make(admin)
    headers = {"authorization": f"Bearer {made['key']}"}
    for method, path in (("GET", ""), ("POST", ""), ("GET", "/x"), ("PUT", "/x"), ("DELETE", "/x")):
        assert (await client.request(method, f"/api/v1/keys{path}", headers=headers)).status_code == 401


async def test_an_update_of_what_was_changed_meanwhile_is_refused(admin: httpx.AsyncClient) -> None:
    made = await make(admin)
    path = f"/api/v1/keys/{made['id']}"
    tag = (await admin.get(path)).headers["etag"]
    first = await admin.put(path, json={"name": "one"}, headers={"if-match": tag})
    assert first.status_code == 200
    second = await admin.put(path, json={"name": "two"}, headers={"if-match": tag})
    assert second.status_code == 412
    assert (await admin.put(path, json={"name": "two"}, headers={"if-match": '"made-up"'})).status_code == 412
    assert (await admin.get(path)).json()["name"] == "one"
    third = await admin.put(path, json={"name": "two"}, headers={"if-match": first.headers["etag"]})
    assert third.status_code == 200
    assert (await admin.put(path, json={"name": "three"}, headers={"if-match": "*"})).status_code == 200


async def test_a_key_uses_what_it_may_use_and_is_listed_that(
    admin: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    await admin.post("/api/v1/accounts", json={"provider_id": "acme", "auth_data": {"api_key": "sk-1234567890"}})
    made = await make(admin, providers=["config-only"])
    headers = {"authorization": f"Bearer {made['key']}"}
    listed = (await client.get("/v1/models", headers=headers)).json()["data"]
    assert [model["id"] for model in listed] == ["m-2"]
    refused = await client.post("/v1/chat/completions", headers=headers, json=ASK)
    assert refused.status_code == 403
    assert "this key may not use the provider 'acme'" in refused.text


async def test_too_many_requests_are_refused_in_the_dialect_of_the_endpoint(
    admin: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    made = await make(admin, requests_per_minute=2)
    headers = {"authorization": f"Bearer {made['key']}"}
    count = {"model": "m-2", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}
    first = await client.post("/v1/messages/count_tokens", headers=headers, json=count)
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    second = await client.post("/v1/chat/completions", headers=headers, json={"model": "m-none", "messages": []})
    assert second.status_code == 400
    assert second.headers["x-ratelimit-remaining-requests"] == "0", "an error tells the limits as well"
    openai = await client.post("/v1/chat/completions", headers=headers, json=ASK)
    anthropic = await client.post("/v1/messages", headers=headers, json={**ASK, "max_tokens": 5})
    gemini = await client.post("/v1beta/models/m-1:generateContent", headers=headers, json={"contents": []})
    for answer in (openai, anthropic, gemini):
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["retry-after"]) <= 30
        assert answer.headers["x-ratelimit-remaining-requests"] == "0"
        assert answer.headers["x-ratelimit-reset-requests"].endswith("s")
        assert "this key may make 2 requests a minute" in answer.text
    assert openai.json()["error"]["code"] == "rate_limit_exceeded"
    assert anthropic.json()["error"]["type"] == "rate_limit_error"
    assert gemini.json()["error"]["status"] == "RESOURCE_EXHAUSTED"


async def test_no_key_stands_in_log_audit_or_snapshot(
    admin: httpx.AsyncClient, client: httpx.AsyncClient, house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    made = await make(admin, name="canary")
    secret = made["key"].removeprefix(made["prefix"])
    await opens(client, made["key"])
    await opens(client, made["key"] + "x")
    await admin.put(f"/api/v1/keys/{made['id']}", json={"name": "other"})
    await admin.delete(f"/api/v1/keys/{made['id']}")
    storage = house._pool._books
    audit = await storage.audit.list(limit=50)  # type: ignore[union-attr]
    assert {"key.create", "key.update", "key.revoke"} <= {entry.action for entry in audit.rows}
    assert secret not in repr(audit) + caplog.text + repr(house._snapshot.value)
