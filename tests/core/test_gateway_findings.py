"""What an attack on the request path brought to light: odd clients, odd upstreams, odd providers."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack

import attrs
import httpx
import pytest
from core.gateway_house import (
    ANTHROPIC,
    ANTHROPIC_WHOLE,
    CHAT,
    MESSAGES,
    OPENAI,
    STREAM,
    WHOLE,
    Body,
    House,
    OneWay,
    Script,
    Strategy,
    Token,
    account,
    anthropic_like,
    house,
    openai_like,
    refused,
    reply,
    streamed,
)

from aigateway_core.dialects.dialect import Dialect
from aigateway_core.egress import Egress, WayOut
from aigateway_core.engine import Transports
from aigateway_core.errors import ErrorKind, GatewayError, InvalidRequestError, UpstreamError
from aigateway_core.events import StreamEvent, StreamFinish, StreamStart, TextDelta, UsageUpdate
from aigateway_core.gateway import StreamAnswer
from aigateway_core.model import ChatRequest, ChatResponse, ModelInfo, TextPart, Usage
from aigateway_core.records import Account
from aigateway_core.secret import Secret
from aigateway_core.snapshot import Snapshot
from aigateway_core.upstream import Upstream

pytestmark = pytest.mark.anyio
BOTH = pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC], ids=["native", "translated"])
ANY = {name: [reply(WHOLE)] for name in "abc"}
BROKEN = httpx.RemoteProtocolError("peer closed connection")


class Events:
    """A provider that yields these events; an exception among them is raised."""

    models = (ModelInfo(id="m"),)
    model_patterns = ()

    def __init__(self, *events: object) -> None:
        self._events = events

    async def complete(self, request: ChatRequest, upstream: Upstream) -> ChatResponse:
        return ChatResponse(id="r", model=request.model, parts=(TextPart("whole"),))

    async def stream(self, request: ChatRequest, upstream: Upstream) -> AsyncIterator[StreamEvent]:
        async with upstream.stream("http://vendor.test/", json={}):
            for event in self._events:
                if isinstance(event, BaseException):
                    raise event
                yield event  # type: ignore[misc]


START, TEXT, FINISH = StreamStart("r", "m"), TextDelta("hello"), StreamFinish("stop")
TOLD = UsageUpdate(Usage(input_tokens=30, output_tokens=20))


def wellformed(stream: bytes) -> bool:
    """Whether these are server-sent events and nothing else."""
    return all(
        re.fullmatch(rb"(event: \w+\n)?data: .*", block) for block in stream.removesuffix(b"\n\n").split(b"\n\n")
    )


# -- after the last word


@BOTH
async def test_a_connection_that_breaks_after_the_last_word_spoils_nothing(dialect: Dialect) -> None:
    it = house("a", a=[streamed(*STREAM, BROKEN)])
    got = await it.stream(MESSAGES, dialect)
    assert b"error" not in got
    assert got.rstrip().endswith(b"[DONE]" if dialect is OPENAI else b'{"type":"message_stop"}')
    record = await it.record()
    assert (record.outcome, record.finish_reason, record.output_tokens) == ("ok", "stop", 2)


class Lingering(Body):
    """A body whose end never comes."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for each in super().__aiter__():
            yield each
        await asyncio.Event().wait()


def lingering(*chunks: bytes) -> httpx.Response:
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Lingering(chunks))


