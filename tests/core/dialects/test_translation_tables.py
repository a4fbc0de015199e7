"""Sections 2.1 to 2.3 of the sheet: why a model stopped, what it used, and what went wrong, in all dialects."""

from __future__ import annotations

from typing import Any

import pytest
from core.dialects.four import TONGUES
from core.dialects.sheet import GLM, Including, Matching, case, picked

from aigateway_core.dialects.dialect import Dialect
from aigateway_core.dialects.sse import SseParser
from aigateway_core.errors import (
    ErrorKind,
    ForbiddenError,
    GatewayError,
    InvalidRequestError,
    NoAccountError,
    RequestTooLargeError,
    UnauthorizedError,
    UnavailableError,
    UnknownModelError,
    UpstreamError,
    UpstreamFailure,
)
from aigateway_core.jsontext import loads_object
from aigateway_core.model import JsonObject

DIALECTS: dict[str, Dialect] = {name: tongue.dialect for name, tongue in TONGUES.items()}
clients = pytest.mark.parametrize("client", DIALECTS)
origins = pytest.mark.parametrize("origin", DIALECTS)

TEXT = "text"
CALL = "call"


def message(content: str, stop: Any, usage: JsonObject | None = None) -> JsonObject:
    block = {"type": "tool_use", "id": "toolu_1", "name": "w", "input": {}}
    blocks = [block] if content == CALL else [{"type": "text", "text": "hi"}] if content else []
    told = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": blocks}
    return told | {"stop_reason": stop, "usage": usage or {"input_tokens": 1, "output_tokens": 1}}


def completion(content: str, stop: Any, usage: JsonObject | None = None) -> JsonObject:
    call = {"id": "call_1", "type": "function", "function": {"name": "w", "arguments": "{}"}}
    said: JsonObject = {"role": "assistant", "content": "hi" if content == TEXT else None}
    if content == CALL:
        said["tool_calls"] = [call]
    told = {"id": "chatcmpl-1", "model": "m", "choices": [{"index": 0, "message": said, "finish_reason": stop}]}
    return told | ({"usage": usage} if usage else {})


def response(content: str, stop: Any, usage: JsonObject | None = None) -> JsonObject:
    call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "w", "arguments": "{}"}
    text = {"type": "output_text", "text": "hi", "annotations": []}
    said = {"type": "message", "id": "msg_1", "role": "assistant", "content": [text]}
    output = [call] if content == CALL else [said] if content else []
    told = {"id": "resp_1", "object": "response", "model": "m", "output": output}
    details = {"incomplete_details": {"reason": stop}} if stop else {}
    ended = {"status": "incomplete" if stop else "completed", **details}
    return told | ended | ({"usage": usage} if usage else {})


def candidate(content: str, stop: Any, usage: JsonObject | None = None) -> JsonObject:
    call = {"functionCall": {"id": "call_1", "name": "w", "args": {}}}
    parts = [call] if content == CALL else [{"text": "hi"}] if content else []
    said: JsonObject = {"role": "model"} | ({"parts": parts} if parts else {})
    told = {"responseId": "r1", "candidates": [{"content": said, "finishReason": stop, "index": 0}]}
    return told | ({"usageMetadata": usage} if usage else {})


ANSWER = {"anthropic": message, "openai-chat": completion, "openai-responses": response, "gemini": candidate}


def stopped(client: str, body: JsonObject) -> Any:
    """Why the model stopped, as the client is told."""
    match client:
        case "anthropic":
            return body["stop_reason"]
        case "openai-chat":
            return body["choices"][0]["finish_reason"]
        case "openai-responses":
            assert body["status"] == ("completed" if body["incomplete_details"] is None else "incomplete")
            return (body["incomplete_details"] or {}).get("reason")
        case _:
            return body["candidates"][0]["finishReason"]


def through(origin: str, client: str, body: JsonObject) -> JsonObject:
    """The answer of an upstream of one dialect, for a client of another."""
    request = DIALECTS[client].decode_request(TONGUES[client].request((), ["w"]) | ASKED[client])
    return DIALECTS[client].encode_response(DIALECTS[origin].decode_response(body, request), request)


ASKED: dict[str, JsonObject] = {
    "anthropic": {"messages": [{"role": "user", "content": "hi"}]},
    "openai-chat": {"messages": [{"role": "user", "content": "hi"}]},
    "openai-responses": {"input": "hi"},
    "gemini": {"contents": [{"parts": [{"text": "hi"}]}]},
}

