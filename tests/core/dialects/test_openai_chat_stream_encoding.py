from __future__ import annotations

from typing import Any

import orjson
import pytest
from openai.types.chat import ChatCompletionChunk

from aigateway_core.dialects.openai_chat import OpenAIChat
from aigateway_core.dialects.sse import SseParser
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
from aigateway_core.model import ChatRequest, FinishReason, JsonObject, Message, TextPart, Usage

DIALECT = OpenAIChat()
PLAIN = ChatRequest(model="mine", stream=True, messages=(Message("user", (TextPart("hi"),)),))
COUNTED = ChatRequest(model="mine", stream=True, include_usage=True, messages=PLAIN.messages)
START = StreamStart("msg_1", "up")


def encode(*events: StreamEvent, request: ChatRequest = PLAIN) -> list[JsonObject]:
    """The chunks, after a check that ``[DONE]`` and nothing else follows them."""
    encoder = DIALECT.stream_encoder(request)
    wire = b"".join([encoder.encode(event) for event in (START, *events)] + [encoder.end()])
    *chunks, done = SseParser().feed(wire)
    assert (done.event, done.data) == ("", b"[DONE]")
    for chunk in chunks:
        ChatCompletionChunk.model_validate_json(chunk.data, strict=True)
    return [orjson.loads(chunk.data) for chunk in chunks]


def deltas(*events: StreamEvent, request: ChatRequest = PLAIN) -> list[tuple[Any, Any]]:
    chunks = encode(*events, request=request)
    return [
        (chunk["choices"][0]["delta"], chunk["choices"][0]["finish_reason"]) for chunk in chunks if chunk["choices"]
    ]


def tool(index: int, arguments: str) -> JsonObject:
    return {"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}


def test_the_order_of_a_stream() -> None:
    assert deltas(TextDelta("hel"), TextDelta(""), TextDelta("lo"), StreamFinish("stop")) == [
        ({"role": "assistant", "content": "", "refusal": None}, None),
        ({"content": "hel"}, None),
        ({"content": "lo"}, None),
        ({}, "stop"),
    ]


def test_all_chunks_share_id_time_and_the_client_s_model() -> None:
    chunks = encode(TextDelta("x"), StreamFinish("stop"), request=COUNTED)
    assert {(chunk["id"], chunk["object"], chunk["model"]) for chunk in chunks} == {
        ("chatcmpl-msg_1", "chat.completion.chunk", "mine")
    }
    assert len({chunk["created"] for chunk in chunks}) == 1


def test_usage_is_null_until_the_last_chunk_and_only_for_those_who_asked() -> None:
    usage = Usage(input_tokens=22044, output_tokens=4, cache_read_tokens=22000, cache_write_tokens=31)
    events = (TextDelta("x"), StreamFinish("stop"), UsageUpdate(usage))
    *before, last = encode(*events, request=COUNTED)
    assert [chunk["usage"] for chunk in before] == [None, None, None]
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 22048)
    assert last["usage"]["prompt_tokens_details"]["cached_tokens"] == 22000
    assert all("usage" not in chunk for chunk in encode(*events))


def test_usage_is_estimated_when_nobody_said() -> None:
    last = encode(TextDelta("four words are here"), StreamFinish("stop"), request=COUNTED)[-1]
    assert last["usage"]["completion_tokens"] == 5
    assert last["usage"]["prompt_tokens"] > 0


def test_thinking_goes_under_its_usual_name_and_seals_stay_out() -> None:
    events = (ThinkingDelta("hm"), SignatureDelta("sig"), RedactedThinking("x"), ThinkingDelta(""), TextDelta("a"))
    assert [delta for delta, _ in deltas(*events)[1:]] == [{"reasoning_content": "hm"}, {"content": "a"}]


def test_calls_are_told_apart_by_their_index() -> None:
    events = (
        ToolCallStart(0, "toolu_1", "clock"),
        ToolCallDelta(0, '{"a"'),
        ToolCallStart(1, "toolu_2", "stamp"),
        ToolCallDelta(1, "{}"),
        ToolCallDelta(0, ""),
        ToolCallDelta(0, ":1}"),
        StreamFinish("tool_calls"),
    )
    first = {"index": 0, "id": "toolu_1", "type": "function", "function": {"name": "clock", "arguments": ""}}
    second = {"index": 1, "id": "toolu_2", "type": "function", "function": {"name": "stamp", "arguments": ""}}
    assert deltas(*events)[1:] == [
        ({"tool_calls": [first]}, None),
        (tool(0, '{"a"'), None),
        ({"tool_calls": [second]}, None),
        (tool(1, "{}"), None),
        (tool(0, ":1}"), None),
        ({}, "tool_calls"),
    ]


def test_a_call_without_arguments_ends_with_an_empty_object() -> None:
    events = (
        ToolCallStart(0, "c0", "f"),
        ToolCallStart(1, "c1", "g"),
        ToolCallDelta(1, "{}"),
        StreamFinish("tool_calls"),
    )
    assert [delta for delta, _ in deltas(*events)[3:]] == [tool(1, "{}"), tool(0, "{}"), {}]


def test_a_call_that_the_limit_cut_is_not_completed() -> None:
    assert deltas(ToolCallStart(0, "c0", "f"), StreamFinish("length"))[2:] == [({}, "length")]


@pytest.mark.parametrize(
    ("reason", "without", "with_calls"),
    [
        ("stop", "stop", "tool_calls"),
        ("stop_sequence", "stop", "tool_calls"),
        ("tool_calls", "stop", "tool_calls"),
        ("length", "length", "length"),
        ("context_window", "length", "length"),
        ("content_filter", "content_filter", "content_filter"),
        ("pause", "stop", "tool_calls"),
    ],
)
def test_every_reason_has_a_word(reason: FinishReason, without: str, with_calls: str) -> None:
    assert deltas(TextDelta("x"), StreamFinish(reason))[-1] == ({}, without)
    called = (ToolCallStart(0, "c0", "f"), ToolCallDelta(0, "{}"))
    assert deltas(*called, StreamFinish(reason))[-1] == ({}, with_calls)
