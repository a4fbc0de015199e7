from __future__ import annotations

from typing import Any

import pytest

from aigateway_core.dialects.openai_chat import OpenAIChat
from aigateway_core.dialects.openai_tools import OpenAITool, free_text_schema
from aigateway_core.errors import InvalidRequestError
from aigateway_core.model import (
    AudioPart,
    ChatRequest,
    DocumentPart,
    Effort,
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

DIALECT = OpenAIChat()
HI: JsonObject = {"role": "user", "content": "hi"}
CLOCK: JsonObject = {"type": "function", "function": {"name": "clock"}}


def read(*messages: JsonObject, **fields: Any) -> ChatRequest:
    return DIALECT.decode_request({"model": "m", "messages": list(messages or (HI,)), **fields})


def call(call_id: str, name: str = "clock", arguments: Any = "{}") -> JsonObject:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def calling(*calls: JsonObject) -> JsonObject:
    return {"role": "assistant", "content": None, "tool_calls": list(calls)}


def answer(call_id: str, content: Any = "noon") -> JsonObject:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def test_who_speaks_and_a_sound_by_its_id_are_named_among_what_is_lost() -> None:
    alice = {"role": "user", "name": "alice", "content": "hi"}
    heard = {"role": "assistant", "audio": {"id": "audio_1"}}
    assert read(alice, heard, {**alice, "name": "bob"}).extra == {
        "messages.name": "alice",
        "messages.audio": {"id": "audio_1"},
    }
    assert read({**alice, "name": None}, {**heard, "audio": None}).extra == {}
    named = {"role": "tool", "tool_call_id": "c", "name": "clock", "content": "noon"}
    assert read(alice | {"name": ""}, calling(call("c")), named).extra == {}


def test_leading_system_and_developer_texts_are_the_system_text() -> None:
    request = read(
        {"role": "system", "content": "A"}, {"role": "developer", "content": [{"type": "text", "text": "B"}]}, HI
    )
    assert request.system == ("A", "B")
    assert request.messages == (Message("user", (TextPart("hi"),)),)


def test_a_later_system_text_stays_in_its_place() -> None:
    request = read(HI, {"role": "developer", "content": "Rule"}, HI)
    assert [turn.role for turn in request.messages] == ["user", "system", "user"]


def test_every_part_of_a_user_message_is_understood() -> None:
    content = [
        {"type": "text", "text": "look"},
        {"type": "text", "text": ""},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aW1n", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image_url", "image_url": "https://example.com/b.png"},
        {"type": "image_url", "image_url": {"url": "data:image/svg+xml,%3Csvg/%3E"}},
        {"type": "input_audio", "input_audio": {"data": "c25k", "format": "wav"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,cGRm"}},
        {"type": "file", "file": {"file_data": "cGRm"}},
        {"type": "file", "file": {"file_id": "file-1"}},
    ]
    assert read({"role": "user", "content": content}).messages[0].parts == (
        TextPart("look"),
        ImagePart(media_type="image/png", data="aW1n", detail="low"),
        ImagePart(url="https://example.com/a.png"),
        ImagePart(url="https://example.com/b.png"),
        ImagePart(url="data:image/svg+xml,%3Csvg/%3E"),
        AudioPart("c25k", "wav"),
        DocumentPart(media_type="application/pdf", data="cGRm", title="a.pdf"),
        DocumentPart(media_type="application/pdf", data="cGRm"),
        DocumentPart(file_id="file-1"),
    )


def test_an_assistant_turn_has_thinking_text_and_calls_in_this_order() -> None:
    message = calling(call("c1", arguments='{"a": 1}')) | {"content": "Let me see.", "reasoning_content": "hm"}
    assert read(HI, message).messages[1].parts == (
        ThinkingPart("hm"),
        TextPart("Let me see."),
        ToolCallPart("c1", "clock", '{"a": 1}'),
    )


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ({"reasoning_content": "", "reasoning": "x", "content": "y"}, (ThinkingPart("x"), TextPart("y"))),
        ({"reasoning_content": " \n", "content": "y"}, (TextPart("y"),)),
        ({"content": None, "refusal": "no"}, (TextPart("no"),)),
        ({"content": [{"type": "refusal", "refusal": "no"}]}, (TextPart("no"),)),
        ({"content": ""}, ()),
        ({}, ()),
    ],
)
def test_what_an_assistant_may_have_said(fields: JsonObject, parts: Any) -> None:
    assert read(HI, {"role": "assistant", **fields}).messages[1].parts == parts


