"""Errors inside what should have been an answer; the rest is shared with OpenAI's other API (``openai_errors``)."""

from __future__ import annotations

from aigateway_core.dialects.openai_errors import error_body
from aigateway_core.dialects.sse import format_event
from aigateway_core.errors import GatewayError
from aigateway_core.jsontext import dumps
from aigateway_core.model import JsonObject


def write_stream_error(error: GatewayError) -> bytes:
    """The error inside a stream: one data line, after which nothing comes, no ``[DONE]`` either."""
    return format_event(dumps(error_body(error)))


def holds_error(body: JsonObject) -> bool:
    """Whether a parsed body, that came with status 200, is an error."""
    if body.get("error"):
        return True
    return "choices" not in body and any(type(body.get(name)) is str for name in ("message", "msg", "detail"))
