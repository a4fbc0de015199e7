"""Calls while MariaDB, Redis or both are away: none fails, and every record arrives afterwards, once.

For some seconds each in every run; as long as the catalogue of faults has it in ``tox -e lengthy``.
"""

from __future__ import annotations

import asyncio
import functools
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

import attrs
import httpx
import pytest
from core.resources.conftest import Guarded
from fault_proxy import FaultProxy
from scripted_upstream import ScriptedUpstream, whole
from services.private_servers import MariaDB, PrivateServer, Redis

from aigateway_core import stores
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
from aigateway_core.state.link import LIMIT
from aigateway_core.storage import MySQLServer

AT_LENGTH = os.environ.get("AIGATEWAY_TEST_AT_LENGTH") == "1"
SHORT = 6.0
pytestmark = [pytest.mark.anyio, pytest.mark.services, pytest.mark.timeout(1200 if AT_LENGTH else 120)]
PER_SECOND = 50
KEYS = ("key-of-the-configuration", "key-of-another-account", "key-of-a-third-account")
READ_TIMEOUT = 2.0
SLACK = 0.02
"""Seconds that a machine with other things to do may add to the typical call."""

CLIENT_KEY, ADMIN_KEY, MASTER_KEY = "client-key-of-the-outages", "admin-key-of-the-outages", "m" * 43 + "="
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
        keys=KeySettings(client=Secret(CLIENT_KEY), admin=Secret(ADMIN_KEY), master=Secret(MASTER_KEY)),
        plugins=PluginsSettings(allowed=frozenset()),
        recording=RecordingSettings(spool_folder=tmp_path / "spool"),
        providers={"acme": ProviderSettings(kind="openai-compatible", api_key=Secret(KEYS[0]), options=vendor)},
    )


