"""The stream of an upstream into canonical events: every event is an answer of its own that holds what is new."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from typing_extensions import override

from aigateway_core.dialects.checks import from_upstream
from aigateway_core.dialects.dialect import Classify, StreamDecoder
from aigateway_core.dialects.gemini.keys import field
from aigateway_core.dialects.gemini.outcome import read_usage
from aigateway_core.dialects.gemini.response import AnswerReader, parse
from aigateway_core.dialects.sse import ServerSentEvent
from aigateway_core.errors import ErrorKind, UpstreamError, UpstreamFailure
from aigateway_core.events import StreamEvent, StreamFinish, UsageUpdate
from aigateway_core.model import ChatRequest, JsonObject, Usage


def cut() -> UpstreamError:
    """What it means when a stream ends without a reason for its end."""
    return UpstreamError(ErrorKind.PROTOCOL, "the upstream's stream was cut before its end")


class GeminiStreamDecoder(StreamDecoder):
    """Follows one stream; see :class:`StreamDecoder`.

    The finish is told when the stream has ended: this API marks no end but that of the connection, and the usage may
    follow the finish reason.
    """

    def __init__(self, request: ChatRequest, origin: str, classify: Classify) -> None:
        self._classify = classify
        self._reader = AnswerReader(request, origin)
        self._started = False
        self._usage: Usage | None = None

    @override
    def feed(self, event: ServerSentEvent) -> Sequence[StreamEvent]:
        data = event.data.strip()
        if not data or data == b"[DONE]":
            return ()
        if event.event == "error":
            raise self._classify(UpstreamFailure(200, {}, data))
        body = parse(data, self._classify)
        return from_upstream(lambda: list(self._events(body)))

    @override
    def end(self) -> Sequence[StreamEvent]:
        if not self._reader.ended:
            raise cut()
        return [StreamFinish(self._reader.finish())]

    def _events(self, body: JsonObject) -> Iterator[StreamEvent]:
        if not self._started:
            self._started = True
            yield self._reader.start(body)
        yield from self._reader.content(body)
        usage = read_usage(field(body, "usageMetadata"))
        if usage is not None and usage != self._usage:
            self._usage = usage
            yield UsageUpdate(usage)
