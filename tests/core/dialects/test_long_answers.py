"""A long answer takes time in proportion to its length: one client's stream must not stop the others for minutes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from aigateway_core.dialects.anthropic import Anthropic
from aigateway_core.dialects.dialect import Dialect, decode_events
from aigateway_core.dialects.gemini import Gemini
from aigateway_core.dialects.openai_chat import OpenAIChat, OpenAIChatProfile
from aigateway_core.dialects.openai_responses import OpenAIResponses
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
from aigateway_core.model import ChatRequest, TextPart, ThinkingPart, ToolCallPart

MILLION, MANY = 1_000_000, 200_000
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
