"""How long it takes to renew a token, to end, and to be whole after an outage. A benchmark, never a test: it prints.

PYTHONPATH=tests python tests/bench/outages.py [ROUNDS [SECONDS]]

SECONDS is how long each outage lasts. The gateway is one worker with a MariaDB and a Redis of its own; its accounts log
in, and the last of them is bound to an outbound proxy.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
from e2e.fakes.tokens import Accepted
from e2e.gateway_process import ADMIN_KEY, CLIENT_KEY, GatewayProcess
from fault_proxy import FaultProxy
from outbound_proxies import Socks5Proxy
from services.load import MODEL, QuickVendor
from services.private_servers import MariaDB, Redis, running

from aigateway_core.testing import FakeIdentityProvider

MASTER_KEY = "q4pSbq7n0cYF2L1g3Wm5u8xJt6dKz9vHhRfEaQwXyTU="
DATABASE = "bench_outages"
PATIENCE = 90.0
RENEWALS = 30
DRAIN_TIMEOUT = 3
FLUSH = 0.25
CLIENT = {"authorization": f"Bearer {CLIENT_KEY}"}
SHORT, ENDLESS = 15, 1000
"""Events of a stream, a tenth of a second apart."""

Deed = Callable[[], Awaitable[Any]]
Check = Callable[[], Awaitable[bool]]


class Door:
    """A way to a server on loopback that can be shut, and opened again at the same port."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._proxy = FaultProxy(lambda: target)

    @property
    def port(self) -> int:
        return self._proxy.port

    async def open(self) -> None:
        self._proxy = await FaultProxy(lambda: self._target, port=self._proxy.port).__aenter__()

    async def shut(self) -> None:
        await self._proxy.close()


@attrs.frozen(eq=False)
class Site:
    """All that stands, and what can be asked of it."""

    gateway: GatewayProcess
    mariadb: MariaDB
    redis: Redis
    idp: FakeIdentityProvider
    vendor: QuickVendor
    vendor_door: Door
    proxy_door: Door
    http: httpx.AsyncClient

    async def log_in(self, egress: str = "direct") -> str:
        """The id of a new account, whose token has ended."""
        lifetime, self.idp.lifetime = self.idp.lifetime, 0.0
        auth_data = self.idp.tokens()
        self.idp.lifetime = lifetime
        new = {"provider_id": "acme", "auth_data": auth_data, "egress": egress}
        return str((await asyncio.to_thread(self.gateway.admin, "POST", "/accounts", new))["id"])

    def question(self, account: str = "", **more: Any) -> dict[str, Any]:
        body = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}], **more}
        key = {"authorization": f"Bearer {ADMIN_KEY}", "x-aigateway-account": account} if account else CLIENT
        return {"url": "/v1/chat/completions", "json": body, "headers": key}

    async def answers(self, account: str = "") -> bool:
        """Whether a question is answered: by this account, or by any if none is named."""
        return (await self.http.post(**self.question(account))).status_code == 200

    async def answered(self, account: str) -> float:
        """Seconds that a question takes, which has to be answered."""
        began = time.perf_counter()
        assert await self.answers(account), "a question was refused"
        return time.perf_counter() - began

    async def is_ready(self) -> bool:
        return bool((await self.http.get("/ready")).json()["status"] == "ok")

    def records(self) -> int:
        return int(self.mariadb.execute("SELECT COUNT(*) FROM request_logs", database=DATABASE)[0][0])


def say(what: str, seconds: list[float]) -> None:
    least, middle, most = (f"{each * 1000:,.1f}" for each in (min(seconds), statistics.median(seconds), max(seconds)))
    sys.stdout.write(f"{what:<70} {middle:>9} ms  [{least} - {most}]\n")
    sys.stdout.flush()


async def timed(deed: Deed) -> float:
    began = time.perf_counter()
    await deed()
    return time.perf_counter() - began


async def until(holds: Check) -> float:
    """Seconds until it holds."""
    began = time.perf_counter()
    while not await holds():
        assert time.perf_counter() - began < PATIENCE, "it never came back"
        await asyncio.sleep(0.01)
    return time.perf_counter() - began


async def renewals(site: Site) -> None:
    ordinary, longer = [], []
    for _ in range(RENEWALS):
        account = await site.log_in()
        before = site.idp.refreshes
        first, second = [await site.answered(account) for _ in range(2)]
        assert site.idp.refreshes == before + 1, "the first of the two was to wait for the renewal, and it alone"
        ordinary.append(second)
        longer.append(first - second)
    say("a request", ordinary)
    say("a request that waits for its account's token to be renewed: longer by", longer)


async def database_away(site: Site, rounds: int, seconds: float) -> None:
    ready, recorded = [], []
    for _ in range(rounds):
        await asyncio.sleep(4 * FLUSH)  # what was asked before has its records by then
        before = await asyncio.to_thread(site.records)
        asked = 0
        await asyncio.to_thread(site.mariadb.kill)
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            assert await site.answers(), "a request failed while the database was away"
            asked += 1
        await asyncio.to_thread(site.mariadb.start)
        began = time.perf_counter()
        ready.append(await until(site.is_ready))
        while await asyncio.to_thread(site.records) != before + asked:
            assert time.perf_counter() - began < PATIENCE, f"not all of {asked} records came"
        recorded.append(time.perf_counter() - began)
    say("MariaDB is back: until /ready says ok", ready)
    say(f"MariaDB is back: until all {asked:,} call records of the outage are in it", recorded)


async def redis_away(site: Site, rounds: int, seconds: float) -> None:
    ready = []
    for _ in range(rounds):
        await asyncio.to_thread(site.redis.kill)
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            assert await site.answers(), "a request failed while Redis was away"
            await asyncio.sleep(0.05)
        await asyncio.to_thread(site.redis.start)
        ready.append(await until(site.is_ready))
    say("Redis is back: until /ready says ok", ready)


