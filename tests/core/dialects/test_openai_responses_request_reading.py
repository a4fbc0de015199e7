"""What a Responses request means, and what is wrong with the bad ones."""

from __future__ import annotations

from typing import Any

import pytest
from core.dialects.response_samples import RESPONSES_REQUEST, SEALED

from aigateway_core.dialects.openai_responses import OpenAIResponses
from aigateway_core.dialects.openai_tools import OpenAITool
from aigateway_core.errors import ErrorKind, GatewayError, InvalidRequestError, UnsupportedFeatureError
from aigateway_core.model import (
    AudioPart,
    ChatRequest,
    DocumentPart,
    HostedTool,
    ImagePart,
    JsonObject,
    Message,
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


def read(**body: Any) -> ChatRequest:
    return DIALECT.decode_request({"model": "m", "input": "hi"} | body)


def turns(*items: Any) -> tuple[Message, ...]:
    return read(input=list(items)).messages


def test_a_request_with_something_of_everything() -> None:
    request = DIALECT.decode_request(RESPONSES_REQUEST)
    assert request.system == ("Be kind", "Rule")
    assert request.messages == (
        Message(
            "user",
            (
                TextPart("hi"),
                ImagePart("image/png", "aW1n", detail="low"),
                DocumentPart("application/pdf", "cGRm", title="a.pdf"),
                AudioPart("d2F2", "wav"),
            ),
        ),
        Message(
            "assistant",
            (
                ThinkingPart("hm", origin="glm"),
                ThinkingPart("", "rs_2|gAAAA", "openai-responses"),
                TextPart("ok"),
                ToolCallPart("call_1", "gh__get", '{"a":1}'),
                ToolCallPart("call_2", "patch", '{"input":"*** Begin"}'),
                ToolCallPart("call_3", "local_shell", '{"action":{"command":["ls"]}}'),
            ),
        ),
        Message(
            "tool",
            (
                ToolResultPart("call_1", (ImagePart(url="https://a.test/i.png", detail="original"),)),
                ToolResultPart("call_2", (TextPart("done"),)),
                ToolResultPart("call_3", (TextPart("a.txt"),)),
            ),
        ),
        Message("system", (TextPart("Late rule"),)),
    )
    names = [tool.name for tool in request.tools]
    assert names == ["w", "patch", "gh__get", "web_search", "late"]
    assert request.tools[0] == Tool("w", None, {"type": "object"}, strict=True)
    assert isinstance(request.tools[1], OpenAITool)
    assert isinstance(request.tools[3], HostedTool)
    assert request.tool_choice == ToolChoice("auto", ("w",))
    assert request.parallel_tool_calls is True
    assert request.reasoning == Reasoning("high")
    assert request.response_format == ResponseFormat("json_schema", "n", {"type": "object"})
    assert (request.verbosity, request.max_tokens, request.user) == ("low", 99, "u")
    assert (request.metadata, request.stream) == ({"a": "b"}, True)
    assert request.extra.keys() == {"include", "client_metadata", "messages.web_search_call"}
    assert (request.extra["include"], request.extra["client_metadata"]) == (["web_search_call.results"], {"x": 1})


def test_what_a_gateway_without_a_memory_has_heeded_is_not_named_as_lost() -> None:
    request = read(
        store=False,
        include=["reasoning.encrypted_content"],
        truncation="disabled",
        stream_options={"include_obfuscation": False},
        background=False,
        top_logprobs=0,
    )
    assert request == read()
    assert DIALECT.losses(request).dropped == ()


def test_what_no_other_vendor_knows_is_named_as_lost() -> None:
    request = read(truncation="auto", prompt_cache_key="k", reasoning={"mode": "pro"})
    assert DIALECT.losses(request).dropped == ("truncation", "prompt_cache_key", "reasoning.mode")


@pytest.mark.parametrize(
    ("reasoning", "expected"),
    [
        (None, None),
        ({}, Reasoning(summary=False)),
        ({"effort": "low"}, Reasoning("low", summary=False)),
        ({"effort": None, "summary": "detailed"}, Reasoning(summary=True)),
        ({"effort": "none", "generate_summary": "auto"}, Reasoning("none", summary=True)),
    ],
)
def test_reasoning_is_shown_where_a_summary_is_asked_for(reasoning: Any, expected: Reasoning | None) -> None:
    assert read(reasoning=reasoning).reasoning == expected


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, None),
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "name": "w"}, ToolChoice("required", ("w",))),
        ({"type": "function", "function": {"name": "w"}}, ToolChoice("required", ("w",))),
        ({"type": "function", "name": "get", "namespace": "gh"}, ToolChoice("required", ("gh__get",))),
        ({"type": "custom", "name": "patch"}, ToolChoice("required", ("patch",))),
        ({"type": "web_search_preview"}, ToolChoice("required", ("web_search_preview",))),
        ({"type": "mcp", "server_label": "files"}, ToolChoice("required", ("files",))),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "w"}]},
            ToolChoice("required", ("w",)),
        ),
    ],
)
def test_the_choice_among_tools(choice: Any, expected: ToolChoice | None) -> None:
    assert read(tool_choice=choice).tool_choice == expected


