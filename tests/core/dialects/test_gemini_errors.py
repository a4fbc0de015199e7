"""Errors of the Gemini dialect: Google's refusals read, and the gateway's told as Google would."""

from __future__ import annotations

from typing import Any

import pytest
from core.dialects.gemini_samples import GEMINI
from google.genai import errors as genai

from aigateway_core.errors import (
    ErrorKind,
    GatewayError,
    InvalidRequestError,
    NoAccountError,
    UnauthorizedError,
    UpstreamError,
    UpstreamFailure,
)
from aigateway_core.jsontext import dumps
from aigateway_core.model import JsonObject

TYPE = "type.googleapis.com/google.rpc."


def refusal(status: int, word: str = "", *details: JsonObject, message: str = "no", code: Any = None) -> bytes:
    error = {"code": code or status, "message": message, "status": word, "details": list(details)}
    return dumps({"error": error})


def info(reason: str, **metadata: str) -> JsonObject:
    return {"@type": TYPE + "ErrorInfo", "reason": reason, "domain": "googleapis.com", "metadata": metadata}


def retry(delay: Any) -> JsonObject:
    return {"@type": TYPE + "RetryInfo", "retryDelay": delay}


def judged(status: int, body: bytes, headers: dict[str, str] | None = None) -> UpstreamError:
    return GEMINI.decode_error(UpstreamFailure(status, headers or {}, body))


DAILY = {
    "@type": TYPE + "QuotaFailure",
    "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}],
}


@pytest.mark.parametrize(
    ("status", "body", "kind", "scope"),
    [
        (400, refusal(400, "INVALID_ARGUMENT"), ErrorKind.INVALID_REQUEST, "request"),
        (400, refusal(400, "INVALID_ARGUMENT", info("API_KEY_INVALID")), ErrorKind.CREDENTIAL, "account"),
        (
            400,
            refusal(400, "INVALID_ARGUMENT", message="API key not valid. Please pass a valid API key."),
            ErrorKind.CREDENTIAL,
            "account",
        ),
        (
            400,
            refusal(
                400,
                "INVALID_ARGUMENT",
                message="The input token count (2) exceeds the maximum number of tokens allowed (1).",
            ),
            ErrorKind.CONTEXT_LENGTH,
            "request",
        ),
        (400, refusal(400, "FAILED_PRECONDITION"), ErrorKind.INVALID_REQUEST, "request"),
        (401, refusal(401, "UNAUTHENTICATED", info("ACCESS_TOKEN_EXPIRED")), ErrorKind.CREDENTIAL, "account"),
        (403, refusal(403, "PERMISSION_DENIED"), ErrorKind.CREDENTIAL, "request"),
        (403, refusal(403, "PERMISSION_DENIED", info("SERVICE_DISABLED")), ErrorKind.CREDENTIAL, "account"),
        (404, refusal(404, "NOT_FOUND"), ErrorKind.MODEL_NOT_FOUND, "request"),
        (429, refusal(429, "RESOURCE_EXHAUSTED"), ErrorKind.RATE_LIMIT, "model"),
        (429, refusal(429, "RESOURCE_EXHAUSTED", DAILY), ErrorKind.QUOTA, "model"),
        (429, refusal(429, "RESOURCE_EXHAUSTED", retry("1s"), info("QUOTA_EXHAUSTED")), ErrorKind.QUOTA, "model"),
        (429, refusal(429, "RESOURCE_EXHAUSTED", info("RATE_LIMIT_EXCEEDED")), ErrorKind.RATE_LIMIT, "model"),
        (429, refusal(429, "RESOURCE_EXHAUSTED", info("MODEL_CAPACITY_EXHAUSTED")), ErrorKind.OVERLOADED, "request"),
        (503, refusal(503, "UNAVAILABLE"), ErrorKind.OVERLOADED, "request"),
        (504, refusal(504, "DEADLINE_EXCEEDED"), ErrorKind.TIMEOUT, "request"),
        (500, refusal(500, "INTERNAL"), ErrorKind.SERVER, "request"),
        (200, refusal(0, "RESOURCE_EXHAUSTED", code=429), ErrorKind.RATE_LIMIT, "model"),
        (200, refusal(0, "", code="429"), ErrorKind.RATE_LIMIT, "model"),
        (418, b"teapot", ErrorKind.INVALID_REQUEST, "request"),
        (502, b"<html>bad gateway</html>", ErrorKind.SERVER, "request"),
        (429, b"", ErrorKind.RATE_LIMIT, "model"),
    ],
)
def test_a_refusal_is_judged(status: int, body: bytes, kind: ErrorKind, scope: str) -> None:
    error = judged(status, body)
    assert (error.kind, error.scope) == (kind, scope)


