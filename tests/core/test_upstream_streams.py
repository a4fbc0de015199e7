"""Streams through :class:`Upstream`: bytes, events, lines, and every way a stream can end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from typing import Any

import httpx
import pytest
from scripted_upstream import Script, ScriptedUpstream, chunk_of, chunked, cut, head_of, raw, reset, sse, stall, whole

from aigateway_core.engine import DirectTransport
from aigateway_core.engine.proxied import AiohttpTransport
from aigateway_core.errors import ErrorKind, UpstreamError
from aigateway_core.upstream import Limits, Upstream, UpstreamStream

pytestmark = pytest.mark.anyio

LIMITS = Limits(connect=1.0, first_byte=0.4, idle=0.4, total=3.0, max_response_bytes=100_000)


@pytest.fixture(params=[AiohttpTransport, DirectTransport], ids=["aiohttp", "direct"])
async def streaming(
    request: pytest.FixtureRequest, scripted_upstream: ScriptedUpstream
) -> AsyncIterator[Callable[..., Any]]:
    """Opens a stream on a real engine: ``async with streaming(script) as reply``."""
    transport = request.param(trusted=True)

    def make(script: Script, path: str = "/v1/chat", **options: Any) -> Any:
        scripted_upstream.play(script)
        upstream = Upstream(transport, **{"limits": LIMITS} | options)
        return upstream.stream(scripted_upstream.url + path, json={"stream": True})

    yield make
    await transport.aclose()


async def test_chunks_come_as_they_are_sent(streaming: Callable[..., Any], scripted_upstream: ScriptedUpstream) -> None:
    times: list[float] = []
    async with streaming(sse(*[b"data: %d\n\n" % number for number in range(5)], every=0.1)) as reply:
        assert reply.status == 200
        assert reply.headers["content-type"] == "text/event-stream"
        received = []
        async for chunk in reply.chunks():
            received.append(chunk)
            times.append(asyncio.get_running_loop().time())
    assert received == [b"data: %d\n\n" % number for number in range(5)]
    assert times[-1] - times[0] > 0.3


async def test_events_are_put_together_whatever_the_chunks(streaming: Callable[..., Any]) -> None:
    stream = b"event: a\ndata: 1\n\n: ping\n\ndata: 2\r\ndata: 3\r\n\r\ndata: last"
    for size in (1, 3, 1000):
        pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
        async with streaming(chunked(*pieces)) as reply:
            events = [(event.event, event.data) async for event in reply.events()]
        assert events == [("a", b"1"), ("", b"2\n3"), ("", b"last")]


async def test_lines_are_put_together_whatever_the_chunks(streaming: Callable[..., Any]) -> None:
    stream = '{"a": "é"}\r\n\n  {"b": 2}\n\n\nlast'.encode()
    for size in (1, 2, 1000):
        pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
        async with streaming(chunked(*pieces)) as reply:
            assert [line async for line in reply.lines()] == ['{"a": "é"}', '{"b": 2}', "last"]


@pytest.mark.parametrize("read", ["events", "lines"])
async def test_what_has_no_end_is_refused(
    read: str, streaming: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aigateway_core.bodies.MAX_EVENT_BYTES", 10_000)
    monkeypatch.setattr("aigateway_core.dialects.sse.MAX_EVENT_BYTES", 10_000)
    async with streaming(chunked(*[b"x" * 1000] * 20, then=stall)) as reply:
        with pytest.raises(UpstreamError, match="without an end"):
            await anext(getattr(reply, read)())


async def test_the_rest_can_be_read_at_once_within_the_cap(streaming: Callable[..., Any]) -> None:
    async with streaming(chunked(b"a", b"b")) as reply:
        assert await reply.read() == b"ab"
    async with streaming(chunked(*[b"x" * 10_000] * 11)) as reply:
        with pytest.raises(UpstreamError, match="larger than 100000 bytes"):
            await reply.read()


async def test_a_stream_may_be_larger_than_a_whole_answer(streaming: Callable[..., Any]) -> None:
    async with streaming(chunked(*[b"x" * 10_000] * 30)) as reply:
        assert sum([len(chunk) async for chunk in reply.chunks()]) == 300_000


ENDS: dict[str, tuple[Script, ErrorKind, str]] = {
    "cut": (sse(b"data: 1\n\n", then=cut), ErrorKind.PROTOCOL, "the upstream broke off its answer"),
    "reset": (sse(b"data: 1\n\n", then=reset), ErrorKind.PROTOCOL, "the upstream broke off its answer"),
    "silence": (sse(b"data: 1\n\n", then=stall), ErrorKind.TIMEOUT, "the upstream fell silent"),
    "a malformed chunk": (
        raw(head_of(transfer_encoding="chunked"), chunk_of(b"data: 1\n\n"), b"zz\r\n", every=0.02, then=stall),
        ErrorKind.PROTOCOL,
        "the upstream broke off its answer",
    ),
    "dribbling for ever": (
        sse(b"data: 1\n\n", *[b"x"] * 60, every=0.1),
        ErrorKind.TIMEOUT,
        "the call took longer than the time limit",
    ),
}


@pytest.mark.parametrize("name", ENDS)
async def test_a_stream_that_breaks_is_an_error_after_what_came(
    name: str, streaming: Callable[..., Any], scripted_upstream: ScriptedUpstream
) -> None:
    script, kind, message = ENDS[name]
    received = []

    async def read(reply: UpstreamStream) -> None:
        async for event in reply.events():
            received.append(event.data)  # noqa: PERF401 -- what came before the error counts

    async with streaming(script) as reply:
        with pytest.raises(UpstreamError) as caught:
            await read(reply)
    assert (caught.value.kind, caught.value.message, caught.value.scope) == (kind, message, "request")
    assert received[:1] == [b"1"]
    await scripted_upstream.quiet()


async def test_u_06_a_long_stream_is_not_cut_while_it_goes_on(streaming: Callable[..., Any]) -> None:
    limits = Limits(connect=1.0, first_byte=0.3, idle=0.3, total=60.0)
    async with streaming(sse(*[b"data: 1\n\n"] * 12, every=0.1), limits=limits) as reply:
        assert len([event async for event in reply.events()]) == 12


async def test_the_total_goes_off_in_the_stream_and_not_in_its_consumer(
    streaming: Callable[..., Any], scripted_upstream: ScriptedUpstream
) -> None:
    limits = Limits(connect=1.0, first_byte=1.0, idle=1.0, total=0.3)
    async with streaming(sse(b"data: 1\n\n", b"data: 2\n\n", every=0.05, then=stall), limits=limits) as reply:
        chunks = reply.chunks()
        assert await anext(chunks) == b"data: 1\n\n"
        await asyncio.sleep(0.6)  # the consumer is busy when the time is up: it is not interrupted
        with pytest.raises(UpstreamError, match="longer than the time limit"):
            _ = [chunk async for chunk in chunks]
    await scripted_upstream.quiet()


async def test_errors_of_the_head_come_before_the_block_is_entered(streaming: Callable[..., Any]) -> None:
    for script in (whole(b"{}", 500), stall, cut, whole(b"{}", content_encoding="gzip"), whole(b"", 302)):
        with pytest.raises(UpstreamError):
            async with streaming(script):
                pytest.fail("the block was entered")


async def test_leaving_the_block_early_closes_the_connection(
    streaming: Callable[..., Any], scripted_upstream: ScriptedUpstream
) -> None:
    async with streaming(sse(b"data: 1\n\n", then=stall)) as reply:
        async for _ in reply.chunks():
            break
    await scripted_upstream.quiet(1)


async def test_an_exit_stack_ends_a_stream_that_nobody_reads(
    streaming: Callable[..., Any], scripted_upstream: ScriptedUpstream
) -> None:
    async with AsyncExitStack() as exits:
        reply = await exits.enter_async_context(streaming(sse(b"data: 1\n\n", then=stall)))
        chunks = await exits.enter_async_context(aclosing(reply.chunks()))
        assert await anext(chunks) == b"data: 1\n\n"
    await scripted_upstream.quiet(1)


@pytest.mark.parametrize("after", [0.0, 0.1])
async def test_cancelling_the_reader_closes_the_connection(
    after: float, streaming: Callable[..., Any], scripted_upstream: ScriptedUpstream
) -> None:
    finished = []

    async def read() -> None:
        try:
            async with streaming(sse(b"data: 1\n\n", then=stall)) as reply:
                async for _ in reply.events():
                    pass
        finally:
            finished.append(True)

    task = asyncio.create_task(read())
    await scripted_upstream.until(lambda: len(scripted_upstream.requests) == 1)
    await asyncio.sleep(after)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert finished == [True]
    await scripted_upstream.quiet(1)


async def test_a_connection_is_kept_after_a_stream_that_was_read_to_its_end(
    streaming: Callable[..., Any], scripted_upstream: ScriptedUpstream
) -> None:
    for _ in range(5):
        async with streaming(sse(b"data: 1\n\n")) as reply:
            assert [event.data async for event in reply.events()] == [b"1"]
    assert scripted_upstream.opened == 1


async def test_fifteen_hundred_readers_that_leave_spoil_nothing(
    streaming: Callable[..., Any], scripted_upstream: ScriptedUpstream
) -> None:
    script = sse(b"data: 1\n\n", b"data: 2\n\n", every=0.005, then=stall)

    async def read() -> None:
        async with streaming(script) as reply:
            async for _ in reply.events():
                pass

    for batch in range(30):
        readers = [asyncio.create_task(read()) for _ in range(50)]
        await asyncio.sleep(batch % 6 * 0.005)
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
    await scripted_upstream.quiet(5)
    script = sse(b"data: good\n\n")
    async with asyncio.timeout(5):
        await asyncio.gather(*(read() for _ in range(50)))


async def test_many_streams_at_once_do_not_mix(
    streaming: Callable[..., Any], scripted_upstream: ScriptedUpstream
) -> None:
    async def script(wire: Any) -> None:
        mine = wire.request.target.rpartition("/")[2].encode()
        await sse(*[b"data: %b\n\n" % mine] * 10, every=0.01)(wire)

    async def read(number: int) -> set[bytes]:
        async with streaming(script, path=f"/{number}", limits=Limits()) as reply:
            return {event.data async for event in reply.events()}

    async with asyncio.timeout(10):
        found = await asyncio.gather(*(read(number) for number in range(200)))
    assert found == [{b"%d" % number} for number in range(200)]


async def test_a_transport_without_a_stream_of_its_own_serves_as_well() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"data: 1\n\n"

    upstream = Upstream(httpx.MockTransport(lambda request: httpx.Response(200, content=body())))
    async with upstream.stream("https://vendor.test/v1", json={}) as reply:
        assert [event.data async for event in reply.events()] == [b"1"]
