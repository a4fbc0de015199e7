"""The engine for calls without an outbound proxy: connections of our own, kept per origin.

It does what :class:`~aigateway_core.engine.proxied.AiohttpTransport` does, at a fraction of its cost. The same tests
hold both. Whatever needs a tunnel is left to that one.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from functools import lru_cache
from ipaddress import ip_address
from itertools import chain
from math import inf
from typing import Any, TypeAlias

import aiohappyeyeballs
import httpx
from typing_extensions import override

from aigateway_core.addresses import PUBLIC_ONLY, Destinations, is_literal
from aigateway_core.engine.connection import Connection
from aigateway_core.engine.opening import open_connection
from aigateway_core.engine.resolving import OUR_OWN_SHORTAGE, GuardedResolver, default_ssl_context, detail_of
from aigateway_core.faults import NOT_SENT, AddressRefusedError

KEEPALIVE_SECONDS = 15.0
"""How long an idle connection is kept. Servers keep it longer (60 s is usual), so that they rarely close one we use."""

_DEFAULT_PORTS = {b"http": 80, b"https": 443}
_WITH_A_BODY = ("POST", "PUT", "PATCH")
_FRAMING = ("content-length", "transfer-encoding")
_CLOSING_SECONDS = 1.0
"""A kept connection that is closed within this time of a request, without a word, was closed before it came."""

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
        self._open: set[Connection] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        timeout = request.extensions.get("timeout", {})
        connect, idle = (inf if timeout.get(name) is None else timeout[name] for name in ("connect", "read"))
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
        host = [header for header in headers if header[0].lower() == "host"]
        answer = await self.ask(
            request.method,
            str(request.url),
            dict(host),
            [header for header in headers if header not in host],
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
        headers: Mapping[str, str],
        unique: Iterable[tuple[str, str]],
        content: bytes,
        *,
        connect: float,
        first_byte: float,
        idle: float,
        until: float,
    ) -> _Answer:
        """A request in plain words, without httpx's objects, which would cost more than all the rest.

        ``headers`` are remembered as they were written, ``unique`` ones are not: a credential, for one. What frames the
        body is written here. Deadlines in seconds; all of it ends at the latest at ``until``, a time of the loop's
        clock. Errors as for a request of httpx's.
        """
        origin, begun = _begun(method, url, tuple(headers.items()))
        framed = b"Content-Length: %d\r\n\r\n" % len(content) if content or method in _WITH_A_BODY else b"\r\n"
        request = begun, _lines("", unique), framed, content
        time = asyncio.get_running_loop().time
        connection, began = self._kept(origin), time()
        if connection is not None:
            try:
                await connection.exchange(request, min(began + first_byte, until))
                return _Answer(self, connection, idle)
            except (httpx.RemoteProtocolError, httpx.ReadError):
                # The server was just closing it, and never saw the request, if it closed it without a word and at
                # once: who closes after some thought may have worked on it.
                if self._closed or not connection.unanswered or time() - began > _CLOSING_SECONDS:
                    raise
        connection = await self._connected(origin, min(time() + connect, until))
        await connection.exchange(request, min(time() + first_byte, until))
        return _Answer(self, connection, idle)

    @override
    async def aclose(self) -> None:
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in list(self._open):
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
        if self._closed or not connection.rest():
            connection.abort()
            return
        self._idle.setdefault(connection.origin, []).append(connection)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(KEEPALIVE_SECONDS, self._clean)

    def _clean(self) -> None:
        """Close what has not been used for a while, and forget what is closed."""
        loop, kept = asyncio.get_running_loop(), list(chain(*self._idle.values()))
        self._idle.clear()
        for connection in kept:
            if loop.time() - connection.idle_since >= KEEPALIVE_SECONDS:
                connection.abort()
            elif not connection.closed:
                self._idle.setdefault(connection.origin, []).append(connection)
        self._sweep = loop.call_later(KEEPALIVE_SECONDS / 2, self._clean) if self._idle else None

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
        except (OSError, ValueError, RuntimeError) as error:
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
        addresses = await self._addresses(host, port)
        connection = Connection(loop, origin, self._open.discard)
        self._open.add(connection)
        secure: dict[str, Any] = {"ssl": self._ssl, "server_hostname": host.rstrip(".")} if scheme == b"https" else {}
        try:
            await open_connection(addresses, lambda: connection, **secure)
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

    def received(self, until: float) -> Coroutine[Any, Any, bytes]:
        """All of the body that has come since the last call; empty at its end."""
        return _nothing() if self._connection is None else self._connection.received(self._idle, until)

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self.received(inf):
            yield data

    @override
    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._transport.release(connection)


async def _nothing() -> bytes:
    return b""


def _address(family: int, host: str, port: int) -> aiohappyeyeballs.AddrInfoType:
    # With the protocol's number, without which the loop leaves Nagle's algorithm on.
    place: Any = (host, port, 0, 0) if family == socket.AF_INET6 else (host, port)
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place


@lru_cache(maxsize=1024)
def _place(url: str) -> tuple[Origin, str, str]:
    """Where a URL leads, whom that names, and what is asked for there: vendors are asked at few addresses.

    Raises what httpx raises for an address that cannot be asked.
    """
    known = httpx.URL(url)
    scheme, host = known.raw_scheme, known.raw_host
    if scheme not in _DEFAULT_PORTS or not host:
        raise httpx.UnsupportedProtocol("not an http or https URL")
    if known.userinfo:
        raise httpx.LocalProtocolError("credentials in the URL")
    origin = scheme, host, known.port or _DEFAULT_PORTS[scheme]
    return origin, known.netloc.decode("ascii"), known.raw_path.decode("ascii")


@lru_cache(maxsize=256)
def _begun(method: str, url: str, headers: tuple[tuple[str, str], ...]) -> tuple[Origin, bytes]:
    """Where a request goes, and its head as far as that is the same each time. Errors as of :func:`_lines`."""
    origin, host, target = _place(url)
    named = () if any(name.lower() == "host" for name, _ in headers) else (("Host", host),)
    return origin, _lines(f"{method} {target} HTTP/1.1\r\n", (*named, *headers))


def _lines(lines: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """``lines`` and headers, but for those that frame a body, which is done here.

    Raises :class:`httpx.LocalProtocolError` for what would end a line of the head, and for what is no ASCII.
    """
    ends = 1 if lines else 0
    for name, value in headers:
        if name.lower() not in _FRAMING:
            lines += f"{name}: {value}\r\n"
            ends += 1
    try:
        written = lines.encode("ascii")
    except UnicodeEncodeError:
        raise httpx.LocalProtocolError("a header holds characters that none can carry") from None
    if written.count(b"\n") != ends or written.count(b"\r") != ends or b"\0" in written:
        raise httpx.LocalProtocolError("a header holds a line break")
    return written