NATURAL = {"anthropic": "end_turn", "openai-chat": "stop", "openai-responses": None, "gemini": "STOP"}
CALLED = {"anthropic": "tool_use", "openai-chat": "tool_calls", "openai-responses": None, "gemini": "STOP"}
LIMIT = {
    "anthropic": "max_tokens",
    "openai-chat": "length",
    "openai-responses": "max_output_tokens",
    "gemini": "MAX_TOKENS",
}
FILTERED = {
    "anthropic": "refusal",
    "openai-chat": "content_filter",
    "openai-responses": "content_filter",
    "gemini": "SAFETY",
}

# The content; the word of each upstream (where it has one); the word for each client.
ENDS = [
    case(52, "natural", TEXT, NATURAL, NATURAL),
    case(66, "limit", TEXT, LIMIT, LIMIT),
    case(143, "limit_before_any_text", "", LIMIT, LIMIT),
    case(53, "call", CALL, CALLED, CALLED),
    case(54, "call_that_is_said_to_be_a_natural_end", CALL, NATURAL, CALLED),
    case(129, "safety", TEXT, FILTERED, FILTERED),
    case(
        129,
        "pause",
        TEXT,
        {"anthropic": "pause_turn"},
        {"anthropic": "pause_turn", "openai-chat": "stop", "openai-responses": None, "gemini": "STOP"},
    ),
    case(
        67,
        "context_full",
        TEXT,
        {"anthropic": "model_context_window_exceeded"},
        {
            "anthropic": "model_context_window_exceeded",
            "openai-chat": "length",
            "openai-responses": "max_output_tokens",
            "gemini": "MAX_TOKENS",
        },
    ),
]


@clients
@pytest.mark.parametrize(
    ("content", "origin", "word", "told"),
    [
        pytest.param(content, origin, word, told, id=f"{each.id}_from_{origin}")
        for each in ENDS
        for content, words, told in [each.values]
        for origin, word in words.items()
    ],
)
def test_every_client_is_told_why_the_model_stopped(
    content: str, origin: str, word: str | None, told: dict[str, Any], client: str
) -> None:
    assert stopped(client, through(origin, client, ANSWER[origin](content, word))) == told[client]


@clients
def test_case_144_a_blocked_prompt_is_a_filters_doing_for_every_client(client: str) -> None:
    body = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3}}
    words = {"anthropic": "refusal", "openai-chat": "content_filter", "openai-responses": "content_filter"}
    assert stopped(client, through("gemini", client, body)) == words.get(client, "SAFETY")


# -- 2.2: a prompt of 10,000 tokens of which 9,600 were cached and 300 written, an answer of 50 with 20 of thinking

USED = {
    "anthropic": {
        "input_tokens": 100,
        "cache_read_input_tokens": 9600,
        "cache_creation_input_tokens": 300,
        "output_tokens": 50,
        "output_tokens_details": {"thinking_tokens": 20},
    },
    "openai-chat": {
        "prompt_tokens": 10000,
        "prompt_tokens_details": {"cached_tokens": 9600, "cache_write_tokens": 300},
        "completion_tokens": 50,
        "completion_tokens_details": {"reasoning_tokens": 20},
        "total_tokens": 10050,
    },
    "openai-responses": {
        "input_tokens": 10000,
        "input_tokens_details": {"cached_tokens": 9600, "cache_write_tokens": 300},
        "output_tokens": 50,
        "output_tokens_details": {"reasoning_tokens": 20},
        "total_tokens": 10050,
    },
    "gemini": {
        "promptTokenCount": 10000,
        "cachedContentTokenCount": 9600,
        "candidatesTokenCount": 30,
        "thoughtsTokenCount": 20,
        "totalTokenCount": 10050,
    },
}


def nested(fields: JsonObject) -> Any:
    return Including({name: nested(value) if isinstance(value, dict) else value for name, value in fields.items()})


@pytest.mark.parametrize(
    ("origin", "client"),
    [
        case(146 if "gemini" in (origin, client) else 63, f"{origin}_to_{client}", origin, client)
        for origin in DIALECTS
        for client in DIALECTS
    ],
)
def test_every_client_is_told_the_same_tokens(origin: str, client: str) -> None:
    body = through(origin, client, ANSWER[origin](TEXT, ENDS[0].values[1][origin], USED[origin]))
    expected = USED[client]
    if origin == "gemini" and client != "gemini":
        # Gemini does not say what was written to its cache.
        flat = {"cache_creation_input_tokens": 0, "input_tokens": 400} if client == "anthropic" else {}
        expected = {name: value for name, value in expected.items() if not name.endswith("tokens_details")} | flat
    assert body["usageMetadata" if client == "gemini" else "usage"] == nested(expected)


