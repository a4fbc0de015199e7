"""Canonical requests into bodies for an upstream that speaks the Messages API."""

from __future__ import annotations

from typing import Any

import pytest

from aigateway_core.dialects.anthropic import Anthropic, AnthropicProfile, ModelRule
from aigateway_core.errors import InvalidRequestError
from aigateway_core.model import (
    AudioPart,
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

DIALECT = Anthropic()
NEWEST = "claude-opus-5"
BUDGETED = "claude-sonnet-4-5"
HI = Message("user", (TextPart("hi"),))
TOOL = Tool("w", "d", {"type": "object", "properties": {}})


def encode(*messages: Message, model: str = NEWEST, **fields: Any) -> JsonObject:
    return DIALECT.encode_request(ChatRequest(model=model, messages=messages or (HI,), **fields))


def dropped(model: str = NEWEST, **fields: Any) -> tuple[str, ...]:
    return DIALECT.losses(ChatRequest(model=model, messages=(HI,), **fields)).dropped


def said(role: Any, *parts: Part | str) -> Message:
    return Message(role, tuple(TextPart(part) if isinstance(part, str) else part for part in parts))


def call(call_id: str = "c1", arguments: str = "{}", name: str = "w") -> ToolCallPart:
    return ToolCallPart(call_id, name, arguments)


def answer(call_id: str = "c1", *content: Any, is_error: bool = False) -> ToolResultPart:
    return ToolResultPart(call_id, content, is_error)


def text(words: str) -> JsonObject:
    return {"type": "text", "text": words}


def turns(*messages: Message, **fields: Any) -> list[tuple[str, list[JsonObject]]]:
    return [(turn["role"], turn["content"]) for turn in encode(*messages, **fields)["messages"]]


def outline(*messages: Message, **fields: Any) -> list[str]:
    """Role and kinds of blocks of each turn."""
    return [f"{role}: {' '.join(block['type'] for block in content)}" for role, content in turns(*messages, **fields)]


def test_the_least_request_has_a_model_a_limit_and_a_turn() -> None:
    assert encode() == {
        "model": NEWEST,
        "max_tokens": 8192,
        "messages": [{"role": "user", "content": [text("hi")]}],
    }


def test_system_texts_become_blocks_and_blank_ones_vanish() -> None:
    assert encode(system=("A", " ", "B"))["system"] == [text("A"), text("B")]


def test_only_system_text_still_asks_something() -> None:
    body = DIALECT.encode_request(ChatRequest(model=NEWEST, system=("Be kind",)))
    assert body["messages"] == [{"role": "user", "content": [text(".")]}]


def test_the_other_fields_go_where_they_belong() -> None:
    body = encode(stop=("a", "\n"), user="u", service_tier="default", stream=True, max_tokens=5)
    assert body["stop_sequences"] == ["a"]
    assert body["metadata"] == {"user_id": "u"}
    assert (body["service_tier"], body["stream"], body["max_tokens"]) == ("standard_only", True, 5)


def test_a_user_that_is_too_long_is_hashed() -> None:
    long = encode(user="u" * 300)["metadata"]["user_id"]
    assert len(long) <= 256
    assert long == encode(user="u" * 300)["metadata"]["user_id"] != encode(user="v" * 300)["metadata"]["user_id"]


def test_fields_without_a_place_are_named_and_left_out() -> None:
    fields: dict[str, Any] = {
        "presence_penalty": 1.0,
        "frequency_penalty": 1.0,
        "seed": 1,
        "logit_bias": {"1": 1.0},
        "verbosity": "low",
        "metadata": {"a": "b"},
    }
    assert encode(**fields) == encode()
    assert set(dropped(**fields, extra={"foo": 1})) == {*fields, "foo"}


@pytest.mark.parametrize(
    "fields", [{"n": 2}, {"logprobs": True}, {"top_logprobs": 2}, {"audio_output": {"voice": "x"}}]
)
def test_what_changes_the_answer_is_refused(fields: dict[str, Any]) -> None:
    assert DIALECT.losses(ChatRequest(model=NEWEST, messages=(HI,), **fields)).refused == tuple(fields)


def test_one_answer_is_what_everybody_gets() -> None:
    assert DIALECT.losses(ChatRequest(model=NEWEST, messages=(HI,), n=1)).refused == ()


# -- sampling


def test_sampling_is_sent_where_the_model_takes_it() -> None:
    assert encode(model=BUDGETED, temperature=0.5, top_k=3).items() >= {"temperature": 0.5, "top_k": 3}.items()
    body = encode(temperature=0.5, top_p=0.9, top_k=3)
    assert not body.keys() & {"temperature", "top_p", "top_k"}
    assert dropped(temperature=0.5, top_p=0.9, top_k=3) == ("temperature", "top_p", "top_k")


def test_temperature_ends_at_one() -> None:
    assert encode(model=BUDGETED, temperature=1.7)["temperature"] == 1


def test_temperature_and_top_p_exclude_each_other() -> None:
    body = encode(model=BUDGETED, temperature=0.5, top_p=0.9)
    assert ("temperature" in body, "top_p" in body) == (True, False)
    assert dropped(BUDGETED, temperature=0.5, top_p=0.9) == ("top_p",)


def test_thinking_leaves_no_room_for_sampling() -> None:
    fields: dict[str, Any] = {"temperature": 0.5, "top_k": 3, "reasoning": Reasoning("high")}
    assert not encode(model=BUDGETED, **fields).keys() & {"temperature", "top_k"}
    assert dropped(BUDGETED, **fields) == ("temperature", "top_k")
    assert encode(model=BUDGETED, top_p=0.97, reasoning=Reasoning("high"))["top_p"] == 0.97


# -- turns


def test_results_come_first_in_the_user_turn_that_follows_their_calls() -> None:
    assert turns(HI, said("assistant", call("c1"), call("c2")), Message("tool", (answer("c1"), answer("c2"))), HI)[
        2
    ] == (
        "user",
        [{"type": "tool_result", "tool_use_id": "c1"}, {"type": "tool_result", "tool_use_id": "c2"}, text("hi")],
    )


def test_only_the_first_user_message_joins_the_results() -> None:
    conversation = (HI, said("assistant", call()), Message("tool", (answer(),)), HI, HI)
    assert outline(*conversation)[2:] == ["user: tool_result text", "user: text"]


def test_neighbouring_assistant_messages_are_merged() -> None:
    assert outline(said("assistant", "a"), said("assistant", "b", call()), Message("tool", (answer(),))) == [
        "assistant: text text tool_use",
        "user: tool_result",
    ]


def test_text_that_cannot_be_seen_is_never_sent() -> None:
    assert outline(said("user", "", "hi", " \n"), said("assistant", ""), said("user", " "), HI) == [
        "user: text",
        "user: text",
    ]


def test_a_prefilled_answer_does_not_end_in_white_space() -> None:
    sent = turns(HI, said("assistant", "The answer is \n"), model=BUDGETED)
    assert sent[-1] == ("assistant", [text("The answer is")])


@pytest.mark.parametrize(
    "model", ["claude-opus-4-6", "claude-sonnet-4-6", "claude-opus-4-7", "claude-sonnet-5", NEWEST]
)
def test_a_prefilled_answer_is_not_sent_to_a_model_that_refuses_it(model: str) -> None:
    conversation = (HI, said("assistant", "The answer is"))
    assert turns(*conversation, model=model) == [("user", [text("hi")])]
    assert turns(said("assistant", "The answer is"), model=model) == [("user", [text(".")])]
    lost = DIALECT.losses(ChatRequest(model=model, messages=conversation)).dropped
    assert lost == ("messages.prefill",)
    assert DIALECT.losses(ChatRequest(model=model, messages=(*conversation, HI))).dropped == ()


def test_a_result_keeps_its_content_and_its_failure() -> None:
    image = ImagePart(media_type="image/png", data="aGk=")
    (_, content) = turns(
        HI, said("assistant", call()), Message("tool", (answer("c1", TextPart("x"), image, is_error=True),))
    )[2]
    assert content[0]["is_error"] is True
    assert [block["type"] for block in content[0]["content"]] == ["text", "image"]


def test_results_stand_in_the_order_of_the_calls_and_the_last_of_two_counts() -> None:
    results = (answer("c2"), answer("c1", TextPart("old")), answer("c1", TextPart("new")))
    (_, content) = turns(HI, said("assistant", call("c1"), call("c2")), Message("tool", results))[2]
    assert [(block["tool_use_id"], block.get("content")) for block in content] == [("c1", [text("new")]), ("c2", None)]


def test_a_call_without_a_result_gets_one() -> None:
    missing = {"type": "tool_result", "tool_use_id": "c1", "content": [text("(no result)")]}
    assert turns(HI, said("assistant", call()))[-1] == ("user", [missing])
    assert turns(HI, said("assistant", call()), HI)[-1] == ("user", [missing, text("hi")])


def test_a_result_without_a_call_becomes_text() -> None:
    stray = Message("tool", (answer("c9", TextPart("late")), answer("c8"), answer("")))
    assert turns(HI, said("assistant", "ok"), stray)[-1] == (
        "user",
        [text("[tool result c9] late"), text("[tool result c8]")],
    )


def test_ids_are_made_legal_and_keep_matching() -> None:
    wild = "call.with space:1"
    sent = turns(HI, said("assistant", call(wild)), Message("tool", (answer(wild),)))
    call_id = sent[1][1][0]["id"]
    assert call_id.replace("_", "").replace("-", "").isalnum()
    assert sent[2][1][0]["tool_use_id"] == call_id


def test_ids_that_an_upstream_gave_out_twice_are_told_apart() -> None:
    once = (said("assistant", call("call_0")), Message("tool", (answer("call_0"),)))
    sent = turns(HI, *once, *once)
    assert [content[0].get("id", content[0].get("tool_use_id")) for _, content in sent[1:]] == [
        "call_0",
        "call_0",
        "call_0-2",
        "call_0-2",
    ]


def test_arguments_become_an_object() -> None:
    def sent(arguments: str) -> Any:
        return turns(HI, said("assistant", call(arguments=arguments)))[1][1][0]["input"]

    assert [sent('{"a": 1}'), sent(""), sent(" "), sent("[1]"), sent("null")] == [{"a": 1}, {}, {}, {}, {}]


@pytest.mark.parametrize("arguments", ['{"a":', "nonsense", '{"a":' * 70 + "1" + "}" * 70])
def test_broken_arguments_that_a_model_once_wrote_are_told_as_they_were(arguments: str) -> None:
    conversation = (HI, said("assistant", call(arguments=arguments)), Message("tool", (answer(is_error=True),)), HI)
    assert turns(*conversation)[1][1][0]["input"] == {"INVALID_JSON": arguments}


# -- system turns


def test_a_system_turn_is_sent_in_place_where_model_and_position_allow_it() -> None:
    rule = said("system", "Rule", "Two")
    assert turns(HI, rule)[1] == ("system", [text("Rule"), text("Two")])
    assert outline(HI, rule, said("assistant", "ok"), HI) == [
        "user: text",
        "system: text text",
        "assistant: text",
        "user: text",
    ]


@pytest.mark.parametrize(
    ("conversation", "model", "expected"),
    [
        ((HI, said("system", "S"), HI), NEWEST, ["user: text text text"]),
        ((HI, said("system", "S")), "claude-sonnet-5", ["user: text text"]),
        ((HI, said("system", "S")), "some-other-model", ["user: text text"]),
        (
            (HI, said("assistant", "ok"), said("system", "S"), HI),
            NEWEST,
            ["user: text", "assistant: text", "user: text text"],
        ),
        ((HI, said("assistant", "ok"), said("system", "S")), NEWEST, ["user: text", "assistant: text", "user: text"]),
        ((HI, said("system", " ")), NEWEST, ["user: text"]),
        (
            (HI, said("assistant", call()), said("system", "S"), HI),
            NEWEST,
            ["user: text", "assistant: tool_use", "user: tool_result text text"],
        ),
    ],
)
def test_elsewhere_it_is_a_reminder_in_the_user_turn_beside_it(
    conversation: tuple[Message, ...], model: str, expected: list[str]
) -> None:
    assert outline(*conversation, model=model) == expected
    shown = [block.get("text") for _, content in turns(*conversation, model=model) for block in content]
    assert shown.count("<system-reminder>\nS\n</system-reminder>") == (0 if conversation[-1].text == " " else 1)


# -- content


def test_pictures_and_documents_are_sent_from_every_source() -> None:
    parts = (
        ImagePart(media_type="image/png", data="aGk="),
        ImagePart(url="https://x"),
        ImagePart(file_id="f"),
        DocumentPart(data="aGk=", title="N"),
        DocumentPart(text="T"),
        DocumentPart(url="https://x"),
        DocumentPart(file_id="f"),
        DocumentPart("text/markdown", data="IyBoaQ=="),
    )
    sources = [block["source"] for block in turns(said("user", *parts))[0][1]]
    assert sources == [
        {"type": "base64", "media_type": "image/png", "data": "aGk="},
        {"type": "url", "url": "https://x"},
        {"type": "file", "file_id": "f"},
        {"type": "base64", "media_type": "application/pdf", "data": "aGk="},
        {"type": "text", "media_type": "text/plain", "data": "T"},
        {"type": "url", "url": "https://x"},
        {"type": "file", "file_id": "f"},
        {"type": "text", "media_type": "text/plain", "data": "# hi"},
    ]


def test_what_has_no_block_leaves_a_note() -> None:
    spreadsheet = DocumentPart("application/vnd.ms-excel", "aGk=", title="sums.xls")
    sound = AudioPart("aGk=", "wav")
    assert turns(said("user", spreadsheet, sound)) == [
        ("user", [text("[document omitted: sums.xls]"), text("[audio omitted]")])
    ]
    assert DIALECT.losses(ChatRequest(model=NEWEST, messages=(said("user", sound),))).dropped == ("messages.audio",)


def test_a_document_that_is_not_base64_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="not valid base64"):
        encode(said("user", DocumentPart("text/plain", "not base64!")))


