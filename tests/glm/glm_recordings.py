"""What GLM answers, composed from the shapes that api.z.ai was seen to send in the summer of 2026."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aigateway_core.testing import FakeVendor

_HEAD = {"id": "2026082105021459b8578d40894aa9", "created": 1787259738, "model": "glm-4.6"}
_USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 125,
    "total_tokens": 145,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 116},
}
_CALL = {
    "id": "call_1",
    "index": 0,
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city":"Riga"}'},
}


def whole(message: Mapping[str, Any], finish: str) -> bytes:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", **message}}
    return json.dumps(
        {**_HEAD, "request_id": _HEAD["id"], "object": "chat.completion", "choices": [choice], "usage": _USAGE}
    ).encode()


def stream(deltas: Sequence[Mapping[str, Any]], finish: str) -> list[bytes]:
    """Every chunk repeats the role; the last one has finish and usage together, and no chunk has them before."""
    chunks: list[dict[str, Any]] = [
        {**_HEAD, "choices": [{"index": 0, "delta": {"role": "assistant", **delta}}]} for delta in deltas
    ]
    last = {"index": 0, "finish_reason": finish, "delta": {"role": "assistant", "content": ""}}
    chunks.append({**_HEAD, "choices": [last], "usage": _USAGE})
    return [*(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks), b"data: [DONE]\n\n"]


def error(code: str, message: str = "no") -> bytes:
    return json.dumps({"error": {"code": code, "message": message}}).encode()


ERRORS = {
    400: error("1210", "Invalid API parameter, please check the documentation."),
    401: error("1000", "Authentication Failed"),
    403: error("1220", "You do not have permission to access this API"),
    404: error("1222", "API not exist"),
    429: error("1302", "High concurrency usage of this API, please reduce concurrency"),
    500: error("500", "Internal server error"),
    503: error("1234", "Network error, error id 2026"),
}


def glm_vendor(model: str = "glm-4.6") -> FakeVendor:
    return FakeVendor(
        text=whole({"content": "Hello there", "reasoning_content": "a greeting"}, "stop"),
        text_stream=stream(
            [
                {"reasoning_content": "a gree"},
                {"reasoning_content": "ting"},
                {"content": "Hello "},
                {"content": "there"},
            ],
            "stop",
        ),
        tool_call=whole({"content": "", "tool_calls": [_CALL]}, "tool_calls"),
        tool_call_stream=stream([{"tool_calls": [_CALL]}], "tool_calls"),
        errors=ERRORS,
        model=model,
    )
