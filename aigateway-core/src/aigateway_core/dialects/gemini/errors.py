"""Errors, both ways: the gateway's kinds into Google's statuses, and an upstream's refusals into kinds.

Shape: https://google.aip.dev/193. An error has a ``status`` word, and ``details`` of types of ``google.rpc`` in any
order: ``ErrorInfo`` with a reason, ``RetryInfo`` with a delay, ``QuotaFailure`` with the limits that were met.
"""

from __future__ import annotations

import math
import re
from typing import Any

import attrs
import orjson

from aigateway_core.dialects.dialect import ErrorReply
from aigateway_core.dialects.gemini.framing import Framing, failing
from aigateway_core.dialects.refusals import readable, shut_out
from aigateway_core.dialects.waits import duration, retry_after, until, wait_in
from aigateway_core.errors import (
    BY_STATUS,
    ErrorKind,
    GatewayError,
    InvalidRequestError,
    UnsupportedFeatureError,
    UpstreamError,
    UpstreamFailure,
    Verdict,
)
from aigateway_core.jsontext import dumps
from aigateway_core.model import JsonObject
from aigateway_core.secret import scrub

_TYPES = "type.googleapis.com/google.rpc."

# -- to a client

_REPLIES: dict[ErrorKind, tuple[int, str]] = {
    ErrorKind.INVALID_REQUEST: (400, "INVALID_ARGUMENT"),
    ErrorKind.UNSUPPORTED: (400, "INVALID_ARGUMENT"),
    ErrorKind.CONTEXT_LENGTH: (400, "INVALID_ARGUMENT"),
    ErrorKind.CONTENT_FILTER: (400, "INVALID_ARGUMENT"),
    ErrorKind.TOO_LARGE: (413, "INVALID_ARGUMENT"),
    ErrorKind.UNAUTHORIZED: (401, "UNAUTHENTICATED"),
    ErrorKind.FORBIDDEN: (403, "PERMISSION_DENIED"),
    ErrorKind.NOT_FOUND: (404, "NOT_FOUND"),
    ErrorKind.MODEL_NOT_FOUND: (404, "NOT_FOUND"),
    ErrorKind.METHOD_NOT_ALLOWED: (405, "UNIMPLEMENTED"),
    ErrorKind.CONFLICT: (409, "ABORTED"),
    ErrorKind.REQUEST_TIMEOUT: (408, "DEADLINE_EXCEEDED"),
    ErrorKind.RATE_LIMIT: (429, "RESOURCE_EXHAUSTED"),
    ErrorKind.QUOTA: (429, "RESOURCE_EXHAUSTED"),
    # The gateway's own credential with the vendor: a 401 would tell the client to mend its key, which is good.
    ErrorKind.CREDENTIAL: (502, "INTERNAL"),
    ErrorKind.BANNED: (502, "INTERNAL"),
    ErrorKind.OVERLOADED: (503, "UNAVAILABLE"),
    ErrorKind.SERVER: (500, "INTERNAL"),
    ErrorKind.UNAVAILABLE: (503, "UNAVAILABLE"),
    ErrorKind.TIMEOUT: (504, "DEADLINE_EXCEEDED"),
    ErrorKind.PROTOCOL: (502, "INTERNAL"),
    ErrorKind.INTERNAL: (500, "INTERNAL"),
}


def write_error(error: GatewayError, request_id: str) -> ErrorReply:
    """The error as Google would have put it."""
    headers = {"x-request-id": request_id}
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after)))
    return ErrorReply(_REPLIES[error.kind][0], _body(error), headers)


def write_stream_error(error: GatewayError, framing: Framing) -> bytes:
    """The last bytes of a stream that went wrong."""
    return failing(framing, dumps(_body(error)))


def _body(error: GatewayError) -> JsonObject:
    code, status = _REPLIES[error.kind]
    told: JsonObject = {"code": code, "message": error.message, "status": status}
    if details := _details(error):
        told["details"] = details
    return {"error": told}