# -- thinking


OWN = ThinkingPart("hm", "Eq==", "anthropic")
REDACTED = ThinkingPart("", origin="anthropic", redacted="Er==")
FOREIGN = ThinkingPart("hm", None, "glm")


def test_thinking_goes_back_to_its_maker_and_to_nobody_else() -> None:
    unsigned = ThinkingPart("hm", None, "anthropic")
    nobody = ThinkingPart("hm")
    content = turns(HI, said("assistant", OWN, REDACTED, FOREIGN, unsigned, nobody, "so"), HI)[1][1]
    assert content == [
        {"type": "thinking", "thinking": "hm", "signature": "Eq=="},
        {"type": "redacted_thinking", "data": "Er=="},
        text("so"),
    ]


def test_a_turn_of_foreign_thinking_alone_vanishes() -> None:
    assert outline(HI, said("assistant", FOREIGN), HI) == ["user: text", "user: text"]


EFFORTS: list[tuple[str, Reasoning, Any, Any]] = [
    (NEWEST, Reasoning("high"), {"type": "adaptive", "display": "summarized"}, "high"),
    (NEWEST, Reasoning("minimal"), {"type": "adaptive", "display": "summarized"}, "low"),
    (NEWEST, Reasoning("xhigh", summary=False), {"type": "adaptive", "display": "omitted"}, "xhigh"),
    (NEWEST, Reasoning(None, 8192), {"type": "adaptive", "display": "summarized"}, "medium"),
    (NEWEST, Reasoning(None, 31999), {"type": "adaptive", "display": "summarized"}, "xhigh"),
    (NEWEST, Reasoning(), {"type": "adaptive", "display": "summarized"}, None),
    (NEWEST, Reasoning("none"), {"type": "disabled"}, None),
    ("claude-opus-4-6", Reasoning("xhigh"), {"type": "adaptive", "display": "summarized"}, "high"),
    ("claude-opus-4-6", Reasoning("max"), {"type": "adaptive", "display": "summarized"}, "max"),
    (BUDGETED, Reasoning("high"), {"type": "enabled", "budget_tokens": 24576}, None),
    (BUDGETED, Reasoning("low", summary=False), {"type": "enabled", "budget_tokens": 2048, "display": "omitted"}, None),
    (BUDGETED, Reasoning(None, 5000), {"type": "enabled", "budget_tokens": 5000}, None),
    (BUDGETED, Reasoning(), None, None),
    (BUDGETED, Reasoning("none"), {"type": "disabled"}, None),
    ("claude-3-5-haiku-20241022", Reasoning("high"), None, None),
    ("claude-opus-4-20250514", Reasoning("minimal"), {"type": "enabled", "budget_tokens": 1024}, None),
    ("some-other-model", Reasoning("minimal"), {"type": "enabled", "budget_tokens": 1024}, None),
]


