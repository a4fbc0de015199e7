"""A server that is killed, frozen or restarted: an error in bounded time, and back to work by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from services.private_servers import MariaDB

from aigateway_core.errors import UnavailableError
from aigateway_core.storage import SYSTEM, MySQLServer, NewAccount, Storage
from aigateway_core.storage.database import Session
from aigateway_core.storage.mysql_provider import HardenedPool
from aigateway_core.vault import KeyRing

pytestmark = [pytest.mark.anyio, pytest.mark.services]


@pytest.fixture
def server_location(own_mariadb: MariaDB, mysql_location: Callable[..., MySQLServer]) -> Iterator[MySQLServer]:
    with own_mariadb.database() as name:
        yield mysql_location(own_mariadb, name, read_timeout=1.0)


@pytest.fixture
async def storage(server_location: MySQLServer, keyring: KeyRing) -> AsyncIterator[Storage]:
    async with await Storage.open(server_location, keyring, threads=2) as opened:
        await opened.providers.upsert_installed("acme")
        yield opened


async def refused_within(seconds: float, *attempts: Any) -> None:
    began = time.monotonic()
    ends = await asyncio.gather(*attempts, return_exceptions=True)
    assert all(isinstance(end, UnavailableError) for end in ends), ends
    assert all(str(end) == "the database does not answer" for end in ends)
    assert time.monotonic() - began < seconds


async def test_a_killed_server_is_an_outage_at_once_and_work_goes_on_after_its_restart(
    storage: Storage, own_mariadb: MariaDB, noted: Callable[..., Any]
) -> None:
    made = await storage.accounts.create(NewAccount(provider_id="acme", auth_data={"k": "v"}), SYSTEM)
    own_mariadb.kill()
    new = NewAccount(provider_id="acme", auth_data={})
    await refused_within(
        10, storage.version(), storage.accounts.create(new, SYSTEM), storage.calls.insert_many([noted("lost")])
    )
    own_mariadb.start()
    assert (await storage.load_snapshot()).accounts == (made,)
    await storage.calls.insert_many([noted("kept")])
    assert [record.id for record in await storage.calls.list()] == ["kept"]


async def test_a_restart_between_two_uses_goes_unnoticed(storage: Storage, own_mariadb: MariaDB) -> None:
    before = await storage.version()
    own_mariadb.stop()
    own_mariadb.start()
    assert await storage.version() == before
    made = await storage.accounts.create(NewAccount(provider_id="acme", auth_data={}), SYSTEM)
    own_mariadb.stop()
    own_mariadb.start()
    await storage.accounts.delete(made.id, SYSTEM)
    assert await storage.version() == before + 2


async def test_connections_that_are_cut_between_two_uses_go_unnoticed(
    storage: Storage, own_mariadb: MariaDB, server_location: MySQLServer
) -> None:
    await asyncio.gather(*(storage.version() for _ in range(8)))
    assert own_mariadb.kill_connections(server_location.database) == 2
    await asyncio.gather(*(storage.keys.create("client", str(n), SYSTEM) for n in range(8)))
    assert (await storage.keys.list()).total == 8


async def test_a_frozen_server_is_an_outage_in_bounded_time(
    storage: Storage, own_mariadb: MariaDB, noted: Callable[..., Any]
) -> None:
    await storage.calls.insert_many([noted("before")])
    own_mariadb.freeze()
    try:
        await refused_within(20, *(storage.version() for _ in range(3)), storage.calls.insert_many([noted("during")]))
    finally:
        own_mariadb.thaw()
    await storage.calls.insert_many([noted("after")])
    assert {"before", "after"} <= {record.id for record in await storage.calls.list()}


async def test_a_frozen_server_holds_up_neither_opening_nor_closing(
    storage: Storage, own_mariadb: MariaDB, server_location: MySQLServer, keyring: KeyRing
) -> None:
    await storage.version()
    own_mariadb.freeze()
    try:
        began = time.monotonic()
        with pytest.raises(UnavailableError, match="does not answer"):
            await Storage.open(server_location, keyring)
        await storage.aclose()
        assert time.monotonic() - began < 20
    finally:
        own_mariadb.thaw()


async def test_an_idle_connection_is_tried_before_it_is_used_and_an_old_one_renewed(
    storage: Storage, own_mariadb: MariaDB, server_location: MySQLServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connected() -> set[int]:
        listing = "SELECT id FROM information_schema.processlist WHERE db = %s"
        return {number for (number,) in own_mariadb.execute(listing, server_location.database)}

    await asyncio.gather(*(storage.version() for _ in range(8)))
    first = connected()
    monkeypatch.setattr(HardenedPool, "ping_after", 0.0)
    await asyncio.gather(*(storage.version() for _ in range(8)))
    assert connected() == first
    monkeypatch.setattr(HardenedPool, "most_age", 0.0)
    await asyncio.gather(*(storage.version() for _ in range(8)))
    assert len(connected()) == len(first) == 2
    assert not connected() & first


def nap(session: Session) -> int:
    return int(session.select("SELECT SLEEP(0.3)")[0])


async def test_d_11_a_server_that_takes_no_more_connections_is_an_outage(
    own_mariadb: MariaDB, server_location: MySQLServer, keyring: KeyRing
) -> None:
    async with await Storage.open(server_location, keyring, threads=4) as storage:
        await storage.version()
        account = f"{own_mariadb.user}@'{own_mariadb.host}'"
        own_mariadb.execute(f"ALTER USER {account} WITH MAX_USER_CONNECTIONS 1")
        # Slow enough that one connection cannot serve them one after the other before the other threads want theirs.
        ends = await asyncio.gather(*(storage._database.read(nap) for _ in range(8)), return_exceptions=True)
        assert all(end == 0 or isinstance(end, UnavailableError) for end in ends), ends
        assert any(isinstance(end, UnavailableError) for end in ends)
        own_mariadb.execute(f"ALTER USER {account} WITH MAX_USER_CONNECTIONS 0")
        assert await asyncio.gather(*(storage.version() for _ in range(8))) == [0] * 8


async def test_d_11_a_server_that_only_reads_takes_no_change_and_still_answers(
    storage: Storage, own_mariadb: MariaDB, noted: Callable[..., Any]
) -> None:
    own_mariadb.execute("SET GLOBAL read_only = 1")
    try:
        await refused_within(
            20, storage.keys.create("client", "k", SYSTEM), storage.calls.insert_many([noted("refused")])
        )
        assert (await storage.keys.list()).total == 0
        assert await storage.version() == 1
    finally:
        own_mariadb.execute("SET GLOBAL read_only = 0")
    await storage.keys.create("client", "k", SYSTEM)