class Load:
    """Asks all the time, and keeps what came back."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._asked: list[asyncio.Task[None]] = []
        self.statuses: Counter[int] = Counter()
        self.seconds: list[float] = []
        """How long each call took, in the order of their answers."""

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
        self.seconds.append(asyncio.get_running_loop().time() - began)


@asynccontextmanager
async def gateway(settings: Settings) -> AsyncIterator[tuple[House, httpx.AsyncClient]]:
    """A whole gateway, and a client with its key."""
    assembly = assemble(settings)
    await first_look(assembly)
    house = House(assembly)
    await house.start()
    headers = {"authorization": f"Bearer {CLIENT_KEY}"}
    transport = httpx.ASGITransport(Guarded(house.app))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
            yield house, client
    finally:
        await house.stop()


ADMIN = {"authorization": f"Bearer {ADMIN_KEY}"}
WRITES: dict[str, dict[str, Any]] = {
    "accounts": {"provider_id": "acme", "auth_data": {"api_key": "k-meanwhile-1234"}, "is_active": False},
    "proxies": {"url": "http://proxy.test:3128"},
    "keys": {"name": "meanwhile"},
    "model-mappings": {"alias": "meanwhile", "targets": [{"provider": "acme", "model": "m-1"}]},
}


def active(key: str) -> dict[str, Any]:
    """What an account with this key is told with."""
    return {"auth_data": {"api_key": key}, "is_active": True}


async def look(client: httpx.AsyncClient) -> list[httpx.Response]:
    """Look at everything at once, and twice: more than there are threads for the database."""
    began = asyncio.get_running_loop().time()
    seen = await asyncio.gather(*(client.get(f"/api/v1/{name}", headers=ADMIN) for name in [*WRITES, *WRITES]))
    # Each thread is busy twice for as long as the database may take, and never waits for it once more.
    assert asyncio.get_running_loop().time() - began < 3 * READ_TIMEOUT
    return seen


async def administer(client: httpx.AsyncClient) -> list[httpx.Response]:
    """Change everything at once."""
    return await asyncio.gather(
        *(client.post(f"/api/v1/{name}", json=body, headers=ADMIN) for name, body in WRITES.items())
    )


@pytest.mark.parametrize(
    ("victims", "frozen", "long"),
    [
        pytest.param("mariadb", False, 60, id="D_01 MariaDB is killed"),
        pytest.param("mariadb", True, 30, id="D_04 MariaDB is frozen"),
        pytest.param("redis", False, 30, id="D_12 Redis is killed"),
        pytest.param("redis", True, 30, id="D_13 Redis is frozen"),
        pytest.param("both", False, 600, id="D_16 both are killed"),
        pytest.param("both", True, 60, id="both are frozen"),
    ],
)
async def test_d_02_no_call_fails_and_every_record_arrives_once(
    settings: Settings,
    own_mariadb: MariaDB,
    own_redis: Redis,
    upstream: ScriptedUpstream,
    victims: str,
    frozen: bool,
    long: int,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    impatient = functools.partial(MySQLServer, connect_timeout=READ_TIMEOUT, read_timeout=READ_TIMEOUT)
    monkeypatch.setattr(stores, "MySQLServer", impatient)
    servers: dict[str, list[PrivateServer]] = {
        "mariadb": [own_mariadb],
        "redis": [own_redis],
        "both": [own_mariadb, own_redis],
    }
    async with gateway(settings) as (house, client):
        for key in KEYS[1:]:
            await client.post("/api/v1/accounts", json={**WRITES["accounts"], **active(key)}, headers=ADMIN)
        load = Load(client)
        await load.run(1.5)
        usual = median(load.seconds)
        for server in servers[victims]:
            (server.freeze if frozen else server.kill)()
        refused = asyncio.create_task(look(client)) if victims != "redis" else None
        await load.run(1)
        before = len(load.seconds)
        await load.run(long if AT_LENGTH else SHORT)
        meanwhile = sorted(load.seconds[before:])
        # A look from loopback tells what is away, and that it serves all the same.
        ready = await client.get("/ready")
        for server in servers[victims]:
            await asyncio.to_thread(server.thaw if frozen else server.start)
        await load.run(1)
        asked = await load.finish()
        if refused is not None:
            # What a frozen database was asked for it may still do when it goes on.
            assert {answer.status_code for answer in await refused} <= ({503, 200} if frozen else {503})

        assert load.statuses == {200: asked}
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
        # The first calls find out, by waiting for as long as a state may take. No other call waits for anything.
        assert median(meanwhile) <= usual + 0.005 + SLACK
        assert meanwhile[len(meanwhile) * 9 // 10] < LIMIT
        used = Counter(seen.headers["authorization"].removeprefix("Bearer ") for seen in upstream.requests)
        assert all(abs(used[key] - asked / 3) <= asked / 30 for key in KEYS), used
        rows = "SELECT COUNT(*), COUNT(DISTINCT id), SUM(JSON_LENGTH(attempts)) FROM request_logs"
        async with asyncio.timeout(30):
            while own_mariadb.execute(rows, database="test_outages")[0][0] < asked:  # noqa: ASYNC110 - in a process of its own
                await asyncio.sleep(0.1)
        await becomes(client, "ok")
    assert own_mariadb.execute(rows, database="test_outages") == [(asked, asked, len(upstream.requests))]
    summed = "SELECT SUM(requests) FROM call_stats WHERE dimension = 'all'"
    assert own_mariadb.execute(summed, database="test_outages") == [(asked,)]
    assert house._books.ledger.spool_bytes == 0
    assert house._books.recorder.dropped + house._books.ledger.dropped == 0
    told = Counter(record.message.partition(",")[0] for record in caplog.records if record.name.startswith("aigateway"))
    assert max(told.values(), default=0) <= 2, told


async def test_d_05_d_07_without_a_database_nobody_new_is_let_in_and_nothing_changes(
    settings: Settings, own_mariadb: MariaDB
) -> None:
    async with gateway(settings) as (_, client):
        made = await client.post("/api/v1/keys", json=WRITES["keys"], headers=ADMIN)
        known = {"authorization": f"Bearer {made.json()['key']}"}
        late = {"authorization": f"Bearer {key_like(made.json()['key'])}"}
        assert (await client.get("/v1/models", headers=late)).status_code == 401
        own_mariadb.kill()
        for answer in [*await administer(client), *await look(client)]:
            assert answer.status_code == 503
            assert answer.json()["error"].keys() >= {"code", "message", "request_id"}
            shows_nothing(answer.text, own_mariadb)
        await becomes(client, "degraded")
        asked = await client.get("/v1/models", headers=late)
        assert (asked.status_code, int(asked.headers["retry-after"]) >= 1) == (503, True)
        shows_nothing(asked.text, own_mariadb)
        assert (await client.get("/v1/models", headers=late)).json()["error"] == asked.json()["error"]
        listed = await client.get("/v1/models", headers=known)
        assert [model["id"] for model in listed.json()["data"]] == ["m-1"]
        await asyncio.to_thread(own_mariadb.start)
        await becomes(client, "ok")
        kept = {name: (await client.get(f"/api/v1/{name}", headers=ADMIN)).json()["total"] for name in WRITES}
        # The account of the configuration file is listed too.
        assert kept == {"accounts": 1, "proxies": 0, "keys": 1, "model-mappings": 0}
        assert (await client.get("/v1/models", headers=late)).status_code == 401


async def becomes(client: httpx.AsyncClient, standing: str) -> None:
    async with asyncio.timeout(30):
        while (await client.get("/ready")).json()["status"] != standing:  # noqa: ASYNC110 - as a balancer does
            await asyncio.sleep(0.1)


def key_like(key: str) -> str:
    """A key of the same form that nobody has made."""
    role, _, secret = key.split("_", 2)
    return f"{role}_{'z' * 8}_{secret}"


def shows_nothing(told: str, server: MariaDB) -> None:
    assert not any(word in told for word in (server.host, str(server.port), "test_outages", "mysql"))


async def test_d_08_a_slow_database_makes_no_call_slow(
    settings: Settings, own_mariadb: MariaDB, upstream: ScriptedUpstream
) -> None:
    async with FaultProxy(lambda: own_mariadb.port) as between:
        slow = attrs.evolve(settings, database=attrs.evolve(settings.database, port=between.port))
        async with gateway(slow) as (house, client):
            load = Load(client)
            await load.run(1.5)
            usual, before = median(load.seconds), len(load.seconds)
            between.delay = 0.3
            await load.run(4)
            asked = await load.finish()
            meanwhile = sorted(load.seconds[before:])
            assert load.statuses == {200: asked}
            # The database takes 0.6 s for the shortest question: a call that asked it could not be quicker.
            assert meanwhile[len(meanwhile) * 99 // 100] < 0.6
            assert median(meanwhile) <= usual + 0.005 + SLACK
            between.delay = 0.0
            await becomes(client, "ok")
        assert house._books.recorder.dropped == 0
    assert own_mariadb.execute("SELECT COUNT(*) FROM request_logs", database="test_outages") == [(asked,)]


async def test_d_19_after_a_failover_of_its_name_the_database_is_found_at_its_new_address(
    settings: Settings, own_mariadb: MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve, leads_to = socket.getaddrinfo, "127.0.0.1"

    def answer(host: Any, *asked: Any, **more: Any) -> Any:
        return resolve(leads_to if host == "database.test" else host, *asked, **more)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    async with AsyncExitStack() as exits:
        old = await exits.enter_async_context(FaultProxy(lambda: own_mariadb.port))
        # A name has one port wherever it leads.
        new = await exits.enter_async_context(FaultProxy(lambda: own_mariadb.port, "127.0.0.2", old.port))
        named = attrs.evolve(settings.database, host="database.test", port=old.port)
        async with gateway(attrs.evolve(settings, database=named)) as (_, client):
            assert (new.accepted, old.accepted > 0) == (0, True)
            leads_to = new.host
            await old.close()
            async with asyncio.timeout(5):
                while (await client.get("/api/v1/keys", headers=ADMIN)).status_code != 200:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            assert new.accepted > 0
            load = Load(client)
            await load.run(0.5)
            asked = await load.finish()
            assert load.statuses == {200: asked}