def test_the_grammar_of_a_free_text_is_told_to_other_models() -> None:
    form = {"type": "grammar", "syntax": "lark", "definition": "start: X"}
    (tool,) = read(tools=[{"type": "custom", "name": "p", "description": "d", "format": form}]).tools
    assert isinstance(tool, OpenAITool)
    assert (tool.name, tool.description, tool.format) == ("p", "d", form)
    assert "start: X" in tool.parameters["properties"]["input"]["description"]


def test_the_log_probabilities_of_the_text_are_a_wish_that_others_cannot_grant() -> None:
    request = read(include=["message.output_text.logprobs"], top_logprobs=3)
    assert DIALECT.losses(request).refused == ("logprobs", "top_logprobs")


def test_the_safety_identifier_names_the_user() -> None:
    assert read(safety_identifier="s").user == "s"
    assert read(safety_identifier="s", user="u").user == "u"


# -- items


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"type": "reasoning", "summary": []}, None),
        ({"type": "reasoning", "summary": [{"type": "summary_text", "text": "a"}]}, ThinkingPart("a")),
        ({"type": "reasoning", "content": [{"type": "reasoning_text", "text": "a"}]}, ThinkingPart("a")),
        ({"type": "reasoning", "encrypted_content": SEALED}, ThinkingPart("hm", origin="glm")),
        ({"type": "reasoning", "encrypted_content": "gw1.glm.!"}, None),
        (
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
            ThinkingPart("", "rs_1|x", "openai-responses"),
        ),
    ],
)
def test_reasoning_items(item: JsonObject, expected: ThinkingPart | None) -> None:
    told = turns({"role": "user", "content": "hi"}, item)
    assert told[1:] == (() if expected is None else (Message("assistant", (expected,)),))


@pytest.mark.parametrize("kind", ["web_search_call", "mcp_call", "image_generation_call", "of_tomorrow"])
def test_records_of_the_vendors_own_tools_and_unknown_kinds_are_passed_over(kind: str) -> None:
    assert turns({"type": kind, "id": "x"}, {"role": "user", "content": "hi"}) == read().messages


def test_records_of_the_vendors_own_tools_are_told_to_be_lost() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    request = read(input=[{"role": "user", "content": "hi"}, search, {"role": "assistant", "content": "it"}, search])
    assert list(request.extra) == ["messages.web_search_call"]


def test_the_output_of_a_computer_is_a_picture() -> None:
    shot = {"type": "computer_screenshot", "image_url": "data:image/png;base64,aW1n"}
    told = turns(
        {"type": "computer_call", "call_id": "c", "id": "cu_1", "action": {"type": "click"}, "status": "completed"},
        {"type": "computer_call_output", "call_id": "c", "output": shot},
    )
    assert told == (
        Message("assistant", (ToolCallPart("c", "computer", '{"action":{"type":"click"}}'),)),
        Message("tool", (ToolResultPart("c", (ImagePart("image/png", "aW1n"),)),)),
    )


def test_an_output_without_its_call_stands_where_it_is() -> None:
    told = turns({"role": "user", "content": "hi"}, {"type": "function_call_output", "call_id": "x", "output": "1"})
    assert told[1] == Message("tool", (ToolResultPart("x", (TextPart("1"),)),))


def test_calls_after_an_output_are_another_turn() -> None:
    call = {"type": "function_call", "name": "w", "arguments": "{}"}
    told = turns(
        call | {"call_id": "a"},
        {"type": "function_call_output", "call_id": "a", "output": "1"},
        call | {"call_id": "b"},
        {"type": "function_call_output", "call_id": "b", "output": "2"},
    )
    assert [message.role for message in told] == ["assistant", "tool", "assistant", "tool"]


