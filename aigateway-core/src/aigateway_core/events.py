"""A streamed answer in canonical form: its events, and the two directions between events and a whole answer.

Order: one :class:`StreamStart`; then deltas; then one :class:`StreamFinish`; :class:`UsageUpdate` anywhere after the
start, the last one counts. Arguments of several tool calls may arrive interleaved, told apart by ``index``. A stream
that ends without :class:`StreamFinish` was cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import attrs

from aigateway_core.model import (
    ChatResponse,
    FinishReason,
    ImagePart,
    Part,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    Usage,
)


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
class GeneratedImage:
    """A whole picture that the model made."""

    image: ImagePart


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


ContentEvent: TypeAlias = (
    TextDelta | ThinkingDelta | SignatureDelta | RedactedThinking | GeneratedImage | ToolCallStart | ToolCallDelta
)
StreamEvent: TypeAlias = StreamStart | ContentEvent | UsageUpdate | StreamFinish

CONTENT_EVENTS = (
    *(TextDelta, ThinkingDelta, SignatureDelta, RedactedThinking, GeneratedImage, ToolCallStart, ToolCallDelta),
)
"""The events that carry something a client would show or act on: the first of them is the commit point."""


@attrs.define
class _Growing:
    """A part in the making: ``part`` without its text, which stands in ``pieces`` and is joined once, at the end.

    Joined at each delta, the text of a long answer would be copied as often as it has deltas.
    """

    part: Part
    pieces: list[str] = attrs.field(factory=list)

    def whole(self) -> Part:
        match self.part:
            case ToolCallPart(call_id, name):
                arguments = "".join(self.pieces)
                return ToolCallPart(call_id, name, arguments if arguments.strip() else "{}")
            case TextPart():
                return TextPart("".join(self.pieces))
            case ThinkingPart():
                return attrs.evolve(self.part, text="".join(self.pieces))
            case part:
                return part


class Fold:
    """Builds the whole answer from its events, fed one by one."""

    def __init__(self) -> None:
        self.start: StreamStart | None = None
        self.finish: StreamFinish | None = None
        self.usage: Usage | None = None
        self._parts: list[_Growing] = []
        self._calls: dict[int, _Growing] = {}
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
            case GeneratedImage(image):
                self._add(image)
            case ToolCallStart(index, call_id, name):
                self._calls[index] = self._add(ToolCallPart(call_id, name, ""))
            case ToolCallDelta(index, arguments):
                self._calls[index].pieces.append(arguments)
            case UsageUpdate(usage):
                self.usage = usage
            case StreamFinish():
                self.finish = event

    def response(self) -> ChatResponse:
        """The answer so far; a call whose arguments never came has ``{}``."""
        start = self.start or StreamStart("", "")
        finish = self.finish or StreamFinish("stop")
        return ChatResponse(
            id=start.id,
            model=start.model,
            parts=tuple(part.whole() for part in self._parts),
            finish_reason=finish.reason,
            stop_sequence=finish.stop_sequence,
            usage=self.usage,
        )

    def _add(self, part: Part) -> _Growing:
        growing = _Growing(part)
        self._parts.append(growing)
        self._open_thinking = False
        return growing

    def _text(self, text: str) -> None:
        if not text:
            return
        last = self._parts[-1] if self._parts else None
        if last is None or not isinstance(last.part, TextPart):
            last = self._add(TextPart(""))
        last.pieces.append(text)

    def _thinking(self, text: str, origin: str | None) -> None:
        if not self._open_thinking:
            self._add(ThinkingPart("", origin=origin))
            self._open_thinking = True
        self._parts[-1].pieces.append(text)

    def _sign(self, signature: str, origin: str | None) -> None:
        """Close the open thinking, which is the last part, since every other part closes it as well."""
        if not self._open_thinking:
            self._add(ThinkingPart("", origin=origin))
        signed = self._parts[-1]
        if isinstance(signed.part, ThinkingPart):
            signed.part = attrs.evolve(signed.part, signature=signature, origin=origin or signed.part.origin)
        self._open_thinking = False


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
            case ImagePart():
                yield GeneratedImage(part)
            case ToolCallPart(call_id, name, arguments):
                yield ToolCallStart(calls, call_id, name)
                yield ToolCallDelta(calls, arguments)
                calls += 1
            case _:
                continue
    if response.usage is not None:
        yield UsageUpdate(response.usage)
    yield StreamFinish(response.finish_reason, response.stop_sequence)
