"""A SQLite file that somebody else holds: readers go on, writers wait a little and then say so."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any

import pymysql
import pytest
from pony.orm import dbapiprovider

from aigateway_core.errors import UnavailableError
from aigateway_core.storage import SYSTEM, SQLiteFile, Storage, database
from aigateway_core.storage.failures import Trouble, diagnose
from aigateway_core.vault import KeyRing

pytestmark = pytest.mark.anyio


@contextlib.contextmanager
def write_lock(location: SQLiteFile) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(location.path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


async def test_while_another_process_writes_reads_go_on_and_writes_wait_for_it(
    sqlite_location: SQLiteFile, keyring: KeyRing
) -> None:
    async with await Storage.open(sqlite_location, keyring) as storage:
        with write_lock(sqlite_location):
            waiting = asyncio.create_task(storage.keys.create("client", "patient", SYSTEM))
            assert await storage.version() == 0
            assert (await storage.keys.list()).total == 0
            await asyncio.sleep(0.2)
            assert not waiting.done()
        await waiting
        assert (await storage.keys.list()).total == 1


async def test_a_lock_that_is_never_given_back_is_an_outage(
    sqlite_location: SQLiteFile, keyring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_SQLITE_LOCK_TIMEOUT", 0.05)
    async with await Storage.open(sqlite_location, keyring) as storage:
        with write_lock(sqlite_location), pytest.raises(UnavailableError, match="the database does not answer"):
            await storage.keys.create("client", "k", SYSTEM)
        await storage.keys.create("client", "k", SYSTEM)
        assert (await storage.keys.list()).total == 1


async def test_two_storages_on_one_file_do_not_lock_each_other_out(
    sqlite_location: SQLiteFile, keyring: KeyRing
) -> None:
    async with (
        await Storage.open(sqlite_location, keyring) as one,
        await Storage.open(sqlite_location, keyring) as other,
    ):
        await asyncio.gather(*(each.keys.create("client", str(n), SYSTEM) for n in range(20) for each in (one, other)))
        assert await one.version() == await other.version() == 40


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (sqlite3.OperationalError("database is locked"), Trouble.BUSY),
        (sqlite3.OperationalError("database or disk is full"), Trouble.AWAY),
        (sqlite3.OperationalError("attempt to write a readonly database"), Trouble.AWAY),
        (sqlite3.OperationalError("disk I/O error"), Trouble.AWAY),
        (sqlite3.OperationalError("no such table: x"), Trouble.BUG),
        (sqlite3.IntegrityError("UNIQUE constraint failed: x.y"), Trouble.CONFLICT),
        (pymysql.err.OperationalError(1213, "Deadlock found"), Trouble.BUSY),
        (pymysql.err.OperationalError(1205, "Lock wait timeout exceeded"), Trouble.BUSY),
        (pymysql.err.OperationalError(2013, "Lost connection to MySQL server during query"), Trouble.LOST),
        (pymysql.err.OperationalError(2013, "Lost connection to MySQL server during query (timed out)"), Trouble.AWAY),
        (pymysql.err.OperationalError(4031, "The client was disconnected by the server"), Trouble.LOST),
        (pymysql.err.InterfaceError(0, ""), Trouble.LOST),
        (pymysql.err.OperationalError(1040, "Too many connections"), Trouble.AWAY),
        (pymysql.err.OperationalError(1021, "Disk full"), Trouble.AWAY),
        (pymysql.err.OperationalError(4025, "CONSTRAINT failed"), Trouble.CONFLICT),
        (pymysql.err.IntegrityError(1062, "Duplicate entry"), Trouble.CONFLICT),
        (pymysql.err.ProgrammingError(1064, "You have an error in your SQL syntax"), Trouble.BUG),
        (ZeroDivisionError("division by zero"), Trouble.BUG),
    ],
)
def test_an_error_is_understood_bare_and_wrapped(error: Exception, trouble: Trouble) -> None:
    wrapped: Any = dbapiprovider.OperationalError(error)
    chained = RuntimeError("while saving")
    chained.__cause__ = wrapped
    assert [diagnose(each) for each in (error, wrapped, chained)] == [trouble] * 3
