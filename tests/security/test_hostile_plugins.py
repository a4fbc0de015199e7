"""Plugins that do at run time what no plugin should: one call fails, and the gateway goes on."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from core.gateway_house import (
    ANY,
    CHAT,
    OPENAI,
    START,
    TEXT,
    WHOLE,
    Events,
    House,
    Script,
    Strategy,
    house,
    openai_like,
    reply,
)

from aigateway_core.answers import StreamAnswer
from aigateway_core.errors import GatewayError, UpstreamError
from aigateway_core.events import StreamEvent, TextDelta
from aigateway_core.model import ChatRequest, ChatResponse
from aigateway_core.recording import Recorder, RecorderLimits
from aigateway_core.records import Account, CallRecord
from aigateway_core.upstream import Upstream

pytestmark = pytest.mark.anyio

TOKEN = "secret-of-a-12345"
"""The credential of the account ``a`` of the house."""


class Does(Events):
    """A provider that gives back or raises this for a whole answer, and for a stream."""

    def __init__(self, what: Any) -> None:
        super().__init__()
        self._what = what

    async def complete(self, request: ChatRequest, upstream: Upstream) -> ChatResponse:
        if isinstance(self._what, BaseException):
            raise self._what
        return self._what  # type: ignore[no-any-return]

    async def stream(self, request: ChatRequest, upstream: Upstream) -> AsyncIterator[StreamEvent]:
        if isinstance(self._what, BaseException):
            raise self._what
        yield self._what


RAISED = [
    SystemExit(f"with {TOKEN}"),
    BaseException(f"with {TOKEN}"),
    asyncio.CancelledError(f"with {TOKEN}"),
    MemoryError(),
    RecursionError(),
    StopIteration(),
    StopAsyncIteration(),
    BaseExceptionGroup("several", [SystemExit(1), ValueError(TOKEN)]),
    RuntimeError(f"with {TOKEN}"),
]


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_x_07_whatever_a_provider_raises_is_its_own_failure_and_tells_nothing(
    error: BaseException, stream: bool
) -> None:
    it = house("a", provider=Does(error), **ANY)
    with pytest.raises(UpstreamError) as failed:
        await it.ask({**CHAT, "stream": stream})
    assert failed.value.message == "the provider 'acme' failed inside the gateway"
    assert OPENAI.encode_error(failed.value, "req-1").status in {500, 502}
    record = await it.record()
    assert record.outcome in {"gateway_error", "upstream_error"}
    assert TOKEN not in str(record)


WRONG: list[Any] = [None, 5, "text", {"id": "x"}, b"bytes", object(), [START, TEXT], ChatResponse]


@pytest.mark.parametrize("value", WRONG, ids=lambda value: type(value).__name__)
async def test_x_08_what_is_no_answer_is_a_failure_of_the_provider(value: Any) -> None:
    for stream in (False, True):
        it = house("a", provider=Does(value), **ANY)
        with pytest.raises(GatewayError):
            await it.ask({**CHAT, "stream": stream})
        assert (await it.record()).outcome in {"gateway_error", "upstream_error"}


async def test_x_08_what_is_no_event_amid_a_stream_ends_it_in_band() -> None:
    for value in WRONG:
        it = house("a", provider=Events(START, TEXT, value), **ANY)
        assert b'"error"' in await it.stream(CHAT), value
        assert (await it.record()).outcome == "truncated"


class Endless(Events):
    """A provider that never comes to an end, and knows whether it was stopped."""

    def __init__(self, event: object) -> None:
        super().__init__()
        self._event = event
        self.stopped = False

    async def stream(self, request: ChatRequest, upstream: Upstream) -> AsyncIterator[StreamEvent]:
        try:
            yield START
            while True:
                yield self._event  # type: ignore[misc]
        finally:
            self.stopped = True


async def test_x_08_a_stream_that_only_ever_begins_is_given_up() -> None:
    provider = Endless(TextDelta(""))
    it = house("a", provider=provider, **ANY)
    with pytest.raises(UpstreamError, match="says nothing"):
        await it.ask({**CHAT, "stream": True})
    assert provider.stopped


async def test_x_08_a_stream_without_end_ends_with_its_client() -> None:
    provider = Endless(TEXT)
    it = house("a", provider=provider, **ANY)
    async with AsyncExitStack() as exits:
        answer = await it.ask({**CHAT, "stream": True}, exits=exits)
        assert isinstance(answer, StreamAnswer)
        chunks = aiter(answer)
        for _ in range(1000):
            assert await anext(chunks)
    assert provider.stopped
    assert (await it.record()).outcome == "client_gone"


class Exits(Strategy):
    """An auth strategy that asks Python to end."""

    def auth(self, account: Account) -> httpx.Auth:
        raise SystemExit(TOKEN)


async def test_x_07_a_strategy_that_wants_to_exit_shuts_out_its_own_account() -> None:
    it = House(Script(**ANY), openai_like(), "a", strategy=Exits())
    with pytest.raises(UpstreamError, match="the credential of the account cannot be used"):
        await it.ask(CHAT)


class LeavingSink:
    """A stats sink that asks Python to end, whatever is wanted of it."""

    async def write(self, records: Sequence[CallRecord]) -> None:
        raise SystemExit(TOKEN)

    async def aclose(self) -> None:
        raise SystemExit(TOKEN)


async def test_x_07_a_sink_that_wants_to_exit_loses_its_own_records_and_nobody_elses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    it = house("a", a=[reply(WHOLE)])
    kept = it.sink
    it.recorder = Recorder([LeavingSink(), kept], RecorderLimits(flush_interval=0.01))
    it.gateway._recorder = it.recorder
    await it.whole(CHAT)
    await asyncio.sleep(0.1)
    await it.recorder.aclose()
    assert len(kept.records) == 1
    assert "fails, records wait: SystemExit" in caplog.text


BLOCKS = """
import asyncio, logging, time
from aigateway_core.server.stalls import StallWatch

logging.basicConfig(level=logging.WARNING)

def hook_of_a_plugin():
    time.sleep(2.5)

async def main():
    watch = StallWatch()
    watch.start()
    await asyncio.sleep(0.3)
    hook_of_a_plugin()
    await asyncio.sleep(0.3)
    watch.stop()

asyncio.run(main())
"""


def test_x_08_a_plugin_that_blocks_is_named_by_its_line_while_the_gateway_stands_still() -> None:
    done = subprocess.run([sys.executable, "-c", BLOCKS], capture_output=True, text=True, check=True, timeout=60)
    assert re.search(r"stands still .* it is at <string>:\d+ hook_of_a_plugin", done.stderr), done.stderr
