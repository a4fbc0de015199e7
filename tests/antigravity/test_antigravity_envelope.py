"""The envelope around a request, and the session that ties the turns of a conversation together."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from antigravity_clients import (
    CLAUDE,
    FLASH,
    LITE,
    OSS,
    PAINTER,
    assistant,
    by_anthropic,
    by_gemini,
    by_openai,
    by_responses,
    config_of,
    content,
    declared_in,
    find,
    names_in,
    natively,
    parts_of,
    read,
    result,
    said,
    system_of,
    text,
    thinking,
    tool,
    use,
    user,
)
from hypothesis import given
from hypothesis import strategies as st

from aigateway_antigravity.claude import MUST_CALL
from aigateway_antigravity.envelope import Kind, enclosed, with_another_id
from aigateway_antigravity.losses import losses
from aigateway_antigravity.searching import kind_of
from aigateway_antigravity.session import native_session, session_id, session_of
from aigateway_antigravity.translation import search_body_of
from aigateway_core.plugin import (
    Anthropic,
    ChatRequest,
    Gemini,
    HostedTool,
    JsonObject,
    Message,
    OpenAIChat,
    OpenAIResponses,
    TextPart,
    ToolChoice,
    dumps,
)

HELLO = "-3238736544897475342"


def envelope(**fields: Any) -> JsonObject:
    return enclosed({"contents": []}, **{"model": FLASH, "project": "p", "session": "s", **fields})


# -- what stands around


def test_E1_an_envelope_says_who_asks_whom_and_has_an_id_of_its_own() -> None:
    first, second = envelope(), envelope()
    assert set(first) == {"project", "requestId", "userAgent", "requestType", "model", "request"}
    assert (first["userAgent"], first["requestType"], first["model"], first["project"]) == (
        "antigravity",
        "agent",
        FLASH,
        "p",
    )
    assert re.fullmatch(r"agent-[0-9a-f-]{36}", first["requestId"])
    assert first["requestId"] != second["requestId"]
    assert first["request"] == {"contents": [], "sessionId": "s"}


def test_E5_a_picture_is_asked_for_without_a_session() -> None:
    request = ChatRequest(model=PAINTER, messages=(Message("user", (TextPart("a cat"),)),))
    kind = kind_of(request, find(PAINTER).model, LITE)
    asked = envelope(model=PAINTER, kind=kind)
    assert asked["requestType"] == "image_gen"
    assert re.fullmatch(r"image_gen/[0-9]{13}/[0-9a-f-]{36}/12", asked["requestId"])
    assert "sessionId" not in asked["request"]


def test_E6_a_search_has_neither_session_nor_id() -> None:
    inner = enclosed({"contents": [], "sessionId": "old"}, model=LITE, project="p", session="s", kind="web_search")
    assert inner["requestType"] == "web_search"
    assert "requestId" not in inner
    assert "sessionId" not in inner["request"]


@pytest.mark.parametrize(("kind", "model"), [("agent", FLASH), ("image_gen", PAINTER)])
def test_E1_a_second_attempt_is_the_first_one_with_another_id(kind: Kind, model: str) -> None:
    first = envelope(kind=kind, model=model)
    second = json.loads(with_another_id(dumps(first)))
    assert second["requestId"] != first["requestId"]
    assert second["requestId"].startswith(first["requestId"][:6])
    assert {**second, "requestId": first["requestId"]} == first


@pytest.mark.parametrize(
    "body", [b"", b"refresh_token=x", b"[]", b'{"requestId": "agent-1"}', b'{"requestType": "agent"}']
)
def test_what_is_no_envelope_is_sent_again_as_it_was(body: bytes) -> None:
    assert with_another_id(body) == body


def test_E6_a_search_is_sent_again_as_it_was() -> None:
    body = dumps(envelope(model=LITE, kind="web_search"))
    assert with_another_id(body) == body


# -- the session


@pytest.mark.parametrize(
    ("words", "number"),
    [
        pytest.param("hello", HELLO, id="E2 hello"),
        pytest.param("Weather in Oslo?", "-5433648317485618134", id="E2 weather"),
        pytest.param("List the files.", "-4620588411173471587", id="E2 files"),
    ],
)
def test_a_session_comes_from_the_first_words(words: str, number: str) -> None:
    later = [content(words), content("yes", role="model"), content("and then?")]
    assert session_id([content(words)], None) == number
    assert session_id(later, None) == number
    assert session_of(read(Anthropic(), {"max_tokens": 5, "messages": [said(words)]}, CLAUDE)) == number
    assert native_session({"contents": later}) == number


def test_E3_a_session_that_the_client_names_is_used_as_it_is() -> None:
    assert session_id([content("hello")], "my-session") == "my-session"
    assert native_session({"contents": [content("hello")], "sessionId": "-42"}) == "-42"
    translated = read(Gemini(), {"contents": [content("hello")], "session_id": "mine"}, CLAUDE)
    assert session_of(translated) == "mine"


def test_E4_pictures_say_no_words() -> None:
    picture = content({"inlineData": {"mimeType": "image/png", "data": "aGk="}})
    assert session_id([picture, content("hello")], None) == HELLO


def test_notes_of_an_agent_are_not_what_the_user_said() -> None:
    note = "<system-reminder>\nToday is Monday.\n</system-reminder>"
    assert session_id([content(note, "hello")], None) == HELLO
    request = read(Anthropic(), {"max_tokens": 5, "messages": [user(text(note), text("hello"))]}, CLAUDE)
    assert session_of(request) == HELLO


@pytest.mark.parametrize(
    "name", ["user_1_account_2_session_abc", '{"device_id": "d", "session_id": "abc"}'], ids=["words", "json"]
)
def test_claude_codes_session_counts_before_its_first_words(name: str) -> None:
    def of(words: str, user_id: str) -> str:
        body = {"max_tokens": 5, "messages": [said(words)], "metadata": {"user_id": user_id}}
        return session_of(read(Anthropic(), body, CLAUDE))

    assert of("hello", name) == of("something else", name)
    assert re.fullmatch(r"-[0-9]+", of("hello", name))
    assert of("hello", name) != HELLO
    assert of("hello", "just-somebody") == HELLO


def test_without_any_words_the_session_is_still_the_same_every_time() -> None:
    picture = content({"inlineData": {"mimeType": "image/png", "data": "aGk="}})
    assert session_id([picture], None) == session_id([picture, content("x", role="model")], None)
    assert session_id([], None) == session_id([], None)


@given(st.lists(st.text(max_size=30), min_size=1, max_size=4))
def test_the_session_is_the_same_before_and_after_translation(words: list[str]) -> None:
    request = ChatRequest(model=FLASH, messages=tuple(Message("user", (TextPart(one),)) for one in words if one))
    written = [content(one) for one in words if one]
    if written and any(not one.startswith("<system-reminder>") for one in words if one):
        assert session_of(request) == session_id(written, None)


# -- what stands inside


def test_E7_safety_settings_stay_here() -> None:
    for name in ("safetySettings", "safety_settings"):
        assert names_in(natively(FLASH, **{name: [{"category": "x", "threshold": "y"}]})) & {name} == set()


def test_E8_the_tool_config_stands_in_the_request_and_camel_case_wins() -> None:
    auto, none = ({"functionCallingConfig": {"mode": mode}} for mode in ("AUTO", "NONE"))
    inner = natively(FLASH, toolConfig=auto, tool_config=none)
    asked = enclosed(inner, model=FLASH, project="p", session=None)
    assert asked["request"]["toolConfig"] == auto
    assert names_in(asked) & {"tool_config"} == set()
    assert "toolConfig" not in asked
    snake = natively(FLASH, tool_config={"function_calling_config": {"mode": "ANY", "allowed_function_names": ["a"]}})
    assert snake["toolConfig"] == {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["a"]}}


def test_E9_claudes_output_is_capped() -> None:
    assert config_of(by_anthropic(CLAUDE, max_tokens=200_000))["maxOutputTokens"] == 64_000
    assert config_of(by_openai("claude-someday-9", max_tokens=200_000))["maxOutputTokens"] == 64_000


@pytest.mark.parametrize(
    ("limit", "effort", "kept"),
    [
        pytest.param(100, None, None, id="E10 a small limit"),
        pytest.param(8192, None, None, id="as much as it may think"),
        pytest.param(8193, None, 8193, id="more than it may think"),
        pytest.param(4096, "low", 4096, id="little thinking"),
        pytest.param(200_000, None, 65_536, id="more than there is"),
    ],
)
def test_a_limit_that_would_starve_geminis_answer_is_left_out(limit: int, effort: str | None, kept: int | None) -> None:
    fields = {} if effort is None else {"reasoning_effort": effort}
    assert config_of(by_openai(FLASH, max_tokens=limit, **fields)).get("maxOutputTokens") == kept
    body = {"messages": [said("hi")], "max_tokens": limit, **fields}
    lost = losses(by_client("openai", body), find(FLASH))
    assert ("max_tokens" in lost.dropped) == (kept is None)


def by_client(name: str, body: JsonObject, model: str = FLASH) -> ChatRequest:
    return read({"openai": OpenAIChat(), "anthropic": Anthropic()}[name], body, model)


@pytest.mark.parametrize("model", [PAINTER, "gemini-9-ultra", "gpt-oss-9"])
def test_E10_no_limit_is_told_to_a_model_whose_own_nobody_knows(model: str) -> None:
    assert "maxOutputTokens" not in config_of(by_openai(model, max_tokens=50_000))
    assert "maxOutputTokens" not in config_of(natively(model, generationConfig={"maxOutputTokens": 50_000}))
    body = {"messages": [said("hi")], "max_tokens": 50_000}
    assert "max_tokens" in losses(by_client("openai", body, model), find(model)).dropped


def test_a_limit_stays_where_nothing_is_thought() -> None:
    assert config_of(by_openai(OSS, max_tokens=100))["maxOutputTokens"] == 100
    assert config_of(by_openai(LITE, max_tokens=100, reasoning_effort="none"))["maxOutputTokens"] == 100
    assert config_of(by_openai(CLAUDE, max_tokens=100))["maxOutputTokens"] == 100
    assert config_of(natively(FLASH, generationConfig={"maxOutputTokens": 100}))["maxOutputTokens"] == 100
    assert config_of(natively(FLASH, generation_config={"max_output_tokens": 10**6}))["maxOutputTokens"] == 65_536


def test_E11_claudes_calls_are_validated() -> None:
    chosen = {"tools": [tool()], "tool_choice": {"type": "auto"}}
    assert by_anthropic(CLAUDE, **chosen)["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}
    assert by_anthropic(CLAUDE, tools=[tool()])["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}
    assert by_anthropic(FLASH, **chosen)["toolConfig"] == {"functionCallingConfig": {"mode": "AUTO"}}
    assert "toolConfig" not in by_anthropic(CLAUDE)


def test_E12_one_tool_can_be_insisted_on() -> None:
    request = by_anthropic(FLASH, tools=[tool("my tool"), tool("b")], tool_choice={"type": "tool", "name": "my tool"})
    calling = request["toolConfig"]["functionCallingConfig"]
    assert calling["mode"] == "ANY"
    assert calling["allowedFunctionNames"] == [declared_in(request)[0]]
    assert re.fullmatch(r"my_tool\w*", declared_in(request)[0])


def test_a_choice_that_claude_cannot_be_told_is_made_by_what_is_declared_and_said() -> None:
    forced = {"tools": [tool("a"), tool("b")], "tool_choice": {"type": "tool", "name": "b"}}
    request = by_anthropic(CLAUDE, **forced)
    assert declared_in(request) == ["b"]
    assert system_of(request) == [MUST_CALL]
    body = {"max_tokens": 5, "messages": [said("hi")], **forced}
    assert "tool_choice" in losses(by_client("anthropic", body, CLAUDE), find(CLAUDE)).dropped
    never = by_anthropic(CLAUDE, tools=[tool()], tool_choice={"type": "none"})
    assert names_in(never) & {"tools", "toolConfig"} == set()
    unknown = by_anthropic(CLAUDE, tools=[tool("a")], tool_choice={"type": "tool", "name": "gone"})
    assert declared_in(unknown) == ["a"]


def test_E13_no_cache_control_reaches_the_wire() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    request = by_anthropic(
        CLAUDE,
        user({**text("look"), **mark}),
        assistant({**use("t1"), **mark}),
        user({**result("t1", [{**text("seen"), **mark}]), **mark}),
        system=[{**text("be brief"), **mark}],
        tools=[{**tool(), **mark}],
    )
    assert "cache_control" not in names_in(request)
    by_google = natively(
        FLASH, content({"text": "hi", **mark}), **mark, systemInstruction={"parts": [text("x") | mark]}
    )
    assert "cache_control" not in names_in(by_google)


def test_E14_whether_to_stream_is_said_by_the_address() -> None:
    for request in (by_anthropic(CLAUDE, stream=True), by_openai(FLASH, stream=True), natively(FLASH, stream=True)):
        assert "stream" not in names_in(request)


def test_E15_the_system_instruction_is_an_object() -> None:
    expected = {"role": "user", "parts": [{"text": "x"}]}
    assert by_anthropic(CLAUDE, system="x")["systemInstruction"] == expected
    assert natively(FLASH, systemInstruction="x")["systemInstruction"] == expected
    assert natively(FLASH, system_instruction={"parts": {"text": "x"}})["systemInstruction"] == expected
    assert "systemInstruction" not in natively(FLASH, systemInstruction="  ")


def test_E16_claude_codes_account_of_itself_stays_here() -> None:
    system = [text("x-anthropic-billing-header: cc_version=2;"), text("You are terse.")]
    assert system_of(by_anthropic(CLAUDE, system=system)) == ["You are terse."]


def test_E17_a_system_message_in_the_middle_is_a_reminder_to_the_user() -> None:
    request = by_anthropic(CLAUDE, said("a"), said("b", "assistant"), said("note", "system"), said("c"))
    assert parts_of(request, "user")[1]["text"] == "<system-reminder>\nnote\n</system-reminder>"
    assert system_of(request) == []


def test_E18_a_system_message_alone_is_what_the_user_says() -> None:
    for model in (CLAUDE, FLASH):
        request = by_openai(model, said("Write a poem.", "system"))
        assert request["contents"] == [content("Write a poem.")]
        assert "systemInstruction" not in request


def test_fields_that_nobody_knows_pass_untranslated() -> None:
    assert natively(FLASH, labels={"a": "b"}, somethingNew={"x": 1})["somethingNew"] == {"x": 1}


# -- searches


def searching(**fields: Any) -> JsonObject:
    return {"type": "web_search_20250305", "name": "web_search", **fields}


def test_C22_what_only_searches_goes_to_the_model_that_searches() -> None:
    body = {"max_tokens": 5, "messages": [said("latest CPython release")], "system": "Be brief."}
    request = read(
        Anthropic(),
        body | {"tools": [searching(max_uses=8, allowed_domains=["python.org"], user_location={"city": "Oslo"})]},
        CLAUDE,
    )
    assert kind_of(request, find(CLAUDE).model, LITE) == "web_search"
    assert kind_of(request, find(CLAUDE).model, None) == "agent"
    sent = search_body_of(request, find(LITE))
    assert sent["contents"] == [content("latest CPython release")]
    assert sent["tools"] == [
        {"googleSearch": {"enhancedContent": {"imageSearch": {"maxResultCount": 8}}, "includedDomains": ["python.org"]}}
    ]
    assert sent["generationConfig"] == {"candidateCount": 1}
    assert set(sent) == {"contents", "tools", "generationConfig", "systemInstruction"}
    assert system_of(sent)[1:] == ["Be brief."]
    lost = losses(request, find(CLAUDE), searches=True).dropped
    assert lost == ("max_tokens", "tools.web_search_20250305.user_location")
    assert "tools.web_search_20250305" in losses(request, find(CLAUDE)).dropped


def test_C22_without_a_model_that_searches_the_tool_is_left_out() -> None:
    request = by_anthropic(CLAUDE, tools=[searching()])
    assert names_in(request) & {"tools", "toolConfig", "googleSearch"} == set()


def test_C21_a_search_beside_other_tools_is_left_out() -> None:
    body = {"max_tokens": 5, "messages": [said("hi")], "tools": [searching(), tool("mine")]}
    request = read(Anthropic(), body, CLAUDE)
    assert kind_of(request, find(CLAUDE).model, LITE) == "agent"
    assert declared_in(by_anthropic(CLAUDE, tools=body["tools"])) == ["mine"]
    assert "tools.web_search_20250305" in losses(request, find(CLAUDE)).dropped
    google = by_gemini("claude-sonnet-4-6", tools=[{"googleSearch": {}}, {"functionDeclarations": [{"name": "f"}]}])
    assert "googleSearch" not in names_in(google)


@pytest.mark.parametrize("name", ["googleSearch", "google_search"])
def test_googles_own_clients_lose_a_search_that_is_not_taken_beside_functions_too(name: str) -> None:
    both = natively(FLASH, tools=[{name: {}}, {"functionDeclarations": [{"name": "f"}]}])
    assert [list(entry) for entry in both["tools"]] == [["functionDeclarations"]]
    in_one = natively(FLASH, tools=[{name: {}, "functionDeclarations": [{"name": "f"}]}])
    assert in_one["tools"] == both["tools"]


def test_openais_search_is_one_too() -> None:
    tools = [{"type": "web_search", "filters": {"allowed_domains": ["a.org"]}, "search_context_size": "high"}]
    request = read(OpenAIResponses(), {"input": "news", "tools": tools}, FLASH)
    assert kind_of(request, find(FLASH).model, LITE) == "web_search"
    (found,) = search_body_of(request, find(LITE))["tools"]
    assert found["googleSearch"]["includedDomains"] == ["a.org"]
    assert found["googleSearch"]["enhancedContent"] == {"imageSearch": {"maxResultCount": 5}}
    assert losses(request, find(FLASH), searches=True).dropped == ()
    assert names_in(by_responses(FLASH, tools=tools)) & {"tools"} == set()


def test_googles_own_search_stays_in_the_conversation_with_gemini() -> None:
    request = ChatRequest(
        model=FLASH, messages=(Message("user", (TextPart("x"),)),), tools=(HostedTool("googleSearch", "googleSearch"),)
    )
    assert kind_of(request, find(FLASH).model, LITE) == "agent"
    assert kind_of(request, find(CLAUDE).model, LITE) == "web_search"
    assert by_gemini(FLASH, tools=[{"googleSearch": {}}])["tools"] == [{"googleSearch": {}}]


def test_a_search_that_the_client_forbids_is_none() -> None:
    request = ChatRequest(
        model=CLAUDE, tools=(HostedTool("web_search_20250305", "web_search"),), tool_choice=ToolChoice("none")
    )
    assert kind_of(request, find(CLAUDE).model, LITE) == "agent"


def test_a_search_is_told_the_conversation_in_words() -> None:
    turns = [
        user(text("a")),
        assistant(thinking("hm", "Ex"), text("b"), use("t1")),
        user(result("t1"), text("c")),
    ]
    request = read(Anthropic(), {"max_tokens": 5, "messages": turns, "tools": [searching()]}, CLAUDE)
    assert search_body_of(request, find(LITE))["contents"] == [
        content("a"),
        content("b", role="model"),
        content("c"),
    ]
    with pytest.raises(ValueError, match="more than search"):
        search_body_of(ChatRequest(model=CLAUDE), find(LITE))
