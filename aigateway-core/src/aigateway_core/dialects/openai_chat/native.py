"""The native path's request: everything passes but model and stream options, and what the gateway put into answers."""

from __future__ import annotations

from typing import Any

from aigateway_core.dialects.checks import optional_mapping
from aigateway_core.dialects.signatures import is_sealed
from aigateway_core.model import JsonObject


def relayed_request(body: JsonObject, model: str, *, refuses_thinking: bool = False) -> JsonObject:
    """``body`` for an upstream: told to count tokens, and without the marks of thinking that other vendors want back.

    With ``refuses_thinking`` their thinking itself is left out as well.
    """
    native = {**body, "model": model}
    if body.get("stream"):
        options = optional_mapping(body.get("stream_options"), "stream_options") or {}
        if options.get("include_usage") is not True:
            native["stream_options"] = {**options, "include_usage": True}
    messages = body.get("messages")
    if type(messages) is list and _hold_seals(messages):
        native["messages"] = messages = [
            _without_seals(message) if _holds_seal(message) else message for message in messages
        ]
    if refuses_thinking and type(messages) is list and any(map(_thinks, messages)):
        native["messages"] = [_without_thinking(message) if _thinks(message) else message for message in messages]
    return native


_THINKING = "reasoning_content"


def _thinks(message: Any) -> bool:
    return type(message) is dict and _THINKING in message


def _without_thinking(message: JsonObject) -> JsonObject:
    return {name: value for name, value in message.items() if name != _THINKING}


def _calls(message: Any) -> list[Any]:
    calls = message.get("tool_calls") if type(message) is dict else None
    return calls if type(calls) is list else []


def _hold_seals(messages: list[Any]) -> bool:
    # Conversations are long, and few messages have a place for a mark: nothing is called for the others.
    for message in messages:
        if type(message) is dict and ("tool_calls" in message or "extra_content" in message) and _holds_seal(message):
            return True
    return False


def _holds_seal(message: Any) -> bool:
    return _is_marked(message) or any(map(_is_marked, _calls(message)))


def _is_marked(owner: Any) -> bool:
    """Whether the gateway's mark is on this message or call (:mod:`~aigateway_core.dialects.openai_chat.calls`)."""
    extra = owner.get("extra_content") if type(owner) is dict else None
    google = extra.get("google") if type(extra) is dict else None
    signature = google.get("thought_signature") if type(google) is dict else None
    return type(signature) is str and is_sealed(signature)


def _without_seals(message: JsonObject) -> Any:
    cleaned = _unmarked(message)
    if calls := _calls(message):
        cleaned = {**cleaned, "tool_calls": [_unmarked(call) for call in calls]}
    return cleaned


def _unmarked(owner: Any) -> Any:
    if not _is_marked(owner):
        return owner
    return {name: value for name, value in owner.items() if name != "extra_content"}
