"""Numbered cases 102–114 and 121–123: a Responses client over a Chat Completions upstream, what the upstream is sent.

The answers of 109 and 110, and 115–121, stand in ``test_translation_cases_responses_over_chat_stream.py``. OpenAI's
chat knows the detail ``original`` of 107 as well; of a server that does not its profile says so.
"""

from __future__ import annotations

from typing import Any

import pytest
from core.dialects.sheet import (
    GLM,
    HI,
    MISSING,
    OPENAI,
    Including,
    JsonText,
    case,
    picked,
)

from aigateway_core.dialects.openai_chat import OpenAIChat, OpenAIChatProfile
from aigateway_core.dialects.openai_responses import OpenAIResponses
from aigateway_core.errors import InvalidRequestError
from aigateway_core.model import JsonObject

RESPONSES = OpenAIResponses()
THINKER = OpenAIChat(OpenAIChatProfile(reasoning_field="reasoning_content"))
IN_RESULTS = OpenAIChat(OpenAIChatProfile(images_in_tool_results=True))
OLDER = OpenAIChat(OpenAIChatProfile(images_in_tool_results=True, image_details=frozenset({"auto", "low", "high"})))
DEVELOPER = OpenAIChat(OpenAIChatProfile(system_role="developer"))


def call(call_id: str, name: str = "w", arguments: str = '{"a":1}', **fields: Any) -> JsonObject:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments} | fields


def output(call_id: str, value: Any = "ok") -> JsonObject:
    return {"type": "function_call_output", "call_id": call_id, "output": value}


def thought(*texts: str) -> JsonObject:
    return {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": text} for text in texts]}


def said(text: str) -> JsonObject:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}


def calls(*ids: str, content: str | None = None, **fields: Any) -> JsonObject:
    told = [{"id": name, "type": "function", "function": {"name": "w", "arguments": '{"a":1}'}} for name in ids]
    return {"role": "assistant", "content": content, "tool_calls": told} | fields


def result(call_id: str, content: Any = "ok") -> JsonObject:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def user(content: Any) -> JsonObject:
    return {"role": "user", "content": content}


GO = user("go")
NOTHING = "(no result)"
ADDRESS = "https://a.test/i.png"
PICTURE = {"type": "input_image", "image_url": ADDRESS, "detail": "original"}


def seen(detail: str) -> JsonObject:
    return {"type": "image_url", "image_url": {"url": ADDRESS, "detail": detail}}


SEEN = seen("original")
SPELLED = '[{"type":"input_text","text":"see"},{"type":"input_image","image_url":"https://a.test/i.png"}]'


def sent(body: JsonObject, upstream: OpenAIChat) -> JsonObject:
    return upstream.encode_request(RESPONSES.decode_request({"model": "m", "input": "hi"} | body))


