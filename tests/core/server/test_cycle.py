"""A connection without a socket: what is written when, and what is never written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from aigateway_core.server.asgi import LINE, Message
from aigateway_core.server.protocol import Connection

pytestmark = pytest.mark.anyio

REQUEST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Wire(asyncio.Transport):
    """Keeps each write by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False
        self.written_before_the_end = 0

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed, self.written_before_the_end = True, len(self.writes)

    abort = close


class Connected:
    """An app behind a connection, whose other end is here."""

    def __init__(self, app: Callable[..., Any], keep_alive: int = 75) -> None:
        config = uvicorn.Config(app, log_config=None, timeout_keep_alive=keep_alive, lifespan="off")
        config.load()
        self.state = ServerState()
        self.wire = Wire()
        self.connection = Connection(config, self.state, {})
        self.connection.connection_made(self.wire)

    async def says(self, request: bytes = REQUEST) -> list[bytes]:
        """What is written upon this, write by write."""
        before = len(self.wire.writes)
        self.connection.data_received(request)
        async with asyncio.timeout(2):
            await asyncio.gather(*self.state.tasks)
        return self.wire.writes[before:]


def saying(*messages: Message, headers: list[tuple[bytes, bytes]]) -> Callable[..., Any]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for message in messages:
            await send({"type": "http.response.body", **message})

    return app