@BOTH
@pytest.mark.timeout(20)
async def test_an_upstream_that_lingers_after_the_last_word_holds_up_nobody(
    dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aigateway_core.exchange._AFTERMATH_SECONDS", 0.01)
    response = lingering(*STREAM)
    it = house("a", a=[response])
    got = await it.stream(MESSAGES, dialect)
    assert b"error" not in got
    assert got.rstrip().endswith(b"[DONE]" if dialect is OPENAI else b'{"type":"message_stop"}')
    assert (await it.record()).outcome == "ok"
    assert isinstance(response.stream, Body)
    assert response.stream.closed


async def test_a_client_that_leaves_after_the_last_word_was_answered_well() -> None:
    it = house("a", a=[lingering(*STREAM)])
    async with AsyncExitStack() as exits:
        answer = await it.ask({**CHAT, "stream": True}, OPENAI, exits)
        assert isinstance(answer, StreamAnswer)
        got = b""
        async with asyncio.timeout(10):
            async for piece in answer:
                got += piece
        assert got.endswith(b"data: [DONE]\n\n")
        assert (await it.record()).outcome == "ok"
        await answer.close()


async def test_an_upstream_of_the_anthropic_dialect_may_break_after_its_last_word_too() -> None:
    told = [
        {"type": "message_start", "message": {**ANTHROPIC_WHOLE, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ]
    events = [f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in told]
    for dialect in (ANTHROPIC, OPENAI):
        it = house("a", provider=anthropic_like(), a=[streamed(*events, BROKEN)])
        got = await it.stream(MESSAGES, dialect)
        assert b"error" not in got
        assert (await it.record()).outcome == "ok"


@BOTH
async def test_a_break_before_the_last_word_is_still_told(dialect: Dialect) -> None:
    it = house("a", a=[streamed(*STREAM[:3], BROKEN)])
    assert b"error" in await it.stream(MESSAGES, dialect)
    assert (await it.record()).outcome == "truncated"


# -- events out of order


@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])
@pytest.mark.parametrize(
    "events",
    [
        (TEXT, TOLD, FINISH),
        (START, START, TEXT, TOLD, FINISH),
        (START, TEXT, FINISH, TextDelta("late"), TOLD),
        (START, TEXT, TOLD, FINISH, StreamFinish("length")),
        (START, TEXT, TOLD, FINISH, UpstreamError(ErrorKind.SERVER, "late")),
        (START, TEXT, TOLD, FINISH, ZeroDivisionError("late")),
    ],
    ids=["no start", "two starts", "late text", "two finishes", "late failure", "late mistake"],
)
async def test_events_out_of_order_are_put_in_order(events: Sequence[object], dialect: Dialect) -> None:
    it = house("a", provider=Events(*events), a=[reply(WHOLE)])
    got = await it.stream(MESSAGES, dialect)
    assert wellformed(got)
    assert b"hello" in got
    assert b"late" not in got
    assert b"error" not in got
    assert got.count(b"message_start" if dialect is ANTHROPIC else b'"role":"assistant"') >= 1
    assert got.rstrip().endswith(b"[DONE]" if dialect is OPENAI else b'{"type":"message_stop"}')
    record = await it.record()
    assert (record.outcome, record.finish_reason, record.output_tokens) == ("ok", "stop", 20)


@pytest.mark.parametrize("events", [(), (START,), (START, TOLD), (START, TextDelta(""))])
async def test_a_stream_that_ends_without_any_content_moves_on_unnoticed(events: Sequence[object]) -> None:
    it = house("ab", provider=Events(*events), **ANY)
    with pytest.raises(UpstreamError) as caught:
        await it.stream(CHAT)
    assert caught.value.kind is ErrorKind.PROTOCOL
    assert [each.account_id for each in (await it.record()).attempts] == ["a", "b"]


async def test_an_empty_text_is_no_content_yet() -> None:
    it = house("ab", provider=Events(START, TextDelta(""), UpstreamError(ErrorKind.SERVER, "no")), **ANY)
    with pytest.raises(UpstreamError):
        await it.stream(CHAT)
    assert len(it.script.seen) == 2


# -- what a client chooses


@pytest.mark.parametrize(
    "name",
    ["x\r\ninjected: 1", "x\0y", "日本", "é", "", "a" * 5000],
    ids=["crlf", "nul", "kanji", "latin", "none", "long"],
)
async def test_a_field_name_that_no_header_can_carry_is_counted_and_not_named(name: str) -> None:
    it = house("a", provider=anthropic_like(), a=[reply(ANTHROPIC_WHOLE)])
    answer = await it.ask({**CHAT, "x_own": 1, name: 1})
    assert answer.headers["x-aigateway-dropped"] == "x_own, and 1 more"


async def test_the_header_that_names_lost_fields_stays_short() -> None:
    it = house("a", provider=anthropic_like(), a=[reply(ANTHROPIC_WHOLE)])
    answer = await it.ask({**CHAT, **{f"x_{number}": 1 for number in range(5000)}})
    assert answer.headers["x-aigateway-dropped"].endswith("x_19, and 4980 more")


async def test_a_header_that_cannot_be_passed_on_is_the_callers_mistake() -> None:
    it = house("a", provider=anthropic_like(), a=[reply(ANTHROPIC_WHOLE)])
    with pytest.raises(InvalidRequestError, match="anthropic-beta"):
        await it.ask(MESSAGES, ANTHROPIC, header={"anthropic-beta": "\xff"}.get)
    record = await it.record()
    assert (record.outcome, record.status_code, record.attempts) == ("invalid_request", 400, ())


@pytest.mark.parametrize("model", ["m" * 300, "m\n", "m\x1b[31m", "m\u202e", "acme/" + "x" * 300])
async def test_a_name_that_no_model_can_have_is_refused(model: str) -> None:
    it = house("a", a=[reply(WHOLE)])
    with pytest.raises(InvalidRequestError, match=r"^model: "):
        await it.ask({**CHAT, "model": model})
    record = await it.record()
    assert (record.outcome, record.status_code) == ("invalid_request", 400)
    assert len(record.model or "") <= 256


# -- providers that raise what they should not


class Raises(Events):
    """A provider whose every answer is this exception."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self._error = error

    async def complete(self, request: ChatRequest, upstream: Upstream) -> ChatResponse:
        raise self._error


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_cancellation_that_a_provider_lets_escape_is_its_mistake_and_no_client_that_left(
    stream: bool,
) -> None:
    it = house("a", provider=Raises(asyncio.CancelledError()), **ANY)
    with pytest.raises(UpstreamError, match="failed inside the gateway"):
        await it.ask({**CHAT, "stream": stream})
    record = await it.record()
    assert (record.outcome, record.status_code) == ("gateway_error", 500)


async def test_a_cancellation_that_a_provider_lets_escape_amid_a_stream_is_told_in_band() -> None:
    it = house("a", provider=Events(START, TEXT, asyncio.CancelledError()), **ANY)
    assert b"internal error" in await it.stream(CHAT)
    record = await it.record()
    assert (record.outcome, record.error_kind) == ("truncated", "internal")


@pytest.mark.parametrize("message", [None, "", 5, {"message": "x"}])
async def test_an_error_whose_message_is_no_text_is_recorded_all_the_same(message: object) -> None:
    it = house("a", provider=Raises(UpstreamError(ErrorKind.SERVER, message)), **ANY)  # type: ignore[arg-type]
    with pytest.raises(UpstreamError):
        await it.ask(CHAT)
    assert (await it.record()).outcome == "upstream_error"


@pytest.mark.parametrize("wait", [float("inf"), float("nan"), -5, 1e300, "5", None])
async def test_a_wait_that_is_no_time_harms_nobody(wait: object) -> None:
    error = UpstreamError(ErrorKind.RATE_LIMIT, "no", scope="account", retry_after=wait)  # type: ignore[arg-type]
    it = house("a", provider=Raises(error), **ANY)
    for _ in range(2):
        with pytest.raises(GatewayError) as caught:
            await it.ask(CHAT)
        headers = OPENAI.encode_error(caught.value, "req-1").headers
        assert 0 < int(headers.get("retry-after", "1")) <= 30 * 86400
    await it.recorder.aclose()
    assert len(it.sink.records) == 2


class ClosesBadly(Events):
    """A provider that cannot be stopped."""

    def __init__(self, *, yields: bool) -> None:
        super().__init__()
        self._yields = yields

    async def stream(self, request: ChatRequest, upstream: Upstream) -> AsyncIterator[StreamEvent]:
        try:
            yield START
            yield TEXT
            await asyncio.Event().wait()
        finally:
            if self._yields:
                yield TEXT
            raise ZeroDivisionError("at closing")


@pytest.mark.parametrize("yields", [False, True])
async def test_a_provider_that_fails_at_closing_spoils_no_ending(
    yields: bool, caplog: pytest.LogCaptureFixture
) -> None:
    it = house("a", provider=ClosesBadly(yields=yields), **ANY)
    async with AsyncExitStack() as exits:
        answer = await it.ask({**CHAT, "stream": True}, OPENAI, exits)
        assert isinstance(answer, StreamAnswer)
        await anext(aiter(answer))
        await answer.close()
    assert (await it.record()).outcome == "client_gone"
    assert "could not be closed" in caplog.text


# -- accounts


class ChokesOn(Strategy):
    """An auth strategy that cannot use one of the accounts."""

    def __init__(self, name: str) -> None:
        self._name = name

    def auth(self, account: Account) -> httpx.Auth:
        if account.id == self._name:
            raise KeyError("refresh_token")
        return super().auth(account)


async def test_an_account_whose_credential_cannot_be_used_is_passed_over() -> None:
    it = House(Script(**ANY), openai_like(), "ab", strategy=ChokesOn("a"))
    for _ in range(4):
        assert (await it.whole(CHAT))["model"] == "m"
    assert [name for name, _ in it.script.seen] == ["b"] * 4
    await it.recorder.aclose()
    first = it.sink.records[0].attempts[0]
    assert (first.account_id, first.error_kind, first.dispatched) == ("a", "credential", False)


class NoWayFor(OneWay):
    def way_out(self, account: Account) -> WayOut:
        if account.id == "a":
            return Egress(Transports()).way_out(attrs.evolve(account, proxy_url="http://proxy.example/with/a/path"))
        return super().way_out(account)


async def test_an_account_whose_outbound_proxy_is_none_is_passed_over_and_never_goes_direct() -> None:
    script = Script(**ANY)
    it = House(script, openai_like(), "ab", egress=NoWayFor(script))
    for _ in range(4):
        assert (await it.whole(CHAT))["model"] == "m"
    assert [name for name, _ in it.script.seen] == ["b"] * 4
    await it.recorder.aclose()
    first = it.sink.records[0].attempts[0]
    assert (first.account_id, first.scope, first.dispatched) == ("a", "outbound_proxy", False)


@pytest.mark.parametrize("order", ["ab", "ba"])
async def test_the_wait_that_is_told_is_that_of_the_first_account_to_come_back(order: str) -> None:
    waits = dict(zip(order, ("7", "3000"), strict=True))
    it = house("ab", **{name: [refused(429, **{"retry-after": wait})] for name, wait in waits.items()})
    with pytest.raises(UpstreamError) as caught:
        await it.ask(CHAT)
    assert caught.value.retry_after is not None
    assert 5 <= caught.value.retry_after <= 7


async def test_no_wait_is_told_while_another_account_is_ready() -> None:
    script = Script(**{name: [refused(429, **{"retry-after": "3000"})] for name in "abc"})
    it = House(script, openai_like(), "abc", max_attempts=2)
    with pytest.raises(UpstreamError) as caught:
        await it.ask(CHAT)
    assert caught.value.kind is ErrorKind.RATE_LIMIT
    assert caught.value.retry_after is None


async def test_a_bad_credential_does_not_hide_that_another_account_is_only_limited() -> None:
    it = house("ab", a=[refused(429, **{"retry-after": "7"})], b=[refused(401)])
    with pytest.raises(UpstreamError) as caught:
        await it.ask(CHAT)
    assert caught.value.kind is ErrorKind.RATE_LIMIT


async def test_what_an_account_said_before_it_was_mended_is_not_held_against_it() -> None:
    it = house("a", a=[refused(401), reply(WHOLE)])
    asked = asyncio.create_task(it.ask(CHAT))
    while not it.script.seen:  # noqa: ASYNC110 - the script tells nobody
        await asyncio.sleep(0)
    mended = attrs.evolve(account("a"), credential=Token(Secret("a-new-key-123456")))
    it.snapshot.value = Snapshot(version=2, accounts={"acme": (mended,)})
    with pytest.raises(UpstreamError):
        await asked
    assert (await it.whole(CHAT))["model"] == "m"
