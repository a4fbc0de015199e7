"""Checks of outbound proxies with real handshakes, and that what is seen is stored."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from outbound_proxies import HttpProxy, Socks5Proxy
from scripted_upstream import ScriptedUpstream, whole

from aigateway_core.addresses import Destinations
from aigateway_core.egress.health import ProxyHealthBook, Standing
from aigateway_core.egress.upkeep import ProxyUpkeep, origins
from aigateway_core.engine import Transports
from aigateway_core.errors import UnavailableError
from aigateway_core.snapshot import CurrentSnapshot, OutboundProxy, Snapshot
from aigateway_core.state.memory import MemoryState

pytestmark = pytest.mark.anyio


class Kept:
    """Where health is stored; with ``fails`` it cannot be."""

    def __init__(self) -> None:
        self.standings: dict[int, Standing] = {}
        self.fails = False

    async def keep(self, proxy_id: int, standing: Standing) -> None:
        if self.fails:
            raise UnavailableError("away")
        self.standings[proxy_id] = standing


@asynccontextmanager
async def watched(
    url: str, target: str, interval: float = 0.0, its_turn: Callable[[], Awaitable[bool]] | None = None
) -> AsyncIterator[tuple[ProxyUpkeep, OutboundProxy, Kept]]:
    current, kept = CurrentSnapshot(), Kept()
    proxy = OutboundProxy(id=1, url=url)
    current.value = Snapshot(proxies={1: proxy})
    transports = Transports(Destinations.allowing(["127.0.0.1"]))
    upkeep = ProxyUpkeep(
        ProxyHealthBook(max_failures=2),
        current,
        transports,
        kept,
        targets=[target],
        interval=interval,
        **({} if its_turn is None else {"its_turn": its_turn}),
    )
    upkeep.start()
    try:
        yield upkeep, proxy, kept
    finally:
        await upkeep.aclose()
        await transports.aclose()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("kind", [HttpProxy, Socks5Proxy])
async def test_a_check_is_a_real_handshake_without_a_credential(
    kind: type[HttpProxy] | type[Socks5Proxy], scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.play(whole(b"{}", status=401))
    async with kind("user", "pass") as door, watched(door.url, f"{scripted_upstream.url}/") as (upkeep, proxy, _):
        standing = await upkeep.check(proxy)
        assert standing.status == "healthy"
        assert standing.avg_latency_ms is not None
        assert door.asked == [f"127.0.0.1:{scripted_upstream.port}"]
        (request,) = scripted_upstream.requests
        assert b"authorization" not in request.head.lower()


async def test_a_proxy_that_refuses_us_fails_its_check(scripted_upstream: ScriptedUpstream) -> None:
    async with HttpProxy("user", "pass") as door:
        wrong = door.url.replace("pass", "wrong")
        async with watched(wrong, f"{scripted_upstream.url}/") as (upkeep, proxy, kept):
            assert (await upkeep.check(proxy)).status == "degraded"
            assert (await upkeep.check(proxy)).status == "down"
            await until(lambda: kept.standings.get(1) is not None and kept.standings[1].status == "down")


async def test_a_proxy_that_is_gone_and_comes_back_is_noticed_by_the_checks_alone(
    scripted_upstream: ScriptedUpstream,
) -> None:
    scripted_upstream.play(whole(b"{}"))
    async with HttpProxy() as door:
        url, port = door.url, door.port
    async with watched(url, f"{scripted_upstream.url}/", interval=0.1) as (_, _, kept):
        await until(lambda: 1 in kept.standings and kept.standings[1].status == "down")
        back = HttpProxy()
        back.port = port
        server = await asyncio.start_server(back._serve, "127.0.0.1", port)
        try:
            await until(lambda: kept.standings[1].status == "healthy")
        finally:
            server.close()


async def test_what_could_not_be_stored_is_said_and_stored_with_the_next_change(
    scripted_upstream: ScriptedUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    scripted_upstream.play(whole(b"{}"))
    async with HttpProxy() as door, watched(door.url, f"{scripted_upstream.url}/") as (upkeep, proxy, kept):
        kept.fails = True
        await upkeep.check(proxy)
        await until(lambda: "was not stored: away" in caplog.text)
        kept.fails = False
        await upkeep.check(proxy)
        await until(lambda: 1 in kept.standings)


def test_origins_are_told_once_and_nonsense_is_left_out() -> None:
    urls = ["https://api.test/v1", "https://api.test/v2", "http://other.test:81/x", "nonsense", "ftp://x", "http://"]
    assert origins(urls) == ("https://api.test/", "http://other.test:81/")


async def test_of_several_workers_one_checks_in_each_interval(scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.play(whole(b"{}"))
    state, interval = MemoryState(), 0.5

    async def its_turn() -> bool:
        return await state.acquire("checks", 0.75 * interval) is not None

    async with AsyncExitStack() as workers, HttpProxy() as door:
        target = f"{scripted_upstream.url}/"
        for _ in range(6):
            await workers.enter_async_context(watched(door.url, target, interval, its_turn))
        began = time.monotonic()
        await until(lambda: len(door.asked) >= 4)
        # Each of six by itself would have asked four times as often.
        assert len(door.asked) <= 2 + (time.monotonic() - began) / (0.75 * interval)
        await workers.aclose()
