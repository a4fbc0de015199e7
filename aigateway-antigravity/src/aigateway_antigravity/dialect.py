"""Gemini's API as Cloud Code speaks it: every answer, and every piece of one, in an envelope.

What a client of Gemini's own API receives is what is inside: an ordinary answer, or an ordinary stream.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import ClassVar

from typing_extensions import override

from aigateway_antigravity.errors import EMPTY_ANSWER
from aigateway_antigravity.errors import classify as judge
from aigateway_antigravity.gate import VersionGate
from aigateway_antigravity.pieces import Pieces
from aigateway_antigravity.signatures import CLAUDE
from aigateway_antigravity.sources import Sources
from aigateway_core.plugin import (
    ChatRequest,
    ChatResponse,
    Classify,
    ErrorKind,
    Gemini,
    JsonObject,
    NativeAnswer,
    ServerSentEvent,
    SseParser,
    StreamDecoder,
    StreamEvent,
    StreamFinish,
    StreamTap,
    TextDelta,
    ToolCallStart,
    UpstreamError,
    UpstreamFailure,
    dumps,
    fold,
    format_event,
)


class CloudCode(Gemini):
    """Reads what Cloud Code answers; requests are written as for Gemini's own API, and enclosed elsewhere.

    With a profile whose origin is Anthropic's it reads the answers of Claude, whose signatures become Claude's own.
    """

    name: ClassVar[str] = "gemini"

    @override
    def decode_response(self, body: JsonObject, request: ChatRequest, classify: Classify | None = None) -> ChatResponse:
        decoder = self.stream_decoder(request, classify)
        return fold([*decoder.feed(ServerSentEvent("", dumps(body))), *decoder.end()])

    @override
    def stream_decoder(self, request: ChatRequest, classify: Classify | None = None) -> StreamDecoder:
        inner = super().stream_decoder(request, classify or self.decode_error)
        return CloudCodeDecoder(inner, self._pieces())

    @override
    def decode_error(self, failure: UpstreamFailure) -> UpstreamError:
        return judge(failure)

    @override
    def native_response(self, body: bytes, client_model: str, classify: Classify | None = None) -> NativeAnswer:
        gate = VersionGate()
        opened = next(iter(self._pieces().open(body)), None)
        answer = super().native_response(body if opened is None else dumps(opened), client_model, classify)
        if opened is not None and gate.holds(opened) and (refusal := gate.refusal()) is not None:
            raise refusal
        return answer

    @override
    def stream_tap(self, body: JsonObject, client_model: str, classify: Classify | None = None) -> StreamTap:
        inner = super().stream_tap(body, client_model, classify or self.decode_error)
        return CloudCodeTap(inner, self._pieces())

    def _pieces(self) -> Pieces:
        return Pieces(claude=self.profile.origin == CLAUDE)


class CloudCodeDecoder(StreamDecoder):
    """Follows one stream; see :class:`StreamDecoder`. A whole answer is a stream of one piece."""

    def __init__(self, inner: StreamDecoder, pieces: Pieces) -> None:
        self._inner = inner
        self._pieces = pieces
        self._gate = VersionGate()
        self._sources = Sources()
        self._held: list[StreamEvent] = []
        self._called = False
        # Ids of calls that came without one hang on it: they must not be those of another conversation.
        self._own_id: JsonObject = {"responseId": uuid.uuid4().hex}

    @override
    def feed(self, event: ServerSentEvent) -> Sequence[StreamEvent]:
        if event.event == "error":
            return self._inner.feed(event)
        return [decoded for body in self._pieces.open(event.data) for decoded in self._take(body)]

    @override
    def end(self) -> Sequence[StreamEvent]:
        if (refusal := self._gate.refusal()) is not None:
            raise refusal
        if self._pieces.nothing:
            raise UpstreamError(ErrorKind.SERVER, "the upstream sent an empty answer", status=200, code=EMPTY_ANSWER)
        if (closing := self._pieces.closing()) is not None:
            self._held += self._inner.feed(ServerSentEvent("", dumps(closing)))
        rest = [*self._held, *map(self._finished, self._inner.end())]
        finish = next((place for place, event in enumerate(rest) if isinstance(event, StreamFinish)), len(rest))
        told = [TextDelta(text)] if (text := self._sources.text) and not self._called else []
        return [*rest[:finish], *told, *rest[finish:]]

    def _take(self, body: JsonObject) -> list[StreamEvent]:
        self._sources.see(body)
        events = self._inner.feed(ServerSentEvent("", dumps(self._own_id | body)))
        self._called = self._called or any(isinstance(event, ToolCallStart) for event in events)
        self._held += events
        if self._gate.holds(body):
            return []
        ready, self._held = self._held, []
        return ready

    def _finished(self, event: StreamEvent) -> StreamEvent:
        """A call comes whole on this wire, so that one that was made is to be run, even at the limit of tokens."""
        if isinstance(event, StreamFinish) and event.reason == "length" and self._called:
            return StreamFinish("tool_calls")
        return event


class CloudCodeTap(StreamTap):
    """Watches one native stream; see :class:`StreamTap`. What is relayed has no envelope."""

    def __init__(self, inner: StreamTap, pieces: Pieces) -> None:
        self._inner = inner
        self._pieces = pieces
        self._gate = VersionGate()
        self._parser = SseParser()
        self._held = b""

    @override
    def feed(self, chunk: bytes) -> bytes:
        """The pieces that are complete now; nothing any more once an error was seen."""
        if self.error is not None:
            return b""
        try:
            events = self._parser.feed(chunk)
        except UpstreamError as error:
            self.error = error
            return b""
        return self._relay(events)

    @override
    def end(self) -> bytes:
        """What was held, and the end of the answer where this backend has left it out."""
        relayed = self._relay(self._parser.flush()) if self.error is None else b""
        self.error = self.error or self._gate.refusal()
        if self.error is not None:
            return relayed
        if (closing := self._pieces.closing()) is not None:
            self._held += self._inner.feed(format_event(dumps(closing)))
        return relayed + self._mirror(self._held + self._inner.end(), held=False)

    def _relay(self, events: Sequence[ServerSentEvent]) -> bytes:
        return b"".join(relayed for event in events for relayed in self._opened(event))

    def _opened(self, event: ServerSentEvent) -> Iterator[bytes]:
        if event.event == "error":
            yield self._mirror(self._inner.feed(format_event(event.data, "error")), held=False)
            return
        try:
            bodies = self._pieces.open(event.data)
        except UpstreamError as error:
            self.error = self.error or error
            return
        yield from map(self._pass, bodies)

    def _pass(self, body: JsonObject) -> bytes:
        """The piece, unless it is to be held, or an error has come before it."""
        if self.error is not None:
            return b""
        self._held += self._inner.feed(format_event(dumps(body)))
        held = self._gate.holds(body)
        ready, self._held = (b"", self._held) if held else (self._held, b"")
        return self._mirror(ready, held=held)

    def _mirror(self, relayed: bytes, *, held: bool) -> bytes:
        """``relayed``, with what it means: nothing is committed that is held."""
        inner = self._inner
        self.committed, self.ended, self.error = inner.committed and not held, inner.ended, inner.error
        self.usage, self.finish_reason = inner.usage, inner.finish_reason
        return relayed
