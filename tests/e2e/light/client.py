"""The four client dialects without an SDK: a request is written by hand, and every event of the answer is looked at.

An SDK forgives; these do not. What an answer must be, whole or streamed, is asserted while it is read: the order of its
events, that deltas and summaries agree, and that it says how it ended, unless it says what went wrong.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import attrs

JsonObject: TypeAlias = dict[str, Any]

TOOL = "clock"
SCHEMA: JsonObject = {"type": "object", "properties": {"tz": {"type": "string"}}, "required": ["tz"]}
SYSTEM = "Be kind"


@attrs.frozen(kw_only=True)
class Call:
    """A tool call, as the client reads it."""

    id: str
    name: str
    arguments: Any


@attrs.frozen(kw_only=True)
class Heard:
    """An answer. ``turn`` is it in the client's own words, to be sent back; ``error`` what it broke off with.

    ``finish`` is in plain words, and None where nothing said that the answer was over.
    """

    text: str = ""
    thinking: str = ""
    calls: tuple[Call, ...] = ()
    finish: str | None = None
    model: str = ""
    tokens: tuple[int, int] | None = None
    turn: Sequence[JsonObject] = ()
    error: JsonObject | None = None


class LightClient(Protocol):
    """One dialect. ``history`` in a request is what :meth:`user`, :meth:`result` and ``Heard.turn`` are."""

    dialect: str
    stream_type: str

    def path(self, model: str, *, stream: bool) -> str:
        """Where to ask."""

    def user(self, text: str, image: str | None = None) -> Sequence[JsonObject]:
        """Something said, with a picture."""

    def result(self, call: Call, text: str) -> Sequence[JsonObject]:
        """What a tool answered."""

    def body(self, model: str, history: Sequence[JsonObject], *, stream: bool, thinking: bool) -> JsonObject:
        """A request."""

    def whole(self, body: JsonObject) -> Heard:
        """Read a whole answer."""

    def streamed(self, content: bytes) -> Heard:
        """Read a stream that has ended."""

    def assert_error(self, status: int, body: JsonObject) -> None:
        """``body`` is a refusal as this dialect's vendor writes it, whose status is ``status``."""

    def assert_error_within(self, error: JsonObject) -> None:
        """``error`` is what this dialect's vendor sends when a stream breaks."""


def events(content: bytes) -> list[tuple[str | None, Any]]:
    """Name and parsed data of each server-sent event; ``[DONE]`` stays a string. Comments are left out."""
    found: list[tuple[str | None, Any]] = []
    assert content.endswith(b"\n\n"), f"the last event is not ended: {content[-80:]!r}"
    for block in content.decode().removesuffix("\n\n").split("\n\n"):
        fields = [line.partition(": ") for line in block.split("\n") if not line.startswith(":")]
        if not fields:
            continue
        names = [value for key, _, value in fields if key == "event"]
        data = "\n".join(value for key, _, value in fields if key == "data")
        found.append((names[0] if names else None, data if data == "[DONE]" else json.loads(data)))
    return found


def only(values: Sequence[Any]) -> Any:
    """The one value of these."""
    assert len(values) == 1, values
    return values[0]
