"""What happens to outbound proxies beside the requests: each is checked now and then, and what is known of it stored.

A check is a real handshake, with a connection of its own: through the proxy to a provider's host, TLS included, and the
first line of an answer, whatever it says. No credential is sent.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

import httpx

from aigateway_core.egress.health import ProxyHealthBook, Standing
from aigateway_core.engine import Transports
from aigateway_core.errors import GatewayError
from aigateway_core.snapshot import CurrentSnapshot, OutboundProxy

log = logging.getLogger(__name__)

_PATIENCE = 10.0
"""Seconds that a check may take, for each of its steps."""

_SAVE_SECONDS = 1.0
"""How long figures wait to be stored together."""


class HealthStore(Protocol):
    """Where health is kept."""

    async def keep(self, proxy_id: int, standing: Standing) -> None:
        """Store it. Raises :class:`GatewayError`."""


async def _always() -> bool:
    return True


class ProxyUpkeep:
    """Checks every proxy each ``interval`` seconds (0: never) and stores what the book learns, until it is closed.

    ``targets`` are origins to be reached, of which one is enough. ``its_turn`` is asked before each round: of several
    workers one checks, and the others read what it has stored.
    """

    def __init__(
        self,
        book: ProxyHealthBook,
        snapshot: CurrentSnapshot,
        transports: Transports,
        store: HealthStore,
        *,
        targets: Sequence[str],
        interval: float,
        its_turn: Callable[[], Awaitable[bool]] = _always,
    ) -> None:
        self._book = book
        self._snapshot = snapshot
        self._transports = transports
        self._store = store
        self._targets = targets
        self._interval = interval
        self._its_turn = its_turn
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin."""
        self._book.on_change = self._news.set
        self._tasks.append(asyncio.create_task(self._save_news(), name="proxy-health"))
        if self._interval and self._targets:
            self._tasks.append(asyncio.create_task(self._check_all(), name="proxy-checks"))

    async def aclose(self) -> None:
        """Stop, and store what is left."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._save()

    async def check(self, proxy: OutboundProxy) -> Standing:
        """Try this proxy now, and tell how it stands."""
        began = time.perf_counter()
        if await self._gets_through(proxy):
            self._book.worked(proxy, (time.perf_counter() - began) * 1000, checked=True)
        else:
            self._book.failed(proxy, checked=True)
        return self._book.standing(proxy)

    async def _gets_through(self, proxy: OutboundProxy) -> bool:
        for target in self._targets:
            with suppress(httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError):
                async with asyncio.timeout(2 * _PATIENCE):
                    return await self._handshake(proxy, target)
        return False

    async def _handshake(self, proxy: OutboundProxy, target: str) -> bool:
        """A request without a body or a credential. Raises what a transport raises."""
        timeout = {"connect": _PATIENCE, "read": _PATIENCE, "write": _PATIENCE, "pool": _PATIENCE}
        request = httpx.Request(
            "GET", target, headers={"accept": "*/*", "user-agent": "aigateway"}, extensions={"timeout": timeout}
        )
        async with self._transports.once(proxy.url) as transport:
            response = await transport.handle_async_request(request)
            await response.aclose()
        return response.status_code != 407

    async def _check_all(self) -> None:
        while True:
            # Not all gateways at the same moment, and not all of it in the first second of a start.
            await asyncio.sleep(self._interval * random.uniform(0.8, 1.2))  # noqa: S311 - spreads, hides nothing
            if not await self._its_turn():
                continue
            proxies = [proxy for proxy in self._snapshot.value.proxies.values() if proxy.is_active]
            await asyncio.gather(*map(self.check, proxies), return_exceptions=True)

    async def _save_news(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            await self._save()
            await asyncio.sleep(_SAVE_SECONDS)

    async def _save(self) -> None:
        known: Mapping[int, OutboundProxy] = self._snapshot.value.proxies
        self._book.forget(lambda proxy_id: proxy_id not in known)
        for proxy_id, standing in self._book.take_unsaved().items():
            try:
                await self._store.keep(proxy_id, standing)
            except GatewayError as error:
                # What is in memory counts; the next change stores it again.
                log.warning("the health of outbound proxy %d was not stored: %s", proxy_id, error.message)


def origins(urls: Sequence[str]) -> tuple[str, ...]:
    """Scheme, host and port of each URL, once."""
    found: dict[str, None] = {}
    for url in urls:
        with suppress(httpx.InvalidURL):
            parsed = httpx.URL(url)
            if parsed.scheme in {"http", "https"} and parsed.host:
                found[f"{parsed.scheme}://{parsed.netloc.decode()}/"] = None
    return tuple(found)
