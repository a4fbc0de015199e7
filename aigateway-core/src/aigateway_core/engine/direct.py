"""The engine for calls without an outbound proxy: connections of our own, kept per origin.

It does what :class:`~aigateway_core.engine.proxied.AiohttpTransport` does, at a fraction of its cost. The same tests
hold both. Whatever needs a tunnel is left to that one.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence
from functools import lru_cache
from ipaddress import ip_address
from math import inf
from typing import Any, NamedTuple, TypeAlias

import aiohappyeyeballs
import httpx
from typing_extensions import override

from aigateway_core.addresses import PUBLIC_ONLY, Destinations, is_literal
from aigateway_core.engine.connection import Connection
from aigateway_core.engine.resolving import OUR_OWN_SHORTAGE, GuardedResolver, default_ssl_context, detail_of
from aigateway_core.faults import NOT_SENT, AddressRefusedError

KEEPALIVE_SECONDS = 15.0
"""How long an idle connection is kept. Servers keep it longer (60 s is usual), so that they rarely close one we use."""

_DEFAULT_PORTS = {b"http": 80, b"https": 443}
_WITH_A_BODY = ("POST", "PUT", "PATCH")
_CLOSING_SECONDS = 1.0
"""A kept connection that is closed within this time of a request, without a word, was closed before it came."""

_NEXT_ADDRESS_SECONDS = 0.25
"""How long one of several addresses is tried alone (RFC 8305 §5)."""

Origin: TypeAlias = tuple[bytes, bytes, int]
"""Scheme, host and port."""


class DirectTransport(httpx.AsyncBaseTransport):
    """``trusted`` says that the operator wrote the addresses that will be asked for, so that they are not judged.

    Timeouts and limits are those of :class:`~aigateway_core.engine.proxied.AiohttpTransport`.
    """

    def __init__(
        self,
        destinations: Destinations = PUBLIC_ONLY,
        trusted: bool = False,
        *,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._judge = None if trusted else destinations
        self._resolver = GuardedResolver(self._judge)
        self._ssl = ssl_context or default_ssl_context()
        self._idle: dict[Origin, list[Connection]] = {}
        self._origins: dict[Connection, Origin] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        timeout = request.extensions.get("timeout", {})
        connect, idle = (inf if timeout.get(name) is None else timeout[name] for name in ("connect", "read"))
        answer = await self.ask(
            request.method,
            str(request.url),
            request.headers.raw,
            await request.aread(),
            connect=connect,
            first_byte=timeout.get("first_byte", idle),
            idle=idle,
            until=inf,
        )
        return httpx.Response(answer.status, headers=answer.headers, stream=answer, request=request)

    async def ask(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[bytes, bytes]],
        content: bytes,
        *,
        connect: float,
        first_byte: float,
        idle: float,
        until: float,
    ) -> _Answer:
        """A request in plain words, without httpx's objects, which would cost more than all the rest.

        Deadlines in seconds; all of it ends at the latest at ``until``, a time of the loop's clock. What frames the
        body is written here where ``headers`` do not say it. Errors as for a request of httpx's.
        """
        place = _place(url)
        request = _head(method, place, headers, len(content)), content
        time = asyncio.get_running_loop().time
        connection, began = self._kept(place.origin), time()
        if connection is not None:
            try:
                await connection.exchange(request, min(began + first_byte, until))
                return _Answer(self, connection, idle)
            except (httpx.RemoteProtocolError, httpx.ReadError):
                # The server was just closing it, and never saw the request, if it closed it without a word and at
                # once: who closes after some thought may have worked on it.
                if self._closed or not connection.unanswered or time() - began > _CLOSING_SECONDS:
                    raise
        connection = await self._connected(place.origin, min(time() + connect, until))
        await connection.exchange(request, min(time() + first_byte, until))
        return _Answer(self, connection, idle)

    @override
    async def aclose(self) -> None:
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in list(self._origins):
            connection.abort()

    # -- connections that are there

    def _kept(self, origin: Origin) -> Connection | None:
        """The connection that was used last: the others grow old, and go."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if not connection.closed:
                return connection
        return None

    def release(self, connection: Connection) -> None:
        """Take back a connection whose exchange is over, one way or the other."""
        if self._closed or not connection.is_reusable():
            connection.abort()
            return
        connection.rest()
        self._idle.setdefault(self._origins[connection], []).append(connection)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(KEEPALIVE_SECONDS, self._clean)

    def _lost(self, connection: Connection) -> None:
        origin = self._origins.pop(connection, None)
        idle = self._idle.get(origin) if origin else None
        if idle and connection in idle:
            idle.remove(connection)

    def _clean(self) -> None:
        """Close what has not been used for a while, and forget origins without connections."""
        self._sweep = None
        loop = asyncio.get_running_loop()
        for connection in [one for idle in self._idle.values() for one in idle]:
            if loop.time() - connection.idle_since >= KEEPALIVE_SECONDS:
                connection.abort()
        self._idle = {origin: idle for origin, idle in self._idle.items() if idle}
        if self._idle:
            self._sweep = loop.call_later(KEEPALIVE_SECONDS / 2, self._clean)

    # -- connections to be made

    async def _connected(self, origin: Origin, until: float) -> Connection:
        """A new connection. Raises what says that nothing was sent."""
        if self._closed:
            raise httpx.PoolTimeout("the transport has been closed")
        try:
            async with asyncio.timeout_at(until if until < inf else None):
                connection = await self._connect(origin)
        except httpx.TransportError:
            raise
        except asyncio.CancelledError as error:
            error.add_note(NOT_SENT)
            raise
        except TimeoutError as error:
            raise httpx.ConnectTimeout(detail_of(error)) from None
        except (OSError, ValueError) as error:
            short = isinstance(error, OSError) and error.errno in OUR_OWN_SHORTAGE
            raise (httpx.PoolTimeout if short else httpx.ConnectError)(detail_of(error)) from None
        if self._closed:
            raise httpx.PoolTimeout("the transport has been closed")
        if connection.closed:
            raise httpx.ConnectError("the connection was closed before the request")
        return connection

    async def _connect(self, origin: Origin) -> Connection:
        scheme, raw_host, port = origin
        host, loop = raw_host.decode(), asyncio.get_running_loop()
        wire = await aiohappyeyeballs.start_connection(
            await self._addresses(host, port), happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS, interleave=1, loop=loop
        )
        connection = Connection(loop, self._lost)
        self._origins[connection] = origin
        secure: dict[str, Any] = {"ssl": self._ssl, "server_hostname": host.rstrip(".")} if scheme == b"https" else {}
        try:
            await loop.create_connection(lambda: connection, sock=wire, **secure)
        except BaseException:
            connection.abort()
            raise
        return connection

    async def _addresses(self, host: str, port: int) -> list[aiohappyeyeballs.AddrInfoType]:
        """Where the name leads, judged: the connection goes to one of these and nowhere else."""
        if self._judge is not None and not self._judge.permits_host(host, port):
            raise AddressRefusedError("not a public address")
        if is_literal(host):
            literal = str(ip_address(host))
            return [_address(socket.AF_INET6 if ":" in literal else socket.AF_INET, literal, port)]
        answers = await self._resolver.resolve(host, port, socket.AF_UNSPEC)
        return [_address(answer["family"], answer["host"], port) for answer in answers]