@pytest.mark.parametrize("arguments", ["", "  ", None])
def test_a_call_without_arguments_has_an_empty_object(arguments: Any) -> None:
    assert read(HI, calling(call("c1", arguments=arguments))).messages[1].parts == (ToolCallPart("c1", "clock", "{}"),)


def test_arguments_that_came_as_an_object_become_text() -> None:
    (part,) = read(HI, calling(call("c1", arguments={"a": 1}))).messages[1].parts
    assert part == ToolCallPart("c1", "clock", '{"a":1}')


def test_arguments_stay_as_they_were_written_even_when_broken() -> None:
    (part,) = read(HI, calling(call("c1", arguments='{ "a" : 1'))).messages[1].parts
    assert part == ToolCallPart("c1", "clock", '{ "a" : 1')


def test_neighbouring_tool_messages_become_one_turn() -> None:
    request = read(HI, calling(call("c1"), call("c2")), answer("c2", "2"), answer("c1", ""), HI)
    assert [turn.role for turn in request.messages] == ["user", "assistant", "tool", "user"]
    assert request.messages[2].parts == (ToolResultPart("c2", (TextPart("2"),)), ToolResultPart("c1"))


def test_a_result_is_moved_to_the_call_that_it_answers() -> None:
    request = read(HI, calling(call("c1")), HI, answer("c1"))
    assert [turn.role for turn in request.messages] == ["user", "assistant", "tool", "user"]


def test_of_two_results_for_one_call_the_last_one_counts() -> None:
    request = read(HI, calling(call("c1")), answer("c1", "old"), answer("c1", "new"))
    assert request.messages[2].parts == (ToolResultPart("c1", (TextPart("new"),)),)


def test_an_id_that_is_used_again_belongs_to_the_later_call() -> None:
    request = read(HI, calling(call("c1")), answer("c1", "1"), calling(call("c1")), answer("c1", "2"))
    results = [turn.parts for turn in request.messages if turn.role == "tool"]
    assert results == [(ToolResultPart("c1", (TextPart("1"),)),), (ToolResultPart("c1", (TextPart("2"),)),)]


def test_a_result_without_an_id_answers_nothing() -> None:
    assert len(read(HI, answer("")).messages) == 1


def test_a_result_for_an_unknown_call_is_kept_in_its_place() -> None:
    request = read(HI, calling(call("c1")), answer("c1"), answer("other", "lost"), HI)
    assert [turn.role for turn in request.messages] == ["user", "assistant", "tool", "user"]
    assert [part for turn in request.messages for part in turn.parts if isinstance(part, ToolResultPart)] == [
        ToolResultPart("c1", (TextPart("noon"),)),
        ToolResultPart("other", (TextPart("lost"),)),
    ]


def test_a_tool_result_may_hold_a_picture() -> None:
    content = [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    ]
    request = read(HI, calling(call("c1")), answer("c1", content))
    assert request.messages[2].parts == (
        ToolResultPart("c1", (TextPart("see"), ImagePart(url="https://example.com/a.png"))),
    )


def test_the_old_function_calls_are_calls_whose_ids_stay_the_same() -> None:
    old = [
        HI,
        {"role": "assistant", "content": None, "function_call": {"name": "clock", "arguments": '{"a":1}'}},
        {"role": "function", "name": "clock", "content": "noon"},
    ]
    first, longer = read(*old), read(*old, HI)
    (called,), (result,) = first.messages[1].parts, first.messages[2].parts
    assert isinstance(called, ToolCallPart)
    assert result == ToolResultPart(called.id, (TextPart("noon"),))
    assert longer.messages[:3] == first.messages


def test_a_custom_call_is_a_call_with_one_argument() -> None:
    custom = {"id": "c1", "type": "custom", "custom": {"name": "patch", "input": "*** Begin"}}
    assert read(HI, calling(custom)).messages[1].parts == (ToolCallPart("c1", "patch", '{"input":"*** Begin"}'),)


