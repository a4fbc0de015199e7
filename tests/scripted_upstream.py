"""An HTTP server for tests that does to the byte what a script says, the forbidden included.

::

    async def test_...(scripted_upstream):
        scripted_upstream.play(whole(b'{"ok": true}'))                      # one script for every request
        scripted_upstream.play(whole(status=401), sse(b"data: 1\\n\\n"))     # one after the other, the last for ever
        scripted_upstream.play(raw(b"HTTP/1.1 200 OK\\r\\n", then=reset))       # broken on purpose
        ... call scripted_upstream.url ...
        assert scripted_upstream.requests[0].headers["authorization"] == "Bearer k"
        await scripted_upstream.quiet()                                      # every connection has been closed

A script is any ``async def script(wire: Wire) -> None``; the functions here make the usual ones. When it returns, the
connection takes the next request; :func:`cut`, :func:`reset` and :func:`stall` are ways not to.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

import attrs


@attrs.frozen
class SeenRequest:
    """A request as it was on the wire. ``headers`` have lower-case names, repeated ones joined by a comma."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    head: bytes
    connection: int


class Wire:
    """The connection a script plays on."""

    def __init__(self, request: SeenRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.request = request
        self._reader = reader
        self._writer = writer

    async def send(self, *pieces: bytes, every: float = 0.0) -> None:
        """Write each piece by itself, ``every`` seconds apart."""
        for number, piece in enumerate(pieces):
            if number and every:
                await asyncio.sleep(every)
            if self._writer.is_closing():
                raise ConnectionResetError
            self._writer.write(piece)
            await self._writer.drain()

    async def head(self, status: int = 200, **headers: str) -> None:
        """Write a status line and headers (``content_type="text/plain"``)."""
        await self.send(head_of(status, **headers))

    async def chunk(self, data: bytes) -> None:
        """Write one chunk of a chunked body; an empty one ends it."""
        await self.send(chunk_of(data))

    async def gone(self) -> None:
        """Wait until the client has closed the connection. What it still sends is thrown away."""
        with suppress(ConnectionError):
            while await self._reader.read(65536):
                pass

    def close(self) -> None:
        """Close in good order, whatever was promised."""
        self._writer.close()

    def reset(self) -> None:
        """Close with a TCP reset."""
        linger = struct.pack("ii", 1, 0)
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._writer.transport.abort()


Script: TypeAlias = Callable[[Wire], Awaitable[None]]


async def keep(wire: Wire) -> None:
    """Leave the connection open for the next request."""


async def cut(wire: Wire) -> None:
    """Close the connection."""
    wire.close()


async def reset(wire: Wire) -> None:
    """Reset the connection. A moment later, so that what was sent before arrives."""
    await asyncio.sleep(0.02)
    wire.reset()


async def stall(wire: Wire) -> None:
    """Say nothing more until the client leaves."""
    await wire.gone()
    wire.close()


def head_of(status: int = 200, **headers: str) -> bytes:
    """A status line and headers as bytes; ``_`` in a name stands for ``-``."""
    lines = [f"HTTP/1.1 {status} Status", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join((*lines, "", "")).encode()


def chunk_of(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def whole(body: bytes = b"{}", status: int = 200, *, delay: float = 0.0, **headers: str) -> Script:
    """A whole answer, after ``delay`` seconds."""

    async def script(wire: Wire) -> None:
        await asyncio.sleep(delay)
        known = {"content_type": "application/json", "content_length": str(len(body))}
        await wire.send(head_of(status, **known | headers) + body)

    return script


def chunked(
    *pieces: bytes, every: float = 0.0, then: Script | None = None, status: int = 200, **headers: str
) -> Script:
    """A chunked answer, one chunk for each piece. ``then`` takes the place of its end."""

    async def script(wire: Wire) -> None:
        await wire.head(status, **{"content_type": "application/octet-stream"} | headers, transfer_encoding="chunked")
        await wire.send(*map(chunk_of, pieces), every=every)
        if then is None:
            await wire.chunk(b"")
        else:
            await then(wire)

    return script


def sse(*events: bytes, every: float = 0.0, then: Script | None = None) -> Script:
    """A stream of server-sent events, each a block of bytes with its blank line."""
    return chunked(*events, every=every, then=then, content_type="text/event-stream")


def raw(*pieces: bytes, every: float = 0.0, then: Script = keep) -> Script:
    """These bytes and no other."""

    async def script(wire: Wire) -> None:
        await wire.send(*pieces, every=every)
        await then(wire)

    return script


class ScriptedUpstream:
    """The server. ``opened`` counts its connections, ``open`` those that are open now, ``most`` those open at once.

    ``busy`` are those with an answer under way: not idle.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[SeenRequest] = []
        self.opened = 0
        self.open = 0
        self.most = 0
        self.busy = 0
        self._tls = tls
        self._scripts: list[Script] = [whole()]
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> ScriptedUpstream:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls, backlog=2048)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        """``http://127.0.0.1:<port>``, without a slash at its end."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def play(self, *scripts: Script) -> None:
        """Answer the coming requests with these scripts, the last one for every further request."""
        self._scripts = list(scripts)

    async def until(self, reached: Callable[[], bool], within: float = 2.0) -> None:
        """Wait until ``reached()`` is true; an AssertionError when that takes longer."""
        deadline = asyncio.get_running_loop().time() + within
        while not reached():
            assert asyncio.get_running_loop().time() < deadline, f"not within {within} s: {self!r}"
            await asyncio.sleep(0.005)

    async def quiet(self, within: float = 2.0) -> None:
        """Wait until no connection is open any more."""
        await self.until(lambda: self.open == 0, within)

    def __repr__(self) -> str:
        return f"<ScriptedUpstream {len(self.requests)} requests, {self.open} of {self.opened} connections open>"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.opened += 1
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            await self._answer(self.opened, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            request = await _read_request(number, reader)
            self.requests.append(request)
            script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
            self.busy += 1
            try:
                await script(Wire(request, reader, writer))
            finally:
                self.busy -= 1


async def _read_request(number: int, reader: asyncio.StreamReader) -> SeenRequest:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    method, target, _ = first.split(" ")
    if "chunked" in headers.get("transfer-encoding", ""):
        body = await _read_chunks(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return SeenRequest(method, target, headers, body, head, number)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readline()
    return body
