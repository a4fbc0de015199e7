"""The words of an upstream's refusal, as far as a client may see them."""

from __future__ import annotations

from typing import Any

MAX_MESSAGE = 2000
"""Characters of an upstream's message that are passed on."""


def readable(value: Any) -> str | None:
    """A message fit to be shown: never a page of HTML, never longer than :data:`MAX_MESSAGE`."""
    if type(value) is not str:
        return None
    text = value.strip()
    if not text or text.startswith("<") or "<html" in text[:MAX_MESSAGE].lower():
        return None
    return text[:MAX_MESSAGE]