# -- 2.3


def upstream(kind: ErrorKind) -> UpstreamError:
    return UpstreamError(kind, "the upstream's words", scope="model")


def openai(kind: str, code: str | None = None) -> JsonObject:
    return {"type": kind} | ({"code": code} if code else {})


INVALID = "invalid_request_error"

# What happened; status and type for Anthropic's clients; status and fields for OpenAI's; for Google's.
ERRORS = [
    case(158, "invalid", InvalidRequestError("bad"), (400, INVALID), (400, openai(INVALID)), (400, "INVALID_ARGUMENT")),
    case(
        157,
        "no_key",
        UnauthorizedError("no key"),
        (401, "authentication_error"),
        (401, openai(INVALID, "invalid_api_key")),
        (401, "UNAUTHENTICATED"),
    ),
    case(
        157,
        "not_allowed",
        ForbiddenError("no"),
        (403, "permission_error"),
        (403, {"code": "permission_denied"}),
        (403, "PERMISSION_DENIED"),
    ),
    case(
        158,
        "unknown_model",
        UnknownModelError("no provider for x"),
        (404, "not_found_error"),
        (404, {"code": "model_not_found"}),
        (404, "NOT_FOUND"),
    ),
    case(
        156,
        "too_large",
        RequestTooLargeError("over 20 MB"),
        (413, "request_too_large"),
        (413, openai(INVALID)),
        (413, "INVALID_ARGUMENT"),
    ),
    case(
        148,
        "rate_limit",
        upstream(ErrorKind.RATE_LIMIT),
        (429, "rate_limit_error"),
        (429, {"code": "rate_limit_exceeded"}),
        (429, "RESOURCE_EXHAUSTED"),
    ),
    case(
        148,
        "no_account",
        NoAccountError("busy", retry_after=2),
        (429, "rate_limit_error"),
        (429, {"code": "rate_limit_exceeded"}),
        (429, "RESOURCE_EXHAUSTED"),
    ),
    case(
        149,
        "overloaded",
        upstream(ErrorKind.OVERLOADED),
        (529, "overloaded_error"),
        (503, {"code": "server_is_overloaded"}),
        (503, "UNAVAILABLE"),
    ),
    case(
        150,
        "quota",
        upstream(ErrorKind.QUOTA),
        (402, "billing_error"),
        (429, {"code": "insufficient_quota"}),
        (429, "RESOURCE_EXHAUSTED"),
    ),
    case(
        151,
        "context",
        upstream(ErrorKind.CONTEXT_LENGTH),
        (400, INVALID),
        (400, {"code": "context_length_exceeded"}),
        (400, "INVALID_ARGUMENT"),
    ),
    case(
        152,
        "content",
        upstream(ErrorKind.CONTENT_FILTER),
        (400, INVALID),
        (400, openai(INVALID)),
        (400, "INVALID_ARGUMENT"),
    ),
    case(
        154,
        "server",
        upstream(ErrorKind.SERVER),
        (500, "api_error"),
        (500, {"type": "server_error"}),
        (500, "INTERNAL"),
    ),
    case(
        154,
        "timeout",
        upstream(ErrorKind.TIMEOUT),
        (504, "timeout_error"),
        (504, {"type": "server_error"}),
        (504, "DEADLINE_EXCEEDED"),
    ),
    case(
        154,
        "stopping",
        UnavailableError("stopping"),
        (529, "overloaded_error"),
        (503, {"type": "server_error"}),
        (503, "UNAVAILABLE"),
    ),
    case(
        154,
        "anything_else",
        GatewayError("internal error"),
        (500, "api_error"),
        (500, {"type": "server_error"}),
        (500, "INTERNAL"),
    ),
]


