"""Pony behind a thread boundary.

Pony is synchronous, and its session belongs to a thread: two coroutines that share one share a transaction, with no
error said. So a unit of work is a plain function that runs in one session on one of a few threads of its own, begins
and ends there, and returns plain values.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any, TypeAlias, TypeVar

import attrs
from pony.orm import Database as PonyDatabase
from pony.orm import db_session

from aigateway_core.errors import ConflictError, GatewayError, NotFoundError, UnavailableError
from aigateway_core.storage.columns import clipped, now, to_json, to_naive
from aigateway_core.storage.entities import Entities, define_entities
from aigateway_core.storage.failures import Trouble, diagnose, is_duplicate
from aigateway_core.storage.locations import DatabaseLocation, SQLiteFile
from aigateway_core.storage.mysql_provider import HardenedMySQLProvider, arguments
from aigateway_core.storage.rows import Actor
from aigateway_core.storage.sqlite_provider import QuickSQLiteProvider

log = logging.getLogger(__name__)

T = TypeVar("T")

_TRIES = 6
_ROWS_AT_ONCE = 100
"""Rows of one statement on SQLite: cheaper than one for each, and gives the interpreter's lock away less often."""
_SQLITE_LOCK_TIMEOUT = 5.0


@attrs.frozen(kw_only=True)
class Change:
    """What a change did, for the audit log; ``detail`` holds fingerprints where a secret was."""

    action: str
    entity: str
    entity_id: str
    detail: dict[str, Any] = attrs.field(factory=dict)


class Session:
    """What a unit of work works with: the entities, and raw SQL where Pony would be in the way."""

    __slots__ = ("_db", "entities", "is_sqlite")

    def __init__(self, db: Any, entities: Entities, *, is_sqlite: bool) -> None:
        self._db = db
        self.entities = entities
        self.is_sqlite = is_sqlite

    def select(self, sql: str, **values: object) -> Sequence[Any]:
        """Rows (bare values for a single column). A ``$name`` in the statement stands for the value of that name."""
        # Without a dictionary of its own Pony would look for names in the caller's frame, and miss closures.
        rows: Sequence[Any] = self._db.select(sql, values, {})
        return rows

    def execute_many(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        """Run the statement once for each row; its ``?`` stand for the row's values."""
        if rows:
            self._db.get_connection().cursor().executemany(self._spelled(sql), rows)

    def execute(self, sql: str, *values: object) -> int:
        """Run a statement, and tell how many rows it found; its ``?`` stand for the values."""
        cursor = self._db.get_connection().cursor()
        cursor.execute(self._spelled(sql), values)
        count: int = cursor.rowcount
        return count

    def insert_new(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Sequence[int]:
        """Insert those rows that are not there yet, and tell which, by their place.

        They are inserted plainly: only an insert that fails tells for certain that another transaction, which may be
        under way, has been first.
        """
        self.execute("SAVEPOINT batch")
        try:
            self._insert_all(table, tuple(columns), rows)
        except Exception as error:
            if not is_duplicate(error):
                raise
        else:
            return range(len(rows))
        self.execute("ROLLBACK TO SAVEPOINT batch")
        sql = _insertion(table, tuple(columns))
        return [place for place, row in enumerate(rows) if self._inserted(sql, row)]

    def _insert_all(self, table: str, columns: tuple[str, ...], rows: Sequence[Sequence[object]]) -> None:
        together = 0
        if self.is_sqlite:
            connection = self._db.get_connection()
            most = min(_ROWS_AT_ONCE, connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) // len(columns))
            together = len(rows) - len(rows) % most
            for start in range(0, together, most):
                connection.execute(_insertion(table, columns, most), [*chain.from_iterable(rows[start : start + most])])
        # PyMySQL makes one statement of them by itself.
        self.execute_many(_insertion(table, columns), rows[together:])

    def _inserted(self, sql: str, row: Sequence[object]) -> bool:
        try:
            self.execute(sql, *row)
        except Exception as error:
            if not is_duplicate(error):
                raise
            return False
        return True

    def _spelled(self, sql: str) -> str:
        return sql if self.is_sqlite else sql.replace("?", "%s")

    def find(self, entity: Any, noun: str, key: str) -> Any:
        """The row with this key. Raises :class:`NotFoundError`."""
        try:
            row = entity.get(id=key)
        except ValueError:  # too long for the column, or no text at all: there is no such row either
            row = None
        if row is None:
            raise NotFoundError(f"there is no {noun} {key[:64]!r}")
        return row

    def wait_for_turn(self) -> None:
        """Hold up every other audited change until this transaction ends."""
        self.entities.fact.get_for_update(name="writer")

    def record(self, changes: Sequence[Change], actor: Actor) -> None:
        """Add to the audit log, in this transaction.

        Raises :class:`UnavailableError` when the log takes nothing: that contradicts nothing that the caller said.
        """
        self._db.flush()
        try:
            for change in changes:
                self._record(change, actor)
            self._db.flush()
        except Exception as error:
            if diagnose(error) not in {Trouble.CONFLICT, Trouble.BUG}:
                raise
            log.exception("the audit log takes no row, so nothing is changed")
            raise UnavailableError("nothing was changed, since the audit log cannot be written") from error

    def _record(self, change: Change, actor: Actor) -> None:
        self.entities.audit(
            created_at=to_naive(now()),
            actor=clipped(actor.id, 64),
            action=change.action,
            entity=change.entity,
            entity_id=change.entity_id,
            detail=to_json(change.detail),
            request_id=clipped(actor.request_id, 128),
        )


@functools.lru_cache
def _insertion(table: str, columns: tuple[str, ...], rows: int = 1) -> str:
    row = f"({', '.join('?' * len(columns))})"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * rows)}"  # noqa: S608 - constants


