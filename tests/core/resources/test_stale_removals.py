"""Whoever removes a thing may say which state of it: what somebody has changed meanwhile stays."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio

THINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "accounts": ({"provider_id": "acme", "auth_data": {"api_key": "k" * 20}}, {"label": "new"}),
    "proxies": ({"url": "http://proxy.example:3128"}, {"priority": 5}),
    "keys": ({"name": "one"}, {"name": "two"}),
    "model-mappings": (
        {"alias": "fast", "targets": [{"provider": "config-only", "model": "m-2"}]},
        {"is_active": False},
    ),
}


@pytest.mark.parametrize("kind", THINGS)
async def test_what_was_changed_meanwhile_is_not_removed(kind: str, admin: httpx.AsyncClient) -> None:
    new, change = THINGS[kind]
    made = await admin.post(f"/api/v1/{kind}", json=new)
    assert made.status_code == 201, made.text
    path = f"/api/v1/{kind}/{made.json()['alias' if kind == 'model-mappings' else 'id']}"
    seen = (await admin.get(path)).headers["etag"]
    changed = await admin.put(path, json=change)
    for stale in (seen, '"2020-01-01T00:00:00Z"', '"made-up"'):
        assert (await admin.delete(path, headers={"if-match": stale})).status_code == 412
    there = await admin.get(path)
    assert (there.status_code, there.headers["etag"]) == (200, changed.headers["etag"])
    assert (await admin.delete(path, headers={"if-match": changed.headers["etag"]})).status_code == 204
