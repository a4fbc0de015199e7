from __future__ import annotations

from typing import Any

import attrs
import pytest

from aigateway_core.dialects.dialect import Loss
from aigateway_core.dialects.openai_chat import OpenAIChat, OpenAIChatProfile
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

PICTURE = ImagePart(media_type="image/png", data="aW1n")
PICTURE_BLOCK = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aW1n"}}
PDF = DocumentPart(media_type="application/pdf", data="cGRm")
CLOCK, STAMP = Tool("clock"), Tool("stamp")
NO_PROPERTIES = {"type": "object", "properties": {}}


def user(*parts: Part) -> Message:
    return Message("user", parts)


def said(*parts: Part) -> Message:
    return Message("assistant", parts)


def results(*parts: ToolResultPart) -> Message:
    return Message("tool", parts)


HI = user(TextPart("hi"))
CALL = ToolCallPart("c1", "clock", '{"a":1}')


def write(*messages: Message, profile: OpenAIChatProfile = OpenAIChatProfile(), **fields: Any) -> JsonObject:  # noqa: B008
    return OpenAIChat(profile).encode_request(ChatRequest(model="m", messages=messages or (HI,), **fields))


def contents(body: JsonObject) -> list[tuple[str, Any]]:
    return [(message["role"], message["content"]) for message in body["messages"]]


