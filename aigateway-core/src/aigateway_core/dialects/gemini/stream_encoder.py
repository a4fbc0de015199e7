"""Canonical events into the stream of a client.

Every chunk is an answer that holds what is new; a function call comes whole, so that its arguments are kept until they
are complete, and what follows it waits. The last chunk has the finish reason and the usage.
"""

from __future__ import annotations

from collections import deque

from typing_extensions import override

from aigateway_core.dialects.arguments import GrowingArguments
from aigateway_core.dialects.dialect import StreamEncoder
from aigateway_core.dialects.estimate import OutputMeter
from aigateway_core.dialects.gemini.framing import Frames, Framing
from aigateway_core.dialects.gemini.media import write_media
from aigateway_core.dialects.gemini.outcome import CUT_REASONS, finish_word, write_usage
from aigateway_core.dialects.gemini.response import hides_thinking, response_id, thought, write_call
from aigateway_core.dialects.gemini.signing import sealed_thinking
from aigateway_core.events import (
    GeneratedImage,
    RedactedThinking,
    SignatureDelta,
    StreamEvent,
    StreamFinish,
    StreamStart,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageUpdate,
)
from aigateway_core.jsontext import dumps
from aigateway_core.model import ChatRequest, FinishReason, JsonObject, ThinkingPart, ToolCallPart, Usage


class _Call:
    """A call that waits for its arguments."""

    __slots__ = ("_id", "_name", "_signature", "arguments")

    def __init__(self, start: ToolCallStart, signature: str | None) -> None:
        self._id = start.id
        self._name = start.name
        self._signature = signature
        self.arguments = GrowingArguments()

    def parts(self, reason: FinishReason) -> list[JsonObject]:
        """The part that it makes, or none if it was cut off with the answer."""
        return write_call(ToolCallPart(self._id, self._name, self.arguments.text), self._signature, reason)


class _Thoughts:
    """The thinking that goes on: kept whole, since thinking of other makers is sealed when it ends."""

    def __init__(self, origin: str) -> None:
        self._own = origin
        self._texts: list[str] = []
        self._origin: str | None = None

    @property
    def going_on(self) -> bool:
        return bool(self._texts)

    def add(self, text: str, origin: str | None) -> None:
        self._origin = self._origin if self._texts else origin
        self._texts.append(text)

    def end(self, signature: str | None = None, origin: str | None = None) -> list[JsonObject]:
        """What is to be sent when they are over: a signature, be it the maker's or the gateway's."""
        part = ThinkingPart("".join(self._texts), signature, origin or (self._origin if self._texts else None))
        over, self._texts, self._origin = bool(self._texts), [], None
        if not over and signature is None:
            return []
        if part.origin != self._own:
            return [thought("", sealed_thinking(part))]
        if signature is None:
            return []
        return [thought("", signature) if over else {"text": "", "thoughtSignature": signature}]


class GeminiStreamEncoder(StreamEncoder):
    """Writes one stream; see :class:`StreamEncoder`.

    The last chunk is held until :meth:`end`, because some upstreams tell the usage only after the finish.
    """

    def __init__(self, request: ChatRequest, origin: str, framing: Framing) -> None:
        self._request = request
        self._origin = origin
        self._hidden = hides_thinking(request)
        self._framing = framing
        self._frames = Frames(framing)
        self._meter = OutputMeter()
        self._usage: Usage | None = None
        self._shared: JsonObject = {}
        self._thoughts = _Thoughts(origin)
        self._signature: str | None = None
        self._queue: deque[JsonObject | _Call] = deque()
        self._calls: dict[int, _Call] = {}
        self._finish: StreamFinish | None = None

    @override
    def encode(self, event: StreamEvent) -> bytes:
        """The bytes that this event adds; content that comes after the finish is ignored."""
        if isinstance(event, UsageUpdate):
            self._usage = event.usage
            return b""
        if self._finish is not None:
            return b""
        self._meter.feed(event)
        if isinstance(event, StreamStart):
            return self._begin(event)
        if isinstance(event, StreamFinish):
            return self._conclude(event)
        self._receive(event)
        return self._send(self._ready())

    @override
    def end(self) -> bytes:
        reason = self._finish.reason if self._finish else "stop"
        candidate = {
            "content": {"parts": [{"text": ""}], "role": "model"},
            "finishReason": finish_word(reason),
            "index": 0,
        }
        usage = write_usage(self._usage or self._meter.usage(self._request))
        last = {"candidates": [candidate], "usageMetadata": usage, **self._shared}
        return self._frames.add(dumps(last)) + self._frames.end()

    def _begin(self, start: StreamStart) -> bytes:
        """In an array a first chunk goes at once, so that an error, whenever it comes, is not the first element."""
        self._shared = {"modelVersion": self._request.model, "responseId": response_id(start.id, self._request)}
        if self._framing != "array":
            return b""
        nothing = {"content": {"parts": [{"text": ""}], "role": "model"}, "index": 0}
        return self._frames.add(dumps({"candidates": [nothing], **self._shared}))

    def _receive(self, event: StreamEvent) -> None:
        match event:
            case ThinkingDelta(text, origin) if text:
                self._thoughts.add(text, origin)
                self._queue += [] if self._hidden else [thought(text)]
            case SignatureDelta(signature, origin):
                self._queue += self._thoughts.end(signature, origin)
            case TextDelta(text) if text:
                self._queue += [*self._thoughts.end(), {"text": text}]
            case GeneratedImage(image) if (shown := write_media(image)) is not None:
                self._queue += [*self._thoughts.end(), shown]
            case RedactedThinking(data, origin):
                self._redacted(data, origin)
                return
            case ToolCallStart(index) if index not in self._calls:
                self._calls[index] = _Call(event, self._signature)
                self._queue += [*self._thoughts.end(), self._calls[index]]
            case ToolCallDelta(index, fragment) if fragment and index in self._calls:
                self._calls[index].arguments.add(fragment)
                return
            case _:
                return
        self._signature = None

    def _redacted(self, data: str, origin: str | None) -> None:
        """This maker's own is the signature of the call that comes next."""
        self._queue += self._thoughts.end()
        self._signature = data if origin == self._origin else None
        if origin != self._origin:
            self._queue.append(thought("", sealed_thinking(ThinkingPart("", origin=origin, redacted=data))))

    def _ready(self) -> list[JsonObject]:
        """What can be sent now: everything before the first call that still waits for its arguments."""
        parts: list[JsonObject] = []
        while self._queue:
            item = self._queue[0]
            if isinstance(item, _Call) and not item.arguments.complete:
                break
            self._queue.popleft()
            parts += item.parts("stop") if isinstance(item, _Call) else [item]
        return parts

    def _conclude(self, finish: StreamFinish) -> bytes:
        """Send all that waits. Raises :class:`UpstreamError` for a call that is cut off in an answer that is not."""
        parts: list[JsonObject] = []
        self._queue += self._thoughts.end()
        for item in self._queue:
            if not isinstance(item, _Call):
                parts.append(item)
            elif item.arguments.complete or finish.reason not in CUT_REASONS:
                parts += item.parts(finish.reason)
        self._queue.clear()
        self._finish = finish
        return self._send(parts)

    def _send(self, parts: list[JsonObject]) -> bytes:
        if not parts:
            return b""
        candidate = {"content": {"parts": parts, "role": "model"}, "index": 0}
        return self._frames.add(dumps({"candidates": [candidate], **self._shared}))