async def door_shut(what: str, door: Door, answers: Check, rounds: int, seconds: float) -> None:
    back = []
    for _ in range(rounds):
        await door.shut()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            assert not await answers(), "there is another way"
            await asyncio.sleep(0.1)
        await door.open()
        back.append(await until(answers))
    say(f"{what} is back: until a request is answered", back)


async def endings(site: Site, rounds: int) -> None:
    """Of a gateway that has nothing to do, and of one with a stream that ends by itself or is ended."""
    idle, ended, cut = [], [], []
    for _ in range(rounds):
        idle.append(await timed(lambda: asyncio.to_thread(site.gateway.stop)))
        await asyncio.to_thread(site.gateway.start)
        ended.append(await _stop_under_way(site, SHORT))
        await asyncio.to_thread(site.gateway.start)
        cut.append(await _stop_under_way(site, ENDLESS) - DRAIN_TIMEOUT)
        await asyncio.to_thread(site.gateway.start)
    say("SIGTERM, nothing under way: until it has ended", idle)
    say("SIGTERM during a stream, from the end of the stream on", ended)
    say(f"SIGTERM during a stream without end: beyond the {DRAIN_TIMEOUT:.0f} s of drain_timeout", cut)


async def _stop_under_way(site: Site, events: int) -> float:
    """Seconds from the stream's end, if that comes by itself; otherwise from the signal on."""
    site.vendor.events = events
    async with site.http.stream("POST", **site.question(stream=True)) as answer:
        pieces = answer.aiter_bytes()
        await anext(pieces)
        began = time.perf_counter()
        stopped = asyncio.create_task(asyncio.to_thread(site.gateway.stop))
        said = [piece async for piece in pieces]
    assert (b"[DONE]" in b"".join(said)) == (events == SHORT), said[-1]
    if events == SHORT:
        began = time.perf_counter()
    assert await stopped == 0
    return time.perf_counter() - began


async def start_without_database(site: Site, rounds: int, seconds: float) -> None:
    back = []
    for _ in range(rounds):
        await asyncio.to_thread(site.gateway.stop)
        await asyncio.to_thread(site.mariadb.kill)
        await asyncio.to_thread(site.gateway.start)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(site.mariadb.start)
        back.append(await until(site.answers))
    say("started without MariaDB, which is back: until a request is answered", back)


def config(mariadb: MariaDB, redis: Redis, idp: FakeIdentityProvider, vendor: Door) -> dict[str, Any]:
    acme = {"kind": "openai-compatible", "base_url": f"http://127.0.0.1:{vendor.port}/v1", "models": [MODEL]}
    user = {"host": mariadb.host, "port": mariadb.port, "user": mariadb.user, "password": mariadb.password}
    return {
        "database": {"engine": "mysql", "database": DATABASE, **user},
        "redis": {"enabled": True, "url": redis.url},
        "providers": {"acme": {**acme, "auth_strategy": "oauth", "auth_options": idp.auth_options}},
        "server": {"drain_timeout": DRAIN_TIMEOUT},
        "security": {"allow_private_hosts": ["127.0.0.1"]},
        "recording": {"flush_interval": FLUSH},
        "plugins": {"allowed": []},
    }


@asynccontextmanager
async def built(root: Path, mariadb: MariaDB, redis: Redis, idp: FakeIdentityProvider) -> AsyncIterator[Site]:
    vendor = QuickVendor()
    vendor.keys = Accepted(idp)
    vendor.start()
    async with Socks5Proxy() as proxy:
        vendor_door, proxy_door = Door(int(vendor.url.rpartition(":")[2])), Door(proxy.port)
        await vendor_door.open()
        await proxy_door.open()
        settings = config(mariadb, redis, idp, vendor_door)
        gateway = GatewayProcess(settings, root, environment={"AIGATEWAY_MASTER_KEY": MASTER_KEY})
        async with httpx.AsyncClient(base_url=gateway.url, timeout=60, trust_env=False) as http:
            try:
                await asyncio.to_thread(gateway.start)
                socks = f"socks5://127.0.0.1:{proxy_door.port}"
                await asyncio.to_thread(gateway.admin, "POST", "/proxies", {"url": socks, "max_accounts": 1})
                yield Site(gateway, mariadb, redis, idp, vendor, vendor_door, proxy_door, http)
            finally:
                if gateway.is_running:
                    gateway.kill()
                await vendor_door.shut()
                await proxy_door.shut()
                vendor.stop()


async def main(rounds: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for folder in ("mariadb", "redis"):
            (root / folder).mkdir()
        with (
            running(MariaDB(root / "mariadb")) as mariadb,
            running(Redis(root / "redis")) as redis,
            FakeIdentityProvider() as idp,
        ):
            mariadb.execute(f"CREATE DATABASE {DATABASE}")
            mariadb.execute(f"GRANT ALL PRIVILEGES ON {DATABASE}.* TO {mariadb.user}@'{mariadb.host}'")
            async with built(root / "gateway", mariadb, redis, idp) as site:
                await renewals(site)
                await database_away(site, rounds, seconds)
                await redis_away(site, rounds, seconds)
                await door_shut("a vendor", site.vendor_door, site.answers, rounds, seconds)
                bound = await site.log_in("pool")
                await until(lambda: site.answers(bound))
                await door_shut("an outbound proxy", site.proxy_door, lambda: site.answers(bound), rounds, seconds)
                await endings(site, rounds)
                await start_without_database(site, rounds, seconds)


if __name__ == "__main__":
    given = [float(word) for word in sys.argv[1:]]
    asyncio.run(main(int(given[0]) if given else 5, given[1] if len(given) > 1 else 10.0))
