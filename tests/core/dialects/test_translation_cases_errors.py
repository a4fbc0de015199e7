"""Numbered cases 148–158 and 169: errors in the shape of each dialect, and refusals of upstreams in whatever shape.

No dialect's business, and left to the tests of the running gateway (``tests/core/test_gateway.py``, ``tests/e2e``):
of 148–152 which accounts are tried, of 157 that no upstream is asked, and 159–165 and 167. GLM's full table of codes
is left to the tests of its distribution.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from core.dialects.sheet import ANTHROPIC, GLM, HI, OPENAI, Including, JsonText, Matching, case, picked

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
from aigateway_core.model import JsonObject


def upstream(kind: ErrorKind, message: str = "the upstream's words", retry_after: float | None = None) -> UpstreamError:
    return UpstreamError(kind, message, scope="model", retry_after=retry_after)


TABLE: list[Any] = [
    # Section 2.3: what happened; status and type for a Messages client; status and fields for a Chat client.
    case(
        158,
        "invalid",
        InvalidRequestError("bad", path="model"),
        (400, "invalid_request_error"),
        (400, {"type": "invalid_request_error"}),
    ),
    case(
        157,
        "no_key",
        UnauthorizedError("no key"),
        (401, "authentication_error"),
        (401, {"type": "invalid_request_error", "code": "invalid_api_key"}),
    ),
    case(157, "not_allowed", ForbiddenError("no"), (403, "permission_error"), (403, {"code": "permission_denied"})),
    case(
        158,
        "unknown_model",
        UnknownModelError("no provider for x"),
        (404, "not_found_error"),
        (404, {"code": "model_not_found"}),
    ),
    case(
        156,
        "too_large",
        RequestTooLargeError("over 20 MB"),
        (413, "request_too_large"),
        (413, {"type": "invalid_request_error"}),
    ),
    case(
        148,
        "rate_limit",
        upstream(ErrorKind.RATE_LIMIT),
        (429, "rate_limit_error"),
        (429, {"code": "rate_limit_exceeded"}),
    ),
    case(
        148,
        "no_account",
        NoAccountError("busy", retry_after=2),
        (429, "rate_limit_error"),
        (429, {"code": "rate_limit_exceeded"}),
    ),
    case(
        149,
        "overloaded",
        upstream(ErrorKind.OVERLOADED),
        (529, "overloaded_error"),
        (503, {"code": "server_is_overloaded"}),
    ),
    case(150, "quota", upstream(ErrorKind.QUOTA), (402, "billing_error"), (429, {"code": "insufficient_quota"})),
    case(
        151,
        "context",
        upstream(ErrorKind.CONTEXT_LENGTH),
        (400, "invalid_request_error"),
        (400, {"code": "context_length_exceeded"}),
    ),
    case(
        152,
        "content",
        upstream(ErrorKind.CONTENT_FILTER),
        (400, "invalid_request_error"),
        (400, {"type": "invalid_request_error"}),
    ),
    case(154, "server", upstream(ErrorKind.SERVER), (500, "api_error"), (500, {"type": "server_error"})),
    case(154, "timeout", upstream(ErrorKind.TIMEOUT), (504, "timeout_error"), (504, {"type": "server_error"})),
    case(154, "stopping", UnavailableError("stopping"), (529, "overloaded_error"), (503, {"type": "server_error"})),
    case(154, "anything_else", GatewayError("internal error"), (500, "api_error"), (500, {"type": "server_error"})),
]


@pytest.mark.parametrize(("error", "messages", "chat"), TABLE)
def test_an_error_has_the_status_and_the_words_of_the_dialect(
    error: GatewayError, messages: tuple[int, str], chat: tuple[int, JsonObject]
) -> None:
    reply = ANTHROPIC.encode_error(error, "req_1")
    body = {"type": "error", "error": Including({"type": messages[1]}), "request_id": "req_1"}
    assert (reply.status, reply.body) == (messages[0], body)
    reply = OPENAI.encode_error(error, "req_1")
    assert (reply.status, set(reply.body)) == (chat[0], {"error"})
    assert {"message", "type", "param", "code"} <= set(reply.body["error"])
    assert picked(reply.body["error"], chat[1]) == chat[1]


@pytest.mark.parametrize("dialect", [ANTHROPIC, OPENAI], ids=["anthropic", "openai"])
@pytest.mark.parametrize("kind", list(ErrorKind))
def test_every_kind_of_error_can_be_told_whole_and_in_a_stream(dialect: Dialect, kind: ErrorKind) -> None:
    error = UpstreamError(kind, "the upstream's words")
    reply = dialect.encode_error(error, "req_1")
    assert 400 <= reply.status < 600
    assert "the upstream's words" in reply.body["error"]["message"]
    [event] = SseParser().feed(dialect.encode_stream_error(error, "req_1"))
    told = json.loads(event.data)
    assert told["error"]["message"] == reply.body["error"]["message"]
    assert told["error"]["type"] == reply.body["error"]["type"]
    assert event.event == ("error" if dialect is ANTHROPIC else "")


@pytest.mark.parametrize("wait", [0.2, 1.0, 7.5])
@pytest.mark.parametrize("dialect", [ANTHROPIC, OPENAI], ids=["anthropic", "openai"])
def test_case_148_the_wait_is_whole_seconds_and_at_least_one(dialect: Dialect, wait: float) -> None:
    reply = dialect.encode_error(upstream(ErrorKind.RATE_LIMIT, retry_after=wait), "req_1")
    assert int(reply.headers["retry-after"]) >= max(wait, 1)


def test_case_151_the_words_that_claude_code_looks_for() -> None:
    words = "This model's maximum context length is 200000 tokens. However, your messages resulted in 210000 tokens."
    failure = UpstreamFailure(
        400, {}, json.dumps({"error": {"code": "context_length_exceeded", "message": words}}).encode()
    )
    told = ANTHROPIC.encode_error(OPENAI.decode_error(failure), "req_1").body["error"]["message"]
    assert told.startswith("prompt is too long: 210000 tokens > 200000 maximum")
    # Without numbers in the upstream's words there are none that could be told honestly; the beginning is what counts.
    failure = UpstreamFailure(400, {}, b'{"error":{"code":"1261","message":"Prompt exceeds max length"}}')
    told = ANTHROPIC.encode_error(GLM.decode_error(failure), "req_1").body["error"]["message"]
    assert told.startswith("prompt is too long")


def test_case_157_an_sdk_is_told_not_to_try_a_wrong_key_again() -> None:
    assert ANTHROPIC.encode_error(UnauthorizedError("no"), "req_1").headers["x-should-retry"] == "false"
    assert OPENAI.encode_error(UnauthorizedError("no"), "req_1").headers["x-should-retry"] == "false"


def refusal(dialect: Dialect, status: int, body: bytes, **headers: str) -> UpstreamError:
    return dialect.decode_error(UpstreamFailure(status, headers, body))


GLM_CODES = [
    case(148, "rate_limit", 429, "1302", ErrorKind.RATE_LIMIT, "model"),
    case(149, "overload", 429, "1305", ErrorKind.OVERLOADED, "model"),
    case(150, "balance", 429, "1113", ErrorKind.QUOTA, "account"),
    case(151, "context", 400, "1261", ErrorKind.CONTEXT_LENGTH, "request"),
    case(152, "content", 400, "1301", ErrorKind.CONTENT_FILTER, "request"),
    case(153, "parameter", 400, "1210", ErrorKind.INVALID_REQUEST, "request"),
]


@pytest.mark.parametrize(("status", "code", "kind", "scope"), GLM_CODES)
@pytest.mark.parametrize(
    "shape",
    [
        '{"error":{"code":"CODE","message":"words"}}',
        '{"error":{"code":CODE,"message":"words"}}',
        '{"code":"CODE","message":"words"}',
        '{"code":CODE,"message":"words"}',
        '{"error":{"code":"CODE","message":"words"},"request_id":"x"}',
        '[{"error":{"code":"CODE","message":"words"}}]',
    ],
    ids=["nested", "nested_number", "flat", "flat_number", "with_request_id", "in_a_list"],
)
def test_a_code_means_the_same_in_every_shape(status: int, code: str, kind: ErrorKind, scope: str, shape: str) -> None:
    error = refusal(GLM, status, shape.replace("CODE", code).encode())
    assert (error.kind, error.scope, error.code, error.status) == (kind, scope, code, status)
    assert "words" in error.message
    again = kind in (ErrorKind.RATE_LIMIT, ErrorKind.OVERLOADED, ErrorKind.QUOTA)
    assert error.retryable == again


@pytest.mark.parametrize("dialect", [OPENAI, GLM, ANTHROPIC], ids=["openai", "glm", "anthropic"])
def test_case_154_a_page_of_html_is_not_shown(dialect: Dialect) -> None:
    page = b"<html><head><title>502 Bad Gateway</title></head><body><center>nginx</center></body></html>"
    error = refusal(dialect, 502, page)
    told = ANTHROPIC.encode_error(error, "req_1")
    assert (told.status, told.body["error"]["type"]) == (500, "api_error")
    assert "<" not in told.body["error"]["message"]
    assert 0 < len(told.body["error"]["message"]) < 200


@pytest.mark.parametrize("dialect", [OPENAI, GLM, ANTHROPIC], ids=["openai", "glm", "anthropic"])
def test_case_155_a_number_for_a_code_is_no_reason_to_fall(dialect: Dialect) -> None:
    error = refusal(
        dialect, 400, b'{"error":{"message":"words","type":"invalid_request_error","param":null,"code":400}}'
    )
    assert error.kind is ErrorKind.INVALID_REQUEST
    assert "words" in error.message


PLAIN = [
    case(156, "404", 404, ErrorKind.MODEL_NOT_FOUND, (404, "not_found_error")),
    case(156, "413", 413, ErrorKind.TOO_LARGE, (413, "request_too_large")),
    case(156, "429", 429, ErrorKind.RATE_LIMIT, (429, "rate_limit_error")),
    case(156, "529", 529, ErrorKind.OVERLOADED, (529, "overloaded_error")),
    # Decided otherwise than the sheet: what an upstream says of the account's credential is not the client's 401 or
    # 403, which would send its user looking for a mistake in a key that is right (reliability U-23).
    case(156, "401", 401, ErrorKind.CREDENTIAL, (502, "api_error")),
    case(156, "403", 403, ErrorKind.CREDENTIAL, (502, "api_error")),
]


@pytest.mark.parametrize(("status", "kind", "told"), PLAIN)
@pytest.mark.parametrize(
    "body", [b"plain words", b"", b"\xff\xfe", b"null", b"[]", b'"words"', b"{}", b'{"error":null}']
)
@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])
def test_a_status_alone_says_enough(
    dialect: Dialect, body: bytes, status: int, kind: ErrorKind, told: tuple[int, str]
) -> None:
    error = refusal(dialect, status, body)
    assert (error.kind, error.status) == (kind, status)
    reply = ANTHROPIC.encode_error(error, "req_1")
    assert (reply.status, reply.body["error"]["type"]) == told
    assert reply.body["error"]["message"]


def test_what_an_upstream_says_is_scrubbed_of_keys() -> None:
    body = b'{"error":{"message":"Incorrect API key provided: sk-proj-HUSH1234567890. See https://u:HUSH@host/"}}'
    for dialect in (OPENAI, ANTHROPIC):
        assert "HUSH" not in refusal(dialect, 401, body).message


@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])
def test_the_wait_that_an_upstream_asks_for_is_kept(dialect: Dialect) -> None:
    assert refusal(dialect, 429, b"", **{"retry-after": "7"}).retry_after == 7
    assert refusal(dialect, 429, b"").retry_after is None


@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])
def test_a_refusal_of_the_request_punishes_no_account(dialect: Dialect) -> None:
    for status in (400, 404, 405, 409, 413, 415, 422, 499):
        assert refusal(dialect, status, b"").scope == "request"


def test_case_158_the_words_for_an_unknown_model() -> None:
    error = UnknownModelError("x is served by no provider here")
    assert "model: x" in ANTHROPIC.encode_error(UnknownModelError("model: x"), "req_1").body["error"]["message"]
    assert OPENAI.encode_error(error, "req_1").body["error"]["message"].startswith("x is served")


def test_case_169_the_input_of_an_interrupted_call_is_sent_as_it_is() -> None:
    given = {"__unparsedToolInput": {"raw": '{"a":', "len": 5}}
    call = {"type": "tool_use", "id": "toolu_1", "name": "w", "input": given}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": True, "content": "no JSON"}
    turns = [HI, {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    sent = OPENAI.encode_request(ANTHROPIC.decode_request({"model": "m", "max_tokens": 9, "messages": turns}))
    expected = [{"id": "toolu_1", "type": "function", "function": {"name": "w", "arguments": JsonText(given)}}]
    assert sent["messages"][1]["tool_calls"] == expected
    assert sent["messages"][2]["content"] == Matching("Error: no JSON")
