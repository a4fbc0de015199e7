"""A guarded app on a real socket, served by uvicorn as in production, and a client that speaks bytes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeAlias

import attrs
import pytest
import uvicorn

from aigateway_core.server import listening, run
from aigateway_core.server.guard import Guard
from aigateway_core.settings import ServerSettings


@attrs.frozen
class Answer:
    """What came back: ``complete`` is false when the connection closed before the end that was promised."""

    status: int
    headers: dict[str, str]
    body: bytes
    complete: bool

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *pieces: bytes, every: float = 0.0) -> None:
        for number, piece in enumerate(pieces):
            if number and every:
                await asyncio.sleep(every)
            self.writer.write(piece)
            await self.writer.drain()

    async def answer(self, within: float = 5.0) -> Answer:
        """The next answer on the connection."""
        async with asyncio.timeout(within):
            head = await self.reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")[:-2]
            pairs = [line.split(": ", 1) for line in lines]
            headers: dict[str, str] = {}
            for name, value in pairs:
                headers[name] = f"{headers[name]}, {value}" if name in headers else value
            body, complete = await self._body(headers)
            return Answer(int(first.split(" ")[1]), headers, body, complete)

    async def _body(self, headers: dict[str, str]) -> tuple[bytes, bool]:
        body = b""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            if headers.get("transfer-encoding") != "chunked":
                return await self.reader.readexactly(int(headers.get("content-length", "0"))), True
            while line := await self.reader.readline():
                if (size := int(line, 16)) == 0:
                    await self.reader.readline()
                    return body, True
                body += await self.reader.readexactly(size)
                await self.reader.readexactly(2)
        return body, False

    async def chunk(self, within: float = 5.0) -> bytes:
        """The next chunk of a chunked body; empty at its end."""
        async with asyncio.timeout(within):
            size = int(await self.reader.readline(), 16)
            data = await self.reader.readexactly(size)
            await self.reader.readexactly(2)
            return data

    async def closed(self, within: float = 5.0) -> bytes:
        """Wait until the server has closed the connection; what it said until then."""
        said = b""
        async with asyncio.timeout(within):
            with suppress(ConnectionError):
                while data := await self.reader.read(65536):
                    said += data
        return said

    def leave(self) -> None:
        self.writer.close()


class Served:
    """A running server."""

    def __init__(self, guard: Guard, server: uvicorn.Server) -> None:
        self.guard = guard
        self.server = server
        self.port: int = server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.host = f"Host: 127.0.0.1:{self.port}\r\n".encode()
        self._clients: list[Client] = []

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self._clients.append(client)
        return client

    async def ask(self, request: bytes, within: float = 5.0) -> Answer:
        """Send ``request`` on a connection of its own; ``HOST`` in it stands for a right ``Host`` header."""
        client = await self.connect()
        await client.send(request.replace(b"HOST", self.host[:-2]))
        return await client.answer(within)

    async def post(self, path: str, body: bytes = b"{}", *headers: bytes, within: float = 5.0) -> Answer:
        return await self.ask(self.request(path, body, *headers), within)

    def request(self, path: str, body: bytes = b"{}", *headers: bytes) -> bytes:
        kind = b"Content-Type: application/json"
        lines = [b"POST %b HTTP/1.1" % path.encode(), self.host[:-2], kind, b"Content-Length: %d" % len(body), *headers]
        return b"\r\n".join((*lines, b"", b"")) + body

    async def begin(self, request: bytes) -> Client:
        """Send a request and read the head of its answer only."""
        client = await self.connect()
        await client.send(request)
        await client.reader.readuntil(b"\r\n\r\n")
        return client

    async def until(self, reached: Callable[[], bool], within: float = 2.0) -> None:
        async with asyncio.timeout(within):
            while not reached():  # noqa: ASYNC110 - anything may be waited for
                await asyncio.sleep(0.005)

    async def idle(self, within: float = 2.0) -> None:
        async with asyncio.timeout(within):
            await self.guard.idle()

    async def stop(self) -> None:
        for client in self._clients:
            client.leave()
        for server in self.server.servers:
            server.close()
        for connection in tuple(self.server.server_state.connections):
            connection.transport.abort()
        await self.idle(5)
        await self.server.lifespan.shutdown()


App: TypeAlias = Callable[..., Awaitable[None]]
Serve: TypeAlias = Callable[..., Awaitable[Served]]


@pytest.fixture
async def serving() -> AsyncIterator[Serve]:
    """Serves an app: ``await serving(app, body_timeout=0.3)``; the options are settings of the section ``server``."""
    running: list[Served] = []

    async def serve(app: App, **options: Any) -> Served:
        settings = ServerSettings(port=0, **{"drain_timeout": 1.0} | options)
        guard = Guard(app, run._limits(settings))
        config = run._config(guard, settings)
        config.load()
        server = uvicorn.Server(config)
        # Without its main loop and its orderly end, which take their time; test_drain.py has a whole one.
        server.lifespan = config.lifespan_class(config)
        await server.startup(listening.listen(settings))
        served = Served(guard, server)
        running.append(served)
        return served

    yield serve
    for served in running:
        await served.stop()
