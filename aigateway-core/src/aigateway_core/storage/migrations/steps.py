"""The steps of the migrations, and which of them a database still needs."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from importlib.resources.abc import Traversable
from typing import Literal, TypeAlias

import attrs
from typing_extensions import override

from aigateway_core.errors import ConfigurationError

log = logging.getLogger(__name__)

Dialect: TypeAlias = Literal["sqlite", "mysql"]

_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.(sqlite|mysql)\.sql")
_STEP = re.compile(r"^-- step\b.*$", re.MULTILINE)


class MigrationError(ConfigurationError):
    """The database and the program's migrations do not go together, or a step failed."""


@attrs.frozen
class Step:
    """One statement of a migration."""

    version: int
    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """Tells whether the statement was edited; spaces and line ends do not count."""
        return hashlib.sha256(" ".join(self.sql.split()).encode()).hexdigest()

    @override
    def __str__(self) -> str:
        return f"{self.version:04d}_{self.name}, step {self.number}"


@attrs.frozen
class Applied:
    """A step as the ledger knows it: ``done``, or ``started`` and never seen to end."""

    version: int
    number: int
    checksum: str
    state: str


OnStep: TypeAlias = Callable[[Step, Literal["begins", "ran"]], None]

LEDGER = (
    "CREATE TABLE IF NOT EXISTS schema_migrations (version INTEGER NOT NULL, step INTEGER NOT NULL,"
    " name VARCHAR(128) NOT NULL, checksum CHAR(64) NOT NULL, state VARCHAR(8) NOT NULL,"
    " applied_at VARCHAR(32) NOT NULL, PRIMARY KEY (version, step))"
)
READ_LEDGER = "SELECT version, step, checksum, state FROM schema_migrations"


def log_step(step: Step, stage: Literal["begins", "ran"]) -> None:
    """Write a line into the log for each migration, and one for each step to those who want to know more."""
    if stage == "begins" and step.number == 1:
        log.info("the database is migrated to %04d_%s", step.version, step.name)
    elif stage == "ran":
        log.debug("done: %s", step)


def load_steps(folder: Traversable, dialect: Dialect) -> tuple[Step, ...]:
    """All steps for this kind of engine, in order.

    Raises :class:`MigrationError` when the files are not numbered 1, 2, 3 and so on.
    """
    found = sorted((file.name, file) for file in folder.iterdir() if file.name.endswith(f".{dialect}.sql"))
    steps: list[Step] = []
    for position, (file_name, file) in enumerate(found, 1):
        match = _FILE.fullmatch(file_name)
        if match is None or int(match[1]) != position:
            raise MigrationError(f"migration file {file_name}: expected {position:04d}_name.{dialect}.sql here")
        statements = [part.strip() for part in _STEP.split(file.read_text("utf-8")) if part.strip()]
        steps += [Step(position, number, match[2], sql) for number, sql in enumerate(statements, 1)]
    return tuple(steps)


def pending(steps: Iterable[Step], applied: Iterable[Applied]) -> Mapping[Step, bool]:
    """The steps that are still to be run, in order, each with whether it was started before.

    Raises :class:`MigrationError` for a database of a newer program, and when a step that was done has been edited.
    """
    ledger = {(row.version, row.number): row for row in applied}
    todo: dict[Step, bool] = {}
    for step in steps:
        row = ledger.pop((step.version, step.number), None)
        if row is None or row.state != "done":
            todo[step] = row is not None
        elif row.checksum != step.checksum:
            raise MigrationError(f"migration {step} was edited after it had been applied to this database")
    if ledger:
        newest = max(version for version, _ in ledger)
        raise MigrationError(
            f"the database was migrated by a newer gateway (to {newest:04d}): use that version, or a backup"
        )
    return todo
