"""The turns of a conversation as the models behind Cloud Code take them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from antigravity_clients import (
    CLAUDE,
    FLASH,
    OSS,
    PAINTER,
    SENTINEL,
    answered,
    asked,
    assistant,
    by_anthropic,
    by_gemini,
    by_openai,
    call,
    calls_of,
    claudes,
    config_of,
    content,
    find,
    function,
    names_in,
    natively,
    parts_of,
    read,
    response,
    responses_of,
    result,
    roles_of,
    said,
    system_of,
    text,
    thinking,
    tool,
    use,
    user,
)

from aigateway_antigravity.generation import image_config
from aigateway_antigravity.losses import losses
from aigateway_antigravity.translation import AS_JSON
from aigateway_core.plugin import Anthropic, InvalidRequestError, JsonObject, OpenAIChat

FAMILIES = [CLAUDE, FLASH]
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
INLINE = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}


# -- texts


@pytest.mark.parametrize("model", FAMILIES)
def test_C1_empty_texts_are_left_out_and_so_are_turns_of_nothing_else(model: str) -> None:
    request = by_anthropic(model, user(text(""), text("a")), assistant(text("")), user(text("")), user(text("b")))
    assert request["contents"] == [content("a", "b")]
    if model == CLAUDE:
        blank = by_anthropic(model, user(text("\n")), user(text("a")), assistant(text(" ")), said("b"))
        assert blank["contents"] == [content("a", "b")]


def test_C1_of_geminis_own_clients_too() -> None:
    request = natively(FLASH, content("a", ""), content("", role="model"), content("b"), {"role": "user"})
    assert request["contents"] == [content("a"), content("b")]
    signed = content({"text": "", "thoughtSignature": "c2ln"}, role="model")
    assert natively(FLASH, content("a"), signed, content("b"))["contents"][1] == signed


def test_C2_claude_thinks_speaks_and_calls_in_this_order() -> None:
    turn = assistant(text("b"), use("t1"), thinking("hm", claudes()))
    parts = parts_of(by_anthropic(CLAUDE, said("a"), turn, user(result("t1"))), "model")
    assert [next(iter(part)) for part in parts] == ["text", "text", "functionCall"]
    assert [part.get("thought", False) for part in parts] == [True, False, False]


# -- calls


@pytest.mark.parametrize("model", FAMILIES)
@pytest.mark.parametrize(
    ("given", "arguments"),
    [
        pytest.param('{"a":1}', {"a": 1}, id="C3 text"),
        pytest.param(None, {}, id="C3 null"),
        pytest.param([1, 2], {"value": [1, 2]}, id="C3 array"),
        pytest.param(42, {"value": 42}, id="C3 number"),
        pytest.param("fast", {"value": "fast"}, id="C3 word"),
    ],
)
def test_the_input_of_a_call_is_always_an_object(model: str, given: Any, arguments: JsonObject) -> None:
    request = by_anthropic(model, said("a"), assistant(use("t1", input=given)), user(result("t1")))
    assert [one["args"] for one in calls_of(request)] == [arguments]


def test_C3_without_any_input_the_call_is_made_all_the_same() -> None:
    turn = assistant({"type": "tool_use", "id": "t1", "name": "look"})
    assert [one["args"] for one in calls_of(by_anthropic(CLAUDE, said("a"), turn, user(result("t1"))))] == [{}]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param("{bad", {"INVALID_JSON": "{bad"}, id="C4 broken"),
        pytest.param("", {}, id="C4 empty"),
        pytest.param('{"a": 1}', {"a": 1}, id="whole"),
    ],
)
def test_arguments_are_an_object_even_where_the_model_broke_them(arguments: str, told: JsonObject) -> None:
    request = by_openai(FLASH, said("a"), asked(("1", "look", arguments)), answered("1"))
    assert [one["args"] for one in calls_of(request)] == [told]


@pytest.mark.parametrize("model", FAMILIES)
def test_what_was_called_and_answered_is_never_cleaned(model: str) -> None:
    odd: JsonObject = {"title": "t", "format": "f", "default": 1, "const": 2, "x-y": 3, "cache_control": {"a": None}}
    told = by_anthropic(model, said("a"), assistant(use("t1", input=odd)), user(result("t1")), tools=[tool()])
    assert orjson.dumps(calls_of(told)[0]["args"]) == orjson.dumps(odd)
    native = natively(FLASH, content("a"), content(call(args=odd), role="model"), content(response(response=odd)))
    assert orjson.dumps(calls_of(native)[0]["args"]) == orjson.dumps(odd)
    assert orjson.dumps(responses_of(native)[0]["response"]) == orjson.dumps(odd)


# -- answers


@pytest.mark.parametrize("model", FAMILIES)
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        pytest.param("4 C", "4 C", id="C5 string"),
        pytest.param([text("a")], "a", id="C5 block"),
        pytest.param([text("a"), text("b")], "a\nb", id="C5 blocks"),
        pytest.param([], "", id="C5 no blocks"),
        pytest.param(None, "", id="C5 null"),
        pytest.param({"a": 1}, '{"a":1}', id="object"),
    ],
)
def test_what_a_tool_answered_is_an_object_with_a_result(model: str, answer: Any, told: str) -> None:
    request = by_anthropic(model, said("a"), assistant(use("t1")), user(result("t1", answer)))
    assert responses_of(request) == [{"id": "t1", "name": "look", "response": {"result": told}}]
    orjson.dumps(request)


def test_C5_without_any_content_there_is_an_empty_result() -> None:
    turn = user({"type": "tool_result", "tool_use_id": "t1"})
    (told,) = responses_of(by_anthropic(CLAUDE, said("a"), assistant(use("t1")), turn))
    assert told["response"] == {"result": ""}


def test_what_went_wrong_is_told_as_an_error() -> None:
    turn = user(result("t1", "no such file", is_error=True))
    (told,) = responses_of(by_anthropic(CLAUDE, said("a"), assistant(use("t1")), turn))
    assert told["response"] == {"error": "no such file"}


@pytest.mark.parametrize("model", FAMILIES)
def test_C6_a_picture_that_a_tool_shows_stands_in_its_response(model: str) -> None:
    turn = user(result("t1", [PICTURE, text("seen")]))
    (told,) = responses_of(by_anthropic(model, said("a"), assistant(use("t1")), turn))
    assert (told["response"], told["parts"]) == ({"result": "seen"}, [INLINE])


@pytest.mark.parametrize("model", [*FAMILIES, OSS, "gemini-2.5-flash"])
def test_C7_pictures_do_not_stand_between_responses(model: str) -> None:
    turns = [said("a"), assistant(use("t1"), use("t2")), user(result("t1", [PICTURE]), result("t2", [PICTURE]))]
    kinds = [next(iter(part)) for part in by_anthropic(model, *turns)["contents"][2]["parts"]]
    assert kinds[:2] == ["functionResponse", "functionResponse"]
    assert "functionResponse" not in kinds[2:]


@pytest.mark.parametrize("model", FAMILIES)
@pytest.mark.parametrize(
    "call_id",
    [
        pytest.param("get_weather-call-123", id="C8 with a name in it"),
        pytest.param("toolu_1", id="C8 without"),
        pytest.param("t9", id="C11 alone"),
    ],
)
def test_an_answer_to_nothing_becomes_text(model: str, call_id: str) -> None:
    request = by_anthropic(model, said("a"), assistant(text("b")), user(result(call_id, "4 C"), text("c")))
    assert responses_of(request) == []
    assert parts_of(request, "user")[1:] == [{"text": f"[tool result {call_id}] 4 C"}, {"text": "c"}]
    assert roles_of(request) == ["user", "model", "user"]


def test_C9_calls_without_ids_get_some_and_are_answered_in_order() -> None:
    turns = [
        content("a"),
        content(call(args={"n": 1}), call(args={"n": 2}), role="model"),
        content(response(response={"output": "one"}), response(response={"output": "two"})),
    ]
    request = by_gemini(CLAUDE, *turns)
    first, second = calls_of(request)
    assert first["id"] != second["id"]
    assert [one["id"] for one in responses_of(request)] == [first["id"], second["id"]]
    assert [one["response"] for one in responses_of(request)] == [{"result": "one"}, {"result": "two"}]
    assert by_gemini(CLAUDE, *turns) == request


@pytest.mark.parametrize("model", FAMILIES)
def test_C10_a_call_that_nobody_answered_gets_an_answer(model: str) -> None:
    request = by_anthropic(model, said("a"), assistant(use("t1"), use("t2")), user(result("t2", "two")))
    assert [(one["id"], one["response"]["result"]) for one in responses_of(request)] == [
        ("t1", "(no result)"),
        ("t2", "two"),
    ]
    assert roles_of(request) == ["user", "model", "user"]


@pytest.mark.parametrize("model", FAMILIES)
def test_C12_answers_come_in_the_order_of_the_calls(model: str) -> None:
    turns = [said("a"), asked(("1", "look", "{}"), ("2", "find", "{}")), answered("2", "two"), answered("1", "one")]
    request = by_openai(model, *turns, tools=[function(), function("find")])
    assert [(one["name"], one["response"]["result"]) for one in responses_of(request)] == [
        ("look", "one"),
        ("find", "two"),
    ]
    assert roles_of(request) == ["user", "model", "user"]


@pytest.mark.parametrize("model", FAMILIES)
def test_C13_an_id_that_serves_again_is_paired_within_its_turn(model: str) -> None:
    turns = [said("a"), asked(("1", "look", "{}")), answered("1"), asked(("1", "find", "{}")), answered("1", "two")]
    request = by_openai(model, *turns, tools=[function(), function("find")])
    calls, told = calls_of(request), responses_of(request)
    assert [one["name"] for one in calls] == [one["name"] for one in told] == ["look", "find"]
    assert [one["id"] for one in calls] == [one["id"] for one in told]
    assert len({one["id"] for one in calls}) == 2


# -- turns


def test_C14_the_user_begins() -> None:
    started = [content("b", role="model"), content("c")]
    assert natively(FLASH, *started)["contents"] == [content("."), *started]
    assert by_gemini(CLAUDE, *started)["contents"] == [content("."), *started]
    for model in FAMILIES:
        request = by_anthropic(model, said("b", "assistant"), said("c"))
        assert all(part["text"].strip() for part in parts_of(request))


@pytest.mark.parametrize("model", [CLAUDE, FLASH, "gemini-3.6-flash-high"])
def test_C15_the_user_ends(model: str) -> None:
    request = by_anthropic(model, said("a"), said("Sure: ", "assistant"))
    assert request["contents"] == [content("a")]
    asked_for = read(Anthropic(), {"max_tokens": 9000, "messages": [said("a"), said("b", "assistant")]}, model)
    assert "messages.prefill" in losses(asked_for, find(model)).dropped
    if model != CLAUDE:
        assert natively(model, content("a"), content("b", role="model"))["contents"] == [content("a")]


def test_C16_neighbouring_turns_of_the_model_are_one() -> None:
    pieces = [content("b", role="model"), content(call(), role="model")]
    one = content("b", {**call(), "thoughtSignature": SENTINEL}, role="model")
    assert natively(FLASH, content("a"), *pieces, content(response()))["contents"][1] == one
    for model in FAMILIES:
        request = by_openai(model, said("a"), said("b", "assistant"), asked(("1", "look", "{}")), answered("1"))
        assert roles_of(request) == ["user", "model", "user"]


@pytest.mark.parametrize("model", FAMILIES)
def test_C17_answers_stand_directly_behind_their_calls(model: str) -> None:
    turns = [
        said("a"),
        asked(("1", "look", "{}"), ("2", "look", "{}")),
        answered("1", "one"),
        said("wait"),
        answered("2", "two"),
        said("go"),
    ]
    parts = by_openai(model, *turns, tools=[function()])["contents"][2]["parts"]
    assert [part.get("functionResponse", {}).get("response") for part in parts] == [
        {"result": "one"},
        {"result": "two"},
        None,
        None,
    ]


@pytest.mark.parametrize("model", FAMILIES)
def test_C18_an_answer_of_text_is_that_text(model: str) -> None:
    request = by_openai(model, said("a"), asked(("1", "look", "{}")), answered("1", "sunny"))
    assert responses_of(request)[0]["response"] == {"result": "sunny"}


# -- pictures


@pytest.mark.parametrize("model", FAMILIES)
def test_C19_pictures_of_openais_clients_are_seen(model: str) -> None:
    def shown(url: str) -> JsonObject:
        return parts_of(by_openai(model, user({"type": "image_url", "image_url": {"url": url}})))[0]

    assert shown("data:image/jpeg;base64,AAAA") == {"inlineData": {"mimeType": "image/jpeg", "data": "AAAA"}}
    address = "https://example.com/cat.png"
    assert shown(address) == {"fileData": {"mimeType": "image/png", "fileUri": address}}


@pytest.mark.parametrize("model", FAMILIES)
def test_C20_a_picture_without_its_type_is_told_by_its_data(model: str) -> None:
    def shown(data: str) -> list[JsonObject]:
        source = {"type": "base64", "data": data}
        return parts_of(by_anthropic(model, user({"type": "image", "source": source}, text("what?"))))

    assert shown("/9j/AAAA")[0] == {"inlineData": {"mimeType": "image/jpeg", "data": "/9j/AAAA"}}
    assert shown("aGk=")[0] == INLINE
    assert shown("") == [{"text": "what?"}]


@pytest.mark.parametrize(
    ("size", "config"),
    [
        pytest.param("1024x1536", {"aspectRatio": "2:3", "imageSize": "2K"}, id="C23 upright"),
        pytest.param("0x5", None, id="C23 nothing"),
        pytest.param("5x0", None, id="C23 nothing high"),
        pytest.param("1024x1024", {"aspectRatio": "1:1", "imageSize": "1K"}, id="square"),
        pytest.param("3840x2160", {"aspectRatio": "16:9", "imageSize": "4K"}, id="wide"),
        pytest.param("auto", None, id="a word"),
        pytest.param(5, None, id="a number"),
    ],
)
def test_the_size_of_a_picture_becomes_a_ratio_and_a_class(size: object, config: JsonObject | None) -> None:
    assert image_config(size) == config
    assert config_of(by_openai(PAINTER, size=size)).get("imageConfig") == config
    assert "imageConfig" not in config_of(by_openai(FLASH, size=size))


def test_a_picture_may_be_asked_for_in_its_own_words() -> None:
    asked_for = {"image_config": {"aspect_ratio": "16:9", "image_size": "4K"}}
    wanted = {"aspectRatio": "16:9", "imageSize": "4K"}
    assert config_of(by_openai(PAINTER, **asked_for)) == {"imageConfig": wanted, "candidateCount": 1}
    config = {"imageConfig": wanted, "responseModalities": ["IMAGE"]}
    assert config_of(natively(PAINTER, generationConfig=config)) == {**config, "candidateCount": 1}


SOUND = {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}
PDF = {"type": "file", "file": {"filename": "x.pdf", "file_data": "data:application/pdf;base64,aGk="}}
FILM = {"type": "file", "file": {"filename": "x.mp4", "file_data": "data:video/mp4;base64,aGk="}}
PHOTO = {"type": "image_url", "image_url": {"url": "data:image/heic;base64,aGk="}}
DRAWING = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}


@pytest.mark.parametrize(
    ("model", "block", "note"),
    [
        pytest.param(OSS, DRAWING, "image", id="GPT-OSS sees nothing"),
        pytest.param(OSS, PDF, "document", id="GPT-OSS reads no PDF"),
        pytest.param(OSS, SOUND, "audio", id="GPT-OSS hears nothing"),
        pytest.param(CLAUDE, SOUND, "audio", id="Claude hears nothing"),
        pytest.param(CLAUDE, FILM, "document", id="Claude watches no film"),
        pytest.param(CLAUDE, PHOTO, "image", id="Claude does not see this kind"),
        pytest.param(CLAUDE, DRAWING, None, id="Claude sees"),
        pytest.param(CLAUDE, PDF, None, id="Claude reads PDF"),
        pytest.param(FLASH, SOUND, None, id="Gemini hears"),
        pytest.param(FLASH, FILM, None, id="Gemini watches"),
        pytest.param(FLASH, PHOTO, None, id="Gemini sees"),
    ],
)
def test_a_note_stands_for_what_a_model_cannot_read(model: str, block: JsonObject, note: str | None) -> None:
    told = parts_of(by_openai(model, user(block)))[-1]
    assert told == {"text": f"[{note} omitted]"} if note else "inlineData" in told
    request = read(OpenAIChat(), {"messages": [user(block)]}, model)
    lost = losses(request, find(model)).dropped
    assert lost == ((f"messages.{note}",) if note else ())


def test_a_note_stands_in_what_a_tool_answered_too() -> None:
    turns = [said("a"), assistant(use("t1")), user(result("t1", [PICTURE, text("seen")]))]
    (told,) = responses_of(by_anthropic(OSS, *turns))
    assert told == {"id": "t1", "name": "look", "response": {"result": "[image omitted]\nseen"}}


# -- output as JSON


@pytest.mark.parametrize("model", FAMILIES)
def test_C24_a_schema_for_the_answer_is_put_into_what_the_wire_takes(model: str) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "object", "properties": {}}, "b": {"type": "string", "minLength": 2}},
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    config = config_of(by_openai(model, response_format=wanted))
    assert config["responseMimeType"] == "application/json"
    assert "responseJsonSchema" not in config
    assert names_in(config["responseSchema"]) & {"_", "reason", "minLength"} == set()
    assert config["responseSchema"]["properties"].keys() == {"a", "b"}
    native = config_of(natively(FLASH, generation_config={"response_json_schema": schema}))
    assert native["responseSchema"] == config["responseSchema"]


@pytest.mark.parametrize("model", [CLAUDE, FLASH, OSS])
def test_C24_other_makers_models_are_told_the_format_in_words_too(model: str) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    system = system_of(by_openai(model, said("be brief", "system"), said("a"), response_format=wanted))
    told = orjson.dumps(schema).decode()
    expected = ["be brief"] if model == FLASH else ["be brief", f"{AS_JSON} It must fit this JSON Schema:\n{told}"]
    assert system == expected
    loose = system_of(by_openai(model, said("a"), response_format={"type": "json_object"}))
    assert loose == ([] if model == FLASH else [AS_JSON])


def test_what_cannot_be_read_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(InvalidRequestError, match=r"messages\[0\]"):
        by_anthropic(CLAUDE, user({"type": "image", "source": {"type": "base64", "data": 5}}))