TURNS = [
    case(
        102,
        "two_calls_then_two_outputs",
        OPENAI,
        [HI, call("c1"), call("c2"), output("c1", "1"), output("c2", "2")],
        [HI, calls("c1", "c2"), result("c1", "1"), result("c2", "2")],
    ),
    case(
        103,
        "a_message_between_call_and_output_waits",
        OPENAI,
        [call("c1"), HI, output("c1"), GO],
        [calls("c1"), result("c1"), HI, GO],
    ),
    # A chat upstream refuses a call without a result, so that each has a stand-in.
    case(
        104,
        "calls_are_not_merged_across_a_user_turn",
        OPENAI,
        [call("c1"), HI, call("c2")],
        [calls("c1"), result("c1", NOTHING), HI, calls("c2"), result("c2", NOTHING)],
    ),
    case(
        105,
        "summaries_are_joined_as_they_are",
        THINKER,
        [HI, thought("a", "b"), said("ok")],
        [HI, {"role": "assistant", "content": "ok", "reasoning_content": "ab"}],
    ),
    case(
        105,
        "no_reasoning_for_openai",
        OPENAI,
        [HI, thought("a", "b"), said("ok")],
        [HI, {"role": "assistant", "content": "ok"}],
    ),
    case(
        106,
        "reasoning_text_and_call_in_one_message",
        THINKER,
        [HI, thought("a"), said("ok"), call("c1"), output("c1")],
        [HI, calls("c1", content="ok", reasoning_content="a"), result("c1")],
    ),
    case(
        107,
        "a_picture_in_an_output",
        OPENAI,
        [HI, call("c1"), output("c1", [{"type": "input_text", "text": "see"}, PICTURE])],
        [HI, calls("c1"), result("c1", "see"), user([{"type": "text", "text": "Image from tool c1:"}, SEEN])],
    ),
    case(
        107,
        "a_picture_in_an_output_where_it_may_stay",
        IN_RESULTS,
        [HI, call("c1"), output("c1", [{"type": "input_text", "text": "see"}, PICTURE])],
        [HI, calls("c1"), result("c1", [{"type": "text", "text": "see"}, SEEN])],
    ),
    case(
        107,
        "a_detail_that_the_server_does_not_know",
        OLDER,
        [HI, call("c1"), output("c1", [PICTURE]), {"role": "user", "content": [PICTURE | {"detail": "low"}]}],
        [HI, calls("c1"), result("c1", [seen("high")]), user([seen("low")])],
    ),
    case(
        108,
        "a_string_that_spells_a_picture",
        IN_RESULTS,
        [HI, call("c1"), output("c1", SPELLED)],
        [
            HI,
            calls("c1"),
            result("c1", [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": ADDRESS}}]),
        ],
    ),
    *(
        case(
            108,
            f"{name}_stays_a_string",
            IN_RESULTS,
            [HI, call("c1"), output("c1", text)],
            [
                HI,
                calls("c1"),
                result("c1", text),
            ],
        )
        for name, text in {
            "trailing_text": SPELLED + " and so on",
            "a_truncated_one": SPELLED[:-3],
            "an_address_that_is_no_string": '[{"type":"input_image","image_url":1}]',
            "no_picture": '[{"type":"input_text","text":"input_image"}]',
        }.items()
    ),
    case(
        109,
        "a_call_in_a_namespace",
        OPENAI,
        [HI, call("c1", "get_me", namespace="mcp__gh"), output("c1")],
        [
            HI,
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "mcp__gh__get_me", "arguments": '{"a":1}'}}
                ],
            },
            result("c1"),
        ],
    ),
    case(
        110,
        "a_call_with_free_text",
        OPENAI,
        [
            HI,
            {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": "*** Begin"},
            {"type": "custom_tool_call_output", "call_id": "c1", "output": "ok"},
        ],
        [
            HI,
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "apply_patch", "arguments": JsonText({"input": "*** Begin"})},
                    }
                ],
            },
            result("c1"),
        ],
    ),
    case(113, "a_string", OPENAI, "hi", [HI]),
    case(
        113,
        "items_without_a_type_and_contents_that_are_strings",
        OPENAI,
        [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ok"}, GO],
        [HI, {"role": "assistant", "content": "ok"}, GO],
    ),
    case(
        114,
        "developer_items_are_system_text_for_glm",
        GLM,
        [{"role": "developer", "content": "Rule"}, HI],
        [{"role": "system", "content": "Rule"}, HI],
    ),
    case(
        114,
        "developer_items_where_the_role_is_known",
        DEVELOPER,
        [{"role": "developer", "content": "Rule"}, HI, {"role": "developer", "content": "Late"}],
        [{"role": "developer", "content": "Rule"}, HI, {"role": "developer", "content": "Late"}],
    ),
    case(
        121,
        "empty_arguments_in_the_history",
        OPENAI,
        [HI, call("c1", arguments=""), output("c1")],
        [
            HI,
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "w", "arguments": "{}"}}],
            },
            result("c1"),
        ],
    ),
]


