"""Numbered cases 124–135, 166 and 168: a Chat Completions client over a Messages upstream, and what Anthropic is sent.

The streams of 128–133 stand in ``test_translation_cases_chat_over_anthropic_stream.py``. Left to the tests of the
running gateway: 135 as far as the answer is a 400. Of 129 it is
decided otherwise that a paused turn is not sent again by the gateway: what it waits for are blocks of tools that
Anthropic runs, which a client of another dialect cannot be given to return, and without them the work would begin anew.
It is told as ``stop``; Anthropic's own clients are told ``pause_turn`` and go on themselves.
"""

from __future__ import annotations

from typing import Any

import pytest
from core.dialects.sheet import (
    ANTHROPIC,
    HI,
    MISSING,
    OPENAI,
    Including,
    InOrder,
    Matching,
    case,
    picked,
)

from aigateway_core.model import ChatResponse, JsonObject, TextPart, ThinkingPart

OLDER = "claude-opus-4-5"
"""A model that knows no system turns between the others."""


def calling(*ids: str, **fields: Any) -> JsonObject:
    calls = [{"id": name, "type": "function", "function": {"name": "w", "arguments": '{"a":1}'}} for name in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls} | fields


def tool(call_id: str, content: Any = "ok") -> JsonObject:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def text(words: Any) -> JsonObject:
    return Including({"type": "text", "text": words})  # type: ignore[return-value]


def result(call_id: str, content: Any = "ok") -> JsonObject:
    told = Flat(content)
    return Including({"type": "tool_result", "tool_use_id": call_id, "content": told})  # type: ignore[return-value]


class Flat(InOrder):
    """This text, as a string or as text blocks."""


def tool_use(call_id: str) -> JsonObject:
    return Including({"type": "tool_use", "id": call_id, "name": "w", "input": {"a": 1}})  # type: ignore[return-value]


def user(*blocks: Any) -> JsonObject:
    return {"role": "user", "content": list(blocks)}


def plain(message: JsonObject) -> JsonObject:
    """A message with its content as blocks, whichever way it was written."""
    content = message["content"]
    return message | {"content": [{"type": "text", "text": content}] if isinstance(content, str) else content}


CALLED = [HI, calling("call_1", "call_2")]
HI_SEEN = user(text("hi"))
CALLED_SEEN = [HI_SEEN, {"role": "assistant", "content": [tool_use("call_1"), tool_use("call_2")]}]

TURNS = [
    case(
        124,
        "result_and_question_in_one_turn",
        [*CALLED, tool("call_1", "1"), tool("call_2", "2"), {"role": "user", "content": "go"}],
        [*CALLED_SEEN, user(result("call_1", "1"), result("call_2", "2"), text("go"))],
    ),
    case(
        124,
        "results_in_one_turn",
        [*CALLED, tool("call_2", "2"), tool("call_1", "1"), {"role": "assistant", "content": "done"}],
        [
            *CALLED_SEEN,
            user(result("call_1", "1"), result("call_2", "2")),
            {"role": "assistant", "content": [text("done")]},
        ],
    ),
    case(
        125,
        "system_text_does_not_split_a_turn",
        [HI, {"role": "system", "content": "Rule"}, {"role": "user", "content": "go"}],
        [user(text("hi"), text("<system-reminder>\nRule\n</system-reminder>"), text("go"))],
    ),
    case(
        127,
        "result_without_an_id",
        [*CALLED, tool("", "lost"), tool("call_1", "1"), tool("call_2", "2")],
        [*CALLED_SEEN, user(result("call_1", "1"), result("call_2", "2"))],
    ),
    case(
        127,
        "the_last_of_two_results_counts",
        [*CALLED, tool("call_1", "first"), tool("call_2", "2"), tool("call_1", "last")],
        [*CALLED_SEEN, user(result("call_1", "last"), result("call_2", "2"))],
    ),
    # As in case 23: every call needs its result in the next turn.
    case(
        127,
        "a_missing_result",
        [*CALLED, tool("call_1", "1")],
        [*CALLED_SEEN, user(result("call_1", "1"), result("call_2", "(no result)"))],
    ),
    case(
        134,
        "assistant_messages_in_a_row",
        [
            HI,
            {"role": "assistant", "content": "a"},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": "go"},
        ],
        [HI_SEEN, {"role": "assistant", "content": [text("a"), text("b")]}, user(text("go"))],
    ),
    case(
        134,
        "a_leading_assistant_message",
        [{"role": "assistant", "content": "a"}, HI],
        [{"role": "assistant", "content": [text("a")]}, HI_SEEN],
    ),
    # Section 1.1: a list that would be empty gets a turn.
    case(125, "system_text_alone", [{"role": "system", "content": "Rule"}], [user(text(Matching(r".+")))]),
    case(
        166,
        "reasoning_of_another_maker",
        [HI, {"role": "assistant", "content": "ok", "reasoning_content": "hm"}, {"role": "user", "content": "go"}],
        [HI_SEEN, {"role": "assistant", "content": [text("ok")]}, user(text("go"))],
    ),
]