class _Answer(httpx.AsyncByteStream):
    """The head of an answer, and its body as it comes in.

    Closing it before its end closes the connection, at once.
    """

    def __init__(self, transport: DirectTransport, connection: Connection, idle: float) -> None:
        self.status = connection.status
        self.headers = connection.headers
        self._transport = transport
        self._connection: Connection | None = connection
        self._idle = idle

    async def received(self, until: float) -> bytes:
        """All of the body that has come since the last call; empty at its end."""
        return b"" if self._connection is None else await self._connection.received(self._idle, until)

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self.received(inf):
            yield data

    @override
    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._transport.release(connection)


def _address(family: int, host: str, port: int) -> aiohappyeyeballs.AddrInfoType:
    # With the protocol's number, without which the loop leaves Nagle's algorithm on.
    place: Any = (host, port, 0, 0) if family == socket.AF_INET6 else (host, port)
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place


class _Place(NamedTuple):
    """Where a URL leads."""

    origin: Origin
    host: bytes
    target: bytes


@lru_cache(maxsize=1024)
def _place(url: str) -> _Place:
    """Taken apart once: vendors are asked at few addresses, and over and over again.

    Raises what httpx raises for an address that cannot be asked.
    """
    known = httpx.URL(url)
    scheme, host = known.raw_scheme, known.raw_host
    if scheme not in _DEFAULT_PORTS or not host:
        raise httpx.UnsupportedProtocol("not an http or https URL")
    if known.userinfo:
        raise httpx.LocalProtocolError("credentials in the URL")
    return _Place((scheme, host, known.port or _DEFAULT_PORTS[scheme]), known.netloc, known.raw_path)


def _head(method: str, place: _Place, headers: Iterable[tuple[bytes, bytes]], length: int) -> bytes:
    """The request's head. Raises :class:`httpx.LocalProtocolError` for what would end a line of it."""
    lines = [b"%s %s HTTP/1.1" % (method.encode("ascii"), place.target)]
    seen = set()
    for name, value in headers:
        known = name.lower()
        if known != b"transfer-encoding":
            seen.add(known)
            lines.append(name + b": " + value)
    if b"host" not in seen:
        lines.insert(1, b"Host: " + place.host)
    if b"content-length" not in seen and (length or method in _WITH_A_BODY):
        lines.append(b"Content-Length: %d" % length)
    lines.append(b"\r\n")
    head = b"\r\n".join(lines)
    ends = len(lines)
    if head.count(b"\n") != ends or head.count(b"\r") != ends or b"\0" in head:
        raise httpx.LocalProtocolError("a header holds a line break")
    return head