def test_tools_of_every_kind_are_read() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    whole = {"name": "t", "description": "d", "parameters": schema, "strict": True}
    custom = {"type": "custom", "custom": {"name": "patch"}}
    request = read(tools=[{"type": "function", "function": whole}, CLOCK, custom, {"type": "web_search"}])
    assert request.tools == (
        Tool("t", "d", schema, True),
        Tool("clock"),
        OpenAITool("patch", None, free_text_schema(None), own_name="patch", custom=True),
        HostedTool("web_search", "web_search", {"type": "web_search"}),
    )


def test_the_old_functions_are_tools() -> None:
    request = read(functions=[{"name": "clock"}], function_call={"name": "clock"})
    clock = OpenAITool("clock", own_name="clock", legacy=True)
    assert (request.tools, request.tool_choice) == ((clock,), ToolChoice("required", ("clock",)))
    assert request.parallel_tool_calls is False
    both = read(functions=[{"name": "stamp"}], tools=[CLOCK])
    assert (both.tools, both.parallel_tool_calls) == ((Tool("clock"), Tool("stamp")), None)


@pytest.mark.parametrize(
    ("given", "choice"),
    [
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        (CLOCK, ToolChoice("required", ("clock",))),
        ({"type": "custom", "custom": {"name": "patch"}}, ToolChoice("required", ("patch",))),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [CLOCK, {"type": "custom", "name": "b"}]},
            },
            ToolChoice("auto", ("clock", "b")),
        ),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [CLOCK]}},
            ToolChoice("required", ("clock",)),
        ),
    ],
)
def test_every_form_of_tool_choice_is_read(given: Any, choice: ToolChoice) -> None:
    assert read(tools=[CLOCK], tool_choice=given).tool_choice == choice


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({"max_completion_tokens": 5}, 5),
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 5, "max_tokens": 7}, 7),
        ({"max_tokens": None, "max_completion_tokens": 5}, 5),
        ({}, None),
    ],
)
def test_the_limit_has_two_names(fields: JsonObject, limit: int | None) -> None:
    assert read(**fields).max_tokens == limit


def test_options_are_read() -> None:
    request = read(
        temperature=1,
        top_p=0.5,
        presence_penalty=0.1,
        frequency_penalty=-0.1,
        seed=7,
        n=2,
        logprobs=True,
        top_logprobs=3,
        logit_bias={"50256": -100},
        stop="END",
        reasoning_effort="low",
        verbosity="high",
        user="u",
        metadata={"a": "b"},
        service_tier="flex",
        parallel_tool_calls=False,
        stream=True,
        stream_options={"include_usage": True},
    )
    assert (request.temperature, request.top_p) == (1, 0.5)
    assert (request.presence_penalty, request.frequency_penalty, request.seed, request.n) == (0.1, -0.1, 7, 2)
    assert (request.logprobs, request.top_logprobs, request.logit_bias) == (True, 3, {"50256": -100})
    assert (request.stop, request.reasoning, request.verbosity) == (("END",), Reasoning(effort="low"), "high")
    assert (request.user, request.metadata, request.service_tier) == ("u", {"a": "b"}, "flex")
    assert (request.parallel_tool_calls, request.stream, request.include_usage) == (False, True, True)
    assert request.extra == {}


@pytest.mark.parametrize(("word", "effort"), [("HIGH ", "high"), ("none", "none"), ("Auto", None)])
def test_the_effort_may_be_written_in_any_case_and_be_left_to_the_model(word: str, effort: Effort | None) -> None:
    assert read(reasoning_effort=word).reasoning == Reasoning(effort=effort)


def test_null_is_the_same_as_not_said() -> None:
    nothing = dict.fromkeys(
        ["temperature", "stop", "tools", "tool_choice", "logit_bias", "reasoning_effort", "response_format", "stream"]
    )
    assert read(**nothing, stream_options=None, metadata=None, store=None) == read()


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, ResponseFormat("json_object")),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True}},
            ResponseFormat("json_schema", "n", {"type": "object"}, True),
        ),
    ],
)
def test_every_response_format_is_read(given: JsonObject, wanted: ResponseFormat | None) -> None:
    assert read(response_format=given).response_format == wanted


