"""Section 3.7: what a maker signed returns to it through every client, and never reaches another one.

Each test is a round: an upstream answers with thinking and a call, a client returns the turn as it got it together with
the result, and the conversation goes on with this upstream or another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from core.dialects.four import TONGUES, Answered, Said, Tongue
from core.dialects.sheet import GLM, case

from aigateway_core.dialects.dialect import Dialect
from aigateway_core.jsontext import dumps, loads_object
from aigateway_core.model import JsonObject

HI = Said("user", "hi")
DONE = Answered("c1", "w", "ok")
MODEL = {"anthropic": "claude-opus-4-5", "openai-responses": "gpt-5", "gemini": "gemini-3-pro", "glm": "glm-4.6"}
TARGETS: dict[str, Dialect] = {
    **{name: TONGUES[name].dialect for name in ("anthropic", "openai-responses", "gemini")},
    "glm": GLM,
}
"""The makers of thinking; OpenAI's own chat never shows any."""

THINKS: dict[str, JsonObject] = {
    "anthropic": {"thinking": {"type": "enabled", "budget_tokens": 2048}, "max_tokens": 4096},
    "openai-chat": {"reasoning_effort": "medium"},
    "openai-responses": {
        "reasoning": {"effort": "medium", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
    },
    "gemini": {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}},
}

CALL = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "w", "arguments": '{"a":1}'}
TOOL_USE = {"type": "tool_use", "id": "c1", "name": "w", "input": {"a": 1}}
FUNCTION = {"id": "c1", "name": "w", "args": {"a": 1}}


def message(*content: JsonObject) -> JsonObject:
    told = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": list(content)}
    return told | {"stop_reason": "tool_use", "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}


def response(*output: JsonObject) -> JsonObject:
    return {"id": "resp_1", "object": "response", "model": "m", "status": "completed", "output": list(output)}


def candidate(*parts: JsonObject) -> JsonObject:
    content = {"role": "model", "parts": list(parts)}
    return {"responseId": "r1", "candidates": [{"content": content, "finishReason": "STOP", "index": 0}]}


def completion(**fields: Any) -> JsonObject:
    call = {"id": "c1", "type": "function", "function": {"name": "w", "arguments": '{"a":1}'}}
    said = {"role": "assistant", "content": None, "tool_calls": [call], **fields}
    return {"id": "chatcmpl-1", "model": "m", "choices": [{"index": 0, "message": said, "finish_reason": "tool_calls"}]}


@attrs.frozen
class Answer:
    """An upstream's answer, and the words of it that must be sent to its maker again and to nobody else."""

    origin: str
    body: JsonObject
    proof: str


ANSWERS = {
    "anthropic": Answer(
        "anthropic",
        message({"type": "thinking", "thinking": "hm", "signature": "cHJvb2YtYQ=="}, TOOL_USE),
        "cHJvb2YtYQ==",
    ),
    "anthropic_redacted": Answer(
        "anthropic", message({"type": "redacted_thinking", "data": "cHJvb2YtcmVk"}, TOOL_USE), "cHJvb2YtcmVk"
    ),
    "responses": Answer(
        "openai-responses",
        response(
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "hm"}],
                "encrypted_content": "cHJvb2YtcnM",
            },
            CALL,
        ),
        "cHJvb2YtcnM",
    ),
    "responses_without_a_summary": Answer(
        "openai-responses",
        response({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "cHJvb2YtcnM"}, CALL),
        "cHJvb2YtcnM",
    ),
    "gemini": Answer(
        "gemini",
        candidate({"text": "hm", "thought": True}, {"functionCall": FUNCTION, "thoughtSignature": "cHJvb2YtZw=="}),
        "cHJvb2YtZw==",
    ),
    "gemini_without_thoughts": Answer(
        "gemini", candidate({"functionCall": FUNCTION, "thoughtSignature": "cHJvb2YtZw=="}), "cHJvb2YtZw=="
    ),
}


def history(client: str, answer: JsonObject) -> list[JsonObject]:
    """The turn of an answer as its client writes it into the next request."""
    match client:
        case "anthropic":
            return [{"role": "assistant", "content": answer["content"]}]
        case "openai-chat":
            return [answer["choices"][0]["message"]]
        case "openai-responses":
            return list(answer["output"])
        case _:
            return [answer["candidates"][0]["content"]]


def field(client: str) -> str:
    return {"openai-responses": "input", "gemini": "contents"}.get(client, "messages")