def _details(error: GatewayError) -> list[JsonObject]:
    """When to try again, which gemini-cli obeys, and which field is wrong."""
    details: list[JsonObject] = []
    if error.retry_after is not None:
        delay = f"{max(1, math.ceil(error.retry_after))}s"
        details.append({"@type": _TYPES + "RetryInfo", "retryDelay": delay})
    if field := _field(error):
        violation = {"field": field, "description": error.message}
        details.append({"@type": _TYPES + "BadRequest", "fieldViolations": [violation]})
    return details


def _field(error: GatewayError) -> str | None:
    """The field that is wrong, as the gateway or the upstream named it."""
    if isinstance(error, UpstreamError):
        return error.param
    return error.path if isinstance(error, InvalidRequestError | UnsupportedFeatureError) else None


# -- from an upstream


_BY_REASON: dict[str, Verdict] = {
    "API_KEY_INVALID": (ErrorKind.CREDENTIAL, "account"),
    "API_KEY_SERVICE_BLOCKED": (ErrorKind.CREDENTIAL, "account"),
    "ACCESS_TOKEN_EXPIRED": (ErrorKind.CREDENTIAL, "account"),
    "ACCESS_TOKEN_TYPE_UNSUPPORTED": (ErrorKind.CREDENTIAL, "account"),
    "CREDENTIALS_MISSING": (ErrorKind.CREDENTIAL, "account"),
    "CONSUMER_INVALID": (ErrorKind.CREDENTIAL, "account"),
    "CONSUMER_SUSPENDED": (ErrorKind.BANNED, "account"),
    "SERVICE_DISABLED": (ErrorKind.CREDENTIAL, "account"),
    "BILLING_DISABLED": (ErrorKind.QUOTA, "account"),
    "QUOTA_EXHAUSTED": (ErrorKind.QUOTA, "model"),
    "RATE_LIMIT_EXCEEDED": (ErrorKind.RATE_LIMIT, "model"),
    "MODEL_CAPACITY_EXHAUSTED": (ErrorKind.OVERLOADED, "request"),
}

_BY_STATUS_WORD: dict[str, Verdict] = {
    "INVALID_ARGUMENT": (ErrorKind.INVALID_REQUEST, "request"),
    "FAILED_PRECONDITION": (ErrorKind.INVALID_REQUEST, "request"),
    "OUT_OF_RANGE": (ErrorKind.INVALID_REQUEST, "request"),
    "UNAUTHENTICATED": (ErrorKind.CREDENTIAL, "account"),
    "PERMISSION_DENIED": (ErrorKind.CREDENTIAL, "request"),
    "NOT_FOUND": (ErrorKind.MODEL_NOT_FOUND, "request"),
    "RESOURCE_EXHAUSTED": (ErrorKind.RATE_LIMIT, "model"),
    "UNAVAILABLE": (ErrorKind.OVERLOADED, "request"),
    "DEADLINE_EXCEEDED": (ErrorKind.TIMEOUT, "request"),
    "UNIMPLEMENTED": (ErrorKind.UNSUPPORTED, "request"),
    "INTERNAL": (ErrorKind.SERVER, "request"),
    "ABORTED": (ErrorKind.SERVER, "request"),
    "CANCELLED": (ErrorKind.SERVER, "request"),
    "DATA_LOSS": (ErrorKind.SERVER, "request"),
}

_KEY = re.compile(r"API key (?:not valid|expired|not found)", re.IGNORECASE)
_TOO_LONG = re.compile(
    r"exceeds? the maximum number of (?:input )?tokens|prompt is too long|input token count", re.IGNORECASE
)


@attrs.frozen
class _Refusal:
    """What an upstream said."""

    message: str | None = None
    code: int | None = None
    status: str = ""
    reason: str = ""
    delay: float | None = None
    daily: bool = False
    field: str | None = None


def holds_error(body: JsonObject) -> bool:
    """Whether a parsed body, that came with status 200, is an error."""
    return bool(body.get("error")) and not body.get("candidates")


