"""Streams: kept alive while nothing comes, ended when the client does not read, never dressed up as whole."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import attrs
import falcon.asgi
import pytest

from aigateway_core.errors import GatewayError, UnavailableError
from aigateway_core.resources.resource import exits
from aigateway_core.server.guard import Guard, GuardLimits
from aigateway_core.server.request import LiveRequest

pytestmark = pytest.mark.anyio

Serving = Callable[..., Awaitable[Any]]
Source = Callable[[], AsyncGenerator[bytes, None]]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@attrs.frozen
class Handle:
    keepalive: bytes = b": ping\n\n"
    ending: Callable[[GatewayError], bytes] = lambda error: b"event: error\ndata: %b\n\n" % error.message.encode()


def streaming(source: Source, handle: Handle | None = Handle(), events: list[str] | None = None) -> Any:
    """An app that streams what ``source`` yields."""

    class Stream:
        async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
            stream = source()

            async def closed() -> None:
                await stream.aclose()
                if events is not None:
                    events.append("closed")

            exits(req).push_async_callback(closed)
            if handle is not None:
                req.scope["state"]["stream"] = handle
            resp.content_type = "text/event-stream"
            resp.stream = stream

    app = falcon.asgi.App()
    app.add_route("/", Stream())
    return app


async def test_case_100_a_silent_stream_is_kept_alive(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    async def slow() -> AsyncGenerator[bytes, None]:
        yield b"data: 1\n\n"
        await asyncio.sleep(0.7)
        yield b"data: 2\n\n"

    served = await serving(streaming(slow), keepalive_interval=0.2)
    client = await served.connect()
    await client.send(GET)
    answer = await client.answer()
    assert answer.body == b"data: 1\n\n" + b": ping\n\n" * 3 + b"data: 2\n\n"
    assert answer.complete
    await asyncio.sleep(0.5)  # and nothing goes on after its end
    gc.collect()
    assert [each for each in gc.get_objects() if isinstance(each, LiveRequest)] == []
    await client.send(GET)
    assert (await client.answer()).complete
    assert caplog.records == []


async def test_a_stream_is_kept_alive_before_its_first_chunk(serving: Serving) -> None:
    async def late() -> AsyncGenerator[bytes, None]:
        await asyncio.sleep(0.5)
        yield b"data: 1\n\n"

    served = await serving(streaming(late), keepalive_interval=0.2)
    assert (await served.ask(GET)).body == b": ping\n\n" * 2 + b"data: 1\n\n"


async def test_a_lively_stream_is_left_alone(serving: Serving) -> None:
    async def lively() -> AsyncGenerator[bytes, None]:
        for number in range(15):
            yield b"data: %d\n\n" % number
            await asyncio.sleep(0.05)

    served = await serving(streaming(lively), keepalive_interval=0.3)
    assert (await served.ask(GET)).body == b"".join(b"data: %d\n\n" % number for number in range(15))


@pytest.mark.parametrize("handle", [None, Handle(keepalive=b"")])
async def test_a_stream_that_wants_no_keepalive_gets_none(serving: Serving, handle: Handle | None) -> None:
    async def slow() -> AsyncGenerator[bytes, None]:
        yield b"one "
        await asyncio.sleep(0.4)
        yield b"two"

    served = await serving(streaming(slow, handle), keepalive_interval=0.1)
    assert (await served.ask(GET)).body == b"one two"


async def test_a_keepalive_comes_between_chunks_and_never_within(serving: Serving) -> None:
    async def large() -> AsyncGenerator[bytes, None]:
        for number in range(12):
            yield b"data: " + b"%d" % (number % 10) * 300_000 + b"\n\n"
            await asyncio.sleep(0.01)

    served = await serving(streaming(large), keepalive_interval=0.05)
    client = await served.begin(GET)
    received = b""
    while piece := await client.chunk():
        received += piece
        await asyncio.sleep(0.06)
    events = [event for event in received.split(b"\n\n") if event != b": ping"]
    assert events == [b"data: " + b"%d" % (number % 10) * 300_000 for number in range(12)] + [b""]


def deaf_client(served: Any) -> socket.socket:
    """Asks, and reads nothing of the answer."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", served.port))
    client.sendall(GET)
    return client


@pytest.mark.parametrize("with_the_system", [True, False])
async def test_i_35_clients_that_do_not_read_are_let_go(
    serving: Serving, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, with_the_system: bool
) -> None:
    events: list[str] = []
    if not with_the_system:
        # Linux alone has it; elsewhere, and behind a proxy that does read, the guard is on its own.
        monkeypatch.delattr("socket.TCP_USER_TIMEOUT", raising=False)

    async def flood() -> AsyncGenerator[bytes, None]:
        while True:
            yield b"x" * 65_536

    served = await serving(streaming(flood, events=events), send_timeout=0.5, keepalive_interval=0.2)
    clients = [deaf_client(served) for _ in range(20)]
    await served.until(lambda: served.guard.live == 20)
    await served.idle(3)
    assert events == ["closed"] * 20
    assert len(served.server.server_state.connections) == 0
    for client in clients:
        client.setblocking(False)
        with suppress(OSError):
            while client.recv(1 << 20):
                pass
        client.close()
    assert caplog.records == []


async def test_a_slow_reader_is_no_deaf_one(serving: Serving) -> None:
    async def flood() -> AsyncGenerator[bytes, None]:
        for _ in range(40):
            yield b"x" * 200_000

    served = await serving(streaming(flood), send_timeout=2.0)
    client = await served.begin(GET)
    total = 0
    while piece := await client.chunk():
        total += len(piece)
        await asyncio.sleep(0.08)
    assert total == 8_000_000


