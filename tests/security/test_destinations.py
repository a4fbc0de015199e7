"""Where a request goes is what the operator said, and nothing that a client, a vendor or a test of an account says."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest
from core.gateway_house import WHOLE
from scripted_upstream import ScriptedUpstream, whole
from security.doors import Door, opened, settings_in

from aigateway_core.secret import Secret
from aigateway_core.settings import ProviderSettings
from aigateway_core.vault import key_id

pytestmark = pytest.mark.anyio

KEY = "sk-of-the-operator-0001"


WHO_TESTED = """SELECT actor, entity_id, json_extract(detail, '$.model') FROM audit_log
 WHERE action = 'account.test' ORDER BY id DESC LIMIT 1"""


@pytest.fixture
async def elsewhere() -> AsyncIterator[ScriptedUpstream]:
    """A place that nothing may be sent to."""
    async with ScriptedUpstream() as upstream:
        yield upstream


@pytest.fixture
async def door(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> AsyncIterator[Door]:
    """A gateway whose one vendor is at hand: the operator wrote its address, so that it may be on this machine."""
    settings = settings_in(tmp_path)
    acme = ProviderSettings(
        kind="openai-compatible",
        api_key=Secret(KEY),
        options={"base_url": f"http://127.0.0.1:{scripted_upstream.port}/v1", "models": ["m-1"]},
    )
    async with opened(attrs.evolve(settings, providers={"acme": acme})) as door:
        yield door


def _overrides(url: str) -> dict[str, Any]:
    address = url.removeprefix("http://")
    names = ["api_base", "base_url", "baseUrl", "endpoint", "proxy", "proxy_url", "custom_host", "api_host"]
    names += ["x-portkey-custom-host", "x-forwarded-host", "x-api-base", "x-base-url", "x-target-url", "x-host"]
    names += ["forwarded", "x-original-url", "x-rewrite-url", "x-http-host-override", "x-aigateway-base-url"]
    named = {"provider": "other", "account_id": "other", "api_key": "sk-mine", "x-portkey-provider": "other"}
    return {**dict.fromkeys(names, url), "x-forwarded-server": address, "x-forwarded-proto": "gopher", **named}


@pytest.mark.parametrize("streamed", [False, True])
async def test_s_16_nothing_that_a_client_sends_changes_where_its_request_goes(
    door: Door, scripted_upstream: ScriptedUpstream, elsewhere: ScriptedUpstream, streamed: bool
) -> None:
    chat = {"model": "m-1", "messages": [{"role": "user", "content": "hi"}]}
    overrides = _overrides(f"http://127.0.0.1:{elsewhere.port}")
    wants = {"stream": True} if streamed else {}
    sent = [({}, overrides), (overrides, {}), ({"litellm_params": overrides, "extra_body": overrides}, {})]
    async with door.client(authorization=f"Bearer {door.keys.client}") as client:
        for body, headers in sent:
            scripted_upstream.play(whole(json.dumps(WHOLE).encode()))
            answer = await client.post("/v1/chat/completions", json={**chat, **wants, **body}, headers=headers)
            assert answer.status_code in {200, 502}, answer.text
            request = scripted_upstream.requests[-1]
            assert request.target == "/v1/chat/completions"
            assert request.headers["authorization"] == f"Bearer {KEY}"
            assert request.headers["host"] == f"127.0.0.1:{scripted_upstream.port}"
            assert not [name for name in overrides if "-" in name and name in request.headers]
        assert len(scripted_upstream.requests) == len(sent)
    assert elsewhere.opened == 0


@pytest.mark.parametrize(
    "form", ["http://127.0.0.1:{}", "http://localhost:{}", "socks5://127.0.0.1:{}", "http://[::ffff:7f00:1]:{}"]
)
async def test_s_09_an_account_that_is_tested_leads_nowhere_inside(
    door: Door, scripted_upstream: ScriptedUpstream, elsewhere: ScriptedUpstream, form: str
) -> None:
    url = form.format(elsewhere.port)
    body = {"provider_id": "acme", "auth_data": {"api_key": "sk-canary-1234"}, "proxy_url": url}
    async with door.client(authorization=f"Bearer {door.keys.admin}") as admin:
        for path, made in (("accounts", body), ("proxies", {"url": url})):
            answer = await admin.post(f"/api/v1/{path}", json=made)
            if answer.status_code == 422:
                assert "allow_private_hosts" in answer.text
                continue
            name = answer.json()["id"] if path == "accounts" else "config:acme"
            tested = await admin.post(f"/api/v1/accounts/{name}/test", json={"model": "m-1"})
            assert tested.json()["ok"] is False, tested.text
            with closing(sqlite3.connect(door.settings.database.path)) as database:
                (noted,) = database.execute(WHO_TESTED).fetchall()
            assert noted == (key_id(door.keys.admin), name, "m-1")
    assert elsewhere.opened == 0
    assert scripted_upstream.requests == []


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "gopher://127.0.0.1:6379/_x", "unix:///run/mysqld/mysqld.sock", "ftp://h", "dict://h:1"],
)
async def test_s_09_of_other_schemes_nothing_is_stored(door: Door, url: str) -> None:
    async with door.client(authorization=f"Bearer {door.keys.admin}") as admin:
        account = {"provider_id": "acme", "auth_data": {"api_key": "sk-canary-1234"}, "proxy_url": url}
        assert (await admin.post("/api/v1/accounts", json=account)).status_code == 422
        assert (await admin.post("/api/v1/proxies", json={"url": url})).status_code == 422
        assert (await admin.get("/api/v1/proxies")).json()["total"] == 0


@pytest.mark.parametrize("dialect", ["chat", "messages"])
async def test_s_17_the_address_of_a_picture_goes_on_to_the_vendor_and_is_never_fetched(
    door: Door, scripted_upstream: ScriptedUpstream, elsewhere: ScriptedUpstream, dialect: str
) -> None:
    url = f"http://127.0.0.1:{elsewhere.port}/picture.png"
    path, part = {
        "chat": ("/v1/chat/completions", {"type": "image_url", "image_url": {"url": url}}),
        "messages": ("/v1/messages", {"type": "image", "source": {"type": "url", "url": url}}),
    }[dialect]
    scripted_upstream.play(whole(json.dumps(WHOLE).encode()))
    body = {"model": "m-1", "max_tokens": 9, "messages": [{"role": "user", "content": [part]}]}
    async with door.client(authorization=f"Bearer {door.keys.client}") as client:
        answer = await client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    assert url.encode() in scripted_upstream.requests[-1].body
    assert elsewhere.opened == 0
