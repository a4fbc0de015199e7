"""Streams of messages: out of an upstream, and to a client."""

from __future__ import annotations

from typing import Any

import pytest
from core.dialects.message_stream import assembled, message_events, outline

from aigateway_core.dialects.anthropic import Anthropic
from aigateway_core.dialects.dialect import decode_events
from aigateway_core.dialects.signatures import is_sealed
from aigateway_core.dialects.sse import ServerSentEvent
from aigateway_core.errors import ErrorKind, UpstreamError, UpstreamFailure
from aigateway_core.events import (
    RedactedThinking,
    SignatureDelta,
    StreamEvent,
    StreamFinish,
    StreamStart,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageUpdate,
)
from aigateway_core.jsontext import dumps
from aigateway_core.model import ChatRequest, FinishReason, JsonObject, Message, Reasoning, TextPart, Tool, Usage

DIALECT = Anthropic()
REQUEST = ChatRequest(model="mine", messages=(Message("user", (TextPart("hi"),)),), stream=True)
START = StreamStart("msg_1", "up")


def encode(*events: StreamEvent, finish: FinishReason | None = "stop", request: ChatRequest = REQUEST) -> bytes:
    encoder = DIALECT.stream_encoder(request)
    wire = b"".join(encoder.encode(event) for event in (START, *events))
    if finish is not None:
        wire += encoder.encode(StreamFinish(finish)) + encoder.end()
    return wire


# -- to a client


def told(wire: bytes) -> list[str]:
    """A stream in few words, one line to an event."""
    return [line.removeprefix("input_") for line in outline(wire)]


def test_a_stream_follows_the_grammar() -> None:
    wire = encode(
        ThinkingDelta("hm", "glm"),
        TextDelta("hel"),
        TextDelta("lo"),
        ToolCallStart(0, "c", "w"),
        ToolCallDelta(0, '{"a":1}'),
    )
    assert told(wire) == [
        "message_start",
        "start 0 thinking",
        "thinking 0 hm",
        "signature 0",
        "stop 0",
        "start 1 text",
        "text 1 hel",
        "text 1 lo",
        "stop 1",
        "start 2 tool_use c w",
        'json 2 {"a":1}',
        "stop 2",
        "message_delta tool_use",
        "message_stop",
    ]


def test_the_start_has_the_clients_model_and_counts_of_its_own() -> None:
    (start, *_) = message_events(encode())
    assert start["message"]["model"] == "mine"
    assert start["message"]["id"] == "msg_1"
    assert start["message"]["usage"]["input_tokens"] > 0
    assert start["message"]["usage"]["output_tokens"] == 1


def test_the_last_usage_is_told_at_the_end_even_when_it_comes_after_the_finish() -> None:
    encoder = DIALECT.stream_encoder(REQUEST)
    events: tuple[StreamEvent, ...] = (
        START,
        UsageUpdate(Usage(input_tokens=1)),
        TextDelta("hi"),
        StreamFinish("stop"),
        UsageUpdate(Usage(input_tokens=50, output_tokens=7, cache_read_tokens=40)),
    )
    message = assembled(b"".join(map(encoder.encode, events)) + encoder.end())
    assert message["usage"] == {
        "input_tokens": 10,
        "output_tokens": 7,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 40,
    }


def test_usage_is_estimated_when_nobody_counted() -> None:
    usage = assembled(encode(TextDelta("some words that were said")))["usage"]
    assert usage["input_tokens"] > 0
    assert usage["output_tokens"] > 1


def test_a_stream_may_begin_without_a_start_and_say_nothing() -> None:
    encoder = DIALECT.stream_encoder(REQUEST)
    wire = encoder.encode(StreamFinish("length")) + encoder.end()
    assert told(wire) == ["message_start", "message_delta max_tokens", "message_stop"]


def test_content_after_the_finish_is_ignored() -> None:
    encoder = DIALECT.stream_encoder(REQUEST)
    for event in (START, TextDelta("hi"), StreamFinish("stop")):
        encoder.encode(event)
    assert encoder.encode(TextDelta("late")) + encoder.encode(ToolCallStart(0, "c", "w")) + encoder.encode(START) == b""
    assert told(b'event: message_start\ndata: {"type":"message_start"}\n\n' + encoder.end())[1:] == [
        "message_delta end_turn",
        "message_stop",
    ]