def test_a_plain_request_has_nothing_in_it_that_was_not_asked_for() -> None:
    assert write() == {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def test_system_texts_become_one_leading_message() -> None:
    assert contents(write(system=("A", "", "B")))[0] == ("system", "A\n\nB")
    developer = OpenAIChatProfile(system_role="developer")
    assert contents(write(system=("A",), profile=developer))[0] == ("developer", "A")
    assert contents(write(system=("",))) == [("user", "hi")]


def test_a_later_system_text_is_in_place_or_a_reminder() -> None:
    turns = (HI, Message("system", (TextPart("Rule"),)), HI)
    assert contents(write(*turns))[1] == ("system", "Rule")
    reminder = OpenAIChatProfile(late_system="reminder")
    assert contents(write(*turns, profile=reminder))[1] == ("user", "<system-reminder>\nRule\n</system-reminder>")


def test_text_alone_is_a_plain_string() -> None:
    assert contents(write(user(TextPart("a"), TextPart(""), TextPart("b")))) == [("user", "a\n\nb")]


def test_attachments_make_the_content_an_array() -> None:
    audio = AudioPart("c25k", "wav")
    body = write(
        user(TextPart("look"), PICTURE, TextPart(""), PDF, audio, ImagePart(url="https://e.com/a.png", detail="low"))
    )
    assert contents(body)[0][1] == [
        {"type": "text", "text": "look"},
        PICTURE_BLOCK,
        {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,cGRm"}},
        {"type": "input_audio", "input_audio": {"data": "c25k", "format": "wav"}},
        {"type": "image_url", "image_url": {"url": "https://e.com/a.png", "detail": "low"}},
    ]


@pytest.mark.parametrize(
    ("part", "note"),
    [
        (ImagePart(file_id="file_1"), "[image omitted]"),
        (DocumentPart(text="T", title="N"), "[N]\nT"),
        (DocumentPart(text="T"), "T"),
        (DocumentPart(url="https://e.com/a.pdf"), "[document: https://e.com/a.pdf]"),
        (DocumentPart(url="https://e.com/a.pdf", title="N"), "[document N: https://e.com/a.pdf]"),
    ],
)
def test_what_has_no_place_is_told_in_words(part: Part, note: str) -> None:
    assert contents(write(user(TextPart("see"), part))) == [("user", f"see\n\n{note}")]


def test_a_vendor_of_text_alone_gets_notes() -> None:
    text_only = OpenAIChatProfile(attachments=frozenset())
    body = write(user(TextPart("see"), PICTURE, PDF, AudioPart("c25k", "wav")), profile=text_only)
    assert contents(body) == [("user", "see\n\n[image omitted]\n\n[document omitted]\n\n[audio omitted]")]


def test_an_empty_message_is_never_sent() -> None:
    assert contents(write(HI, user(), said(), said(TextPart("")), Message("system", ()))) == [("user", "hi")]


def test_a_turn_of_calls_alone_has_the_content_that_the_vendor_wants() -> None:
    turns = (HI, said(CALL), results(ToolResultPart("c1")))
    assert write(*turns)["messages"][1:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "clock", "arguments": '{"a":1}'}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": ""},
    ]
    assert contents(write(*turns, profile=OpenAIChatProfile(empty_content="")))[1] == ("assistant", "")


def test_thinking_is_sent_only_to_vendors_that_take_it() -> None:
    thoughts = (ThinkingPart("a", origin="other", signature="s"), ThinkingPart(" "), ThinkingPart("", redacted="x"))
    turns = (HI, said(*thoughts, ThinkingPart("b"), TextPart("ok")), user(ThinkingPart("mine"), TextPart("go")))
    assert write(*turns)["messages"][1] == {"role": "assistant", "content": "ok"}
    taken = write(*turns, profile=OpenAIChatProfile(reasoning_field="reasoning_content"))["messages"]
    assert taken[1] == {"role": "assistant", "content": "ok", "reasoning_content": "a\n\nb"}
    assert taken[2] == {"role": "user", "content": "go"}


def test_a_turn_of_thinking_alone_vanishes_where_it_is_not_taken() -> None:
    turns = (HI, said(ThinkingPart("hm")), HI)
    assert [role for role, _ in contents(write(*turns))] == ["user", "user"]
    taken = write(*turns, profile=OpenAIChatProfile(reasoning_field="reasoning_content"))["messages"][1]
    assert taken == {"role": "assistant", "content": "", "reasoning_content": "hm"}


def test_results_come_in_the_order_of_their_calls_before_all_else() -> None:
    second = attrs.evolve(CALL, id="c2")
    body = write(
        HI,
        said(CALL, second),
        Message("system", (TextPart("Rule"),)),
        user(TextPart("wait")),
        results(ToolResultPart("c2", (TextPart("2"), PICTURE)), ToolResultPart("c1", (TextPart("old"),))),
        results(ToolResultPart("c1", (TextPart("1"), TextPart("one")))),
        user(TextPart("go")),
    )
    assert contents(body)[2:] == [
        ("tool", "1\none"),
        ("tool", "2"),
        ("user", [{"type": "text", "text": "Image from tool c2:"}, PICTURE_BLOCK]),
        ("system", "Rule"),
        ("user", "wait"),
        ("user", "go"),
    ]


def test_a_picture_stays_in_the_result_where_the_vendor_takes_it() -> None:
    turns = (HI, said(CALL), results(ToolResultPart("c1", (TextPart("see"), PICTURE))))
    body = write(*turns, profile=OpenAIChatProfile(images_in_tool_results=True))
    assert contents(body)[2:] == [("tool", [{"type": "text", "text": "see"}, PICTURE_BLOCK])]


def test_a_document_follows_its_result_or_leaves_a_note() -> None:
    turns = (HI, said(CALL), results(ToolResultPart("c1", (PDF,))))
    after = contents(write(*turns))
    assert after[2] == ("tool", "")
    assert after[3][1][0] == {"type": "text", "text": "Document from tool c1:"}
    assert after[3][1][1]["type"] == "file"
    assert contents(write(*turns, profile=OpenAIChatProfile(attachments=frozenset({"image"}))))[2:] == [
        ("tool", "[document omitted]")
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [((TextPart("boom"),), "Error: boom"), ((TextPart("Error: boom"),), "Error: boom"), ((), "Error")],
)
def test_a_failure_is_marked_in_words(content: tuple[TextPart, ...], told: str) -> None:
    body = write(HI, said(CALL), results(ToolResultPart("c1", content, is_error=True)))
    assert contents(body)[2] == ("tool", told)


def test_a_call_without_a_result_gets_one() -> None:
    assert contents(write(HI, said(CALL)))[2] == ("tool", "(no result)")
    assert contents(write(HI, said(CALL), HI))[2:] == [("tool", "(no result)"), ("user", "hi")]


def test_a_result_without_its_call_is_told_by_the_user() -> None:
    body = write(HI, results(ToolResultPart("c9", (TextPart("late"),))), results(ToolResultPart("c8", (PICTURE,))))
    assert contents(body)[1:] == [
        ("user", "[tool result c9] late"),
        ("user", [{"type": "text", "text": "[tool result c8]"}, PICTURE_BLOCK]),
    ]


def test_long_and_odd_ids_and_names_are_made_legal_everywhere_alike() -> None:
    long, odd = "x" * 60, "read.file"
    body = write(HI, said(ToolCallPart(long, odd, "")), results(ToolResultPart(long)), tools=(Tool(odd),))
    call = body["messages"][1]["tool_calls"][0]
    assert len(call["id"]) <= 40
    assert body["messages"][2]["tool_call_id"] == call["id"]
    assert call["function"] == {"name": body["tools"][0]["function"]["name"], "arguments": "{}"}
    assert call["function"]["name"].startswith("read_file_")


def test_a_request_without_a_user_gets_one_where_the_vendor_insists() -> None:
    insisting = OpenAIChatProfile(needs_user_message=True)
    assert contents(write(said(TextPart("ok")), system=("S",), profile=insisting))[-1] == ("user", ".")
    assert contents(write(HI, profile=insisting)) == [("user", "hi")]


def test_every_object_in_a_schema_gets_properties_and_the_given_one_is_left_alone() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "object"}, "type": {"type": "string"}},
        "anyOf": [{"type": "object"}],
        "default": {"type": "object"},
    }
    parameters = write(tools=(Tool("t", parameters=schema),))["tools"][0]["function"]["parameters"]
    assert parameters == {
        "type": "object",
        "properties": {"a": NO_PROPERTIES, "type": {"type": "string"}},
        "anyOf": [NO_PROPERTIES],
        "default": {"type": "object"},
    }
    assert schema["anyOf"] == [{"type": "object"}]


