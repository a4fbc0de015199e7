from __future__ import annotations

import pytest

from aigateway_core.dialects.estimate import OutputMeter, input_tokens, text_tokens, usage_of
from aigateway_core.events import unfold
from aigateway_core.model import (
    AudioPart,
    ChatRequest,
    ChatResponse,
    DocumentPart,
    ImagePart,
    Message,
    Part,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
)


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("日本語の文章です", 6)])
def test_four_bytes_are_a_token(text: str, tokens: int) -> None:
    assert text_tokens(text) == tokens


def test_a_text_with_a_lone_surrogate_is_counted_and_not_refused() -> None:
    assert text_tokens("a\ud800") == 1


def test_an_empty_prompt_still_counts_one() -> None:
    assert input_tokens(ChatRequest(model="m")) == 1


def test_a_longer_prompt_counts_more() -> None:
    short = ChatRequest(model="m", messages=(Message("user", (TextPart("hello"),)),))
    long = ChatRequest(model="m", messages=(Message("user", (TextPart("hello" * 100),)),))
    assert input_tokens(long) - input_tokens(short) == pytest.approx(124, abs=1)


@pytest.mark.parametrize(
    "part",
    [
        ImagePart(url="https://example.com/a.png"),
        DocumentPart(data="AAAA", media_type="application/pdf"),
        DocumentPart(text="words " * 50),
        AudioPart("AAAA", "wav"),
        ThinkingPart("a thought " * 20),
        ToolCallPart("call_1", "clock", '{"zone": "Europe/Berlin", "format": "long"}'),
        ToolResultPart("call_1", (TextPart("it is noon " * 10),)),
    ],
)
def test_every_kind_of_part_counts(part: Part) -> None:
    without = ChatRequest(model="m", messages=(Message("user", ()),))
    assert input_tokens(ChatRequest(model="m", messages=(Message("user", (part,)),))) > input_tokens(without) + 8


def test_system_texts_and_tools_count() -> None:
    plain = ChatRequest(model="m")
    assert input_tokens(ChatRequest(model="m", system=("Be kind to everyone.",))) > 8
    tool = Tool("clock", "Says what time it is.", {"type": "object", "properties": {"zone": {"type": "string"}}})
    assert input_tokens(ChatRequest(model="m", tools=(tool,))) > input_tokens(plain) + 15


def test_a_whole_answer_and_its_stream_are_estimated_alike() -> None:
    request = ChatRequest(model="m", messages=(Message("user", (TextPart("hi"),)),))
    parts = (ThinkingPart("let me think"), TextPart("hello, what"), ToolCallPart("c", "clock", '{"a": 1}'))
    response = ChatResponse(id="r", model="m", parts=parts)
    meter = OutputMeter()
    for event in unfold(response):
        meter.feed(event)
    usage = usage_of(request, response)
    assert meter.usage(request) == usage
    assert usage.estimated
    assert (usage.reasoning_tokens, usage.output_tokens) == (3, 9)
