"""Bodies of ``POST /v1/messages`` into canonical requests."""

from __future__ import annotations

from typing import Any

import pytest

from aigateway_core.dialects.anthropic import Anthropic
from aigateway_core.errors import InvalidRequestError
from aigateway_core.model import (
    ChatRequest,
    DocumentPart,
    Effort,
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

DIALECT = Anthropic()
CALL = {"type": "tool_use", "id": "call_1", "name": "w", "input": {"a": 1}}
CALL_PART = ToolCallPart("call_1", "w", '{"a":1}')


def decode(*messages: JsonObject, **fields: Any) -> ChatRequest:
    turns = list(messages) or [{"role": "user", "content": "hi"}]
    return DIALECT.decode_request({"model": "m", "max_tokens": 64, "messages": turns, **fields})


def user(*blocks: Any) -> JsonObject:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> JsonObject:
    return {"role": "assistant", "content": list(blocks)}


def text(words: str) -> JsonObject:
    return {"type": "text", "text": words}


def result(call_id: str = "call_1", **fields: Any) -> JsonObject:
    return {"type": "tool_result", "tool_use_id": call_id, **fields}


def parts_of_user(*blocks: Any) -> tuple[Part, ...]:
    (message,) = decode(user(*blocks)).messages
    assert message.role == "user"
    return message.parts


def result_content(content: Any) -> tuple[Any, ...]:
    (part,) = decode(assistant(CALL), user(result(content=content))).messages[1].parts
    assert isinstance(part, ToolResultPart)
    return part.content


def test_the_plain_fields_are_read() -> None:
    request = decode(
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        stop_sequences=["a", "b"],
        metadata={"user_id": "u"},
        service_tier="auto",
        stream=True,
    )
    assert (request.model, request.max_tokens, request.temperature, request.top_p, request.top_k) == (
        "m",
        64,
        0.5,
        0.9,
        40,
    )
    assert (request.stop, request.user, request.service_tier, request.stream) == (("a", "b"), "u", "auto", True)


def test_a_choice_among_the_first_0_words_is_one_among_all() -> None:
    assert decode(top_k=0).top_k is None


def test_a_wish_for_citations_is_named_among_what_is_lost() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "x"}

    def document(**citations: bool) -> dict[str, Any]:
        return {"type": "document", "source": source, "citations": citations}

    assert decode(user(document(enabled=True))).extra.keys() == {"messages.citations"}
    assert decode(assistant(CALL), user(result(content=[document(enabled=True)]))).extra.keys() == {
        "messages.citations"
    }
    assert decode(user(document(enabled=False), {"type": "text", "text": "x", "citations": []})).extra == {}


def test_nulls_say_nothing() -> None:
    names = ("system", "tools", "tool_choice", "thinking", "output_config", "metadata", "stop_sequences", "temperature")
    assert decode(**dict.fromkeys(names)) == decode()


def test_unknown_fields_are_kept_and_never_refused() -> None:
    request = decode(context_management={"edits": []}, speed="fast", foo=1)
    assert request.extra == {"context_management": {"edits": []}, "speed": "fast", "foo": 1}


SYSTEMS: list[tuple[Any, tuple[str, ...]]] = [
    ("Be kind", ("Be kind",)),
    ("", ()),
    ([], ()),
    ([text("A") | {"cache_control": {"type": "ephemeral"}}, text(""), text("B")], ("A", "B")),
    ([text("x-anthropic-billing-header: cc_version=1; cc_entrypoint=cli;"), text("Rules")], ("Rules",)),
    ([{"type": "thinking", "thinking": "t", "signature": "s"}, text("S")], ("S",)),
]


@pytest.mark.parametrize(("value", "expected"), SYSTEMS)
def test_system_texts_are_read_from_every_form(value: Any, expected: tuple[str, ...]) -> None:
    assert decode(system=value).system == expected


def test_a_system_turn_stays_in_its_place() -> None:
    messages = decode(
        user(text("hi")),
        {"role": "system", "content": [text("Rule"), {"type": "tool_addition"}]},
        assistant(text("ok")),
    ).messages
    assert [message.role for message in messages] == ["user", "system", "assistant"]
    assert messages[1].parts == (TextPart("Rule"),)


def test_a_leading_system_turn_is_system_text() -> None:
    request = decode({"role": "system", "content": "Rule"}, user(text("hi")), system="Top")
    assert request.system == ("Top", "Rule")
    assert [message.role for message in request.messages] == ["user"]


