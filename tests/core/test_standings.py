"""What is found out about accounts that do not come back by themselves, written down while requests go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from core.resources.conftest import ADMIN_KEY, Guarded
from scripted_upstream import ScriptedUpstream, whole

from aigateway_core.bootstrap import House, assemble, first_look
from aigateway_core.errors import ErrorKind, UnavailableError
from aigateway_core.secret import Secret
from aigateway_core.settings import (
    DatabaseSettings,
    KeySettings,
    PluginsSettings,
    ProviderSettings,
    SecuritySettings,
    Settings,
)
from aigateway_core.standings import Standings
from aigateway_core.state import Cooldown

pytestmark = pytest.mark.anyio
THEN, LATER = datetime(2026, 5, 4, tzinfo=UTC), datetime(2026, 5, 5, tzinfo=UTC)
BANNED = Cooldown.for_good("banned", ErrorKind.BANNED)
UNVERIFIED = Cooldown.for_good("disabled", ErrorKind.CREDENTIAL, "https://verify.test/")
CHAT = {"model": "m-1", "messages": [{"role": "user", "content": "hi"}]}


class Rows:
    """Accounts that are marked, or not while they are ``away``."""

    def __init__(self) -> None:
        self.marked: list[tuple[Any, ...]] = []
        self.tries = 0
        self.away = False

    async def put_out_of_use(self, *said: Any) -> bool:
        self.tries += 1
        await asyncio.sleep(0)
        if self.away:
            raise UnavailableError("the database is away")
        self.marked.append(said)
        return True


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.01)


async def test_each_finding_is_written_once_and_told(caplog: pytest.LogCaptureFixture) -> None:
    rows, told, standings = Rows(), [], Standings()

    async def changed() -> None:
        told.append(len(rows.marked))

    standings.open(rows, changed)
    for _ in range(50):
        standings.note("a", THEN, BANNED)
    standings.note("b", THEN, UNVERIFIED)
    await until(lambda: len(told) == 2)
    standings.note("a", THEN, BANNED)
    await standings.aclose()
    assert rows.marked == [
        ("a", THEN, "banned", "banned", None),
        ("b", THEN, "disabled", "credential", "https://verify.test/"),
    ]
    assert "the account b is disabled (credential) until it is mended: https://verify.test/" in caplog.text


async def test_an_account_that_was_mended_may_be_shut_out_again() -> None:
    rows, standings = Rows(), Standings()

    async def changed() -> None:
        return

    standings.open(rows, changed)
    standings.note("a", THEN, BANNED)
    await until(lambda: rows.marked)
    standings.note("a", LATER, BANNED)
    await until(lambda: len(rows.marked) == 2)
    await standings.aclose()


async def test_what_passes_by_itself_is_not_written() -> None:
    rows, standings = Rows(), Standings()

    async def changed() -> None:
        return

    standings.open(rows, changed)
    standings.note("a", THEN, Cooldown(4102444800.0, "rate_limit"))
    await standings.aclose()
    assert rows.tries == 0


async def test_while_the_database_is_away_the_newest_finding_waits() -> None:
    rows, standings = Rows(), Standings()

    async def changed() -> None:
        return

    standings.open(rows, changed)
    rows.away = True
    standings.note("a", THEN, BANNED)
    await until(lambda: rows.tries)
    standings.note("a", LATER, UNVERIFIED)
    rows.away = False
    await until(lambda: rows.marked)
    await standings.aclose()
    assert rows.marked == [("a", LATER, "disabled", "credential", "https://verify.test/")]


# -- in a whole gateway


@asynccontextmanager
async def gateway(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A process of its own, as far as the database is concerned."""
    house = House(assemble(settings))
    await house.start()
    transport = httpx.ASGITransport(Guarded(house.app))
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
            yield client
    finally:
        await house.stop()


async def ask(client: httpx.AsyncClient) -> tuple[int, str]:
    answer = await client.post("/v1/chat/completions", json=CHAT)
    return answer.status_code, answer.text


async def shown(client: httpx.AsyncClient, account: str) -> tuple[str, str | None]:
    told = (await client.get(f"/api/v1/accounts/{account}")).json()
    return told["status"], told["status_reason"]


async def test_an_unpaid_bill_outlives_a_restart_and_is_known_to_other_processes_until_it_is_mended(
    tmp_path: Path,
) -> None:
    async with ScriptedUpstream() as vendor:
        refusal = b'{"error": {"message": "pay first", "type": "billing"}}'
        vendor.play(whole(refusal, status=402, content_type="application/json"))
        settings = Settings(
            database=DatabaseSettings(path=tmp_path / "gateway.db"),
            keys=KeySettings(admin=Secret(ADMIN_KEY)),
            plugins=PluginsSettings(allowed=frozenset()),
            security=SecuritySettings(allow_private_hosts=frozenset({"127.0.0.1"})),
            providers={
                "acme": ProviderSettings(
                    kind="openai-compatible", options={"base_url": f"{vendor.url}/v1", "models": ["m-1"]}
                )
            },
        )
        await first_look(assemble(settings))
        async with gateway(settings) as one, gateway(settings) as other:
            body = {"provider_id": "acme", "auth_data": {"api_key": "k" * 20}}
            account = (await one.post("/api/v1/accounts", json=body)).json()["id"]
            assert (await ask(one))[0] == 429
            await until_shown(other, account, ("disabled", "quota"))
            assert "1 disabled (quota)" in (await ask(other))[1]
        async with gateway(settings) as again:
            assert await shown(again, account) == ("disabled", "quota")
            assert "1 disabled (quota)" in (await ask(again))[1]
            assert len(vendor.requests) == 1
            await again.put(f"/api/v1/accounts/{account}", json={"is_active": True})
            assert await shown(again, account) == ("active", None)
            assert (await ask(again))[0] == 429
            assert len(vendor.requests) == 2


async def until_shown(client: httpx.AsyncClient, account: str, expected: tuple[str, str]) -> None:
    async with asyncio.timeout(10):
        while await shown(client, account) != expected:  # noqa: ASYNC110 - it polls the database
            await asyncio.sleep(0.05)
        await asyncio.sleep(1.5)  # the snapshot's poll