@pytest.mark.parametrize(
    ("details", "seconds"),
    [
        ([retry("3.2s")], 3.2),
        ([info("RATE_LIMIT_EXCEEDED", quotaResetDelay="200ms")], 0.2),
        ([info("RATE_LIMIT_EXCEEDED", quotaResetDelay="9s"), retry("1h16m0.5s")], 4560.5),
        ([retry({"seconds": 3})], 3.0),
        ([info("QUOTA_EXHAUSTED", quotaResetTimeStamp="2026-01-01T00:00:00Z"), retry("5s")], 5.0),
        ([info("QUOTA_EXHAUSTED", quotaResetTimeStamp="2026-01-01T00:00:00Z", quotaResetDelay="9s")], 9.0),
        ([info("QUOTA_EXHAUSTED", quotaResetTimeStamp="2026-01-01T00:00:00Z")], 0.0),
        ([info("QUOTA_EXHAUSTED", quotaResetTimeStamp="2999-01-01T00:00:00Z")], 7 * 86400.0),
        ([info("QUOTA_EXHAUSTED", quotaResetTimeStamp="soon")], None),
        ([retry("754.431528ms")], 0.754431528),
        ([retry("71h15m27.79s")], 256527.79),
        ([retry("99999h")], 7 * 86400.0),
        ([retry("soon")], None),
        ([retry("gemini-3.1-pro")], None),
        ([retry(5)], None),
        ([], None),
    ],
)
def test_the_delay_is_read_from_the_details(details: list[JsonObject], seconds: float | None) -> None:
    found = judged(429, refusal(429, "RESOURCE_EXHAUSTED", *details)).retry_after
    assert found == pytest.approx(seconds) if seconds is not None else found is None


def test_the_delay_is_read_from_a_header_and_from_the_words() -> None:
    assert judged(429, refusal(429, "RESOURCE_EXHAUSTED"), {"retry-after": "7"}).retry_after == 7
    told = refusal(429, "RESOURCE_EXHAUSTED", message="You exceeded your current quota. Please retry in 41.5s.")
    assert judged(429, told).retry_after == 41.5


def test_the_message_and_the_reason_are_kept_and_html_is_not() -> None:
    error = judged(429, refusal(429, "RESOURCE_EXHAUSTED", info("QUOTA_EXHAUSTED"), message="out of quota"))
    assert (error.message, error.code, error.status) == ("out of quota", "QUOTA_EXHAUSTED", 429)
    assert judged(502, b"<html>bad gateway</html>").message == "the upstream answered with status 502"


def test_a_key_in_a_message_is_not_repeated() -> None:
    key = "AIzaSyA-1234567890abcdefghijklmnopqrstu"
    error = judged(400, refusal(400, "INVALID_ARGUMENT", message=f"bad url ?key={key}"))
    assert key not in error.message


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_every_kind_has_a_status_and_a_word(kind: ErrorKind) -> None:
    reply = GEMINI.encode_error(UpstreamError(kind, "no"), "req_1")
    error = reply.body["error"]
    assert error["code"] == reply.status
    assert error["status"].isupper()
    assert reply.headers["x-request-id"] == "req_1"
    raised = genai.ServerError if reply.status >= 500 else genai.ClientError
    with pytest.raises(raised, match="no"):
        genai.APIError.raise_error(reply.status, reply.body, None)


@pytest.mark.parametrize(
    ("kind", "status", "word"),
    [
        (ErrorKind.INVALID_REQUEST, 400, "INVALID_ARGUMENT"),
        (ErrorKind.FORBIDDEN, 403, "PERMISSION_DENIED"),
        (ErrorKind.MODEL_NOT_FOUND, 404, "NOT_FOUND"),
        (ErrorKind.TOO_LARGE, 413, "INVALID_ARGUMENT"),
        (ErrorKind.RATE_LIMIT, 429, "RESOURCE_EXHAUSTED"),
        (ErrorKind.QUOTA, 429, "RESOURCE_EXHAUSTED"),
        (ErrorKind.OVERLOADED, 503, "UNAVAILABLE"),
        (ErrorKind.SERVER, 500, "INTERNAL"),
        (ErrorKind.TIMEOUT, 504, "DEADLINE_EXCEEDED"),
    ],
)
def test_kinds_become_googles_words(kind: ErrorKind, status: int, word: str) -> None:
    reply = GEMINI.encode_error(UpstreamError(kind, "no"), "req_1")
    assert (reply.status, reply.body["error"]["status"]) == (status, word)


def test_a_wrong_key_is_unauthenticated_and_an_accounts_own_is_not() -> None:
    assert GEMINI.encode_error(UnauthorizedError("wrong key"), "r").status == 401
    assert GEMINI.encode_error(UpstreamError(ErrorKind.CREDENTIAL, "expired"), "r").status == 502


def test_when_to_try_again_is_told_twice() -> None:
    reply = GEMINI.encode_error(NoAccountError("none left", retry_after=2.5), "req_1")
    assert reply.headers["retry-after"] == "3"
    assert reply.body["error"]["details"] == [retry("3s")]


def test_the_field_that_is_wrong_is_told() -> None:
    body = GEMINI.encode_error(InvalidRequestError("expected a string", path="contents[0].role"), "req_1").body
    (violation,) = body["error"]["details"][0]["fieldViolations"]
    assert violation["field"] == "contents[0].role"


def test_an_error_of_the_gateways_own_is_internal() -> None:
    reply = GEMINI.encode_error(GatewayError("internal error"), "req_1")
    assert reply.body == {"error": {"code": 500, "message": "internal error", "status": "INTERNAL"}}


def test_the_field_that_google_complains_of_is_kept() -> None:
    violation = {"field": "contents[0].parts", "description": "empty"}
    details = [{"@type": TYPE + "BadRequest", "fieldViolations": [{"description": "x"}, violation]}]
    body = {"error": {"code": 400, "message": "bad", "status": "INVALID_ARGUMENT", "details": details}}
    assert GEMINI.decode_error(UpstreamFailure(400, {}, dumps(body))).param == "contents[0].parts"