def test_the_effort_of_the_last_system_turn_wins() -> None:
    def turn(**config: Any) -> JsonObject:
        return {"role": "system", "content": [], "output_config": config}

    hi = user(text("hi"))
    top = {"effort": "max"}
    assert decode(hi, turn(effort="low"), output_config=top).reasoning == Reasoning("low")
    assert decode(hi, turn(effort="low"), hi, turn(effort="high"), output_config=top).reasoning == Reasoning("high")
    assert decode(hi, turn(), output_config=top).reasoning == Reasoning("max")


# -- turns


def test_a_user_turn_with_results_becomes_two_messages() -> None:
    messages = decode(
        assistant(CALL), user(text("before"), result(content=[text("ok")]), text("after")), user(text("and"))
    ).messages
    assert messages[1:] == (
        Message("tool", (ToolResultPart("call_1", (TextPart("ok"),)),)),
        Message("user", (TextPart("before"), TextPart("after"))),
        Message("user", (TextPart("and"),)),
    )


def test_results_spread_over_user_turns_end_up_in_one_message_behind_their_calls() -> None:
    other = CALL | {"id": "call_2"}
    messages = decode(
        assistant(CALL, other), user(result("call_2"), text("wait")), user(result("call_1"), text("there"))
    ).messages
    assert [message.role for message in messages] == ["assistant", "tool", "user", "user"]
    assert messages[1].parts == (ToolResultPart("call_2"), ToolResultPart("call_1"))


def test_a_result_without_any_call_stays_where_it_was() -> None:
    messages = decode(user(text("hi")), user(result("call_9", content="x"))).messages
    assert [message.role for message in messages] == ["user", "tool"]


def test_turns_without_anything_in_them_vanish() -> None:
    messages = decode(user(), {"role": "user", "content": ""}, user(text("")), assistant(), user(text("hi"))).messages
    assert messages == (Message("user", (TextPart("hi"),)),)


def test_an_assistant_turn_keeps_the_order_of_its_parts() -> None:
    (message,) = decode(assistant(text("pre"), CALL, {"type": "server_tool_use", "id": "x"}, text("post"))).messages
    assert message.parts == (TextPart("pre"), CALL_PART, TextPart("post"))


def test_a_call_without_input_has_no_arguments() -> None:
    (message,) = decode(assistant({"type": "tool_use", "id": "c", "name": "w"})).messages
    assert message.parts == (ToolCallPart("c", "w", "{}"),)


def test_thinking_is_read_from_assistant_turns_alone() -> None:
    signed = {"type": "thinking", "thinking": "hm", "signature": "Eq=="}
    redacted = {"type": "redacted_thinking", "data": "Er=="}
    blank = {"type": "thinking", "thinking": "\n", "signature": ""}
    request = decode(assistant(signed, redacted, blank, text("so")), user(signed, text("ok")))
    assert request.messages[0].parts == (
        ThinkingPart("hm", "Eq==", "anthropic"),
        ThinkingPart("", origin="anthropic", redacted="Er=="),
        TextPart("so"),
    )
    assert request.messages[1].parts == (TextPart("ok"),)


# -- content of users and tools


def test_images_are_read_from_every_source() -> None:
    sources = [
        {"type": "base64", "media_type": "image/png", "data": "aGk="},
        {"type": "url", "url": "https://x/y.png"},
        {"type": "file", "file_id": "file_1"},
    ]
    assert parts_of_user(*({"type": "image", "source": source} for source in sources)) == (
        ImagePart(media_type="image/png", data="aGk="),
        ImagePart(url="https://x/y.png"),
        ImagePart(file_id="file_1"),
    )


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ("/9j/4AAQ", "image/jpeg"),
        ("iVBORw0K", "image/png"),
        ("R0lGODlh", "image/gif"),
        ("UklGRg==", "image/webp"),
        ("aGk=", "image/png"),
    ],
)
def test_the_type_of_a_picture_that_names_none_is_told_by_its_beginning(data: str, kind: str) -> None:
    block = {"type": "image", "source": {"type": "base64", "data": data}}
    assert parts_of_user(block) == (ImagePart(media_type=kind, data=data),)


def test_a_picture_without_data_shows_nothing() -> None:
    block = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": ""}}
    assert parts_of_user(text("look"), block) == (TextPart("look"),)


