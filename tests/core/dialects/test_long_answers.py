"""A long answer takes time in proportion to its length: one client's stream must not stop the others for minutes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

import pytest

from aigateway_core.dialects.anthropic import Anthropic
from aigateway_core.dialects.dialect import Dialect, StreamDecoder, decode_events
from aigateway_core.dialects.gemini import Gemini
from aigateway_core.dialects.openai_chat import OpenAIChat, OpenAIChatProfile
from aigateway_core.dialects.openai_responses import OpenAIResponses
from aigateway_core.dialects.openai_tools import OpenAITool
from aigateway_core.dialects.sse import SseParser
from aigateway_core.events import (
    StreamEvent,
    StreamFinish,
    StreamStart,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    fold,
)
from aigateway_core.jsontext import dumps
from aigateway_core.model import ChatRequest, JsonObject, TextPart, ThinkingPart, ToolCallPart

MILLION, MANY = 1_000_000, 200_000
VAST = "x" * (12 << 20)
"""To copy it takes more than a millisecond."""

DELTA = '{"a":1},'
"""Braces at every turn, since those who wait for the end of an object look at each of them."""

REQUEST = ChatRequest(model="m", stream=True)
DIALECTS: tuple[Dialect, ...] = (
    Anthropic(),
    OpenAIChat(OpenAIChatProfile(reasoning_field="reasoning_content")),
    OpenAIResponses(),
    Gemini(),
)


def text(number: int) -> list[StreamEvent]:
    return [TextDelta(DELTA)] * number


def thinking(number: int) -> list[StreamEvent]:
    return [ThinkingDelta(DELTA, "glm")] * number


def arguments(number: int) -> list[StreamEvent]:
    """One call of very many deltas, while another is waiting behind it."""
    starts = [ToolCallStart(0, "c0", "f"), ToolCallStart(1, "c1", "g"), ToolCallDelta(1, "{}")]
    inner = [ToolCallDelta(0, '{"a":1}'), ToolCallDelta(0, ",")] * (number // 2)
    return [*starts, ToolCallDelta(0, '{"list":['), *inner, ToolCallDelta(0, '{"a":1}]}')]


SHAPES: Mapping[str, Callable[[int], list[StreamEvent]]] = {
    "text": text,
    "thinking": thinking,
    "arguments": arguments,
}
shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def answer(shape: Callable[[int], list[StreamEvent]], number: int = MANY) -> list[StreamEvent]:
    return [StreamStart("r", "m"), *shape(number), StreamFinish("tool_calls" if shape is arguments else "stop")]


@pytest.mark.timeout(60)
@shapes
def test_a_million_deltas_fold_to_one_part(shape: Callable[[int], list[StreamEvent]]) -> None:
    part, *_ = fold(answer(shape, MILLION)).parts
    match part:
        case TextPart(told) | ThinkingPart(told):
            assert told == DELTA * MILLION
        case ToolCallPart(arguments=told):
            assert told == '{"list":[' + '{"a":1},' * (MILLION // 2) + '{"a":1}]}'


@pytest.mark.timeout(60)
@shapes
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_very_many_deltas_pass_through_every_dialect(
    dialect: Dialect, shape: Callable[[int], list[StreamEvent]]
) -> None:
    # Arguments are what is looked at while they grow; the other two only have to be passed on.
    events = answer(shape, MANY if shape is arguments else MANY // 5)
    encoder = dialect.stream_encoder(REQUEST)
    wire = b"".join([*map(encoder.encode, events), encoder.end()])
    came = fold(decode_events(dialect.stream_decoder(REQUEST), SseParser().feed(wire)))
    assert [(type(part), len(str(part))) for part in came.parts if not isinstance(part, ThinkingPart)] == [
        (type(part), len(str(part))) for part in fold(events).parts if not isinstance(part, ThinkingPart)
    ]
    assert came.finish_reason == fold(events).finish_reason


FREE = OpenAITool("free", custom=True)
FREELY = ChatRequest(model="m", stream=True, tools=(FREE,))
STREAMED: Mapping[str, tuple[StreamEvent, Callable[[str], StreamEvent], StreamEvent]] = {
    "text": (TextDelta("x"), TextDelta, TextDelta("x")),
    "thinking": (ThinkingDelta("x", "glm"), lambda text: ThinkingDelta(text, "glm"), TextDelta("x")),
    "arguments": (ToolCallStart(0, "c0", "f"), lambda text: ToolCallDelta(0, text), ToolCallDelta(0, '"}')),
    "free text": (ToolCallStart(0, "c0", "free"), lambda text: ToolCallDelta(0, text), ToolCallDelta(0, '"}')),
}


def growing(kind: str, pieces: Iterable[str]) -> list[StreamEvent]:
    first, delta, last = STREAMED[kind]
    opening = [delta('{"input":"')] if isinstance(first, ToolCallStart) else []
    finish = StreamFinish("tool_calls" if opening else "stop")
    return [StreamStart("r", "m"), first, *opening, *map(delta, pieces), last, finish]


def seconds(decoder: StreamDecoder, chunks: Iterable[bytes]) -> float:
    """Of the processor, to write and to read an answer."""
    began = time.process_time()
    parser = SseParser()
    for chunk in chunks:
        for event in parser.feed(chunk):
            decoder.feed(event)
    return time.process_time() - began


def assert_in_proportion(
    decoder: Callable[[], StreamDecoder], wire: Callable[[Iterable[str]], Iterable[bytes]]
) -> None:
    """A vast piece and many small ones after it take about as long as either alone."""
    few = ["x" * 10] * 8_000
    apart = seconds(decoder(), wire([VAST])) + seconds(decoder(), wire(few))
    # Others are at work on this machine too: one try of three will do. Copied for each, it takes thirty times as long.
    assert any(seconds(decoder(), wire([VAST, *few])) < 10 * apart for _ in range(3))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", STREAMED)
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_what_came_before_is_not_copied_with_every_delta(dialect: Dialect, kind: str) -> None:
    def wire(pieces: Iterable[str]) -> Iterable[bytes]:
        encoder = dialect.stream_encoder(FREELY)
        return map(encoder.encode, growing(kind, pieces))

    assert_in_proportion(lambda: dialect.stream_decoder(FREELY), wire)


MANY_CALLS = 20_000
"""It takes seconds to go through them all for each of them."""


def fragments(number: int, fragment: Callable[[int], JsonObject]) -> list[bytes]:
    deltas = ({"tool_calls": [fragment(each)]} for each in range(number))
    return [written({"id": "c", "choices": [{"index": 0, "delta": delta}]}) for delta in deltas]


@pytest.mark.timeout(120)
def test_no_fragment_of_a_call_is_looked_for_among_all_calls() -> None:
    decoder, function = OpenAIChat().stream_decoder, {"name": "f", "arguments": "{}"}
    numbered = fragments(MANY_CALLS, lambda each: {"index": each, "id": f"c{each}", "function": function})
    bare = fragments(MANY_CALLS, lambda each: {"id": f"c{each}", "function": function})
    took = seconds(decoder(FREELY), numbered)
    assert any(seconds(decoder(FREELY), bare) < 6 * took for _ in range(3))


@pytest.mark.timeout(120)
def test_arguments_are_not_read_again_for_every_name_that_stands_beside_them() -> None:
    def wire(pieces: Iterable[str]) -> Iterable[bytes]:
        given = (
            {"index": 0, "id": f"c{each}", "function": {"name": "f", "arguments": piece}}
            for each, piece in enumerate(["[", *pieces])
        )
        return (written({"id": "c", "choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}) for call in given)

    assert_in_proportion(lambda: OpenAIChat().stream_decoder(FREELY), wire)


@pytest.mark.timeout(120)
def test_free_text_that_an_upstream_streams_is_not_copied_with_every_delta() -> None:
    item = {"type": "custom_tool_call", "id": "c", "call_id": "c", "name": "free", "input": ""}

    def wire(pieces: Iterable[str]) -> Iterable[bytes]:
        yield written({"type": "response.output_item.added", "output_index": 0, "item": item})
        for piece in pieces:
            yield written({"type": "response.custom_tool_call_input.delta", "output_index": 0, "delta": piece})

    assert_in_proportion(lambda: OpenAIResponses().stream_decoder(FREELY), wire)


def written(event: JsonObject) -> bytes:
    return b"data: " + dumps(event) + b"\n\n"
