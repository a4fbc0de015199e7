"""Errors in the words of the Messages API, and refusals of upstreams in whatever words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aigateway_core.dialects.anthropic import Anthropic
from aigateway_core.errors import (
    ErrorKind,
    GatewayError,
    NoAccountError,
    UnauthorizedError,
    UnknownModelError,
    UpstreamError,
    UpstreamFailure,
)

DIALECT = Anthropic()


def told(error: GatewayError) -> dict[str, Any]:
    reply = DIALECT.encode_error(error, "req_1")
    assert reply.headers["request-id"] == reply.body["request_id"] == "req_1"
    assert reply.body["type"] == "error"
    details: dict[str, Any] = reply.body["error"]
    return details


@pytest.mark.parametrize(
    ("kind", "status", "word"),
    [
        (ErrorKind.INVALID_REQUEST, 400, "invalid_request_error"),
        (ErrorKind.UNAUTHORIZED, 401, "authentication_error"),
        (ErrorKind.QUOTA, 402, "billing_error"),
        (ErrorKind.FORBIDDEN, 403, "permission_error"),
        (ErrorKind.NOT_FOUND, 404, "not_found_error"),
        (ErrorKind.CONFLICT, 409, "conflict_error"),
        (ErrorKind.TOO_LARGE, 413, "request_too_large"),
        (ErrorKind.RATE_LIMIT, 429, "rate_limit_error"),
        (ErrorKind.INTERNAL, 500, "api_error"),
        (ErrorKind.CREDENTIAL, 502, "api_error"),
        (ErrorKind.PROTOCOL, 502, "api_error"),
        (ErrorKind.TIMEOUT, 504, "timeout_error"),
        (ErrorKind.OVERLOADED, 529, "overloaded_error"),
        (ErrorKind.UNAVAILABLE, 529, "overloaded_error"),
    ],
)
def test_a_kind_has_its_status_and_its_type(kind: ErrorKind, status: int, word: str) -> None:
    error = UpstreamError(kind, "words")
    assert DIALECT.encode_error(error, "req_1").status == status
    assert told(error)["type"] == word
    assert "words" in told(error)["message"]


def test_every_kind_can_be_told_in_a_stream() -> None:
    for kind in ErrorKind:
        name, data, rest = DIALECT.encode_stream_error(UpstreamError(kind, "words"), "req_1").split(b"\n", 2)
        assert (name, rest) == (b"event: error", b"\n")
        assert (
            json.loads(data.removeprefix(b"data: ")) == DIALECT.encode_error(UpstreamError(kind, "words"), "req_1").body
        )


def test_an_account_that_is_refused_does_not_look_like_the_clients_own_mistake() -> None:
    message = told(UpstreamError(ErrorKind.CREDENTIAL, "invalid x-api-key"))["message"]
    assert message == "the provider does not accept the account's credential: invalid x-api-key"


@pytest.mark.parametrize(("wait", "header"), [(0.0, "1"), (0.2, "1"), (7.2, "8"), (None, None)])
def test_a_wait_is_told_in_whole_seconds(wait: float | None, header: str | None) -> None:
    assert DIALECT.encode_error(NoAccountError("busy", retry_after=wait), "req_1").headers.get("retry-after") == header


def test_clients_shall_not_try_a_wrong_key_again() -> None:
    assert DIALECT.encode_error(UnauthorizedError("no"), "req_1").headers["x-should-retry"] == "false"
    assert "x-should-retry" not in DIALECT.encode_error(NoAccountError("busy"), "req_1").headers


def test_an_unknown_model_is_named_first() -> None:
    assert told(UnknownModelError("no provider serves it", model="x"))["message"] == "model: x; no provider serves it"
    assert told(UnknownModelError("no provider serves 'x'"))["message"] == "model: no provider serves 'x'"
    assert told(UpstreamError(ErrorKind.MODEL_NOT_FOUND, "model: x"))["message"] == "model: x"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("prompt is too long: 210000 tokens > 200000 maximum", "prompt is too long: 210000 tokens > 200000 maximum"),
        (
            "This model's maximum context length is 128000 tokens. However, your messages resulted in 130,500 tokens.",
            "prompt is too long: 130500 tokens > 128000 maximum",
        ),
        ("Prompt exceeds max length", "prompt is too long: Prompt exceeds max length"),
        (
            "limit 128000, sent 130000, of them 2000 cached",
            "prompt is too long: limit 128000, sent 130000, of them 2000 cached",
        ),
    ],
)
def test_a_full_context_is_told_in_the_words_that_clients_look_for(words: str, expected: str) -> None:
    assert told(UpstreamError(ErrorKind.CONTEXT_LENGTH, words))["message"] == expected


def test_a_conversation_kept_by_the_server_is_refused_with_the_code_that_the_sdk_knows() -> None:
    with pytest.raises(GatewayError) as caught:
        DIALECT.peek({"model": "m", "messages": [], "thread": {"type": "create"}})
    details = told(caught.value)
    assert details["type"] == "invalid_request_error"
    assert details["details"] == {"error_code": "thread_unsupported_request"}


# -- from an upstream


def refused(status: int, body: Any = b"", **headers: str) -> UpstreamError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return DIALECT.decode_error(UpstreamFailure(status, headers, raw))


def anthropic(kind: str, message: str = "words", **more: Any) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message, **more}, "request_id": "req_2"}


@pytest.mark.parametrize("in_a_stream", [False, True])
@pytest.mark.parametrize(
    ("status", "word", "kind", "scope"),
    [
        (400, "invalid_request_error", ErrorKind.INVALID_REQUEST, "request"),
        (401, "authentication_error", ErrorKind.CREDENTIAL, "account"),
        (402, "billing_error", ErrorKind.QUOTA, "account"),
        (403, "permission_error", ErrorKind.CREDENTIAL, "request"),
        (404, "not_found_error", ErrorKind.MODEL_NOT_FOUND, "request"),
        (409, "conflict_error", ErrorKind.CONFLICT, "request"),
        (413, "request_too_large", ErrorKind.TOO_LARGE, "request"),
        (429, "rate_limit_error", ErrorKind.RATE_LIMIT, "model"),
        (500, "api_error", ErrorKind.SERVER, "request"),
        (504, "timeout_error", ErrorKind.TIMEOUT, "request"),
        (529, "overloaded_error", ErrorKind.OVERLOADED, "request"),
    ],
)
def test_an_error_is_understood_by_its_type(
    status: int, word: str, kind: ErrorKind, scope: str, in_a_stream: bool
) -> None:
    error = refused(200 if in_a_stream else status, anthropic(word))
    assert (error.kind, error.scope, error.message, error.code) == (kind, scope, "words", word)


@pytest.mark.parametrize(
    ("status", "kind", "scope"),
    [
        (400, ErrorKind.INVALID_REQUEST, "request"),
        (401, ErrorKind.CREDENTIAL, "account"),
        (402, ErrorKind.QUOTA, "account"),
        (408, ErrorKind.TIMEOUT, "request"),
        (413, ErrorKind.TOO_LARGE, "request"),
        (418, ErrorKind.INVALID_REQUEST, "request"),
        (429, ErrorKind.RATE_LIMIT, "model"),
        (500, ErrorKind.SERVER, "request"),
        (502, ErrorKind.SERVER, "request"),
        (503, ErrorKind.OVERLOADED, "request"),
        (529, ErrorKind.OVERLOADED, "request"),
    ],
)
@pytest.mark.parametrize(
    "body", [b"", b"plain words", b"<html>no</html>", b"null", b"[]", b"5", b'{"error":{}}', b"\xff"]
)
def test_without_a_type_the_status_speaks(body: bytes, status: int, kind: ErrorKind, scope: str) -> None:
    error = refused(status, body)
    assert (error.kind, error.scope, error.status) == (kind, scope, status)
    assert error.message
    assert "<" not in error.message


def test_the_word_for_an_overload_counts_wherever_it_stands() -> None:
    for body in (
        anthropic("api_error", 'upstream said {"type":"overloaded_error"}'),
        b"overloaded_error",
        {"error": "overloaded_error"},
    ):
        assert refused(500, body).kind is ErrorKind.OVERLOADED


def test_a_code_under_a_good_status_is_the_status_that_was_meant() -> None:
    error = refused(200, {"error": {"message": "slow", "code": 429}})
    assert (error.kind, error.scope) == (ErrorKind.RATE_LIMIT, "model")
    assert refused(200, {"error": {"message": "?", "code": "1302"}}).kind is ErrorKind.SERVER


@pytest.mark.parametrize(
    ("body", "kind", "scope"),
    [
        (anthropic("invalid_request_error", "prompt is too long: 9 > 8"), ErrorKind.CONTEXT_LENGTH, "request"),
        (
            anthropic("invalid_request_error", "input length and `max_tokens` exceed context limit: 1 + 2 > 2"),
            ErrorKind.CONTEXT_LENGTH,
            "request",
        ),
        (
            anthropic("invalid_request_error", "Your credit balance is too low to access the API"),
            ErrorKind.QUOTA,
            "account",
        ),
        (
            anthropic("rate_limit_error", details={"error_code": "enforced_spend_limit_reached"}),
            ErrorKind.QUOTA,
            "account",
        ),
        (anthropic("rate_limit_error", details={"error_code": "ramp_limit_exceeded"}), ErrorKind.RATE_LIMIT, "model"),
    ],
)
def test_what_its_words_or_its_code_tell_beats_the_type(body: Any, kind: ErrorKind, scope: str) -> None:
    error = refused(400, body)
    assert (error.kind, error.scope) == (kind, scope)


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"code": "1210", "message": "words"}, "request_id": "x"},
        {"error": {"code": 1210, "message": "words"}},
        {"code": "1210", "message": "words"},
        {"success": False, "code": 1210, "msg": "words"},
        [{"error": {"code": "1210", "message": "words"}}],
    ],
)
def test_the_shapes_of_other_vendors_are_read(body: Any) -> None:
    error = refused(400, body)
    assert (error.message, error.code) == ("words", "1210")


def test_a_message_is_kept_without_its_secrets_and_at_a_bearable_length() -> None:
    assert "HUSH" not in refused(401, anthropic("authentication_error", "key sk-ant-HUSHHUSHHUSH is wrong")).message
    assert len(refused(400, b"x" * 60_000).message) <= 1000


def test_the_wait_that_is_asked_for_is_kept() -> None:
    assert refused(429, b"", **{"retry-after": "7"}).retry_after == 7
    assert refused(429).retry_after is None
