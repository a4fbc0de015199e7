"""A token was renewed and the answer got lost on the way: what comes of the account depends on the provider's grace."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from core.token_house import PROVIDER, TokenHouse

from aigateway_core.errors import LoginNeededError, UpstreamError
from aigateway_core.storage import SYSTEM, NewAccount, SQLiteFile
from aigateway_core.testing import FakeIdentityProvider

pytestmark = pytest.mark.anyio


class LosingWay:
    """Between a gateway and its identity provider: brings every question there, and loses the first answers."""

    def __init__(self, port: int, lost: int) -> None:
        self._behind = port
        self.lost = lost
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> LosingWay:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.append(asyncio.create_task(self._between(reader, writer)))

    async def _between(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, away = await asyncio.open_connection("127.0.0.1", self._behind)
        asked = asyncio.create_task(self._carry(reader, away))
        try:
            answer = await there.read(65536)
            if self.lost:
                self.lost -= 1
                return
            writer.write(answer)
            await self._carry(there, writer)
        finally:
            asked.cancel()
            for each in (writer, away):
                each.transport.abort()
            await asyncio.sleep(0)

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            target.write(data)


async def stored(house: TokenHouse, idp: FakeIdentityProvider) -> str:
    """An account whose token has ended."""
    auth_data = {**idp.tokens(), "expires_at": datetime.now(UTC).timestamp() - 1}
    row = await house.storage.accounts.create(NewAccount(provider_id=PROVIDER, auth_data=auth_data), SYSTEM)
    house.know(row)
    return row.id


def between(idp: FakeIdentityProvider) -> LosingWay:
    return LosingWay(int(idp.url.rpartition(":")[2]), lost=1)


def options(idp: FakeIdentityProvider, way: LosingWay) -> dict[str, Any]:
    return {**idp.auth_options, "token_url": f"http://127.0.0.1:{way.port}/token"}


async def renewed(house: TokenHouse, account: str) -> str:
    """The token, asked for again while the account only rests."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await house.token(account)
            except LoginNeededError:
                raise
            except UpstreamError as error:
                await asyncio.sleep(error.retry_after or 0.1)


async def test_c_14_with_a_grace_the_same_refresh_token_is_taken_once_more(
    fake_identity_provider: FakeIdentityProvider, tmp_path: Path
) -> None:
    idp = fake_identity_provider
    idp.grace = 60
    async with between(idp) as way, TokenHouse(SQLiteFile(tmp_path / "gateway.db"), options(idp, way)) as house:
        account = await stored(house, idp)
        assert idp.accepts(await renewed(house, account))
        assert (idp.refreshes, idp.reuses) == (2, 0)
        assert (await house.storage.accounts.get(account)).status == "active"


async def test_c_14_without_a_grace_the_account_needs_a_login_and_says_so_once(tmp_path: Path) -> None:
    where = SQLiteFile(tmp_path / "gateway.db")
    with FakeIdentityProvider() as idp:
        async with between(idp) as way, TokenHouse(where, options(idp, way)) as house:
            account = await stored(house, idp)
            with pytest.raises(LoginNeededError):
                await renewed(house, account)
            for _ in range(3):
                with pytest.raises(LoginNeededError):
                    await house.token(account)
            assert (idp.refreshes, idp.reuses) == (2, 1)
            assert (await house.storage.accounts.get(account)).status == "needs_login"
            entries = (await house.storage.audit.list(limit=100)).rows
            assert [entry.action for entry in entries].count("account.needs_login") == 1
