"""Bodies of clients with fields that nobody knows yet: on the native path they must arrive."""

from __future__ import annotations

from typing import Any

from aigateway_core.plugin import JsonObject

UNKNOWN = "x_field_of_tomorrow"
"""A field that no dialect has."""

_TEXT = "How is the weather in Riga?"

CLIENT_BODIES: dict[str, JsonObject] = {
    "openai-chat": {
        "model": "the-clients-name",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": _TEXT, UNKNOWN: 1}], UNKNOWN: "in a message"}
        ],
        UNKNOWN: {"nested": [True]},
    },
    "openai-responses": {
        "model": "the-clients-name",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": _TEXT}], UNKNOWN: "in an item"}],
        UNKNOWN: {"nested": [True]},
    },
    "anthropic": {
        "model": "the-clients-name",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": [{"type": "text", "text": _TEXT, UNKNOWN: 1}]}],
        UNKNOWN: {"nested": [True]},
    },
    "gemini": {
        "contents": [{"role": "user", "parts": [{"text": _TEXT, UNKNOWN: 1}]}],
        UNKNOWN: {"nested": [True]},
    },
}
"""By dialect: a request as a client might send it."""


def carries(value: Any, name: str) -> list[Any]:
    """Every value that stands under ``name``, however deep, in the order met."""
    if isinstance(value, dict):
        found = [value[name]] if name in value else []
        return found + [deeper for key, child in value.items() if key != name for deeper in carries(child, name)]
    if isinstance(value, list):
        return [deeper for child in value for deeper in carries(child, name)]
    return []