def test_a_stream_without_a_finish_is_never_ended_cleanly() -> None:
    encoder = DIALECT.stream_encoder(REQUEST)
    encoder.encode(START)
    encoder.encode(TextDelta("hel"))
    with pytest.raises(UpstreamError, match="cut"):
        encoder.end()


def test_interleaved_calls_come_out_one_after_the_other() -> None:
    wire = encode(
        ToolCallStart(0, "a", "x"),
        ToolCallStart(1, "b", "y"),
        ToolCallDelta(0, '{"n":'),
        ToolCallDelta(1, '{"m":'),
        ToolCallDelta(0, "1}"),
        ToolCallDelta(1, "2}"),
    )
    content = assembled(wire)["content"]
    assert [(block["id"], block["input"]) for block in content] == [("a", {"n": 1}), ("b", {"m": 2})]


def test_the_next_call_is_sent_as_soon_as_the_first_is_whole() -> None:
    encoder = DIALECT.stream_encoder(REQUEST)
    for event in (START, ToolCallStart(0, "a", "x"), ToolCallDelta(0, '{"n":'), ToolCallStart(1, "b", "y")):
        encoder.encode(event)
    assert encoder.encode(ToolCallDelta(1, '{"m":')) == b""
    assert told(encoder.encode(ToolCallDelta(0, "1}"))) == [
        "json 0 1}",
        "stop 0",
        "start 1 tool_use b y",
        'json 1 {"m":',
    ]
    assert told(encoder.encode(ToolCallDelta(1, "2}"))) == ["json 1 2}"]
    assert encoder.encode(ToolCallDelta(0, "late")) == b""


def test_waiting_calls_are_sent_in_the_order_of_their_numbers() -> None:
    wire = encode(
        ToolCallStart(0, "a", "x"),
        ToolCallStart(2, "c", "z"),
        ToolCallStart(1, "b", "y"),
        ToolCallDelta(2, "{}"),
        ToolCallDelta(0, "{}"),
        ToolCallDelta(1, "{}"),
    )
    assert [block["id"] for block in assembled(wire)["content"]] == ["a", "b", "c"]


def test_text_after_a_call_is_a_block_of_its_own() -> None:
    whole = encode(TextDelta("a"), ToolCallStart(0, "c", "w"), ToolCallDelta(0, "{}"), TextDelta("b"))
    assert [block["type"] for block in assembled(whole)["content"]] == ["text", "tool_use", "text"]
    # Nothing of a call is lost when text comes between its fragments.
    torn = encode(
        ToolCallStart(0, "c", "w"), ToolCallDelta(0, '{"a":'), TextDelta("b"), ToolCallDelta(0, "1}"), TextDelta("c")
    )
    assert [block.get("input", block.get("text")) for block in assembled(torn)["content"]] == [{"a": 1}, "bc"]


def test_a_call_without_arguments_has_none() -> None:
    wire = encode(
        ToolCallStart(0, "", "w"), ToolCallStart(1, "", "w"), ToolCallDelta(1, ""), ToolCallStart(1, "x", "again")
    )
    content = assembled(wire)["content"]
    assert [block["input"] for block in content] == [{}, {}]
    assert len({block["id"] for block in content}) == 2


@pytest.mark.parametrize(
    ("fragments", "sent"),
    [
        (["null"], ["{}"]),
        (["[1,", "2]"], ["{}"]),
        ([" ", "\n"], ["{}"]),
        (["n", "ull"], ["{}"]),
        ([" ", '\n{"a":', "1}"], [' \n{"a":', "1}"]),
    ],
)
def test_arguments_that_are_no_object_are_an_empty_one(fragments: list[str], sent: list[str]) -> None:
    events = [ToolCallStart(0, "c", "w"), *(ToolCallDelta(0, fragment) for fragment in fragments), TextDelta("x")]
    wire = encode(*events, finish="tool_calls")
    assert [line for line in told(wire) if line.startswith("json 0")] == [f"json 0 {text}" for text in sent]
    assert assembled(wire)["content"][0]["input"] == ({"a": 1} if len(sent) > 1 else {})


def test_arguments_that_are_no_object_stay_broken_when_they_were_cut_off() -> None:
    call = (ToolCallStart(0, "c", "w"), ToolCallDelta(0, "[1,"))
    assert "json 0 [1," in told(encode(*call, finish="length"))
    with pytest.raises(UpstreamError, match="broke off"):
        encode(*call, finish="tool_calls")


