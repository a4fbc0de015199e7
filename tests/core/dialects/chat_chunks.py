"""Chunks of a Chat Completions stream, as servers send them."""

from __future__ import annotations

from typing import Any

from core.dialects.sheet import ANTHROPIC, HI, OPENAI, Relayed, relay_in_any_pieces, sse

from aigateway_core.dialects.openai_chat import OpenAIChat
from aigateway_core.model import JsonObject

REQUEST = ANTHROPIC.decode_request({"model": "claude-for-clients", "max_tokens": 9, "stream": True, "messages": [HI]})
USAGE = {"prompt_tokens": 30, "completion_tokens": 9, "total_tokens": 39}
DONE = "data: [DONE]\n\n"


def chunk(delta: Any = None, finish: str | None = None, **top: Any) -> JsonObject:
    choice = {"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish}
    return {
        "id": "chatcmpl-7",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
    } | top


def content(words: str, finish: str | None = None, **top: Any) -> JsonObject:
    return chunk({"content": words}, finish, **top)


def thought(words: str) -> JsonObject:
    return chunk({"reasoning_content": words})


def fragment(arguments: str | None = None, finish: str | None = None, **fields: Any) -> JsonObject:
    """One fragment of a call; ``name`` and ``arguments`` go into its ``function``."""
    function = {"name": fields.pop("name")} if "name" in fields else {}
    if arguments is not None:
        function["arguments"] = arguments
    return chunk({"tool_calls": [fields | ({"function": function} if function else {})]}, finish)


def clock(index: int | None = 0, arguments: str = "", call_id: str = "call_a", name: str = "clock") -> JsonObject:
    place: dict[str, Any] = {} if index is None else {"index": index}
    return fragment(arguments, id=call_id, type="function", name=name, **place)


def used(**fields: int) -> JsonObject:
    return chunk(usage=USAGE | fields) | {"choices": []}


ROLE = chunk({"role": "assistant", "content": "", "refusal": None})
STOP = chunk(finish="stop")
CALLS = chunk(finish="tool_calls")
HELLO = [ROLE, content("hel"), content("lo"), STOP, used(), DONE]
HELLO_SEEN = [
    "message_start",
    "start 0 text",
    "text 0 hel",
    "text 0 lo",
    "stop 0",
    "message_delta end_turn",
    "message_stop",
]
CALL_SEEN = ["message_start", "start 0 tool_use call_a clock", 'json 0 {"tz":', "json 0 1}", "stop 0"]
CALL_END = ["message_delta tool_use", "message_stop"]


def relayed(items: list[Any], source: OpenAIChat = OPENAI) -> Relayed:
    """What a Messages client receives of this stream."""
    return relay_in_any_pieces(source, ANTHROPIC, REQUEST, sse(items))
