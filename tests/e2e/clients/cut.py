"""What of a recorded request is kept: its structure, and what this project has put into it.

Keys, ids and facts of the machine give way to fixed values, and the texts that clients bring along (their makers wrote
them) to a short one of ours. Names, types, schemas, markers and the order of everything stay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from aigateway_core.dialects.signatures import is_sealed, seal, unseal

KEY = "{key}"
"""Stands where a client put its key."""

SHORT = "Shortened."

_OURS = re.compile(
    r"^(?:use the tool |Calling |Be kind|The tool answered|Thinking about|Tells the time|x-anthropic-billing)"
)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_HEX = re.compile(r"\b[0-9a-f]{64}\b")
_MOMENT = re.compile(r"\b1[789]\d{11}\b")
_RUNTIME = re.compile(r"\b(gl-\w+|node\.js)/\S+")
_TAG = re.compile(r"\s*<([a-z_ -]+)>")
_PROSE = {"text", "content", "instructions", "input", "output"}
_HOST_HEADERS = {"x-stainless-arch", "x-stainless-os", "x-stainless-runtime-version"}


class Cutter:
    """``facts`` are strings of this machine, with what shall stand for each; ``kept`` marks texts that must stay."""

    def __init__(self, facts: Mapping[str, str], kept: tuple[str, ...]) -> None:
        self._facts = facts
        self._kept = kept
        self._ids: dict[str, str] = {}

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers without what they tell of the machine."""
        return {name: self._header(name, value) for name, value in sorted(headers.items())}

    def value(self, value: Any, key: str = "") -> Any:
        """A part of a body; ``key`` is the name that it stands under."""
        match value:
            case dict():
                return {name: self.value(one, name) for name, one in value.items()}
            case list():
                return [self.value(one, key) for one in value]
            case str():
                return self._text(value, key)
        return value

    def plain(self, text: str) -> str:
        """A text with fixed values for the facts of the machine and for ids; equal ids stay equal."""
        for fact, instead in self._facts.items():
            text = text.replace(fact, instead)
        text = _UUID.sub(lambda found: self._id(found[0]), text)
        return _MOMENT.sub("1790000000000", _HEX.sub("0" * 64, text))

    def _id(self, found: str) -> str:
        return self._ids.setdefault(found, f"00000000-0000-4000-8000-{len(self._ids) + 1:012d}")

    def _header(self, name: str, value: str) -> str:
        if name in _HOST_HEADERS:
            return "other"
        if name == "user-agent":
            return _RUNTIME.sub(r"\1", value.split(" (")[0])
        if name == "x-goog-api-client":
            return _RUNTIME.sub(r"\1", value)
        return self.plain(value)

    def _text(self, text: str, key: str) -> str:
        if is_sealed(text):
            sealed = unseal(text)
            return seal(self.plain(sealed.text or ""), sealed.signature, sealed.origin, sealed.redacted)
        if key == "definition":
            return "start: /(.|\\n)+/"  # a grammar
        if key == "description" and not _OURS.match(text):
            return SHORT
        if key in _PROSE and not _OURS.match(text) and not any(mark in text for mark in self._kept):
            tag = _TAG.match(text)
            return f"<{tag[1]}>\n{SHORT}\n</{tag[1]}>" if tag else SHORT
        return self.plain(text)


def as_json(value: Any) -> str:
    """A fixture's text."""
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
