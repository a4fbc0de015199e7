"""The two forms of a stream: server-sent events (``?alt=sse``), or one JSON array whose elements come one by one."""

from __future__ import annotations

from typing import Literal, TypeAlias

from aigateway_core.dialects.sse import format_event

Framing: TypeAlias = Literal["sse", "array"]


class Frames:
    """Puts the chunks of one stream into their form."""

    __slots__ = ("_array", "_begun")

    def __init__(self, framing: Framing) -> None:
        self._array = framing == "array"
        self._begun = False

    def add(self, chunk: bytes) -> bytes:
        """One chunk, which is JSON."""
        if not self._array:
            return format_event(chunk)
        start = b",\n" if self._begun else b"["
        self._begun = True
        return start + chunk

    def end(self) -> bytes:
        """What closes a stream that ended well."""
        if not self._array:
            return b""
        return b"]" if self._begun else b"[]"


def failing(framing: Framing, error: bytes) -> bytes:
    """The end of a stream that went wrong after its first chunk.

    As an event for whoever reads server-sent events; then bare, and without a line end, for Google's JavaScript SDK:
    that takes an event without candidates for an empty answer, but no stream that leaves something over for a whole.
    """
    if framing == "array":
        return b",\n" + error + b"]"
    return format_event(error) + error
