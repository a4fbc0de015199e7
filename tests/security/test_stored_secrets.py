"""What an admin stores is not read back, not overwritten by what is shown in its place."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs
import httpx
import pytest
from core.contract import operations, resolved
from security.doors import CONFIG_KEY, Door, cells, filled, opened, settings_in

from aigateway_core.bootstrap import open_storage
from aigateway_core.settings import ProviderSettings

pytestmark = pytest.mark.anyio

SECRETS = {
    "API key": "sk-canary-Rk5vQm8sYt2wNx7c",
    "access token": "at-canary-Hy6gTf5dRsWq3eRt5",
    "refresh token": "rt-canary-Lp0oKi9jUhYgTfRdE",
    "proxy password": "proxy-canary/Hy6gTf5&dRs+",
    "client secret": "client-secret-canary-Ln4bVc3x",
    "key of the file": CONFIG_KEY,
}
PROXY = f"socks5://user:{quote(SECRETS['proxy password'], safe='')}@proxy.example:1080"


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    """A gateway one of whose providers logs in."""
    settings = settings_in(tmp_path)
    endpoints = {name: f"https://login.example/{name}" for name in ("authorize_url", "token_url")}
    club = ProviderSettings(
        kind="openai-compatible",
        auth_strategy="oauth",
        auth_options={**endpoints, "client_id": "c", "client_secret": SECRETS["client secret"]},
        options={"base_url": "http://127.0.0.1:9", "models": ["m-3"]},
    )
    async with opened(attrs.evolve(settings, providers={**settings.providers, "club": club})) as door:
        yield door


@pytest.fixture
async def admin(door: Door) -> AsyncIterator[httpx.AsyncClient]:
    async with door.client(authorization=f"Bearer {door.keys.admin}") as client:
        yield client


API_KEY = {"provider_id": "acme", "auth_data": {"api_key": SECRETS["API key"]}}
TOKENS = {
    "access_token": SECRETS["access token"],
    "refresh_token": SECRETS["refresh token"],
    "token_url": "https://login.example/token_url",
    "expires_at": "2100-01-01T00:00:00Z",
    "token_type": "Bearer",
}


async def stored(admin: httpx.AsyncClient) -> dict[str, str]:
    """Something in every place that holds a secret; how each is named in a path."""
    made = {
        "account_id": await admin.post("/api/v1/accounts", json={**API_KEY, "proxy_url": PROXY}),
        "oauth": await admin.post("/api/v1/accounts", json={"provider_id": "club", "auth_data": TOKENS}),
        "proxy_id": await admin.post("/api/v1/proxies", json={"url": PROXY}),
        "key_id": await admin.post("/api/v1/keys", json={"name": "team"}),
    }
    assert [answer.status_code for answer in made.values()] == [201] * 4, [each.text for each in made.values()]
    ids = {name: str(answer.json()["id"]) for name, answer in made.items()}
    return {**ids, "provider_id": "club"}


def _spelled(secret: str) -> list[str]:
    encoded = base64.b64encode(secret.encode()).decode()
    return [secret, quote(secret, safe=""), encoded.rstrip("="), secret[::-1], secret.encode().hex(), secret[:12]]


async def test_s_04_nothing_that_can_be_read_has_a_secret_in_it(door: Door, admin: httpx.AsyncClient) -> None:
    ids = await stored(admin)
    begun = (await admin.post("/api/v1/oauth/club/start", json={})).text
    texts = {"start": begun}
    for path, method in cells(door.routes()):
        if method in {"GET", "HEAD"} and not path.endswith("/quota"):
            for values in (ids, {**ids, "account_id": ids["oauth"]}, {**ids, "account_id": "config:config-only"}):
                answer = await admin.request(method, filled(path, values))
                texts[f"{method} {filled(path, values)}"] = f"{answer.headers}{answer.text}"
    assert sum('"set":true' in text.replace(" ", "") for text in texts.values()) >= 4
    shown = [
        (where, name)
        for name, secret in SECRETS.items()
        for where, text in texts.items()
        if any(form in text for form in _spelled(secret))
    ]
    assert shown == []
    keys = [secret for secret in attrs.astuple(door.keys) if any(secret[15:] in text for text in texts.values())]
    assert keys == []


READ_ONLY = {
    "id": "mine",
    "created_at": "2000-01-01T00:00:00Z",
    "updated_at": "2000-01-01T00:00:00Z",
    "usage_count": 0,
    "is_admin": True,
    "role": "admin",
    "source": "configuration",
    "hash": "v1:00000000:00",
    "last_used_at": None,
    "current_accounts": 0,
    "status": "active",
    "__class__": "x",
    "no_such_field": 1,
}


def _writes() -> list[Any]:
    """Each operation of the admin API that takes a body."""
    return [
        pytest.param(method, path, operation, id=operation["operationId"])
        for path, method, operation in operations()
        if path.startswith("/api/") and "requestBody" in operation
    ]


@pytest.mark.parametrize(("method", "path", "operation"), _writes())
async def test_s_05_a_field_that_is_not_the_callers_to_set_is_refused_and_changes_nothing(
    admin: httpx.AsyncClient, method: str, path: str, operation: dict[str, Any]
) -> None:
    ids = await stored(admin)
    content = resolved(operation["requestBody"])["content"]["application/json"]
    examples = [each["value"] for each in content.get("examples", {}).values()]
    targets = [{"provider": "acme", "model": "m-1"}]
    await admin.post("/api/v1/model-mappings", json={"alias": "short", "targets": targets})
    where = filled(path, {**ids, "alias": "short"})
    before = await _everything(admin)
    allowed = set(resolved(content["schema"]).get("properties", {}))
    for name, value in READ_ONLY.items():
        if name in allowed:
            continue
        for body in (*examples, {}):
            answer = await admin.request(method.upper(), where, json={**body, name: value})
            assert answer.status_code in {400, 409, 422}, (name, answer.text)
    assert await _everything(admin) == before


async def _everything(admin: httpx.AsyncClient) -> list[Any]:
    paths = ["accounts", "proxies", "keys", "model-mappings", "providers"]
    return [(await admin.get(f"/api/v1/{path}")).json() for path in paths]


async def test_s_05_what_is_shown_in_the_place_of_a_secret_is_never_taken_for_one(
    door: Door, admin: httpx.AsyncClient
) -> None:
    """Whoever reads, changes a field and writes everything back, keeps the secrets that were never shown."""
    ids = await stored(admin)
    account, proxy = f"/api/v1/accounts/{ids['account_id']}", f"/api/v1/proxies/{ids['proxy_id']}"
    shown, shown_proxy = (await admin.get(account)).json(), (await admin.get(proxy)).json()
    masked = [
        (account, {"auth_data": shown["auth_data"]}),
        (account, {"auth_data": {"api_key": "***"}}),
        (account, {"auth_data": json.dumps({"api_key": "***"})}),
        (account, {"proxy_url": shown["proxy_url"]}),
        (proxy, {"url": shown_proxy["url"]}),
    ]
    for path, body in masked:
        assert (await admin.put(path, json=body)).status_code == 422, body
    assert (await admin.put(account, json={"label": "new"})).status_code == 200
    for body in ({**API_KEY, "proxy_url": shown["proxy_url"]}, {**API_KEY, "auth_data": {"api_key": "***"}}):
        assert (await admin.post("/api/v1/accounts", json=body)).status_code == 422
    async with await open_storage(door.settings) as storage:
        row = await storage.accounts.get(ids["account_id"])
        assert row.auth_data == API_KEY["auth_data"]
        assert row.proxy_url == PROXY
        assert (await storage.proxies.get(int(ids["proxy_id"]))).url == PROXY
