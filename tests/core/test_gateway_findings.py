"""What an attack on the request path brought to light: odd clients, odd upstreams, odd providers."""

from __future__ import annotations

import asyncio
import gc
import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, suppress

import httpx
import pytest
from core.gateway_house import (
    ANTHROPIC,
    ANTHROPIC_WHOLE,
    ANY,
    CHAT,
    FINISH,
    MESSAGES,
    OPENAI,
    START,
    STREAM,
    TEXT,
    TOLD,
    WHOLE,
    Body,
    Events,
    anthropic_like,
    house,
    refused,
    reply,
    streamed,
)

from aigateway_core.answers import StreamAnswer
from aigateway_core.dialects.dialect import Dialect
from aigateway_core.errors import ErrorKind, GatewayError, InvalidRequestError, UnavailableError, UpstreamError
from aigateway_core.events import StreamFinish, TextDelta
from aigateway_core.exchange import Whole
from aigateway_core.gateway import Incoming
from aigateway_core.model import JsonObject
from aigateway_core.records import Caller

pytestmark = pytest.mark.anyio
BOTH = pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC], ids=["native", "translated"])
BROKEN = httpx.RemoteProtocolError("peer closed connection")


def wellformed(stream: bytes) -> bool:
    """Whether these are server-sent events and nothing else."""
    return all(
        re.fullmatch(rb"(event: \w+\n)?data: .*", block) for block in stream.removesuffix(b"\n\n").split(b"\n\n")
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        *((broken, {"INVALID_JSON": broken}) for broken in ('{"a":', "{'a': 1}", '{"a": NaN}', "{" * 100)),
        *((odd, {}) for odd in ("[1]", '"text"', "5", "")),
    ],
)
async def test_u_27_broken_arguments_of_a_tool_are_told_as_they_are_and_asked_once(
    arguments: str, told: dict[str, str]
) -> None:
    it = house("abc", anthropic_like(), a=[reply(ANTHROPIC_WHOLE)])
    called = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": arguments}}
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "call_1", "content": "42"},
    ]
    await it.ask({"model": "m", "messages": turns})
    [(_, body)] = it.script.seen
    [used] = [part for turn in body["messages"] for part in turn["content"] if "input" in part]  # type: ignore[attr-defined]
    assert used["input"] == told


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
    for kind in ("exchange", "translation"):
        monkeypatch.setattr(f"aigateway_core.{kind}.AFTERMATH_SECONDS", 0.01)
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


async def test_a_whole_answer_to_a_stream_request_reaches_a_client_whose_request_only_the_vendor_understands() -> None:
    it = house("a", a=[reply(WHOLE)])
    film = {"role": "user", "content": [{"type": "video_url", "video_url": {"url": "https://films.example/1"}}]}
    got = await it.stream({**CHAT, "messages": [film]})
    assert b"hello" in got
    assert got.endswith(b"data: [DONE]\n\n")
    assert (await it.record()).outcome == "ok"


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


# -- secrets

ECHO = {
    "error": {
        "param": "secret-of-a-12345",
        "message": "bad key secret-of-a-12345",
        "type": "invalid_request_error",
        "code": "secret-of-a-12345",
    }
}
ECHOED = b"data: " + json.dumps(ECHO).encode() + b"\n\n"


@BOTH
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_s_15_a_key_that_an_answer_of_status_200_echoes_reaches_nobody(dialect: Dialect, stream: bool) -> None:
    it = house("a", a=[streamed(ECHOED) if stream else reply(ECHO)])
    with pytest.raises(UpstreamError) as caught:
        await it.ask({**MESSAGES, "stream": stream}, dialect)
    shown = dialect.encode_error(caught.value, "req-1")
    assert "secret-of-a" not in json.dumps(shown.body)
    assert "secret-of-a" not in str(await it.record())


@BOTH
async def test_s_15_a_key_that_an_error_amid_a_stream_echoes_reaches_nobody(dialect: Dialect) -> None:
    it = house("a", a=[streamed(*STREAM[:3], ECHOED)])
    got = await it.stream(MESSAGES, dialect)
    assert b"error" in got
    assert b"secret-of-a" not in got
    record = await it.record()
    assert record.outcome == "truncated"
    assert "secret-of-a" not in str(record)


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