def test_fragments_of_an_unknown_call_are_ignored() -> None:
    assert assembled(encode(ToolCallDelta(3, "{}"), TextDelta("hi")))["content"] == [{"type": "text", "text": "hi"}]


def test_arguments_that_end_too_early_are_an_error_after_the_fragments() -> None:
    encoder = DIALECT.stream_encoder(REQUEST)
    events: tuple[StreamEvent, ...] = (START, ToolCallStart(0, "c", "w"), ToolCallDelta(0, '{"a":'))
    wire = b"".join(map(encoder.encode, events))
    assert told(wire)[-1] == 'json 0 {"a":'
    with pytest.raises(UpstreamError, match="broke off") as caught:
        encoder.encode(StreamFinish("tool_calls"))
    assert caught.value.kind is ErrorKind.PROTOCOL


def test_at_the_limit_fragments_stay_as_they_are_and_a_waiting_call_is_left_out() -> None:
    events = (
        ToolCallStart(0, "a", "x"),
        ToolCallDelta(0, '{"n":'),
        ToolCallStart(1, "b", "y"),
        ToolCallDelta(1, '{"m":'),
    )
    assert told(encode(*events, finish="length"))[1:] == [
        "start 0 tool_use a x",
        'json 0 {"n":',
        "stop 0",
        "message_delta max_tokens",
        "message_stop",
    ]


def test_thinking_is_signed_before_its_block_ends() -> None:
    wire = encode(
        ThinkingDelta("a", "anthropic"),
        SignatureDelta("Eq==", "anthropic"),
        ThinkingDelta("b", "anthropic"),
        TextDelta("x"),
        ThinkingDelta("", "glm"),
        ThinkingDelta("c", "glm"),
        RedactedThinking("secret", "openai"),
        SignatureDelta("Er==", "anthropic"),
    )
    own, unsigned, said, foreign, redacted, empty = assembled(wire)["content"]
    assert own == {"type": "thinking", "thinking": "a", "signature": "Eq=="}
    assert (unsigned["thinking"], said["text"], foreign["thinking"]) == ("b", "x", "c")
    assert is_sealed(unsigned["signature"])
    assert is_sealed(foreign["signature"])
    assert is_sealed(redacted["data"])
    assert empty == {"type": "thinking", "thinking": "", "signature": "Er=="}


def test_thinking_that_the_client_does_not_want_to_see_is_a_signature_alone() -> None:
    request = ChatRequest(model="m", messages=REQUEST.messages, reasoning=Reasoning("high", summary=False))
    wire = encode(ThinkingDelta("h", "glm"), ThinkingDelta("m", "glm"), TextDelta("x"), request=request)
    assert told(wire)[1:5] == ["start 0 thinking", "signature 0", "stop 0", "start 1 text"]
    (thinking, said) = assembled(wire)["content"]
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": [thinking, said]}]
    history = DIALECT.decode_request({"model": "m", "max_tokens": 9, "messages": turns})
    assert getattr(history.messages[1].parts[0], "text") == "hm"  # noqa: B009


def test_the_keepalive_is_a_ping() -> None:
    assert message_events(DIALECT.keepalive) == [{"type": "ping"}]


# -- out of an upstream


def event(kind: str, **fields: Any) -> ServerSentEvent:
    return ServerSentEvent(kind, dumps({"type": kind, **fields}))


def begin(**usage: Any) -> ServerSentEvent:
    message = {"id": "msg_1", "type": "message", "model": "claude", "content": [], "usage": usage}
    return event("message_start", message=message)


def block(index: int, **content: Any) -> ServerSentEvent:
    return event("content_block_start", index=index, content_block=content)


def delta(index: int, kind: str, **fields: Any) -> ServerSentEvent:
    return event("content_block_delta", index=index, delta={"type": kind, **fields})


def finish(reason: str | None = "end_turn", **usage: Any) -> ServerSentEvent:
    return event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage=usage)


def stop(index: int) -> ServerSentEvent:
    return event("content_block_stop", index=index)


BEGIN, END = begin(), event("message_stop")
TOOL_USE: JsonObject = {"type": "tool_use", "id": "t", "name": "w", "input": {}}