@pytest.mark.parametrize(("model", "reasoning", "thinking", "effort"), EFFORTS)
def test_effort_or_budget_is_sent_as_the_model_understands_it(
    model: str, reasoning: Reasoning, thinking: Any, effort: str | None
) -> None:
    body = encode(model=model, reasoning=reasoning)
    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == effort


@pytest.mark.parametrize(
    ("reasoning", "limit", "budget"),
    [
        (Reasoning("high"), None, 24576),
        (Reasoning("high"), 10_000, 8976),
        (Reasoning("high"), 2048, 1024),
        (Reasoning("high"), 2047, None),
        (Reasoning(None, 5000), 5000, 4999),
        (Reasoning(None, 5000), 1024, None),
        (Reasoning(None, 100), None, None),
    ],
)
def test_a_budget_leaves_room_for_the_answer(reasoning: Reasoning, limit: int | None, budget: int | None) -> None:
    body = encode(model=BUDGETED, reasoning=reasoning, max_tokens=limit)
    assert body["thinking"].get("budget_tokens") == budget
    assert body["thinking"]["type"] == ("disabled" if budget is None else "enabled")
    assert budget is None or body["max_tokens"] > budget
    assert limit is None or body["max_tokens"] == limit


def test_manual_thinking_is_off_where_its_turn_does_not_begin_with_thinking() -> None:
    def type_of(*parts: Part, model: str = BUDGETED, end: tuple[Message, ...] = (Message("tool", (answer(),)),)) -> str:
        return str(
            encode(HI, said("assistant", *parts), *end, model=model, reasoning=Reasoning("high"))["thinking"]["type"]
        )

    assert type_of(OWN, call()) == "enabled"
    assert type_of(REDACTED, call()) == "enabled"
    assert type_of(FOREIGN, call()) == "disabled"
    assert type_of(TextPart("The answer is"), end=()) == "disabled"
    assert type_of(TextPart("ok"), end=(HI,)) == "enabled"
    # Adaptive models do not mind.
    assert type_of(FOREIGN, call(), model=NEWEST) == "adaptive"


