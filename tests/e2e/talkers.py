"""Two people who hold a conversation through an official SDK, unmodified, as its documentation tells them to.

A talker keeps the history in the SDK's own objects and hands every answer back in one neutral form, so that the same
test can be held in each dialect. How an answer is read is the talker's ``mode``: whole, as a raw stream, or with the
SDK's stream helper.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import attrs

Mode: TypeAlias = Literal["whole", "stream", "helper"]
MODES: tuple[Mode, ...] = ("whole", "stream", "helper")

PIXEL = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
        "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
    )
).decode()
"""A picture of one pixel, as PNG in base64."""


@attrs.frozen(kw_only=True)
class ToolCall:
    """A tool that the model wants to have called."""

    id: str
    name: str
    arguments: Mapping[str, Any]


@attrs.frozen(kw_only=True)
class Reply:
    """An answer. ``input_tokens`` is the whole prompt, with what came from a cache; ``finish`` is in plain words."""

    text: str
    model: str
    finish: str
    thinking: str = ""
    calls: tuple[ToolCall, ...] = ()
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None


@attrs.frozen(kw_only=True)
class ToolSpec:
    """A tool on offer: its arguments are strings."""

    name: str
    arguments: tuple[str, ...] = ()

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of its arguments."""
        properties = {name: {"type": "string"} for name in self.arguments}
        return {"type": "object", "properties": properties, "required": list(self.arguments)}


class Talker(Protocol):
    """What a test asks of either of the two."""

    def say(self, text: str, *, images: Sequence[str] = ()) -> Reply:
        """Say something, and hear the answer."""

    def answer(self, results: Mapping[str, str]) -> Reply:
        """Tell what the tools of the last answer answered, by the ids of their calls."""


def arguments(text: str) -> Mapping[str, Any]:
    """The arguments of a call, which have to be a JSON object."""
    value = json.loads(text)
    assert isinstance(value, dict), f"the arguments are no object: {text!r}"
    return value
