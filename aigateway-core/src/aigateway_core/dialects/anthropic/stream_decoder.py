"""The stream of an upstream into canonical events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from typing_extensions import override

from aigateway_core.dialects.anthropic.response import block_events, calls_seed
from aigateway_core.dialects.anthropic.usage import merged_usage, read_finish, read_usage
from aigateway_core.dialects.checks import from_upstream, integer, mapping, optional_mapping, optional_string, string
from aigateway_core.dialects.dialect import Classify, StreamDecoder
from aigateway_core.dialects.identifiers import restoring_names
from aigateway_core.dialects.sse import ServerSentEvent
from aigateway_core.errors import ErrorKind, UpstreamError, UpstreamFailure
from aigateway_core.events import (
    SignatureDelta,
    StreamEvent,
    StreamFinish,
    StreamStart,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    UsageUpdate,
)
from aigateway_core.jsontext import dumps, loads_upstream
from aigateway_core.model import ChatRequest, JsonObject


class _Call:
    """A tool call whose block is open. Arguments that came with its start count only if no fragments follow."""

    __slots__ = ("arguments", "index")

    def __init__(self, index: int, arguments: str) -> None:
        self.index = index
        self.arguments = arguments


class AnthropicStreamDecoder(StreamDecoder):
    """Follows one stream; see :class:`StreamDecoder`.

    Blocks of server tools are passed over and leave no gap: tool calls are counted among themselves (case 130). The
    finish is told when the stream has ended, since its ``message_delta`` may be followed by another, or by an error.
    """

    def __init__(self, request: ChatRequest, origin: str, classify: Classify) -> None:
        self._request = request
        self._origin = origin
        self._classify = classify
        self._names: Mapping[str, str] = restoring_names(request.tools)
        self._usage: JsonObject = {}
        self._calls: dict[int, _Call] = {}
        self._called = 0
        self._seed = ""
        self._started = False
        self._stop: tuple[str, str | None] | None = None
        self._ended = False
        self._handlers: dict[str, Callable[[JsonObject], Iterator[StreamEvent]]] = {
            "message_start": self._message_start,
            "content_block_start": self._block_start,
            "content_block_delta": self._block_delta,
            "content_block_stop": self._block_stop,
            "message_delta": self._message_delta,
            "message_stop": self._message_stop,
        }

    @override
    def feed(self, event: ServerSentEvent) -> Sequence[StreamEvent]:
        """The canonical events that this one brings; none for pings, unknown events, and whatever follows the end."""
        if self._ended or event.event == "ping" or not event.data.strip() or event.data.strip() == b"[DONE]":
            return ()
        data = loads_upstream(event.data)
        kind = data.get("type", event.event)
        handler = self._handlers.get(kind) if isinstance(kind, str) else None
        if handler is not None:
            return from_upstream(lambda: list(handler(data)))
        if kind == "error" or data.get("error"):
            raise self._classify(UpstreamFailure(200, {}, event.data))
        return ()

    @override
    def end(self) -> Sequence[StreamEvent]:
        """The finish, if only ``message_stop`` is missing. Raises :class:`UpstreamError` for a stream that was cut."""
        if self._ended:
            return ()
        if self._stop is None:
            raise UpstreamError(ErrorKind.PROTOCOL, "the upstream's stream was cut before its end")
        return list(self._message_stop({}))

    def _message_start(self, data: JsonObject) -> Iterator[StreamEvent]:
        message = mapping(data.get("message"), "message")
        identifier = optional_string(message.get("id"), "message", "id") or ""
        model = optional_string(message.get("model"), "message", "model") or self._request.model
        yield from self._start(identifier, model)
        yield from self._count(message)

    def _start(self, identifier: str, model: str) -> Iterator[StreamEvent]:
        if not self._started:
            self._started = True
            self._seed = calls_seed(identifier, self._request)
            yield StreamStart(identifier, model)

    def _count(self, holder: JsonObject) -> Iterator[StreamEvent]:
        counts = optional_mapping(holder.get("usage"), "usage")
        if counts:
            self._usage = merged_usage(self._usage, counts)
            if (usage := read_usage(self._usage, "usage")) is not None:
                yield UsageUpdate(usage)

    def _block_start(self, data: JsonObject) -> Iterator[StreamEvent]:
        yield from self._start("", self._request.model)
        index = integer(data.get("index"), "index")
        block = mapping(data.get("content_block"), "content_block")
        kind = string(block.get("type"), "content_block", "type")
        if kind == "tool_use":
            arguments = mapping(block.get("input") or {}, "content_block", "input")
            self._calls[index] = _Call(self._called, dumps(arguments).decode())
            block = {**block, "input": {}}
        yield from block_events(kind, block, ("content_block",), self._called, self._names, self._origin, self._seed)
        self._called += kind == "tool_use"

    def _block_delta(self, data: JsonObject) -> Iterator[StreamEvent]:
        delta = mapping(data.get("delta"), "delta")
        match delta.get("type"):
            case "text_delta":
                if text := string(delta.get("text"), "delta", "text"):
                    yield TextDelta(text)
            case "thinking_delta":
                if text := string(delta.get("thinking"), "delta", "thinking"):
                    yield ThinkingDelta(text, self._origin)
            case "signature_delta":
                if signature := string(delta.get("signature"), "delta", "signature"):
                    yield SignatureDelta(signature, self._origin)
            case "input_json_delta":
                call = self._calls.get(integer(data.get("index"), "index"))
                fragment = string(delta.get("partial_json"), "delta", "partial_json")
                if call is not None and fragment:
                    call.arguments = ""
                    yield ToolCallDelta(call.index, fragment)

    def _block_stop(self, data: JsonObject) -> Iterator[StreamEvent]:
        call = self._calls.pop(integer(data.get("index"), "index"), None)
        if call is not None and call.arguments:
            yield ToolCallDelta(call.index, call.arguments)

    def _message_delta(self, data: JsonObject) -> Iterator[StreamEvent]:
        delta = optional_mapping(data.get("delta"), "delta") or {}
        reason = optional_string(delta.get("stop_reason"), "delta", "stop_reason")
        if reason:
            self._stop = reason, optional_string(delta.get("stop_sequence"), "delta", "stop_sequence")
        yield from self._count(data)

    def _message_stop(self, _: JsonObject) -> Iterator[StreamEvent]:
        self._ended = True
        yield from self._start("", self._request.model)
        reason, sequence = self._stop or (None, None)
        yield StreamFinish(read_finish(reason, called=self._called > 0), sequence)
