"""Errors, both ways: the gateway's kinds into this API's statuses and types, and an upstream's refusals into kinds.

Statuses and types: platform.claude.com, "errors". Where several would do, the one stands at which Claude Code does what
is right: it waits at 529, stops at 402, and compacts when it is told that the prompt is too long.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import attrs
import orjson

from aigateway_core.dialects.dialect import ErrorReply
from aigateway_core.dialects.refusals import shut_out
from aigateway_core.dialects.sse import format_event
from aigateway_core.dialects.waits import retry_after
from aigateway_core.errors import (
    BY_STATUS,
    ErrorKind,
    GatewayError,
    UnknownModelError,
    UnsupportedFeatureError,
    UpstreamError,
    UpstreamFailure,
    Verdict,
)
from aigateway_core.jsontext import dumps
from aigateway_core.model import JsonObject
from aigateway_core.secret import scrub


class ThreadUnsupportedError(UnsupportedFeatureError):
    """The client asked for a conversation that the server keeps; the SDK goes on without when it is told this code."""

    code = "thread_unsupported_request"


# -- to a client

_REPLIES: dict[ErrorKind, tuple[int, str]] = {
    ErrorKind.INVALID_REQUEST: (400, "invalid_request_error"),
    ErrorKind.UNSUPPORTED: (400, "invalid_request_error"),
    ErrorKind.CONTEXT_LENGTH: (400, "invalid_request_error"),
    ErrorKind.CONTENT_FILTER: (400, "invalid_request_error"),
    ErrorKind.TOO_LARGE: (413, "request_too_large"),
    ErrorKind.UNAUTHORIZED: (401, "authentication_error"),
    ErrorKind.FORBIDDEN: (403, "permission_error"),
    ErrorKind.NOT_FOUND: (404, "not_found_error"),
    ErrorKind.MODEL_NOT_FOUND: (404, "not_found_error"),
    ErrorKind.METHOD_NOT_ALLOWED: (405, "invalid_request_error"),
    ErrorKind.CONFLICT: (409, "conflict_error"),
    ErrorKind.REQUEST_TIMEOUT: (408, "timeout_error"),
    ErrorKind.RATE_LIMIT: (429, "rate_limit_error"),
    ErrorKind.QUOTA: (402, "billing_error"),
    # An account's own 401 must not look like the client's: it is the gateway that has to log in again (U-23).
    ErrorKind.CREDENTIAL: (502, "api_error"),
    ErrorKind.BANNED: (502, "api_error"),
    ErrorKind.OVERLOADED: (529, "overloaded_error"),
    ErrorKind.SERVER: (500, "api_error"),
    ErrorKind.UNAVAILABLE: (529, "overloaded_error"),
    ErrorKind.TIMEOUT: (504, "timeout_error"),
    ErrorKind.PROTOCOL: (502, "api_error"),
    ErrorKind.INTERNAL: (500, "api_error"),
}

_TOO_LONG = "prompt is too long"
_NUMBER = re.compile(r"\d[\d,]{3,}")


def write_error(error: GatewayError, request_id: str) -> ErrorReply:
    """The error as Anthropic would have put it."""
    status, _ = _REPLIES[error.kind]
    headers = {"request-id": request_id}
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after)))
    if status == 401:
        # Claude Code would go on asking for most of a minute (case 157).
        headers["x-should-retry"] = "false"
    return ErrorReply(status, _body(error, request_id), headers)


def write_stream_error(error: GatewayError, request_id: str) -> bytes:
    """The event that ends a stream that went wrong; clients go by its type."""
    return format_event(dumps(_body(error, request_id)), "error")


def _body(error: GatewayError, request_id: str) -> JsonObject:
    told: JsonObject = {"type": _REPLIES[error.kind][1], "message": _message(error)}
    if isinstance(error, ThreadUnsupportedError):
        told["details"] = {"error_code": error.code}
    return {"type": "error", "error": told, "request_id": request_id}


def _message(error: GatewayError) -> str:
    if error.kind is ErrorKind.CONTEXT_LENGTH:
        return _too_long(error.message)
    if error.kind is ErrorKind.MODEL_NOT_FOUND and not error.message.startswith("model:"):
        name = error.model if isinstance(error, UnknownModelError) else None
        return f"model: {name}; {error.message}" if name else f"model: {error.message}"
    if error.kind is ErrorKind.CREDENTIAL:
        return f"the provider does not accept the account's credential: {error.message}"
    return error.message


def _too_long(message: str) -> str:
    """The wording by which Claude Code knows that it has to compact, with the numbers of the message (case 151)."""
    if _TOO_LONG in message:
        return message
    numbers = sorted({int(number.replace(",", "")) for number in _NUMBER.findall(message)})
    if len(numbers) == 2:
        return f"{_TOO_LONG}: {numbers[1]} tokens > {numbers[0]} maximum"
    return f"{_TOO_LONG}: {message}"


# -- from an upstream


_BY_STATUS: Mapping[int, Verdict] = {**BY_STATUS, 409: (ErrorKind.CONFLICT, "request")}

_BY_TYPE: dict[str, Verdict] = {
    "authentication_error": _BY_STATUS[401],
    "billing_error": _BY_STATUS[402],
    "permission_error": _BY_STATUS[403],
    "not_found_error": _BY_STATUS[404],
    "conflict_error": _BY_STATUS[409],
    "request_too_large": _BY_STATUS[413],
    "rate_limit_error": _BY_STATUS[429],
    "timeout_error": _BY_STATUS[504],
    "overloaded_error": _BY_STATUS[529],
}

_BY_CODE: dict[str, Verdict] = {
    # Limits that somebody has to raise; waiting does not help (types of the Anthropic SDK, error details).
    "contract_spend_limit_reached": (ErrorKind.QUOTA, "account"),
    "enforced_spend_limit_reached": (ErrorKind.QUOTA, "account"),
}

_BY_WORDS: tuple[tuple[str, Verdict], ...] = (
    ("overloaded_error", _BY_STATUS[529]),
    (_TOO_LONG, (ErrorKind.CONTEXT_LENGTH, "request")),
    ("exceed context limit", (ErrorKind.CONTEXT_LENGTH, "request")),
    # Sent as a 400 invalid_request_error, though it speaks of the account.
    ("credit balance is too low", (ErrorKind.QUOTA, "account")),
)

_MOST_MESSAGE = 1000
"""How much of an upstream's message is kept."""