@pytest.mark.parametrize(
    ("given", "arguments"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ('{"a": ', '{"a": '),
        ("", "{}"),
        (None, "{}"),
        ("fast", '{"value":"fast"}'),
        ([1, 2], '{"value":[1,2]}'),
        (42, '{"value":42}'),
        (0, '{"value":0}'),
        ([], '{"value":[]}'),
    ],
)
def test_the_input_of_a_call_may_be_anything_that_stands_for_an_object(given: object, arguments: str) -> None:
    call = {"type": "tool_use", "id": "c", "name": "w", "input": given}
    request = decode(user(text("go")), assistant(call))
    assert request.messages[1].parts == (ToolCallPart("c", "w", arguments),)


def test_documents_are_read_from_every_source() -> None:
    sources: list[JsonObject] = [
        {"type": "base64", "media_type": "application/pdf", "data": "aGk="},
        {"type": "text", "media_type": "text/plain", "data": "T"},
        {"type": "content", "content": [text("a"), text("b")]},
        {"type": "url", "url": "https://x/y.pdf"},
        {"type": "file", "file_id": "file_1"},
    ]
    assert parts_of_user(*({"type": "document", "source": source, "title": "N"} for source in sources)) == (
        DocumentPart("application/pdf", "aGk=", title="N"),
        DocumentPart("text/plain", text="T", title="N"),
        DocumentPart("text/plain", text="a\nb", title="N"),
        DocumentPart(url="https://x/y.pdf", title="N"),
        DocumentPart(file_id="file_1", title="N"),
    )


def test_the_context_of_a_document_is_read_along() -> None:
    block = {"type": "document", "source": {"type": "text", "data": "T"}, "context": "from 1912"}
    assert parts_of_user(block) == (TextPart("from 1912"), DocumentPart("text/plain", text="T"))


def test_a_search_result_becomes_text() -> None:
    block = {"type": "search_result", "title": "N", "source": "https://x", "content": [text("a"), text("b")]}
    assert parts_of_user(block) == (TextPart("N\nhttps://x\na\nb"),)


def test_unknown_blocks_are_passed_over() -> None:
    assert parts_of_user({"type": "container_upload", "file_id": 5}, {"type": "hologram"}, text("hi")) == (
        TextPart("hi"),
    )


def test_what_is_passed_over_is_told() -> None:
    search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    found = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
    request = decode(
        {"role": "system", "content": [text("s"), {"type": "image", "source": 5}]},
        user(text("hi"), {"type": "container_upload", "file_id": 5}),
        assistant(text("so"), search, found, search, CALL),
        user(result(content=[{"type": "browser_state"}, text("b")])),
        assistant("plain"),
    )
    told = ("image", "container_upload", "server_tool_use", "web_search_tool_result", "browser_state")
    assert list(request.extra) == [f"messages.{kind}" for kind in told]


RESULTS: list[tuple[Any, tuple[Any, ...]]] = [
    ("txt", (TextPart("txt"),)),
    ("", ()),
    (None, ()),
    ([], ()),
    (["a", text("b")], (TextPart("a"), TextPart("b"))),
    ({"foo": "bar"}, (TextPart('{"foo":"bar"}'),)),
    ({"type": "made up"}, (TextPart('{"type":"made up"}'),)),
    ({"type": "image", "source": {"type": "url", "url": "https://x"}}, (ImagePart(url="https://x"),)),
    ([{"type": "browser_state"}, text("b")], (TextPart("b"),)),
]


@pytest.mark.parametrize(("content", "expected"), RESULTS)
def test_the_content_of_a_result_is_read_from_every_form(content: Any, expected: tuple[Any, ...]) -> None:
    assert result_content(content) == expected


def test_a_result_may_lack_content_and_may_be_a_failure() -> None:
    messages = decode(assistant(CALL), user(result(), result("b", is_error=True), result("c", is_error=False))).messages
    assert messages[1].parts == (ToolResultPart("call_1"), ToolResultPart("b", (), True), ToolResultPart("c"))


def test_a_reference_to_a_tool_names_it() -> None:
    (part,) = result_content([{"type": "tool_reference", "tool_name": "WebFetch"}])
    assert "WebFetch" in part.text


# -- tools


def test_custom_tools_are_read() -> None:
    schema = {"type": "object", "properties": {}}
    request = decode(
        tools=[
            {"name": "a", "description": "d", "input_schema": schema, "strict": True, "defer_loading": True},
            {"name": "b", "type": "custom", "input_schema": schema},
            {"name": "DeferredToolPlaceholder", "input_schema": schema, "defer_loading": True},
        ]
    )
    assert request.tools == (Tool("a", "d", schema, True), Tool("b", None, schema))