def test_hosted_tools_are_left_out_and_a_choice_of_one_as_well() -> None:
    search = HostedTool("web_search_20250305", "web_search")
    choice = ToolChoice("required", ("web_search",))
    alone = write(tools=(search,), tool_choice=choice, parallel_tool_calls=False)
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(alone)
    beside = write(tools=(search, CLOCK), tool_choice=choice, parallel_tool_calls=False)
    assert [tool["function"]["name"] for tool in beside["tools"]] == ["clock"]
    assert "tool_choice" not in beside
    assert beside["parallel_tool_calls"] is False


NAMED_CLOCK = {"type": "function", "function": {"name": "clock"}}


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (ToolChoice("auto"), "auto"),
        (ToolChoice("required"), "required"),
        (ToolChoice("none"), "none"),
        (ToolChoice("required", ("clock",)), NAMED_CLOCK),
        (
            ToolChoice("auto", ("clock",)),
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [NAMED_CLOCK]}},
        ),
    ],
)
def test_every_choice_has_its_form(choice: ToolChoice, written: Any) -> None:
    assert write(tools=(CLOCK, STAMP), tool_choice=choice)["tool_choice"] == written


@pytest.mark.parametrize(
    ("choice", "written", "offered"),
    [
        (ToolChoice("required"), "auto", ["clock", "stamp"]),
        (ToolChoice("required", ("clock",)), "auto", ["clock"]),
        (ToolChoice("auto", ("stamp",)), "auto", ["stamp"]),
    ],
)
def test_a_choice_that_cannot_be_told_narrows_the_tools(choice: ToolChoice, written: str, offered: list[str]) -> None:
    body = write(tools=(CLOCK, STAMP), tool_choice=choice, profile=OpenAIChatProfile(tool_choices=frozenset({"auto"})))
    assert body["tool_choice"] == written
    assert [tool["function"]["name"] for tool in body["tools"]] == offered


def test_where_no_tools_cannot_be_said_none_are_offered() -> None:
    body = write(
        tools=(CLOCK,), tool_choice=ToolChoice("none"), profile=OpenAIChatProfile(tool_choices=frozenset({"auto"}))
    )
    assert "tools" not in body
    assert "tool_choice" not in body


@pytest.mark.parametrize(
    ("reasoning", "effort"),
    [
        (Reasoning(effort="low"), "low"),
        (Reasoning(budget=0), "none"),
        (Reasoning(budget=1024), "minimal"),
        (Reasoning(budget=2048), "low"),
        (Reasoning(budget=8192), "medium"),
        (Reasoning(budget=24576), "high"),
        (Reasoning(budget=31999), "xhigh"),
        (Reasoning(effort="high", budget=1024), "high"),
        (Reasoning(budget=-1), None),
        (Reasoning(), None),
    ],
)
def test_the_effort_is_a_word_or_follows_from_the_budget(reasoning: Reasoning, effort: str | None) -> None:
    assert write(reasoning=reasoning).get("reasoning_effort") == effort


def test_effort_words_are_the_vendor_s() -> None:
    profile = OpenAIChatProfile(efforts={"minimal": "low", "none": None})
    assert write(reasoning=Reasoning(effort="minimal"), profile=profile)["reasoning_effort"] == "low"
    assert "reasoning_effort" not in write(reasoning=Reasoning(effort="none"), profile=profile)


def test_a_schema_has_a_name_even_when_nobody_gave_it_one() -> None:
    def name(**fields: Any) -> str:
        body = write(response_format=ResponseFormat("json_schema", **fields))
        return str(body["response_format"]["json_schema"]["name"])

    assert name(schema={"title": "T"}) == "T"
    assert name(schema={}) == "structured_output"
    assert name(name="given", schema={"title": "T"}) == "given"
    assert name(schema={"title": "My title"}).startswith("My_title_")


