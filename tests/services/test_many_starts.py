"""Several gateways that start at once on one empty database: one of them migrates, and all of them serve."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from e2e.gateway_process import CLIENT_KEY, GatewayProcess
from services.load import PROVIDER, Load, QuickVendor
from services.private_servers import MariaDB

pytestmark = [pytest.mark.anyio, pytest.mark.services, pytest.mark.timeout(300)]

MASTER_KEY = "q4pSbq7n0cYF2L1g3Wm5u8xJt6dKz9vHhRfEaQwXyTU="


@pytest.fixture
def vendor() -> Iterator[QuickVendor]:
    quick = QuickVendor("key-1")
    quick.start()
    yield quick
    quick.stop()


@pytest.fixture(params=["sqlite", "mysql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    if request.param == "sqlite":
        yield {"engine": "sqlite", "path": str(tmp_path / "shared" / "aigateway.db")}
        return
    server: MariaDB = request.getfixturevalue("mariadb")
    with server.database() as name:
        yield {
            "engine": "mysql",
            "host": server.host,
            "port": server.port,
            "user": server.user,
            "password": server.password,
            "database": name,
        }


@pytest.fixture
def gateways(vendor: QuickVendor, database: dict[str, Any], tmp_path: Path) -> Iterator[list[GatewayProcess]]:
    """Four of them, started together."""
    config = {"providers": vendor.config(), "database": database, "plugins": {"allowed": []}}
    environment = {"AIGATEWAY_MASTER_KEY": MASTER_KEY}
    made = [GatewayProcess(config, tmp_path / f"gateway-{n}", environment=environment) for n in range(4)]
    starting = [threading.Thread(target=gateway.start) for gateway in made]
    for thread in starting:
        thread.start()
    for thread in starting:
        thread.join()
    yield made
    assert [gateway.stop() for gateway in made] == [0, 0, 0, 0], [gateway.output for gateway in made]
    assert not any("Traceback" in gateway.output for gateway in made)


async def test_d_20_one_migrates_and_all_serve_what_is_told_to_one(gateways: list[GatewayProcess]) -> None:
    migrated = [gateway.output.count("migrated to 0001_") for gateway in gateways]
    assert sorted(migrated) == [0, 0, 0, 1], migrated
    gateways[0].add_account(PROVIDER, "key-1")
    headers = {"authorization": f"Bearer {CLIENT_KEY}"}
    for gateway in gateways:
        # Without Redis each looks for news by itself, every second.
        async with Load(gateway.url, headers, clients=1) as load:
            await load.succeeded(within=5.0)
        assert (await Load(gateway.url, headers, clients=2).ask(10)).failed == 0


async def test_s_11_without_redis_a_change_is_seen_by_all_within_five_seconds(
    gateways: list[GatewayProcess],
) -> None:
    account = gateways[0].add_account(PROVIDER, "key-1")
    headers = {"authorization": f"Bearer {CLIENT_KEY}"}
    for gateway in gateways:
        async with Load(gateway.url, headers, clients=1) as load:
            await load.succeeded(within=5.0)
    await anyio.to_thread.run_sync(gateways[1].command, "accounts", "disable", account)
    began = time.monotonic()
    for gateway in gateways:
        while (await Load(gateway.url, headers, clients=1).ask(1)).failed == 0:
            assert time.monotonic() - began <= 5.0
            await anyio.sleep(0.1)
