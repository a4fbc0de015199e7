"""Numbered cases 8–25 and 48: tool calls and their results in a Messages request, sent to a Chat upstream."""

from __future__ import annotations

import pytest
from core.dialects.message_turns import (
    CALLED,
    CALLING,
    CHAT_TOOL,
    SCHEMA,
    TOOL,
    answered,
    assistant,
    base64_image,
    call,
    chat_call,
    chat_image,
    result,
    seen,
    text,
    to_chat,
    tool,
    user,
)
from core.dialects.sheet import (
    ANTHROPIC,
    GLM,
    HI,
    OPENAI,
    InOrder,
    JsonText,
    Matching,
    case,
    picked,
)

from aigateway_core.dialects.openai_chat import OpenAIChat, OpenAIChatProfile
from aigateway_core.model import JsonObject

TOOL_TURNS = [
    case(
        8,
        "results_come_first",
        answered(text("before"), result("call_1", content=[text("ok")]), text("after")),
        seen(tool("ok"), {"role": "user", "content": InOrder("before", "after")}),
        OPENAI,
    ),
    case(
        9,
        "one_assistant_message",
        {"messages": [HI, assistant(text("pre"), call(), text("post")), user(result("call_1", content="ok"))]},
        {
            "messages": [
                HI,
                {"role": "assistant", "content": InOrder("pre", "post"), "tool_calls": [chat_call()]},
                tool("ok"),
            ]
        },
        OPENAI,
    ),
    case(10, "content_of_calls_alone_is_null", answered(result("call_1", content="ok")), seen(tool("ok")), OPENAI),
    case(
        10,
        "content_of_calls_alone_is_empty",
        answered(result("call_1", content="ok")),
        {"messages": [HI, CALLING | {"content": ""}, tool("ok")]},
        GLM,
    ),
    case(
        11,
        "no_arguments",
        {"messages": [HI, assistant(call(given={})), user(result("call_1", content="ok"))]},
        {
            "messages": [
                HI,
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "w", "arguments": "{}"}}],
                },
                tool("ok"),
            ]
        },
        OPENAI,
    ),
    case(
        12,
        "arguments_keep_their_text",
        {"messages": [HI, assistant(call(given={"x": "é\n"})), user(result("call_1", content="ok"))]},
        {"messages": [HI, CALLING | {"tool_calls": [chat_call(given={"x": "é\n"})]}, tool("ok")]},
        OPENAI,
    ),
    case(13, "text_result", answered(result("call_1", content="txt")), seen(tool("txt")), OPENAI),
    case(14, "result_without_content", answered(result("call_1")), seen(tool("")), OPENAI),
    case(14, "result_of_null", answered(result("call_1", content=None)), seen(tool("")), OPENAI),
    case(15, "text_blocks", answered(result("call_1", content=[text("a"), text("b")])), seen(tool("a\nb")), OPENAI),
    case(16, "error", answered(result("call_1", content="boom", is_error=True)), seen(tool("Error: boom")), OPENAI),
    case(
        16,
        "error_marked_already",
        answered(result("call_1", content="Error: boom", is_error=True)),
        seen(tool("Error: boom")),
        OPENAI,
    ),
    case(16, "no_error", answered(result("call_1", content="ok", is_error=False)), seen(tool("ok")), OPENAI),
    case(
        17,
        "image_in_a_result",
        answered(result("call_1", content=[text("ok"), base64_image()])),
        seen(
            tool("ok"),
            {"role": "user", "content": [text("Image from tool call_1:"), chat_image("data:image/png;base64,aW1n")]},
        ),
        OPENAI,
    ),
    case(
        17,
        "image_in_a_result_where_allowed",
        answered(result("call_1", content=[text("ok"), base64_image()])),
        seen(tool([text("ok"), chat_image("data:image/png;base64,aW1n")])),
        OpenAIChat(OpenAIChatProfile(images_in_tool_results=True)),
    ),
    case(
        18,
        "images_follow_all_results",
        {
            "messages": [
                HI,
                assistant(call("call_1"), call("call_2")),
                user(result("call_1", content=[text("1"), base64_image()]), result("call_2", content="2")),
            ]
        },
        {
            "messages": [
                HI,
                CALLING | {"tool_calls": [chat_call("call_1"), chat_call("call_2")]},
                tool("1", "call_1"),
                tool("2", "call_2"),
                {
                    "role": "user",
                    "content": [text("Image from tool call_1:"), chat_image("data:image/png;base64,aW1n")],
                },
            ]
        },
        OPENAI,
    ),
    case(
        19,
        "result_is_an_object",
        answered(result("call_1", content={"foo": "bar"})),
        seen(tool(JsonText({"foo": "bar"}))),
        OPENAI,
    ),
    case(
        20,
        "result_is_one_block",
        answered(result("call_1", content={"type": "image", "source": {"type": "url", "url": "https://a.test/i.png"}})),
        seen(
            tool(Matching(".*")),
            {"role": "user", "content": [text("Image from tool call_1:"), chat_image("https://a.test/i.png")]},
        ),
        OPENAI,
    ),
    case(
        21,
        "results_in_the_order_of_the_calls",
        {
            "messages": [
                HI,
                assistant(call("call_1"), call("call_2")),
                user(result("call_2", content="2"), result("call_1", content="1")),
            ]
        },
        {
            "messages": [
                HI,
                CALLING | {"tool_calls": [chat_call("call_1"), chat_call("call_2")]},
                tool("1", "call_1"),
                tool("2", "call_2"),
            ]
        },
        OPENAI,
    ),
    case(
        22,
        "result_of_an_unknown_call",
        {"messages": [HI, {"role": "assistant", "content": "ok"}, user(result("call_9", content="late"))]},
        {
            "messages": [
                HI,
                {"role": "assistant", "content": "ok"},
                {"role": "user", "content": "[tool result call_9] late"},
            ]
        },
        OPENAI,
    ),
    case(
        23,
        "call_without_a_result_at_the_end",
        {"messages": CALLED},
        seen(tool("(no result)")),
        OPENAI,
    ),
    case(
        23,
        "call_without_a_result_before_a_question",
        answered(text("never mind")),
        seen(tool("(no result)"), {"role": "user", "content": "never mind"}),
        OPENAI,
    ),
    case(
        24,
        "the_last_of_two_results_counts",
        answered(result("call_1", content="first"), result("call_1", content="last")),
        seen(tool("last")),
        OPENAI,
    ),
    # Anthropic facts, 3: turns of one role in a row are one turn, so the result still answers its call.
    case(
        46,
        "assistant_turns_in_a_row",
        {"messages": [HI, assistant(call()), assistant(text("post")), user(result("call_1", content="ok"))]},
        {"messages": [HI, CALLING | {"content": "post"}, tool("ok")]},
        OPENAI,
    ),
    case(
        25,
        "reference_to_a_tool",
        answered(result("call_1", content=[{"type": "tool_reference", "tool_name": "WebFetch"}]))
        | {"tools": [TOOL, {"name": "WebFetch", "input_schema": SCHEMA, "defer_loading": True}]},
        {
            "messages": [HI, CALLING, tool(Matching(".*WebFetch.*"))],
            "tools": [CHAT_TOOL, {"type": "function", "function": {"name": "WebFetch", "parameters": SCHEMA}}],
        },
        OPENAI,
    ),
]


@pytest.mark.parametrize(("given", "expected", "target"), TOOL_TURNS)
def test_calls_and_results_reach_a_chat_upstream(given: JsonObject, expected: JsonObject, target: OpenAIChat) -> None:
    assert picked(to_chat(given, target), expected) == expected


@pytest.mark.parametrize("target", [OPENAI, GLM], ids=["openai", "glm"])
def test_case_048_a_long_tool_id_is_shortened_alike_in_call_and_result(target: OpenAIChat) -> None:
    long = "toolu_" + "x" * 54
    body = {"messages": [HI, assistant(call(long), call(long[:-1] + "y")), user(result(long, content="ok"))]}
    sent = target.encode_request(ANTHROPIC.decode_request({"model": "m", "max_tokens": 9} | body))
    calls, results = sent["messages"][1]["tool_calls"], sent["messages"][2:]
    assert [item["id"] for item in calls] == [item["tool_call_id"] for item in results]
    assert len({item["id"] for item in calls}) == 2
    assert all(0 < len(item["id"]) <= 40 for item in calls)
    assert results[0]["content"] == "ok"
