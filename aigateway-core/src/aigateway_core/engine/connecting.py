"""How a connection through an outbound proxy is made, and whose fault it is when there is none."""

from __future__ import annotations

import asyncio
import ssl
from functools import partial
from typing import Any

import aiohttp
import httpx
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp_socks import ProxyConnector, ProxyTimeoutError, ProxyType
from typing_extensions import override

from aigateway_core.addresses import ProxyAddress
from aigateway_core.engine.opening import open_connection, unread
from aigateway_core.engine.resolving import OUR_OWN_SHORTAGE, GuardedResolver, detail_of
from aigateway_core.faults import NOT_SENT


class _Protocol(ResponseHandler):
    """Ends at once, and with all that has come."""

    @override
    def connection_lost(self, exc: BaseException | None) -> None:
        if self.transport is not None and (data := unread(self.transport)):
            self.data_received(data)
        super().connection_lost(exc)

    @override
    def close(self) -> None:
        """Wait neither for what is still to be written nor, over TLS, for a farewell: nobody is left to read it."""
        self.abort()


class Connector(aiohttp.TCPConnector):
    """Says of every failure to connect that it was one: the upstream cannot have seen the request before that."""

    def __init__(self, blame: type[httpx.TransportError] = httpx.ConnectError, **options: Any) -> None:
        super().__init__(**options)
        self._factory: Any = partial(_Protocol, loop=self._loop)
        self._blame = blame

    @override
    async def connect(self, req: aiohttp.ClientRequest, traces: Any, timeout: aiohttp.ClientTimeout) -> Connection:
        try:
            while True:
                connection = await super().connect(req, traces, timeout)
                # aiohttp hands out an idle connection on which bytes have come in unasked, and would take them for the
                # answer to this request.
                if connection.protocol is None or not connection.protocol.should_close:
                    return connection
                connection.close()
        except asyncio.CancelledError as error:
            error.add_note(NOT_SENT)
            raise
        except Exception as error:  # noqa: BLE001 -- whatever broke, nothing has been sent
            raise self._unconnected(error) from None

    def _unconnected(self, error: Exception) -> httpx.TransportError:
        if isinstance(error, httpx.TransportError):
            return error
        detail = detail_of(error)
        cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
        if isinstance(error, TimeoutError | ProxyTimeoutError):
            return httpx.ConnectTimeout(detail)
        if isinstance(cause, OSError) and cause.errno in OUR_OWN_SHORTAGE:
            return httpx.PoolTimeout(detail)
        return self._blame(detail)


class TcpConnector(Connector):
    """Without a proxy, or through one that speaks HTTP."""

    @override
    async def _wrap_create_connection(
        self, *args: Any, addr_infos: list[aiohttp.AddrInfoType], req: Any, timeout: Any, **kwargs: Any
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        """As aiohttp does it, which would leave a socket open to be closed twice."""
        kwargs.pop("client_error", None)  # whatever is raised is told by :meth:`connect`
        return await open_connection(addr_infos, *args, **kwargs)


class SocksConnector(Connector, ProxyConnector):
    """Through a SOCKS5 proxy.

    aiohttp-socks would resolve the proxy's name without asking for a judgement, and python-socks would wait for ever
    when it is cancelled within a TLS handshake: both are done here.
    """

    def __init__(self, proxy: ProxyAddress, resolver: GuardedResolver, **options: Any) -> None:
        options |= {"host": proxy.host, "port": proxy.port, "username": proxy.username, "password": proxy.password}
        super().__init__(httpx.ProxyError, proxy_type=ProxyType.SOCKS5, rdns=True, **options)
        self._name = proxy.host
        self._guard = resolver

    @override
    async def _connect_via_proxy(
        self, host: str, port: int, ssl: ssl.SSLContext | None = None, timeout: float | None = None
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        self._proxy_host = (await self._guard.resolve(self._name, self._proxy_port))[0]["host"]
        tunnel, beneath = await super()._connect_via_proxy(host, port, None, timeout)
        protocol = _Tunnelled(self._loop, beneath)
        if ssl is None:
            tunnel.set_protocol(protocol)
            protocol.connection_made(tunnel)
            return tunnel, protocol
        try:
            transport = await self._loop.start_tls(tunnel, protocol, ssl, server_hostname=host.rstrip("."))
        except BaseException:
            tunnel.abort()
            raise
        if transport is None:
            raise ConnectionResetError
        protocol.connection_made(transport)
        return transport, protocol


class _Tunnelled(_Protocol):
    """Keeps the protocol that the tunnel was opened with: were it collected, it would close the connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop, beneath: ResponseHandler) -> None:
        super().__init__(loop)
        self._beneath = beneath
