"""Looking at a database, and making it: what is told of it, in whatever state it is."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from services.private_servers import MariaDB

from aigateway_core.secret import Secret
from aigateway_core.storage import DatabaseLocation, MySQLServer, SQLiteFile, Storage, create_database, inspect, migrate
from aigateway_core.vault import KeyRing

pytestmark = pytest.mark.anyio


async def test_a_database_in_use_is_good(location: DatabaseLocation, keyring: KeyRing) -> None:
    await (await Storage.open(location, keyring)).aclose()
    found = inspect(location, keyring)
    assert found.is_good
    assert (found.reachable, found.pending, found.master_key, found.problem) == (True, (), "fits", None)
    assert found.version


def test_an_empty_one_has_everything_before_it_and_stays_empty(location: DatabaseLocation, keyring: KeyRing) -> None:
    for _ in range(2):
        found = inspect(location, keyring)
        assert found.reachable
        assert "0001_first_light, step 1" in found.pending
        assert found.master_key == "not used yet"
        assert not found.is_good
    if isinstance(location, SQLiteFile):
        assert not location.path.exists()
    migrate(location)
    assert inspect(location, keyring).pending == ()


async def test_another_master_key_is_seen(location: DatabaseLocation, keyring: KeyRing) -> None:
    await (await Storage.open(location, keyring)).aclose()
    found = inspect(location, KeyRing([bytes(range(1, 33))]))
    assert found.master_key == "does not fit"
    assert not found.is_good
    assert inspect(location, None).master_key == "not checked"


async def test_one_of_a_newer_gateway_is_a_problem(
    location: DatabaseLocation, keyring: KeyRing, storage: Storage
) -> None:
    def newer(session: Any) -> None:
        session.execute_many(
            "INSERT INTO schema_migrations VALUES (?, ?, ?, ?, ?, ?)", [(999, 1, "later", "0" * 64, "done", "now")]
        )

    await storage._database.transaction(newer)
    found = inspect(location, keyring)
    assert "newer gateway (to 0999)" in (found.problem or "")
    assert not found.is_good


def test_a_server_that_is_not_there_is_told(keyring: KeyRing) -> None:
    found = inspect(MySQLServer(host="127.0.0.1", port=9), keyring)
    assert not found.reachable
    assert "does not answer" in (found.problem or "")


@pytest.mark.services
def test_a_database_is_made_once_and_holds_every_letter(mariadb: MariaDB, keyring: KeyRing) -> None:
    with mariadb.database() as name:
        mariadb.execute(f"DROP DATABASE {name}")
        server = MySQLServer(
            host=mariadb.host,
            port=mariadb.port,
            user=mariadb.user,
            password=Secret(mariadb.password),
            database=name,
        )
        assert "there is no such database" in (inspect(server, keyring).problem or "")
        assert create_database(server)
        assert not create_database(server)
        kind = "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata"
        assert mariadb.execute(f"{kind} WHERE schema_name = %s", name) == [("utf8mb4", "utf8mb4_bin")]
        migrate(server)
        with pytest.raises(Exception, match="Access denied"):
            create_database(attrs.evolve(server, database="not`ours"))