@attrs.frozen
class _Refusal:
    type: str | None = None
    code: str | None = None
    message: str | None = None


def read_error(failure: UpstreamFailure) -> UpstreamError:
    """Kind, scope and message of a refusal: by its code and type, by telling words, by status."""
    refusal = _refusal(failure.body)
    kind, scope = _verdict(failure.status, refusal)
    return UpstreamError(
        kind,
        scrub(refusal.message) if refusal.message else f"the upstream answered with status {failure.status}",
        scope=scope,
        retry_after=retry_after(failure.headers),
        status=failure.status,
        code=refusal.code or refusal.type,
    )


def _verdict(status: int, refusal: _Refusal) -> Verdict:
    code, message = refusal.code or "", refusal.message or ""
    if (judgement := shut_out(status, message)) is not None:
        return judgement
    for words, verdict in _BY_WORDS:
        if words in message:
            return verdict
    known = _BY_CODE.get(code) or _BY_TYPE.get(refusal.type or "")
    if known is not None:
        return known
    if status < 400:
        # An error inside an answer that began well (U-10): its code may be the status it should have had.
        status = int(code) if code.isascii() and code.isdigit() and len(code) == 3 else 0
    default = (
        ErrorKind.INVALID_REQUEST
        if refusal.type == "invalid_request_error" or 400 <= status < 500
        else ErrorKind.SERVER
    )
    return _BY_STATUS.get(status, (default, "request"))


def _refusal(body: bytes) -> _Refusal:
    """What the body tells: in this API's shape, in the nested or flat one of others, as plain text; no HTML."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        text = body.decode("utf-8", "replace").strip()
        return _Refusal(message=None if text.startswith("<") else _clipped(text))
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        return _Refusal(message=_clipped(value))
    inner = value.get("error")
    if isinstance(inner, dict):
        return _told(inner)
    return _told(value) if inner is None else _Refusal(message=_clipped(inner))


def _told(error: JsonObject) -> _Refusal:
    details = error.get("details")
    code = error.get("code") or (details.get("error_code") if isinstance(details, dict) else None)
    kind = error.get("type")
    return _Refusal(
        kind if isinstance(kind, str) else None,
        str(code) if isinstance(code, str | int) else None,
        _clipped(error.get("message") or error.get("msg") or error.get("detail")),
    )


def _clipped(text: Any) -> str | None:
    return text[:_MOST_MESSAGE] or None if isinstance(text, str) else None


_EXTRA = re.compile(
    r"(?<![.\w])([A-Za-z_]\w*): Extra inputs are not permitted|Extra inputs are not permitted: ([A-Za-z_]\w*)(?![.\w])"
)


def refused_field(error: UpstreamError) -> str | None:
    """The field of a body that the upstream says it does not have; None where it complains of anything else."""
    if error.kind is not ErrorKind.INVALID_REQUEST or (found := _EXTRA.search(error.message)) is None:
        return None
    return found[1] or found[2]


_UNSIGNED = re.compile(r"signature.{0,60}thinking|thinking.{0,60}signature", re.IGNORECASE | re.DOTALL)
"""``messages.1.content.0: Invalid `signature` in `thinking` block``, and what copies of the API say."""


def is_about_signatures(error: UpstreamError) -> bool:
    """Whether the upstream refused the proof of earlier thinking: a conversation can go on without that."""
    return error.kind is ErrorKind.INVALID_REQUEST and _UNSIGNED.search(error.message) is not None
