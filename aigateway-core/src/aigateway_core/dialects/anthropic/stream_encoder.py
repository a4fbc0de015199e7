"""Canonical events into the stream of a client.

The grammar (platform.claude.com, "streaming messages"): ``message_start``, content blocks one after the other with
indexes 0, 1, 2, …, one ``message_delta`` with the stop reason and the totals, ``message_stop``. Other dialects let
the arguments of several tool calls arrive interleaved; here the first open block streams, and what belongs to later
ones waits for its turn.
"""

from __future__ import annotations

from collections import deque

from typing_extensions import override

from aigateway_core.dialects.anthropic.response import IMAGE_NOTE, call_id, hides_thinking, message_id, tool_block
from aigateway_core.dialects.anthropic.usage import CUT_REASONS, write_stop, write_usage
from aigateway_core.dialects.arguments import GrowingArguments
from aigateway_core.dialects.dialect import StreamEncoder
from aigateway_core.dialects.estimate import OutputMeter, input_tokens
from aigateway_core.dialects.signatures import client_redacted, client_signature
from aigateway_core.dialects.sse import format_event
from aigateway_core.errors import ErrorKind, UpstreamError
from aigateway_core.events import (
    ContentEvent,
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
from aigateway_core.model import ChatRequest, JsonObject, ThinkingPart, Usage


class _Block:
    """A content block: its start, and the deltas that wait to be sent."""

    kind = "redacted_thinking"
    opened = False
    closed = False

    def __init__(self, start: JsonObject) -> None:
        self.start = start
        self.waiting: list[JsonObject] = []

    @property
    def complete(self) -> bool:
        """Whether it may be closed as soon as another block is waiting behind it."""
        return True

    @property
    def must_not_be_last(self) -> bool:
        """Whether it is only sent when another follows."""
        return False

    def last_deltas(self) -> list[JsonObject]:
        """What is still to be sent when it is closed."""
        return []


class _TextBlock(_Block):
    kind = "text"

    def __init__(self) -> None:
        super().__init__({"type": "text", "text": ""})

    def add(self, text: str) -> None:
        self.waiting.append({"type": "text_delta", "text": text})


class _ThinkingBlock(_Block):
    """Signed when it is closed, by its maker or by the gateway: clients do not return thinking without a signature."""

    kind = "thinking"

    def __init__(self, origin: str | None, client_origin: str, *, hidden: bool, behind_text: bool) -> None:
        super().__init__({"type": "thinking", "thinking": "", "signature": ""})
        self._origin = origin
        self._client_origin = client_origin
        self._hidden = hidden
        self._behind_text = behind_text
        self._texts: list[str] = []
        self.signature: str | None = None

    def add(self, text: str) -> None:
        self._texts.append(text)
        if not self._hidden:
            self.waiting.append({"type": "thinking_delta", "thinking": text})

    def sign(self, signature: str, origin: str | None) -> None:
        self.signature = signature
        self._origin = origin or self._origin

    @property
    @override
    def must_not_be_last(self) -> bool:
        """Whether it is another maker's mark on the text before it; see :func:`~.response.without_last_mark`."""
        return self._behind_text and not self._texts and self._origin != self._client_origin

    @override
    def last_deltas(self) -> list[JsonObject]:
        part = ThinkingPart("".join(self._texts), self.signature, self._origin)
        return [{"type": "signature_delta", "signature": client_signature(part, self._client_origin)}]


class _CallBlock(_Block):
    kind = "tool_use"

    def __init__(self, index: int, start: JsonObject) -> None:
        super().__init__(start)
        self.index = index
        self._arguments = GrowingArguments()
        self._is_object: bool | None = None

    def add(self, fragment: str) -> None:
        self._arguments.add(fragment)
        if self._is_object is None and (begun := fragment.lstrip()):
            self._is_object = begun.startswith("{")
            fragment = self._arguments.text
        if self._is_object:
            self.waiting.append({"type": "input_json_delta", "partial_json": fragment})

    @override
    def last_deltas(self) -> list[JsonObject]:
        """What was held back: clients take the fragments for the input, and an input is an object (case 56)."""
        text = "" if self._is_object else self._arguments.text
        if not text:
            return []
        return [{"type": "input_json_delta", "partial_json": text if self.broken else "{}"}]

    @property
    @override
    def complete(self) -> bool:
        """Whether its arguments are a whole object."""
        return self._arguments.complete

    @property
    def broken(self) -> bool:
        """Whether its arguments, were they to end here, could not be used."""
        return self._arguments.broken


class AnthropicStreamEncoder(StreamEncoder):
    """Writes one stream; see :class:`StreamEncoder`.

    ``message_delta`` is held until :meth:`end`, because some upstreams tell the usage only after the finish.
    """

    def __init__(self, request: ChatRequest, origin: str) -> None:
        self._request = request
        self._origin = origin
        self._hidden = hides_thinking(request)
        self._meter = OutputMeter()
        self._usage: Usage | None = None
        self._start: StreamStart | None = None
        self._finish: StreamFinish | None = None
        self._queue: deque[_Block] = deque()
        self._calls: dict[int, _CallBlock] = {}
        self._next_index = 0
        self._called = False

    @override
    def encode(self, event: StreamEvent) -> bytes:
        """The bytes that this event adds; content that comes after the finish is ignored (case 90)."""
        match event:
            case UsageUpdate(usage):
                self._usage = usage
                return b""
            case StreamStart():
                return self._begin(event)
            case _ if self._finish is not None:
                return b""
            case StreamFinish():
                return self._begin() + self._conclude(event)
            case _:
                self._meter.feed(event)
                begun = b"" if self._start else self._begin()
                self._receive(event)
                return begun + self._advance()

    @override
    def end(self) -> bytes:
        """``message_delta`` and ``message_stop``. Raises :class:`UpstreamError` when no finish was told."""
        if self._finish is None:
            raise UpstreamError(ErrorKind.PROTOCOL, "the upstream's stream was cut before its end")
        delta = {
            "stop_reason": write_stop(self._finish.reason, called=self._called),
            "stop_sequence": self._finish.stop_sequence,
        }
        usage = write_usage(self._usage or self._meter.usage(self._request))
        return _event("message_delta", delta=delta, usage=usage) + _event("message_stop")

    def _begin(self, start: StreamStart | None = None) -> bytes:
        if self._start is not None:
            return b""
        self._start = start or StreamStart("", self._request.model)
        # The upstream tells its counts later, and message_delta replaces these.
        usage = write_usage(Usage(input_tokens=input_tokens(self._request), output_tokens=1))
        message: JsonObject = {
            "id": message_id(self._start.id, self._request),
            "type": "message",
            "role": "assistant",
            "model": self._request.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        return _event("message_start", message=message)

    def _receive(self, event: ContentEvent) -> None:
        """Put the event's content into the block it belongs to: a new one, or one that is open or waiting."""
        match event:
            case TextDelta(text) if text:
                self._text_block().add(text)
            case GeneratedImage():
                self._text_block().add(IMAGE_NOTE)
            case ThinkingDelta(text, origin) if text:
                self._thinking_block(origin).add(text)
            case SignatureDelta(signature, origin):
                self._thinking_block(origin).sign(signature, origin)
            case RedactedThinking(data, origin):
                part = ThinkingPart("", origin=origin, redacted=data)
                self._queue.append(_Block({"type": "redacted_thinking", "data": client_redacted(part, self._origin)}))
            case ToolCallStart(index) if index not in self._calls:
                self._queue_call(event)
            case ToolCallDelta(index, fragment) if fragment:
                call = self._calls.get(index)
                if call is not None and not call.closed:
                    call.add(fragment)
            case _:
                pass

    def _text_block(self) -> _TextBlock:
        last = self._queue[-1] if self._queue else None
        if isinstance(last, _TextBlock):
            return last
        block = _TextBlock()
        self._queue.append(block)
        return block

    def _thinking_block(self, origin: str | None) -> _ThinkingBlock:
        last = self._queue[-1] if self._queue else None
        if isinstance(last, _ThinkingBlock) and last.signature is None:
            return last
        behind_text = isinstance(last, _TextBlock)
        block = _ThinkingBlock(origin, self._origin, hidden=self._hidden, behind_text=behind_text)
        self._queue.append(block)
        return block

    def _queue_call(self, event: ToolCallStart) -> None:
        """Behind everything that came before, except for waiting calls with a higher number (case 86)."""
        response_id = self._start.id if self._start else ""
        start = tool_block(call_id(event.id, response_id, event.index), event.name, {})
        block = self._calls[event.index] = _CallBlock(event.index, start)
        place = len(self._queue)
        while place and _waits_behind(self._queue[place - 1], event.index):
            place -= 1
        self._queue.insert(place, block)

    def _conclude(self, finish: StreamFinish) -> bytes:
        """Close everything. A call that was cut off must never be run (reliability, U-19).

        Where the answer was cut, its client is told so, and a call that is still waiting is left out. Raises
        :class:`UpstreamError` for a call that is cut off although the answer is said to be whole.
        """
        if finish.reason in CUT_REASONS:
            self._queue = deque(block for block in self._queue if block.opened or block.complete)
        elif any(call.broken for call in self._calls.values()):
            raise UpstreamError(ErrorKind.PROTOCOL, "the upstream broke off the arguments of a tool call")
        self._finish = finish
        return self._advance(to_the_end=True)

    def _advance(self, *, to_the_end: bool = False) -> bytes:
        """Send what the first block has, and go on to the next while the first is complete and another is waiting."""
        sent: list[bytes] = []
        while self._queue:
            block = self._queue[0]
            if block.must_not_be_last and len(self._queue) == 1:
                break
            sent += self._send(block, block.waiting)
            block.waiting = []
            if not to_the_end and (len(self._queue) == 1 or not block.complete):
                break
            sent += self._send(block, block.last_deltas())
            sent.append(_event("content_block_stop", index=self._next_index))
            block.closed = True
            self._queue.popleft()
            self._next_index += 1
        return b"".join(sent)

    def _send(self, block: _Block, deltas: list[JsonObject]) -> list[bytes]:
        sent = [_event("content_block_delta", index=self._next_index, delta=delta) for delta in deltas]
        if block.opened:
            return sent
        block.opened = True
        self._called = self._called or block.kind == "tool_use"
        return [_event("content_block_start", index=self._next_index, content_block=block.start), *sent]


def _waits_behind(block: _Block, index: int) -> bool:
    return isinstance(block, _CallBlock) and not block.opened and block.index > index


def _event(kind: str, **fields: object) -> bytes:
    return format_event(dumps({"type": kind, **fields}), kind)
