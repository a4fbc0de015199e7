"""Numbered cases 70–99 and 170: what a Messages client is told by a Chat Completions stream, and how it fails.

Left to the tests of the running gateway (``tests/core/test_gateway.py``, ``tests/e2e``): 100, pings while the upstream
is silent, and 101, a client that leaves.
"""

from __future__ import annotations

from typing import Any

import pytest
from core.dialects.chat_chunks import (
    CALL_SEEN,
    CALLS,
    DONE,
    HELLO,
    HELLO_SEEN,
    REQUEST,
    ROLE,
    STOP,
    USAGE,
    chunk,
    clock,
    content,
    fragment,
    relayed,
    thought,
    used,
)
from core.dialects.message_stream import assembled, message_events, outline
from core.dialects.sheet import ANTHROPIC, GLM, OPENAI, AnyOf, Including, Matching, case, picked, sse

from aigateway_core.dialects.openai_chat import OpenAIChat
from aigateway_core.errors import ErrorKind
from aigateway_core.events import unfold
from aigateway_core.model import JsonObject

SOME = Matching(".+")
SIGNATURE = Matching(r"gw1\..+")
"""Thinking of another maker leaves under a signature of the gateway's own: section 3.7."""

USAGES = [
    case(70, "usage", HELLO, {"input_tokens": 30, "output_tokens": 9}),
    case(
        71,
        "usage_twice",
        [content("x"), chunk(finish="stop", usage=USAGE), used(completion_tokens=10), DONE],
        {"input_tokens": 30, "output_tokens": 10},
    ),
    case(
        72,
        "usage_with_cache",
        [
            content("x"),
            STOP,
            used(prompt_tokens=10000) | {"usage": USAGE | {"prompt_tokens_details": {"cached_tokens": 10}}},
        ],
        {"input_tokens": 20, "cache_read_input_tokens": 10, "output_tokens": 9},
    ),
    # Decided: an estimate, never null.
    case(
        73,
        "no_usage",
        [content("x"), STOP, DONE],
        {"input_tokens": AnyOf(*range(1, 50)), "output_tokens": AnyOf(*range(1, 50))},
    ),
    case(
        74,
        "usage_with_the_finish",
        [content("x"), chunk({"content": ""}, "stop", usage=USAGE), DONE],
        {"input_tokens": 30, "output_tokens": 9},
    ),
]


@pytest.mark.parametrize(("items", "expected"), USAGES)
def test_usage_is_told_in_the_message_delta(items: list[Any], expected: JsonObject) -> None:
    received = relayed(items)
    deltas = [event for event in message_events(received.wire) if event["type"] == "message_delta"]
    assert len(deltas) == 1
    assert picked(deltas[0]["usage"], expected) == expected
    assembled(received.wire)


def tool_use(call_id: Any, name: str, given: JsonObject) -> JsonObject:
    return {"type": "tool_use", "id": call_id, "name": name, "input": given}


CONTENTS = [
    case(
        84,
        "no_index",
        [clock(None, '{"tz":1}'), clock(None, '{"tz":2}', "call_b"), CALLS, DONE],
        [tool_use("call_a", "clock", {"tz": 1}), tool_use("call_b", "clock", {"tz": 2})],
    ),
    case(
        84,
        "no_index_in_pieces",
        [clock(None), fragment('{"tz":'), fragment("1}"), clock(None, "", "call_b"), fragment('{"tz":2}'), CALLS, DONE],
        [tool_use("call_a", "clock", {"tz": 1}), tool_use("call_b", "clock", {"tz": 2})],
    ),
    case(
        85,
        "interleaved",
        [
            clock(0),
            clock(1, call_id="call_b", name="date"),
            fragment('{"a":', index=0),
            fragment('{"b":', index=1),
            fragment("1}", index=0),
            fragment("2}", index=1),
            CALLS,
            DONE,
        ],
        [tool_use("call_a", "clock", {"a": 1}), tool_use("call_b", "date", {"b": 2})],
    ),
    case(
        85,
        "interleaved_after_text",
        [
            content("x"),
            clock(0, '{"a":1}'),
            clock(1, '{"b":', "call_b"),
            content("y"),
            fragment("2}", index=1),
            CALLS,
            DONE,
        ],
        [
            {"type": "text", "text": "x"},
            tool_use("call_a", "clock", {"a": 1}),
            tool_use("call_b", "clock", {"b": 2}),
            {"type": "text", "text": "y"},
        ],
    ),
    case(
        86,
        "indexes_out_of_order_without_ids",
        [
            fragment('{"n":2}', index=2, name="c"),
            fragment('{"n":0}', index=0, name="a"),
            fragment('{"n":1}', index=1, name="b"),
            CALLS,
            DONE,
        ],
        [tool_use(SOME, "a", {"n": 0}), tool_use(SOME, "b", {"n": 1}), tool_use(SOME, "c", {"n": 2})],
    ),
    case(
        82,
        "two_calls_without_ids",
        [fragment("{}", index=0, name="a"), fragment("{}", index=1, name="b"), CALLS, DONE],
        [tool_use(SOME, "a", {}), tool_use(SOME, "b", {})],
    ),
    case(
        96,
        "text_of_several_bytes",
        [content("Grüße, 世"), content("界 🎈"), STOP, DONE],
        [{"type": "text", "text": "Grüße, 世界 🎈"}],
    ),
    case(
        75,
        "reasoning_with_a_signature",
        [thought("a"), content("b"), STOP, DONE],
        [{"type": "thinking", "thinking": "a", "signature": SIGNATURE}, {"type": "text", "text": "b"}],
    ),
    case(
        60,
        "the_other_name_of_reasoning",
        [chunk({"reasoning": "a"}), content("b"), STOP, DONE],
        [Including({"thinking": "a"}), Including({"text": "b"})],
    ),
]


