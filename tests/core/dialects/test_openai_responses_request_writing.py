"""What a Responses upstream is sent."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import TypeAdapter

from aigateway_core.dialects.anthropic import Anthropic
from aigateway_core.dialects.dialect import Loss
from aigateway_core.dialects.openai_chat import OpenAIChat
from aigateway_core.dialects.openai_responses import OpenAIResponses, OpenAIResponsesProfile
from aigateway_core.dialects.openai_tools import OpenAITool
from aigateway_core.model import (
    ChatRequest,
    DocumentPart,
    HostedTool,
    ImagePart,
    JsonObject,
    Message,
    Part,
    Reasoning,
    ResponseFormat,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
)

DIALECT = OpenAIResponses()
PARAMS: TypeAdapter[Any] = TypeAdapter(ResponseCreateParamsNonStreaming)

HI = Message("user", (TextPart("hi"),))
HI_ITEM = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
OWN = "openai-responses"
CLOSED: JsonObject = {"additionalProperties": False, "type": "object"}


def written(dialect: OpenAIResponses = DIALECT, **fields: Any) -> JsonObject:
    """The body, which the vendor's own types accept."""
    body = dialect.encode_request(attrs.evolve(ChatRequest(model="o4", messages=(HI,)), **fields))
    PARAMS.validate_python({name: value for name, value in body.items() if name != "stream"})
    return body


def items(*messages: Message) -> list[JsonObject]:
    return list(written(messages=messages)["input"])


def assistant(*parts: Part) -> Message:
    return Message("assistant", parts)


def test_a_plain_request() -> None:
    assert written() == {
        "model": "o4",
        "input": [HI_ITEM],
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }


def test_everything_that_has_a_place() -> None:
    body = written(
        system=("Be kind", "Be brief"),
        max_tokens=99,
        temperature=0.5,
        top_p=0.5,
        reasoning=Reasoning("high"),
        verbosity="low",
        response_format=ResponseFormat("json_schema", "n", {"type": "object"}, True, "d"),
        user="u",
        metadata={"a": "b"},
        service_tier="flex",
        tools=(Tool("w", "d", CLOSED | {"properties": {}}, True),),
        tool_choice=ToolChoice("required", ("w",)),
        parallel_tool_calls=False,
        stream=True,
    )
    assert body == {
        "model": "o4",
        "instructions": "Be kind\n\nBe brief",
        "input": [HI_ITEM],
        "max_output_tokens": 99,
        "temperature": 0.5,
        "top_p": 0.5,
        "reasoning": {"effort": "high", "summary": "auto"},
        "text": {
            "format": {
                "type": "json_schema",
                "name": "n",
                "schema": {"type": "object"},
                "strict": True,
                "description": "d",
            },
            "verbosity": "low",
        },
        "user": "u",
        "metadata": {"a": "b"},
        "service_tier": "flex",
        "tools": [
            {
                "type": "function",
                "name": "w",
                "description": "d",
                "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
                "strict": True,
            }
        ],
        "tool_choice": {"type": "function", "name": "w"},
        "parallel_tool_calls": False,
        "include": ["reasoning.encrypted_content"],
        "store": False,
        "stream": True,
    }


def test_the_least_number_of_tokens() -> None:
    assert written(max_tokens=1)["max_output_tokens"] == 16


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        ({**CLOSED, "properties": {"a": {"type": "string"}}, "required": ["a"]}, True),
        ({**CLOSED, "properties": {"a": {"type": "string"}}}, False),
        ({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}, False),
        ({**CLOSED, "properties": {"a": {"anyOf": [{"type": "object", "properties": {}}]}}, "required": ["a"]}, False),
        ({**CLOSED, "properties": {"properties": {"type": "string"}}, "required": ["properties"]}, True),
    ],
)
def test_a_strict_tool_with_a_schema_that_openai_does_not_hold_to_is_an_ordinary_one(
    schema: JsonObject, strict: bool
) -> None:
    asked = ChatRequest(model="gpt-5", messages=(HI,), tools=(Tool("w", None, schema, True),))
    for dialect in (OpenAIResponses(), OpenAIChat()):
        (tool,) = dialect.encode_request(asked)["tools"]
        assert tool.get("function", tool)["strict"] is strict
        assert dialect.losses(asked).dropped == (() if strict else ("tools.strict",))


def test_a_tool_that_says_nothing_of_strictness_is_not_strict() -> None:
    assert written(tools=(Tool("w"),))["tools"] == [
        {"type": "function", "name": "w", "parameters": {"type": "object", "properties": {}}, "strict": False}
    ]


