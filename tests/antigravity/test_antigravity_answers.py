"""Whole answers of Cloud Code: what is in them, counted and put together."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cloud_code_answers import (
    CLAUDE,
    GEMINI,
    NATIVE,
    ONE,
    REQUEST,
    SHEET,
    STOPPED,
    USAGE,
    WIRE,
    body,
    call,
    chunks,
    enveloped,
    read,
    text,
    thought,
    whole,
)
from cloud_code_refusals import VALIDATION, VALIDATION_URL
from google.genai import types

from aigateway_core.plugin import (
    Anthropic,
    ChatResponse,
    ErrorKind,
    ImagePart,
    JsonObject,
    OpenAIChat,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    UpstreamError,
    Usage,
)

pytestmark = pytest.mark.anyio

COUNTED = {
    "promptTokenCount": 1200,
    "cachedContentTokenCount": 1000,
    "candidatesTokenCount": 18,
    "thoughtsTokenCount": 42,
    "totalTokenCount": 1260,
}


def to_anthropic(answer: ChatResponse) -> JsonObject:
    return Anthropic().encode_response(answer, REQUEST)


def to_chat(answer: ChatResponse) -> JsonObject:
    return OpenAIChat().encode_response(answer, REQUEST)


# -- usage


def test_R13_each_api_counts_in_its_own_way() -> None:
    answer = whole(body(text("ok"), finish="STOP", usage=COUNTED))
    usage = to_anthropic(answer)["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["output_tokens"]) == (200, 1000, 60)
    counted = to_chat(answer)["usage"]
    assert (counted["prompt_tokens"], counted["completion_tokens"], counted["total_tokens"]) == (1200, 60, 1260)
    assert counted["prompt_tokens_details"]["cached_tokens"] == 1000
    assert counted["completion_tokens_details"]["reasoning_tokens"] == 42


def test_R14_more_cached_than_prompted_leaves_no_input() -> None:
    answer = whole(body(text("ok"), finish="STOP", usage={**COUNTED, "cachedContentTokenCount": 5000}))
    assert to_anthropic(answer)["usage"]["input_tokens"] == 0


def test_R15_what_was_not_counted_is_the_rest_of_the_total() -> None:
    counts = {"promptTokenCount": 100, "cachedContentTokenCount": 80, "thoughtsTokenCount": 10, "totalTokenCount": 130}
    assert whole(body(text("ok"), finish="STOP", usage=counts)).usage == Usage(
        input_tokens=100, output_tokens=30, cache_read_tokens=80, reasoning_tokens=10
    )


# -- parts


def test_R16_a_whole_answer_is_what_its_stream_is() -> None:
    assert whole(ONE) == read(ONE) == read(*SHEET)


@pytest.mark.parametrize("wrap", [enveloped, dict])
def test_R16_an_answer_may_come_without_its_envelope(wrap: Any) -> None:
    assert CLAUDE.decode_response(wrap(ONE), REQUEST) == read(*SHEET)


@pytest.mark.parametrize(
    ("piece", "reason"),
    [
        (body(text("x"), finish="STOP", usage=USAGE), "stop"),
        (body(text("x"), usage=USAGE), "stop"),
        (body(text("x"), finish="FINISH_REASON_UNSPECIFIED", usage=USAGE), "stop"),
        (body(text("x"), finish="OTHER"), "stop"),
        (body(text("x"), finish="MAX_TOKENS"), "length"),
        (body(call(path="."), finish="MAX_TOKENS"), "tool_calls"),
        (body(call(path="."), finish="OTHER"), "tool_calls"),
        (body(finish="SAFETY"), "content_filter"),
        ({"promptFeedback": {"blockReason": "OTHER"}}, "content_filter"),
        (body(text(""), finish="STOP", usage=USAGE), "stop"),
    ],
)
def test_R16_the_end_is_the_same_whole_and_streamed(piece: JsonObject, reason: str) -> None:
    assert whole(piece).finish_reason == read(piece).finish_reason == reason


def test_R28_an_answer_of_a_call_alone_has_no_text() -> None:
    answer = whole(body(call(path="."), finish="STOP", usage=USAGE))
    assert [part["type"] for part in to_anthropic(answer)["content"]] == ["tool_use"]
    [choice] = to_chat(answer)["choices"]
    assert choice["message"]["content"] is None
    assert [made["function"]["name"] for made in choice["message"]["tool_calls"]] == ["list_files"]
    assert choice["finish_reason"] == "tool_calls"


def test_R29_a_whole_answer_is_put_together_from_its_stream() -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "aW1n"}}
    answer = read(
        body(thought("hm"), usage={**USAGE, "candidatesTokenCount": 1}),
        body(thought(", so", WIRE)),
        body(text("a"), text("b")),
        body(text("c")),
        body(picture),
        body(call(call_id="x", path="1")),
        body(call(call_id="y", path="2")),
        STOPPED,
    )
    assert answer.parts == (
        ThinkingPart("hm, so", NATIVE, "anthropic"),
        TextPart("abc"),
        ImagePart("image/png", "aW1n"),
        ToolCallPart("x", "list_files", '{"path":"1"}'),
        ToolCallPart("y", "list_files", '{"path":"2"}'),
    )
    assert answer.usage == Usage(input_tokens=90, output_tokens=42, reasoning_tokens=12)


def test_R30_a_picture_reaches_a_client_of_chat_completions() -> None:
    parts = [
        {"inlineData": {"data": "aW1n"}},
        {"inline_data": {"mime_type": "image/jpeg", "data": "anBn"}},
        {"inlineData": {"mimeType": "image/png", "data": ""}},
    ]
    piece = body(*parts, finish="STOP", usage=USAGE)
    [choice] = to_chat(whole(piece))["choices"]
    urls = [image["image_url"]["url"] for image in choice["message"]["images"]]
    assert urls == ["data:image/png;base64,aW1n", "data:image/jpeg;base64,anBn"]
    deltas = [item["choices"][0]["delta"] for item in chunks(piece) if item["choices"]]
    assert [image["image_url"]["url"] for delta in deltas for image in delta.get("images", ())] == urls


def test_R31_the_version_gate_is_known_in_a_whole_answer_too() -> None:
    refused = body(text("This version of Antigravity is no longer supported. Please update."), finish="STOP")
    for answer in (
        lambda: whole(refused),
        lambda: GEMINI.native_response(json.dumps(enveloped(refused)).encode(), "m"),
    ):
        with pytest.raises(UpstreamError) as caught:
            answer()
        assert (caught.value.kind, caught.value.retryable) == (ErrorKind.UNSUPPORTED, False)
        assert "providers.antigravity.user_agent" in caught.value.message


# -- the native path


@pytest.mark.parametrize("wrap", [enveloped, dict, lambda piece: [enveloped(piece)]])
def test_a_native_answer_loses_its_envelope_and_its_name_for_the_model(wrap: Any) -> None:
    answer = GEMINI.native_response(json.dumps(wrap(ONE)).encode(), "mine")
    assert json.loads(answer.body) == {**ONE, "modelVersion": "mine"}
    assert (answer.usage, answer.finish_reason) == (
        Usage(input_tokens=90, output_tokens=42, reasoning_tokens=12),
        "tool_calls",
    )
    types.GenerateContentResponse.model_validate(json.loads(answer.body))


def test_R27_a_native_answer_that_is_a_refusal_is_none() -> None:
    for wrapped in (VALIDATION, [VALIDATION]):
        with pytest.raises(UpstreamError) as caught:
            GEMINI.native_response(json.dumps(wrapped).encode(), "mine")
        assert caught.value.remedy == VALIDATION_URL
    with pytest.raises(UpstreamError):
        GEMINI.native_response(b"{junk", "mine")
