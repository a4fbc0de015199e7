"""Call records on disk while the database is away: a small SQLite file, in which order, cuts and sharing are settled.

Several processes may use the same file. What is taken out is deleted only once it has been kept elsewhere, so that a
record may come out twice; its id tells. Any of them may set the file aside, and somebody may remove it: each looks
before every use whether what it has open is still the file of that name.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from aigateway_core.records import CallRecord, attempt_of

log = logging.getLogger(__name__)

_FIELDS = frozenset(field.name for field in attrs.fields(CallRecord))
_TABLE = "CREATE TABLE IF NOT EXISTS spool (seq INTEGER PRIMARY KEY AUTOINCREMENT, record TEXT NOT NULL)"
_PRIMARY = 0xFF
_NO_ROOM = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
_TOO_FULL = 200
"""How many of the oldest records go at a time when there is no room."""


@attrs.frozen
class Waiting:
    """A record that waits, and its place in this file; ``record`` is None when nobody can read it any more."""

    file: tuple[int, int] | None
    place: int
    record: CallRecord | None


class Spool:
    """A bounded queue in a file. Its methods block, and may raise :class:`OSError` when the disk does not take it."""

    def __init__(self, path: Path, most_bytes: int) -> None:
        self.path = path
        self._most_bytes = most_bytes
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        """Which one it was that was opened last."""
        self._kept = 0
        """Up to this place everything is kept elsewhere, though the disk did not let it be deleted."""
        self._lock = threading.Lock()

    def put(self, records: Sequence[CallRecord]) -> int:
        """Append these, all or none. Returns how many of the oldest were dropped to make room."""
        rows = [(json.dumps(attrs.asdict(record), default=datetime.isoformat),) for record in records]
        dropped = 0
        with self._open() as connection:
            with connection:
                if self._kept:
                    self._forget(connection)
                connection.executemany("INSERT INTO spool (record) VALUES (?)", rows)
                while self._bytes(connection) > self._most_bytes and (gone := _drop(connection)):
                    dropped += gone
            self._kept = 0
            if self._file != _identity(self.path):
                raise OSError(f"the file {self.path} was replaced at that moment")
        return dropped

    def peek(self, most: int) -> Sequence[Waiting]:
        """The oldest records that wait; they go on waiting."""
        if not self.path.exists():
            return ()
        with self._open() as connection:
            oldest = "SELECT seq, CAST(record AS BLOB) FROM spool WHERE seq > ? ORDER BY seq LIMIT ?"
            rows = connection.execute(oldest, (self._kept, most)).fetchall()
            return [Waiting(self._file, place, _read(text)) for place, text in rows]

    def remove(self, waiting: Sequence[Waiting]) -> None:
        """Forget these, the oldest, and those that could not be deleted before: they are kept elsewhere.

        When it raises :class:`OSError` they take their room until the next time, but come out here no more.
        """
        self._kept = max((self._kept, *(each.place for each in waiting if each.file == self._file)))
        if not self._kept:
            return
        with self._open() as connection:
            with connection:
                self._forget(connection)
            self._kept = 0

    def bytes(self) -> int:
        """How much room the waiting records take."""
        if not self.path.exists():
            return 0
        with self._open() as connection:
            return self._bytes(connection) if connection.execute("SELECT 1 FROM spool LIMIT 1").fetchone() else 0

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        with self._lock:
            self._disconnect()

    def _forget(self, connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM spool WHERE seq <= ?", (self._kept,))

    def _bytes(self, connection: sqlite3.Connection) -> int:
        pages, free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """The file, made if it is not there. One that is damaged is set aside, and an empty one takes its place."""
        with self._lock:
            try:
                yield self._connect()
            except sqlite3.OperationalError as error:
                # Read-only, or locked by somebody for long: it may be better the next time. On a full disk what is open
                # can be read at least, and could not be opened again.
                if getattr(error, "sqlite_errorcode", 0) & _PRIMARY not in _NO_ROOM:
                    self._disconnect()
                raise OSError(f"the file {self.path} cannot be used: {error}") from error
            except sqlite3.DatabaseError as error:
                self._set_aside()
                raise OSError(f"the file {self.path} was damaged: {error}") from error

    def _connect(self) -> sqlite3.Connection:
        if self._connection is not None and self._file != _identity(self.path):
            log.warning("the file %s is another one now; what waits in the one before is not written", self.path)
            self._disconnect()
        if self._connection is None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _alone(self.path.parent):
                self._connection = self._opened()
        return self._connection

    def _opened(self) -> sqlite3.Connection:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        before, self._file = self._file, _identity(self.path)
        connection = sqlite3.connect(self.path, timeout=5.0, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(_TABLE)
            last = connection.execute("SELECT MAX(seq) FROM sqlite_sequence").fetchone()[0] or 0
        except sqlite3.Error:
            connection.close()
            raise
        if before != self._file or last < self._kept:
            self._kept = 0
        return connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _set_aside(self) -> None:
        """Keep the damaged file under another name, unless somebody else has done so already."""
        self._disconnect()
        aside = self.path.with_name(f"{self.path.name}.damaged-{time.time_ns():x}")
        with _alone(self.path.parent):
            if self._file != _identity(self.path):
                return
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    Path(f"{self.path}{suffix}").replace(f"{aside}{suffix}")
        log.error("the file %s is damaged; it is kept as %s, and what waited in it is not written", self.path, aside)


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells the file of this name from all others that there are; None if there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Meanwhile no other process makes a file in this folder or sets one aside."""
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):  # a file system that has no such locks gets by without
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _drop(connection: sqlite3.Connection) -> int:
    oldest = "DELETE FROM spool WHERE seq IN (SELECT seq FROM spool ORDER BY seq LIMIT ?)"
    return connection.execute(oldest, (_TOO_FULL,)).rowcount


def _read(text: bytes) -> CallRecord | None:
    """The record, if it is one; fields that this version does not know are left out."""
    try:
        said: dict[str, Any] = {name: value for name, value in json.loads(text).items() if name in _FIELDS}
        said["created_at"] = datetime.fromisoformat(said["created_at"])
        said["attempts"] = tuple(map(attempt_of, said["attempts"]))
        return CallRecord(**said)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