def next_request(origin: str, answer: JsonObject, client: str) -> JsonObject:
    """The body of the request with which this client goes on after an answer of this upstream."""
    tongue: Tongue = TONGUES[client]
    asked = tongue.request((HI,), ["w"], **THINKS[client])
    request = tongue.dialect.decode_request(asked)
    told = tongue.dialect.encode_response(TARGETS[origin].decode_response(answer, request), request)
    turns = history(client, loads_object(dumps(told)))
    result = tongue.request((DONE,), [])[field(client)]
    return {**asked, field(client): [*asked[field(client)], *turns, *result]}


def sent(origin: str, answer: JsonObject, client: str, target: str) -> JsonObject:
    """What the next upstream is sent in the round."""
    body = {**next_request(origin, answer, client), "model": MODEL[target]}
    return TARGETS[target].encode_request(TONGUES[client].dialect.decode_request(body))


clients = pytest.mark.parametrize("client", TONGUES)


@clients
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("answer", [case(166, name, answer) for name, answer in ANSWERS.items()])
def test_a_proof_returns_to_its_maker_alone(answer: Answer, client: str, target: str) -> None:
    body = dumps(sent(answer.origin, answer.body, client, target))
    assert (answer.proof.encode() in body) is (target == answer.origin)
    assert b"gw1." not in body
    assert b"Z3cxL" not in body, "a gateway signature in base64"


@clients
@pytest.mark.parametrize("target", TARGETS)
def test_case_059_thinking_that_nobody_signed_returns_to_its_maker(client: str, target: str) -> None:
    body = sent("glm", completion(reasoning_content="I wonder"), client, target)
    if target == "glm":
        assert [turn.get("reasoning_content") for turn in body["messages"]] == [None, "I wonder", None]
    else:
        assert b"I wonder" not in dumps(body)
    assert b"gw1." not in dumps(body)


def anthropic_turn(body: JsonObject) -> Any:
    return body["messages"][1]["content"]


def responses_items(body: JsonObject) -> Any:
    return body["input"][1:3]


def gemini_turn(body: JsonObject) -> Any:
    return body["contents"][1]["parts"]


FORMS: dict[str, tuple[Callable[[JsonObject], Any], Any]] = {
    "anthropic": (
        anthropic_turn,
        [{"type": "thinking", "thinking": "hm", "signature": "cHJvb2YtYQ=="}, TOOL_USE],
    ),
    "anthropic_redacted": (anthropic_turn, [{"type": "redacted_thinking", "data": "cHJvb2YtcmVk"}, TOOL_USE]),
    "gemini": (gemini_turn, [{"functionCall": FUNCTION, "thoughtSignature": "cHJvb2YtZw=="}]),
    "gemini_without_thoughts": (gemini_turn, [{"functionCall": FUNCTION, "thoughtSignature": "cHJvb2YtZw=="}]),
}


@clients
@pytest.mark.parametrize("name", FORMS)
def test_case_166_a_turn_returns_in_its_own_form(name: str, client: str) -> None:
    read, expected = FORMS[name]
    answer = ANSWERS[name]
    assert read(sent(answer.origin, answer.body, client, answer.origin)) == expected


@clients
@pytest.mark.parametrize("name", ["responses", "responses_without_a_summary"])
def test_case_166_reasoning_returns_before_its_call(name: str, client: str) -> None:
    reasoning, call = responses_items(sent("openai-responses", ANSWERS[name].body, client, "openai-responses"))
    assert (reasoning["type"], reasoning["encrypted_content"]) == ("reasoning", "cHJvb2YtcnM")
    assert (call["type"], call["call_id"]) == ("function_call", "c1")


@clients
def test_case_142_a_call_of_another_maker_gets_geminis_bypass_value(client: str) -> None:
    body = sent("anthropic", ANSWERS["anthropic"].body, client, "gemini")
    [call] = [part for part in gemini_turn(body) if "functionCall" in part]
    assert call["thoughtSignature"] == "skip_thought_signature_validator"


@pytest.mark.parametrize("dialect", ["anthropic", "gemini", "openai-responses", "openai-chat"])
@pytest.mark.parametrize("name", ANSWERS)
def test_case_166_the_native_path_takes_out_what_another_maker_signed(name: str, dialect: str) -> None:
    answer = ANSWERS[name]
    body = {**next_request(answer.origin, answer.body, dialect), "model": "m"}
    native = dumps(TONGUES[dialect].dialect.native_request(body, MODEL.get(dialect, "gpt-5")))
    assert (answer.proof.encode() in native) is (dialect == answer.origin)
    assert b"gw1." not in native
    assert b"Z3cxL" not in native
