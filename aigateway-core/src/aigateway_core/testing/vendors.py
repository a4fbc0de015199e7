"""Fake vendors that speak a known dialect, for providers that are a table of facts over one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from aigateway_core.plugin import JsonObject
from aigateway_core.testing.fakes import FakeVendor

_STATUSES = (400, 401, 402, 403, 404, 408, 413, 422, 429, 500, 502, 503, 529)
_GOOGLE = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
_ARGUMENTS = '{"city":"Riga"}'


def openai_chat_vendor(*, model: str | None = None) -> FakeVendor:
    """A vendor with OpenAI's Chat Completions.

    Shapes: https://platform.openai.com/docs/api-reference/chat
    """
    text: JsonObject = {"role": "assistant", "content": "Hello there"}
    call: JsonObject = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": _ARGUMENTS}}
    begun: JsonObject = {"index": 0, **call, "function": {"name": "weather", "arguments": ""}}
    return FakeVendor(
        text=_json(_completion(text, "stop")),
        text_stream=_chat_stream(
            [{"role": "assistant", "content": "Hel"}, {"content": "lo "}, {"content": "there"}], "stop"
        ),
        tool_call=_json(_completion({"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls")),
        tool_call_stream=_chat_stream(
            [
                {"role": "assistant", "content": None, "tool_calls": [begun]},
                {"tool_calls": [{"index": 0, "function": {"arguments": _ARGUMENTS[:6]}}]},
                {"tool_calls": [{"index": 0, "function": {"arguments": _ARGUMENTS[6:]}}]},
            ],
            "tool_calls",
        ),
        errors={
            status: _json({"error": {"message": "no", "type": "error", "param": None, "code": None}})
            for status in _STATUSES
        },
        model=model,
    )


def openai_responses_vendor(*, model: str | None = None) -> FakeVendor:
    """A vendor with OpenAI's Responses.

    Shapes: https://platform.openai.com/docs/api-reference/responses
    """
    part: JsonObject = {"type": "output_text", "text": "Hello there", "annotations": []}
    message: JsonObject = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }
    call: JsonObject = {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "call_1",
        "name": "weather",
        "arguments": _ARGUMENTS,
        "status": "completed",
    }
    begun = {
        "type": "response.content_part.added",
        "item_id": "msg_1",
        "content_index": 0,
        "part": {**part, "text": ""},
    }
    return FakeVendor(
        text=_json(_response([message], "completed")),
        text_stream=_response_stream(
            message,
            [begun, *(_delta("output_text", "msg_1", text, content_index=0) for text in ("Hel", "lo ", "there"))],
        ),
        tool_call=_json(_response([call], "completed")),
        tool_call_stream=_response_stream(
            call, [_delta("function_call_arguments", "fc_1", text) for text in (_ARGUMENTS[:6], _ARGUMENTS[6:])]
        ),
        errors={
            status: _json({"error": {"message": "no", "type": "error", "param": None, "code": None}})
            for status in _STATUSES
        },
        model=model,
    )


def anthropic_vendor(*, model: str | None = None) -> FakeVendor:
    """A vendor with Anthropic's Messages.

    Shapes: https://docs.anthropic.com/en/api/messages
    """
    call: JsonObject = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": json.loads(_ARGUMENTS)}
    return FakeVendor(
        text=_json(_message([{"type": "text", "text": "Hello there"}], "end_turn", _TOKENS)),
        text_stream=_message_stream(
            {"type": "text", "text": ""},
            [{"type": "text_delta", "text": "Hello "}, {"type": "text_delta", "text": "there"}],
            "end_turn",
        ),
        tool_call=_json(_message([call], "tool_use", _TOKENS)),
        tool_call_stream=_message_stream(
            {**call, "input": {}},
            [{"type": "input_json_delta", "partial_json": part} for part in (_ARGUMENTS[:6], _ARGUMENTS[6:])],
            "tool_use",
        ),
        errors={
            status: _json({"type": "error", "error": {"type": "api_error", "message": "no"}}) for status in _STATUSES
        },
        model=model,
        count=b'{"input_tokens":9}',
    )


def gemini_vendor(*, model: str | None = None) -> FakeVendor:
    """A vendor with Gemini's ``generateContent``.

    Shapes: https://ai.google.dev/api/generate-content
    """
    call: JsonObject = {"functionCall": {"id": "fc_1", "name": "weather", "args": json.loads(_ARGUMENTS)}}
    return FakeVendor(
        text=_json(_content([{"text": "Hello there"}], "STOP")),
        text_stream=_sse(
            [_content([{"text": "Hello "}]), _content([{"text": "there"}]), _content([{"text": ""}], "STOP")]
        ),
        tool_call=_json(_content([call], "STOP")),
        tool_call_stream=_sse([_content([call]), _content([{"text": ""}], "STOP")]),
        errors={
            status: _json({"error": {"code": status, "message": "no", "status": _GOOGLE.get(status, "UNKNOWN")}})
            for status in _STATUSES
        },
        model=model,
        count=b'{"totalTokens":9}',
    )


def _json(value: JsonObject) -> bytes:
    # Compact, as the vendors send it: arguments that a dialect writes anew must come out the same.
    return json.dumps(value, separators=(",", ":")).encode()


def _sse(payloads: Iterable[JsonObject], *, named: bool = False) -> list[bytes]:
    return [
        (f"event: {payload['type']}\n".encode() if named else b"") + b"data: " + _json(payload) + b"\n\n"
        for payload in payloads
    ]


_CHAT_USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}


def _completion(message: JsonObject, finish: str) -> JsonObject:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1790000000,
        "model": "m",
        "choices": [choice],
        "usage": _CHAT_USAGE,
    }


def _chat_stream(deltas: Sequence[JsonObject], finish: str) -> list[bytes]:
    frame: JsonObject = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1790000000, "model": "m"}
    choices: list[JsonObject] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": finish})
    payloads = [{**frame, "choices": [choice], "usage": None} for choice in choices]
    payloads.append({**frame, "choices": [], "usage": _CHAT_USAGE})
    return [*_sse(payloads), b"data: [DONE]\n\n"]


def _response(output: Sequence[JsonObject], status: str) -> JsonObject:
    ended = status == "completed"
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1790000000,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": "m",
        "output": output,
        "usage": {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13} if ended else None,
    }


def _delta(kind: str, item: str, text: str, **more: int) -> JsonObject:
    return {"type": f"response.{kind}.delta", "item_id": item, "delta": text, **more}


def _response_stream(item: JsonObject, deltas: Sequence[JsonObject]) -> list[bytes]:
    """One item of an answer, as it grows."""
    empty: JsonObject = {**item, "status": "in_progress"}
    empty["content" if "content" in item else "arguments"] = [] if "content" in item else ""
    payloads: list[JsonObject] = [
        {"type": "response.created", "response": _response([], "in_progress")},
        {"type": "response.in_progress", "response": _response([], "in_progress")},
        {"type": "response.output_item.added", "output_index": 0, "item": empty},
        *({**delta, "output_index": 0} for delta in deltas),
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": _response([item], "completed")},
    ]
    return _sse([{**payload, "sequence_number": number} for number, payload in enumerate(payloads)], named=True)


_TOKENS = {"input_tokens": 9, "output_tokens": 4}


def _message(content: Sequence[JsonObject], stop: str | None, usage: JsonObject) -> JsonObject:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": usage,
    }


def _message_stream(block: JsonObject, deltas: Sequence[JsonObject], stop: str) -> list[bytes]:
    return _sse(
        [
            {"type": "message_start", "message": _message([], None, {"input_tokens": 9, "output_tokens": 1})},
            {"type": "content_block_start", "index": 0, "content_block": block},
            *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": {"stop_reason": stop, "stop_sequence": None},
                "usage": {"output_tokens": 4},
            },
            {"type": "message_stop"},
        ],
        named=True,
    )


def _content(parts: Sequence[JsonObject], finish: str | None = None) -> JsonObject:
    candidate: JsonObject = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    counts = {"promptTokenCount": 9, "candidatesTokenCount": 4, "totalTokenCount": 13}
    return {"candidates": [candidate], "usageMetadata": counts, "modelVersion": "m", "responseId": "r-1"}
