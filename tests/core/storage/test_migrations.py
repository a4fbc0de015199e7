"""Migrations in either kind of database: once, in order, by one process at a time, whatever happens to it."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from aigateway_core.errors import UnavailableError
from aigateway_core.storage import DatabaseLocation, MigrationError, MySQLServer, SQLiteFile, migrate
from aigateway_core.storage.migrations.steps import Step, load_steps

SHIPPED = files("aigateway_core.storage.migrations")
NEWEST = max(step.version for step in load_steps(SHIPPED, "sqlite"))
MORE = f"{NEWEST + 1:04d}_more"
"""A migration that comes after the shipped ones."""
END = " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"


@pytest.fixture
def dialect(location: DatabaseLocation) -> str:
    return "sqlite" if isinstance(location, SQLiteFile) else "mysql"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The shipped migrations, copied, and another one that adds two tables and a column."""
    made = tmp_path / "migrations"
    made.mkdir()
    for file in SHIPPED.iterdir():
        if file.name.endswith(".sql"):
            (made / file.name).write_text(file.read_text("utf-8"), "utf-8")
    steps = (
        "-- step\nCREATE TABLE one (n INT){end}\n-- step\nCREATE TABLE two (n INT){end}\n-- step: a column\n{alter}\n"
    )
    alter = "ALTER TABLE accounts ADD COLUMN mood VARCHAR(20) NOT NULL DEFAULT '🙂'"
    (made / f"{MORE}.sqlite.sql").write_text(steps.format(end="", alter=alter), "utf-8")
    (made / f"{MORE}.mysql.sql").write_text(steps.format(end=END, alter=alter), "utf-8")
    return made


def count(dialect: str, folder: Any = SHIPPED) -> int:
    return len(load_steps(folder, dialect))  # type: ignore[arg-type]


def ledger(sql: Callable[..., Any]) -> list[tuple[Any, ...]]:
    return sql("SELECT version, step, state FROM schema_migrations ORDER BY version, step")  # type: ignore[no-any-return]


def test_an_empty_database_is_migrated_once(location: DatabaseLocation, dialect: str, sql: Callable[..., Any]) -> None:
    assert migrate(location) == count(dialect)
    assert migrate(location) == 0
    assert ledger(sql) == [(step.version, step.number, "done") for step in load_steps(SHIPPED, dialect)]  # type: ignore[arg-type]


