"""Providers through the admin API: read, and switched on and off."""

from __future__ import annotations

import httpx
import pytest

pytestmark = pytest.mark.anyio

PATH = "/api/v1/providers/config-only"
ASK = {"model": "m-2", "messages": [{"role": "user", "content": "hi"}]}


async def test_a_provider_is_listed_and_read(admin: httpx.AsyncClient) -> None:
    listed = (await admin.get("/api/v1/providers")).json()
    one = await admin.get(PATH)
    assert one.json() in listed["data"]
    assert (one.json()["id"], one.json()["is_active"]) == ("config-only", True)
    assert one.headers["etag"]
    assert (await admin.get("/api/v1/providers/nobody")).status_code == 404
    assert (await admin.put("/api/v1/providers/nobody", json={})).status_code == 404


async def test_a_provider_that_is_switched_off_serves_nothing_and_says_so(
    admin: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    assert [model["id"] for model in (await client.get("/v1/models")).json()["data"]] == ["m-2"]
    assert (await admin.put(PATH, json={"is_active": False})).json()["is_active"] is False
    assert (await client.get("/v1/models")).json()["data"] == []
    refused = await client.post("/v1/chat/completions", json=ASK)
    assert refused.status_code == 404
    assert "the provider 'config-only', which serves the model 'm-2', is switched off" in refused.text
    await admin.put(PATH, json={"is_active": True})
    assert [model["id"] for model in (await client.get("/v1/models")).json()["data"]] == ["m-2"]


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"base_url": "https://elsewhere.example"}, 409, "providers.config-only.base_url"),
        ({"config": {}}, 409, "providers.config-only"),
        ({"is_active": "yes"}, 422, "is_active: expected"),
        ({"colour": 1}, 422, "colour: unknown key"),
    ],
)
async def test_what_cannot_be_changed_is_told(
    admin: httpx.AsyncClient, body: dict[str, object], status: int, told: str
) -> None:
    answer = await admin.put(PATH, json=body)
    assert answer.status_code == status
    assert told in answer.text


async def test_an_update_of_what_was_changed_meanwhile_is_refused(admin: httpx.AsyncClient) -> None:
    tag = (await admin.get(PATH)).headers["etag"]
    assert (await admin.put(PATH, json={"is_active": False}, headers={"if-match": tag})).status_code == 200
    assert (await admin.put(PATH, json={"is_active": True}, headers={"if-match": tag})).status_code == 412