async def test_a_stream_that_fails_is_ended_in_its_own_words(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    async def failing() -> AsyncGenerator[bytes, None]:
        yield b"data: 1\n\n"
        raise ZeroDivisionError("hunter22")

    served = await serving(streaming(failing))
    answer = await served.ask(GET)
    assert answer.complete
    assert answer.body == b"data: 1\n\nevent: error\ndata: internal error\n\n"
    assert [record.levelname for record in caplog.records] == ["ERROR"]


async def test_an_error_of_ours_keeps_its_words(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    async def failing() -> AsyncGenerator[bytes, None]:
        yield b"data: 1\n\n"
        raise UnavailableError("the database is away")

    served = await serving(streaming(failing))
    assert (await served.ask(GET)).body == b"data: 1\n\nevent: error\ndata: the database is away\n\n"
    assert caplog.records == []


async def test_a_failing_stream_without_words_of_its_own_is_cut(serving: Serving) -> None:
    async def failing() -> AsyncGenerator[bytes, None]:
        yield b"half"
        await asyncio.sleep(0.05)
        raise ZeroDivisionError

    served = await serving(streaming(failing, handle=None))
    client = await served.begin(GET)
    assert await client.chunk() == b"half"
    assert b"0\r\n" not in await client.closed()
    await served.idle()


async def test_ending_a_request_says_the_last_words_and_lets_go_first(serving: Serving) -> None:
    events: list[str] = []

    async def endless() -> AsyncGenerator[bytes, None]:
        number = 0
        while True:
            yield b"data: %d\n\n" % number
            number += 1
            await asyncio.sleep(0.02)

    cancelling: list[int] = []

    def ending(error: GatewayError) -> bytes:
        task = asyncio.current_task()
        assert task is not None
        cancelling.append(task.cancelling())
        return b"event: error\ndata: %b\n\n" % error.message.encode()

    served = await serving(streaming(endless, Handle(ending=ending), events))
    clients = [await served.begin(GET) for _ in range(20)]
    await asyncio.sleep(0.1)
    served.guard.end()
    for client in clients:
        chunks = []
        while piece := await client.chunk():
            chunks.append(piece)
        assert chunks[0] == b"data: 0\n\n"
        assert chunks[-1] == b"event: error\ndata: the gateway is shutting down\n\n"
    await served.idle()
    assert events == ["closed"] * 20
    assert cancelling == [0] * 20


async def test_a_request_without_an_answer_is_ended_with_a_503(serving: Serving) -> None:
    cancelled = []

    class Thinking:
        async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
            await req.stream.read()
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError as error:
                cancelled.append(error.args)
                raise

    app = falcon.asgi.App()
    app.add_route("/", Thinking())
    served = await serving(app)
    asking = asyncio.create_task(served.post("/"))
    await served.until(lambda: served.guard.live == 1)
    await asyncio.sleep(0.05)
    served.guard.end()
    answer = await asking
    assert (answer.status, answer.headers["retry-after"], answer.headers["connection"]) == (503, "1", "close")
    assert answer.json == {
        "type": "error",
        "error": {
            "type": "overloaded_error",
            "message": "the gateway is shutting down",
            "param": None,
            "code": "unavailable",
            "request_id": answer.headers["x-request-id"],
        },
        "request_id": answer.headers["x-request-id"],
    }
    assert cancelled == [("the gateway is shutting down",)]
    assert (await served.post("/")).status == 503


async def test_ending_waits_for_no_client_that_does_not_read(serving: Serving) -> None:
    async def flood() -> AsyncGenerator[bytes, None]:
        while True:
            yield b"x" * 65_536

    served = await serving(streaming(flood))
    client = deaf_client(served)
    await served.until(lambda: served.guard.live == 1)
    await asyncio.sleep(0.2)
    served.guard.end()
    await served.idle(1)
    client.close()


async def test_last_words_that_nobody_takes_are_not_waited_for(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    async def failing() -> AsyncGenerator[bytes, None]:
        yield b"x" * (16 << 20)  # more than the network takes: the rest waits in the server
        raise ZeroDivisionError

    served = await serving(streaming(failing))
    client = deaf_client(served)
    await served.until(lambda: len(caplog.records) == 1)
    served.guard.end()  # and the shutdown changes nothing about a request that is at its end
    await served.idle(4)
    assert len(caplog.records) == 1
    assert len(served.server.server_state.connections) == 0
    client.close()


async def test_server_sent_events_of_falcon_run_to_their_end(serving: Serving) -> None:
    class Events:
        async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
            async def emit() -> AsyncGenerator[falcon.asgi.SSEvent, None]:
                for number in range(5):
                    yield falcon.asgi.SSEvent(data=b"%d" % number)
                    await asyncio.sleep(0.03)

            resp.sse = emit()

    app = falcon.asgi.App()
    app.add_route("/", Events())
    served = await serving(app)
    assert (await served.ask(GET)).body == b"".join(b"data: %d\n\n" % number for number in range(5))


async def test_a_chunk_waits_for_the_keepalive_before_it() -> None:
    said: list[bytes] = []
    gate = asyncio.Event()
    gone = asyncio.Event()

    async def send(message: Any) -> None:
        if message.get("body") == b": ping\n\n":
            await gate.wait()
        said.append(message.get("body", b""))

    async def receive() -> Any:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["state"]["stream"] = Handle()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await asyncio.sleep(0.15)
        asyncio.get_running_loop().call_later(0.1, gate.set)
        await send({"type": "http.response.body", "body": b"two", "more_body": False})

    guard = Guard(app, GuardLimits(keepalive_interval=0.1))
    headers = [(b"host", b"a")]
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "headers": headers,
    }
    await guard(scope, receive, send)
    assert said == [b"", b"one", b": ping\n\n", b"two"]
