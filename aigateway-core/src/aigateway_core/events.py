"""A streamed answer in canonical form: its events, and the two directions between events and a whole answer.

Order: one :class:`StreamStart`; then deltas; then one :class:`StreamFinish`; :class:`UsageUpdate` anywhere after the
start, the last one counts. Arguments of several tool calls may arrive interleaved, told apart by ``index``. A stream
that ends without :class:`StreamFinish` was cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import attrs

from aigateway_core.model import ChatResponse, FinishReason, Part, TextPart, ThinkingPart, ToolCallPart, Usage


@attrs.frozen
class StreamStart:
    """The upstream has begun to answer."""

    id: str
    model: str


@attrs.frozen
class TextDelta:
    """More text."""

    text: str


@attrs.frozen
class ThinkingDelta:
    """More thinking."""

    text: str
    origin: str | None = None


@attrs.frozen
class SignatureDelta:
    """The signature of the thinking so far; it closes that thinking part."""

    signature: str = attrs.field(repr=False)
    origin: str | None = None


@attrs.frozen
class RedactedThinking:
    """A whole block of thinking that only its maker can read."""

    data: str = attrs.field(repr=False)
    origin: str | None = None


@attrs.frozen
class ToolCallStart:
    """A tool call begins; ``index`` counts the calls of this answer from 0."""

    index: int
    id: str
    name: str


@attrs.frozen
class ToolCallDelta:
    """More of the JSON text of call ``index``."""

    index: int
    arguments: str


@attrs.frozen
class UsageUpdate:
    """Tokens so far: totals, not increments."""

    usage: Usage


@attrs.frozen
class StreamFinish:
    """Why the model stopped."""

    reason: FinishReason
    stop_sequence: str | None = None


ContentEvent: TypeAlias = TextDelta | ThinkingDelta | SignatureDelta | RedactedThinking | ToolCallStart | ToolCallDelta
StreamEvent: TypeAlias = StreamStart | ContentEvent | UsageUpdate | StreamFinish

CONTENT_EVENTS = (TextDelta, ThinkingDelta, SignatureDelta, RedactedThinking, ToolCallStart, ToolCallDelta)
"""The events that carry something a client would show or act on: the first of them is the commit point."""


class Fold:
    """Builds the whole answer from its events, fed one by one."""

    def __init__(self) -> None:
        self.start: StreamStart | None = None
        self.finish: StreamFinish | None = None
        self.usage: Usage | None = None
        self._parts: list[Part] = []
        self._calls: dict[int, int] = {}
        self._open_thinking = False

    def feed(self, event: StreamEvent) -> None:
        """Take in the next event."""
        match event:
            case StreamStart():
                self.start = event
            case TextDelta(text):
                self._text(text)
            case ThinkingDelta(text, origin):
                self._thinking(text, origin)
            case SignatureDelta(signature, origin):
                self._sign(signature, origin)
            case RedactedThinking(data, origin):
                self._add(ThinkingPart("", origin=origin, redacted=data))
            case ToolCallStart(index, call_id, name):
                self._calls[index] = len(self._parts)
                self._add(ToolCallPart(call_id, name, ""))
            case ToolCallDelta(index, arguments):
                self._arguments(index, arguments)
            case UsageUpdate(usage):
                self.usage = usage
            case StreamFinish():
                self.finish = event

    def response(self) -> ChatResponse:
        """The answer so far; a call whose arguments never came has ``{}``."""
        start = self.start or StreamStart("", "")
        finish = self.finish or StreamFinish("stop")
        parts = tuple(
            attrs.evolve(part, arguments="{}")
            if isinstance(part, ToolCallPart) and not part.arguments.strip()
            else part
            for part in self._parts
        )
        return ChatResponse(
            id=start.id,
            model=start.model,
            parts=parts,
            finish_reason=finish.reason,
            stop_sequence=finish.stop_sequence,
            usage=self.usage,
        )

    def _add(self, part: Part) -> None:
        self._parts.append(part)
        self._open_thinking = False

    def _text(self, text: str) -> None:
        if not text:
            return
        last = self._parts[-1] if self._parts else None
        if isinstance(last, TextPart):
            self._parts[-1] = TextPart(last.text + text)
        else:
            self._add(TextPart(text))

    def _thinking(self, text: str, origin: str | None) -> None:
        last = self._parts[-1] if self._parts else None
        if self._open_thinking and isinstance(last, ThinkingPart):
            self._parts[-1] = attrs.evolve(last, text=last.text + text)
        else:
            self._add(ThinkingPart(text, origin=origin))
            self._open_thinking = True

    def _sign(self, signature: str, origin: str | None) -> None:
        last = self._parts[-1] if self._parts else None
        if self._open_thinking and isinstance(last, ThinkingPart):
            self._parts[-1] = attrs.evolve(last, signature=signature, origin=origin or last.origin)
        else:
            self._add(ThinkingPart("", signature=signature, origin=origin))
        self._open_thinking = False

    def _arguments(self, index: int, arguments: str) -> None:
        position = self._calls[index]
        call = self._parts[position]
        if isinstance(call, ToolCallPart):
            self._parts[position] = attrs.evolve(call, arguments=call.arguments + arguments)


def fold(events: Iterable[StreamEvent]) -> ChatResponse:
    """The whole answer that these events spell out."""
    state = Fold()
    for event in events:
        state.feed(event)
    return state.response()


def unfold(response: ChatResponse) -> Iterator[StreamEvent]:
    """The events of a stream that spells out this answer: the inverse of :func:`fold`."""
    yield StreamStart(response.id, response.model)
    calls = 0
    for part in response.parts:
        match part:
            case TextPart(text):
                yield TextDelta(text)
            case ThinkingPart(text, signature, origin, redacted):
                if redacted is not None:
                    yield RedactedThinking(redacted, origin)
                    continue
                if text or signature is None:
                    yield ThinkingDelta(text, origin)
                if signature is not None:
                    yield SignatureDelta(signature, origin)
            case ToolCallPart(call_id, name, arguments):
                yield ToolCallStart(calls, call_id, name)
                yield ToolCallDelta(calls, arguments)
                calls += 1
            case _:
                continue
    if response.usage is not None:
        yield UsageUpdate(response.usage)
    yield StreamFinish(response.finish_reason, response.stop_sequence)
