"""How the tables come to be: numbered SQL files, applied once, in order, by one process at a time.

``0001_name.sqlite.sql`` and ``0001_name.mysql.sql`` are the same migration for the two kinds of engine. A line that
begins with ``-- step`` begins a step of one statement. Rules for whoever writes one:

* what was released is never edited, only followed (a checksum tells);
* additions first, removals a release later: the servers that still run know the old shape only;
* a step that moves data can be run twice (MySQL commits each definition by itself, so a killed migration resumes at the
  step that was under way);
* every MySQL table states InnoDB, utf8mb4 and utf8mb4_bin: the servers' defaults lose characters and ignore case.
"""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable

from aigateway_core.storage.locations import DatabaseLocation, SQLiteFile
from aigateway_core.storage.migrations.mysql import migrate_mysql
from aigateway_core.storage.migrations.sqlite import migrate_sqlite
from aigateway_core.storage.migrations.steps import Dialect, MigrationError, OnStep, Step, load_steps, log_step

__all__ = ["MigrationError", "OnStep", "Step", "migrate", "steps_of"]


def migrate(
    location: DatabaseLocation,
    *,
    folder: Traversable | None = None,
    on_step: OnStep = log_step,
    wait: float = 60.0,
) -> int:
    """Bring the database up to date and return the number of steps that it took.

    ``on_step`` hears of each step before and after it. Another process that is migrating is waited for, ``wait``
    seconds. Raises :class:`MigrationError` when a step fails or the database does not belong to this program's
    migrations, :class:`~aigateway_core.errors.UnavailableError` when the wait is over, and the driver's errors.
    """
    steps = steps_of(location, folder)
    if isinstance(location, SQLiteFile):
        return migrate_sqlite(location, steps, on_step, wait)
    return migrate_mysql(location, steps, on_step, wait)


def steps_of(location: DatabaseLocation, folder: Traversable | None = None) -> tuple[Step, ...]:
    """All the steps that a database there has to have behind it, in order."""
    dialect: Dialect = "sqlite" if isinstance(location, SQLiteFile) else "mysql"
    return load_steps(folder or files(__name__), dialect)
