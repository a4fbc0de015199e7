"""What the direct engine alone has to keep: its pool, and that nobody's answer fills the memory."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest
from scripted_upstream import ScriptedUpstream, Wire, head_of, raw, whole

from aigateway_core.engine import DirectTransport, direct

pytestmark = pytest.mark.anyio


@pytest.fixture
async def transport() -> AsyncIterator[DirectTransport]:
    made = DirectTransport(trusted=True)
    yield made
    await made.aclose()


async def ask(transport: DirectTransport, url: str) -> bytes:
    request = httpx.Request("POST", url, content=b"{}", extensions={"timeout": {"connect": 2.0, "read": 2.0}})
    response = await transport.handle_async_request(request)
    assert isinstance(response.stream, httpx.AsyncByteStream)
    try:
        return b"".join([chunk async for chunk in response.stream])
    finally:
        await response.aclose()


async def plainly(
    transport: DirectTransport, url: str, headers: dict[str, str], *unique: tuple[str, str], content: bytes = b"{}"
) -> None:
    answer = await transport.ask(
        "POST", url, headers, unique, content, connect=2.0, first_byte=2.0, idle=2.0, until=math.inf
    )
    await answer.aclose()


async def test_what_frames_a_body_is_written_by_the_engine_alone(
    transport: DirectTransport, scripted_upstream: ScriptedUpstream
) -> None:
    wrong = {"Content-Length": "1", "x-own": "1", "Transfer-Encoding": "chunked"}
    await plainly(transport, scripted_upstream.url, wrong, ("content-length", "2"), content=b'{"a":1}')
    [seen] = scripted_upstream.requests
    assert seen.body == b'{"a":1}'
    assert set(seen.headers) == {"host", "x-own", "content-length"}
    assert seen.headers["content-length"] == "7"


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\nb", "a\rb", "a\0b", "\xe9"])
async def test_a_header_that_would_break_the_head_is_refused_whether_it_is_remembered_or_not(
    transport: DirectTransport, scripted_upstream: ScriptedUpstream, value: str
) -> None:
    for headers, unique in ({"x": value}, ()), ({}, (("x", value),)):
        with pytest.raises(httpx.LocalProtocolError) as caught:
            await plainly(transport, scripted_upstream.url, headers, *unique)
        assert value not in str(caught.value)
    assert scripted_upstream.opened == 0


async def test_each_request_has_its_own_unique_headers_and_all_have_the_others(
    transport: DirectTransport, scripted_upstream: ScriptedUpstream
) -> None:
    for number in range(3):
        await plainly(transport, scripted_upstream.url, {"x": "1"}, ("authorization", f"Bearer {number}"))
    sent = [(seen.headers["x"], seen.headers["authorization"]) for seen in scripted_upstream.requests]
    assert sent == [("1", "Bearer 0"), ("1", "Bearer 1"), ("1", "Bearer 2")]


async def test_idle_connections_are_closed_after_a_while(
    transport: DirectTransport, scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct, "KEEPALIVE_SECONDS", 0.1)
    await asyncio.gather(*(ask(transport, scripted_upstream.url) for _ in range(5)))
    assert scripted_upstream.open == 5
    await scripted_upstream.quiet()


async def test_a_connection_that_the_server_closed_meanwhile_is_not_used(
    transport: DirectTransport, scripted_upstream: ScriptedUpstream
) -> None:
    async def leaves(wire: Wire) -> None:
        await whole(b"bye")(wire)
        wire.close()

    scripted_upstream.play(leaves)
    for _ in range(3):
        assert await ask(transport, scripted_upstream.url) == b"bye"
        await asyncio.sleep(0.05)
    assert scripted_upstream.opened == 3


async def test_each_origin_has_connections_of_its_own(transport: DirectTransport) -> None:
    async with ScriptedUpstream() as one, ScriptedUpstream() as two:
        for _ in range(3):
            for upstream in (one, two):
                await ask(transport, upstream.url)
        assert (one.opened, two.opened) == (1, 1)


async def test_an_answer_that_nobody_takes_stops_coming(
    transport: DirectTransport, scripted_upstream: ScriptedUpstream
) -> None:
    sent = 0
    done = asyncio.Event()

    async def endless(wire: Wire) -> None:
        nonlocal sent
        await wire.send(head_of(content_length=str(1 << 30)))
        try:
            for _ in range(1024):
                await wire.send(b"x" * (1 << 20))
                sent += 1
        finally:
            done.set()

    scripted_upstream.play(endless)
    timeout = {"connect": 2.0, "read": 2.0}
    request = httpx.Request("POST", scripted_upstream.url, content=b"{}", extensions={"timeout": timeout})
    response = await transport.handle_async_request(request)
    before = -1
    while before != sent:
        before = sent
        await asyncio.sleep(0.2)
    assert sent < 64, "more than the sockets' buffers hold was taken in"
    await response.aclose()
    await asyncio.wait_for(done.wait(), 5)


async def test_a_request_that_is_still_being_sent_when_its_answer_is_complete_costs_its_connection(
    transport: DirectTransport, scripted_upstream: ScriptedUpstream
) -> None:
    left = asyncio.Queue[None]()

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head_of(content_length="2") + b"no")
            # Slowly enough that the answer is there long before the request's end.
            await asyncio.sleep(0.3)
            await reader.read()
        writer.close()
        left.put_nowait(None)

    server = await asyncio.start_server(early, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    timeout = {"connect": 2.0, "read": 2.0}
    for _ in range(2):
        request = httpx.Request("POST", url, content=b"x" * (32 << 20), extensions={"timeout": timeout})
        response = await transport.handle_async_request(request)
        await response.aclose()
        assert response.status_code == 200
        await asyncio.wait_for(left.get(), 5)
    server.close()
    await server.wait_closed()


async def test_a_head_without_an_end_is_given_up(
    transport: DirectTransport, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.play(raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * (1 << 20)))
    with pytest.raises(httpx.RemoteProtocolError):
        await ask(transport, scripted_upstream.url)
    await scripted_upstream.quiet()


async def test_bytes_that_bring_no_body_are_silence(
    transport: DirectTransport, scripted_upstream: ScriptedUpstream
) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x="
    scripted_upstream.play(raw(head, *[b"y"] * 40, b"\r\nhello\r\n0\r\n\r\n", every=0.05))
    answer = await transport.ask(
        "GET", scripted_upstream.url, {}, (), b"", connect=2.0, first_byte=2.0, idle=0.4, until=math.inf
    )
    try:
        with pytest.raises(httpx.ReadTimeout):
            await answer.received(math.inf)
    finally:
        await answer.aclose()
