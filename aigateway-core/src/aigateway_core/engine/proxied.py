"""The engine for calls through an outbound proxy, over aiohttp; loaded where there is one."""

from __future__ import annotations

import io
import ssl
from typing import Any

import aiohttp
import httpx
from typing_extensions import override
from yarl import URL

from aigateway_core.addresses import PUBLIC_ONLY, Destinations, ProxyAddress
from aigateway_core.engine.body import FAILURES, Body, failed
from aigateway_core.engine.connecting import SocksConnector, TcpConnector
from aigateway_core.engine.connection import MAX_HEADER_LINE
from aigateway_core.engine.direct import KEEPALIVE_SECONDS
from aigateway_core.engine.resolving import GuardedResolver, default_ssl_context
from aigateway_core.faults import AddressRefusedError


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
            return TcpConnector(resolver=GuardedResolver(None if self._trusted else self._destinations), **options)
        resolver = GuardedResolver(self._destinations, httpx.ProxyError)
        if self._proxy.is_socks:
            return SocksConnector(self._proxy, resolver, **options)
        return TcpConnector(httpx.ProxyError, resolver=resolver, **options)

    def _headers(self, request: httpx.Request) -> list[tuple[str, str]]:
        """What the request has; but aiohttp frames the body itself and would contradict ``transfer-encoding``."""
        raw = request.headers.raw
        headers = [(name.decode(), value.decode()) for name, value in raw if name.lower() != b"transfer-encoding"]
        if request.url.scheme == "http":
            headers.extend(self._proxy_headers.items())
        return headers


def _read_with(response: aiohttp.ClientResponse, idle: float | None) -> None:
    """From the headers on, the silence allowed is another."""
    if response.connection is not None and (protocol := response.connection.protocol) is not None:
        protocol.read_timeout = idle
        protocol.start_timeout()


def _payload(content: bytes) -> bytes | io.BytesIO | None:
    """Large bodies as a file, since aiohttp warns of long writes."""
    return io.BytesIO(content) if len(content) > 1 << 20 else content or None
