"""Numbered cases 94, 95 and 128–133: a Messages stream on its way to a Chat Completions client."""

from __future__ import annotations

import json
from typing import Any

import pytest
from core.dialects.sheet import ANTHROPIC, HI, OPENAI, Including, case, picked, relay_in_any_pieces, sse

from aigateway_core.dialects.sse import SseParser
from aigateway_core.model import JsonObject


def message(*blocks: JsonObject, reason: str = "end_turn", usage: JsonObject | None = None) -> JsonObject:
    return {
        "id": "msg_01A",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-4-5",
        "content": list(blocks),
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": usage or {"input_tokens": 12, "output_tokens": 3},
    }


THINKING = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
REDACTED = {"type": "redacted_thinking", "data": "eHl6"}
SAID = {"type": "text", "text": "hi"}


def start(**usage: int) -> JsonObject:
    opening = message(usage={"input_tokens": 12, "output_tokens": 1} | usage) | {"stop_reason": None}
    return {"type": "message_start", "message": opening}


def block(index: int, opening: JsonObject, *deltas: JsonObject) -> list[JsonObject]:
    return [
        {"type": "content_block_start", "index": index, "content_block": opening},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def said(index: int, *pieces: str) -> list[JsonObject]:
    return block(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": piece} for piece in pieces))


def used(index: int, call_id: str, *pieces: str) -> list[JsonObject]:
    opening = {"type": "tool_use", "id": call_id, "name": "w", "input": {}}
    return block(index, opening, *({"type": "input_json_delta", "partial_json": piece} for piece in pieces))


def thought(index: int, *pieces: str) -> list[JsonObject]:
    deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
    opening = {"type": "thinking", "thinking": "", "signature": ""}
    return block(index, opening, *deltas, {"type": "signature_delta", "signature": "c2ln"})


def end(reason: str = "end_turn", **usage: int) -> list[JsonObject]:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return [{"type": "message_delta", "delta": delta, "usage": {"output_tokens": 4} | usage}, {"type": "message_stop"}]


PING = {"type": "ping"}
ROLE = (Including({"role": "assistant", "content": ""}), None)


def fragment(index: int, arguments: str, **fields: Any) -> tuple[JsonObject, None]:
    function = {"arguments": arguments} | ({"name": fields.pop("name")} if "name" in fields else {})
    return {"tool_calls": [{"index": index} | fields | {"function": function}]}, None


def opened(index: int, call_id: str) -> tuple[JsonObject, None]:
    return fragment(index, "", id=call_id, type="function", name="w")


STREAMS = [
    case(
        130,
        "calls_are_counted_among_calls",
        [start(), *said(0, "hi"), *used(1, "toolu_1", "", '{"a":', "1}"), *used(2, "toolu_2", "{}"), *end("tool_use")],
        [
            ROLE,
            ({"content": "hi"}, None),
            opened(0, "toolu_1"),
            fragment(0, '{"a":'),
            fragment(0, "1}"),
            opened(1, "toolu_2"),
            fragment(1, "{}"),
            ({}, "tool_calls"),
        ],
    ),
    # Section 3.3: a call without arguments.
    case(
        130,
        "no_arguments",
        [start(), *used(0, "toolu_1", ""), *end("tool_use")],
        [ROLE, opened(0, "toolu_1"), fragment(0, "{}"), ({}, "tool_calls")],
    ),
    case(
        131,
        "no_usage_unless_asked_for",
        [start(), PING, *said(0, "hel", "lo"), *end()],
        [ROLE, ({"content": "hel"}, None), ({"content": "lo"}, None), ({}, "stop")],
    ),
    case(
        133,
        "thinking",
        [
            start(),
            *thought(0, "h", "m"),
            *block(1, REDACTED),
            *said(2, "hi"),
            *end(),
        ],
        [
            ROLE,
            ({"reasoning_content": "h"}, None),
            ({"reasoning_content": "m"}, None),
            ({"content": "hi"}, None),
            ({}, "stop"),
        ],
    ),
    case(
        129,
        "refusal",
        [start(), *said(0, "hi"), *end("refusal")],
        [ROLE, ({"content": "hi"}, None), ({}, "content_filter")],
    ),
    case(129, "pause", [start(), *said(0, "hi"), *end("pause_turn")], [ROLE, ({"content": "hi"}, None), ({}, "stop")]),
]


def chat_stream(items: list[Any], **options: Any) -> tuple[list[JsonObject], bool]:
    """The chunks that a client gets, and whether ``[DONE]`` ended them."""
    body = {"model": "claude-for-clients", "stream": True, "messages": [HI]} | options
    received = relay_in_any_pieces(ANTHROPIC, OPENAI, OPENAI.decode_request(body), sse(items))
    lines = [event.data for event in SseParser().feed(received.wire)]
    chunks = [json.loads(line) for line in lines if line != b"[DONE]"]
    assert lines.count(b"[DONE]") <= 1
    return chunks, bool(lines) and lines[-1] == b"[DONE]"


@pytest.mark.parametrize(("items", "expected"), STREAMS)
def test_a_message_stream_becomes_a_chat_stream(items: list[Any], expected: list[Any]) -> None:
    chunks, done = chat_stream(items)
    assert done
    assert [(chunk["choices"][0]["delta"], chunk["choices"][0]["finish_reason"]) for chunk in chunks] == expected
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert {chunk["model"] for chunk in chunks} == {"claude-for-clients"}
    assert len({(chunk["id"], chunk["created"]) for chunk in chunks}) == 1


def test_case_128_the_usage_of_start_and_end_is_one() -> None:
    opening = start(input_tokens=13, cache_read_input_tokens=22000, cache_creation_input_tokens=31)
    chunks, done = chat_stream([opening, *said(0, "hi"), *end()], stream_options={"include_usage": True})
    assert done
    assert chunks[-1]["choices"] == []
    expected = {
        "prompt_tokens": 22044,
        "completion_tokens": 4,
        "total_tokens": 22048,
        "prompt_tokens_details": Including({"cached_tokens": 22000}),
    }
    assert picked(chunks[-1]["usage"], expected) == expected
    assert all(chunk.get("usage") is None for chunk in chunks[:-1])


def test_case_128_a_prompt_told_at_the_end_overrides_the_start() -> None:
    chunks, _ = chat_stream(
        [start(input_tokens=0), *said(0, "hi"), *end(input_tokens=777)], stream_options={"include_usage": True}
    )
    assert chunks[-1]["usage"]["prompt_tokens"] == 777


def test_case_131_usage_that_was_not_asked_for_is_not_told() -> None:
    chunks, _ = chat_stream([start(), *said(0, "hi"), *end()])
    assert all(chunk["choices"] and chunk.get("usage") is None for chunk in chunks)


def test_case_133_stream_and_whole_answer_tell_the_same_reasoning() -> None:
    request = OPENAI.decode_request({"model": "m", "messages": [HI]})
    blocks = [THINKING, REDACTED, THINKING | {"thinking": " and more"}, SAID]
    whole = OPENAI.encode_response(ANTHROPIC.decode_response(message(*blocks), request), request)
    chunks, _ = chat_stream(
        [start(), *thought(0, "hm"), *block(1, REDACTED), *thought(2, " and", " more"), *said(3, "hi"), *end()]
    )
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert (
        "".join(delta.get("reasoning_content", "") for delta in deltas)
        == whole["choices"][0]["message"]["reasoning_content"]
    )


BROKEN = [
    case(
        94,
        "error",
        [start(), *said(0, "hi")[:2], {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}],
    ),
    case(95, "cut", [start(), *said(0, "hi")]),
    case(95, "cut_before_the_stop", [start(), *said(0, "hi"), end()[0]][:-1]),
    case(95, "cut_in_a_call", [start(), *used(0, "toolu_1", '{"a":')[:2]]),
]


@pytest.mark.parametrize("items", BROKEN)
def test_a_broken_message_stream_ends_in_an_error(items: list[Any]) -> None:
    chunks, done = chat_stream(items)
    assert not done
    assert set(chunks[-1]) == {"error"}
    assert chunks[-1]["error"]["message"]
    assert all("choices" in chunk for chunk in chunks[:-1])
