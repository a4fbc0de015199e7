"""A native stream on its way through: bytes pass as they come, and only the events that matter are opened."""

from __future__ import annotations

import re

from typing_extensions import override

from aigateway_core.dialects.anthropic.foreign import ANTHROPIC, marked
from aigateway_core.dialects.anthropic.usage import merged_usage, read_finish, read_usage
from aigateway_core.dialects.checks import from_upstream, mapping, optional_mapping, optional_string
from aigateway_core.dialects.dialect import Classify, StreamTap
from aigateway_core.dialects.sse import BlockSplitter, format_event, parse_block, parted
from aigateway_core.errors import ErrorKind, UpstreamError, UpstreamFailure
from aigateway_core.jsontext import dumps, loads_upstream
from aigateway_core.model import JsonObject

_CONTENT = ("content_block_start", "content_block_delta")
_PASSING = (*_CONTENT, "content_block_stop", "ping")
"""Events that are relayed unread, when the upstream names them."""

_PROVES = re.compile(rb'"signature|redacted_thinking')
"""What stands in every event with a proof of thinking."""

_BEGINNINGS = {f"event: {name}\n".encode(): name for name in _PASSING}


class AnthropicStreamTap(StreamTap):
    """Watches one stream; see :class:`StreamTap`. A start and pings alone are no commitment."""

    def __init__(self, client_model: str, origin: str, classify: Classify) -> None:
        self._client_model = client_model
        self._origin = origin
        self._marks = origin != ANTHROPIC
        self._classify = classify
        self._splitter = BlockSplitter()
        self._usage: JsonObject = {}
        self._ended = False

    @override
    def feed(self, chunk: bytes) -> bytes:
        """The whole events that are complete now; nothing any more once an error was seen."""
        if self.error is not None:
            return b""
        try:
            return self._relay(self._splitter.feed(chunk))
        except UpstreamError as error:
            self.error = error
            return b""

    @override
    def end(self) -> bytes:
        """A last event whose blank line was forgotten; sets ``error`` when neither stop nor stop reason was seen."""
        if self.error is not None:
            return b""
        rest = self._splitter.flush().rstrip(b"\n")
        passed = self._pass(rest + b"\n\n") if rest else b""
        self._conclude()
        return passed

    def _conclude(self) -> None:
        if self.error is None and not self._ended:
            self.error = UpstreamError(ErrorKind.PROTOCOL, "the upstream's stream was cut before its end")

    def _relay(self, blocks: bytes) -> bytes:
        """The events to relay: those together in which nothing matters, and the others by themselves."""
        if self.error is not None:
            return b""
        if self._passes_unread(blocks):
            return blocks
        if parts := parted(blocks):
            return self._relay(parts[0]) + self._relay(parts[1])
        return self._pass(blocks) if blocks.strip(b"\n") else b""

    def _passes_unread(self, blocks: bytes) -> bool:
        """Whether nothing that matters can be in there, be it one event or many: chunks must make no difference."""
        if not self.committed or b"message_" in blocks or b"error" in blocks:
            return False
        return not (self._marks and _PROVES.search(blocks))

    def _pass(self, block: bytes) -> bytes:
        """The block to relay; empty for an error, which is kept instead."""
        if self._passes_unread(block):
            return block
        kind = _BEGINNINGS.get(block[: block.find(b"\n") + 1])
        if kind is None or (self._marks and _PROVES.search(block)):
            try:
                return from_upstream(lambda: self._open(block))
            except UpstreamError as error:
                self.error = error
                return b""
        self.committed = self.committed or kind in _CONTENT
        return block

    def _open(self, block: bytes) -> bytes:
        event = parse_block(block)
        if event is None or not event.data.strip() or event.data.strip() == b"[DONE]":
            return block
        data = loads_upstream(event.data)
        kind = data.get("type", event.event)
        if kind == "message_start":
            return self._start(data)
        if kind == "message_delta":
            self._delta(data)
        elif kind == "message_stop":
            self._ended = self.ended = True
        elif kind in _CONTENT:
            self.committed = True
            return self._marked(data, kind, block) if self._marks else block
        elif kind == "error" or data.get("error"):
            raise self._classify(UpstreamFailure(200, {}, event.data))
        return block

    def _marked(self, data: JsonObject, kind: str, block: bytes) -> bytes:
        """The event with the maker's name on what it proves."""
        field = "delta" if kind == "content_block_delta" else "content_block"
        piece = optional_mapping(data.get(field), field) or {}
        if (named := marked(piece, self._origin)) is piece:
            return block
        return format_event(dumps({**data, field: named}), kind)

    def _start(self, data: JsonObject) -> bytes:
        message = mapping(data.get("message"), "message")
        self._count(message)
        return format_event(dumps({**data, "message": {**message, "model": self._client_model}}), "message_start")

    def _delta(self, data: JsonObject) -> None:
        self._count(data)
        delta = optional_mapping(data.get("delta"), "delta") or {}
        if reason := optional_string(delta.get("stop_reason"), "delta", "stop_reason"):
            self._ended = True
            self.finish_reason = read_finish(reason, called=reason == "tool_use")

    def _count(self, holder: JsonObject) -> None:
        counts = optional_mapping(holder.get("usage"), "usage")
        if counts:
            self._usage = merged_usage(self._usage, counts)
            self.usage = read_usage(self._usage, "usage")