def read_error(failure: UpstreamFailure) -> UpstreamError:
    """Kind, scope and message of a refusal: by its reason, by telling words, by its status word, by status."""
    refusal = _refusal(failure.body)
    status = failure.status if failure.status >= 400 else refusal.code or failure.status
    message = refusal.message or (
        f"the upstream answered with status {status}" if status >= 400 else "the upstream reported an error"
    )
    kind, scope = _verdict(refusal, status, message)
    wait = refusal.delay
    if wait is None:
        wait = retry_after(failure.headers)
    if wait is None and kind in (ErrorKind.RATE_LIMIT, ErrorKind.QUOTA, ErrorKind.OVERLOADED):
        wait = wait_in(message)
    return UpstreamError(
        kind,
        scrub(message),
        scope=scope,
        retry_after=wait,
        status=status,
        code=refusal.reason or refusal.status or None,
        param=refusal.field,
    )


def _verdict(refusal: _Refusal, status: int, message: str) -> Verdict:
    if (judgement := shut_out(status, refusal.message)) is not None:
        return judgement
    if refusal.reason in _BY_REASON:
        return _BY_REASON[refusal.reason]
    if status in (200, 400, 413, 500) and _TOO_LONG.search(message):
        return ErrorKind.CONTEXT_LENGTH, "request"
    if _KEY.search(message):
        return ErrorKind.CREDENTIAL, "account"
    known = _BY_STATUS_WORD.get(refusal.status) or BY_STATUS.get(status)
    if known == (ErrorKind.RATE_LIMIT, "model") and refusal.daily:
        return ErrorKind.QUOTA, "model"
    default = ErrorKind.INVALID_REQUEST if 400 <= status < 500 else ErrorKind.SERVER
    return known or (default, "request")


def _refusal(body: bytes) -> _Refusal:
    """What the body tells: in Google's shape, alone or in an array (case 145), in that of others, as plain text."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _Refusal(readable(body.decode("utf-8", "replace")))
    if type(value) is list and value:
        value = value[0]
    if type(value) is not dict:
        return _Refusal(readable(value))
    error = value.get("error", value)
    if type(error) is not dict:
        return _Refusal(readable(error))
    details = error.get("details")
    listed = [item for item in details if type(item) is dict] if type(details) is list else []
    status = error.get("status")
    return _Refusal(
        next((text for name in ("message", "msg", "detail") if (text := readable(error.get(name)))), None),
        _http_status(error.get("code")),
        status[:60] if type(status) is str else "",
        _reason(listed),
        _delay(listed),
        _daily(listed),
        _violated(listed),
    )


def _of_type(details: list[JsonObject], name: str) -> list[JsonObject]:
    return [item for item in details if str(item.get("@type", "")).endswith("google.rpc." + name)]


def _reason(details: list[JsonObject]) -> str:
    reasons = [item.get("reason") for item in _of_type(details, "ErrorInfo")]
    return next((reason[:60] for reason in reasons if type(reason) is str), "")


def _delay(details: list[JsonObject]) -> float | None:
    """Seconds to wait: what ``RetryInfo`` says, else what the reason's metadata say, be it a time or a moment."""
    found = [item.get("metadata") for item in _of_type(details, "ErrorInfo")]
    metadata = [item for item in found if type(item) is dict]
    waits = [duration(item.get("retryDelay")) for item in _of_type(details, "RetryInfo")]
    waits += [duration(item.get("quotaResetDelay")) for item in metadata]
    waits += [until(item.get("quotaResetTimeStamp")) for item in metadata]
    return next((seconds for seconds in waits if seconds is not None), None)


def _daily(details: list[JsonObject]) -> bool:
    """Whether a limit was met that holds for a whole day."""
    found = [item.get("violations") for item in _of_type(details, "QuotaFailure")]
    violations = [item for several in found if type(several) is list for item in several if type(item) is dict]
    return any("PerDay" in str(violation.get("quotaId", "")) for violation in violations)


def _violated(details: list[JsonObject]) -> str | None:
    """The first field that the upstream calls wrong."""
    found = [item.get("fieldViolations") for item in _of_type(details, "BadRequest")]
    fields = [item.get("field") for several in found if type(several) is list for item in several if type(item) is dict]
    return next((field[:100] for field in fields if type(field) is str and field), None)


def _http_status(value: Any) -> int | None:
    if type(value) is str and value.isascii() and value.isdigit() and len(value) == 3:
        value = int(value)
    return value if type(value) is int and 400 <= value <= 599 else None