@pytest.mark.parametrize(
    ("reasoning", "expected"),
    [
        (Reasoning("low", summary=False), {"effort": "low"}),
        (Reasoning(budget=9000), {"effort": "high", "summary": "auto"}),
        (Reasoning("none"), {"effort": "none"}),
        (Reasoning("max"), {"effort": "max", "summary": "auto"}),
    ],
)
def test_how_much_to_reason(reasoning: Reasoning, expected: JsonObject) -> None:
    assert written(reasoning=reasoning)["reasoning"] == expected


def test_models_without_reasoning_are_not_asked_for_it() -> None:
    request = ChatRequest(model="gpt-4o", messages=(HI,), reasoning=Reasoning("low"))
    assert {"reasoning", "include"}.isdisjoint(DIALECT.encode_request(request))
    assert DIALECT.losses(request).dropped == ("reasoning",)


def test_a_profile_has_its_own_words() -> None:
    dialect = OpenAIResponses(
        OpenAIResponsesProfile(
            origin="acme",
            late_system="system",
            efforts={"max": "xhigh", "minimal": None},
            summary=None,
            cannot_express={"verbosity": Loss("dropped", "acme's handbook")},
        )
    )
    late = (HI, Message("system", (TextPart("Rule"),)))
    body = written(dialect, messages=late, reasoning=Reasoning("max"), verbosity="low")
    assert body["reasoning"] == {"effort": "xhigh"}
    assert "text" not in body
    assert body["input"][1]["role"] == "system"
    assert "reasoning" not in written(dialect, reasoning=Reasoning("minimal"))
    assert dialect.losses(ChatRequest(model="m", verbosity="low")).dropped == ("verbosity",)


def test_a_profile_names_fields_that_there_are() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        OpenAIResponsesProfile(cannot_express={"nonsense": Loss("dropped", "")})


def test_what_the_api_has_no_place_for() -> None:
    request = ChatRequest(
        model="m",
        messages=(HI,),
        top_k=1,
        stop=("END",),
        seed=1,
        n=2,
        logprobs=True,
        service_tier="standard_only",
        tools=(HostedTool("web_search_20250305", "web_search"),),
        tool_choice=ToolChoice("required", ("web_search",)),
        extra={"thread": 1},
    )
    losses = DIALECT.losses(request)
    assert losses.dropped == (
        "top_k",
        "stop",
        "seed",
        "thread",
        "tools.web_search_20250305",
        "tool_choice",
        "service_tier",
    )
    assert losses.refused == ("n", "logprobs")
    assert DIALECT.encode_request(request).keys() == {"model", "input", "store", "include"}


# -- tools


def test_tools_of_the_vendor_and_their_choice() -> None:
    search = HostedTool("web_search", "web_search", {"type": "web_search", "search_context_size": "low"})
    files = HostedTool("mcp", "files", {"type": "mcp", "server_label": "files", "server_url": "https://a.test"})
    body = written(tools=(search, files), tool_choice=ToolChoice("required", ("files",)))
    assert body["tools"] == [search.definition, files.definition]
    assert body["tool_choice"] == {"type": "mcp", "server_label": "files"}


def test_several_tools_to_choose_from() -> None:
    body = written(tools=(Tool("a"), Tool("b"), Tool("c")), tool_choice=ToolChoice("auto", ("a", "b", "gone")))
    assert body["tool_choice"] == {
        "type": "allowed_tools",
        "mode": "auto",
        "tools": [{"type": "function", "name": "a"}, {"type": "function", "name": "b"}],
    }


def test_names_that_are_too_long_are_shortened_and_restored() -> None:
    name = "n" * 70
    request = ChatRequest(model="m", messages=(HI,), tools=(Tool(name),))
    short = DIALECT.encode_request(request)["tools"][0]["name"]
    assert len(short) == 64
    call = {"type": "function_call", "call_id": "c", "name": short, "arguments": "{}"}
    answer = DIALECT.decode_response({"id": "r", "model": "m", "output": [call]}, request)
    assert answer.parts == (ToolCallPart("c", name, "{}"),)