def test_sound_is_asked_for_by_its_modality() -> None:
    assert read(modalities=["text", "audio"], audio={"voice": "alloy", "format": "mp3"}).audio_output == {
        "voice": "alloy",
        "format": "mp3",
    }
    plain = read(modalities=["text"])
    assert (plain.audio_output, plain.extra) == (None, {})


def test_the_newer_name_of_the_user_counts_where_the_older_is_missing() -> None:
    assert read(safety_identifier="s").user == "s"
    both = read(user="u", safety_identifier="s")
    assert (both.user, both.extra) == ("u", {"safety_identifier": "s"})


def test_unknown_fields_are_kept_aside() -> None:
    assert read(store=False, foo={"bar": 1}).extra == {"store": False, "foo": {"bar": 1}}


WRONG: list[tuple[JsonObject, str]] = [
    ({"messages": None}, "messages"),
    ({"messages": "hi"}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": ["hi"]}, "messages[0]"),
    ({"messages": [{}]}, "messages[0].role"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": 5}]}, "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]"),
    ({"messages": [{"role": "user", "content": [{}]}]}, "messages[0].content[0].type"),
    ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "messages[0].content[0].type"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].image_url"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": 5}}]}]},
        "messages[0].content[0].image_url.url",
    ),
    ({"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]}, "messages[0].content[0].file"),
    (
        {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "x"}}]}]},
        "messages[0].content[0].input_audio.format",
    ),
    ({"messages": [{"role": "system", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].type"),
    ({"messages": [HI, {"role": "tool", "content": "x"}]}, "messages[1].tool_call_id"),
    ({"messages": [HI, {"role": "assistant", "tool_calls": {}}]}, "messages[1].tool_calls"),
    ({"messages": [HI, {"role": "assistant", "tool_calls": [{}]}]}, "messages[1].tool_calls[0].id"),
    ({"messages": [HI, {"role": "assistant", "tool_calls": [{"id": "c"}]}]}, "messages[1].tool_calls[0].function"),
    (
        {
            "messages": [
                HI,
                {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": 5}}]},
            ]
        },
        "messages[1].tool_calls[0].function.arguments",
    ),
    ({"stream": "yes"}, "stream"),
    ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
    ({"temperature": "hot"}, "temperature"),
    ({"seed": 1.5}, "seed"),
    ({"max_tokens": "many"}, "max_tokens"),
    ({"max_completion_tokens": True}, "max_completion_tokens"),
    ({"stop": 5}, "stop"),
    ({"stop": ["a", 5]}, "stop[1]"),
    ({"logit_bias": {"1": "x"}}, "logit_bias.1"),
    ({"metadata": {"a": 1}}, "metadata.a"),
    ({"reasoning_effort": "extreme"}, "reasoning_effort"),
    ({"response_format": {"type": "xml"}}, "response_format.type"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    ({"modalities": "audio"}, "modalities"),
    ({"modalities": ["text", "audio"]}, "audio"),
    ({"tools": {}}, "tools"),
    ({"tools": [{}]}, "tools[0].type"),
    ({"tools": [{"type": "function"}]}, "tools[0].function"),
    ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
    ({"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]}, "tools[0].function.parameters"),
    ({"functions": [{"name": 1}]}, "functions[0].name"),
    ({"tool_choice": "maybe"}, "tool_choice"),
    ({"tool_choice": {"type": "tool"}}, "tool_choice.type"),
    ({"tool_choice": {"type": "function"}}, "tool_choice.function"),
    ({"tool_choice": {"type": "function", "function": {}}}, "tool_choice.function.name"),
    ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"tools": [5]}}}, "tool_choice.allowed_tools.tools[0]"),
    ({"user": 5}, "user"),
]


@pytest.mark.parametrize(("fields", "path"), WRONG, ids=[f"{n}-{path}" for n, (_, path) in enumerate(WRONG)])
def test_what_is_wrong_is_named_by_its_path(fields: JsonObject, path: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        DIALECT.decode_request({"model": "m", "messages": [HI], **fields})
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("body", "path"),
    [({"messages": [HI]}, "model"), ({"model": "m"}, "messages"), ({"model": "m", "messages": []}, "messages")],
)
def test_what_routing_and_the_native_path_need_is_checked_before_all_else(body: JsonObject, path: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        DIALECT.peek(body)
    assert caught.value.path == path