@pytest.mark.parametrize(
    ("kind", "name", "field"),
    [
        ("bash_20250124", "bash", "command"),
        ("text_editor_20250124", "str_replace_editor", "old_str"),
        ("text_editor_20250728", "str_replace_based_edit_tool", "old_str"),
        ("memory_20250818", "memory", "new_path"),
    ],
)
def test_tools_that_the_client_runs_become_functions(kind: str, name: str, field: str) -> None:
    (tool,) = decode(tools=[{"type": kind, "name": name}]).tools
    assert isinstance(tool, Tool)
    assert (tool.name, bool(tool.description)) == (name, True)
    assert field in tool.parameters["properties"]


def test_tools_that_the_server_runs_keep_their_definition() -> None:
    request = decode(tools=[{"type": "web_search_20250305", "name": "web_search", "max_uses": 8}])
    assert request.tools == (HostedTool("web_search_20250305", "web_search", {"max_uses": 8}),)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, (ToolChoice("auto"), None)),
        ({"type": "any", "disable_parallel_tool_use": True}, (ToolChoice("required"), False)),
        ({"type": "tool", "name": "w", "disable_parallel_tool_use": False}, (ToolChoice("required", ("w",)), True)),
        ({"type": "none"}, (ToolChoice("none"), None)),
        ({"type": "whatever comes"}, (ToolChoice("auto"), None)),
    ],
)
def test_tool_choices_are_read(choice: JsonObject, expected: tuple[ToolChoice, bool | None]) -> None:
    request = decode(tool_choice=choice)
    assert (request.tool_choice, request.parallel_tool_calls) == expected


# -- thinking and output


