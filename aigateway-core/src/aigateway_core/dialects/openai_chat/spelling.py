"""What a vendor spells otherwise than OpenAI, mended in the answers that are relayed from it.

Bytes are changed where they stand. Quotes inside a text are escaped in JSON, so none of these patterns can occur there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from aigateway_core.dialects.openai_chat.outcome import plain_finish
from aigateway_core.model import FinishReason

OwnWords = Mapping[str, FinishReason | Literal["error"]]

_ROLE = re.compile(rb',\s*"role"\s*:\s*"[a-z]*"|"role"\s*:\s*"[a-z]*"\s*,?\s*')
_FINISH = re.compile(rb'("finish_reason"\s*:\s*)"([^"\\]+)"')


class Roles:
    """Lets the first role of a stream pass, and no other: OpenAI's SDK strings together what is said repeatedly."""

    def __init__(self) -> None:
        self._told = False

    def once(self, events: bytes) -> bytes:
        """These events without a role that was told before."""
        if self._told:
            return _ROLE.sub(b"", events)
        if (first := _ROLE.search(events)) is None:
            return events
        self._told = True
        return events[: first.end()] + _ROLE.sub(b"", events[first.end() :])


def with_known_finish(event: bytes, own_words: OwnWords) -> bytes:
    """An event in which the vendor's own word for the end is OpenAI's."""
    return _FINISH.sub(
        lambda found: found[1] + b'"' + known_finish(found[2].decode(), own_words).encode() + b'"', event
    )


def known_finish(word: Any, own_words: OwnWords) -> Any:
    """OpenAI's word for an end that the vendor has one of its own for; any other word as it is."""
    reason = own_words.get(word) if type(word) is str else None
    return word if reason is None or reason == "error" else plain_finish(reason)