@pytest.mark.parametrize(("upstream", "items", "expected"), TURNS)
def test_the_upstream_is_sent_these_messages(upstream: OpenAIChat, items: Any, expected: list[JsonObject]) -> None:
    assert sent({"input": items}, upstream)["messages"] == expected


def function(name: str, **fields: Any) -> JsonObject:
    return Including({"type": "function", "function": Including({"name": name} | fields)})  # type: ignore[return-value]


FREE_TEXT = Including({"type": "object", "properties": {"input": Including({"type": "string"})}, "required": ["input"]})
NO_TOOLS = {"tools": MISSING, "tool_choice": MISSING, "parallel_tool_calls": MISSING}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
NAMESPACE = {"type": "namespace", "name": "mcp__gh", "tools": [{"type": "function", "name": "get_me"}]}

FIELDS = [
    case(109, "tools_in_a_namespace", OPENAI, {"tools": [NAMESPACE]}, {"tools": [function("mcp__gh__get_me")]}),
    case(
        109,
        "a_namespace_that_ends_as_the_seam_begins",
        OPENAI,
        {"tools": [NAMESPACE | {"name": "mcp__gh__"}]},
        {"tools": [function("mcp__gh__get_me")]},
    ),
    case(
        109,
        "a_tool_of_its_own_wins",
        OPENAI,
        {"tools": [NAMESPACE, {"type": "function", "name": "mcp__gh__get_me", "description": "own"}]},
        {"tools": [function("mcp__gh__get_me", description="own")]},
    ),
    case(
        109,
        "tools_that_come_later_join_them",
        OPENAI,
        {
            "tools": [{"type": "function", "name": "w", "description": "first"}],
            "input": [
                HI,
                {
                    "type": "additional_tools",
                    "role": "developer",
                    "tools": [{"type": "function", "name": "w"}, {"type": "function", "name": "x"}],
                },
            ],
        },
        {"tools": [function("w", description="first"), function("x")]},
    ),
    case(
        110,
        "a_tool_for_free_text",
        OPENAI,
        {
            "tools": [{"type": "custom", "name": "apply_patch", "format": {"type": "text"}}],
            "tool_choice": {"type": "custom", "name": "apply_patch"},
        },
        {
            "tools": [function("apply_patch", parameters=FREE_TEXT)],
            "tool_choice": {"type": "function", "function": {"name": "apply_patch"}},
        },
    ),
    case(
        111,
        "tools_of_unsupported_types_alone",
        OPENAI,
        {
            "tools": [{"type": "web_search"}, {"type": "tool_search"}],
            "tool_choice": "auto",
            "parallel_tool_calls": True,
        },
        NO_TOOLS,
    ),
    case(
        112,
        "a_schema_for_the_text",
        OPENAI,
        {"text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}}},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": SCHEMA, "strict": True},
            }
        },
    ),
    case(
        122,
        "what_glm_does_not_know",
        GLM,
        {
            "store": False,
            "client_metadata": {"a": 1},
            "include": ["reasoning.encrypted_content"],
            "prompt_cache_key": "k",
        },
        dict.fromkeys(("store", "client_metadata", "include", "prompt_cache_key"), MISSING),
    ),
]


@pytest.mark.parametrize(("upstream", "body", "expected"), FIELDS)
def test_the_upstream_is_sent_these_fields(upstream: OpenAIChat, body: JsonObject, expected: JsonObject) -> None:
    assert picked(sent(body, upstream), expected) == expected


def test_case_123_an_unknown_previous_response() -> None:
    """On the native path it is the vendor's to know."""
    with pytest.raises(InvalidRequestError) as caught:
        RESPONSES.decode_request({"model": "m", "input": "hi", "previous_response_id": "resp_1"})
    reply = RESPONSES.encode_error(caught.value, "req_1")
    assert reply.status == 400
    assert reply.body["error"] == {
        "message": "previous_response_id: this gateway stores no responses; send the whole conversation as input",
        "type": "invalid_request_error",
        "param": "previous_response_id",
        "code": "previous_response_not_found",
    }
