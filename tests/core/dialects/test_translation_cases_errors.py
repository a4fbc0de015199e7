"""Numbered cases 148–158 and 169: refusals of upstreams in whatever shape, and the words that clients look for.

The tables of all dialects are in ``test_translation_tables.py``.
No dialect's business, and left to the tests of the running gateway (``tests/core/test_gateway.py``, ``tests/e2e``):
of 148–152 which accounts are tried, of 157 that no upstream is asked, and 159–165 and 167. GLM's full table of codes
is left to the tests of its distribution.
"""

from __future__ import annotations

import json

import pytest
from core.dialects.sheet import ANTHROPIC, GLM, HI, OPENAI, JsonText, Matching, case

from aigateway_core.dialects.dialect import Dialect
from aigateway_core.errors import (
    ErrorKind,
    UnauthorizedError,
    UnknownModelError,
    UpstreamError,
    UpstreamFailure,
)


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
