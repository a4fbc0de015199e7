"""The engine of every call to an upstream: one transport per way out, behind httpx's transport interface.

httpx is what the rest of the gateway speaks; its own transport costs many times as much, and loses a slot of its pool
with every request that is cancelled. Calls through an outbound proxy go over aiohttp, which nothing outside of this
package imports; those without over :mod:`aigateway_core.engine.direct`.

What a session must never do is switched off for all of them: cookies, redirects, environment proxies, decompression,
headers of its own. What it must do is here: judge addresses at the moment of connecting, never fall back from a proxy
to a direct connection, and never take bytes that are left on a connection for the answer to the next request.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from aigateway_core.addresses import PUBLIC_ONLY, Destinations
from aigateway_core.engine.direct import DirectTransport
from aigateway_core.engine.resolving import GuardedResolver, default_ssl_context

__all__ = ["DirectTransport", "GuardedResolver", "Transports", "default_ssl_context"]


class Transports:
    """One transport per way out, made when first asked for, closed together.

    There are two methods on purpose: a proxy that is missing by mistake cannot become a direct connection.
    """

    def __init__(self, destinations: Destinations = PUBLIC_ONLY, *, ssl_context: ssl.SSLContext | None = None) -> None:
        self._destinations = destinations
        self._ssl = ssl_context or default_ssl_context()
        self._transports: dict[tuple[str | None, bool], httpx.AsyncBaseTransport] = {}

    def direct(self, *, trusted: bool = False) -> httpx.AsyncBaseTransport:
        """Without an outbound proxy; ``trusted`` for base URLs that stand in the configuration file."""
        return self._transport(None, trusted)

    def through(self, proxy: str, *, trusted: bool = False) -> httpx.AsyncBaseTransport:
        """Through ``proxy``. Raises :class:`ValueError` when that is not the URL of a proxy."""
        return self._transport(proxy, trusted)

    @asynccontextmanager
    async def once(self, proxy: str) -> AsyncIterator[httpx.AsyncBaseTransport]:
        """Through ``proxy``, with connections that are closed with the block. Raises :class:`ValueError`."""
        transport = self._proxied(proxy, trusted=True)
        try:
            yield transport
        finally:
            await transport.aclose()

    async def aclose(self) -> None:
        """Close every connection; calls in flight fail."""
        for transport in self._transports.values():
            await transport.aclose()

    def _transport(self, proxy: str | None, trusted: bool) -> httpx.AsyncBaseTransport:
        key = proxy, trusted
        if key not in self._transports:
            self._transports[key] = (
                DirectTransport(self._destinations, trusted, ssl_context=self._ssl)
                if proxy is None
                else self._proxied(proxy, trusted=trusted)
            )
        return self._transports[key]

    def _proxied(self, proxy: str, *, trusted: bool) -> httpx.AsyncBaseTransport:
        # Only here: a gateway without outbound proxies does without aiohttp, and the seven megabytes that it takes.
        from aigateway_core.engine.proxied import AiohttpTransport

        return AiohttpTransport(self._destinations, trusted, proxy, self._ssl)
