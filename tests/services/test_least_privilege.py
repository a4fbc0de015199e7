"""A gateway whose user of the database may do what the operations page grants, and nothing else."""

from __future__ import annotations

import contextlib
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import attrs
import pymysql
import pytest
from e2e.gateway_process import CLIENT_KEY, GatewayProcess
from services.load import PROVIDER, Load, QuickVendor
from services.private_servers import MariaDB

from aigateway_core.errors import ConfigurationError
from aigateway_core.secret import Secret
from aigateway_core.storage import SYSTEM, MySQLServer, Storage
from aigateway_core.vault import KeyRing

pytestmark = [pytest.mark.anyio, pytest.mark.services, pytest.mark.timeout(120)]

ROOT = Path(__file__).resolve().parents[2]
MASTER = "q4pSbq7n0cYF2L1g3Wm5u8xJt6dKz9vHhRfEaQwXyTU="
KEY = "key-of-the-load"


@pytest.fixture
def migrated(mariadb: MariaDB) -> Iterator[MySQLServer]:
    """An empty database, with the user who may do everything in it."""
    with mariadb.database() as name:
        yield MySQLServer(
            host=mariadb.host, port=mariadb.port, user=mariadb.user, password=Secret(mariadb.password), database=name
        )


@pytest.fixture
def make_user(mariadb: MariaDB, migrated: MySQLServer) -> Iterator[Any]:
    """Makes the user of the page, with its rights, where the tables are by now."""
    user, password = f"run_{secrets.token_hex(4)}", secrets.token_urlsafe(12)

    def make() -> MySQLServer:
        page = (ROOT / "aigateway-core" / "docs" / "operations.md").read_text("utf-8")
        (block,) = (each for each in re.findall(r"```sql\n(.*?)```", page, re.DOTALL) if "gateway_run" in each)
        for statement in block.split(";\n"):
            if statement.strip():
                mine = statement.replace("gateway_run@'%'", f"{user}@'{mariadb.host}'").replace("'…'", f"'{password}'")
                mariadb.execute(mine.replace("aigateway.", f"`{migrated.database}`.").replace("%", "%%"))
        return attrs.evolve(migrated, user=user, password=Secret(password))

    yield make
    mariadb.execute(f"DROP USER IF EXISTS {user}@'{mariadb.host}'")


async def test_s_22_with_those_rights_alone_a_gateway_does_all_that_it_does(
    migrated: MySQLServer, make_user: Any, tmp_path: Path
) -> None:
    async with await Storage.open(migrated, KeyRing.parse(MASTER)):
        pass
    user = make_user()
    vendor = QuickVendor(KEY)
    vendor.start()
    gateway = GatewayProcess(_config(user, vendor), tmp_path / "run", environment={"AIGATEWAY_MASTER_KEY": MASTER})
    await anyio.to_thread.run_sync(gateway.start)
    try:
        await anyio.to_thread.run_sync(_administer, gateway)
        outcome = await Load(gateway.url, {"authorization": f"Bearer {CLIENT_KEY}"}, clients=4).ask(20)
        assert outcome.told == []
        await anyio.to_thread.run_sync(_wait_for_rows, gateway, 20)
        await anyio.to_thread.run_sync(gateway.command, "secrets", "rotate")
    finally:
        assert await anyio.to_thread.run_sync(gateway.stop) == 0, gateway.output
        vendor.stop()
    assert "denied" not in gateway.output
    assert "Traceback" not in gateway.output


def _administer(gateway: GatewayProcess) -> None:
    account = gateway.add_account(PROVIDER, KEY)
    spare = gateway.add_account(PROVIDER, "another-key")
    gateway.admin("DELETE", f"/accounts/{spare}")
    gateway.admin("PUT", f"/accounts/{account}", {"label": "new"})
    proxy = gateway.admin("POST", "/proxies", {"url": "http://proxy.example:3128", "is_active": False})
    gateway.admin("DELETE", f"/proxies/{proxy['id']}")
    key = gateway.admin("POST", "/keys", {"name": "team"})
    gateway.admin("DELETE", f"/keys/{key['id']}")
    gateway.admin("POST", "/model-mappings", {"alias": "a", "targets": [{"provider": PROVIDER, "model": "quick-1"}]})
    gateway.admin("DELETE", "/model-mappings/a")
    gateway.admin("PUT", f"/providers/{PROVIDER}", {"is_active": True})
    gateway.admin("POST", "/proxies/recalculate")


def _wait_for_rows(gateway: GatewayProcess, count: int) -> None:
    deadline = time.monotonic() + 15
    while gateway.admin("GET", "/stats/summary")["total"]["requests"] < count:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _config(server: MySQLServer, vendor: QuickVendor) -> dict[str, Any]:
    where = {"engine": "mysql", "host": server.host, "port": server.port, "database": server.database}
    return {
        "database": {**where, "user": server.user, "password": server.password.reveal()},
        "providers": vendor.config(),
        "plugins": {"allowed": []},
    }


FORBIDDEN = [
    "DROP TABLE accounts",
    "ALTER TABLE accounts ADD COLUMN x INT",
    "CREATE TABLE x (id INT)",
    "CREATE TRIGGER t BEFORE INSERT ON accounts FOR EACH ROW SET NEW.label = 'x'",
    "TRUNCATE TABLE audit_log",
    "UPDATE audit_log SET actor = 'somebody else'",
    "DELETE FROM audit_log",
    "UPDATE schema_migrations SET state = 'done'",
    "DELETE FROM storage_facts",
    "GRANT SELECT ON *.* TO root@localhost",
    "CREATE USER more@localhost",
    "SELECT 1 INTO OUTFILE '/tmp/out'",
    "SELECT * FROM mysql.user",
    "SET GLOBAL general_log = 1",
]


async def test_s_22_whoever_has_that_user_can_neither_change_tables_nor_the_audit_log(
    migrated: MySQLServer, make_user: Any, mariadb: MariaDB
) -> None:
    async with await Storage.open(migrated, KeyRing.parse(MASTER)) as storage:
        await storage.providers.upsert_installed(PROVIDER)
        await storage.keys.create("client", "first", SYSTEM)
    user: MySQLServer = make_user()
    with (
        contextlib.closing(
            pymysql.connect(
                host=user.host, port=user.port, user=user.user, password=user.password.reveal(), database=user.database
            )
        ) as connection,
        connection.cursor() as cursor,
    ):
        for statement in FORBIDDEN:
            with pytest.raises(pymysql.err.MySQLError, match=r"denied|not allowed"):
                cursor.execute(statement)
        cursor.execute("SELECT LOAD_FILE('/etc/passwd') IS NULL")
        assert cursor.fetchall() == ((1,),)


async def test_s_22_a_start_that_would_have_to_change_tables_says_which_right_is_missing(
    migrated: MySQLServer, make_user: Any, mariadb: MariaDB
) -> None:
    async with await Storage.open(migrated, KeyRing.parse(MASTER)):
        pass
    user: MySQLServer = make_user()
    mariadb.execute("DELETE FROM schema_migrations WHERE version = 8", database=migrated.database)
    with pytest.raises(ConfigurationError, match="db migrate"):
        await Storage.open(user, KeyRing.parse(MASTER))
