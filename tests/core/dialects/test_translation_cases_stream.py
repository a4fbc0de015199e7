"""Numbered cases 70–83, 87–92 and 95–99 event by event: a Chat Completions stream on its way to a Messages client.

Each stream comes in pieces of several sizes, and they make no difference. What is told in it, whatever the events, and
how it fails stands in ``test_translation_cases_stream_content.py``.
"""

from __future__ import annotations

from typing import Any

import pytest
from core.dialects.chat_chunks import (
    CALL_END,
    CALL_SEEN,
    CALLS,
    DONE,
    HELLO,
    HELLO_SEEN,
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
from core.dialects.message_stream import assembled, outline
from core.dialects.sheet import GLM, OPENAI, AnyOf, Matching, case, sse

from aigateway_core.dialects.openai_chat import OpenAIChat

OUTLINES = [
    case(70, "text", HELLO, HELLO_SEEN, OPENAI),
    case(
        71,
        "usage_twice",
        [ROLE, content("hel"), content("lo"), chunk(finish="stop", usage=USAGE), used(), DONE],
        HELLO_SEEN,
        OPENAI,
    ),
    case(
        74,
        "the_shape_of_glm",
        [
            chunk({"role": "assistant", "content": "hel"}),
            chunk({"role": "assistant", "content": "lo"}),
            chunk({"role": "assistant", "content": ""}, "stop", usage=USAGE),
            DONE,
        ],
        HELLO_SEEN,
        GLM,
    ),
    case(
        75,
        "reasoning_then_text",
        [ROLE, thought("a"), thought("b"), content("c"), STOP, used(), DONE],
        [
            "message_start",
            "start 0 thinking",
            "thinking 0 a",
            "thinking 0 b",
            "signature 0",
            "stop 0",
            "start 1 text",
            "text 1 c",
            "stop 1",
            "message_delta end_turn",
            "message_stop",
        ],
        GLM,
    ),
    case(
        76,
        "reasoning_again",
        [ROLE, thought("a"), content("b"), thought("c"), STOP, used(), DONE],
        [
            "message_start",
            "start 0 thinking",
            "thinking 0 a",
            "signature 0",
            "stop 0",
            "start 1 text",
            "text 1 b",
            "stop 1",
            "start 2 thinking",
            "thinking 2 c",
            "signature 2",
            "stop 2",
            "message_delta end_turn",
            "message_stop",
        ],
        GLM,
    ),
    case(
        77,
        "call_in_the_first_chunk_without_a_role",
        [clock(), fragment('{"tz":', index=0), fragment("1}", index=0), CALLS, used(), DONE],
        [*CALL_SEEN, *CALL_END],
        OPENAI,
    ),
    case(
        78,
        "name_null_in_later_fragments",
        [
            clock(),
            fragment('{"tz":', index=0, id=None, name=None),
            fragment("1}", index=0, id="", name=""),
            CALLS,
            used(),
            DONE,
        ],
        [*CALL_SEEN, *CALL_END],
        OPENAI,
    ),
    case(
        79,
        "name_and_id_repeated",
        [clock(), clock(arguments='{"tz":'), clock(arguments="1}"), CALLS, used(), DONE],
        [*CALL_SEEN, *CALL_END],
        OPENAI,
    ),
    case(
        80,
        "id_comes_later",
        [
            clock(call_id="", arguments='{"tz":'),
            fragment("1}", index=0, id="call_a"),
            CALLS,
            used(),
            DONE,
        ],
        [*CALL_SEEN, *CALL_END],
        OPENAI,
    ),
    case(
        81,
        "id_without_a_function",
        [
            fragment(index=0, name="clock"),
            fragment(index=0, id="call_a"),
            fragment('{"tz":', index=0),
            fragment("1}", index=0),
            CALLS,
            used(),
            DONE,
        ],
        [*CALL_SEEN, *CALL_END],
        OPENAI,
    ),
    case(
        82,
        "no_id_at_all",
        [fragment('{"tz":', index=0, name="clock"), fragment("1}", index=0), CALLS, used(), DONE],
        [
            "message_start",
            Matching(r"start 0 tool_use (toolu|call)_[A-Za-z0-9_-]+ clock"),
            'json 0 {"tz":1}',
            "stop 0",
            *CALL_END,
        ],
        OPENAI,
    ),
    case(
        83,
        "no_name_at_all",
        [fragment("{}", index=3, id="call_a", name=""), CALLS, used(), DONE],
        ["message_start", "start 0 tool_use call_a tool_3", "json 0 {}", "stop 0", *CALL_END],
        OPENAI,
    ),
    case(
        83,
        "neither_id_nor_name_nor_arguments",
        [content("x"), fragment("", index=0, id="", name=""), CALLS, used(), DONE],
        ["message_start", "start 0 text", "text 0 x", "stop 0", "message_delta end_turn", "message_stop"],
        OPENAI,
    ),
    case(
        87,
        "call_in_one_chunk",
        [clock(arguments='{"tz":1}'), CALLS, used(), DONE],
        ["message_start", "start 0 tool_use call_a clock", 'json 0 {"tz":1}', "stop 0", *CALL_END],
        GLM,
    ),
    case(
        88,
        "call_without_arguments",
        [clock(), CALLS, used(), DONE],
        AnyOf(
            ["message_start", "start 0 tool_use call_a clock", "stop 0", *CALL_END],
            ["message_start", "start 0 tool_use call_a clock", "json 0 ", "stop 0", *CALL_END],
            ["message_start", "start 0 tool_use call_a clock", "json 0 {}", "stop 0", *CALL_END],
        ),
        OPENAI,
    ),
    case(
        89,
        "text_call_text",
        [content("a"), clock(arguments="{}"), content("b"), CALLS, used(), DONE],
        [
            "message_start",
            "start 0 text",
            "text 0 a",
            "stop 0",
            "start 1 tool_use call_a clock",
            "json 1 {}",
            "stop 1",
            "start 2 text",
            "text 2 b",
            "stop 2",
            *CALL_END,
        ],
        OPENAI,
    ),
    case(
        90,
        "late_fragment",
        [clock(arguments="{}"), CALLS, fragment("late", index=0), content("late"), used(), DONE, content("later")],
        ["message_start", "start 0 tool_use call_a clock", "json 0 {}", "stop 0", *CALL_END],
        OPENAI,
    ),
    case(
        91,
        "empty_deltas",
        [
            {"id": "chatcmpl-7", "model": "m", "choices": [{}]},
            {"id": "chatcmpl-7", "model": "m"},
            {"id": "chatcmpl-7", "model": "m", "choices": [{"index": 0, "delta": None, "finish_reason": None}]},
            {"id": "chatcmpl-7", "model": "m", "choices": [{"index": 0}]},
            *HELLO,
        ],
        HELLO_SEEN,
        OPENAI,
    ),
    case(92, "comments", [": OPENROUTER PROCESSING\n\n", *HELLO[:2], ": again\n\n", *HELLO[2:]], HELLO_SEEN, OPENAI),
    case(96, "crlf", [sse(HELLO).replace(b"\n", b"\r\n")], HELLO_SEEN, OPENAI),
    case(96, "byte_order_mark", [b"\xef\xbb\xbf", *HELLO], HELLO_SEEN, OPENAI),
    case(97, "no_space_after_the_colon", [sse(HELLO).replace(b"data: ", b"data:")], HELLO_SEEN, OPENAI),
    case(98, "event_of_several_lines", [sse(HELLO).replace(b',"choices"', b'\ndata: ,"choices"')], HELLO_SEEN, OPENAI),
    case(
        99,
        "finish_with_content",
        [ROLE, content("hel"), content("lo", "stop"), used(), DONE],
        HELLO_SEEN,
        OPENAI,
    ),
    # Section 3.1: no [DONE], but a finish.
    case(95, "no_done_after_a_finish", HELLO[:-1], HELLO_SEEN, OPENAI),
    case(95, "no_blank_line_at_the_end", [sse(HELLO)[:-2]], HELLO_SEEN, OPENAI),
    # Section 3.1: what was refused is text.
    case(
        69,
        "refusal",
        [ROLE, chunk({"refusal": "hel"}), chunk({"refusal": "lo"}), STOP, used(), DONE],
        [*HELLO_SEEN[:-2], "message_delta refusal", "message_stop"],
        OPENAI,
    ),
]


@pytest.mark.parametrize(("items", "expected", "source"), OUTLINES)
def test_a_chat_stream_becomes_a_message_stream(items: list[Any], expected: Any, source: OpenAIChat) -> None:
    received = relayed(items, source)
    assert received.error is None
    assert outline(received.wire) == expected
    assert assembled(received.wire)["model"] == "claude-for-clients"