def decode(*events: ServerSentEvent, request: ChatRequest = REQUEST) -> list[StreamEvent]:
    return decode_events(DIALECT.stream_decoder(request), events)


def inside(*events: ServerSentEvent) -> list[StreamEvent]:
    """The canonical events between start and finish."""
    first, *between, last = decode(BEGIN, *events, finish(), END)
    assert isinstance(first, StreamStart)
    assert isinstance(last, StreamFinish)
    return between


def test_a_stream_is_read_from_start_to_finish() -> None:
    assert decode(
        begin(input_tokens=13, cache_read_input_tokens=22000, cache_creation_input_tokens=31, output_tokens=1),
        block(0, type="text", text=""),
        event("ping"),
        delta(0, "text_delta", text="hi"),
        stop(0),
        finish("stop_sequence", output_tokens=4),
        END,
    ) == [
        StreamStart("msg_1", "claude"),
        UsageUpdate(Usage(input_tokens=22044, output_tokens=1, cache_read_tokens=22000, cache_write_tokens=31)),
        TextDelta("hi"),
        UsageUpdate(Usage(input_tokens=22044, output_tokens=4, cache_read_tokens=22000, cache_write_tokens=31)),
        StreamFinish("stop_sequence"),
    ]


def test_counts_of_the_end_replace_those_of_the_start() -> None:
    *_, usage, _ = decode(begin(input_tokens=0, output_tokens=0), finish(output_tokens=5, input_tokens=777), END)
    assert usage == UsageUpdate(Usage(input_tokens=777, output_tokens=5))
    *_, usage, _ = decode(begin(input_tokens=12, output_tokens=1), finish(output_tokens=5, input_tokens=None), END)
    assert usage == UsageUpdate(Usage(input_tokens=12, output_tokens=5))


def test_thinking_is_read_with_its_signature() -> None:
    assert inside(
        block(0, type="thinking", thinking="", signature=""),
        delta(0, "thinking_delta", thinking="hm"),
        delta(0, "signature_delta", signature="Eq=="),
        stop(0),
        block(1, type="redacted_thinking", data="Er=="),
        stop(1),
    ) == [
        ThinkingDelta("hm", "anthropic"),
        SignatureDelta("Eq==", "anthropic"),
        RedactedThinking("Er==", "anthropic"),
    ]


def test_calls_are_counted_among_themselves_and_server_tools_leave_no_gap() -> None:
    events = inside(
        block(0, type="text", text=""),
        stop(0),
        block(1, type="server_tool_use", id="s", name="web_search", input={}),
        delta(1, "input_json_delta", partial_json='{"query":"x"}'),
        stop(1),
        block(2, type="web_search_tool_result", content=[]),
        stop(2),
        block(3, **TOOL_USE),
        delta(3, "input_json_delta", partial_json=""),
        delta(3, "input_json_delta", partial_json='{"a":'),
        delta(3, "input_json_delta", partial_json="1}"),
        stop(3),
        block(4, **TOOL_USE | {"id": "u"}),
        stop(4),
    )
    assert events == [
        ToolCallStart(0, "t", "w"),
        ToolCallDelta(0, '{"a":'),
        ToolCallDelta(0, "1}"),
        ToolCallStart(1, "u", "w"),
        ToolCallDelta(1, "{}"),
    ]


def test_a_call_makes_the_finish_one_of_calls_unless_it_was_cut() -> None:
    assert decode(BEGIN, block(0, **TOOL_USE), finish("end_turn"), END)[-1] == StreamFinish("tool_calls")
    assert decode(BEGIN, block(0, **TOOL_USE), finish("max_tokens"), END)[-1] == StreamFinish("length")
    assert decode(BEGIN, finish("tool_use"), END)[-1] == StreamFinish("stop")


def test_input_in_the_start_counts_when_no_fragments_follow() -> None:
    whole = TOOL_USE | {"input": {"a": 1}}
    assert inside(block(0, **whole), stop(0))[1:] == [ToolCallDelta(0, '{"a":1}')]
    assert inside(block(0, **whole), delta(0, "input_json_delta", partial_json="{}"), stop(0))[1:] == [
        ToolCallDelta(0, "{}")
    ]


