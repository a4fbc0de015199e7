"""Calls while MariaDB, Redis or both are away: none fails, and every record arrives afterwards, once.

``AIGATEWAY_TEST_OUTAGE_SECONDS`` says how long they stay away.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from core.resources.conftest import Guarded
from scripted_upstream import ScriptedUpstream, whole
from services.private_servers import MariaDB, PrivateServer, Redis

from aigateway_core.bootstrap import House, assemble, first_look
from aigateway_core.secret import Secret
from aigateway_core.settings import (
    DatabaseSettings,
    KeySettings,
    PluginsSettings,
    ProviderSettings,
    RecordingSettings,
    RedisSettings,
    Settings,
)

SECONDS = float(os.environ.get("AIGATEWAY_TEST_OUTAGE_SECONDS", "6"))
pytestmark = [pytest.mark.anyio, pytest.mark.services, pytest.mark.timeout(120 + 3 * SECONDS)]
PER_SECOND = 30
CLIENT_KEY, MASTER_KEY = "client-key-of-the-outages", "m" * 43 + "="
ANSWER = b"""{"id": "c", "object": "chat.completion", "created": 1, "model": "m-1", "choices": [{"index": 0,
 "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
 "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}"""


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as server:
        server.play(whole(ANSWER, content_type="application/json"))
        yield server


@pytest.fixture
def settings(own_mariadb: MariaDB, own_redis: Redis, upstream: ScriptedUpstream, tmp_path: Path) -> Settings:
    own_mariadb.execute("CREATE DATABASE test_outages")
    vendor = {"base_url": f"{upstream.url}/v1", "models": ["m-1"]}
    return Settings(
        database=DatabaseSettings(
            engine="mysql",
            host=own_mariadb.host,
            port=own_mariadb.port,
            user=own_mariadb.user,
            password=Secret(own_mariadb.password),
            database="test_outages",
        ),
        redis=RedisSettings(enabled=True, port=own_redis.port, host=own_redis.host),
        keys=KeySettings(client=Secret(CLIENT_KEY), master=Secret(MASTER_KEY)),
        plugins=PluginsSettings(allowed=frozenset()),
        recording=RecordingSettings(spool_folder=tmp_path / "spool"),
        providers={"acme": ProviderSettings(kind="openai-compatible", api_key=Secret("k" * 20), options=vendor)},
    )


class Load:
    """Asks all the time, and keeps what came back."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._asked: list[asyncio.Task[None]] = []
        self.statuses: Counter[int] = Counter()
        self.slowest = 0.0

    async def run(self, seconds: float) -> None:
        """Ask evenly for so long."""
        for _ in range(int(seconds * PER_SECOND)):
            self._asked.append(asyncio.create_task(self._ask()))
            await asyncio.sleep(1 / PER_SECOND)

    async def finish(self) -> int:
        """Wait for what is under way, and tell how much was asked."""
        await asyncio.gather(*self._asked)
        return len(self._asked)

    async def _ask(self) -> None:
        began = asyncio.get_running_loop().time()
        body = {"model": "m-1", "messages": [{"role": "user", "content": "hi"}]}
        response = await self._client.post("/v1/chat/completions", json=body)
        self.statuses[response.status_code] += 1
        self.slowest = max(self.slowest, asyncio.get_running_loop().time() - began)


@pytest.mark.parametrize(
    ("victims", "frozen"),
    [("mariadb", False), ("mariadb", True), ("redis", False), ("redis", True), ("both", False), ("both", True)],
    ids=lambda value: {True: "frozen", False: "killed"}.get(value, value),
)
async def test_no_call_fails_and_every_record_arrives_once(
    settings: Settings,
    own_mariadb: MariaDB,
    own_redis: Redis,
    upstream: ScriptedUpstream,
    victims: str,
    frozen: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    servers: dict[str, list[PrivateServer]] = {
        "mariadb": [own_mariadb],
        "redis": [own_redis],
        "both": [own_mariadb, own_redis],
    }
    assembly = assemble(settings)
    await first_look(assembly)
    house = House(assembly)
    await house.start()
    headers = {"authorization": f"Bearer {CLIENT_KEY}"}
    transport = httpx.ASGITransport(Guarded(house.app))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
        load = Load(client)
        await load.run(1)
        for server in servers[victims]:
            (server.freeze if frozen else server.kill)()
        await load.run(SECONDS)
        # A look from loopback tells what is away, and that it serves all the same.
        ready = await client.get("/ready")
        for server in servers[victims]:
            await asyncio.to_thread(server.thaw if frozen else server.start)
        await load.run(1)
        asked = await load.finish()

        assert load.statuses == {200: asked}
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
        rows = "SELECT COUNT(*), COUNT(DISTINCT id), SUM(JSON_LENGTH(attempts)) FROM request_logs"
        async with asyncio.timeout(30):
            while own_mariadb.execute(rows, database="test_outages")[0][0] < asked:  # noqa: ASYNC110 - in a process of its own
                await asyncio.sleep(0.1)
            while (await client.get("/ready")).json()["status"] != "ok":  # noqa: ASYNC110 - as a balancer does
                await asyncio.sleep(0.1)
    await house.stop()
    assert own_mariadb.execute(rows, database="test_outages") == [(asked, asked, len(upstream.requests))]
    summed = "SELECT SUM(requests) FROM call_stats WHERE dimension = 'all'"
    assert own_mariadb.execute(summed, database="test_outages") == [(asked,)]
    assert house._books.ledger.spool_bytes == 0
    assert house._books.recorder.dropped + house._books.ledger.dropped == 0
    told = Counter(record.message.partition(",")[0] for record in caplog.records if record.name.startswith("aigateway"))
    assert max(told.values(), default=0) <= 2, told
