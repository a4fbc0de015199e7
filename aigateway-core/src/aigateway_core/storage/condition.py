"""In what condition a database is, without changing anything in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Literal, TypeAlias

import attrs

from aigateway_core.storage.failures import refusal_to_open
from aigateway_core.storage.locations import DatabaseLocation, SQLiteFile
from aigateway_core.storage.migrations import steps_of
from aigateway_core.storage.migrations.steps import READ_LEDGER, Applied, pending
from aigateway_core.storage.mysql_provider import arguments, connect
from aigateway_core.storage.storage import CANARY
from aigateway_core.vault import KeyRing, VaultError

MasterKey: TypeAlias = Literal["fits", "does not fit", "not used yet", "not checked"]

_Ask: TypeAlias = Callable[[str], Sequence[Any]]


@attrs.frozen(kw_only=True)
class Condition:
    """``version`` is the server's, or SQLite's; ``pending`` names the migration steps that are still to be run.

    ``problem`` says in a sentence why the database cannot be used; ``reachable`` is false when it did not answer.
    """

    engine: Literal["sqlite", "mysql"]
    location: str
    reachable: bool = False
    version: str | None = None
    pending: tuple[str, ...] = ()
    master_key: MasterKey = "not checked"
    problem: str | None = None

    @property
    def is_good(self) -> bool:
        """Whether a gateway could start on it as it is, and would change nothing."""
        return self.reachable and not self.pending and self.master_key == "fits" and self.problem is None


def inspect(location: DatabaseLocation, keyring: KeyRing | None) -> Condition:
    """Look at the database. Without a ``keyring`` whether it fits is not checked. Raises nothing that it can tell."""
    found = Condition(engine="sqlite" if isinstance(location, SQLiteFile) else "mysql", location=str(location))
    try:
        with _asking(location) as ask:
            version = str(ask(f"SELECT {'sqlite_version' if found.engine == 'sqlite' else 'VERSION'}()")[0][0])
            found = attrs.evolve(found, reachable=True, version=version)
            tables = {str(row[0]) for row in ask(_TABLES[found.engine])}
            applied = [Applied(*row) for row in ask(READ_LEDGER)] if "schema_migrations" in tables else []
            sealed = ask(_SEALED_WORD) if "storage_facts" in tables else ()
            found = attrs.evolve(found, master_key=_fits(keyring, sealed))
            return attrs.evolve(found, pending=tuple(map(str, pending(steps_of(location), applied))))
    except Exception as error:
        refusal = refusal_to_open(error, location)
        if refusal is None:
            raise
        return attrs.evolve(found, problem=refusal.message)


_SEALED_WORD = "SELECT value FROM storage_facts WHERE name = 'canary'"
_TABLES = {"sqlite": "SELECT name FROM sqlite_master", "mysql": "SHOW TABLES"}


def _fits(keyring: KeyRing | None, sealed: Sequence[Any]) -> MasterKey:
    if keyring is None:
        return "not checked"
    if not sealed:
        return "not used yet"
    try:
        keyring.open(str(sealed[0][0]), CANARY)
    except VaultError:
        return "does not fit"
    return "fits"


@contextmanager
def _asking(location: DatabaseLocation) -> Iterator[_Ask]:
    if isinstance(location, SQLiteFile):
        # A file that is not there is a database that has everything before it; it is not made by looking.
        name = location.path.as_uri() + "?mode=ro" if location.path.exists() else ":memory:"
        with closing(sqlite3.connect(name, uri=True)) as file:
            yield lambda sql: file.execute(sql).fetchall()
        return
    with closing(connect(**arguments(location))) as connection, connection.cursor() as cursor:

        def ask(sql: str) -> Sequence[Any]:
            cursor.execute(sql)
            rows: Sequence[Any] = cursor.fetchall()
            return rows

        yield ask