def test_free_text_and_namespaces_go_back_to_what_they_were() -> None:
    patch = OpenAITool("patch", None, {}, None, "patch", custom=True)
    get = OpenAITool("gh__get", None, {}, None, "get", "gh", "d")
    turns = (
        HI,
        assistant(ToolCallPart("c1", "patch", '{"input":"x"}'), ToolCallPart("c2", "gh__get", "{}")),
        Message("tool", (ToolResultPart("c1", (TextPart("1"),)), ToolResultPart("c2", (TextPart("2"),)))),
    )
    assert written(messages=turns, tools=(patch, get))["input"][1:] == [
        {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": "x"},
        {"type": "function_call", "call_id": "c2", "name": "get", "namespace": "gh", "arguments": "{}"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "1"},
        {"type": "function_call_output", "call_id": "c2", "output": "2"},
    ]


# -- items


def test_an_empty_conversation_has_a_placeholder() -> None:
    assert items() == [{"type": "message", "role": "user", "content": "."}]


def test_what_a_user_shows() -> None:
    (item,) = items(
        Message(
            "user",
            (
                ImagePart("image/png", "aW1n"),
                ImagePart(file_id="file_1", detail="low"),
                DocumentPart("application/pdf", "cGRm"),
                DocumentPart(url="https://a.test/d.pdf"),
                DocumentPart(text="T", title="N"),
            ),
        )
    )
    assert item["content"] == [
        {"type": "input_image", "image_url": "data:image/png;base64,aW1n", "detail": "auto"},
        {"type": "input_image", "file_id": "file_1", "detail": "low"},
        {"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,cGRm"},
        {"type": "input_file", "file_url": "https://a.test/d.pdf"},
        {"type": "input_text", "text": "[N]\nT"},
    ]


def test_calls_without_outputs_and_outputs_without_calls_are_mended() -> None:
    told = items(HI, assistant(ToolCallPart("c", "w", "")), Message("tool", (ToolResultPart("x", (TextPart("1"),)),)))
    assert told[1:] == [
        {"type": "function_call", "call_id": "c", "name": "w", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "(no result)"},
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "[tool result x] 1"}],
        },
    ]


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (ToolResultPart("c", (TextPart("1"),)), "1"),
        (ToolResultPart("c"), ""),
        (ToolResultPart("c", (TextPart("no such file"),), True), "Error: no such file"),
        (ToolResultPart("c", (), True), "Error"),
        (
            ToolResultPart("c", (TextPart("see"), ImagePart(url="https://a.test/i"))),
            [
                {"type": "input_text", "text": "see"},
                {"type": "input_image", "image_url": "https://a.test/i", "detail": "auto"},
            ],
        ),
        (
            ToolResultPart("c", (ImagePart(url="https://a.test/i"),), True),
            [
                {"type": "input_text", "text": "Error"},
                {"type": "input_image", "image_url": "https://a.test/i", "detail": "auto"},
            ],
        ),
    ],
)
def test_what_a_tool_answered(result: ToolResultPart, expected: Any) -> None:
    told = items(HI, assistant(ToolCallPart("c", "w", "{}")), Message("tool", (result,)))
    assert told[-1] == {"type": "function_call_output", "call_id": "c", "output": expected}


def test_case_48_a_long_id_is_the_same_for_call_and_output() -> None:
    long = "c" * 80
    told = items(HI, assistant(ToolCallPart(long, "w", "{}")), Message("tool", (ToolResultPart(long),)))
    assert told[1]["call_id"] == told[2]["call_id"]
    assert len(told[1]["call_id"]) <= 64


def test_reasoning_goes_back_to_its_maker_before_what_it_led_to() -> None:
    told = items(HI, assistant(ThinkingPart("hm", "rs_1|enc", OWN), TextPart("ok")))
    assert told[1:] == [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "enc",
        },
        {"type": "message", "role": "assistant", "content": "ok"},
    ]


@pytest.mark.parametrize(
    "parts",
    [
        (ThinkingPart("hm", "sig", "anthropic"), TextPart("ok")),
        (ThinkingPart("hm", None, OWN), TextPart("ok")),
        (TextPart("ok"), ThinkingPart("hm", "rs_1|enc", OWN)),
    ],
    ids=["another_maker's", "unproven", "followed_by_nothing"],
)
def test_reasoning_that_would_be_refused_is_left_out(parts: tuple[Part, ...]) -> None:
    assert [item["type"] for item in items(HI, assistant(*parts))] == ["message", "message"]


def test_a_conversation_of_a_messages_client_finds_its_reasoning_again() -> None:
    """Through a Messages client and back (translation table, 3.4, 3.5 and 3.7)."""
    anthropic = Anthropic()
    output = [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "enc"},
        {"type": "function_call", "call_id": "c", "name": "w", "arguments": "{}"},
    ]
    asked = ChatRequest(model="o4", messages=(HI,))
    answer = DIALECT.decode_response({"id": "resp_1", "model": "o4", "output": output}, asked)
    message = anthropic.encode_response(answer, asked)
    result = {"type": "tool_result", "tool_use_id": "c", "content": "1"}
    body = {
        "model": "o4",
        "max_tokens": 99,
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": message["content"]},
            {"role": "user", "content": [result]},
        ],
    }
    sent = DIALECT.encode_request(anthropic.decode_request(body))["input"]
    assert sent[1:3] == output