@pytest.mark.parametrize(("error", "anthropic", "openai_like", "google"), ERRORS)
def test_an_error_has_the_status_and_the_words_of_every_dialect(
    error: GatewayError, anthropic: tuple[int, str], openai_like: tuple[int, JsonObject], google: tuple[int, str]
) -> None:
    reply = DIALECTS["anthropic"].encode_error(error, "req_1")
    assert (reply.status, reply.body["error"]["type"], reply.body["request_id"]) == (*anthropic, "req_1")
    for name in ("openai-chat", "openai-responses"):
        reply = DIALECTS[name].encode_error(error, "req_1")
        assert (reply.status, picked(reply.body["error"], openai_like[1])) == openai_like
        assert (set(reply.body), set(reply.body["error"])) == ({"error"}, {"message", "type", "param", "code"})
    reply = DIALECTS["gemini"].encode_error(error, "req_1")
    assert (reply.status, reply.body["error"]["status"], reply.body["error"]["code"]) == (*google, google[0])


@clients
@pytest.mark.parametrize("kind", list(ErrorKind))
def test_an_error_in_a_stream_says_the_same_as_a_whole_one(kind: ErrorKind, client: str) -> None:
    error = UpstreamError(kind, "the upstream's words")
    reply = DIALECTS[client].encode_error(error, "req_1")
    assert 400 <= reply.status < 600
    assert "the upstream's words" in reply.body["error"]["message"]
    [event] = SseParser().feed(DIALECTS[client].encode_stream_error(error, "req_1"))
    told = loads_object(event.data)
    assert event.event == {"anthropic": "error", "openai-responses": "response.failed"}.get(client, "")
    if client == "openai-responses":
        assert told["response"]["error"]["message"].startswith(reply.body["error"]["message"])
    else:
        assert told == reply.body


@clients
@pytest.mark.parametrize("wait", [0.2, 1.0, 7.5])
def test_case_148_every_client_is_told_whole_seconds_and_at_least_one(client: str, wait: float) -> None:
    error = UpstreamError(ErrorKind.RATE_LIMIT, "slow down", scope="model", retry_after=wait)
    assert int(DIALECTS[client].encode_error(error, "req_1").headers["retry-after"]) >= max(wait, 1)


@clients
@origins
def test_case_154_a_page_of_html_is_shown_to_no_client(origin: str, client: str) -> None:
    page = b"<html><head><title>502 Bad Gateway</title></head><body><center>nginx</center></body></html>"
    error = DIALECTS[origin].decode_error(UpstreamFailure(502, {}, page))
    told = DIALECTS[client].encode_error(error, "req_1")
    assert told.status == 500
    assert 0 < len(told.body["error"]["message"]) < 200
    assert "<" not in told.body["error"]["message"]


NUMBERS = b'{"error":{"message":"words","type":"invalid_request_error","param":null,"code":400}}'


@origins
@pytest.mark.parametrize(
    "body",
    [
        case(155, "number", NUMBERS),
        case(153, "flat", b'{"code":"1210","message":"words"}'),
        case(153, "flat_number", b'{"code":1210,"message":"words"}'),
        case(153, "nested", b'{"error":{"code":"1210","message":"words"}}'),
        case(145, "in_an_array", b'[{"error":{"code":400,"message":"words","status":"INVALID_ARGUMENT"}}]'),
    ],
)
def test_every_dialect_reads_an_error_in_whatever_shape(origin: str, body: bytes) -> None:
    error = DIALECTS[origin].decode_error(UpstreamFailure(400, {}, body))
    assert (error.kind, error.scope) == (ErrorKind.INVALID_REQUEST, "request")
    assert error.message == Matching(".*words.*")


PLAIN = [
    case(156, "404", 404, ErrorKind.MODEL_NOT_FOUND, (404, "not_found_error")),
    case(156, "413", 413, ErrorKind.TOO_LARGE, (413, "request_too_large")),
    case(156, "429", 429, ErrorKind.RATE_LIMIT, (429, "rate_limit_error")),
    case(156, "529", 529, ErrorKind.OVERLOADED, (529, "overloaded_error")),
]


@pytest.mark.parametrize("origin", [*DIALECTS.values(), GLM], ids=[*DIALECTS, "glm"])
@pytest.mark.parametrize(("status", "kind", "told"), PLAIN)
def test_a_status_in_plain_text_is_enough(origin: Dialect, status: int, kind: ErrorKind, told: tuple[int, str]) -> None:
    error = origin.decode_error(UpstreamFailure(status, {}, b"plain words"))
    assert error.kind is kind
    reply = DIALECTS["anthropic"].encode_error(error, "req_1")
    assert (reply.status, reply.body["error"]["type"]) == told
