"""The engine of every call to an upstream: one transport per way out, behind httpx's transport interface.

httpx is what the rest of the gateway speaks; its own transport costs many times as much, and loses a slot of its pool
with every request that is cancelled. Calls through an outbound proxy go over aiohttp, which nothing outside of this
package imports; those without over :mod:`aigateway_core.engine.direct`.

What a session must never do is switched off for all of them: cookies, redirects, environment proxies, decompression,
headers of its own. What it must do is here: judge addresses at the moment of connecting, never fall back from a proxy
to a direct connection, and never take bytes that are left on a connection for the answer to the next request.
"""

from __future__ import annotations

import io
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import httpx
from typing_extensions import override
from yarl import URL

from aigateway_core.addresses import PUBLIC_ONLY, Destinations, ProxyAddress
from aigateway_core.engine.body import FAILURES, Body, failed
from aigateway_core.engine.connecting import Connector, GuardedResolver, SocksConnector, default_ssl_context
from aigateway_core.engine.connection import MAX_HEADER_LINE
from aigateway_core.engine.direct import KEEPALIVE_SECONDS, DirectTransport
from aigateway_core.faults import AddressRefusedError

__all__ = ["AiohttpTransport", "DirectTransport", "GuardedResolver", "Transports", "default_ssl_context"]


class AiohttpTransport(httpx.AsyncBaseTransport):
    """One way out: direct, or through the outbound proxy at the URL ``proxy``.

    ``trusted`` says that the operator wrote the addresses that will be asked for, so that they are not judged; the
    proxy's own always is. Names are resolved by the proxy when there is one, with ``socks5`` as with ``socks5h``: a
    lookup of our own would tell the local resolver what the proxy is there to hide.

    Timeouts come from ``request.extensions["timeout"]``, in seconds: ``connect`` covers everything up to a usable
    connection, the proxy's handshake included; ``read`` the silence between two chunks; ``first_byte``, when present,
    the silence before the headers in its place.

    There is no limit on connections: who waited for a slot would end up blaming the upstream. Admission is the guard's.
    """

    def __init__(
        self,
        destinations: Destinations = PUBLIC_ONLY,
        trusted: bool = False,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._destinations = destinations
        self._trusted = trusted
        self._ssl = ssl_context or default_ssl_context()
        self._proxy = None if proxy is None else ProxyAddress.parse(proxy)
        self._proxy_headers = self._proxy.headers if self._proxy else {}
        self._hop = URL(self._proxy.origin) if self._proxy and not self._proxy.is_socks else None
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        timeout = request.extensions.get("timeout", {})
        connect, idle = timeout.get("connect"), timeout.get("read")
        try:
            url = URL(str(request.url), encoded=True)
            self._judge(url)
            response = await self._open_session().request(
                request.method,
                url,
                headers=self._headers(request),
                data=_payload(await request.aread()),
                proxy=self._hop,
                proxy_headers=self._proxy_headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(connect=connect, sock_read=timeout.get("first_byte", idle)),
            )
        except FAILURES as error:
            raise failed(error) from None
        if "first_byte" in timeout:
            _read_with(response, idle)
        headers = [(name.lower(), value) for name, value in response.raw_headers]
        return httpx.Response(response.status, headers=headers, stream=Body(response), request=request)

    @override
    async def aclose(self) -> None:
        self._closed = True
        if self._session is not None:
            await self._session.close()

    def _judge(self, url: URL) -> None:
        """By the same parser that aiohttp will connect by: two parsers can be made to disagree."""
        if url.scheme not in ("http", "https") or not url.raw_host or url.port is None:
            raise httpx.UnsupportedProtocol("not an http or https URL")
        if url.raw_user is not None or url.raw_password is not None:
            raise httpx.LocalProtocolError("credentials in the URL")
        if not self._trusted and not self._destinations.permits_host(url.raw_host, url.port):
            raise AddressRefusedError("not a public address")
        if self._proxy and not self._destinations.permits_host(self._proxy.host, self._proxy.port):
            raise httpx.ProxyError("the proxy's address is not public")

    def _open_session(self) -> aiohttp.ClientSession:
        if self._closed:
            raise httpx.PoolTimeout("the transport has been closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=self._connector(),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
                auto_decompress=False,
                trust_env=False,
                max_line_size=MAX_HEADER_LINE,
                max_field_size=MAX_HEADER_LINE,
            )
        return self._session

    def _connector(self) -> aiohttp.TCPConnector:
        options: dict[str, Any] = {"limit": 0, "keepalive_timeout": KEEPALIVE_SECONDS, "ssl": self._ssl}
        if self._proxy is None:
            return Connector(resolver=GuardedResolver(None if self._trusted else self._destinations), **options)
        resolver = GuardedResolver(self._destinations, httpx.ProxyError)
        if self._proxy.is_socks:
            return SocksConnector(self._proxy, resolver, **options)
        return Connector(httpx.ProxyError, resolver=resolver, **options)

    def _headers(self, request: httpx.Request) -> list[tuple[str, str]]:
        """What the request has; but aiohttp frames the body itself and would contradict ``transfer-encoding``."""
        raw = request.headers.raw
        headers = [(name.decode(), value.decode()) for name, value in raw if name.lower() != b"transfer-encoding"]
        if request.url.scheme == "http":
            headers.extend(self._proxy_headers.items())
        return headers


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
        transport = AiohttpTransport(self._destinations, trusted=True, proxy=proxy, ssl_context=self._ssl)
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
                else AiohttpTransport(self._destinations, trusted, proxy, self._ssl)
            )
        return self._transports[key]


def _read_with(response: aiohttp.ClientResponse, idle: float | None) -> None:
    """From the headers on, the silence allowed is another."""
    if response.connection is not None and (protocol := response.connection.protocol) is not None:
        protocol.read_timeout = idle
        protocol.start_timeout()


def _payload(content: bytes) -> bytes | io.BytesIO | None:
    """Large bodies as a file, since aiohttp warns of long writes."""
    return io.BytesIO(content) if len(content) > 1 << 20 else content or None