async def test_a_whole_answer_is_one_write() -> None:
    app = saying({"body": b"ok"}, headers=[(b"content-length", b"2")])
    assert await Connected(app).says() == [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"]


async def test_each_chunk_is_one_write_and_the_head_goes_with_the_first() -> None:
    app = saying({"body": b"one", "more_body": True}, {"body": b"more", "more_body": True}, {"body": b""}, headers=[])
    said = await Connected(app).says()
    assert said == [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n",
        b"4\r\nmore\r\n",
        b"0\r\n\r\n",
    ]


@pytest.fixture
def one_moment(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets the loop's clock stand where it is told: uvloop's goes on once a millisecond."""

    def stop(at: float = 7.0) -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: at)

    return stop


HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def pieces(*texts: bytes) -> list[Message]:
    return [{"body": text, "more_body": True} for text in texts]


async def test_of_pieces_that_come_at_one_moment_the_first_goes_out_at_once_and_the_others_together(
    one_moment: Callable[..., None],
) -> None:
    one_moment()
    wait = asyncio.Event()
    at_once: list[bytes] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await saying(*pieces(b"one", b"two", b"three"), headers=[])(scope, receive, send)
        at_once.extend(connected.wire.writes)
        await wait.wait()
        await send({"type": "http.response.body", "body": b""})

    connected = Connected(app)
    connected.connection.data_received(REQUEST)
    for _ in range(3):
        await asyncio.sleep(0)
    assert at_once == [HEAD + b"3\r\none\r\n"]
    assert connected.wire.writes == [HEAD + b"3\r\none\r\n", b"3\r\ntwo\r\n5\r\nthree\r\n"]
    wait.set()
    await asyncio.gather(*connected.state.tasks)
    assert connected.wire.writes[2:] == [b"0\r\n\r\n"]


async def test_the_end_of_an_answer_takes_along_what_came_at_its_moment(one_moment: Callable[..., None]) -> None:
    one_moment()
    app = saying(*pieces(b"one", b"two"), {"body": b"end"}, headers=[])
    said = await Connected(app).says()
    await asyncio.sleep(0)
    assert said == [HEAD + b"3\r\none\r\n", b"3\r\ntwo\r\n3\r\nend\r\n0\r\n\r\n"]


async def test_what_was_held_goes_out_before_an_answer_that_is_not_finished_ends(
    one_moment: Callable[..., None],
) -> None:
    one_moment()
    connected = Connected(saying(*pieces(b"one", b"two"), headers=[]))
    assert b"".join(await connected.says()) == HEAD + b"3\r\none\r\n3\r\ntwo\r\n"
    assert connected.wire.closed
    assert connected.wire.written_before_the_end == 2


async def test_pieces_without_a_byte_are_not_written(one_moment: Callable[..., None]) -> None:
    one_moment()
    said = await Connected(saying(*pieces(b"1", b"2", b"3"), {"body": b""}, headers=[])).says(
        b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    await asyncio.sleep(0)
    assert said == [b"HTTP/1.1 200 OK\r\n\r\n"]


async def test_no_more_than_a_little_is_held(one_moment: Callable[..., None]) -> None:
    one_moment()
    large = b"x" * (40 << 10)
    app = saying(*pieces(large, large, large, large), {"body": b""}, headers=[])
    said = await Connected(app).says()
    assert [written.count(b"x") // len(large) for written in said] == [1, 2, 1]


async def test_a_piece_that_comes_later_does_not_overtake_what_is_held(one_moment: Callable[..., None]) -> None:
    one_moment()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await saying(*pieces(b"1", b"2"), headers=[])(scope, receive, send)
        one_moment(7.001)
        await send({"type": "http.response.body", "body": b"3", "more_body": True})
        await send({"type": "http.response.body", "body": b"4"})

    said = b"".join(await Connected(app).says())
    assert said == HEAD + b"1\r\n1\r\n1\r\n2\r\n1\r\n3\r\n1\r\n4\r\n0\r\n\r\n"


async def test_a_client_that_has_ended_its_own_half_gets_what_is_held_too(one_moment: Callable[..., None]) -> None:
    one_moment()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        connected.wire.closed = True  # a transport says so as soon as its client has ended its half
        await saying(*pieces(b"1", b"2"), headers=[])(scope, receive, send)
        await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"3"})

    connected = Connected(app)
    assert b"".join(await connected.says()) == HEAD + b"1\r\n1\r\n1\r\n2\r\n1\r\n3\r\n0\r\n\r\n"


@pytest.mark.parametrize("leaves", [True, False])
async def test_what_is_held_is_not_written_to_a_connection_that_is_gone(
    one_moment: Callable[..., None], leaves: bool
) -> None:
    one_moment()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await saying(*pieces(b"one", b"two"), headers=[])(scope, receive, send)
        if leaves:
            connected.connection.connection_lost(None)
        else:
            scope["extensions"][LINE].abort()

    connected = Connected(app)
    assert await connected.says() == [HEAD + b"3\r\none\r\n"]
    await asyncio.sleep(0)
    assert len(connected.wire.writes) == 1


@pytest.mark.parametrize("connection", [b"", b"Connection: keep-alive\r\n"])
async def test_a_client_of_http_1_0_gets_no_chunks_it_does_not_know_but_the_end_of_the_connection(
    connection: bytes,
) -> None:
    app = saying({"body": b"one", "more_body": True}, {"body": b"more", "more_body": True}, {"body": b""}, headers=[])
    connected = Connected(app)
    said = await connected.says(b"GET / HTTP/1.0\r\nHost: a\r\n%b\r\n" % connection)
    assert said == [b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\none", b"more"]
    assert connected.wire.closed


async def test_a_client_of_http_1_0_is_told_a_length_that_is_known() -> None:
    connected = Connected(saying({"body": b"ok"}, headers=[(b"content-length", b"2")]))
    said = await connected.says(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
    assert said == [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"]


@pytest.mark.parametrize("name", [b"x-a\r\nx-b", b"x a", b"", b"x:"])
@pytest.mark.parametrize("value", [b"fine", b"a\r\nset-cookie: b", b"a\n", b"\x00", b"\x7f"])
async def test_no_header_can_become_two(name: bytes, value: bytes, caplog: pytest.LogCaptureFixture) -> None:
    app = saying({"body": b"ok"}, headers=[(b"content-length", b"2"), (name, value)])
    connected = Connected(app)
    assert await connected.says() == []
    assert connected.wire.closed
    assert "without its guard" in caplog.text


@pytest.mark.parametrize("length", [b"1", b"3"])
async def test_a_body_is_as_long_as_its_head_says_or_the_connection_ends(
    length: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    connected = Connected(saying({"body": b"ok"}, headers=[(b"content-length", length)]))
    assert await connected.says() == []
    assert connected.wire.closed
    assert "as long as its head says" in caplog.text


async def test_a_line_tells_of_the_leave_once_and_only_while_there_is_no_whole_answer() -> None:
    heard: list[str] = []
    answering = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["extensions"][LINE].on_leave = lambda: heard.append("left")
        await answering.wait()
        await saying({"body": b"ok"}, headers=[(b"content-length", b"2")])(scope, receive, send)

    one = Connected(app)
    one.connection.data_received(REQUEST)
    await asyncio.sleep(0)
    one.connection.connection_lost(None)
    answering.set()
    await asyncio.gather(*one.state.tasks)
    assert heard == ["left"]
    assert one.wire.writes == []
    other = Connected(app)
    await other.says()
    other.connection.connection_lost(None)
    assert heard == ["left"]


async def test_a_connection_that_is_idle_too_long_is_closed_and_no_earlier() -> None:
    connected = Connected(saying({"body": b"ok"}, headers=[(b"content-length", b"2")]), keep_alive=1)
    for _ in range(3):
        await connected.says()
        await asyncio.sleep(0.6)
    assert not connected.wire.closed
    await asyncio.sleep(0.8)
    assert connected.wire.closed


async def test_a_connection_that_says_nothing_but_empty_lines_is_idle() -> None:
    connected = Connected(saying({"body": b"ok"}, headers=[(b"content-length", b"2")]), keep_alive=1)
    await connected.says()
    for _ in range(8):
        await asyncio.sleep(0.2)
        if not connected.wire.closed:
            connected.connection.data_received(b"\r\n")
    assert connected.wire.closed


async def test_a_connection_that_waits_for_its_answer_is_not_idle() -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(1.4)
        await saying({"body": b"ok"}, headers=[(b"content-length", b"2")])(scope, receive, send)

    connected = Connected(slow, keep_alive=1)
    for _ in range(2):
        assert len(await connected.says()) == 1
    assert not connected.wire.closed


async def test_a_broken_body_does_not_write_into_the_answer_before_it() -> None:
    begun = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        begun.set()
        await asyncio.sleep(0.01)

    connected = Connected(app)
    connected.connection.data_received(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    await begun.wait()
    assert b"400" not in b"".join(await connected.says(b"no length\r\n"))
    assert connected.wire.closed