def test_manual_thinking_is_off_where_a_tool_is_forced() -> None:
    fields: dict[str, Any] = {"model": BUDGETED, "tools": (TOOL,), "reasoning": Reasoning("high")}
    assert encode(**fields, tool_choice=ToolChoice("required"))["thinking"]["type"] == "disabled"
    assert encode(**fields, tool_choice=ToolChoice("auto"))["thinking"]["type"] == "enabled"


def test_models_that_cannot_think_lose_the_wish() -> None:
    assert dropped("claude-3-5-haiku-20241022", reasoning=Reasoning("high")) == ("reasoning",)
    assert dropped("claude-3-5-haiku-20241022", reasoning=Reasoning("none")) == ()


def test_a_profile_may_have_rules_and_an_origin_of_its_own() -> None:
    rule = ModelRule(pattern="glm-*", thinking="adaptive", efforts=("high", "max"))
    glm = Anthropic(AnthropicProfile(origin="glm", default_max_tokens=100, models=(rule,)))
    request = ChatRequest(model="glm-5", messages=(HI, said("assistant", OWN, ThinkingPart("x", "s", "glm"), "so"), HI))
    body = glm.encode_request(request)
    assert body["max_tokens"] == 100
    assert [block["type"] for block in body["messages"][1]["content"]] == ["thinking", "text"]
    assert rule.nearest_effort("low") == "high"
    assert rule.nearest_effort("xhigh") == "high"
    assert glm.encode_request(ChatRequest(model="other", messages=(HI,)))["model"] == "other"