async def test_an_empty_header_takes_nothing_from_what_the_provider_says() -> None:
    it = house("a", provider=anthropic_like(), a=[reply(ANTHROPIC_WHOLE)])
    await it.ask(MESSAGES, ANTHROPIC, header={"anthropic-version": "", "anthropic-beta": ""}.get)
    assert it.script.headers[0]["anthropic-version"] == "2023-06-01"
    assert "anthropic-beta" not in it.script.headers[0]


@pytest.mark.parametrize("model", ["m" * 300, "m\n", "m\x1b[31m", "m\u202e", "acme/" + "x" * 300])
async def test_a_name_that_no_model_can_have_is_refused(model: str) -> None:
    it = house("a", a=[reply(WHOLE)])
    with pytest.raises(InvalidRequestError, match=r"^model: "):
        await it.ask({**CHAT, "model": model})
    record = await it.record()
    assert (record.outcome, record.status_code) == ("invalid_request", 400)
    assert len(record.model or "") <= 256


@BOTH
@pytest.mark.parametrize("last", ["answered", "refused", "streamed", "cut"])
async def test_what_failed_is_let_go_of_without_the_collector(dialect: Dialect, last: str) -> None:
    """A failure's traceback leads to all that was read of it: to megabytes, with the collector rarely at work."""
    answer = {
        "answered": reply(WHOLE),
        "refused": refused(503),
        "streamed": streamed(*STREAM),
        "cut": streamed(*STREAM[:3], BROKEN),
    }[last]
    it = house("ab", a=[refused(502)], b=[answer])
    gc.collect()
    before = [each for each in gc.get_objects() if isinstance(each, GatewayError)]
    gc.disable()
    try:
        with suppress(GatewayError):
            await (it.stream(MESSAGES, dialect) if last in {"streamed", "cut"} else it.whole(MESSAGES, dialect))
        after = [each for each in gc.get_objects() if isinstance(each, GatewayError)]
    finally:
        gc.enable()
    assert [each for each in after if each not in before] == []


COUNTING = [
    {"type": "message_start", "message": {**ANTHROPIC_WHOLE, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}},
]


@pytest.mark.parametrize(
    ("why", "outcome"),
    [(asyncio.CancelledError(), "client_gone"), (asyncio.CancelledError(UnavailableError.SHUTTING_DOWN), "truncated")],
    ids=["the client leaves", "the gateway stops"],
)
@pytest.mark.parametrize("dialect", [ANTHROPIC, OPENAI], ids=["native", "translated"])
async def test_a_stream_that_ends_while_a_piece_of_it_is_being_sent_is_recorded_with_what_was_counted(
    dialect: Dialect, why: BaseException, outcome: str
) -> None:
    events = [f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in COUNTING]
    it = house("a", provider=anthropic_like(), a=[lingering(*events)])
    with suppress(asyncio.CancelledError):
        async with AsyncExitStack() as exits:
            answer = await it.ask({**MESSAGES, "stream": True}, dialect, exits)
            assert isinstance(answer, StreamAnswer)
            async for _ in answer:
                raise why
    record = await it.record()
    assert (record.outcome, record.input_tokens) == (outcome, 3)


async def test_a_key_has_its_place_again_when_the_client_has_its_answer_and_not_when_the_upstream_has_ended() -> None:
    it = house("a", a=[lingering(*STREAM), reply(WHOLE)])
    caller = Caller(id="key", role="client", concurrency=1)

    async def answer(body: JsonObject, exits: AsyncExitStack) -> Whole | StreamAnswer:
        async def read() -> bytes:
            return json.dumps(body).encode()

        return await it.gateway.answer(Incoming(OPENAI, caller, "req-1", read(), lambda: exits))

    first = AsyncExitStack()
    streamed = await answer({**CHAT, "stream": True}, first)
    assert isinstance(streamed, StreamAnswer)
    assert [each async for each in streamed]
    ending = asyncio.create_task(first.aclose())
    await asyncio.sleep(0)
    async with AsyncExitStack() as second:
        assert isinstance(await answer(CHAT, second), Whole)
    ending.cancel()
