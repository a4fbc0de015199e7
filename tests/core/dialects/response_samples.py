"""Good requests, answers and streams of the Responses API, with something of everything in them."""

from __future__ import annotations

from typing import Any

from aigateway_core.model import JsonObject

SEALED = "gw1.glm.eJyLVsrIVdLJK83JiQUAFMEDuQ"

RESPONSES_REQUEST: JsonObject = {
    "model": "m",
    "instructions": "Be kind",
    "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Rule"}]},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "hi"},
                {"type": "input_image", "image_url": "data:image/png;base64,aW1n", "detail": "low"},
                {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,cGRm"},
                {"type": "input_audio", "input_audio": {"data": "d2F2", "format": "wav"}},
            ],
        },
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": SEALED,
        },
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gAAAA"},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "ok", "annotations": []}],
        },
        {"type": "function_call", "call_id": "call_1", "namespace": "gh", "name": "get", "arguments": '{"a":1}'},
        {"type": "custom_tool_call", "call_id": "call_2", "name": "patch", "input": "*** Begin"},
        {"type": "local_shell_call", "id": "lsh_1", "call_id": "call_3", "action": {"command": ["ls"]}},
        {
            "type": "function_call_output",
            "call_id": "call_1",
            "output": [{"type": "input_image", "image_url": "https://a.test/i.png", "detail": "original"}],
        },
        {"type": "custom_tool_call_output", "call_id": "call_2", "output": "done"},
        {"type": "local_shell_call_output", "id": "call_3", "output": "a.txt"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}},
        {"type": "additional_tools", "role": "developer", "tools": [{"type": "function", "name": "late"}]},
        {"role": "system", "content": "Late rule"},
    ],
    "tools": [
        {"type": "function", "name": "w", "parameters": {"type": "object"}, "strict": True},
        {"type": "custom", "name": "patch", "format": {"type": "grammar", "syntax": "lark", "definition": "start: X"}},
        {"type": "namespace", "name": "gh", "description": "d", "tools": [{"type": "function", "name": "get"}]},
        {"type": "web_search", "external_web_access": False},
    ],
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "w"}]},
    "parallel_tool_calls": True,
    "reasoning": {"effort": "high", "summary": "auto"},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}, "verbosity": "low"},
    "include": ["reasoning.encrypted_content", "web_search_call.results"],
    "max_output_tokens": 99,
    "metadata": {"a": "b"},
    "user": "u",
    "store": False,
    "stream": True,
    "client_metadata": {"x": 1},
}

USAGE: JsonObject = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 2},
    "output_tokens": 12,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 21,
}
REASONING: JsonObject = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "hm"}],
    "encrypted_content": "gAAAA",
}
TEXT: JsonObject = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "hi", "annotations": [], "logprobs": []}],
}
CALL: JsonObject = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "w",
    "arguments": '{"a":1}',
    "status": "completed",
}
CUSTOM: JsonObject = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_2", "name": "patch", "input": "text"}
SEARCH: JsonObject = {"type": "web_search_call", "id": "ws_1", "status": "completed"}


def response(*output: JsonObject, **fields: Any) -> JsonObject:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": "up",
        "output": list(output),
        "usage": USAGE,
    } | fields


RESPONSE = response(REASONING, TEXT, SEARCH, CALL, CUSTOM)


def at(index: int, kind: str, **fields: Any) -> JsonObject:
    return {"type": f"response.{kind}", "output_index": index, **fields}


def lifecycle(kind: str, **fields: Any) -> JsonObject:
    return {"type": f"response.{kind}", "response": response(status="in_progress", usage=None) | fields}


BEGINNING = [lifecycle("created"), lifecycle("in_progress")]
ENDING: JsonObject = {"type": "response.completed", "response": RESPONSE}
THOUGHT = [
    at(0, "output_item.added", item={"type": "reasoning", "id": "rs_1", "summary": []}),
    at(0, "reasoning_summary_part.added", item_id="rs_1", summary_index=0, part={"type": "summary_text", "text": ""}),
    at(0, "reasoning_summary_text.delta", item_id="rs_1", summary_index=0, delta="hm"),
    at(0, "reasoning_summary_text.done", item_id="rs_1", summary_index=0, text="hm"),
    at(0, "output_item.done", item=REASONING),
]
SPOKEN = [
    at(1, "output_item.added", item=TEXT | {"content": [], "status": "in_progress"}),
    at(1, "content_part.added", item_id="msg_1", content_index=0, part={"type": "output_text", "text": ""}),
    at(1, "output_text.delta", item_id="msg_1", content_index=0, delta="h", logprobs=[]),
    at(1, "output_text.delta", item_id="msg_1", content_index=0, delta="i", logprobs=[]),
    at(1, "output_text.done", item_id="msg_1", content_index=0, text="hi", logprobs=[]),
    at(1, "output_item.done", item=TEXT),
]
CALLED = [
    at(3, "output_item.added", item=CALL | {"arguments": "", "status": "in_progress"}),
    at(3, "function_call_arguments.delta", item_id="fc_1", delta='{"a":'),
    at(3, "function_call_arguments.delta", item_id="fc_1", delta="1}"),
    at(3, "function_call_arguments.done", item_id="fc_1", arguments='{"a":1}'),
    at(3, "output_item.done", item=CALL),
]
WRITTEN = [
    at(4, "output_item.added", item=CUSTOM | {"input": ""}),
    at(4, "custom_tool_call_input.delta", item_id="ctc_1", delta="te"),
    at(4, "custom_tool_call_input.delta", item_id="ctc_1", delta="xt"),
    at(4, "custom_tool_call_input.done", item_id="ctc_1", input="text"),
    at(4, "output_item.done", item=CUSTOM),
]
SEARCHED = [
    at(2, "output_item.added", item=SEARCH),
    at(2, "web_search_call.searching", item_id="ws_1"),
    at(2, "output_item.done", item=SEARCH),
]
RESPONSE_STREAM: list[JsonObject] = [*BEGINNING, *THOUGHT, *SPOKEN, *SEARCHED, *CALLED, *WRITTEN, ENDING]