@pytest.mark.parametrize(("items", "expected"), CONTENTS)
def test_the_blocks_of_a_message_stream_are_those_of_the_answer(items: list[Any], expected: list[Any]) -> None:
    received = relayed(items)
    assert received.error is None
    message = assembled(received.wire)
    assert message["content"] == expected
    ids = [block["id"] for block in message["content"] if block["type"] == "tool_use"]
    assert len(set(ids)) == len(ids)


FINISHES = [
    case(54, "stop_with_calls", [clock(arguments="{}"), STOP, DONE], "tool_use", OPENAI),
    case(55, "tool_calls_without_calls", [content("x"), CALLS, DONE], "end_turn", OPENAI),
    case(66, "length", [content("x"), chunk(finish="length"), DONE], "max_tokens", OPENAI),
    case(66, "content_filter", [content("x"), chunk(finish="content_filter"), DONE], "refusal", OPENAI),
    case(66, "weird", [content("x"), chunk(finish="weird"), DONE], "end_turn", OPENAI),
    case(67, "sensitive", [content("x"), chunk(finish="sensitive"), DONE], "refusal", GLM),
    # Section 3.1 step 7: text that ends with [DONE] has ended, whatever the server forgot.
    case(95, "done_without_a_finish", [content("x"), DONE], "end_turn", OPENAI),
]


@pytest.mark.parametrize(("items", "expected", "source"), FINISHES)
def test_the_reason_to_stop_is_told(items: list[Any], expected: str, source: OpenAIChat) -> None:
    received = relayed(items, source)
    assert received.error is None
    assert assembled(received.wire)["stop_reason"] == expected


ERRORS = [
    case(93, "first", [{"error": {"message": "boom"}}], [], False),
    case(93, "after_the_role", [ROLE, {"error": {"message": "boom"}}], AnyOf([], ["message_start"]), False),
    case(94, "after_content", [ROLE, content("hel"), {"error": {"message": "boom"}}, DONE], HELLO_SEEN[:3], True),
    case(94, "as_a_string", [ROLE, content("hel"), {"error": "boom"}], HELLO_SEEN[:3], True),
    case(
        94,
        "named_event",
        [ROLE, content("hel"), 'event: error\ndata: {"error":{"code":"1"}}\n\n'],
        HELLO_SEEN[:3],
        True,
    ),
    case(95, "cut_in_text", [ROLE, content("hel")], HELLO_SEEN[:3], True),
    case(95, "cut_in_a_line", [ROLE, content("hel"), sse([content("lo")])[:30]], HELLO_SEEN[:3], True),
    case(95, "cut_in_a_call", [clock(arguments='{"tz":')], CALL_SEEN[:3], True),
    case(95, "cut_before_anything", [], [], False),
    case(95, "cut_after_the_role", [ROLE], AnyOf([], ["message_start"]), False),
    # Reliability U-19: arguments as far as they came, and an error: nobody may run them.
    case(95, "cut_in_a_call_and_done", [clock(arguments='{"tz":'), DONE], CALL_SEEN[:3], True),
    case(95, "arguments_unfinished_at_the_finish", [clock(arguments='{"tz":'), CALLS, DONE], CALL_SEEN[:3], True),
    case(96, "no_json", [ROLE, content("hel"), "data: {oops\n\n"], HELLO_SEEN[:3], True),
]


@pytest.mark.parametrize(("items", "before", "committed"), ERRORS)
def test_a_broken_stream_ends_in_an_error_and_never_cleanly(items: list[Any], before: Any, committed: bool) -> None:
    received = relayed(items)
    assert received.error is not None
    assert received.committed is committed
    seen = outline(received.wire)
    assert seen[:-1] == before
    assert seen[-1] == "error api_error"


def test_case_067_a_network_error_after_content_is_an_error() -> None:
    received = relayed([content("hel"), chunk(finish="network_error"), DONE], GLM)
    assert outline(received.wire) == [*HELLO_SEEN[:3], "error api_error"]


def test_case_095_arguments_cut_at_the_output_limit_are_told_as_such() -> None:
    # Reliability U-19: in a stream the deltas have gone out already; the client learns why they are not whole.
    received = relayed([clock(arguments='{"tz":'), chunk(finish="length"), DONE])
    assert received.error is None
    assert outline(received.wire)[-2:] == ["message_delta max_tokens", "message_stop"]


def test_an_error_in_a_stream_keeps_its_code_for_the_log() -> None:
    received = relayed([{"error": {"code": "1302", "message": "slow down"}}], GLM)
    assert received.error is not None
    assert (received.error.kind, received.error.code) == (ErrorKind.RATE_LIMIT, "1302")


def test_case_170_a_whole_answer_can_be_told_as_a_stream() -> None:
    message = {
        "role": "assistant",
        "content": "so",
        "reasoning_content": "hm",
        "tool_calls": [{"id": "call_a", "type": "function", "function": {"name": "clock", "arguments": '{"tz":1}'}}],
    }
    body = {
        "id": "chatcmpl-7",
        "model": "m",
        "usage": USAGE,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }
    response = GLM.decode_response(body, REQUEST)
    encoder = ANTHROPIC.stream_encoder(REQUEST)
    wire = b"".join(encoder.encode(event) for event in unfold(response)) + encoder.end()
    whole = ANTHROPIC.encode_response(response, REQUEST)
    streamed = assembled(wire)
    assert picked(streamed, {"content": 0, "stop_reason": 0, "model": 0}) == picked(
        whole, {"content": 0, "stop_reason": 0, "model": 0}
    )
    assert streamed["usage"]["output_tokens"] == whole["usage"]["output_tokens"] == 9
