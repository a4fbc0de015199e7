"""What servers do to a kept or a fresh connection, on both event loops, against the direct engine.

The ids (``U_..``) are those of the catalogue of faults, which ``tests/faults/catalogue.py`` counts.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from certificates import client_context, server_context
from scripted_upstream import ScriptedUpstream, Wire, chunk_of, chunked, cut, head_of, raw, reset, sse, stall, whole

from aigateway_core.engine import DirectTransport

pytestmark = pytest.mark.anyio

Script = Callable[[Wire], Awaitable[None]]


@pytest.fixture(scope="module", params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
async def transport() -> AsyncIterator[DirectTransport]:
    made = DirectTransport(trusted=True)
    yield made
    await made.aclose()


async def ask(transport: DirectTransport, url: str, *, content: bytes = b"{}", read: float = 1.5) -> bytes:
    timeout = {"connect": 2.0, "first_byte": read, "read": read}
    request = httpx.Request("POST", url, content=content, extensions={"timeout": timeout})
    response = await transport.handle_async_request(request)
    assert isinstance(response.stream, httpx.AsyncByteStream)
    try:
        return b"".join([chunk async for chunk in response.stream])
    finally:
        await response.aclose()


# -- connections that were kept


@pytest.mark.parametrize("ending", [cut, reset], ids=["closed", "reset"])
async def test_u_17_a_request_that_meets_the_closing_of_a_kept_connection_goes_out_on_a_new_one(
    transport: DirectTransport, scripted_upstream: ScriptedUpstream, ending: Script
) -> None:
    scripted_upstream.play(whole(b"one"), ending, whole(b"two"))
    assert await ask(transport, scripted_upstream.url) == b"one"
    assert await ask(transport, scripted_upstream.url) == b"two"
    assert [request.connection for request in scripted_upstream.requests] == [1, 1, 2]


async def test_u_17_every_kept_connection_may_be_stale(
    transport: DirectTransport, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.play(whole(b"slow", delay=0.1))
    await asyncio.gather(*(ask(transport, scripted_upstream.url) for _ in range(4)))
    scripted_upstream.play(cut, whole(b"fresh"))
    assert await ask(transport, scripted_upstream.url) == b"fresh"
    assert scripted_upstream.requests[-1].connection == 5


async def test_u_29_a_new_connection_that_closes_is_not_asked_again(
    transport: DirectTransport, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.play(cut)
    with pytest.raises(httpx.RemoteProtocolError):
        await ask(transport, scripted_upstream.url)
    assert len(scripted_upstream.requests) == 1


@pytest.mark.parametrize(
    "ending",
    [raw(b"HTTP/1.1 2", then=cut), raw(b"HTTP/1.1 100 Continue\r\n\r\n", then=cut), whole(b"12", content_length="9")],
    ids=["half a status line", "a word of comfort", "half a body"],
)
async def test_u_29_a_kept_connection_that_had_begun_to_answer_is_not_asked_again(
    transport: DirectTransport, scripted_upstream: ScriptedUpstream, ending: Script
) -> None:
    async def breaks(wire: Wire) -> None:
        await ending(wire)
        wire.close()

    scripted_upstream.play(whole(b"one"), breaks)
    await ask(transport, scripted_upstream.url)
    with pytest.raises(httpx.RemoteProtocolError):
        await ask(transport, scripted_upstream.url)
    assert len(scripted_upstream.requests) == 2


async def test_u_29_a_kept_connection_that_closes_after_some_thought_is_not_asked_again(
    transport: DirectTransport, scripted_upstream: ScriptedUpstream
) -> None:
    async def thinks(wire: Wire) -> None:
        await asyncio.sleep(1.2)
        wire.close()

    scripted_upstream.play(whole(b"one"), thinks)
    await ask(transport, scripted_upstream.url)
    with pytest.raises(httpx.RemoteProtocolError):
        await ask(transport, scripted_upstream.url, read=5.0)
    assert len(scripted_upstream.requests) == 2


async def test_u_03_silence_on_a_kept_connection_is_not_asked_again(
    transport: DirectTransport, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.play(whole(b"one"), stall)
    await ask(transport, scripted_upstream.url)
    with pytest.raises(httpx.ReadTimeout):
        await ask(transport, scripted_upstream.url, read=0.3)
    assert len(scripted_upstream.requests) == 2
    await scripted_upstream.quiet()


async def test_u_17_a_server_that_closes_after_each_answer_loses_no_request(
    transport: DirectTransport, scripted_upstream: ScriptedUpstream
) -> None:
    async def leaves(wire: Wire) -> None:
        await whole(b"bye")(wire)
        await asyncio.sleep(0)
        wire.close()

    scripted_upstream.play(leaves)
    answers = [await ask(transport, scripted_upstream.url) for _ in range(100)]
    assert answers == [b"bye"] * 100
    await scripted_upstream.quiet()


async def test_u_33_garbage_on_an_idle_connection_is_no_answer_to_anybody(
    transport: DirectTransport, scripted_upstream: ScriptedUpstream
) -> None:
    async def pipelines(wire: Wire) -> None:
        await whole(b"mine")(wire)
        await asyncio.sleep(0.05)
        await whole(b"stolen")(wire)

    scripted_upstream.play(pipelines)
    for _ in range(3):
        assert await ask(transport, scripted_upstream.url) == b"mine"
        await asyncio.sleep(0.1)
    assert scripted_upstream.opened == 3


# -- halves


@asynccontextmanager
async def deaf(answer: bytes, reads: bytes = b"") -> AsyncIterator[str]:
    """The URL of a server that answers, closes its half, and then reads nothing more."""
    enough = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            if reads:
                await reader.readuntil(reads)
            writer.write(answer)
            writer.write_eof()
            await enough.wait()
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1024)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    enough.set()
    server.close()
    await asyncio.sleep(0.05)


@pytest.mark.parametrize("body", [b"{}", b"x" * (32 << 20)], ids=["small", "large"])
async def test_u_17_a_half_closed_connection_fails_at_once_even_with_a_request_under_way(
    transport: DirectTransport, body: bytes
) -> None:
    began = asyncio.get_running_loop().time()
    async with deaf(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", reads=b"\r\n\r\n") as url:
        with pytest.raises(httpx.RemoteProtocolError):
            await ask(transport, url, content=body, read=8.0)
    assert asyncio.get_running_loop().time() - began < 4


async def test_u_17_an_early_answer_that_closing_ends_is_whole_though_the_request_was_not(
    transport: DirectTransport,
) -> None:
    began = asyncio.get_running_loop().time()
    answer = b"HTTP/1.1 413 Too Large\r\nConnection: close\r\n\r\ntoo large"
    async with deaf(answer, reads=b"\r\n\r\n") as url:
        assert await ask(transport, url, content=b"x" * (32 << 20), read=8.0) == b"too large"
    assert asyncio.get_running_loop().time() - began < 4


# -- what has no end


async def _endless(wire: Wire, start: bytes, piece: bytes, sent: list[int]) -> None:
    await wire.send(start)
    with suppress(ConnectionError):
        for _ in range(200):
            await wire.send(piece)
            sent[0] += len(piece)
            await asyncio.sleep(0)
    await stall(wire)


CHUNKED = head_of(transfer_encoding="chunked")


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (CHUNKED + chunk_of(b"ok") + b"0\r\n", b"X: " + b"y" * 9000 + b"\r\n"),
        (CHUNKED + chunk_of(b"ok") + b"0\r\nX: ", b"y" * 65536),
        (CHUNKED + chunk_of(b"ok") + b"2;x=", b"y" * 65536),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y" * 65536),
        (b"HTTP/1.1 200 OK\r\n", b"X: " + b"y" * 9000 + b"\r\n"),
        (b"", b"HTTP/1.1 103 Early Hints\r\nX: 1\r\n\r\n" * 500),
        (b"HTTP/1.1 200 ", b"y" * 65536),
    ],
    ids=["trailers", "a trailer", "a chunk's extension", "a header", "headers", "comfort", "a reason"],
)
async def test_u_08_what_is_no_body_and_has_no_end_is_given_up(
    transport: DirectTransport, scripted_upstream: ScriptedUpstream, start: bytes, piece: bytes
) -> None:
    sent = [0]
    scripted_upstream.play(lambda wire: _endless(wire, start, piece, sent))
    with pytest.raises(httpx.RemoteProtocolError):
        await ask(transport, scripted_upstream.url, read=5.0)
    await scripted_upstream.quiet()


async def test_u_08_very_many_small_chunks_arrive_whole(
    transport: DirectTransport, scripted_upstream: ScriptedUpstream
) -> None:
    count = 50_000
    scripted_upstream.play(raw(CHUNKED + b"1\r\nx\r\n" * count + b"0\r\nA: trailer\r\n\r\n"))
    for _ in range(2):
        assert await ask(transport, scripted_upstream.url, read=10.0) == b"x" * count
    assert scripted_upstream.opened == 1, "a trailer does not cost the connection"


@pytest.mark.parametrize("size", [1, 2, 7])
async def test_u_08_an_answer_in_pieces_of_any_size_is_the_same(
    transport: DirectTransport, scripted_upstream: ScriptedUpstream, size: int
) -> None:
    answer = b"HTTP/1.1 100 Continue\r\n\r\n" + CHUNKED + chunk_of(b"hel") + chunk_of(b"lo") + b"0\r\nA: b\r\n\r\n"
    pieces = [answer[start : start + size] for start in range(0, len(answer), size)]
    scripted_upstream.play(raw(*pieces, every=0.0005))
    for _ in range(2):
        assert await ask(transport, scripted_upstream.url) == b"hello"
    assert scripted_upstream.opened == 1


# -- before the first word


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("word", [b"", b"220 mail.example ESMTP\r\n"], ids=["leaves", "speaks first"])
async def test_u_01_a_server_that_leaves_or_speaks_at_once_is_no_shortage_of_ours(
    tmp_path: Path, word: bytes, secure: bool
) -> None:
    async def hasty(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(word)
        writer.close()

    context: ssl.SSLContext | None = server_context(tmp_path) if secure else None
    server = await asyncio.start_server(hasty, "127.0.0.1", 0, ssl=context)
    transport = DirectTransport(trusted=True, ssl_context=client_context(tmp_path) if secure else None)
    port = server.sockets[0].getsockname()[1]
    for _ in range(20):
        with pytest.raises(httpx.TransportError) as caught:
            await ask(transport, f"{'https' if secure else 'http'}://127.0.0.1:{port}/")
        assert isinstance(caught.value, httpx.RemoteProtocolError | httpx.ReadError | httpx.ConnectError)
    await transport.aclose()
    server.close()


@pytest.mark.parametrize(
    "script",
    [chunked(b"half", then=cut), raw(head_of(content_length="9") + b"half", then=cut), sse(b"data: 1\n\n", then=reset)],
    ids=["chunks", "a length", "reset"],
)
async def test_u_17_a_truncated_answer_over_tls_is_an_error(tmp_path: Path, script: Script) -> None:
    async with ScriptedUpstream(server_context(tmp_path)) as upstream:
        transport = DirectTransport(trusted=True, ssl_context=client_context(tmp_path))

        async def truncated(wire: Wire) -> None:
            await script(wire)
            wire.reset()  # no close_notify

        upstream.play(truncated)
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await ask(transport, upstream.url)
        await upstream.quiet()
        await transport.aclose()
