"""What is neither a head nor a body has its bound: trailers, extensions of chunks, empty lines."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from core.server.test_cycle import Connected

pytestmark = pytest.mark.anyio

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
PIECE = 16 << 10
BOUND = 64 << 10


async def counts(scope: Any, receive: Any, send: Any) -> None:
    """An app that tells how long the body was."""
    length, more = 0, True
    while more:
        message = await receive()
        length, more = length + len(message.get("body", b"")), message.get("more_body", False)
    said = b"%d" % length
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(said))]})
    await send({"type": "http.response.body", "body": said})


async def poured(connected: Connected, piece: bytes, most: int) -> int:
    """How many bytes are taken before the connection is closed."""
    taken = 0
    while taken < most and not connected.wire.closed:
        connected.connection.data_received(piece)
        taken += len(piece)
        await asyncio.sleep(0)
    return taken


LOOSE = {
    "one trailer": (HEAD + b"1\r\nx\r\n0\r\nx: ", b"x" * PIECE),
    "many trailers": (HEAD + b"1\r\nx\r\n0\r\n", b"x: 1\r\n" * (PIECE // 6)),
    "the name of a trailer": (HEAD + b"0\r\n", b"x" * PIECE),
    "the extension of a chunk": (HEAD + b"1;x=", b"x" * PIECE),
    "the extension of the last chunk": (HEAD + b"0;x=", b"x" * PIECE),
    "empty lines before a head": (b"", b"\r\n" * (PIECE // 2)),
}


@pytest.mark.parametrize("name", LOOSE)
async def test_it_is_refused_when_there_is_too_much_of_it(name: str) -> None:
    begun, more = LOOSE[name]
    connected = Connected(counts)
    connected.connection.data_received(begun)
    assert BOUND < await poured(connected, more, 4 * BOUND) <= BOUND + 2 * PIECE
    assert b"".join(connected.wire.writes).startswith(b"HTTP/1.1 400 ")
    connected.connection.connection_lost(None)
    await asyncio.gather(*connected.state.tasks)


async def test_empty_lines_after_an_answer_are_no_more_than_that_either() -> None:
    connected = Connected(counts)
    assert (await connected.says(HEAD + b"0\r\n\r\n"))[0].startswith(b"HTTP/1.1 200 ")
    assert await poured(connected, b"\r\n" * (PIECE // 2), 4 * BOUND) <= BOUND + 2 * PIECE
    assert connected.wire.writes[-1].startswith(b"HTTP/1.1 400 ")


async def test_what_comes_too_much_after_an_answer_has_begun_ends_the_connection_without_a_word() -> None:
    async def eager(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    connected = Connected(eager)
    connected.connection.data_received(HEAD + b"0\r\nx: ")
    await asyncio.sleep(0)
    assert await poured(connected, b"x" * PIECE, 4 * BOUND) <= BOUND + 2 * PIECE
    assert len(connected.wire.writes) == 1
    connected.connection.connection_lost(None)
    await asyncio.gather(*connected.state.tasks)


async def test_small_chunks_are_no_matter_however_many_there_are() -> None:
    connected = Connected(counts)
    connected.connection.data_received(HEAD)
    number = 0
    for _ in range(40):
        connected.connection.data_received(b"1\r\nx\r\n" * 1000)
        number += 1000
        await asyncio.sleep(0)
    for piece in (b"1", b"\r", b"\n", b"x", b"\r", b"\n") * 20_000:  # each by itself
        connected.connection.data_received(piece)
    number += 20_000
    said = await connected.says(b"0\r\nx: 1\r\n\r\n")
    assert said[0].endswith(b"\r\n\r\n%d" % number)
    assert not connected.wire.closed


async def test_what_earlier_requests_brought_is_not_added_up() -> None:
    connected = Connected(counts)
    request = HEAD + b"0\r\nx: " + b"x" * 30_000 + b"\r\n\r\n\r\n"
    for _ in range(5):
        for piece in (request[:100], request[100:20_000]):
            connected.connection.data_received(piece)
            await asyncio.sleep(0)
        assert (await connected.says(request[20_000:]))[0].startswith(b"HTTP/1.1 200 ")
    assert not connected.wire.closed
