"""Logins whose browser does not wait for the end: it reloads, is closed, or the gateway stops meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import Event
from typing import Any

import httpx
import pytest
from core.resources.logging_in import begin, with_logins

from aigateway_core import logins
from aigateway_core.bootstrap import House, open_storage
from aigateway_core.settings import Settings
from aigateway_core.storage.rows import AuditEntry
from aigateway_core.testing import FakeIdentityProvider, TokenAnswer

pytestmark = pytest.mark.anyio


@pytest.fixture
def idp(fake_identity_provider: FakeIdentityProvider) -> FakeIdentityProvider:
    """It answers no code before its gate is opened."""
    fake_identity_provider.gate = Event()
    return fake_identity_provider


@pytest.fixture
def settings(settings: Settings, idp: FakeIdentityProvider) -> Settings:
    return with_logins(settings, idp)


async def accounts(admin: httpx.AsyncClient) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = (await admin.get("/api/v1/accounts?provider_id=acme")).json()["data"]
    return listed


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def arrives(client: httpx.AsyncClient, idp: FakeIdentityProvider, back: str) -> asyncio.Task[httpx.Response]:
    """A browser comes back, and the identity provider has its code."""
    asked = len(idp.token_requests)
    visit = asyncio.create_task(client.get(back))
    await until(lambda: len(idp.token_requests) > asked)
    return visit


async def leave(visit: asyncio.Task[httpx.Response]) -> None:
    visit.cancel()
    await asyncio.gather(visit, return_exceptions=True)


async def audited(settings: Settings) -> AuditEntry:
    async with await open_storage(settings) as storage:
        return (await storage.audit.list()).rows[0]


async def test_a_browser_that_leaves_during_the_exchange_has_logged_in(
    admin: httpx.AsyncClient, client: httpx.AsyncClient, idp: FakeIdentityProvider, house: House
) -> None:
    await leave(await arrives(client, idp, idp.consent((await begin(admin))["url"])))
    assert await accounts(admin) == []
    idp.gate.set()
    await house.administration().logins.aclose()
    assert [each["label"] for each in await accounts(admin)] == ["user@example.com"]


async def test_an_admin_who_leaves_after_pasting_has_logged_in(
    admin: httpx.AsyncClient, idp: FakeIdentityProvider, house: House
) -> None:
    back = idp.consent((await begin(admin))["url"])
    visit = asyncio.create_task(admin.post("/api/v1/oauth/acme/complete", json={"url": back}))
    await until(lambda: bool(idp.token_requests))
    await leave(visit)
    idp.gate.set()
    await house.administration().logins.aclose()
    assert len(await accounts(admin)) == 1


async def test_a_browser_that_reloads_during_the_exchange_is_told_how_it_ends(
    admin: httpx.AsyncClient, client: httpx.AsyncClient, idp: FakeIdentityProvider
) -> None:
    back = idp.consent((await begin(admin))["url"])
    await leave(await arrives(client, idp, back))
    again = asyncio.create_task(client.get(back))
    other = await client.get(back.replace("code=", "code=x"))
    assert (other.status_code, "no login waits" in other.text) == (400, True)
    idp.gate.set()
    page = await again
    assert (page.status_code, "You are logged in" in page.text) == (200, True)
    assert (len(await accounts(admin)), idp.exchanges) == (1, 1)
    late = await client.get(back)
    assert (late.status_code, "see whether the account is there" in late.text) == (400, True)


async def test_a_login_that_fails_after_the_browser_has_left_is_written_down(
    admin: httpx.AsyncClient,
    client: httpx.AsyncClient,
    idp: FakeIdentityProvider,
    house: House,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    idp.answer(TokenAnswer(status=400, body={"error": "invalid_grant"}))
    await leave(await arrives(client, idp, idp.consent((await begin(admin))["url"])))
    idp.gate.set()
    await house.administration().logins.aclose()
    entry = await audited(settings)
    assert (entry.action, entry.entity_id) == ("login.refuse", "acme")
    assert "invalid_grant" in str(entry.detail)
    assert "a login at acme was not finished" in caplog.text


async def test_a_stop_waits_for_a_login_under_way(
    admin: httpx.AsyncClient, client: httpx.AsyncClient, idp: FakeIdentityProvider, house: House, settings: Settings
) -> None:
    await leave(await arrives(client, idp, idp.consent((await begin(admin))["url"])))
    stop = asyncio.create_task(house.stop())
    await asyncio.sleep(0.1)
    assert not stop.done()
    idp.gate.set()
    await stop
    assert (await audited(settings)).action == "account.create"


async def test_a_stop_that_has_waited_long_enough_writes_down_what_it_ended(
    admin: httpx.AsyncClient,
    client: httpx.AsyncClient,
    idp: FakeIdentityProvider,
    house: House,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logins, "_STOP_SECONDS", 0.05)
    await leave(await arrives(client, idp, idp.consent((await begin(admin))["url"])))
    await house.stop()
    idp.gate.set()
    entry = await audited(settings)
    assert (entry.action, entry.entity_id) == ("login.refuse", "acme")
    assert "the gateway was stopped" in str(entry.detail)


async def test_a_stranger_with_answers_to_no_login_is_soon_not_asked_for_any_and_fills_no_log(
    admin: httpx.AsyncClient, client: httpx.AsyncClient, idp: FakeIdentityProvider, caplog: pytest.LogCaptureFixture
) -> None:
    idp.gate.set()
    begun = await begin(admin)
    answers = [await client.get(f"/api/v1/oauth/callback?state={number:064d}&code=x") for number in range(100)]
    assert [answer.status_code for answer in answers] == [400] * 20 + [429] * 80
    assert int(answers[-1].headers["retry-after"]) >= 1
    said = [record for record in caplog.records if record.name.startswith("aigateway")]
    assert ["too many wrong answers to logins" in record.getMessage() for record in said] == [True]
    assert (await client.get(idp.consent(begun["url"]))).status_code == 429
    assert (await admin.get("/api/v1/accounts")).status_code == 200
