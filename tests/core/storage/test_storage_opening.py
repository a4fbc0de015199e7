"""Opening: the right master key, the right database, one word for each thing that is wrong; and what stays on disk."""

from __future__ import annotations

import base64
import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from services.private_servers import MariaDB

from aigateway_core.errors import ConfigurationError, UnavailableError
from aigateway_core.secret import Secret
from aigateway_core.storage import (
    SYSTEM,
    AccountPatch,
    DatabaseLocation,
    MySQLServer,
    NewAccount,
    SQLiteFile,
    Storage,
)
from aigateway_core.vault import KeyRing, load_key_ring

pytestmark = pytest.mark.anyio

TABLES = ("accounts", "api_keys", "audit_log", "providers", "request_logs", "schema_migrations", "storage_facts")
OLD, NEW = bytes(range(32)), bytes(range(32, 64))


def dump(sql: Callable[..., Any]) -> dict[str, Any]:
    return {table: sql(f"SELECT * FROM {table}") for table in TABLES}


# The master key


async def test_s_19_a_wrong_master_key_is_refused_and_nothing_is_touched(
    location: DatabaseLocation, sql: Callable[..., Any]
) -> None:
    async with await Storage.open(location, KeyRing([OLD])) as storage:
        await storage.providers.upsert_installed("acme")
        await storage.accounts.create(NewAccount(provider_id="acme", auth_data={"k": "v"}), SYSTEM)
    before = dump(sql)
    with pytest.raises(ConfigurationError, match="the master key does not fit this database"):
        await Storage.open(location, KeyRing([NEW]))
    assert dump(sql) == before
    async with await Storage.open(location, KeyRing([OLD])) as storage:
        assert (await storage.accounts.list()).rows[0].auth_data == {"k": "v"}


async def test_a_new_first_key_opens_what_the_old_one_sealed(
    location: DatabaseLocation, sql: Callable[..., Any]
) -> None:
    async with await Storage.open(location, KeyRing([OLD])) as storage:
        await storage.providers.upsert_installed("acme")
        made = await storage.accounts.create(NewAccount(provider_id="acme", auth_data={"k": "old"}), SYSTEM)
    ring = KeyRing([NEW, OLD])
    async with await Storage.open(location, ring) as storage:
        assert await storage.accounts.get(made.id) == made
        await storage.accounts.update(made.id, AccountPatch(auth_data={"k": "new"}), SYSTEM)
        ((sealed,),) = sql("SELECT auth_data FROM accounts")
        assert sealed.startswith(f"v1:{ring.kids[0]}:")


async def test_each_of_two_storages_sees_what_the_other_writes(location: DatabaseLocation, keyring: KeyRing) -> None:
    async with await Storage.open(location, keyring) as one, await Storage.open(location, keyring) as other:
        await one.providers.upsert_installed("acme")
        made = await one.accounts.create(NewAccount(provider_id="acme", auth_data={}), SYSTEM)
        assert await other.version() == await one.version() == 2
        assert (await other.load_snapshot()).accounts == (made,)
        await other.accounts.delete(made.id, SYSTEM)
        assert (await one.load_snapshot()).accounts == ()


async def test_an_empty_database_has_version_0_and_an_empty_snapshot(
    location: DatabaseLocation, keyring: KeyRing
) -> None:
    async with await Storage.open(location, keyring) as storage:
        snapshot = await storage.load_snapshot()
        assert (snapshot.version, snapshot.providers, snapshot.accounts, snapshot.keys) == (0, (), (), ())


async def test_four_servers_that_start_together_share_one_database_and_one_admin_key(
    location: DatabaseLocation, other_process: Any, sql: Callable[..., Any]
) -> None:
    ends = other_process.run_together(4, "open")
    assert [code for code, _ in ends] == [0] * 4
    said = [json.loads(output) for _, output in ends]
    assert [each["made_the_key"] for each in said].count(True) == 1
    assert sql("SELECT COUNT(*) FROM api_keys") == sql("SELECT COUNT(*) FROM providers") == [(1,)]
    assert sql("SELECT name FROM storage_facts ORDER BY name") == [("canary",), ("writer",)]


async def test_a_killed_server_has_kept_all_it_had_said_and_nothing_half(
    location: DatabaseLocation, keyring: KeyRing, other_process: Any
) -> None:
    async with await Storage.open(location, keyring) as storage:
        await storage.providers.upsert_installed("acme")
        process = other_process.start("write")
        with process:
            process.stdin.write("\n")
            process.stdin.flush()
            said = {process.stdout.readline().strip() for _ in range(25)}
            process.send_signal(signal.SIGKILL)
            said |= set(process.stdout.read().split())
        accounts = (await storage.accounts.list(limit=10_000)).rows
        stored = {account.id for account in accounts}
        audited = {
            entry.entity_id for entry in (await storage.audit.list(limit=10_000)).rows if entry.entity == "account"
        }
        assert said <= stored == audited
        assert len(stored) - len(said) <= 1
        assert {account.problem for account in accounts} == {None}


# What can be wrong with a database