# -- tools and formats


def test_tools_are_written_with_a_schema_of_an_object() -> None:
    tools = (
        Tool("a", None, {}),
        Tool("b", "d", {"properties": {"x": {"type": "string"}}, "additionalProperties": False}, True),
        Tool("c", "", {"type": "object"}, False),
    )
    assert encode(tools=tools)["tools"] == [
        {"name": "a", "input_schema": {"type": "object", "properties": {}}},
        {
            "name": "b",
            "description": "d",
            "input_schema": {
                "type": "object",
                "properties": {"x": {"type": "string"}},
                "additionalProperties": False,
            },
            "strict": True,
        },
        {"name": "c", "input_schema": {"type": "object"}},
    ]


def strict(name: str = "f", **schema: Any) -> Tool:
    return Tool(name, None, {"type": "object", "properties": schema, "additionalProperties": False}, True)


@pytest.mark.parametrize(
    ("tool", "model"),
    [
        (strict(a={"type": "integer", "minimum": 0}), NEWEST),
        (strict(a={"type": "object"}), NEWEST),
        (strict(a={}), NEWEST),
        (Tool("f", None, {"type": "object", "properties": {"a": {"type": "string"}}}, True), NEWEST),
        (strict(a={"type": "string"}), "claude-3-5-haiku-20241022"),
        (strict(a={"type": "string"}), "glm-5"),
    ],
)
def test_a_tool_that_could_not_be_strict_here_is_sent_as_an_ordinary_one(tool: Tool, model: str) -> None:
    (written,) = encode(model=model, tools=(tool,))["tools"]
    assert written == {"name": "f", "input_schema": tool.parameters}
    assert dropped(model, tools=(tool,)) == ("tools.strict",)