def test_a_migration_is_told_of_once(location: DatabaseLocation, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        migrate(location)
        migrate(location)
    names = dict.fromkeys(f"{step.version:04d}_{step.name}" for step in load_steps(SHIPPED, "sqlite"))
    assert caplog.messages == [f"the database is migrated to {name}" for name in names]


def test_a_database_with_data_is_brought_up_to_date(
    location: DatabaseLocation, folder: Path, sql: Callable[..., Any]
) -> None:
    migrate(location)
    sql("INSERT INTO providers VALUES ('p', 'P ⚡', NULL, NULL, NULL, '[]', 1, '{}', '2026-01-01', '2026-01-01')")
    columns = "id, provider_id, label, auth_data, metadata, is_active, created_at, updated_at"
    sql(f"INSERT INTO accounts ({columns}) VALUES ('a', 'p', 'ä', 'x', '{{}}', 1, '2026-01-01', '2026-01-01')")
    assert migrate(location, folder=folder) == 3
    assert sql("SELECT id, label, mood FROM accounts") == [("a", "ä", "🙂")]
    assert sql("SELECT COUNT(*) FROM one") == [(0,)]


def test_d_20_four_processes_that_start_together_migrate_once(
    location: DatabaseLocation, dialect: str, other_process: Any, sql: Callable[..., Any]
) -> None:
    ends = other_process.run_together(4, "migrate")
    assert sorted(ends) == sorted([(0, "0")] * 3 + [(0, str(count(dialect)))])
    assert len(ledger(sql)) == count(dialect)


def test_a_process_waits_for_the_one_that_is_migrating(location: DatabaseLocation) -> None:
    begun, go = threading.Event(), threading.Event()

    def hold(step: Step, stage: str) -> None:
        if step.number == 2 and stage == "begins":
            begun.set()
            go.wait(20)

    taken: list[int] = []
    first = threading.Thread(target=lambda: taken.append(migrate(location, on_step=hold)))
    first.start()
    assert begun.wait(20)
    with pytest.raises(UnavailableError, match="another process has"):
        migrate(location, wait=0.3)
    second = threading.Thread(target=lambda: taken.append(migrate(location)))
    second.start()
    go.set()
    first.join(30)
    second.join(30)
    # Which of the two tells first says nothing about who came first.
    assert min(taken) == 0
    assert max(taken) > 0
    assert len(taken) == 2


@pytest.mark.parametrize("stage", ["begins", "ran"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_d_21_a_killed_migration_goes_on_where_it_was(
    location: DatabaseLocation, folder: Path, other_process: Any, sql: Callable[..., Any], number: int, stage: str
) -> None:
    migrate(location)
    sql("INSERT INTO storage_facts VALUES ('kept', 'yes')")
    ((code, _),) = other_process.run_together(1, "migrate", folder=str(folder), die_at=[NEWEST + 1, number, stage])
    assert code == -signal.SIGKILL
    assert migrate(location, folder=folder) > 0
    assert {state for _, _, state in ledger(sql)} == {"done"}
    assert sql("SELECT value FROM storage_facts WHERE name = 'kept'") == [("yes",)]
    assert sql("SELECT COUNT(*) FROM one") == sql("SELECT COUNT(*) FROM two") == [(0,)]
    assert migrate(location, folder=folder) == 0


def test_d_21_a_first_start_that_is_killed_is_repeated(
    location: DatabaseLocation, dialect: str, other_process: Any
) -> None:
    ((code, _),) = other_process.run_together(1, "migrate", die_at=[1, 4, "ran"])
    assert code == -signal.SIGKILL
    assert migrate(location) == (count(dialect) if dialect == "sqlite" else count(dialect) - 3)
    assert migrate(location) == 0


def test_a_step_that_fails_is_named_and_resumed_once_it_is_mended(
    location: DatabaseLocation, dialect: str, folder: Path, sql: Callable[..., Any]
) -> None:
    migrate(location)
    file = folder / f"{MORE}.{dialect}.sql"
    good = file.read_text("utf-8")
    file.write_text(good.replace("CREATE TABLE two", "CREATE TABEL two"), "utf-8")
    with pytest.raises(MigrationError, match=f"{MORE}, step 2 failed"):
        migrate(location, folder=folder)
    file.write_text(good, "utf-8")
    assert migrate(location, folder=folder) == (3 if dialect == "sqlite" else 2)
    assert {state for _, _, state in ledger(sql)} == {"done"}


def test_a_step_that_finds_its_table_there_fails_unless_it_was_interrupted(
    location: DatabaseLocation, folder: Path, sql: Callable[..., Any]
) -> None:
    migrate(location)
    sql("CREATE TABLE one (something_else INT)")
    with pytest.raises(MigrationError, match=f"{MORE}, step 1 failed"):
        migrate(location, folder=folder)


def test_an_edited_step_is_refused(location: DatabaseLocation, dialect: str, folder: Path) -> None:
    migrate(location, folder=folder)
    file = folder / f"{MORE}.{dialect}.sql"
    file.write_text(file.read_text("utf-8").replace("one (n INT)", "one (n INT, m INT)"), "utf-8")
    with pytest.raises(MigrationError, match=f"{MORE}, step 1 was edited"):
        migrate(location, folder=folder)


def test_white_space_is_no_edit(location: DatabaseLocation, dialect: str, folder: Path) -> None:
    migrate(location, folder=folder)
    file = folder / f"{MORE}.{dialect}.sql"
    file.write_text(file.read_text("utf-8").replace("one (n INT)", "one\n    (n   INT)"), "utf-8")
    assert migrate(location, folder=folder) == 0


def test_d_22_a_database_of_a_newer_gateway_is_refused_and_left_alone(
    location: DatabaseLocation, folder: Path, sql: Callable[..., Any]
) -> None:
    migrate(location, folder=folder)
    before = ledger(sql)
    with pytest.raises(MigrationError, match=rf"newer gateway \(to {MORE[:4]}\)"):
        migrate(location)
    assert ledger(sql) == before


# Files


def test_the_shipped_migrations_are_the_same_for_both_engines() -> None:
    names = {file.name for file in SHIPPED.iterdir() if file.name.endswith(".sql")}
    stems = {name.removesuffix(".sqlite.sql") for name in names if name.endswith(".sqlite.sql")}
    assert names == {f"{stem}.{engine}.sql" for stem in stems for engine in ("sqlite", "mysql")}


def test_a_gap_or_a_repeat_in_the_numbers_is_refused(folder: Path, sqlite_location: SQLiteFile) -> None:
    later = f"{NEWEST + 2:04d}_more"
    (folder / f"{MORE}.sqlite.sql").rename(folder / f"{later}.sqlite.sql")
    with pytest.raises(MigrationError, match=rf"{later}\.sqlite\.sql: expected {MORE[:4]}_name\.sqlite\.sql"):
        migrate(sqlite_location, folder=folder)
    (folder / f"{NEWEST:04d}_zzz.sqlite.sql").write_text("-- step\nSELECT 1\n", "utf-8")
    with pytest.raises(MigrationError, match=f"expected {MORE[:4]}"):
        migrate(sqlite_location, folder=folder)
    assert not sqlite_location.path.exists()


def test_every_mysql_table_states_its_engine_and_character_set() -> None:
    for step in load_steps(SHIPPED, "mysql"):
        if step.sql.startswith("CREATE TABLE"):
            assert step.sql.endswith(f"){END}"), step


# What is particular to one engine


def test_the_sqlite_file_is_for_its_owner_only_and_writes_ahead(sqlite_location: SQLiteFile, tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        migrate(sqlite_location)
    finally:
        os.umask(mask)
    assert sqlite_location.path.stat().st_mode & 0o777 == 0o600
    assert sqlite_location.path.parent.stat().st_mode & 0o777 == 0o700
    # Bytes 18 and 19 of the header are 2 for write-ahead logging: https://www.sqlite.org/fileformat2.html
    assert sqlite_location.path.read_bytes()[18:20] == b"\2\2"


def test_a_sqlite_migration_that_would_leave_rows_pointing_nowhere_is_undone(
    sqlite_location: SQLiteFile, folder: Path
) -> None:
    migrate(sqlite_location)
    file = folder / f"{MORE}.sqlite.sql"
    columns = "id, provider_id, label, auth_data, metadata, is_active, created_at, updated_at"
    values = "('a', 'nobody', '', 'x', '{}', 1, '2026-01-01', '2026-01-01')"
    file.write_text(f"-- step\nINSERT INTO accounts ({columns}) VALUES {values}\n", "utf-8")
    with pytest.raises(MigrationError, match="point nowhere"):
        migrate(sqlite_location, folder=folder)
    file.write_text("-- step\nDELETE FROM accounts\n", "utf-8")
    assert migrate(sqlite_location, folder=folder) == 1


@pytest.mark.services
def test_tables_get_their_own_character_set_in_a_database_with_unfit_defaults(
    mariadb_location: MySQLServer, mariadb: Any
) -> None:
    migrate(mariadb_location)
    collations = mariadb.execute(
        "SELECT DISTINCT table_collation FROM information_schema.tables WHERE table_schema = %s",
        mariadb_location.database,
    )
    assert collations == [("utf8mb4_bin",)]