def test_an_output_without_an_id_answers_nothing() -> None:
    assert turns({"role": "user", "content": "hi"}, {"type": "function_call_output", "call_id": "", "output": "1"}) == (
        read().messages
    )


# -- what is wrong


USER = {"role": "user", "content": "hi"}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"model": 1}, "model"),
        ({"model": " "}, "model"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": {"role": "user"}}, "input"),
        ({"input": ["hi"]}, "input[0]"),
        ({"input": [{}]}, "input[0].type"),
        ({"input": [USER, {"type": 1}]}, "input[1].type"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
        ({"input": [{"type": "message", "role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": 1}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"type": "x"}]}]}, "input[0].content[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input[0].content[0]"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": ""}}]}]},
            "input[0].content[0].input_audio.format",
        ),
        ({"input": [{"type": "function_call", "name": "w"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call", "call_id": "c", "arguments": "{}"}]}, "input[0].name"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "w", "arguments": 1}]}, "input[0].arguments"),
        ({"input": [{"type": "custom_tool_call", "call_id": "c", "name": "w"}]}, "input[0].input"),
        ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "input[0].output"),
        ({"input": [{"type": "reasoning", "summary": [{}]}]}, "input[0].summary[0].text"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
        ({"input": [{"type": "compaction", "encrypted_content": "x"}]}, "input[0]"),
        ({"input": [{"type": "additional_tools", "tools": [{}]}]}, "input[0].tools[0].type"),
        ({"instructions": 1}, "instructions"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "name": "w", "parameters": []}]}, "tools[0].parameters"),
        ({"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "mcp"}]}]}, "tools[0].tools[0].type"),
        ({"tools": [{"type": "custom", "name": "w", "format": "text"}]}, "tools[0].format"),
        ({"tool_choice": "some"}, "tool_choice"),
        ({"tool_choice": {}}, "tool_choice.type"),
        ({"tool_choice": {"type": "allowed_tools", "tools": [{"type": "function"}]}}, "tool_choice.tools[0].name"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"include": "all"}, "include"),
        ({"max_output_tokens": "9"}, "max_output_tokens"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"stream": "yes"}, "stream"),
    ],
)
def test_what_is_wrong_is_told_with_its_path(body: JsonObject, path: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read(**body)
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_not_found"),
        ({"conversation": "conv_1"}, "unsupported_parameter"),
        ({"conversation": {"id": "conv_1"}}, "unsupported_parameter"),
        ({"prompt": {"id": "pmpt_1"}}, "unsupported_parameter"),
        ({"background": True}, "unsupported_parameter"),
    ],
)
def test_a_translated_request_cannot_build_on_what_is_stored(body: JsonObject, code: str) -> None:
    (name,) = body
    for said in ({"input": "hi"}, {}) if name != "background" else ({"input": "hi"},):
        with pytest.raises((InvalidRequestError, UnsupportedFeatureError)) as caught:
            DIALECT.decode_request({"model": "m"} | said | body)
        error: GatewayError = caught.value
        assert error.kind in (ErrorKind.INVALID_REQUEST, ErrorKind.UNSUPPORTED)
        reply = DIALECT.encode_error(error, "req_1")
        assert (reply.status, reply.body["error"]["param"], reply.body["error"]["code"]) == (400, name, code)


@pytest.mark.parametrize(
    "body", [{"previous_response_id": "resp_1"}, {"conversation": {"id": "conv_1"}}, {"prompt": {"id": "pmpt_1"}}]
)
def test_a_native_request_may_build_on_what_its_vendor_has_stored(body: JsonObject) -> None:
    for said in ({"input": "hi"}, {"input": []}, {}):
        assert DIALECT.peek({"model": "m"} | said | body).model == "m"


def test_what_runs_in_the_background_is_refused_on_every_path() -> None:
    with pytest.raises(UnsupportedFeatureError, match="background"):
        DIALECT.peek({"model": "m", "input": "hi", "background": True})


@pytest.mark.parametrize("body", [{}, {"input": None}, {"input": []}, {"input": 7}, {"input": {"role": "user"}}])
def test_a_native_request_without_anything_to_say_is_refused(body: JsonObject) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        DIALECT.peek({"model": "m"} | body)
    assert caught.value.path == "input"


def test_a_request_is_looked_at_without_reading_it() -> None:
    assert DIALECT.peek({"model": "m", "input": [{"any": "thing"}], "stream": True}).stream is True
    with pytest.raises(InvalidRequestError, match="input"):
        DIALECT.peek({"model": "m"})
