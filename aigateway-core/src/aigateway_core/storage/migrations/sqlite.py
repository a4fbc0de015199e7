"""Migrating a SQLite file.

Definitions are transactional there: one transaction is the lock, and makes it all or nothing.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from aigateway_core.errors import UnavailableError
from aigateway_core.storage.locations import SQLiteFile
from aigateway_core.storage.migrations.steps import LEDGER, READ_LEDGER, Applied, MigrationError, OnStep, Step, pending

_MARK = "INSERT INTO schema_migrations VALUES (?, ?, ?, ?, 'done', ?)"


def migrate_sqlite(location: SQLiteFile, steps: Sequence[Step], on_step: OnStep, wait: float) -> int:
    """Apply what is missing; see :func:`aigateway_core.storage.migrations.migrate`."""
    _make_file(location.path)
    with closing(sqlite3.connect(location.path, isolation_level=None, timeout=wait)) as connection:
        _switch_to_wal(connection, time.monotonic() + wait)
        if not pending(steps, _read_ledger(connection)):
            return 0
        _begin(connection, wait)
        try:
            count = _apply(connection, steps, on_step)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return count


def _make_file(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Closing a second descriptor of a SQLite file drops the locks that this process holds on it: hence only a new file.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _switch_to_wal(connection: sqlite3.Connection, deadline: float) -> None:
    """Write-ahead logging, or readers and writers of several processes lock each other out. It stays with the file."""
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError:
            # The switch asks for the file alone, and SQLite does not wait for that by itself.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            if mode != "wal":
                raise MigrationError(
                    f"the file system of the SQLite database supports no write-ahead log (only {mode!r})"
                )


def _begin(connection: sqlite3.Connection, wait: float) -> None:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        raise UnavailableError(f"another process has kept the database locked for {wait:g} seconds") from error


def _read_ledger(connection: sqlite3.Connection) -> list[Applied]:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema_migrations'").fetchone():
        return []
    return [Applied(*row) for row in connection.execute(READ_LEDGER)]


def _apply(connection: sqlite3.Connection, steps: Sequence[Step], on_step: OnStep) -> int:
    connection.execute(LEDGER)
    todo = pending(steps, _read_ledger(connection))
    for step in todo:
        on_step(step, "begins")
        try:
            connection.execute(step.sql)
        except sqlite3.Error as error:
            raise MigrationError(f"migration {step} failed, and nothing was changed: {error}") from error
        connection.execute(_MARK, (step.version, step.number, step.name, step.checksum, datetime.now(UTC).isoformat()))
        on_step(step, "ran")
    if broken := connection.execute("PRAGMA foreign_key_check").fetchall():
        raise MigrationError(f"the migrations would leave rows that point nowhere: {broken[:5]}")
    return len(todo)
