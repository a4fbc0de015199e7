"""Errors in OpenAI's shape: written for clients, read from upstreams whatever they made of it.

Shape and codes: https://platform.openai.com/docs/guides/error-codes. What compatible servers send instead: an error
that is a plain string, a list, flat on the top level, with a number for a code, a page of HTML, or nothing; and those
that are made with FastAPI a list of all that is wrong (fastapi.tiangolo.com, "handling errors").
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import attrs
import orjson

from aigateway_core.dialects.checks import path_text
from aigateway_core.dialects.dialect import ErrorReply
from aigateway_core.dialects.refusals import readable, shut_out
from aigateway_core.dialects.waits import retry_after, wait_in
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
from aigateway_core.model import JsonObject
from aigateway_core.secret import scrub

_REPLIES: dict[ErrorKind, tuple[int, str, str | None]] = {
    ErrorKind.INVALID_REQUEST: (400, "invalid_request_error", None),
    ErrorKind.UNSUPPORTED: (400, "invalid_request_error", "unsupported_parameter"),
    ErrorKind.CONTEXT_LENGTH: (400, "invalid_request_error", "context_length_exceeded"),
    ErrorKind.CONTENT_FILTER: (400, "invalid_request_error", "content_filter"),
    ErrorKind.TOO_LARGE: (413, "invalid_request_error", None),
    ErrorKind.UNAUTHORIZED: (401, "invalid_request_error", "invalid_api_key"),
    ErrorKind.FORBIDDEN: (403, "invalid_request_error", "permission_denied"),
    ErrorKind.NOT_FOUND: (404, "invalid_request_error", None),
    ErrorKind.MODEL_NOT_FOUND: (404, "invalid_request_error", "model_not_found"),
    ErrorKind.METHOD_NOT_ALLOWED: (405, "invalid_request_error", None),
    ErrorKind.CONFLICT: (409, "invalid_request_error", None),
    ErrorKind.REQUEST_TIMEOUT: (408, "invalid_request_error", None),
    ErrorKind.RATE_LIMIT: (429, "rate_limit_error", "rate_limit_exceeded"),
    ErrorKind.QUOTA: (429, "insufficient_quota", "insufficient_quota"),
    # The gateway's own credential with the vendor: a 401 would tell the client to mend its key, which is good.
    ErrorKind.CREDENTIAL: (502, "server_error", None),
    ErrorKind.BANNED: (502, "server_error", None),
    ErrorKind.OVERLOADED: (503, "service_unavailable_error", "server_is_overloaded"),
    ErrorKind.SERVER: (500, "server_error", None),
    ErrorKind.UNAVAILABLE: (503, "server_error", None),
    ErrorKind.TIMEOUT: (504, "server_error", None),
    ErrorKind.PROTOCOL: (502, "server_error", None),
    ErrorKind.INTERNAL: (500, "server_error", None),
}


_BY_CODE: dict[str, Verdict] = {
    # OpenAI's codes.
    "invalid_api_key": (ErrorKind.CREDENTIAL, "account"),
    "account_deactivated": (ErrorKind.BANNED, "account"),
    "insufficient_quota": (ErrorKind.QUOTA, "account"),
    "credit_balance_exhausted": (ErrorKind.QUOTA, "account"),
    "billing_hard_limit_reached": (ErrorKind.QUOTA, "account"),
    "billing_not_active": (ErrorKind.QUOTA, "account"),
    "rate_limit_exceeded": (ErrorKind.RATE_LIMIT, "model"),
    "slow_down": (ErrorKind.OVERLOADED, "request"),
    "server_is_overloaded": (ErrorKind.OVERLOADED, "request"),
    "model_not_found": (ErrorKind.MODEL_NOT_FOUND, "request"),
    "context_length_exceeded": (ErrorKind.CONTEXT_LENGTH, "request"),
    "content_filter": (ErrorKind.CONTENT_FILTER, "request"),
    "content_policy_violation": (ErrorKind.CONTENT_FILTER, "request"),
    # Anthropic's types, and Google's status words: servers of every make sit behind this endpoint.
    "authentication_error": (ErrorKind.CREDENTIAL, "account"),
    "billing_error": (ErrorKind.QUOTA, "account"),
    "overloaded_error": (ErrorKind.OVERLOADED, "request"),
    "service_unavailable_error": (ErrorKind.OVERLOADED, "request"),
    "timeout_error": (ErrorKind.TIMEOUT, "request"),
    "unauthenticated": (ErrorKind.CREDENTIAL, "account"),
}

_BY_TYPE: dict[str, Verdict] = {
    # Only where no status says more: inside a stream or an answer that began with 200.
    "invalid_request_error": (ErrorKind.INVALID_REQUEST, "request"),
    "rate_limit_error": (ErrorKind.RATE_LIMIT, "model"),
    "permission_error": (ErrorKind.CREDENTIAL, "request"),
    "not_found_error": (ErrorKind.MODEL_NOT_FOUND, "request"),
    "request_too_large": (ErrorKind.TOO_LARGE, "request"),
}

_TOO_LONG = re.compile(
    r"maximum context length|prompt is too long|exceeds? the (?:model's )?context (?:length|window)", re.IGNORECASE
)


def write_error(error: GatewayError, request_id: str) -> ErrorReply:
    """Status, body and headers for a client."""
    status, _, _ = _REPLIES[error.kind]
    headers = {"x-request-id": request_id}
    if error.retry_after is not None:
        headers["retry-after"] = str(max(math.ceil(error.retry_after), 1))
    if error.kind is ErrorKind.UNAUTHORIZED:
        # OpenAI's and Anthropic's SDKs, and Claude Code, obey it: a wrong key does not get better by trying again.
        headers["x-should-retry"] = "false"
    return ErrorReply(status, error_body(error), headers)


def error_body(error: GatewayError) -> JsonObject:
    """The body alone."""
    _, kind, code = _REPLIES[error.kind]
    if isinstance(error, UpstreamError) and error.kind is ErrorKind.INVALID_REQUEST:
        code = error.code
    return {"error": {"message": error.message, "type": kind, "param": _param(error), "code": code}}


def _param(error: GatewayError) -> str | None:
    """The field that is wrong, as the gateway or the upstream named it."""
    if isinstance(error, UpstreamError):
        return error.param
    return error.path if isinstance(error, InvalidRequestError | UnsupportedFeatureError) else None


_MOST_COMPLAINTS, _MOST_STEPS, _LONGEST_PLACE = 5, 20, 100


@attrs.frozen
class _Words:
    """What an upstream said: its message, code, type and field as text, and a status that it wrote into the body."""

    message: str | None = None
    code: str | None = None
    type: str | None = None
    status: int | None = None
    param: str | None = None


def read_error(failure: UpstreamFailure, own_codes: Mapping[str, Verdict]) -> UpstreamError:
    """Kind, scope and message of a refusal; ``own_codes`` are the vendor's, which win over OpenAI's."""
    words = _words(failure.body)
    status = failure.status
    if status < 400 and words.status is not None:
        status = words.status
    message = words.message or (
        f"the upstream answered with status {status}" if status >= 400 else "the upstream reported an error"
    )
    kind, scope = _judge(words, status, own_codes)
    wait = retry_after(failure.headers)
    if wait is None and kind in (ErrorKind.RATE_LIMIT, ErrorKind.OVERLOADED):
        wait = wait_in(message)
    return UpstreamError(
        kind,
        scrub(message),
        scope=scope,
        retry_after=wait,
        status=status,
        code=words.code or words.type,
        param=words.param,
    )


def _judge(words: _Words, status: int, own_codes: Mapping[str, Verdict]) -> Verdict:
    if (judgement := shut_out(status, words.message)) is not None:
        return judgement
    given = [word for word in (words.code, words.type) if word is not None]
    for table in (own_codes, _BY_CODE):
        for word in given:
            if (known := table.get(word) or table.get(word.lower())) is not None:
                return known
    if status in (200, 400, 413, 422, 500) and words.message is not None and _TOO_LONG.search(words.message):
        return ErrorKind.CONTEXT_LENGTH, "request"
    if status in BY_STATUS:
        return BY_STATUS[status]
    if status < 400:
        return next((_BY_TYPE[word] for word in given if word in _BY_TYPE), (ErrorKind.SERVER, "request"))
    return (ErrorKind.SERVER if status >= 500 else ErrorKind.INVALID_REQUEST), "request"


def _words(body: bytes) -> _Words:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _Words(readable(body.decode("utf-8", "replace")))
    if type(value) is list and value:
        value = value[0]
    if type(value) is not dict:
        return _Words(readable(value))
    error = value.get("error")
    if type(error) is dict:
        return _from(error, value)
    return _from({**value, "message": error} if type(error) is str else value, {})


def _from(error: JsonObject, outer: JsonObject) -> _Words:
    said = [error.get(name) for name in ("message", "msg", "detail")]
    message = next((text for value in said if (text := readable(value) or _complaints_text(value))), None)
    param = _word(error.get("param")) or next((place for value in said for place, _ in _complaints(value)), None)
    details = error.get("details")
    code = error.get("code")
    if code is None and type(details) is dict:
        code = details.get("error_code")
    # Anthropic's outer type is always "error"; Google's word stands in "status".
    kind = error.get("type") or error.get("status") or outer.get("type")
    status = next((number for number in (_number(code), _number(error.get("status"))) if number is not None), None)
    return _Words(message, _word(code), _word(kind), status, param or None)


def _complaints(value: Any) -> list[tuple[str, str]]:
    """What FastAPI finds wrong with a request: the place of each complaint, and its words; never what stood there."""
    if type(value) is dict:
        value = value.get("detail")
    listed = value[:_MOST_COMPLAINTS] if type(value) is list else []
    return [
        (_place(one.get("loc")), text) for one in listed if type(one) is dict and (text := readable(one.get("msg")))
    ]


def _complaints_text(value: Any) -> str | None:
    return readable("; ".join(f"{place}: {text}" if place else text for place, text in _complaints(value)))


def _place(loc: Any) -> str:
    steps = [step for step in loc[:_MOST_STEPS] if type(step) in (str, int)] if type(loc) is list else []
    return path_text(tuple(steps[1:] if steps[:1] == ["body"] else steps))[:_LONGEST_PLACE]


def _word(value: Any) -> str | None:
    if type(value) is int:
        return str(value)
    return value[:100] if type(value) is str and value else None


def _number(value: Any) -> int | None:
    """An HTTP status that a body states for itself."""
    if type(value) is str and value.isdecimal() and len(value) == 3:
        value = int(value)
    return value if type(value) is int and 400 <= value <= 599 else None