def test_a_schema_is_put_into_words_where_the_vendor_knows_only_json() -> None:
    wanted = ResponseFormat("json_schema", schema={"type": "object"})
    body = write(system=("S",), response_format=wanted, profile=OpenAIChatProfile(json_schema=False))
    assert body["response_format"] == {"type": "json_object"}
    assert body["messages"][0]["content"].startswith("S\n\n")
    assert body["messages"][0]["content"].endswith('{"type":"object"}')


def test_a_stream_always_asks_for_its_usage() -> None:
    body = write(stream=True)
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})


def test_limits_and_users_go_by_the_vendor_s_names() -> None:
    profile = OpenAIChatProfile(max_tokens_field="max_tokens", user_field="user_id", user_length=(6, 8), max_stop=1)
    body = write(max_tokens=5, user="me", stop=("a", "b"), profile=profile)
    assert (body["max_tokens"], body["stop"]) == (5, ["a"])
    assert body["user_id"].startswith("user-")
    assert write(user="me", profile=profile)["user_id"] == body["user_id"]
    assert write(user="exactly", profile=profile)["user_id"] == "exactly"
    assert write(max_tokens=5)["max_completion_tokens"] == 5
    assert write(stop=tuple("abcde"))["stop"] == list("abcd")


def test_another_vendor_s_service_tier_is_not_passed_on() -> None:
    assert write(service_tier="flex")["service_tier"] == "flex"
    assert "service_tier" not in write(service_tier="standard_only")


def test_what_the_vendor_has_no_place_for_is_left_out_and_named() -> None:
    source = Loss("dropped", "the vendor's page")
    profile = OpenAIChatProfile(
        cannot_express={"seed": source, "user": source, "parallel_tool_calls": source},
        max_stop=1,
        tool_choices=frozenset({"auto"}),
    )
    request = ChatRequest(
        model="m",
        messages=(HI,),
        seed=1,
        user="someone",
        top_k=5,
        tools=(CLOCK, HostedTool("web_search", "web_search")),
        tool_choice=ToolChoice("required"),
        parallel_tool_calls=False,
        stop=("a", "b"),
        service_tier="standard_only",
        extra={"store": True},
    )
    dialect = OpenAIChat(profile)
    body = dialect.encode_request(request)
    assert not {"seed", "user", "top_k", "parallel_tool_calls", "store", "service_tier"} & set(body)
    losses = dialect.losses(request)
    assert set(losses.dropped) == {
        *("seed", "user", "top_k", "store", "tools.web_search", "stop", "tool_choice"),
        *("service_tier", "parallel_tool_calls"),
    }
    assert losses.refused == ()


def test_a_request_of_nothing_but_tools_has_a_message_all_the_same() -> None:
    body = OpenAIChat().encode_request(ChatRequest(model="m", tools=(CLOCK,)))
    assert body["messages"] == [{"role": "user", "content": "."}]
    assert [
        each["role"] for each in OpenAIChat().encode_request(ChatRequest(model="m", system=("s",)))["messages"]
    ] == ["system"]


@pytest.mark.parametrize("name", ["sed", "model", "extra"])
def test_a_profile_names_only_fields_that_can_be_left_out(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        OpenAIChatProfile(cannot_express={name: Loss("dropped", "the vendor's page")})


def test_what_would_change_the_answer_is_refused() -> None:
    dialect = OpenAIChat()
    assert dialect.losses(ChatRequest(model="m", n=2, logprobs=True, audio_output={"voice": "alloy"})).refused == (
        *("n", "logprobs", "audio_output"),
    )
    harmless = dialect.losses(
        ChatRequest(model="m", n=1, logprobs=False, top_logprobs=0, temperature=1.0, tools=(CLOCK,))
    )
    assert (harmless.dropped, harmless.refused) == ((), ())


def test_every_loss_cites_its_source() -> None:
    assert all(loss.source for loss in OpenAIChat().cannot_express.values())


def test_a_picture_in_a_result_that_cannot_be_sent_is_noted_once() -> None:
    dialect = OpenAIChat(OpenAIChatProfile(images_in_tool_results=True))
    seen, unseen = ImagePart("image/png", "AAAA"), ImagePart(file_id="file-1")
    request = ChatRequest(
        model="m",
        messages=(
            HI,
            Message("assistant", (ToolCallPart("c1", "f", "{}"),)),
            Message("tool", (ToolResultPart("c1", (seen, unseen)),)),
        ),
    )
    result = dialect.encode_request(request)["messages"][-1]
    assert [part.get("text", part["type"]) for part in result["content"]] == ["[image omitted]", "image_url"]