THOUGHTS: list[tuple[JsonObject, Reasoning | None]] = [
    ({}, None),
    ({"thinking": {"type": "enabled", "budget_tokens": 8192}}, Reasoning(None, 8192)),
    ({"thinking": {"type": "enabled", "budget_tokens": 2048, "display": "omitted"}}, Reasoning(None, 2048, False)),
    ({"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}}, Reasoning("none")),
    ({"thinking": {"type": "adaptive"}}, Reasoning()),
    (
        {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "high"}},
        Reasoning("high"),
    ),
    ({"thinking": {"type": "between_tools"}}, Reasoning()),
    ({"thinking": {"type": "something newer"}}, Reasoning()),
    ({"output_config": {"effort": "low"}}, Reasoning("low")),
]


@pytest.mark.parametrize(("fields", "expected"), THOUGHTS)
def test_thinking_and_effort_are_read_together(fields: JsonObject, expected: Reasoning | None) -> None:
    assert decode(**fields).reasoning == expected


@pytest.mark.parametrize("effort", ["low", "medium", "high", "xhigh", "max"])
def test_every_word_of_effort_is_known(effort: Effort) -> None:
    assert decode(output_config={"effort": effort}).reasoning == Reasoning(effort)


def test_the_format_of_the_output_is_read_in_its_new_and_its_old_place() -> None:
    wanted = {"type": "json_schema", "schema": {"type": "object", "title": "T"}}
    expected = ResponseFormat("json_schema", "T", wanted["schema"])  # type: ignore[arg-type]
    assert decode(output_config={"format": wanted}).response_format == expected
    assert decode(output_format=wanted).response_format == expected


# -- refusals


SOURCE = "messages[0].content[0].source"
PROBLEMS: list[tuple[JsonObject, str]] = [
    ({"model": 5}, "model"),
    ({"model": None}, "model"),
    ({"model": " "}, "model"),
    ({"messages": None}, "messages"),
    ({"messages": {}}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "user", "content": ""}]}, "messages"),
    ({"messages": [user({"type": "hologram"})]}, "messages"),
    ({"messages": [{"role": "system", "content": "Rule"}]}, "messages"),
    ({"messages": ["hi"]}, "messages[0]"),
    ({"messages": [{"content": "hi"}]}, "messages[0].role"),
    ({"messages": [{"role": "tool", "content": "hi"}]}, "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
    ({"messages": [user(text("a"), 5)]}, "messages[0].content[1]"),
    ({"messages": [user({"text": "a"})]}, "messages[0].content[0].type"),
    ({"messages": [user({"type": "text", "text": 5})]}, "messages[0].content[0].text"),
    ({"messages": [user({"type": "image"})]}, SOURCE),
    ({"messages": [user({"type": "image", "source": {"type": "ftp"}})]}, SOURCE + ".type"),
    (
        {"messages": [user({"type": "image", "source": {"type": "base64", "media_type": "image/png"}})]},
        SOURCE + ".data",
    ),
    ({"messages": [user({"type": "document", "source": {"type": "url"}})]}, SOURCE + ".url"),
    ({"messages": [user(result(5))]}, "messages[0].content[0].tool_use_id"),  # type: ignore[arg-type]
    ({"messages": [user(result(content=5))]}, "messages[0].content[0].content"),
    ({"messages": [user(result(is_error="no"))]}, "messages[0].content[0].is_error"),
    ({"messages": [user(result(content=[{"type": "text"}]))]}, "messages[0].content[0].content[0].text"),
    ({"messages": [assistant({"type": "tool_use", "name": "w"})]}, "messages[0].content[0].id"),
    ({"messages": [assistant({"type": "thinking", "thinking": 5})]}, "messages[0].content[0].thinking"),
    ({"messages": [{"role": "system", "content": 5}]}, "messages[0].content"),
    (
        {"messages": [{"role": "system", "content": "", "output_config": {"effort": 1}}]},
        "messages[0].output_config.effort",
    ),
    ({"max_tokens": "5"}, "max_tokens"),
    ({"max_tokens": True}, "max_tokens"),
    ({"max_tokens": 1.5}, "max_tokens"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": -1}, "max_tokens"),
    ({"max_tokens": 1e300}, "max_tokens"),
    ({"system": 5}, "system"),
    ({"system": [{"type": "text"}]}, "system[0].text"),
    ({"temperature": "hot"}, "temperature"),
    ({"top_p": True}, "top_p"),
    ({"top_k": 1.5}, "top_k"),
    ({"top_k": -1}, "top_k"),
    ({"top_k": False}, "top_k"),
    ({"top_k": 1e300}, "top_k"),
    ({"stream": "yes"}, "stream"),
    ({"stop_sequences": "a"}, "stop_sequences"),
    ({"stop_sequences": ["a", 1]}, "stop_sequences[1]"),
    ({"tools": {}}, "tools"),
    ({"tools": [5]}, "tools[0]"),
    ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
    ({"tools": [{"name": "a", "input_schema": []}]}, "tools[0].input_schema"),
    ({"tools": [{"name": "a", "description": 5}]}, "tools[0].description"),
    ({"tool_choice": "auto"}, "tool_choice"),
    ({"tool_choice": {}}, "tool_choice.type"),
    ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
    ({"thinking": "enabled"}, "thinking"),
    ({"thinking": {"type": "enabled", "budget_tokens": "many"}}, "thinking.budget_tokens"),
    ({"thinking": {"type": "enabled", "budget_tokens": 0}}, "thinking.budget_tokens"),
    ({"output_config": []}, "output_config"),
    ({"output_config": {"effort": "immense"}}, "output_config.effort"),
    ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
    ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
    ({"metadata": "me"}, "metadata"),
    ({"metadata": {"user_id": 5}}, "metadata.user_id"),
    ({"service_tier": 5}, "service_tier"),
    ({"thread": {"type": "create"}}, "thread"),
]


@pytest.mark.parametrize(("fields", "path"), PROBLEMS, ids=[path for _, path in PROBLEMS])
def test_a_wrong_value_is_refused_with_its_path(fields: JsonObject, path: str) -> None:
    body = {"model": "m", "max_tokens": 64, "messages": [user(text("hi"))], **fields}
    with pytest.raises(Exception, match=f"^{path}: ".replace("[", r"\[").replace("]", r"\]")) as caught:
        DIALECT.decode_request(body)
    assert getattr(caught.value, "path") == path  # noqa: B009


@pytest.mark.parametrize("missing", ["model", "messages"])
def test_a_missing_field_is_named(missing: str) -> None:
    body: JsonObject = {"model": "m", "max_tokens": 64, "messages": [user(text("hi"))]}
    del body[missing]
    with pytest.raises(InvalidRequestError, match=f"^{missing}: this field is required"):
        DIALECT.decode_request(body)


def test_peeking_refuses_what_no_path_could_serve() -> None:
    body: JsonObject = {"model": "m", "messages": [], "stream": True}
    assert DIALECT.peek(body).stream is True
    for broken, path in (
        ({"thread": {"type": "create"}}, "thread"),
        ({"messages": "hi"}, "messages"),
        ({"model": 1}, "model"),
    ):
        with pytest.raises(Exception, match=f"^{path}: "):
            DIALECT.peek(body | broken)


@pytest.mark.parametrize("fields", [{}, {"max_tokens": None}])
def test_a_missing_limit_is_left_to_the_provider(fields: JsonObject) -> None:
    request = DIALECT.decode_request({"model": "m", "messages": [user(text("hi"))], **fields})
    assert request.max_tokens is None