async def test_a_file_that_is_no_database_is_named(tmp_path: Path, keyring: KeyRing) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("this is no database, but it is long enough to be mistaken for one" * 50)
    with pytest.raises(ConfigurationError, match=r"the database .*notes\.txt cannot be used: file is not a database"):
        await Storage.open(SQLiteFile(path), keyring)
    assert path.read_text().startswith("this is no database")


async def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path, keyring: KeyRing) -> None:
    with pytest.raises(ConfigurationError, match="cannot be used: unable to open database file"):
        await Storage.open(SQLiteFile(tmp_path), keyring)


async def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path, keyring: KeyRing) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"gateway\.db cannot be used: (Not a directory|File exists)"):
        await Storage.open(SQLiteFile(tmp_path / "file" / "gateway.db"), keyring)


@pytest.mark.services
async def test_wrong_credentials_and_names_are_named_without_the_password(
    mariadb_location: MySQLServer, mariadb: MariaDB, keyring: KeyRing
) -> None:
    wrong: dict[str, dict[str, Any]] = {
        "the user gateway with this password": {"password": Secret("wr0ng-passw0rd")},
        "refuses the user nobody": {"user": "nobody"},
        r"CREATE DATABASE test_missing CHARACTER SET utf8mb4": {"database": "test_missing"},
        "the user gateway may not use it": {"database": "mysql"},
    }
    for words, change in wrong.items():
        with pytest.raises(ConfigurationError, match=words) as caught:
            await Storage.open(attrs.evolve(mariadb_location, **change), keyring)
        assert "wr0ng" not in caught.value.message
        assert mariadb.password not in repr((caught.value, mariadb_location))


async def test_a_server_that_is_not_there_is_an_outage_and_no_mistake(keyring: KeyRing) -> None:
    nowhere = MySQLServer(host="127.0.0.1", port=1, password=Secret("pw-canary"))
    with pytest.raises(UnavailableError, match=r"aigateway on 127\.0\.0\.1:1 does not answer"):
        await Storage.open(nowhere, keyring)


# What stays on disk

CANARIES = {
    "api key": "sk-canary-aaaaaaaaaaaa",
    "token": "ya29.canary-bbbbbbbbbbbb",
    "proxy password": "canary-cccccccccccc",
}


async def fill(storage: Storage) -> list[str]:
    """Store secrets of every kind, change and delete them, and say what must not be found."""
    await storage.providers.upsert_installed("acme")
    proxy = f"socks5://user:{CANARIES['proxy password']}@proxy.test:1080"
    new = NewAccount(provider_id="acme", auth_data={"api_key": CANARIES["api key"]}, proxy_url=proxy)
    made, deleted = [await storage.accounts.create(new, SYSTEM) for _ in range(2)]
    await storage.accounts.update(made.id, AccountPatch(auth_data={"token": CANARIES["token"]}), SYSTEM)
    await storage.accounts.delete(deleted.id, SYSTEM)
    _, key = await storage.keys.create("admin", "a", SYSTEM)
    return [*CANARIES.values(), key.reveal(), key.reveal().split("_", 2)[2]]


def hits(folder: Path, secrets: list[str], *, besides: str = "") -> list[str]:
    contents = [path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != besides]
    assert sum(map(len, contents)) > 10_000
    forms = [form for secret in secrets for form in (secret.encode(), base64.b64encode(secret.encode())[:-4])]
    return [form.decode() for form in forms if any(form in content for content in contents)]


async def test_no_secret_is_in_the_sqlite_files(tmp_path: Path) -> None:
    path = tmp_path / "data" / "gateway.db"
    ring = load_key_ring(None, path)
    master = path.with_name("gateway.db.key").read_text().strip()
    storage = await Storage.open(SQLiteFile(path), ring)
    secrets = [*await fill(storage), master]
    assert hits(path.parent, ["acme"]) == ["acme"], "the search itself does not work"
    assert hits(path.parent, secrets, besides="gateway.db.key") == []
    await storage.aclose()
    assert hits(path.parent, secrets, besides="gateway.db.key") == []


@pytest.mark.services
async def test_no_secret_is_in_the_files_of_the_server(
    own_mariadb: MariaDB, keyring: KeyRing, mysql_location: Callable[..., MySQLServer]
) -> None:
    with own_mariadb.database() as name:
        async with await Storage.open(mysql_location(own_mariadb, name), keyring) as storage:
            secrets = await fill(storage)
        own_mariadb.stop()
        assert "acme" in hits(own_mariadb.root, ["acme"]), "the search itself does not work"
        assert hits(own_mariadb.root, secrets) == []
        own_mariadb.start()


async def test_the_hash_is_all_that_is_stored_of_a_key(
    location: DatabaseLocation, keyring: KeyRing, sql: Callable[..., Any]
) -> None:
    async with await Storage.open(location, keyring) as storage:
        _, key = await storage.keys.create("client", "c", SYSTEM)
        ((stored,),) = sql("SELECT hash FROM api_keys")
        assert re.fullmatch(r"v1:[0-9a-f]{8}:[0-9a-f]{64}", stored)
        assert keyring.verify(key.reveal(), stored)
