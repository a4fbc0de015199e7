"""Turns of a conversation, as a Messages client writes them and as a Chat upstream shall see them."""

from __future__ import annotations

from typing import Any

from core.dialects.sheet import ANTHROPIC, HI, Including, JsonText

from aigateway_core.dialects.openai_chat import OpenAIChat
from aigateway_core.jsontext import dumps
from aigateway_core.model import JsonObject

SCHEMA = {"type": "object", "properties": {}}
TOOL = {"name": "w", "input_schema": SCHEMA}
CHAT_TOOL = {"type": "function", "function": {"name": "w", "parameters": SCHEMA}}


def call(call_id: str = "call_1", name: str = "w", given: Any = None) -> JsonObject:
    return {"type": "tool_use", "id": call_id, "name": name, "input": {"a": 1} if given is None else given}


def chat_call(call_id: Any = "call_1", name: Any = "w", given: Any = None) -> JsonObject:
    arguments = JsonText({"a": 1} if given is None else given)
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def assistant(*blocks: JsonObject) -> JsonObject:
    return {"role": "assistant", "content": list(blocks)}


def user(*blocks: JsonObject) -> JsonObject:
    return {"role": "user", "content": list(blocks)}


def text(words: str) -> JsonObject:
    return {"type": "text", "text": words}


def result(call_id: str, **fields: Any) -> JsonObject:
    return {"type": "tool_result", "tool_use_id": call_id, **fields}


def tool(content: Any, call_id: str = "call_1") -> JsonObject:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def base64_image(data: str = "aW1n", media_type: str = "image/png") -> JsonObject:
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def chat_image(url: str) -> JsonObject:
    return {"type": "image_url", "image_url": Including({"url": url})}


def thinking(words: str, signature: str = "") -> JsonObject:
    return {"type": "thinking", "thinking": words, "signature": signature}


CALLING = {"role": "assistant", "content": None, "tool_calls": [chat_call()]}
CALLED = [HI, assistant(call())]


def answered(*blocks: JsonObject) -> JsonObject:
    """A conversation in which ``call_1`` is followed by a user turn of these blocks."""
    return {"messages": [*CALLED, user(*blocks)]}


def seen(*messages: JsonObject) -> JsonObject:
    """The same conversation as the upstream shall see it."""
    return {"messages": [HI, CALLING, *messages]}


def to_chat(body: JsonObject, target: OpenAIChat) -> JsonObject:
    """What the upstream is sent for a Messages body of which only the interesting fields are given."""
    sent = target.encode_request(ANTHROPIC.decode_request({"model": "m", "max_tokens": 100, "messages": [HI]} | body))
    assert b"cache_control" not in dumps(sent)
    assert b"defer_loading" not in dumps(sent)
    for message in sent["messages"]:
        assert message.get("content") or message.get("tool_calls") or message["role"] == "tool", "an empty message"
    return sent
