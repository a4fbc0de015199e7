"""Both kinds of database, each fresh for every test, and a way to look at them past the code under test."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import pytest
from services.private_servers import MariaDB

from aigateway_core.records import Attempt, CallRecord
from aigateway_core.secret import Secret
from aigateway_core.storage import Actor, DatabaseLocation, MySQLServer, NewAccount, SQLiteFile, Storage, StoredAccount
from aigateway_core.vault import KeyRing

Sql: TypeAlias = Callable[..., list[tuple[Any, ...]]]
Noted: TypeAlias = Callable[..., CallRecord]


def on_server(server: MariaDB, database: str, read_timeout: float = 5.0) -> MySQLServer:
    return MySQLServer(
        host=server.host,
        port=server.port,
        user=server.user,
        password=Secret(server.password),
        database=database,
        connect_timeout=read_timeout,
        read_timeout=read_timeout,
    )


@pytest.fixture
def keyring() -> KeyRing:
    return KeyRing([bytes(range(32))])


@pytest.fixture
def actor() -> Actor:
    return Actor(id="tester", request_id="req-1")


@pytest.fixture
def sqlite_location(tmp_path: Path) -> SQLiteFile:
    return SQLiteFile(tmp_path / "data" / "gateway.db")


@pytest.fixture
def mariadb_location(mariadb: MariaDB) -> Iterator[MySQLServer]:
    with mariadb.database() as name:
        yield on_server(mariadb, name)


@pytest.fixture
def mysql_location() -> Callable[..., MySQLServer]:
    """Where a database of a server is: ``mysql_location(server, name, read_timeout=1.0)``."""
    return on_server


@pytest.fixture(params=["sqlite", pytest.param("mariadb", marks=pytest.mark.services)])
def location(request: pytest.FixtureRequest) -> DatabaseLocation:
    """An empty database of either kind."""
    found: DatabaseLocation = request.getfixturevalue(f"{request.param}_location")
    return found


@pytest.fixture
async def storage(
    location: DatabaseLocation, keyring: KeyRing, request: pytest.FixtureRequest
) -> AsyncIterator[Storage]:
    """Storage on an empty database, with the providers ``acme`` and ``globex``."""
    async with await Storage.open(location, keyring) as opened:
        await opened.providers.upsert_installed("acme", "globex")
        yield opened
    if isinstance(location, MySQLServer):
        server: MariaDB = request.getfixturevalue("mariadb")
        assert server.kill_connections(location.database) == 0, "connections are left after aclose"


@pytest.fixture
def sql(location: DatabaseLocation, request: pytest.FixtureRequest) -> Sql:
    """Run a statement behind storage's back; ``?`` stands for a value."""
    if isinstance(location, SQLiteFile):
        return _sqlite(location.path)
    server: MariaDB = request.getfixturevalue("mariadb")
    return _mariadb(server, location.database)


def _sqlite(path: Path) -> Sql:
    def run(statement: str, *values: object) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=10)) as connection:
            return [tuple(row) for row in connection.execute(statement, values)]

    return run


def _mariadb(server: MariaDB, database: str) -> Sql:
    def run(statement: str, *values: object) -> list[tuple[Any, ...]]:
        return server.execute(statement.replace("?", "%s"), *values, database=database)

    return run


@pytest.fixture
def add(storage: Storage, actor: Actor) -> Callable[..., Any]:
    """Store an account: ``await add(label="x")``."""

    async def make(
        label: str = "", provider_id: str = "acme", auth_data: Mapping[str, Any] | None = None, **more: Any
    ) -> StoredAccount:
        given = {"api_key": "sk-original-1234"} if auth_data is None else auth_data
        return await storage.accounts.create(
            NewAccount(provider_id=provider_id, label=label, auth_data=given, **more), actor
        )

    return make


@pytest.fixture
def noted() -> Noted:
    """Makes a call record: ``noted("id", minute=3, outcome="ok")``."""

    def make(record_id: str = "c1", minute: int = 0, **more: Any) -> CallRecord:
        values: dict[str, Any] = {
            "id": record_id,
            "request_id": f"req-{record_id}",
            "created_at": datetime(2026, 5, 4, 12, minute, 0, 123456, UTC),
            "dialect": "openai-chat",
            "client_key_id": "-",
            "outcome": "ok",
            "status_code": 200,
            "latency_ms": 12,
            "attempts": (Attempt(account_id="a1", latency_ms=11, status_code=200),),
        }
        return CallRecord(**{**values, **more})

    return make


class OtherProcess:
    """Runs ``other_process.py`` against the same database."""

    def __init__(self, location: DatabaseLocation) -> None:
        self._location = location

    def start(self, deed: str, **task: Any) -> subprocess.Popen[str]:
        """A process that waits for a line before it begins."""
        script = str(Path(__file__).with_name("other_process.py"))
        text = json.dumps({"location": _spelled(self._location), **task})
        return subprocess.Popen(
            [sys.executable, script, deed, text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run_together(self, count: int, deed: str, **task: Any) -> list[tuple[int, str]]:
        """Exit codes and outputs of processes that begin at the same moment."""
        processes = [self.start(deed, **task) for _ in range(count)]
        for process in processes:
            begin(process)
        outputs = [process.communicate(timeout=60)[0].strip() for process in processes]
        return [(process.returncode, output) for process, output in zip(processes, outputs, strict=True)]


def begin(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def _spelled(location: DatabaseLocation) -> dict[str, Any]:
    if isinstance(location, SQLiteFile):
        return {"path": str(location.path)}
    return {**attrs.asdict(location, recurse=False), "password": location.password.reveal()}


@pytest.fixture
def other_process(location: DatabaseLocation) -> OtherProcess:
    return OtherProcess(location)
