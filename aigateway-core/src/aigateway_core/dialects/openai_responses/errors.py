"""Errors of this API: as an answer they are Chat Completions' own, inside a stream they are a ``response.failed``.

Codes inside a stream: the type ``ResponseError`` of OpenAI's SDK, and the further ones by which Codex tells when to
wait, to compact, or to stop (Codex CLI 0.169).
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from aigateway_core.dialects.dialect import ErrorReply
from aigateway_core.dialects.openai_errors import read_error, write_error
from aigateway_core.errors import ErrorKind, GatewayError, InvalidRequestError, UpstreamError, UpstreamFailure, Verdict
from aigateway_core.model import JsonObject

_CODES: dict[ErrorKind, str] = {
    ErrorKind.CONTEXT_LENGTH: "context_length_exceeded",
    ErrorKind.QUOTA: "insufficient_quota",
    ErrorKind.RATE_LIMIT: "rate_limit_exceeded",
    ErrorKind.OVERLOADED: "server_is_overloaded",
    ErrorKind.INVALID_REQUEST: "invalid_prompt",
    ErrorKind.UNSUPPORTED: "invalid_prompt",
    ErrorKind.CONTENT_FILTER: "invalid_prompt",
    ErrorKind.TOO_LARGE: "invalid_prompt",
}
"""Everything else is ``server_error``, after which clients try again."""

_INVALID: Verdict = (ErrorKind.INVALID_REQUEST, "request")
_FILTERED: Verdict = (ErrorKind.CONTENT_FILTER, "request")
_OWN_CODES: dict[str, Verdict] = {
    "previous_response_not_found": _INVALID,
    "invalid_prompt": _INVALID,
    "data_residency_mismatch": _INVALID,
    "bio_policy": _FILTERED,
    "misalignment_policy_violation": _FILTERED,
    "image_content_policy_violation": _FILTERED,
    "vector_store_timeout": (ErrorKind.TIMEOUT, "request"),
    **dict.fromkeys(
        [
            *("invalid_image", "invalid_image_format", "invalid_base64_image", "invalid_image_url"),
            *("invalid_image_mode", "image_too_large", "image_too_small", "image_parse_error"),
            *("image_file_too_large", "unsupported_image_media_type", "empty_image_file"),
            *("failed_to_download_image", "image_file_not_found"),
        ],
        _INVALID,
    ),
}


class PreviousResponseError(InvalidRequestError):
    """The client built on a response that is not stored; its SDK knows the code."""

    code = "previous_response_not_found"


def reply(error: GatewayError, request_id: str) -> ErrorReply:
    """Status, body and headers for a client."""
    written = write_error(error, request_id)
    if not isinstance(error, PreviousResponseError):
        return written
    return attrs.evolve(written, body={"error": {**written.body["error"], "code": error.code}})


def failure(error: GatewayError) -> JsonObject:
    """The ``error`` of a response that failed while it was streamed."""
    code = _CODES.get(error.kind, "server_error")
    message = error.message
    if error.kind is ErrorKind.RATE_LIMIT and error.retry_after is not None and "try again in" not in message:
        # Where the status line can no longer say it, Codex reads the wait out of the text.
        message = f"{message.rstrip('. ')}. Please try again in {max(error.retry_after, 0.001):.3f}s."
    return {"code": code, "message": message}


def refusal(failed: UpstreamFailure, own_codes: Mapping[str, Verdict]) -> UpstreamError:
    """Kind, scope and message of an upstream's refusal, in or before a stream."""
    return read_error(failed, {**_OWN_CODES, **own_codes})
