"""Numbered cases 26–30, 38–44, 49 and 50: tools and options of a Messages request, sent to a Chat upstream.

Shown elsewhere, since a dialect alone cannot: 39 (the output limit of each model is its provider's knowledge: tests of
GLM) and the version header of 50.
"""

from __future__ import annotations

import pytest
from core.dialects.message_turns import (
    CHAT_TOOL,
    SCHEMA,
    TOOL,
    assistant,
    call,
    chat_call,
    result,
    to_chat,
    user,
)
from core.dialects.sheet import (
    ANTHROPIC,
    GLM,
    HI,
    MISSING,
    OPENAI,
    AnyOf,
    Including,
    Matching,
    case,
    picked,
)

from aigateway_core.dialects.openai_chat import OpenAIChat
from aigateway_core.model import JsonObject

WEB_SEARCH = {"type": "web_search_20250305", "name": "web_search"}
SESSION = '{"device_id":"' + "a" * 64 + '","account_uuid":"","session_id":"5d9d3ba1-6ac9-4b6e-8f6b-0d3f1f6f0a11"}'

TOOLS = [
    case(
        26,
        "the_placeholder_of_deferred_tools_is_left_out",
        {"tools": [{"name": "DeferredToolPlaceholder", "input_schema": SCHEMA, "defer_loading": True}, TOOL]},
        {"tools": [CHAT_TOOL]},
        OPENAI,
    ),
    case(
        27,
        "objects_without_properties_get_them",
        {
            "tools": [
                {"name": "t", "input_schema": {"type": "object"}},
                {"name": "u", "input_schema": {"type": "object", "properties": {"o": {"type": "object"}}}},
            ]
        },
        {
            "tools": [
                {"type": "function", "function": {"name": "t", "parameters": SCHEMA}},
                {
                    "type": "function",
                    "function": {"name": "u", "parameters": {"type": "object", "properties": {"o": SCHEMA}}},
                },
            ]
        },
        OPENAI,
    ),
    case(
        28,
        "tools_of_the_vendor_are_left_out_with_their_choice",
        {"tools": [WEB_SEARCH], "tool_choice": {"type": "tool", "name": "web_search"}},
        {"tools": MISSING, "tool_choice": MISSING, "parallel_tool_calls": MISSING, "messages": [HI]},
        OPENAI,
    ),
    case(
        28,
        "other_tools_stay",
        {"tools": [WEB_SEARCH, TOOL], "tool_choice": {"type": "tool", "name": "web_search"}},
        {"tools": [CHAT_TOOL], "tool_choice": AnyOf(MISSING, "auto")},
        OPENAI,
    ),
    case(
        29,
        "any_tool_one_at_a_time",
        {"tools": [TOOL], "tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
        {"tool_choice": "required", "parallel_tool_calls": False},
        OPENAI,
    ),
    case(
        29,
        "any_tool_where_only_auto_is_known",
        {"tools": [TOOL], "tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
        {"tools": [CHAT_TOOL], "tool_choice": AnyOf(MISSING, "auto"), "parallel_tool_calls": MISSING},
        GLM,
    ),
    # Section 1.3.
    case(
        29,
        "named_tool",
        {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "w"}},
        {"tool_choice": {"type": "function", "function": {"name": "w"}}, "parallel_tool_calls": MISSING},
        OPENAI,
    ),
    case(
        29,
        "no_tool",
        {"tools": [TOOL], "tool_choice": {"type": "none"}},
        {"tool_choice": "none", "tools": [CHAT_TOOL]},
        OPENAI,
    ),
    case(
        29,
        "no_tool_where_only_auto_is_known",
        {"tools": [TOOL], "tool_choice": {"type": "none"}},
        {"tools": MISSING, "tool_choice": MISSING},
        GLM,
    ),
    case(29, "free_choice", {"tools": [TOOL], "tool_choice": {"type": "auto"}}, {"tool_choice": "auto"}, OPENAI),
    case(
        30,
        "choice_without_tools",
        {"tools": [], "tool_choice": {"type": "any"}},
        {"tools": MISSING, "tool_choice": MISSING, "parallel_tool_calls": MISSING},
        OPENAI,
    ),
    case(
        30,
        "choice_without_the_field",
        {"tool_choice": {"type": "any"}},
        {"tools": MISSING, "tool_choice": MISSING},
        OPENAI,
    ),
]

OPTIONS = [
    case(
        38,
        "budget_8192",
        {"thinking": {"type": "enabled", "budget_tokens": 8192}},
        {"reasoning_effort": "medium"},
        OPENAI,
    ),
    case(
        38,
        "budget_1024",
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        {"reasoning_effort": "minimal"},
        OPENAI,
    ),
    case(
        38, "budget_2048", {"thinking": {"type": "enabled", "budget_tokens": 2048}}, {"reasoning_effort": "low"}, OPENAI
    ),
    case(
        38,
        "budget_24576",
        {"thinking": {"type": "enabled", "budget_tokens": 24576}},
        {"reasoning_effort": "high"},
        OPENAI,
    ),
    case(
        38,
        "budget_31999",
        {"thinking": {"type": "enabled", "budget_tokens": 31999}},
        {"reasoning_effort": "xhigh"},
        OPENAI,
    ),
    case(38, "disabled", {"thinking": {"type": "disabled"}}, {"reasoning_effort": "none"}, OPENAI),
    case(
        38,
        "adaptive_with_an_effort",
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
        {"reasoning_effort": "high"},
        OPENAI,
    ),
    # Section 1.4: the server's own default.
    case(38, "adaptive_alone", {"thinking": {"type": "adaptive"}}, {"reasoning_effort": MISSING}, OPENAI),
    case(
        38,
        "an_effort_beats_a_budget",
        {"thinking": {"type": "enabled", "budget_tokens": 1024}, "output_config": {"effort": "high"}},
        {"reasoning_effort": "high"},
        OPENAI,
    ),
    case(38, "nothing_said", {}, {"reasoning_effort": MISSING, "thinking": MISSING}, OPENAI),
    case(40, "stop_texts", {"stop_sequences": ["a", "b"]}, {"stop": ["a", "b"]}, OPENAI),
    case(40, "one_stop_text", {"stop_sequences": ["a", "b"]}, {"stop": ["a"]}, GLM),
    case(40, "five_stop_texts", {"stop_sequences": list("abcde")}, {"stop": list("abcd")}, OPENAI),
    case(40, "no_stop_texts", {"stop_sequences": []}, {"stop": MISSING}, OPENAI),
    case(41, "streamed", {"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}, OPENAI),
    case(41, "not_streamed", {"stream": False}, {"stream": AnyOf(MISSING, False), "stream_options": MISSING}, OPENAI),
    case(41, "nothing_said_of_streaming", {}, {"stream": AnyOf(MISSING, False), "stream_options": MISSING}, OPENAI),
    case(
        42,
        "schema_with_a_title",
        {"output_config": {"format": {"type": "json_schema", "schema": {"title": "T", "type": "object"}}}},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": Including({"name": "T", "schema": Including({"title": "T"})}),
            }
        },
        OPENAI,
    ),
    case(
        42,
        "schema_without_a_title",
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        {"response_format": {"type": "json_schema", "json_schema": Including({"name": "structured_output"})}},
        OPENAI,
    ),
    case(43, "user_id_of_claude_code", {"metadata": {"user_id": SESSION}}, {"user": Matching(r".{1,64}")}, OPENAI),
    case(
        43,
        "user_id_of_claude_code_for_glm",
        {"metadata": {"user_id": SESSION}},
        {"user_id": Matching(r".{6,128}"), "user": MISSING, "metadata": MISSING},
        GLM,
    ),
    case(43, "short_user_id", {"metadata": {"user_id": "bob"}}, {"user": "bob"}, OPENAI),
    case(43, "short_user_id_for_glm", {"metadata": {"user_id": "bob"}}, {"user_id": Matching(r".{6,128}")}, GLM),
    case(
        44,
        "unknown_fields",
        {"context_management": {"edits": []}, "speed": "fast", "foo": 1},
        {"context_management": MISSING, "speed": MISSING, "foo": MISSING, "messages": [HI]},
        OPENAI,
    ),
    # The version header is no business of a dialect: sampling is passed on whatever it says.
    case(50, "temperature", {"temperature": 1, "top_p": 0.5}, {"temperature": 1, "top_p": 0.5}, OPENAI),
]


@pytest.mark.parametrize(("given", "expected", "target"), [*TOOLS, *OPTIONS])
def test_tools_and_options_reach_a_chat_upstream(given: JsonObject, expected: JsonObject, target: OpenAIChat) -> None:
    assert picked(to_chat(given, target), expected) == expected


def test_case_049_a_long_tool_name_is_shortened_and_restored() -> None:
    long = "mcp__" + "x" * 65
    body = {
        "model": "m",
        "max_tokens": 9,
        "tools": [{"name": long, "input_schema": SCHEMA}, {"name": long[:-1] + "y", "input_schema": SCHEMA}],
        "tool_choice": {"type": "tool", "name": long},
        "messages": [HI, assistant(call(name=long)), user(result("call_1", content="ok"))],
    }
    request = ANTHROPIC.decode_request(body)
    sent = OPENAI.encode_request(request)
    short, other = (item["function"]["name"] for item in sent["tools"])
    assert short != other
    assert len(short) <= 64
    assert sent["tool_choice"]["function"]["name"] == short
    assert sent["messages"][1]["tool_calls"][0]["function"]["name"] == short
    answer = {
        "role": "assistant",
        "content": None,
        "tool_calls": [chat_call(name=short) | {"function": _function(short)}],
    }
    choice = {"index": 0, "message": answer, "finish_reason": "tool_calls"}
    response = OPENAI.decode_response({"id": "c", "model": "m", "choices": [choice]}, request)
    assert ANTHROPIC.encode_response(response, request)["content"][0]["name"] == long


def _function(name: str) -> JsonObject:
    return {"name": name, "arguments": "{}"}
