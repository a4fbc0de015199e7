"""Migrating a MySQL or MariaDB database.

Definitions commit by themselves there, so each step is marked before it is run and after.

The lock is the server's own (``GET_LOCK``): it goes when the connection of a killed process goes.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

import pymysql

from aigateway_core.errors import UnavailableError
from aigateway_core.storage.failures import number
from aigateway_core.storage.locations import MySQLServer
from aigateway_core.storage.migrations.steps import LEDGER, READ_LEDGER, Applied, MigrationError, OnStep, Step, pending
from aigateway_core.storage.mysql_provider import arguments, connect

_MOST_SECONDS = 3600.0
"""A definition on a large table may take long; the server is known to be alive by then."""

_NO_SUCH_TABLE = 1146
_ALREADY_SO = {1050, 1060, 1061, 1068, 1091, 1826}
"""Table, column, key, primary key, foreign key exists already; or is gone already."""

_MARK = (
    "INSERT INTO schema_migrations VALUES (%s, %s, %s, %s, %s, %s)"
    " ON DUPLICATE KEY UPDATE checksum = VALUES(checksum), state = VALUES(state), applied_at = VALUES(applied_at)"
)


def migrate_mysql(server: MySQLServer, steps: Sequence[Step], on_step: OnStep, wait: float) -> int:
    """Apply what is missing; see :func:`aigateway_core.storage.migrations.migrate`."""
    with closing(connect(**arguments(server))) as connection:
        if not pending(steps, _read_ledger(connection)):
            return 0
    patient = {**arguments(server), "read_timeout": _MOST_SECONDS}
    with closing(connect(**patient)) as connection, _alone(connection, server, wait):
        _execute(connection, LEDGER + " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin")
        todo = pending(steps, _read_ledger(connection))
        for step, started in todo.items():
            on_step(step, "begins")
            _apply(connection, step, started=started)
            on_step(step, "ran")
            _mark(connection, step, "done")
    return len(todo)


@contextmanager
def _alone(connection: Any, server: MySQLServer, wait: float) -> Iterator[None]:
    # A lock's name has at most 64 characters and is the same for all databases of a server.
    name = "aigateway." + hashlib.sha256(server.database.encode()).hexdigest()[:32]
    deadline = time.monotonic() + wait
    while _execute(connection, "SELECT GET_LOCK(%s, 1)", name)[0][0] != 1:
        if time.monotonic() > deadline:
            raise UnavailableError(f"another process has been migrating the database for more than {wait:g} seconds")
    yield
    _execute(connection, "SELECT RELEASE_LOCK(%s)", name)


def _apply(connection: Any, step: Step, *, started: bool) -> None:
    _mark(connection, step, "started")
    try:
        _execute(connection, step.sql)
    except pymysql.err.MySQLError as error:
        # A process that was killed had perhaps run this step, but could not say so.
        if not (started and number(error) in _ALREADY_SO):
            raise MigrationError(f"migration {step} failed: {error}; mend the cause and start again") from error


def _mark(connection: Any, step: Step, state: str) -> None:
    now = datetime.now(UTC).isoformat()
    _execute(connection, _MARK, step.version, step.number, step.name, step.checksum, state, now)


def _read_ledger(connection: Any) -> list[Applied]:
    try:
        return [Applied(*row) for row in _execute(connection, READ_LEDGER)]
    except pymysql.err.ProgrammingError as error:
        if number(error) != _NO_SUCH_TABLE:
            raise
        return []


def _execute(connection: Any, sql: str, *values: object) -> Sequence[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        rows: Sequence[Any] = cursor.fetchall()
    connection.commit()
    return rows
