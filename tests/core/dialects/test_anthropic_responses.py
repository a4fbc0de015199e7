"""Whole messages, out of an upstream and to a client."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic.types import Message as SdkMessage

from aigateway_core.dialects.anthropic import Anthropic
from aigateway_core.dialects.signatures import is_sealed
from aigateway_core.errors import ErrorKind, UpstreamError, UpstreamFailure
from aigateway_core.model import (
    ChatRequest,
    ChatResponse,
    FinishReason,
    JsonObject,
    Message,
    Part,
    Reasoning,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    Usage,
)

DIALECT = Anthropic()
REQUEST = ChatRequest(model="mine", messages=(Message("user", (TextPart("hi"),)),))
LONG_NAME = "n" * 80


def message(*content: Any, **fields: Any) -> JsonObject:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": list(content),
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 12, "output_tokens": 3},
        **fields,
    }


def text(words: str) -> JsonObject:
    return {"type": "text", "text": words}


def decode(*content: Any, **fields: Any) -> ChatResponse:
    return DIALECT.decode_response(message(*content, **fields), REQUEST)


def encode(*parts: Part, finish: FinishReason = "stop", request: ChatRequest = REQUEST, **fields: Any) -> JsonObject:
    response = ChatResponse(**{"id": "msg_1", "model": "up", "parts": parts, "finish_reason": finish, **fields})
    body = DIALECT.encode_response(response, request)
    SdkMessage.model_validate(body, strict=True)
    return body


# -- out of an upstream


def test_an_answer_is_read_with_its_parts_in_order() -> None:
    response = decode(
        {"type": "thinking", "thinking": "hm", "signature": "Eq=="},
        {"type": "redacted_thinking", "data": "Er=="},
        text("Looking"),
        {"type": "tool_use", "id": "toolu_1", "name": "w", "input": {"a": [1]}, "caller": {"type": "direct"}},
        {"type": "tool_use", "id": "toolu_2", "name": "w", "input": {}},
        stop_reason="tool_use",
    )
    assert response == ChatResponse(
        id="msg_1",
        model="claude",
        parts=(
            ThinkingPart("hm", "Eq==", "anthropic"),
            ThinkingPart("", origin="anthropic", redacted="Er=="),
            TextPart("Looking"),
            ToolCallPart("toolu_1", "w", '{"a":[1]}'),
            ToolCallPart("toolu_2", "w", "{}"),
        ),
        finish_reason="tool_calls",
        usage=Usage(input_tokens=12, output_tokens=3),
    )


def test_blocks_of_server_tools_are_passed_over_and_texts_join() -> None:
    response = decode(
        text("a"),
        {"type": "server_tool_use", "id": "s", "name": "web_search"},
        {"type": "web_search_tool_result"},
        text("b"),
    )
    assert response.parts == (TextPart("ab"),)


def test_an_empty_answer_is_an_answer() -> None:
    assert decode(stop_reason="max_tokens").parts == ()
    assert decode(text(""), stop_reason="refusal").parts == ()


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("stop_sequence", "stop_sequence"),
        ("tool_use", "stop"),
        ("pause_turn", "pause"),
        ("refusal", "content_filter"),
        ("model_context_window_exceeded", "context_window"),
        (None, "stop"),
        ("compaction", "stop"),
    ],
)
def test_every_stop_reason_is_understood(word: str | None, reason: FinishReason) -> None:
    response = decode(text("a"), stop_reason=word, stop_sequence="x" if word == "stop_sequence" else None)
    assert (response.finish_reason, response.stop_sequence) == (reason, "x" if word == "stop_sequence" else None)


def test_the_counters_are_added_up() -> None:
    usage = {
        "input_tokens": 13,
        "cache_read_input_tokens": 22000,
        "cache_creation_input_tokens": 31,
        "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 5},
        "service_tier": "standard",
    }
    assert decode(usage=usage).usage == Usage(
        input_tokens=22044, output_tokens=9, cache_read_tokens=22000, cache_write_tokens=31, reasoning_tokens=5
    )
    nulls = {"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": None, "output_tokens_details": None}
    assert decode(usage=nulls).usage == Usage(input_tokens=1, output_tokens=2)
    assert decode(usage=None).usage is None
    assert decode(usage={}).usage is None


def test_a_name_that_was_shortened_for_the_upstream_is_restored() -> None:
    request = ChatRequest(model="m", messages=REQUEST.messages, tools=(Tool(LONG_NAME),))
    (tool,) = DIALECT.encode_request(request)["tools"]
    block = {"type": "tool_use", "id": "c", "name": tool["name"], "input": {}}
    (call,) = DIALECT.decode_response(message(block), request).parts
    assert isinstance(call, ToolCallPart)
    assert call.name == LONG_NAME != tool["name"]


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"type": "completion"},
        message(content=5),
        message(content=None),
        message(content=["hi"]),
        message(5),
        message({"text": "no type"}),
        message({"type": "text", "text": 5}),
        message({"type": "tool_use", "name": "w", "input": {}}),
        message({"type": "tool_use", "id": "c", "name": 5, "input": {}}),
        message({"type": "tool_use", "id": "c", "name": "w", "input": "{}"}),
        message({"type": "thinking", "thinking": 5}),
        message({"type": "redacted_thinking"}),
        message(usage="x"),
        message(usage={"input_tokens": "many", "output_tokens": 1}),
        message(id=None),
        message(id=5),
        message(model=5),
        message(stop_reason=5),
    ],
)
def test_what_is_no_message_is_a_protocol_error(broken: JsonObject) -> None:
    with pytest.raises(UpstreamError) as caught:
        DIALECT.decode_response(broken, REQUEST)
    assert (caught.value.kind, caught.value.scope) == (ErrorKind.PROTOCOL, "request")


def test_an_error_in_the_place_of_an_answer_is_that_error() -> None:
    for body in (
        {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}},
        {"error": {"message": "slow down", "code": 429}},
    ):
        with pytest.raises(UpstreamError, match="slow down") as caught:
            DIALECT.decode_response(body, REQUEST)
        assert (caught.value.kind, caught.value.scope) == (ErrorKind.RATE_LIMIT, "model")


def test_a_provider_may_judge_such_an_error_itself() -> None:
    def classify(failure: UpstreamFailure) -> UpstreamError:
        assert failure.status == 200
        return UpstreamError(ErrorKind.QUOTA, failure.body.decode(), scope="account")

    with pytest.raises(UpstreamError) as caught:
        DIALECT.decode_response({"error": {"code": "1113"}}, REQUEST, classify)
    assert (caught.value.kind, caught.value.message) == (ErrorKind.QUOTA, '{"error":{"code":"1113"}}')


# -- to a client


def test_an_answer_is_written_with_the_clients_name_for_the_model() -> None:
    usage = Usage(input_tokens=100, output_tokens=9, cache_read_tokens=60, cache_write_tokens=30, reasoning_tokens=4)
    body = encode(TextPart("hi"), ToolCallPart("call_abc", "w", '{"a": 1}'), finish="tool_calls", usage=usage)
    assert body == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "mine",
        "content": [text("hi"), {"type": "tool_use", "id": "call_abc", "name": "w", "input": {"a": 1}}],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 10,
            "output_tokens": 9,
            "cache_creation_input_tokens": 30,
            "cache_read_input_tokens": 60,
            "output_tokens_details": {"thinking_tokens": 4},
        },
    }


CALL = ToolCallPart("c", "w", "{}")
STOPS: list[tuple[FinishReason, tuple[Part, ...], str]] = [
    ("stop", (), "end_turn"),
    ("stop", (CALL,), "tool_use"),
    ("tool_calls", (), "end_turn"),
    ("tool_calls", (CALL,), "tool_use"),
    ("length", (CALL,), "max_tokens"),
    ("content_filter", (), "refusal"),
    ("context_window", (), "model_context_window_exceeded"),
    ("pause", (), "pause_turn"),
]


@pytest.mark.parametrize(("finish", "parts", "word"), STOPS)
def test_every_finish_has_its_word(finish: FinishReason, parts: tuple[Part, ...], word: str) -> None:
    assert encode(*parts, finish=finish)["stop_reason"] == word


def test_a_stop_text_is_named() -> None:
    body = encode(TextPart("a"), finish="stop_sequence", stop_sequence="END")
    assert (body["stop_reason"], body["stop_sequence"]) == ("stop_sequence", "END")


def test_empty_parts_are_left_out() -> None:
    assert encode(TextPart(""), ThinkingPart(""), finish="length")["content"] == []


def test_usage_is_estimated_when_nobody_counted() -> None:
    usage = encode(TextPart("four words of text"))["usage"]
    assert usage["input_tokens"] > 0
    assert usage["output_tokens"] > 0


def test_more_from_the_cache_than_there_was_is_capped() -> None:
    usage = encode(usage=Usage(input_tokens=100, cache_read_tokens=120, cache_write_tokens=7))["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]) == (
        0,
        100,
        0,
    )
    assert encode(usage=Usage(input_tokens=5, cache_read_tokens=-5))["usage"]["input_tokens"] == 5


@pytest.mark.parametrize(
    ("upstream", "shown"),
    [("msg_01", "msg_01"), ("chatcmpl-1", "msg_chatcmpl-1"), ("2026/08", None), ("", None)],
)
def test_the_id_is_one_of_this_api(upstream: str, shown: str | None) -> None:
    first, second = encode(id=upstream)["id"], encode(id=upstream)["id"]
    assert first == second
    assert first.startswith("msg_")
    assert first.replace("_", "").replace("-", "").isalnum()
    assert shown is None or first == shown


def test_calls_without_ids_get_some_of_their_own() -> None:
    content = encode(ToolCallPart("", "w", "{}"), ToolCallPart("", "w", "{}"), ToolCallPart("a b", "w", "{}"))[
        "content"
    ]
    ids = [block["id"] for block in content]
    assert len(set(ids)) == 3
    assert all(part.replace("_", "").isalnum() for part in ids)
    assert ids[0].startswith("toolu_")


def test_thinking_is_always_signed() -> None:
    own, foreign, unsigned, redacted = encode(
        ThinkingPart("a", "Eq==", "anthropic"),
        ThinkingPart("b", None, "glm"),
        ThinkingPart("c"),
        ThinkingPart("", origin="openai", redacted="secret"),
    )["content"]
    assert own == {"type": "thinking", "thinking": "a", "signature": "Eq=="}
    assert is_sealed(foreign["signature"])
    assert is_sealed(unsigned["signature"])
    assert redacted["type"] == "redacted_thinking"
    assert is_sealed(redacted["data"])


def test_thinking_that_the_client_does_not_want_to_see_keeps_its_place() -> None:
    request = ChatRequest(model="m", messages=REQUEST.messages, reasoning=Reasoning(summary=False))
    part = ThinkingPart("hm", None, "glm")
    body = encode(part, TextPart("hi"), request=request)
    assert body["content"][0]["thinking"] == ""
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": body["content"]}]
    history = DIALECT.decode_request({"model": "m", "max_tokens": 9, "messages": turns})
    assert history.messages[1].parts == (part, TextPart("hi"))


@pytest.mark.parametrize("arguments", ["", " ", "[1]", "null", "{}"])
def test_arguments_that_are_no_object_are_none(arguments: str) -> None:
    assert encode(ToolCallPart("c", "w", arguments))["content"][0]["input"] == {}


@pytest.mark.parametrize("finish", ["stop", "tool_calls", "pause"])
def test_broken_arguments_are_an_error_and_never_mended(finish: FinishReason) -> None:
    with pytest.raises(UpstreamError, match="broke off the arguments of its call of 'w'") as caught:
        encode(ToolCallPart("c", "w", '{"a":'), finish=finish)
    assert (caught.value.kind, caught.value.scope) == (ErrorKind.PROTOCOL, "request")


@pytest.mark.parametrize(
    ("finish", "word"),
    [("length", "max_tokens"), ("context_window", "model_context_window_exceeded"), ("content_filter", "refusal")],
)
def test_a_call_that_the_limit_cut_off_is_left_out_and_the_limit_told(finish: FinishReason, word: str) -> None:
    whole = ToolCallPart("c1", "w", '{"a":1}')
    body = encode(whole, ToolCallPart("c2", "w", '{"a":'), finish=finish)
    assert [block["id"] for block in body["content"]] == ["c1"]
    assert body["stop_reason"] == word
