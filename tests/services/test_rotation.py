"""A new master key while the gateway works: thousands of secrets, and a power cut in the middle."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from e2e.gateway_process import CLIENT_KEY, COMMAND, GatewayProcess
from services.load import PROVIDER, Load, QuickVendor
from services.private_servers import MariaDB

from aigateway_core.secret import Secret
from aigateway_core.storage import SYSTEM, MySQLServer, NewAccount, Storage
from aigateway_core.vault import KeyRing, Place

pytestmark = [pytest.mark.anyio, pytest.mark.services, pytest.mark.timeout(240)]

OLD = "q4pSbq7n0cYF2L1g3Wm5u8xJt6dKz9vHhRfEaQwXyTU="
NEW = "Zx81mQ0rTyUw37pLk2BnHy6gTf5dRsLn4bVc3xZaQw4="
SECRETS = int(os.environ.get("AIGATEWAY_TEST_SECRETS", "2000"))
KEY = "key-of-the-load"
_BATCH = 1000


@pytest.fixture
def vendor() -> Iterator[QuickVendor]:
    quick = QuickVendor(KEY)
    quick.start()
    yield quick
    quick.stop()
    assert quick.violations == []


async def _filled(location: MySQLServer, server: MariaDB) -> None:
    """One account that is used, and thousands that wait, all of the old key."""
    ring = KeyRing.parse(OLD)
    async with await Storage.open(location, ring) as storage:
        await storage.providers.upsert_installed(PROVIDER)
        made = await storage.accounts.create(NewAccount(provider_id=PROVIDER, auth_data={"api_key": KEY}), SYSTEM)
    columns = [row[0] for row in server.execute("SHOW COLUMNS FROM accounts", database=location.database)]
    (template,) = server.execute("SELECT * FROM accounts WHERE id = %s", made.id, database=location.database)
    row = "(" + ", ".join(["%s"] * len(columns)) + ")"
    for start in range(0, SECRETS, _BATCH):
        values: list[object] = []
        for number in range(start, start + _BATCH):
            own = {"id": f"{number:036}", "auth_data": _sealed(ring, number), "is_active": 0}
            values += {**dict(zip(columns, template, strict=True)), **own}.values()
        statement = f"INSERT INTO accounts ({', '.join(columns)}) VALUES {', '.join([row] * _BATCH)}"
        server.execute(statement, *values, database=location.database)


def _sealed(ring: KeyRing, number: int) -> str:
    return ring.seal(f'{{"api_key": "sk-{number:05}"}}', Place("accounts", "auth_data", f"{number:036}"))


async def test_s_25_a_rotation_under_load_is_killed_and_run_again_and_no_request_fails(
    mariadb: MariaDB, vendor: QuickVendor, tmp_path: Path
) -> None:
    with mariadb.database() as name:
        location = MySQLServer(
            host=mariadb.host, port=mariadb.port, user=mariadb.user, password=Secret(mariadb.password), database=name
        )
        await _filled(location, mariadb)
        gateway = GatewayProcess(
            _config(location, vendor), tmp_path / "gateway", environment={"AIGATEWAY_MASTER_KEY": f"{NEW},{OLD}"}
        )
        await anyio.to_thread.run_sync(gateway.start)
        old = f"v1:{KeyRing.parse(OLD).kids[0]}:"

        def left() -> int:
            told = mariadb.execute("SELECT COUNT(*) FROM accounts WHERE auth_data LIKE %s", old + "%", database=name)
            return int(told[0][0])

        try:
            assert await anyio.to_thread.run_sync(left) == SECRETS + 1
            async with Load(gateway.url, {"authorization": f"Bearer {CLIENT_KEY}"}, clients=2) as load:
                await load.answered(20)
                rotation = _rotate(gateway)
                async with asyncio.timeout(60):
                    while await anyio.to_thread.run_sync(left) > SECRETS * 0.7:  # noqa: ASYNC110 - nobody tells
                        await asyncio.sleep(0.02)
                rotation.kill()
                await anyio.to_thread.run_sync(rotation.wait)
                assert 0 < await anyio.to_thread.run_sync(left) < SECRETS
                again = _rotate(gateway)
                assert await anyio.to_thread.run_sync(again.wait, 120) == 0
                await load.answered(20)
            assert load.outcome.told == []
        finally:
            assert await anyio.to_thread.run_sync(gateway.stop) == 0, gateway.output
        assert await anyio.to_thread.run_sync(left) == 0
        async with await Storage.open(location, KeyRing.parse(NEW)) as storage:
            for number in (0, SECRETS // 2, SECRETS - 1):
                assert (await storage.accounts.get(f"{number:036}")).auth_data == {"api_key": f"sk-{number:05}"}


def _rotate(gateway: GatewayProcess) -> subprocess.Popen[bytes]:
    command = [COMMAND[0], "secrets", "rotate", "--config", str(gateway.folder / "config.yaml")]
    environment = {**os.environ, "AIGATEWAY_MASTER_KEY": f"{NEW},{OLD}"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _config(location: MySQLServer, vendor: QuickVendor) -> dict[str, Any]:
    database = {"engine": "mysql", "host": location.host, "port": location.port, "database": location.database}
    return {
        "database": {**database, "user": location.user, "password": location.password.reveal()},
        "providers": vendor.config(),
        "plugins": {"allowed": []},
    }
