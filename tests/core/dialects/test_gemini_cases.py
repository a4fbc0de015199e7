"""Numbered cases 136–147, and others of the sheet that name Gemini."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from core.dialects.gemini_samples import (
    ANSWER,
    ARRAY,
    GEMINI,
    REQUEST,
    chunk,
    chunks_of,
    decoded,
    encoded,
    over_the_wire,
    read,
    wire,
    with_model,
)
from core.dialects.sheet import ANTHROPIC, GLM, HI, MISSING, OPENAI, Including, Matching, case, picked

from aigateway_core.dialects.dialect import Dialect
from aigateway_core.errors import ErrorKind, GatewayError, UnknownModelError, UpstreamError, UpstreamFailure
from aigateway_core.events import StreamFinish, StreamStart, TextDelta
from aigateway_core.model import (
    AudioPart,
    ChatResponse,
    DocumentPart,
    ImagePart,
    JsonObject,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
    Usage,
)

ASKED = {"role": "user", "parts": [{"text": "hi"}]}
W: JsonObject = {"functionDeclarations": [{"name": "w"}, {"name": "v"}]}


def model(*parts: JsonObject) -> JsonObject:
    return {"role": "model", "parts": list(parts)}


def user(*parts: JsonObject) -> JsonObject:
    return {"role": "user", "parts": list(parts)}


def calling(name: str, /, args: JsonObject | None = None, **fields: Any) -> JsonObject:
    return {"functionCall": {"name": name, "args": args or {}, **fields}}


def responding(name: str, output: str = "1", **fields: Any) -> JsonObject:
    return {"functionResponse": {"name": name, "response": {"output": output}, **fields}}


def turns(*contents: JsonObject) -> Any:
    return GEMINI.decode_request({"model": "m", "contents": [ASKED, *contents]}).messages[1:]


# -- 136: calls and responses without ids


def test_case_136_ids_are_given_first_in_first_out_by_name_and_are_the_same_again() -> None:
    contents = (
        model(calling("w", {"n": 1}), calling("v"), calling("w", {"n": 2})),
        user(responding("w", "first"), responding("w", "second"), responding("v", "other")),
    )
    asked, answered = turns(*contents)
    ids = [part.id for part in asked.parts]
    assert len(set(ids)) == 3
    told = {part.call_id: part.content[0].text for part in answered.parts}
    assert told == {ids[0]: "first", ids[2]: "second", ids[1]: "other"}
    assert turns(*contents) == (asked, answered)
    assert turns(*contents, ASKED, model(calling("w")), user(responding("w")))[:2] == (asked, answered)


def test_case_136_explicit_ids_are_kept() -> None:
    asked, answered = turns(
        model(calling("w", id="a"), calling("w", id="b")),
        user(responding("w", "second", id="b"), responding("w", "first", id="a")),
    )
    assert [part.id for part in asked.parts] == ["a", "b"]
    assert {part.call_id: part.content[0].text for part in answered.parts} == {"a": "first", "b": "second"}


def test_case_136_an_extra_response_gets_an_id_of_its_own() -> None:
    asked, answered = turns(model(calling("w")), user(responding("w", "first"), responding("w", "second")))
    first, second = answered.parts
    assert first.call_id == asked.parts[0].id != second.call_id
    assert second.call_id
    # Nowhere is it sent as a result without a call, which every vendor refuses.
    request = GEMINI.decode_request(
        {"model": "m", "contents": [ASKED, model(calling("w")), user(responding("w"), responding("w", "second"))]}
    )
    sent = GEMINI.encode_request(request)["contents"]
    assert sum("functionResponse" in part for content in sent for part in content["parts"]) == 1
    assert "second" in sent[-1]["parts"][0]["text"]


def test_case_136_an_id_that_is_used_again_belongs_to_its_own_turn() -> None:
    first, one, _, second, two = turns(
        model(calling("w", id="a")),
        user(responding("w", "1", id="a")),
        ASKED,
        model(calling("v", id="a")),
        user(responding("v", "2", id="a")),
    )
    assert [part.content[0].text for part in one.parts] == ["1"]
    assert [part.content[0].text for part in two.parts] == ["2"]
    assert (first.parts[0].name, second.parts[0].name) == ("w", "v")
    contents = GEMINI.encode_request(
        GEMINI.decode_request(
            {
                "model": "m",
                "contents": [
                    ASKED,
                    model(calling("w", id="a")),
                    user(responding("w", id="a")),
                    ASKED,
                    model(calling("v", id="a")),
                    user(responding("v", id="a")),
                ],
            }
        )
    )["contents"]
    names = [
        part["functionResponse"]["name"]
        for content in contents
        for part in content["parts"]
        if "functionResponse" in part
    ]
    assert names == ["w", "v"]


# -- 137: thoughts in the history


@pytest.mark.parametrize("target", [case(137, "to_chat", OPENAI), case(137, "to_messages", ANTHROPIC)])
def test_thoughts_in_the_history_are_dropped(target: Dialect) -> None:
    thoughts = {"text": "hm", "thought": True}
    body = {"model": "m", "contents": [ASKED, model(thoughts, {"text": "ok"}), ASKED, model(thoughts), ASKED]}
    sent = target.encode_request(GEMINI.decode_request(body))["messages"]
    assert b"hm" not in orjson.dumps(sent)
    assert [turn["role"] for turn in sent] == ["user", "assistant", "user", "user"]


# -- 138: attachments in either spelling

IMAGE = ImagePart("image/png", "aW1n")


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        case(138, "camel", {"inlineData": {"mimeType": "image/png", "data": "aW1n"}}, IMAGE),
        case(138, "snake", {"inline_data": {"mime_type": "image/png", "data": "aW1n"}}, IMAGE),
        case(138, "wav", {"inlineData": {"mimeType": "audio/wav", "data": "c25k"}}, AudioPart("c25k", "wav")),
        case(138, "mp3", {"inlineData": {"mimeType": "audio/mpeg", "data": "c25k"}}, AudioPart("c25k", "mp3")),
        case(
            138,
            "pdf",
            {"inline_data": {"mime_type": "application/pdf", "data": "cGRm"}},
            DocumentPart("application/pdf", "cGRm"),
        ),
        case(
            138, "base64url", {"inlineData": {"mimeType": "image/png", "data": "_-8"}}, ImagePart("image/png", "/+8=")
        ),
        case(138, "no_type", {"inlineData": {"data": "aW1n"}}, IMAGE),
        case(
            138,
            "file",
            {"file_data": {"mime_type": "image/png", "file_uri": "https://a.test/i"}},
            ImagePart("image/png", url="https://a.test/i"),
        ),
        case(
            138,
            "file_in_googles_store",
            {"fileData": {"mimeType": "application/pdf", "fileUri": "gs://b/a.pdf"}},
            DocumentPart("application/pdf", file_id="gs://b/a.pdf"),
        ),
    ],
)
def test_attachments_are_told_by_their_type(part: JsonObject, expected: object) -> None:
    request = GEMINI.decode_request({"model": "m", "contents": [{"parts": [part]}]})
    assert request.messages[0].parts == (expected,)


# -- 139: the choice


@pytest.mark.parametrize(
    ("config", "expected", "chat"),
    [
        case(
            139,
            "one_name",
            {"mode": "ANY", "allowedFunctionNames": ["w"]},
            ToolChoice("required", ("w",)),
            {"type": "function", "function": {"name": "w"}},
        ),
        case(
            139,
            "two_names",
            {"mode": "ANY", "allowed_function_names": ["w", "v"]},
            ToolChoice("required", ("w", "v")),
            Including({"type": "allowed_tools", "allowed_tools": Including({"mode": "required"})}),
        ),
        case(139, "any", {"mode": "ANY"}, ToolChoice("required"), "required"),
        case(139, "auto", {"mode": "AUTO"}, ToolChoice("auto"), "auto"),
        case(139, "validated", {"mode": "VALIDATED"}, ToolChoice("auto"), "auto"),
        case(139, "unsaid", {"mode": "MODE_UNSPECIFIED"}, ToolChoice("auto"), "auto"),
        case(139, "none", {"mode": "NONE"}, ToolChoice("none"), "none"),
    ],
)
def test_the_choice_of_functions_is_kept(config: JsonObject, expected: ToolChoice, chat: Any) -> None:
    body = {"model": "m", "contents": [ASKED], "tools": [W], "toolConfig": {"functionCallingConfig": config}}
    request = GEMINI.decode_request(body)
    assert request.tool_choice == expected
    assert OPENAI.encode_request(request)["tool_choice"] == chat


# -- 140: types in upper case


@pytest.mark.parametrize("field", ["responseJsonSchema", "responseSchema", "response_json_schema"])
def test_case_140_types_of_a_response_schema_become_lower_case(field: str) -> None:
    schema = {
        "type": "OBJECT",
        "properties": {"type": {"type": "STRING"}, "n": {"type": "ARRAY", "items": {"type": "INTEGER"}}},
    }
    config = {"responseMimeType": "application/json", field: schema}
    request = GEMINI.decode_request({"model": "m", "contents": [ASKED], "generationConfig": config})
    assert request.response_format is not None
    assert request.response_format.schema == {
        "type": "object",
        "properties": {"type": {"type": "string"}, "n": {"type": "array", "items": {"type": "integer"}}},
    }


# -- 141 and 142: signatures

SIGNED = {"functionCall": {"id": "c1", "name": "w", "args": {"a": 1}}, "thoughtSignature": "c2ln-_8="}


def test_case_141_a_signature_returns_on_the_part_that_bore_it() -> None:
    body = {"model": "m", "contents": [ASKED, model(SIGNED, calling("w", id="c2")), user(responding("w", id="c1"))]}
    first, second = GEMINI.encode_request(GEMINI.decode_request(body))["contents"][1]["parts"]
    assert first == SIGNED
    assert "thoughtSignature" not in second


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_case_141_a_signature_survives_a_client_of_the_messages_api(streamed: bool) -> None:
    given = {"candidates": [{"content": model({"text": "hm", "thought": True}, SIGNED), "finishReason": "STOP"}]}
    answer = GEMINI.decode_response(given, REQUEST)
    if streamed:
        answer = read(wire([given]))
    content = over_the_wire(ANTHROPIC.encode_response(answer, REQUEST))["content"]
    history = [HI, {"role": "assistant", "content": content}]
    history.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "1"}]})
    back = ANTHROPIC.decode_request({"model": "m", "max_tokens": 9, "messages": history})
    assert GEMINI.encode_request(back)["contents"][1]["parts"] == [SIGNED]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_case_141_a_signed_text_before_a_call_survives_a_client_of_the_messages_api(streamed: bool) -> None:
    signed = {"text": "hello", "thoughtSignature": "c2ln"}
    content = through_messages([chunk(signed), chunk(SIGNED, finish="STOP")], streamed=streamed)
    history = [HI, {"role": "assistant", "content": content}]
    history.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "1"}]})
    back = ANTHROPIC.decode_request({"model": "m", "max_tokens": 9, "messages": history})
    assert GEMINI.encode_request(back)["contents"][1]["parts"] == [signed, SIGNED]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_case_141_for_a_client_of_the_messages_api_no_answer_ends_with_a_signature(streamed: bool) -> None:
    # Claude Code, when it is run for one answer, takes the last block for it.
    given = [
        chunk({"text": "hel"}),
        chunk({"text": "lo"}),
        chunk({"text": "", "thoughtSignature": "c2ln"}, finish="STOP"),
    ]
    assert through_messages(given, streamed=streamed) == [{"type": "text", "text": "hello"}]


def through_messages(given: list[Any], *, streamed: bool) -> list[Any]:
    """The content that a client of the Messages API has, after an answer of Gemini."""
    if not streamed:
        return list(over_the_wire(ANTHROPIC.encode_response(read(wire(given)), REQUEST))["content"])
    blocks: list[Any] = []
    for event in chunks_of(encoded(ANTHROPIC, decoded([wire(given)]))):
        if event["type"] == "content_block_start":
            blocks.append(event["content_block"])
        elif event["type"] == "content_block_delta":
            [(name, piece)] = [(name, piece) for name, piece in event["delta"].items() if name != "type"]
            if name == "partial_json":
                blocks[event["index"]]["input"] = orjson.loads(piece)
            else:
                blocks[event["index"]][name] += piece
    return blocks


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        case(142, "newest", "gemini-4-pro", "skip_thought_signature_validator"),
        case(142, "flash", "gemini-3.8-flash-tiered", "skip_thought_signature_validator"),
        case(142, "older", "gemini-2.5-pro", MISSING),
    ],
)
@pytest.mark.parametrize("native", [False, True], ids=["translated", "native"])
def test_calls_of_another_vendor_get_the_bypass_value(name: str, expected: Any, native: bool) -> None:
    contents = [ASKED, model(calling("w", id="c1"), calling("w", id="c2")), user(responding("w"), responding("w"))]
    body = {"model": name, "contents": contents}
    sent = GEMINI.native_request(body, name) if native else GEMINI.encode_request(GEMINI.decode_request(body))
    first, second = sent["contents"][1]["parts"]
    assert first.get("thoughtSignature", MISSING) == expected
    assert "thoughtSignature" not in second


# -- 143, 144: answers without content


@pytest.mark.parametrize(
    ("body", "client", "expected"),
    [
        case(
            143,
            "limit_to_messages",
            {"candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}]},
            ANTHROPIC,
            {"content": [], "stop_reason": "max_tokens"},
        ),
        case(
            144,
            "blocked_prompt_to_messages",
            {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 3}},
            ANTHROPIC,
            {"content": [], "stop_reason": "refusal"},
        ),
    ],
)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_an_answer_without_content_says_why(
    body: JsonObject, client: Dialect, expected: JsonObject, streamed: bool
) -> None:
    answer = read(wire([body])) if streamed else GEMINI.decode_response(body, REQUEST)
    assert picked(client.encode_response(answer, REQUEST), expected) == expected


@pytest.mark.parametrize(
    ("body", "finish"),
    [
        case(
            143,
            "limit_to_chat",
            {"candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}]},
            "length",
        ),
        case(144, "blocked_prompt_to_chat", {"promptFeedback": {"blockReason": "SAFETY"}}, "content_filter"),
    ],
)
def test_a_chat_client_gets_an_empty_answer(body: JsonObject, finish: str) -> None:
    choice = OPENAI.encode_response(GEMINI.decode_response(body, REQUEST), REQUEST)["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("", finish)


# -- 145: an error in an array

OVER_LIMIT = b'[{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED"}}]'


def test_case_145_an_error_in_an_array_is_read() -> None:
    error = GEMINI.decode_error(UpstreamFailure(429, {}, OVER_LIMIT))
    assert (error.kind, error.scope, error.message) == (ErrorKind.RATE_LIMIT, "model", "slow down")


@pytest.mark.parametrize(
    "receive",
    [lambda: read(b"data: " + OVER_LIMIT + b"\n\n"), lambda: GEMINI.native_response(OVER_LIMIT, "mine")],
    ids=["streamed", "whole"],
)
def test_case_145_an_error_in_an_array_with_status_200_is_read(receive: Callable[[], object]) -> None:
    with pytest.raises(UpstreamError, match="slow down") as caught:
        receive()
    assert caught.value.kind is ErrorKind.RATE_LIMIT


# -- 146: arithmetic


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        case(
            146,
            "thoughts_are_output",
            {"promptTokenCount": 29, "candidatesTokenCount": 10, "thoughtsTokenCount": 202, "totalTokenCount": 241},
            Usage(input_tokens=29, output_tokens=212, reasoning_tokens=202),
        ),
        case(
            146,
            "cached",
            {"promptTokenCount": 1200, "cachedContentTokenCount": 1000, "candidatesTokenCount": 18},
            Usage(input_tokens=1200, output_tokens=18, cache_read_tokens=1000),
        ),
        case(
            146,
            "more_cached_than_there_is",
            {"prompt_token_count": 100, "cached_content_token_count": 120, "candidates_token_count": 1},
            Usage(input_tokens=100, output_tokens=1, cache_read_tokens=100),
        ),
        case(
            146,
            "output_from_the_total",
            {"promptTokenCount": 100, "cachedContentTokenCount": 80, "totalTokenCount": 130, "thoughtsTokenCount": 10},
            Usage(input_tokens=100, output_tokens=30, cache_read_tokens=80, reasoning_tokens=10),
        ),
        case(
            146,
            "what_tools_read",
            {"promptTokenCount": 10, "toolUsePromptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 17},
            Usage(input_tokens=15, output_tokens=2),
        ),
    ],
)
def test_tokens_add_up(counts: JsonObject, expected: Usage) -> None:
    assert GEMINI.decode_response({**ANSWER, "usageMetadata": counts}, REQUEST).usage == expected


def test_case_146_a_chat_client_is_told_the_same() -> None:
    counts = {"promptTokenCount": 29, "candidatesTokenCount": 10, "thoughtsTokenCount": 202, "totalTokenCount": 241}
    answer = GEMINI.decode_response({**ANSWER, "usageMetadata": counts}, REQUEST)
    usage = OPENAI.encode_response(answer, REQUEST)["usage"]
    assert (usage["completion_tokens"], usage["total_tokens"]) == (212, 241)
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 202
    again = GEMINI.encode_response(answer, REQUEST)["usageMetadata"]
    assert again == counts


# -- 147: a stream as an array


def test_case_147_a_stream_without_alt_sse_is_one_json_array() -> None:
    events = [StreamStart("r1", "m"), TextDelta("hel"), TextDelta("lo"), StreamFinish("stop")]
    stream = encoded(ARRAY, events)
    assert stream.startswith(b"[{")
    assert b"},\n{" in stream
    elements = orjson.loads(stream)
    assert elements[1:] == chunks_of(encoded(GEMINI, events))
    # Clients take the first candidate of every element without asking.
    assert [element["candidates"][0]["content"]["parts"][0]["text"] for element in elements] == ["", "hel", "lo", ""]


def test_case_147_an_error_is_the_last_element() -> None:
    encoder = ARRAY.stream_encoder(REQUEST)
    stream = encoder.encode(StreamStart("r1", "m")) + ARRAY.encode_stream_error(GatewayError("boom"), "req_1")
    assert orjson.loads(stream)[-1] == {"error": {"code": 500, "message": "boom", "status": "INTERNAL"}}


# -- the others


def test_case_047_a_prefilled_answer_is_not_sent() -> None:
    request = OPENAI.decode_request({"model": "m", "messages": [HI, {"role": "assistant", "content": "{"}]})
    assert GEMINI.encode_request(request)["contents"] == [ASKED]


def test_case_158_an_unknown_model_is_a_404() -> None:
    reply = GEMINI.encode_error(UnknownModelError("no model 'x'", model="x"), "req_1")
    assert (reply.status, reply.body["error"]["status"]) == (404, "NOT_FOUND")


def test_thinking_of_glm_returns_to_glm_through_a_client_of_this_api() -> None:
    """Section 3.7: it leaves under a signature that an SDK can decode, and is restored from it."""
    answer = ChatResponse(id="r", model="glm", parts=(ThinkingPart("hm", origin="glm"), TextPart("ok")))
    parts = GEMINI.encode_response(answer, REQUEST)["candidates"][0]["content"]["parts"]
    assert parts[0] == {"text": "hm", "thought": True, "thoughtSignature": Matching("[A-Za-z0-9+/]+={0,2}")}
    request = GEMINI.decode_request({"model": "m", "contents": [ASKED, model(*parts), ASKED]})
    assert GLM.encode_request(request)["messages"][1]["reasoning_content"] == "hm"
    native = GEMINI.native_request(with_model({"contents": [ASKED, model(*parts), ASKED]}, "m"), "gemini-4")
    assert native["contents"][1]["parts"] == [{"text": "ok"}]
    assert GEMINI.encode_request(request)["contents"][1]["parts"] == [{"text": "ok"}]


def test_results_of_another_api_become_responses_with_the_functions_name() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "w", "arguments": '{"a":1}'}}
    request = OPENAI.decode_request(
        {
            "model": "gemini-4",
            "messages": [
                HI,
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
            ],
        }
    )
    assert request.messages[1].parts == (ToolCallPart("call_1", "w", '{"a":1}'),)
    assert request.messages[2].parts == (ToolResultPart("call_1", (TextPart("sunny"),)),)
    assert GEMINI.encode_request(request)["contents"][2] == user(responding("w", "sunny", id="call_1"))
