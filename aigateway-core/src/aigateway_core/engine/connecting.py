"""How a connection is made: what it may lead to, and whose fault it is when there is none."""

from __future__ import annotations

import asyncio
import errno
import ssl
from socket import AF_UNSPEC, AddressFamily
from typing import Any

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp_socks import ProxyConnector, ProxyTimeoutError, ProxyType
from typing_extensions import override

from aigateway_core.addresses import Destinations, ProxyAddress
from aigateway_core.engine.body import detail_of
from aigateway_core.faults import NOT_SENT, AddressRefusedError

OUR_OWN_SHORTAGE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
"""The machine has run out of descriptors, ports or memory: not the fault of whom we wanted to reach."""


class GuardedResolver(AbstractResolver):
    """Resolves names, and refuses those of which any address is out of bounds: a mixed answer tries to slip through.

    The connection goes to the very addresses that were judged, so a second answer of the name server changes nothing.
    ``destinations`` is None where nothing is judged; ``refusal`` is what is raised.
    """

    def __init__(self, destinations: Destinations | None, refusal: type[Exception] = AddressRefusedError) -> None:
        self._destinations = destinations
        self._refusal = refusal
        self._system = aiohttp.ThreadedResolver()
        self._under_way: dict[tuple[str, int, AddressFamily], asyncio.Task[list[ResolveResult]]] = {}

    @override
    async def resolve(self, host: str, port: int = 0, family: AddressFamily = AF_UNSPEC) -> list[ResolveResult]:
        answers = await asyncio.shield(self._lookup(host, port, family))
        judge = self._destinations
        if judge is not None and not all(judge.permits(host, port, answer["host"]) for answer in answers):
            raise self._refusal("the name leads to an address that is not public")
        return answers

    def _lookup(self, host: str, port: int, family: AddressFamily) -> asyncio.Task[list[ResolveResult]]:
        """One at a time for each name: there are few threads for lookups, and a name whose server is slow takes one."""
        key = host, port, family
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.create_task(self._system.resolve(host, port, family))
            task.add_done_callback(lambda done: self._found(key, done))
        return task

    def _found(self, key: tuple[str, int, AddressFamily], task: asyncio.Task[list[ResolveResult]]) -> None:
        del self._under_way[key]
        if not task.cancelled():
            task.exception()  # those who asked may all have left by now

    @override
    async def close(self) -> None:
        await self._system.close()


class Connector(aiohttp.TCPConnector):
    """Says of every failure to connect that it was one: the upstream cannot have seen the request before that."""

    def __init__(self, blame: type[httpx.TransportError] = httpx.ConnectError, **options: Any) -> None:
        super().__init__(**options)
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
        if ssl is None:
            return tunnel, beneath
        protocol = _Tunnelled(self._loop, beneath)
        try:
            transport = await self._loop.start_tls(tunnel, protocol, ssl, server_hostname=host.rstrip("."))
        except BaseException:
            tunnel.abort()
            raise
        if transport is None:
            raise ConnectionResetError
        protocol.connection_made(transport)
        return transport, protocol


class _Tunnelled(ResponseHandler):
    """Keeps the protocol that the tunnel was opened with: were it collected, it would close the connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop, beneath: ResponseHandler) -> None:
        super().__init__(loop)
        self._beneath = beneath


def default_ssl_context() -> ssl.SSLContext:
    """Trusts what the machine trusts, and certifi's list besides, since small containers bring none of their own."""
    context = httpx.create_ssl_context(trust_env=False)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # some builds of Python leave it to a file of the system's
    context.load_default_certs()
    context.set_alpn_protocols(["http/1.1"])
    return context
