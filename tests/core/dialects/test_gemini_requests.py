"""Requests of the Gemini dialect: what clients write is read, and what other clients said is written."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from core.dialects.gemini_samples import (
    ANSWER,
    CLASSIC,
    GEMINI,
    GENERATE_REQUEST,
    NEWEST,
    OLDER,
    REQUEST,
    check_request,
)

from aigateway_core.dialects.anthropic import Anthropic
from aigateway_core.dialects.gemini import Gemini, GeminiProfile
from aigateway_core.errors import InvalidRequestError, UnsupportedFeatureError
from aigateway_core.jsontext import dumps, loads_object
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

ASKED: JsonObject = {"role": "user", "parts": [{"text": "hi"}]}
HI = Message("user", (TextPart("hi"),))


def body(*contents: JsonObject, **fields: Any) -> JsonObject:
    return {"model": "m", "contents": list(contents) or [ASKED], **fields}


def config(**fields: Any) -> ChatRequest:
    return GEMINI.decode_request(body(generationConfig=fields))


def sent(*messages: Message, model: str = NEWEST, **fields: Any) -> JsonObject:
    written = GEMINI.encode_request(ChatRequest(model=model, messages=messages or (HI,), **fields))
    check_request(written)
    return written


def contents(*messages: Message, model: str = NEWEST, **fields: Any) -> Any:
    return sent(*messages, model=model, **fields)["contents"]


# -- from clients


def test_every_field_of_a_request_is_read() -> None:
    request = GEMINI.decode_request(GENERATE_REQUEST)
    assert (request.model, request.stream, request.system) == ("gemini-4-flash", True, ("Be kind",))
    asked, answered, results = request.messages
    assert asked.parts == (
        TextPart("hi"),
        ImagePart("image/png", "aW1n"),
        AudioPart("c25k", "mp3"),
        DocumentPart("application/pdf", url="https://a.test/a.pdf"),
    )
    assert answered.parts[:4] == (
        ThinkingPart("hm", "c2ln", "gemini"),
        TextPart("ok"),
        ThinkingPart("", "c2lnMg==", "gemini"),
        ThinkingPart("", origin="gemini", redacted="c2lnMw=="),
    )
    first, second = (part for part in answered.parts if isinstance(part, ToolCallPart))
    assert results.parts == (
        ToolResultPart(first.id, (TextPart("1"),)),
        ToolResultPart("c2", (TextPart("boom"),), is_error=True),
    )
    assert second.id == "c2"
    assert request.tools == (
        Tool("w", "d", {"type": "object", "properties": {"a": {}}}),
        HostedTool("googleSearch", "googleSearch", {}),
    )
    assert request.tool_choice == ToolChoice("required", ("w",))
    assert (request.max_tokens, request.temperature, request.top_k, request.stop) == (100, 1, 40, ("END",))
    assert request.reasoning == Reasoning("high", summary=True)
    schema = {"type": "object", "properties": {"x": {"type": ["string", "null"]}}}
    assert request.response_format == ResponseFormat("json_schema", schema=schema)
    assert request.extra == {"safetySettings": GENERATE_REQUEST["safetySettings"]}


@pytest.mark.parametrize("spelling", ["toolConfig", "tool_config"])
def test_where_google_is_to_search_is_named_among_what_is_lost(spelling: str) -> None:
    wish = {"functionCallingConfig": {"mode": "AUTO"}, "retrievalConfig": {"languageCode": "de"}}
    request = GEMINI.decode_request(body(**{spelling: wish}))
    assert request.extra == {"toolConfig.retrievalConfig": {"languageCode": "de"}}


def test_the_same_request_in_snake_case_is_the_same_request() -> None:
    snake = {
        "model": "m",
        "system_instruction": {"parts": [{"text": "S"}]},
        "contents": [
            ASKED,
            {"role": "model", "parts": [{"function_call": {"name": "w"}, "thought_signature": "c2ln"}]},
            {"role": "user", "parts": [{"function_response": {"name": "w", "response": {"result": "1"}}}]},
        ],
        "tools": [{"function_declarations": [{"name": "w", "parameters_json_schema": {"type": "object"}}]}],
        "tool_config": {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["w"]}},
        "generation_config": {
            "max_output_tokens": 9,
            "top_p": 0.5,
            "stop_sequences": ["END"],
            "candidate_count": 2,
            "response_logprobs": True,
            "response_mime_type": "application/json",
            "response_json_schema": {"type": "OBJECT"},
            "thinking_config": {"thinking_budget": 512, "include_thoughts": True},
        },
    }
    camel = {
        "model": "m",
        "systemInstruction": {"parts": [{"text": "S"}]},
        "contents": [
            ASKED,
            {"role": "model", "parts": [{"functionCall": {"name": "w", "args": {}}, "thoughtSignature": "c2ln"}]},
            {"role": "function", "parts": [{"functionResponse": {"name": "w", "response": {"output": "1"}}}]},
        ],
        "tools": [{"functionDeclarations": [{"name": "w", "parametersJsonSchema": {"type": "OBJECT"}}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "any", "allowedFunctionNames": ["w"]}},
        "generationConfig": {
            "maxOutputTokens": 9,
            "topP": 0.5,
            "stopSequences": ["END"],
            "candidateCount": 2,
            "responseLogprobs": True,
            "responseMimeType": "application/json",
            "responseJsonSchema": {"type": "object"},
            "thinkingConfig": {"thinkingBudget": 512, "includeThoughts": True},
        },
    }
    assert GEMINI.decode_request(snake) == GEMINI.decode_request(camel)
    assert GEMINI.decode_request(snake).extra == {}


@pytest.mark.parametrize(
    ("thinking", "expected"),
    [
        ({"thinkingLevel": "LOW"}, Reasoning("low", summary=False)),
        ({"thinkingBudget": 0}, Reasoning("none", summary=False)),
        ({"thinkingBudget": -1, "includeThoughts": True}, Reasoning()),
        ({"thinkingBudget": 100, "includeThoughts": True}, Reasoning(budget=100)),
        ({"includeThoughts": True}, Reasoning()),
        ({"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}, Reasoning(summary=False)),
        (None, None),
    ],
)
def test_the_wish_to_think_is_read(thinking: Any, expected: Reasoning | None) -> None:
    assert config(thinkingConfig=thinking).reasoning == expected


@pytest.mark.parametrize(
    ("response", "text", "failed"),
    [
        ({"output": "sunny"}, "sunny", False),
        ({"result": {"t": 5}}, '{"t":5}', False),
        ({"t": 5, "u": 6}, '{"t":5,"u":6}', False),
        ({"error": "boom"}, "boom", True),
        ({"error": None, "output": "x"}, '{"error":null,"output":"x"}', False),
        ({"output": 0}, "0", False),
        ({"output": ""}, None, False),
        ({}, None, False),
        (None, None, False),
    ],
)
def test_what_a_function_answered_is_read(response: Any, text: str | None, failed: bool) -> None:
    called = {"role": "model", "parts": [{"functionCall": {"name": "w", "id": "a"}}]}
    answer = {"role": "user", "parts": [{"functionResponse": {"name": "w", "id": "a", "response": response}}]}
    result = GEMINI.decode_request(body(ASKED, called, answer)).messages[2].parts[0]
    assert result == ToolResultPart("a", () if text is None else (TextPart(text),), failed)


def test_pictures_that_a_function_answered_are_read() -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "aW1n"}}
    called = {"role": "model", "parts": [{"functionCall": {"name": "w", "id": "a"}}]}
    response = {"name": "w", "response": {"output": "see"}, "parts": [picture]}
    request = GEMINI.decode_request(body(ASKED, called, {"role": "user", "parts": [{"functionResponse": response}]}))
    assert request.messages[2].parts == (ToolResultPart("a", (TextPart("see"), ImagePart("image/png", "aW1n"))),)


def test_responses_stand_behind_their_calls_and_what_was_said_beside_them_follows() -> None:
    called = {"role": "model", "parts": [{"functionCall": {"name": "w"}}, {"functionCall": {"name": "v"}}]}
    mixed = {"role": "user", "parts": [{"text": "so"}, {"functionResponse": {"name": "w", "response": {}}}]}
    late = {"role": "user", "parts": [{"functionResponse": {"name": "v", "response": {}}}]}
    turns = GEMINI.decode_request(body(ASKED, called, mixed, late)).messages
    assert [turn.role for turn in turns] == ["user", "assistant", "tool", "user"]
    assert [part.call_id for part in turns[2].parts] == [part.id for part in turns[1].parts]


def test_the_chunks_of_a_stream_that_a_client_kept_are_one_turn() -> None:
    pieces = [{"text": "h", "thought": True}, {"text": "m", "thought": True}, {"text": "hel"}, {"text": "lo"}]
    chunks = [{"role": "model", "parts": [piece]} for piece in pieces]
    turn = GEMINI.decode_request(body(ASKED, *chunks)).messages[1]
    assert turn.parts == (ThinkingPart("hm", origin="gemini"), TextPart("hello"))


@pytest.mark.parametrize("value", ["skip_thought_signature_validator", "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="])
def test_a_placeholder_is_no_signature(value: str) -> None:
    called = {"role": "model", "parts": [{"functionCall": {"name": "w"}, "thoughtSignature": value}]}
    assert [type(part) for part in GEMINI.decode_request(body(ASKED, called)).messages[1].parts] == [ToolCallPart]


def test_code_that_google_ran_is_told_as_text() -> None:
    ran = [{"executableCode": {"language": "PYTHON", "code": "1+1"}}, {"codeExecutionResult": {"output": "2"}}]
    turn = GEMINI.decode_request(body(ASKED, {"role": "model", "parts": ran})).messages[1]
    assert "1+1" in turn.text
    assert "2" in turn.text


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"contents": None}, "contents"),
        ({"contents": []}, "contents"),
        ({"contents": ["hi"]}, r"contents\[0\]"),
        ({"contents": [{"role": "assistant", "parts": []}]}, r"contents\[0\]\.role"),
        ({"contents": [{"parts": [5]}]}, r"contents\[0\]\.parts\[0\]"),
        ({"contents": [{"parts": [{"text": 5}]}]}, r"contents\[0\]\.parts\[0\]\.text"),
        ({"contents": [{"parts": [{"inline_data": {"data": 5}}]}]}, r"contents\[0\]\.parts\[0\]\.inlineData\.data"),
        (
            {"contents": [{"role": "model", "parts": [{"functionCall": {}}]}]},
            r"contents\[0\]\.parts\[0\]\.functionCall\.name",
        ),
        ({"contents": {"role": "assistant", "parts": []}}, r"contents\.role"),
        ({"contents": {"parts": {"text": 5}}}, r"contents\.parts\.text"),
        ({"contents": {"parts": {"functionResponse": {}}}}, r"contents\.parts\.functionResponse\.name"),
        ({"systemInstruction": {"parts": {"text": 5}}}, r"systemInstruction\.parts\.text"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"functionDeclarations": [{}]}]}, r"tools\[0\]\.functionDeclarations\[0\]\.name"),
        ({"toolConfig": {"functionCallingConfig": {"mode": "MAYBE"}}}, r"toolConfig\.functionCallingConfig\.mode"),
        ({"generationConfig": {"topK": "many"}}, r"generationConfig\.topK"),
        ({"generationConfig": {"thinkingConfig": {"thinkingBudget": -5}}}, r"thinkingConfig\.thinkingBudget"),
        ({"generationConfig": {"stopSequences": "END"}}, r"generationConfig\.stopSequences"),
        ({"systemInstruction": {"parts": [{"text": 5}]}}, r"systemInstruction\.parts\[0\]\.text"),
        ({"model": ""}, "model"),
    ],
)
def test_what_is_wrong_is_named_with_its_path(wrong: JsonObject, path: str) -> None:
    with pytest.raises(InvalidRequestError, match=rf"{path}: "):
        GEMINI.decode_request(body() | wrong)


@pytest.mark.parametrize(
    "asked",
    [{"cachedContent": "cachedContents/1"}, {"generationConfig": {"responseModalities": ["TEXT", "IMAGE"]}}],
)
def test_what_google_alone_can_honour_is_refused(asked: JsonObject) -> None:
    with pytest.raises(UnsupportedFeatureError):
        GEMINI.decode_request(body(**asked))
    assert GEMINI.native_request(body(**asked), "gemini-4")[next(iter(asked))] == next(iter(asked.values()))


def test_sound_as_output_is_refused_by_whoever_has_no_place_for_it() -> None:
    request = config(responseModalities=["AUDIO"], speechConfig={})
    assert request.extra == {"generationConfig.speechConfig": {}}
    assert "audio_output" in Anthropic().losses(request).refused


def test_the_endpoint_puts_model_and_stream_into_the_body() -> None:
    given = {**GENERATE_REQUEST, "model": "alias", "stream": False}
    assert (GEMINI.peek(given).model, GEMINI.peek(given).stream) == ("alias", False)
    with pytest.raises(InvalidRequestError, match="model: this field is required"):
        GEMINI.peek({"contents": [ASKED]})
    with pytest.raises(InvalidRequestError, match="contents: this field is required"):
        GEMINI.peek({"model": "m"})


# -- to an upstream


def test_neither_model_nor_stream_is_written() -> None:
    assert sent(stream=True).keys() == {"contents"}


@pytest.mark.parametrize(
    ("wish", "model", "expected"),
    [
        (Reasoning("high"), NEWEST, {"thinkingLevel": "HIGH", "includeThoughts": True}),
        (Reasoning("max", summary=False), NEWEST, {"thinkingLevel": "HIGH", "includeThoughts": False}),
        (Reasoning("medium"), "gemini-3-pro-preview", {"thinkingLevel": "LOW", "includeThoughts": True}),
        (Reasoning("medium"), "models/gemini-3.1-pro", {"thinkingLevel": "MEDIUM", "includeThoughts": True}),
        (Reasoning("minimal"), "gemini-3.1-pro", {"thinkingLevel": "LOW", "includeThoughts": True}),
        (Reasoning("none"), NEWEST, {"thinkingLevel": "MINIMAL", "includeThoughts": False}),
        (Reasoning(budget=8192), NEWEST, {"thinkingLevel": "MEDIUM", "includeThoughts": True}),
        (Reasoning(budget=10**6), NEWEST, {"thinkingLevel": "HIGH", "includeThoughts": True}),
        (Reasoning(), NEWEST, {"includeThoughts": True}),
        (Reasoning("high"), OLDER, {"thinkingBudget": 24576, "includeThoughts": True}),
        (Reasoning("max"), OLDER, {"thinkingBudget": 24576, "includeThoughts": True}),
        (Reasoning("max"), "gemini-2.5-pro", {"thinkingBudget": 32768, "includeThoughts": True}),
        (Reasoning("none"), OLDER, {"thinkingBudget": 0, "includeThoughts": False}),
        (Reasoning("none"), "gemini-2.5-pro", {"thinkingBudget": 128, "includeThoughts": False}),
        (Reasoning(budget=5), "gemini-2.5-flash-lite", {"thinkingBudget": 512, "includeThoughts": True}),
    ],
)
def test_effort_becomes_what_the_model_understands(wish: Reasoning, model: str, expected: JsonObject) -> None:
    assert sent(model=model, reasoning=wish)["generationConfig"]["thinkingConfig"] == expected


def test_a_model_that_cannot_think_is_not_asked_to() -> None:
    request = ChatRequest(model="gemini-2.0-flash", messages=(HI,), reasoning=Reasoning("high"))
    assert "generationConfig" not in GEMINI.encode_request(request)
    assert GEMINI.losses(request).dropped == ("reasoning",)


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (ImagePart(data="aW1n"), {"inlineData": {"mimeType": "image/png", "data": "aW1n"}}),
        (
            ImagePart(url="https://a.test/i.webp"),
            {"fileData": {"mimeType": "image/webp", "fileUri": "https://a.test/i.webp"}},
        ),
        (ImagePart(url="https://a.test/i"), {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://a.test/i"}}),
        (DocumentPart(data="cGRm"), {"inlineData": {"mimeType": "application/pdf", "data": "cGRm"}}),
        (DocumentPart(text="T", title="N"), {"text": "[N]\nT"}),
        (AudioPart("c25k", "wav"), {"inlineData": {"mimeType": "audio/wav", "data": "c25k"}}),
    ],
)
def test_attachments_are_written(part: Part, expected: JsonObject) -> None:
    assert contents(Message("user", (part,))) == [{"role": "user", "parts": [expected]}]


def test_no_part_and_no_turn_is_empty() -> None:
    empty = Message("user", (TextPart(""),))
    assert contents(empty) == [{"role": "user", "parts": [{"text": "."}]}]
    assert contents(empty, HI, Message("assistant", (TextPart(""),)), HI) == [ASKED, ASKED]


def test_a_history_that_begins_with_the_model_gets_a_beginning() -> None:
    written = contents(Message("assistant", (TextPart("ok"),)), HI)
    assert [content["role"] for content in written] == ["user", "model", "user"]


def test_neighbouring_turns_of_the_model_are_one() -> None:
    call = ToolCallPart("a", "w", "{}")
    written = contents(HI, Message("assistant", (TextPart("ok"),)), Message("assistant", (call,)))
    assert [content["role"] for content in written] == ["user", "model", "user"]
    assert written[2]["parts"][0]["functionResponse"]["response"] == {"output": "(no result)"}


def test_text_of_the_system_stays_in_its_place_or_goes_to_the_instruction() -> None:
    late = Message("system", (TextPart("Rule"),))
    written = sent(HI, late, HI, system=("S",))
    assert written["systemInstruction"] == {"parts": [{"text": "S"}]}
    assert written["contents"][1]["parts"] == [{"text": "<system-reminder>\nRule\n</system-reminder>"}]
    upfront = Gemini(GeminiProfile(late_system="instruction"))
    written = upfront.encode_request(ChatRequest(model=NEWEST, messages=(HI, late, HI), system=("S",)))
    assert written["systemInstruction"] == {"parts": [{"text": "S"}, {"text": "Rule"}]}
    assert written["contents"] == [ASKED, ASKED]


def test_results_with_pictures_hold_them_or_are_followed_by_them() -> None:
    call = Message("assistant", (ToolCallPart("a", "w", "{}"),))
    result = Message("tool", (ToolResultPart("a", (TextPart("see"), ImagePart("image/png", "aW1n"))),))
    picture = {"inlineData": {"mimeType": "image/png", "data": "aW1n"}}
    newest = contents(HI, call, result)
    assert newest[2]["parts"][0]["functionResponse"]["parts"] == [picture]
    older = contents(HI, call, result, model=OLDER)
    assert older[2]["parts"] == [{"functionResponse": {"id": "a", "name": "w", "response": {"output": "see"}}}]
    assert older[3]["parts"][1] == picture


def test_a_failed_result_says_so() -> None:
    call = Message("assistant", (ToolCallPart("a", "w", "{}"),))
    written = contents(HI, call, Message("tool", (ToolResultPart("a", (TextPart("boom"),), is_error=True),)))
    assert written[2]["parts"][0]["functionResponse"]["response"] == {"error": "boom"}


def test_broken_arguments_that_a_model_once_wrote_are_told_as_they_were() -> None:
    written = contents(HI, Message("assistant", (ToolCallPart("a", "w", '{"a":'),)))
    assert written[1]["parts"][0]["functionCall"]["args"] == {"INVALID_JSON": '{"a":'}


@pytest.mark.parametrize("name", ["my tool!", "9lives", "-x", "n" * 70, "a.b"])
def test_names_are_made_legal_and_restored(name: str) -> None:
    call = Message("assistant", (ToolCallPart("a", name, "{}"),))
    tools = (Tool(name), Tool("w"))
    written = sent(HI, call, tools=tools, tool_choice=ToolChoice("required", (name,)))
    legal = written["tools"][0]["functionDeclarations"][0]["name"]
    assert legal != name
    assert len(legal) <= 64
    assert legal.replace("-", "_").isidentifier()
    assert written["contents"][1]["parts"][0]["functionCall"]["name"] == legal
    assert written["contents"][2]["parts"][0]["functionResponse"]["name"] == legal
    assert written["toolConfig"]["functionCallingConfig"]["allowedFunctionNames"] == [legal]
    answer = {"candidates": [{"content": {"parts": [{"functionCall": {"name": legal}}]}, "finishReason": "STOP"}]}
    request = ChatRequest(model="m", messages=(HI,), tools=tools)
    (part,) = GEMINI.decode_response(answer, request).parts
    assert isinstance(part, ToolCallPart)
    assert (part.name, part.arguments) == (name, "{}")


def test_tools_are_declared_once_in_one_entry() -> None:
    search = HostedTool("googleSearch", "googleSearch", {})
    foreign = HostedTool("web_search_20250305", "web_search", {})
    request = ChatRequest(model=NEWEST, messages=(HI,), tools=(Tool("w"), search, Tool("w", "again"), foreign))
    written = GEMINI.encode_request(request)["tools"]
    schema = {"type": "object", "properties": {}}
    assert written == [
        {"functionDeclarations": [{"name": "w", "parametersJsonSchema": schema}]},
        {"googleSearch": {}},
    ]
    assert GEMINI.losses(request).dropped == ("tools.web_search_20250305",)


def test_a_choice_without_functions_is_not_written() -> None:
    request = ChatRequest(model=NEWEST, messages=(HI,), tool_choice=ToolChoice("required", ("w",)))
    assert "toolConfig" not in GEMINI.encode_request(request)
    assert GEMINI.losses(request).dropped == ("tool_choice",)


def test_a_narrowed_free_choice_is_a_validated_one() -> None:
    written = sent(tools=(Tool("w"), Tool("v")), tool_choice=ToolChoice("auto", ("w",)))
    assert written["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED", "allowedFunctionNames": ["w"]}}


def test_schemas_go_in_the_form_that_the_vendor_takes() -> None:
    schema = {"type": "object", "properties": {"a": {"type": ["string", "null"], "$comment": "c"}}}
    wanted = ResponseFormat("json_schema", schema=schema)
    request = ChatRequest(model=NEWEST, messages=(HI,), tools=(Tool("w", None, schema),), response_format=wanted)
    modern, classic = GEMINI.encode_request(request), CLASSIC.encode_request(request)
    for written in (modern, classic):
        check_request(written)
    assert modern["tools"][0]["functionDeclarations"][0] == {"name": "w", "parametersJsonSchema": schema}
    assert modern["generationConfig"]["responseJsonSchema"] == schema
    message = {"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": True}}}
    assert classic["tools"][0]["functionDeclarations"][0] == {"name": "w", "parameters": message}
    assert classic["generationConfig"]["responseSchema"] == message


def test_what_this_api_lacks_is_named() -> None:
    request = attrs.evolve(
        REQUEST,
        n=2,
        logprobs=True,
        user="u",
        metadata={"a": "b"},
        verbosity="low",
        tools=(Tool("w"),),
        parallel_tool_calls=False,
        stop=tuple("abcdef"),
        extra={"speed": "fast"},
    )
    losses = GEMINI.losses(request)
    assert set(losses.dropped) == {"parallel_tool_calls", "user", "metadata", "verbosity", "stop", "speed"}
    assert set(losses.refused) == {"n", "logprobs"}
    assert GEMINI.encode_request(request)["generationConfig"]["stopSequences"] == list("abcde")


@pytest.mark.parametrize(("model", "refused"), [(NEWEST, ()), (OLDER, ("response_format",))])
def test_an_older_model_cannot_be_asked_for_json_and_functions_at_once(model: str, refused: tuple[str, ...]) -> None:
    request = ChatRequest(model=model, messages=(HI,), response_format=ResponseFormat("json_object"))
    assert GEMINI.losses(request).refused == ()
    assert GEMINI.losses(attrs.evolve(request, tools=(Tool("w"),))).refused == refused


# -- the native path


def test_a_native_request_keeps_all_but_model_and_stream() -> None:
    relayed = GEMINI.native_request({**GENERATE_REQUEST, "model": "alias", "unknown": {"a": 1}}, "gemini-4")
    assert relayed == {
        **{k: v for k, v in GENERATE_REQUEST.items() if k not in ("model", "stream")},
        "unknown": {"a": 1},
    }


def test_a_native_answer_has_the_clients_name_for_the_model() -> None:
    answer = GEMINI.native_response(dumps({**ANSWER, "createTime": "now"}), "mine")
    assert loads_object(answer.body) == {**ANSWER, "createTime": "now", "modelVersion": "mine"}
    assert answer.finish_reason == "tool_calls"
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (29, 212)


def test_a_message_without_parts_can_be_asked_for_its_losses() -> None:
    request = ChatRequest(model="gemini-4", messages=(Message("assistant", ()), Message("user", (TextPart("hi"),))))
    assert GEMINI.losses(request).refused == ()


def test_a_kind_of_picture_that_gemini_does_not_read_leaves_a_note() -> None:
    gif = ImagePart("image/gif", "R0lGODlh")
    assert contents(Message("user", (TextPart("see"), gif)))[0]["parts"] == [
        {"text": "see"},
        {"text": "[image omitted]"},
    ]
    call = Message("assistant", (ToolCallPart("a", "w", "{}"),))
    result = Message("tool", (ToolResultPart("a", (TextPart("see"), gif)),))
    for model in (NEWEST, OLDER):
        (part,) = contents(HI, call, result, model=model)[2]["parts"]
        assert part["functionResponse"]["response"] == {"output": "see\n[image omitted]"}
        assert "parts" not in part["functionResponse"]


@pytest.mark.parametrize(
    ("seed", "sent"), [(7, 7), (2**31 - 1, 2**31 - 1), (2**31, -(2**31)), (2**40 + 7, 7), (-1, -1)]
)
def test_a_seed_is_sent_in_the_bits_that_there_are(seed: int, sent: int) -> None:
    body = Gemini().encode_request(ChatRequest(model="gemini-3-flash", messages=(HI,), seed=seed))
    assert body["generationConfig"] == {"seed": sent}
