"""A gateway that is killed under load while its database is away: what it kept on disk is written once, afterwards."""

from __future__ import annotations

import asyncio
import http.client
import itertools
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from e2e.gateway_process import CLIENT_KEY, GatewayProcess
from services.load import PROVIDER, Load, QuickVendor
from services.private_servers import MariaDB

from aigateway_core.spool import Spool

pytestmark = [pytest.mark.anyio, pytest.mark.services, pytest.mark.timeout(120)]

MASTER_KEY = "q4pSbq7n0cYF2L1g3Wm5u8xJt6dKz9vHhRfEaQwXyTU="
CLIENTS = 8


@pytest.fixture
def vendor() -> Iterator[QuickVendor]:
    quick = QuickVendor("key-1")
    quick.delay = 0.02
    quick.start()
    yield quick
    quick.stop()


@pytest.fixture
def gateway(vendor: QuickVendor, own_mariadb: MariaDB, tmp_path: Path) -> GatewayProcess:
    own_mariadb.execute("CREATE DATABASE test_kill")
    config = {
        "providers": vendor.config(api_key="key-1"),
        "database": {
            "engine": "mysql",
            "host": own_mariadb.host,
            "port": own_mariadb.port,
            "user": own_mariadb.user,
            "password": own_mariadb.password,
            "database": "test_kill",
        },
        "recording": {"spool_folder": str(tmp_path / "spool"), "flush_interval": 0.05},
        "plugins": {"allowed": []},
    }
    return GatewayProcess(config, tmp_path / "gateway", environment={"AIGATEWAY_MASTER_KEY": MASTER_KEY})


def written(server: MariaDB) -> tuple[int, int]:
    """How many rows there are, and how many different calls they are of."""
    rows = server.execute("SELECT COUNT(*), COUNT(DISTINCT request_id) FROM request_logs", database="test_kill")
    return int(rows[0][0]), int(rows[0][1])


async def test_p_05_what_was_on_disk_when_it_was_killed_is_written_once(
    gateway: GatewayProcess, own_mariadb: MariaDB, vendor: QuickVendor, tmp_path: Path
) -> None:
    await asyncio.to_thread(gateway.start)
    headers = {"authorization": f"Bearer {CLIENT_KEY}"}
    async with Load(gateway.url, headers, clients=CLIENTS) as load:
        await load.answered(50)
        await asyncio.to_thread(own_mariadb.kill)
        # The first batch is patient; those that follow go to disk at once.
        await asyncio.sleep(5)
        await load.answered(100)
        assert load.outcome.failed == 0, load.outcome.told
        gateway.kill()
        before_the_kill = load.outcome.statuses["200"]
        await asyncio.sleep(0.2)
    answered = load.outcome.statuses["200"]
    (path,) = (tmp_path / "spool").glob("*.spool")
    spool = Spool(path, 1 << 30)
    waiting = [each.record.request_id for each in spool.peek(100_000) if each.record is not None]
    spool.close()
    assert len(waiting) == len(set(waiting)) >= 100
    await asyncio.to_thread(own_mariadb.start)
    before, _ = written(own_mariadb)
    await asyncio.to_thread(gateway.start)
    async with asyncio.timeout(30):
        while written(own_mariadb)[0] < before + len(waiting):  # noqa: ASYNC110 - in a process of its own
            await asyncio.sleep(0.1)
    assert await asyncio.to_thread(gateway.stop) == 0, gateway.output
    rows, calls = written(own_mariadb)
    assert rows == calls == before + len(waiting)
    # What a kill can cost is what had not been flushed in its last moment, and what it cut off.
    assert before_the_kill <= answered <= vendor.counts["key-1"]
    assert answered - rows <= 200
    held = own_mariadb.execute(
        "SELECT COUNT(*) FROM request_logs WHERE request_id IN %s", tuple(waiting), database="test_kill"
    )
    assert held == [(len(waiting),)]
    summed = own_mariadb.execute("SELECT SUM(requests) FROM call_stats WHERE dimension = 'all'", database="test_kill")
    assert summed == [(rows,)]


async def test_p_05_a_kill_costs_the_rows_of_a_moment_and_nothing_that_was_confirmed(
    gateway: GatewayProcess, own_mariadb: MariaDB, vendor: QuickVendor
) -> None:
    await asyncio.to_thread(gateway.start)
    confirmed: list[tuple[str, str]] = []

    async def administer() -> None:
        for number in itertools.count():
            key = await asyncio.to_thread(gateway.admin, "POST", "/keys", {"name": f"key-{number}"})
            account = await asyncio.to_thread(gateway.add_account, PROVIDER, f"key-{number}")
            confirmed.append((key["id"], account))

    async with Load(gateway.url, {"authorization": f"Bearer {CLIENT_KEY}"}, clients=CLIENTS) as load:
        await load.answered(50)
        changing = asyncio.create_task(administer())
        begun, before = asyncio.get_running_loop().time(), load.outcome.statuses["200"]
        await asyncio.sleep(2)
        gateway.kill()
        lasted = asyncio.get_running_loop().time() - begun
        with suppress(OSError, http.client.HTTPException):
            await changing
        await asyncio.sleep(0.2)
    answered = load.outcome.statuses["200"]
    rows, _ = written(own_mariadb)
    # What a second's flush would have held, at most; those that were cut off have no row, so that none is open.
    assert answered - rows <= (answered - before) / lasted + CLIENTS
    open_rows = own_mariadb.execute(
        "SELECT COUNT(*) FROM request_logs WHERE outcome IS NULL OR outcome = ''", database="test_kill"
    )
    assert open_rows == [(0,)]
    await asyncio.to_thread(gateway.start)
    assert len(confirmed) > 5
    audited = {name for (name,) in own_mariadb.execute("SELECT entity_id FROM audit_log", database="test_kill")}
    for key, account in confirmed:
        assert {key, account} <= audited
        assert (await asyncio.to_thread(gateway.admin, "GET", f"/accounts/{account}"))["id"] == account
    keys = await asyncio.to_thread(gateway.admin, "GET", "/keys?limit=200")
    assert {key for key, _ in confirmed} <= {key["id"] for key in keys["data"]}
    assert await asyncio.to_thread(gateway.stop) == 0, gateway.output


async def test_p_03_what_the_database_does_not_take_is_on_disk_when_it_ends(
    gateway: GatewayProcess, own_mariadb: MariaDB, tmp_path: Path
) -> None:
    await asyncio.to_thread(gateway.start)
    headers = {"authorization": f"Bearer {CLIENT_KEY}"}
    await asyncio.to_thread(own_mariadb.kill)
    load = Load(gateway.url, headers, clients=CLIENTS)
    outcome = await load.ask(500)
    assert outcome.failed == 0, outcome.told
    assert await asyncio.to_thread(gateway.stop) == 0, gateway.output
    (path,) = (tmp_path / "spool").glob("*.spool")
    spool = Spool(path, 1 << 30)
    waiting = {each.record.request_id for each in spool.peek(100_000) if each.record is not None}
    spool.close()
    assert len(waiting) == 500
    await asyncio.to_thread(own_mariadb.start)
    await asyncio.to_thread(gateway.start)
    async with asyncio.timeout(30):
        while written(own_mariadb) != (500, 500):  # noqa: ASYNC110 - in a process of its own
            await asyncio.sleep(0.1)
    assert await asyncio.to_thread(gateway.stop) == 0, gateway.output
