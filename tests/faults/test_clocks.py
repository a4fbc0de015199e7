"""A gateway while midnight comes, and while somebody sets its clock: the whole of it, by a clock that a test moves."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import struct
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from core.gateway_house import STREAM, WHOLE
from e2e.gateway_process import CLIENT_KEY, GatewayProcess
from outbound_proxies import HttpProxy
from scripted_upstream import ScriptedUpstream, sse, whole

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")]

SOURCE = Path(__file__).with_name("native") / "wall_clock.c"
CHAT = "/v1/chat/completions"
HOURS = 3600


class Wall:
    """The gateway's clock: so many seconds ahead of ours."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ahead"
        self.program = folder / "wall_clock.so"
        command = ["gcc", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-o", str(self.program), str(SOURCE)]
        subprocess.run(command, check=True)
        self.ahead = 0
        self._path.write_bytes(bytes(8))

    def set(self, ahead: int) -> None:
        """Set it."""
        self.ahead = ahead
        with self._path.open("r+b") as file:
            file.write(struct.pack("=q", ahead))

    @property
    def environment(self) -> dict[str, str]:
        """What a process is started with that goes by it."""
        return {"LD_PRELOAD": str(self.program), "TEST_WALL_CLOCK": str(self._path)}


@pytest.fixture
async def proxy() -> AsyncIterator[HttpProxy]:
    async with HttpProxy() as made:
        assert isinstance(made, HttpProxy)
        yield made


@pytest.fixture
def wall(tmp_path: Path) -> Wall:
    return Wall(tmp_path)


@pytest.fixture
async def gateway(
    wall: Wall, scripted_upstream: ScriptedUpstream, proxy: HttpProxy, tmp_path: Path
) -> AsyncIterator[GatewayProcess]:
    """A gateway that goes by ``wall``, with two accounts behind an outbound proxy."""
    acme = {"kind": "openai-compatible", "base_url": f"{scripted_upstream.url}/v1", "models": ["m-*"]}
    config = {
        "providers": {"acme": acme},
        "plugins": {"allowed": []},
        "security": {"allow_private_hosts": ["127.0.0.1"]},
        "upstream": {"patience": 0},
    }
    process = GatewayProcess(config, tmp_path / "gateway", environment=wall.environment)
    await asyncio.to_thread(process.start)
    await asyncio.to_thread(process.admin, "POST", "/proxies", {"url": proxy.url, "max_accounts": 2})
    for number in range(2):
        await asyncio.to_thread(process.add_account, "acme", f"sk-clock-{number}")
    yield process
    assert await asyncio.to_thread(process.stop) == 0
    assert "Traceback" not in process.output


@pytest.fixture
async def client(gateway: GatewayProcess) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {CLIENT_KEY}"}
    async with httpx.AsyncClient(base_url=gateway.url, headers=headers, trust_env=False, timeout=30) as made:
        yield made


async def ask(client: httpx.AsyncClient, *, stream: bool = False) -> httpx.Response:
    body = {"model": "m-1", "stream": stream, "messages": [{"role": "user", "content": "hi"}]}
    return await client.post(CHAT, json=body)


def select(gateway: GatewayProcess, statement: str) -> list[tuple[str, int]]:
    with closing(sqlite3.connect(gateway.database)) as database:
        return database.execute(statement).fetchall()


async def test_t_01_over_midnight_each_call_is_counted_on_its_own_day(
    gateway: GatewayProcess, wall: Wall, client: httpx.AsyncClient, scripted_upstream: ScriptedUpstream
) -> None:
    """Five calls a second, for two seconds before midnight and two after it."""
    scripted_upstream.play(whole(json.dumps(WHOLE).encode()))
    wall.set(86_400 - int(time.time()) % 86_400 - 2)
    asked = []
    for _ in range(20):
        asked.append(asyncio.create_task(ask(client)))
        await asyncio.sleep(0.2)
    answers = await asyncio.gather(*asked)
    assert {answer.status_code for answer in answers} == {200}
    days = Counter(row["created_at"][:10] for row in await asyncio.to_thread(gateway.rows, 0, 20))
    assert len(days) == 2
    assert min(days.values()) >= 5
    summed = "SELECT date(hour), requests FROM call_stats WHERE dimension = 'all/day' ORDER BY 1"
    assert select(gateway, summed) == sorted(days.items())
    assert select(gateway, "SELECT date, request_count FROM proxy_stats ORDER BY 1") == sorted(days.items())
    (row,) = gateway.admin("GET", "/proxies")["data"]
    told = gateway.admin("GET", f"/stats/proxies/{row['id']}?days=2")
    assert {each["date"]: each["request_count"] for each in told["data"]} == dict(days)
    assert told["today"] == {"requests": days[max(days)], "errors": 0}


@pytest.mark.parametrize("hours", [2, -2])
async def test_t_04_a_clock_that_is_set_while_it_works_costs_nobody_anything(
    hours: int, gateway: GatewayProcess, wall: Wall, client: httpx.AsyncClient, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.play(whole(status=429, retry_after="3"), sse(*STREAM, every=0.3))
    under_way = asyncio.create_task(ask(client, stream=True))
    await asyncio.sleep(0.8)
    wall.set(hours * HOURS)
    answer = await under_way
    assert answer.status_code == 200
    assert answer.text.endswith("data: [DONE]\n\n")
    scripted_upstream.play(whole(json.dumps(WHOLE).encode()))
    assert [(await ask(client)).status_code for _ in range(10)] == [200] * 10
    # Whoever rests is asked again in time, if not at once, and whoever leases something lets it go.
    async with asyncio.timeout(10):
        while len({seen.headers["authorization"] for seen in scripted_upstream.requests[-6:]}) < 2:
            assert (await ask(client)).status_code == 200
            await asyncio.sleep(0.2)
    rows = await asyncio.to_thread(gateway.rows_so_far, 0)
    assert all(0 <= row["latency_ms"] < 10_000 for row in rows)
    assert all(0 <= each["latency_ms"] < 10_000 for row in rows for each in row["attempts"])
    wall.set(0)
    assert (await ask(client)).status_code == 200
