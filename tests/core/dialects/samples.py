"""Good requests, answers, refusals and streams of both dialects, with something of everything in them."""

from __future__ import annotations

from typing import Any

from aigateway_core.model import JsonObject

MESSAGES_REQUEST: JsonObject = {
    "model": "claude-opus-4-5",
    "max_tokens": 4096,
    "system": [{"type": "text", "text": "Be kind", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "hi"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aW1n"}},
                {"type": "image", "source": {"type": "url", "url": "https://a.test/i.png"}},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "T"}, "title": "N"},
                {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "T"}]}},
                {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "T"}]},
            ],
        },
        {"role": "system", "content": "Rule", "output_config": {"effort": "low"}},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "gw1.glm.eJyLVsrIVdLJK83JiQUAE7cDqw"},
                {"type": "redacted_thinking", "data": "x"},
                {"type": "text", "text": "ok"},
                {"type": "tool_use", "id": "toolu_1", "name": "w", "input": {"a": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [{"type": "text", "text": "1"}],
                    "is_error": True,
                }
            ],
        },
    ],
    "tools": [
        {"name": "w", "description": "d", "input_schema": {"type": "object", "anyOf": [{"properties": {"a": {}}}]}},
        {"type": "bash_20250124", "name": "bash"},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 8},
    ],
    "tool_choice": {"type": "tool", "name": "w", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 1024, "display": "omitted"},
    "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object", "title": "T"}}},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "stop_sequences": ["END"],
    "metadata": {"user_id": "u"},
    "temperature": 1,
    "top_k": 5,
    "stream": True,
}
CHAT_REQUEST: JsonObject = {
    "model": "m",
    "messages": [
        {"role": "developer", "content": [{"type": "text", "text": "Be kind"}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "hi"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aW1n", "detail": "low"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,cGRm"}},
                {"type": "input_audio", "input_audio": {"data": "d2F2", "format": "wav"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "hm",
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "w", "arguments": '{"a":1}'}}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "1"},
        {"role": "system", "content": "Rule"},
        {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "1"},
    ],
    "tools": [
        {"type": "function", "function": {"name": "w", "parameters": {"type": "object"}, "strict": True}},
        {"type": "custom", "custom": {"name": "c"}},
    ],
    "tool_choice": {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "name": "w"}]},
    },
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
    "functions": [{"name": "f"}],
    "function_call": {"name": "f"},
    "reasoning_effort": "high",
    "stop": ["END"],
    "logit_bias": {"1": 2},
    "metadata": {"a": "b"},
    "modalities": ["text"],
    "stream": True,
    "stream_options": {"include_usage": True},
    "max_completion_tokens": 9,
    "user": "u",
}

MESSAGE: JsonObject = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "text", "text": "hi", "citations": None},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
        {"type": "tool_use", "id": "toolu_1", "name": "w", "input": {"a": 1}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 12, "output_tokens": 3, "cache_read_input_tokens": 1, "output_tokens_details": {}},
}
COMPLETION: JsonObject = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "hi",
                "reasoning_content": "hm",
                "refusal": None,
                "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "w", "arguments": '{"a":1}'}}],
            },
            "finish_reason": "tool_calls",
        }
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 12, "prompt_tokens_details": {"cached_tokens": 1}},
}
FAILURE: JsonObject = {
    "type": "error",
    "error": {"type": "overloaded_error", "message": "busy", "code": "1302", "details": {"error_code": "x"}},
}

MESSAGE_STREAM: list[JsonObject] = [
    {"type": "message_start", "message": MESSAGE | {"content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "c2ln"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "ping"},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "hi"}},
    {"type": "content_block_stop", "index": 1},
    {
        "type": "content_block_start",
        "index": 2,
        "content_block": {"type": "tool_use", "id": "t", "name": "w", "input": {}},
    },
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"a":1}'}},
    {"type": "content_block_stop", "index": 2},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 4},
    },
    {"type": "message_stop"},
]


def chunk(delta: JsonObject, finish: str | None = None, **top: Any) -> JsonObject:
    return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]} | top


def fragment(arguments: str, **fields: Any) -> JsonObject:
    return chunk({"tool_calls": [{"index": 0, "function": {"arguments": arguments}} | fields]})


CHAT_STREAM: list[JsonObject] = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"reasoning_content": "hm"}),
    chunk({"content": "hi"}),
    fragment("", id="call_1", function={"name": "w", "arguments": ""}),
    fragment('{"a":'),
    fragment("1}"),
    chunk({}, "tool_calls"),
    {"id": "c", "model": "m", "choices": [], "usage": COMPLETION["usage"]},
]