def test_no_more_tools_are_strict_than_may_be() -> None:
    tools = tuple(strict(f"f{number}", a={"type": "string"}) for number in range(23))
    assert [tool.get("strict") for tool in encode(tools=tools)["tools"]] == [True] * 20 + [None] * 3
    assert dropped(tools=tools) == ("tools.strict",)
    assert dropped(tools=tools[:20]) == ()


def test_alternatives_at_the_root_of_a_schema_become_one_object() -> None:
    schema = {
        "anyOf": [{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}, {"$ref": "#/x"}],
        "properties": {"b": {"type": "integer"}},
        "required": ["b"],
    }
    (tool,) = encode(tools=(Tool("t", None, schema),))["tools"]
    assert tool["input_schema"] == {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
        "required": ["b"],
    }


@pytest.mark.parametrize("value", [7, True, "x", {"x": 1}, None])
def test_alternatives_that_are_no_list_are_none(value: Any) -> None:
    (tool,) = encode(tools=(Tool("t", None, {"type": "object", "properties": {"a": {}}, "anyOf": value}),))["tools"]
    assert tool["input_schema"] == {"type": "object", "properties": {"a": {}}}


def test_a_name_that_is_not_legal_is_made_so_everywhere() -> None:
    name = "weather.for-" + "x" * 80
    body = encode(
        HI, said("assistant", call(name=name)), tools=(Tool(name),), tool_choice=ToolChoice("required", (name,))
    )
    legal = body["tools"][0]["name"]
    assert len(legal) <= 64
    assert body["tool_choice"]["name"] == legal == body["messages"][1]["content"][0]["name"]


def test_own_server_tools_are_sent_and_foreign_ones_dropped() -> None:
    own = HostedTool("web_search_20250305", "web_search", {"max_uses": 8})
    foreign = HostedTool("web_search_preview", "web_search_preview", {})
    assert encode(tools=(own, foreign))["tools"] == [
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}
    ]
    assert dropped(tools=(own, foreign)) == ("tools.web_search_preview",)
    body = encode(tools=(foreign,), tool_choice=ToolChoice("required", ("web_search_preview",)))
    assert not body.keys() & {"tools", "tool_choice"}


CHOICES: list[tuple[ToolChoice | None, bool | None, Any, list[str]]] = [
    (None, None, None, ["a", "b", "c"]),
    (None, True, None, ["a", "b", "c"]),
    (None, False, {"type": "auto", "disable_parallel_tool_use": True}, ["a", "b", "c"]),
    (ToolChoice("auto"), None, {"type": "auto"}, ["a", "b", "c"]),
    (ToolChoice("none"), False, {"type": "none"}, ["a", "b", "c"]),
    (ToolChoice("required"), True, {"type": "any", "disable_parallel_tool_use": False}, ["a", "b", "c"]),
    (ToolChoice("required", ("b",)), None, {"type": "tool", "name": "b"}, ["a", "b", "c"]),
    (ToolChoice("required", ("b", "c")), None, {"type": "any"}, ["b", "c"]),
    (ToolChoice("auto", ("b",)), None, {"type": "auto"}, ["b"]),
    (ToolChoice("required", ("gone",)), None, {"type": "auto"}, ["a", "b", "c"]),
]


@pytest.mark.parametrize(("choice", "parallel", "expected", "names"), CHOICES)
def test_the_choice_among_tools_is_written(
    choice: ToolChoice | None, parallel: bool | None, expected: Any, names: list[str]
) -> None:
    tools = tuple(Tool(name) for name in "abc")
    body = encode(tools=tools, tool_choice=choice, parallel_tool_calls=parallel)
    assert body.get("tool_choice") == expected
    assert [tool["name"] for tool in body["tools"]] == names


