"""A native stream on its way through. Every chunk names the model and counts tokens, so each of them is opened."""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import override

from aigateway_core.dialects.checks import from_upstream
from aigateway_core.dialects.dialect import Classify, StreamTap
from aigateway_core.dialects.gemini.framing import Frames
from aigateway_core.dialects.gemini.keys import field
from aigateway_core.dialects.gemini.native import Seen, look_at
from aigateway_core.dialects.gemini.outcome import read_usage
from aigateway_core.dialects.gemini.response import parse
from aigateway_core.dialects.gemini.stream_decoder import cut
from aigateway_core.dialects.sse import BlockSplitter, SseParser, format_event, parse_block
from aigateway_core.errors import UpstreamError, UpstreamFailure
from aigateway_core.jsontext import dumps
from aigateway_core.model import JsonObject


class GeminiStreamTap(StreamTap):
    """Watches one stream; see :class:`StreamTap`. The upstream is always asked for server-sent events."""

    def __init__(self, client_model: str, classify: Classify) -> None:
        self._client_model = client_model
        self._classify = classify
        self._splitter = BlockSplitter()
        self._called = False

    @override
    def feed(self, chunk: bytes) -> bytes:
        """The events that are complete now; nothing any more once an error was seen."""
        if self.error is not None:
            return b""
        try:
            blocks = self._splitter.feed(chunk)
        except UpstreamError as error:
            self.error = error
            return b""
        return b"".join(self._relay(blocks))

    @override
    def end(self) -> bytes:
        """A last event whose blank line was forgotten; sets ``error`` when no finish reason was seen."""
        if self.error is not None:
            return b""
        relayed = b"".join(self._relay(self._splitter.flush()))
        self._conclude()
        return relayed

    def _conclude(self) -> None:
        if self.error is None and self.finish_reason is None:
            self.error = cut()

    def _relay(self, blocks: bytes) -> Iterator[bytes]:
        for block in blocks.split(b"\n\n"):
            if self.error is not None:
                return
            if block.strip():
                try:
                    yield self._open(block)
                except UpstreamError as error:
                    self.error = error

    def _open(self, block: bytes) -> bytes:
        """The event to relay; comments are passed over. Raises :class:`UpstreamError` for an error inside."""
        event = parse_block(block)
        if event is None:
            return b""
        data = event.data.strip()
        if not data or data == b"[DONE]":
            return b""
        if event.event == "error":
            raise self._classify(UpstreamFailure(200, {}, data))
        body = parse(data, self._classify)
        self._take(from_upstream(lambda: look_at(body, called=self._called)), body)
        if "model_version" in body or body.get("modelVersion", self._client_model) != self._client_model:
            body.pop("model_version", None)
            data = dumps({**body, "modelVersion": self._client_model})
        return format_event(data.replace(b"\n", b" "))

    def _take(self, seen: Seen, body: JsonObject) -> None:
        if (usage := from_upstream(lambda: read_usage(field(body, "usageMetadata")))) is not None:
            self.usage = usage
        if seen.failure is not None and not (self.committed or seen.content):
            raise seen.failure
        self._called = self._called or seen.called
        self.finish_reason = seen.finish or self.finish_reason
        self.committed = self.committed or seen.content or seen.finish is not None


class GeminiArrayTap(StreamTap):
    """Watches a stream for a client that asked for one JSON array: what ``tap`` relays, in that form."""

    def __init__(self, tap: StreamTap) -> None:
        self._tap = tap
        self._parser = SseParser()
        self._frames = Frames("array")

    @override
    def feed(self, chunk: bytes) -> bytes:
        """The elements that are complete now."""
        return self._framed(self._tap.feed(chunk))

    @override
    def end(self) -> bytes:
        """The elements that are left, and the end of the array where the stream ended well."""
        relayed = self._framed(self._tap.end())
        return relayed if self.error is not None else relayed + self._frames.end()

    def _framed(self, relayed: bytes) -> bytes:
        tap = self._tap
        self.committed, self.ended, self.error = tap.committed, tap.ended, tap.error
        self.usage, self.finish_reason = tap.usage, tap.finish_reason
        return b"".join(self._frames.add(event.data) for event in self._parser.feed(relayed))