def sent(body: JsonObject) -> JsonObject:
    return ANTHROPIC.encode_request(OPENAI.decode_request({"model": OLDER, "messages": [HI]} | body))


@pytest.mark.parametrize(("messages", "expected"), TURNS)
def test_a_chat_conversation_becomes_turns(messages: list[JsonObject], expected: list[JsonObject]) -> None:
    body = sent({"messages": messages})
    assert [plain(message) for message in body["messages"]] == expected


REQUESTS = [
    case(
        125,
        "leading_system_texts",
        {"messages": [{"role": "developer", "content": "A"}, {"role": "system", "content": "B"}, HI]},
        {"system": InOrder("A", "B")},
    ),
    case(126, "the_newer_limit", {"max_completion_tokens": 7}, {"max_tokens": 7}),
    case(126, "both_limits", {"max_completion_tokens": 7, "max_tokens": 5}, {"max_tokens": 5}),
    case(126, "no_limit", {}, {"max_tokens": 8192}),
    case(
        132,
        "json",
        {"response_format": {"type": "json_object"}},
        {"system": Matching(r"(?i).*json.*"), "output_config": MISSING},
    ),
    case(132, "text", {"response_format": {"type": "text"}}, {"system": MISSING, "output_config": MISSING}),
    case(
        132,
        "json_schema",
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": {"type": "object", "properties": {}}},
            }
        },
        {
            "output_config": Including(
                {"format": Including({"type": "json_schema", "schema": Including({"type": "object"})})}
            )
        },
    ),
    case(
        124,
        "tools",
        {
            "tools": [
                {"type": "function", "function": {"name": "w", "parameters": {"type": "object", "properties": {}}}}
            ],
            "tool_choice": "required",
            "parallel_tool_calls": False,
        },
        {
            "tools": [Including({"name": "w", "input_schema": {"type": "object", "properties": {}}})],
            "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        },
    ),
]


@pytest.mark.parametrize(("body", "expected"), REQUESTS)
def test_a_chat_request_becomes_a_messages_request(body: JsonObject, expected: JsonObject) -> None:
    found = sent(body)
    if isinstance(found.get("system"), list) and not isinstance(expected.get("system"), InOrder):
        found["system"] = "\n\n".join(block["text"] for block in found["system"])
    assert picked(found, expected) == expected


def test_case_135_several_answers_are_refused() -> None:
    request = OPENAI.decode_request({"model": OLDER, "messages": [HI], "n": 2})
    assert ANTHROPIC.losses(request).refused == ("n",)
    assert ANTHROPIC.losses(OPENAI.decode_request({"model": OLDER, "messages": [HI], "n": 1})).refused == ()


def message(*blocks: JsonObject, reason: str = "end_turn", usage: JsonObject | None = None) -> JsonObject:
    return {
        "id": "msg_01A",
        "type": "message",
        "role": "assistant",
        "model": OLDER,
        "content": list(blocks),
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": usage or {"input_tokens": 12, "output_tokens": 3},
    }


THINKING = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
REDACTED = {"type": "redacted_thinking", "data": "eHl6"}
SAID = {"type": "text", "text": "hi"}
USED = {"type": "tool_use", "id": "toolu_1", "name": "w", "input": {"a": 1}}