def test_a_name_that_was_shortened_is_restored() -> None:
    long = "n" * 80
    request = ChatRequest(model="m", messages=REQUEST.messages, tools=(Tool(long),))
    short = DIALECT.encode_request(request)["tools"][0]["name"]
    assert ToolCallStart(0, "t", long) in decode(
        BEGIN, block(0, **TOOL_USE | {"name": short}), finish(), END, request=request
    )


def test_what_is_not_known_is_passed_over() -> None:
    assert (
        inside(
            event("vendor_news", data=5),
            block(0, type="hologram"),
            delta(0, "hologram_delta", hologram="x"),
            delta(7, "input_json_delta", partial_json="{}"),
            stop(0),
            ServerSentEvent("", b"[DONE]"),
            ServerSentEvent("ping", b""),
        )
        == []
    )


def test_names_of_events_may_be_missing_on_either_side() -> None:
    nameless = ServerSentEvent("", event("message_stop").data)
    typeless = ServerSentEvent("content_block_delta", b'{"index":0,"delta":{"type":"text_delta","text":"hi"}}')
    assert decode(BEGIN, typeless, nameless)[1:] == [TextDelta("hi"), StreamFinish("stop")]


def test_a_stream_without_a_start_gets_one() -> None:
    assert decode(block(0, type="text", text="hi"), finish(), END)[:2] == [StreamStart("", "mine"), TextDelta("hi")]


def test_nothing_counts_after_the_end() -> None:
    late = (delta(0, "text_delta", text="late"), event("error", error={"message": "late"}))
    assert decode(BEGIN, finish(), END, *late)[-1] == StreamFinish("stop")


@pytest.mark.parametrize("events", [[], [BEGIN], [BEGIN, block(0, type="text", text="hel")], [BEGIN, finish(None)]])
def test_a_cut_stream_is_an_error(events: list[ServerSentEvent]) -> None:
    with pytest.raises(UpstreamError, match="cut before its end") as caught:
        decode(*events)
    assert (caught.value.kind, caught.value.scope) == (ErrorKind.PROTOCOL, "request")


def test_a_missing_stop_is_forgiven_when_the_reason_is_known() -> None:
    assert decode(BEGIN, finish("max_tokens"))[-1] == StreamFinish("length")


@pytest.mark.parametrize(
    "failing",
    [
        event("error", error={"type": "overloaded_error", "message": "Overloaded"}),
        ServerSentEvent("error", b'{"error":{"type":"overloaded_error","message":"Overloaded"}}'),
        ServerSentEvent("", b'{"error":{"message":"overloaded_error"}}'),
    ],
)
def test_an_error_in_the_stream_is_raised(failing: ServerSentEvent) -> None:
    with pytest.raises(UpstreamError, match=r"[Oo]verloaded") as caught:
        decode(BEGIN, delta(0, "text_delta", text="hel"), failing)
    assert caught.value.kind is ErrorKind.OVERLOADED


def test_a_provider_may_judge_errors_in_the_stream_itself() -> None:
    seen: list[UpstreamFailure] = []

    def classify(failure: UpstreamFailure) -> UpstreamError:
        seen.append(failure)
        return UpstreamError(ErrorKind.QUOTA, "spent", scope="account")

    decoder = DIALECT.stream_decoder(REQUEST, classify)
    with pytest.raises(UpstreamError, match="spent"):
        decoder.feed(ServerSentEvent("error", b'{"error":{"code":"1113"}}'))
    assert (seen[0].status, seen[0].body) == (200, b'{"error":{"code":"1113"}}')


@pytest.mark.parametrize(
    "broken",
    [
        ServerSentEvent("message_start", b"{oops"),
        ServerSentEvent("message_start", b"[]"),
        event("message_start", message="hi"),
        event("message_start", message={"id": 5}),
        event("message_start", message={"usage": "x"}),
        event("content_block_start", index=0),
        event("content_block_start", index="0", content_block={"type": "text"}),
        event("content_block_delta", index=0, delta="hi"),
        delta(0, "text_delta", text=5),
        delta(0, "thinking_delta"),
        finish(output_tokens="many"),
        event("message_delta", delta={"stop_reason": 5}),
    ],
)
def test_wrong_types_in_the_stream_are_a_protocol_error(broken: ServerSentEvent) -> None:
    with pytest.raises(UpstreamError) as caught:
        decode(broken, END)
    assert (caught.value.kind, caught.value.scope) == (ErrorKind.PROTOCOL, "request")