Unit: TypeAlias = Callable[[Session], T]


class Database:
    """Runs units of work. Everything it raises is a :class:`GatewayError`, or a bug.

    There are ``threads`` of them, with a connection each, and one more for what is written all the time.
    ``patience`` bounds in seconds how long a caller waits. A caller who gives up (or is cancelled) does not stop the
    thread: what it was doing may still happen.
    """

    def __init__(self, location: DatabaseLocation, *, threads: int = 4, patience: float = 15.0) -> None:
        self._db: Any = PonyDatabase()
        self._entities = define_entities(self._db)
        self._location = location
        self._is_sqlite = isinstance(location, SQLiteFile)
        self._threads = threads
        self._patience = patience
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="storage")
        self._steady = ThreadPoolExecutor(1, thread_name_prefix="storage-log")
        self._closed = False

    def bind(self) -> None:
        """Connect Pony to the tables, on the calling thread. Raises the driver's errors."""
        if isinstance(self._location, SQLiteFile):
            self._db.on_connect()(_prepare_sqlite)
            self._db.bind(provider=QuickSQLiteProvider, filename=str(self._location.path), timeout=_SQLITE_LOCK_TIMEOUT)
        else:
            self._db.bind(provider=HardenedMySQLProvider, **arguments(self._location))
        try:
            self._db.generate_mapping(check_tables=True)
        finally:
            self._db.disconnect()

    async def read(self, unit: Unit[T]) -> T:
        """Run a unit that only reads, each of its statements on its own."""
        return await self._run(functools.partial(self._attempt, unit, transaction=False))

    async def transaction(self, unit: Unit[T]) -> T:
        """Run a unit as one transaction: all of it or nothing, and all of its reads at one moment."""
        return await self._run(functools.partial(self._attempt, unit, transaction=True))

    async def append(self, unit: Unit[T]) -> T:
        """As :meth:`transaction`, for what is written all the time: one after the other, and always by one connection.

        SQLite throws away the pages that a connection knows when another one has written.
        """
        return await self._run(functools.partial(self._attempt, unit, transaction=True), self._steady)

    async def change(self, actor: Actor, unit: Unit[tuple[T, Sequence[Change]]]) -> T:
        """Run a unit as one transaction and write down its changes in the same: no audit row, no change.

        Such transactions happen one after the other, so that audit ids come in the order of commits: a reader who has
        seen an id has seen every change below it.
        """

        def audited(session: Session) -> T:
            session.wait_for_turn()
            result, changes = unit(session)
            if changes:
                session.record(changes, actor)
            return result

        return await self.transaction(audited)

    async def aclose(self) -> None:
        """Let each thread close its own connection, as SQLite asks for, then end the threads."""
        if self._closed:
            return
        self._closed = True
        together = threading.Barrier(self._threads)
        closing = [self._pool.submit(self._disconnect, together) for _ in range(self._threads)]
        closing.append(self._steady.submit(self._db.disconnect))
        await asyncio.gather(*(asyncio.wrap_future(future) for future in closing))
        self._pool.shutdown(wait=False)
        self._steady.shutdown(wait=False)

    def _disconnect(self, together: threading.Barrier) -> None:
        # Each must meet the others, or one thread would take the turns of all.
        try:
            together.wait(2.0)
        except threading.BrokenBarrierError:
            pass
        finally:
            self._db.disconnect()

    async def _run(self, work: Callable[[], T], threads: ThreadPoolExecutor | None = None) -> T:
        if self._closed:
            raise UnavailableError("the storage is closed")
        future = (threads or self._pool).submit(contextvars.copy_context().run, work)
        try:
            async with asyncio.timeout(self._patience):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            raise UnavailableError("the database does not answer") from None

    def _attempt(self, unit: Unit[T], *, transaction: bool) -> T:
        """Run the unit, and run it again as a whole where that is certain to do it once."""
        began = time.monotonic()
        tries = losses = 0
        while True:
            tries += 1
            session = _Once(self._db, self._entities, is_sqlite=self._is_sqlite)
            try:
                return session.run(unit, transaction=transaction)
            except GatewayError:
                raise
            except Exception as error:  # noqa: BLE001 - each is either repeated or raised
                trouble = diagnose(error)
                losses += trouble is Trouble.LOST
                again = trouble is Trouble.BUSY or (trouble is Trouble.LOST and losses == 1 and not session.committing)
                if not again or tries == _TRIES or time.monotonic() - began > self._patience:
                    _give_up(trouble, error)
            time.sleep(random.uniform(0, 0.02 * 2**tries))  # noqa: S311 - spreads the tries, hides nothing


class _Once(Session):
    """A session for one try, which knows whether its commit has begun: after that a broken connection tells nothing."""

    __slots__ = ("committing",)

    def run(self, unit: Unit[T], *, transaction: bool) -> T:
        self.committing = False
        with db_session(immediate=transaction, optimistic=not transaction):
            result = unit(self)
            self._db.flush()
            self.committing = transaction
        return result


def _give_up(trouble: Trouble, error: Exception) -> None:
    if trouble is Trouble.CONFLICT:
        raise ConflictError("the change contradicts what is stored") from error
    if trouble is Trouble.BUG:
        raise error
    raise UnavailableError("the database does not answer") from error


def _prepare_sqlite(_db: Any, connection: Any) -> None:
    # Full: a refresh token that was just rotated must outlive a power cut. Commits are few, since the log is batched.
    connection.execute("PRAGMA synchronous = FULL")
    # What a savepoint might have to take back needs no file of its own.
    connection.execute("PRAGMA temp_store = MEMORY")