ANSWERS = [
    case(129, "refusal", message(SAID, reason="refusal"), {"content": "hi"}, "content_filter"),
    case(129, "pause", message(SAID, reason="pause_turn"), {"content": "hi"}, "stop"),
    # Section 2.1.
    case(129, "end", message(SAID), {"content": "hi", "tool_calls": MISSING}, "stop"),
    case(129, "limit", message(SAID, reason="max_tokens"), {"content": "hi"}, "length"),
    case(129, "context", message(SAID, reason="model_context_window_exceeded"), {"content": "hi"}, "length"),
    case(129, "stop_text", message(SAID, reason="stop_sequence"), {"content": "hi"}, "stop"),
    case(
        130,
        "call",
        message(SAID, USED, reason="tool_use"),
        {
            "content": "hi",
            "tool_calls": [{"id": "toolu_1", "type": "function", "function": {"name": "w", "arguments": '{"a":1}'}}],
        },
        "tool_calls",
    ),
    case(130, "call_alone", message(USED, reason="tool_use"), {"content": None}, "tool_calls"),
    case(133, "thinking", message(THINKING, REDACTED, SAID), {"content": "hi", "reasoning_content": "hm"}, "stop"),
    case(133, "redacted_alone", message(REDACTED, SAID), {"content": "hi", "reasoning_content": MISSING}, "stop"),
]


@pytest.mark.parametrize(("body", "expected", "finish"), ANSWERS)
def test_a_message_becomes_a_chat_answer(body: JsonObject, expected: JsonObject, finish: str) -> None:
    request = OPENAI.decode_request({"model": "claude-for-clients", "messages": [HI]})
    answer = OPENAI.encode_response(ANTHROPIC.decode_response(body, request), request)
    [choice] = answer["choices"]
    assert picked(choice["message"], expected) == expected
    assert choice["finish_reason"] == finish
    assert (answer["object"], answer["model"]) == ("chat.completion", "claude-for-clients")
    assert answer["usage"]["total_tokens"] == 15


FOREIGN = [
    case(166, "without_a_signature", ThinkingPart("hm", origin="glm")),
    case(166, "with_its_maker_s_signature", ThinkingPart("hm", signature="c2ln", origin="gemini")),
    case(166, "sealed", ThinkingPart("", origin="gemini", redacted="eHl6")),
]


@pytest.mark.parametrize("part", FOREIGN)
def test_thinking_of_another_maker_does_not_reach_anthropic(part: ThinkingPart) -> None:
    asked = {"model": OLDER, "max_tokens": 9, "messages": [HI]}
    response = ChatResponse(id="msg_1", model="m", parts=(part, TextPart("ok")))
    reply = ANTHROPIC.encode_response(response, ANTHROPIC.decode_request(asked))
    assert [block["type"] for block in reply["content"]] == [Matching("(redacted_)?thinking"), "text"]
    turns = [HI, {"role": "assistant", "content": reply["content"]}, HI]
    native = ANTHROPIC.native_request(asked | {"messages": turns}, OLDER)
    decoded = ANTHROPIC.encode_request(ANTHROPIC.decode_request(asked | {"messages": turns}))
    for body in (native, decoded):
        assert [plain(turn)["content"] for turn in body["messages"]] == [[text("hi")], [text("ok")], [text("hi")]]


def test_case_166_thinking_that_anthropic_signed_goes_back_unchanged() -> None:
    turns = [HI, {"role": "assistant", "content": [THINKING, REDACTED, SAID]}, HI]
    asked = {
        "model": OLDER,
        "max_tokens": 2048,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "messages": turns,
    }
    native = ANTHROPIC.native_request(asked, OLDER)
    decoded = ANTHROPIC.encode_request(ANTHROPIC.decode_request(asked))
    for body in (native, decoded):
        assert body["messages"][1]["content"] == [THINKING, REDACTED, SAID]


def test_case_168_an_edit_that_clears_thinking_is_left_out_where_there_is_none() -> None:
    edits = [{"type": "clear_thinking_20251015", "keep": "all"}, {"type": "clear_tool_uses_20250919"}]
    asked = {"model": "m", "max_tokens": 9, "messages": [HI], "context_management": {"edits": edits}}
    kept = ANTHROPIC.native_request(asked | {"thinking": {"type": "enabled", "budget_tokens": 1024}}, OLDER)
    assert kept["context_management"] == {"edits": edits}
    kept = ANTHROPIC.native_request(asked | {"thinking": {"type": "disabled"}}, OLDER)
    assert kept["context_management"] == {"edits": edits[1:]}