def test_without_tools_there_is_no_choice() -> None:
    assert "tool_choice" not in encode(tool_choice=ToolChoice("required"), parallel_tool_calls=False)


SCHEMA: JsonObject = {
    "type": "object",
    "properties": {"o": {"type": "object", "properties": {}}, "e": {"const": "object"}},
}


def test_a_json_schema_is_sent_closed() -> None:
    body = encode(response_format=ResponseFormat("json_schema", "n", SCHEMA, True))
    assert body["output_config"]["format"] == {
        "type": "json_schema",
        "schema": {
            "type": "object",
            "properties": {
                "o": {"type": "object", "properties": {}, "additionalProperties": False},
                "e": {"const": "object"},
            },
            "additionalProperties": False,
        },
    }
    assert "system" not in body


def test_limits_that_this_api_refuses_are_told_in_the_description() -> None:
    schema: JsonObject = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {"Age": {"type": "integer", "minimum": 0, "maximum": 150, "description": "In years."}},
        "type": "object",
        "properties": {
            "age": {"$ref": "#/$defs/Age", "description": "lost"},
            "mail": {"type": ["string", "null"], "format": "email", "maxLength": 99},
            "code": {"type": "string", "format": "zip", "pattern": "^[0-9]+$"},
            "tags": {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "maxItems": 3},
            "kind": {"oneOf": [{"const": "a"}, {"enum": ["b", 1, None]}]},
            "mixed": {"type": "object", "properties": {}, "additionalProperties": True},
        },
        "required": ["age"],
    }
    written = encode(response_format=ResponseFormat("json_schema", "n", schema))["output_config"]["format"]["schema"]
    assert written == {
        "$defs": {"Age": {"type": "integer", "description": 'In years.\n\n{"minimum":0,"maximum":150}'}},
        "type": "object",
        "properties": {
            "age": {"$ref": "#/$defs/Age"},
            "mail": {"type": ["string", "null"], "format": "email", "description": '{"maxLength":99}'},
            "code": {"type": "string", "description": '{"format":"zip","pattern":"^[0-9]+$"}'},
            "tags": {
                "type": "array",
                "items": {"type": "string", "description": '{"minLength":1}'},
                "minItems": 1,
                "description": '{"maxItems":3}',
            },
            "kind": {"anyOf": [{"const": "a"}, {"enum": ["b", 1, None]}]},
            "mixed": {"type": "object", "properties": {}, "additionalProperties": False},
        },
        "required": ["age"],
        "additionalProperties": False,
    }


TREE: JsonObject = {"type": "object", "properties": {"left": {"$ref": "#/$defs/Tree"}}}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "properties": {"scores": {"type": "object", "additionalProperties": {"type": "number"}}}},
        {"type": "object", "properties": {"anything": {}}},
        {"type": "object", "properties": {"one": {"enum": [{"a": 1}]}}},
        {"type": "object", "properties": {"both": {"anyOf": [{"type": "null"}], "oneOf": [{"type": "null"}]}}},
        {},
        {"$ref": "#/$defs/Tree", "$defs": {"Tree": TREE}},
        {"type": "object", "properties": {"a": {"$ref": "https://example.com/a.json"}}},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/Missing"}}},
    ],
)
def test_a_schema_that_would_be_another_one_is_told_as_an_instruction(schema: JsonObject) -> None:
    wanted = ResponseFormat("json_schema", "n", schema)
    body = encode(response_format=wanted)
    assert "output_config" not in body
    assert "must fit this JSON Schema" in body["system"][0]["text"]
    assert dropped(response_format=wanted) == ("response_format",)


def test_where_there_is_no_such_field_an_instruction_stands_for_it() -> None:
    body = encode(system=("A",), response_format=ResponseFormat("json_object"))
    assert "output_config" not in body
    assert body["system"][0] == text("A")
    assert "JSON object" in body["system"][1]["text"]
    old = encode(model="claude-3-5-haiku-20241022", response_format=ResponseFormat("json_schema", "n", SCHEMA))
    assert '"e":{"const":"object"}' in old["system"][0]["text"]
    assert dropped(response_format=ResponseFormat("json_object")) == ("response_format",)


def test_a_tier_of_another_vendor_is_dropped() -> None:
    assert "service_tier" not in encode(service_tier="flex")
    assert dropped(service_tier="flex") == ("service_tier",)
    assert dropped(stop=("\n",)) == ("stop",)
