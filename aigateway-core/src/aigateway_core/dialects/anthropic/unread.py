"""Which kinds of content blocks the reader has passed over: what a vendor is not told, its client is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aigateway_core.dialects.anthropic.content_reader import SHOWN
from aigateway_core.model import JsonObject

_READ = {
    "user": {*SHOWN, "tool_result"},
    "assistant": {"text", "tool_use", "thinking", "redacted_thinking"},
    "system": {"text"},
}


def unread(turns: list[JsonObject]) -> dict[str, JsonObject]:
    """The first block of each kind that was passed over, by ``messages.`` and its kind; a wish for citations is one.

    ``turns`` are the ``messages`` of a body that has been read. Blocks of what Anthropic ran itself (searches, code)
    are among them: no other vendor's API has a place for them.
    """
    found: dict[str, JsonObject] = {}
    for turn in turns:
        for block in _passed_over(turn["content"], _READ[turn["role"]]):
            found.setdefault(f"messages.{block['type']}", block)
    return found


def _passed_over(content: Any, read: set[str]) -> Iterator[JsonObject]:
    for block in content if isinstance(content, list) else ():
        if not isinstance(block, dict):
            continue
        if block["type"] not in read:
            yield block
        elif block["type"] == "tool_result":
            yield from _passed_over(block.get("content"), set(SHOWN))
        elif isinstance(wish := block.get("citations"), dict) and wish.get("enabled") is True:
            yield {**wish, "type": "citations"}
