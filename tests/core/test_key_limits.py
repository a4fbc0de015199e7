"""The limits of keys in the request path: what is counted, and that nothing stays counted."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from core.gateway_house import CHAT, OPENAI, STREAM, WHOLE, House, house, refused, reply, streamed

from aigateway_core.answers import Answer, StreamAnswer
from aigateway_core.gateway import Incoming
from aigateway_core.key_limits import KeyLimits, LimitError
from aigateway_core.records import Caller
from aigateway_core.state.memory import MemoryState

pytestmark = pytest.mark.anyio

ONE = Caller(id="key1", role="client", concurrency=1)
TWO = Caller(id="key2", role="client", concurrency=1)


def limits() -> KeyLimits:
    return KeyLimits(MemoryState())


async def ask(
    it: House, caller: Caller, exits: AsyncExitStack, body: bytes, told: dict[str, str] | None = None
) -> Answer:
    async def read() -> bytes:
        return body

    tell = {} if told is None else told
    return await it.gateway.answer(Incoming(OPENAI, caller, "req-1", read(), lambda: exits, tell=tell.update))


BODY = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}]}'
STREAMED = b'{"model": "m", "stream": true, "messages": [{"role": "user", "content": "hi"}]}'


async def test_a_request_under_way_keeps_its_place_until_its_end() -> None:
    it = house("a", a=[streamed(*STREAM)])
    async with AsyncExitStack() as exits:
        answer = await ask(it, ONE, exits, STREAMED)
        assert isinstance(answer, StreamAnswer)
        with pytest.raises(LimitError, match="this key may have 1 request under way at a time") as limited:
            await ask(it, ONE, AsyncExitStack(), BODY)
        assert limited.value.retry_after == 1
        [each async for each in answer]
    async with AsyncExitStack() as exits:
        await ask(it, ONE, exits, STREAMED)


async def test_keys_do_not_share_places() -> None:
    it = house("a", a=[streamed(*STREAM), reply(WHOLE)])
    async with AsyncExitStack() as exits:
        await ask(it, ONE, exits, STREAMED)
        await ask(it, TWO, exits, BODY)


@pytest.mark.parametrize("body", [b"{", BODY], ids=["a body that is none", "an upstream that fails"])
async def test_a_failed_request_gives_its_place_back(body: bytes) -> None:
    it = house("a", a=[refused(400)])
    for _ in range(3):
        async with AsyncExitStack() as exits:
            with pytest.raises(Exception) as failed:  # noqa: PT011 - whatever it is, it must not be the limit
                await ask(it, ONE, exits, body)
            assert not isinstance(failed.value, LimitError)


async def test_a_client_that_leaves_gives_its_place_back() -> None:
    it = house("a", a=[reply(WHOLE)])

    async def never() -> bytes:
        await asyncio.Event().wait()
        return b""

    async def request() -> None:
        async with AsyncExitStack() as exits:
            stream = await ask(it, ONE, exits, BODY)
            assert stream
            await never()

    task = asyncio.create_task(request())
    await asyncio.sleep(0.05)
    with pytest.raises(LimitError):
        await ask(it, ONE, AsyncExitStack(), BODY)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with AsyncExitStack() as exits:
        await ask(it, ONE, exits, BODY)


async def test_what_is_refused_is_written_down_and_asks_no_upstream() -> None:
    it = house("a", a=[reply(WHOLE)])
    caller = Caller(id="key1", role="client", requests_per_minute=1)
    told: dict[str, str] = {}
    async with AsyncExitStack() as exits:
        await ask(it, caller, exits, BODY, told)
        assert told["x-ratelimit-remaining-requests"] == "0"
        with pytest.raises(LimitError, match="this key may make 1 request a minute; try again in 60 s"):
            await ask(it, caller, exits, BODY, told)
    await it.recorder.aclose()
    assert [(record.status_code, record.error_kind) for record in it.sink.records] == [(200, None), (429, "rate_limit")]
    assert len(it.script.seen) == 1


async def test_without_limits_nothing_is_counted_or_told() -> None:
    it = house("a", a=[reply(WHOLE)])
    told: dict[str, str] = {}
    async with AsyncExitStack() as exits:
        for _ in range(5):
            await ask(it, Caller(id="k", role="client"), exits, BODY, told)
    assert told == {}
    assert CHAT["model"] == "m"
