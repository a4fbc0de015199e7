"""A real server process, started and stopped by signals, with streams under way."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from ports import free_port

pytestmark = pytest.mark.anyio

PROGRAM = Path(__file__).with_name("gateway_process.py")
GET = b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Process:
    """The server, and what it has said."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process = process
        self.port = port
        self.words: list[str] = []

    async def word(self, expected: str) -> None:
        """Wait until it says so."""
        assert self.process.stdout is not None
        async with asyncio.timeout(10):
            while expected not in self.words:
                line = await self.process.stdout.readline()
                assert line, f"{self.words} and no {expected}"
                self.words.append(line.decode().strip())

    async def exit(self, within: float = 10) -> int:
        """Its exit code; what it had left to say is read."""
        assert self.process.stdout is not None
        async with asyncio.timeout(within):
            while line := await self.process.stdout.readline():
                self.words.append(line.decode().strip())
            return await self.process.wait()

    @property
    def complaints(self) -> Awaitable[bytes]:
        assert self.process.stderr is not None
        return self.process.stderr.read()

    async def begin(self, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        return reader, writer


Start: TypeAlias = Callable[..., Awaitable[Process]]


@pytest.fixture
def hears_of_closed_terminals() -> Iterator[None]:
    """Whoever runs the tests may ignore SIGHUP, as nohup does; its children would as well."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
async def start(hears_of_closed_terminals: None) -> AsyncIterator[Start]:
    """Starts a server process: ``await start(drain_timeout)``."""
    running: list[asyncio.subprocess.Process] = []

    async def run(drain_timeout: float, how: str = "", port: int | None = None) -> Process:
        port = port or free_port()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(PROGRAM),
            str(port),
            str(drain_timeout),
            how,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        running.append(process)
        return Process(process, port)

    yield run
    for process in running:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def read_all(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(10):
        return await reader.read()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_an_idle_server_stops_at_once_and_in_order(start: Start, how: signal.Signals) -> None:
    server = await start(30)
    await server.word("listening")
    idle = await server.begin(b"")
    began = time.monotonic()
    server.process.send_signal(how)
    assert await server.exit(5) == 0
    assert time.monotonic() - began < 3
    assert server.words == ["started", "listening", "stopped"]
    assert await server.complaints == b""
    idle[1].close()


async def test_p_01_streams_that_end_in_time_are_not_touched(start: Start) -> None:
    server = await start(10)
    await server.word("listening")
    clients = [await server.begin(GET % b"?events=12") for _ in range(50)]
    for reader, _ in clients:
        await reader.readuntil(b"data: 1\n\n")
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    for reader, writer in clients:
        rest = await read_all(reader)
        assert rest.endswith(b"data: 11\n\n\r\n0\r\n\r\n")
        assert b"error" not in rest
        writer.close()
    assert await server.exit() == 0
    assert time.monotonic() - began < 5
    assert server.words == ["started", "listening", *["closed"] * 50, "stopped"]
    assert await server.complaints == b""


async def test_that_it_stops_is_told_when_the_drain_begins(start: Start) -> None:
    server = await start(10, how="tells")
    await server.word("listening")
    reader, writer = await server.begin(GET % b"?events=12")
    await reader.readuntil(b"data: 1\n\n")
    server.process.send_signal(signal.SIGTERM)
    await server.word("stopping")
    assert (await read_all(reader)).endswith(b"data: 11\n\n\r\n0\r\n\r\n")
    writer.close()
    assert await server.exit() == 0
    assert server.words == ["started", "listening", "stopping", "closed", "stopped"]


async def test_p_02_endless_streams_are_ended_in_their_own_words(start: Start) -> None:
    server = await start(0.5)
    await server.word("listening")
    clients = [await server.begin(GET % b"") for _ in range(50)]
    for reader, _ in clients:
        await reader.readuntil(b"data: 1\n\n")
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    for reader, writer in clients:
        assert (await read_all(reader)).endswith(b"event: error\ndata: the gateway is shutting down\n\n\r\n0\r\n\r\n")
        writer.close()
    assert await server.exit() == 0
    assert time.monotonic() - began < 4
    assert server.words == ["started", "listening", *["closed"] * 50, "stopped"]
    assert await server.complaints == b""


async def test_a_request_without_an_answer_gets_a_503(start: Start) -> None:
    server = await start(0.3)
    await server.word("listening")
    reader, writer = await server.begin(POST)
    await asyncio.sleep(0.2)
    server.process.send_signal(signal.SIGTERM)
    answer = await read_all(reader)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"the gateway is shutting down" in answer
    assert await server.exit() == 0
    assert server.words == ["started", "listening", "cancelled", "stopped"]
    writer.close()


async def test_p_02_new_connections_are_refused_while_it_drains(start: Start) -> None:
    server = await start(5)
    await server.word("listening")
    reader, writer = await server.begin(GET % b"?events=20")
    await reader.readuntil(b"data: 1\n\n")
    server.process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.4)
    with pytest.raises(ConnectionRefusedError):
        await server.begin(GET % b"")
    assert (await read_all(reader)).endswith(b"data: 19\n\n\r\n0\r\n\r\n")
    writer.close()
    assert await server.exit() == 0


async def test_a_terminal_that_is_closed_ends_it_in_order_however_often_that_is_told(start: Start) -> None:
    server = await start(10)
    await server.word("listening")
    reader, writer = await server.begin(GET % b"?events=12")
    await reader.readuntil(b"data: 1\n\n")
    for _ in range(2):
        server.process.send_signal(signal.SIGHUP)
        await asyncio.sleep(0.1)
    assert (await read_all(reader)).endswith(b"data: 11\n\n\r\n0\r\n\r\n")
    assert await server.exit() == 0
    assert server.words == ["started", "listening", "closed", "stopped"]
    writer.close()


async def test_who_started_it_may_have_said_that_a_closed_terminal_is_nothing_to_it(start: Start) -> None:
    # What nohup does: a child inherits what is ignored.
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        server = await start(10)
    finally:
        signal.signal(signal.SIGHUP, before)
    await server.word("listening")
    server.process.send_signal(signal.SIGHUP)
    reader, writer = await server.begin(GET % b"?events=12")
    assert (await reader.readuntil(b"data: 11\n\n")).startswith(b"HTTP/1.1 200 ")
    writer.close()
    server.process.send_signal(signal.SIGTERM)
    assert await server.exit() == 0


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
async def test_p_04_a_second_signal_ends_it_at_once_and_still_in_order(start: Start, second: signal.Signals) -> None:
    server = await start(30)
    await server.word("listening")
    reader, writer = await server.begin(GET % b"")
    await reader.readuntil(b"data: 1\n\n")
    server.process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.3)
    began = time.monotonic()
    server.process.send_signal(second)
    assert (await read_all(reader)).endswith(b"event: error\ndata: the gateway is shutting down\n\n\r\n0\r\n\r\n")
    assert await server.exit(5) == 0
    assert time.monotonic() - began < 2
    assert server.words == ["started", "listening", "closed", "stopped"]
    assert await server.complaints == b""
    writer.close()


async def test_clients_that_leave_while_it_drains_are_no_reason_to_wait(start: Start) -> None:
    server = await start(30)
    await server.word("listening")
    clients = [await server.begin(GET % b"") for _ in range(10)]
    for reader, _ in clients:
        await reader.readuntil(b"data: 1\n\n")
    server.process.send_signal(signal.SIGTERM)
    for _, writer in clients:
        writer.transport.abort()
    assert await server.exit(5) == 0
    assert server.words == ["started", "listening", *["closed"] * 10, "stopped"]
    assert await server.complaints == b""


async def test_p_13_a_port_in_use_is_one_clear_line(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = await start(1, port=port)
        assert await server.exit(5) == 78
    where = f"server.host, server.port: cannot listen on 127.0.0.1:{port}"
    assert server.words == [f"refused: {where}: Address already in use; choose another with --host and --port"]
    assert await server.complaints == b""


async def test_an_app_that_does_not_start_ends_the_process(start: Start) -> None:
    server = await start(1, how="fails")
    assert await server.exit(5) == 3
    assert server.words == []
    assert b"no database" in await server.complaints


async def test_a_signal_before_it_listens_ends_it_in_order(start: Start) -> None:
    server = await start(30)
    await server.word("started")
    server.process.send_signal(signal.SIGTERM)
    assert await server.exit(5) == 0
    assert server.words[-1] == "stopped"
