"""An answer to a client put together from canonical events: the same for a stream and for a whole answer.

Order: ``created``, ``in_progress``, then the items with ascending, contiguous indexes, then one closing event with the
whole response. A message or reasoning item ends when another item begins; calls end with the answer, all at once, so
that none is ever called done that was cut off.
"""

from __future__ import annotations

import time

from aigateway_core.dialects.estimate import OutputMeter
from aigateway_core.dialects.identifiers import legal_tool_id, synthetic_tool_id
from aigateway_core.dialects.openai_facts import answer_seed
from aigateway_core.dialects.openai_responses.call_forms import CallForms
from aigateway_core.dialects.openai_responses.errors import failure
from aigateway_core.dialects.openai_responses.item_writer import MOST_ID
from aigateway_core.dialects.openai_responses.items import (
    CallItem,
    CustomCallItem,
    Events,
    ImageItem,
    MessageItem,
    OutputItem,
    ReasoningItem,
    Status,
)
from aigateway_core.dialects.openai_responses.outcome import CUT_REASONS, write_usage
from aigateway_core.dialects.openai_responses.response_object import response_id, response_object
from aigateway_core.errors import ErrorKind, GatewayError, UpstreamError
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
from aigateway_core.model import ChatRequest, ImagePart, JsonObject, Usage


class Assembly:
    """One answer to ``request``."""

    def __init__(self, request: ChatRequest) -> None:
        self._request = request
        self._forms = CallForms(request.tools, legal=False)
        self._hidden = request.reasoning is not None and not request.reasoning.summary
        self._meter = OutputMeter()
        self._usage: Usage | None = None
        self._finish: StreamFinish | None = None
        self._response: JsonObject | None = None
        self._seed = ""
        self._items: list[OutputItem] = []
        self._current: MessageItem | ReasoningItem | None = None
        self._calls: dict[int, CallItem] = {}

    def feed(self, event: StreamEvent) -> Events:
        """The events that this one adds; content that comes after the finish is ignored (case 90)."""
        match event:
            case UsageUpdate(usage):
                self._usage = usage
                return []
            case StreamStart():
                return self._begin(event)
            case _ if self._finish is not None:
                return []
            case StreamFinish():
                return self._begin() + self._conclude(event)
            case _:
                self._meter.feed(event)
                return self._begin() + self._receive(event)

    def closed(self) -> JsonObject:
        """The whole response. Raises :class:`UpstreamError` when no finish was told."""
        if self._finish is None or self._response is None:
            raise UpstreamError(ErrorKind.PROTOCOL, "the upstream's stream was cut before its end")
        reason = CUT_REASONS.get(self._finish.reason)
        return {
            **self._response,
            "status": "completed" if reason is None else "incomplete",
            "completed_at": int(time.time()) if reason is None else None,
            "incomplete_details": None if reason is None else {"reason": reason},
            "output": self._output(),
            "usage": write_usage(self._usage or self._meter.usage(self._request)),
        }

    def failed(self, error: GatewayError) -> Events:
        """The end of an answer that failed; items that had not ended by then are left out (case 119)."""
        begun = self._begin()
        response = {**(self._response or {}), "status": "failed", "error": failure(error), "output": self._output()}
        return [*begun, {"type": "response.failed", "response": response}]

    def _output(self) -> list[JsonObject]:
        return [item.final for item in self._items if item.final is not None]

    def _begin(self, start: StreamStart | None = None) -> Events:
        if self._response is not None:
            return []
        upstream_id = start.id if start else ""
        self._seed = answer_seed(upstream_id, self._request)
        self._response = response_object(self._request, response_id(upstream_id, self._request))
        return [{"type": f"response.{stage}", "response": self._response} for stage in ("created", "in_progress")]

    def _receive(self, event: ContentEvent) -> Events:
        match event:
            case TextDelta(text) if text:
                return self._text(text)
            case ThinkingDelta(text, origin) if text:
                opened, item = self._reasoning()
                return opened + item.add(text, origin)
            case SignatureDelta(signature, origin):
                opened, item = self._reasoning()
                item.sign(signature, origin)
                return opened + self._close()
            case RedactedThinking(data, origin):
                opened, item = self._reasoning(fresh=True)
                item.redact(data, origin)
                return opened + self._close()
            case GeneratedImage(image):
                return self._image(image)
            case ToolCallStart() if event.index not in self._calls:
                return self._call(event)
            case ToolCallDelta(index, fragment) if fragment and index in self._calls:
                return self._calls[index].add(fragment)
            case _:
                return []

    def _text(self, text: str) -> Events:
        if isinstance(self._current, MessageItem):
            return self._current.add(text)
        closed = self._close()
        item = self._current = MessageItem(len(self._items), self._seed)
        return closed + self._open(item) + item.add(text)

    def _reasoning(self, *, fresh: bool = False) -> tuple[Events, ReasoningItem]:
        """The reasoning item that is growing, or (always when ``fresh``) a new one with the events that open it."""
        if isinstance(self._current, ReasoningItem) and not fresh:
            return [], self._current
        closed = self._close()
        item = self._current = ReasoningItem(len(self._items), self._seed, hidden=self._hidden)
        return closed + self._open(item), item

    def _image(self, image: ImagePart) -> Events:
        """A picture; one that is only an address, for which an item has no place, is told in the text."""
        if image.data is None:
            return self._text(f"[image: {image.url}]" if image.url else "[image omitted]")
        closed = self._close()
        item = ImageItem(len(self._items), self._seed, image)
        return closed + self._open(item) + item.closing("completed")

    def _call(self, event: ToolCallStart) -> Events:
        closed = self._close()
        given = event.id or synthetic_tool_id(self._seed, event.index)
        build = CustomCallItem if self._forms.is_custom(event.name) else CallItem
        item = build(len(self._items), self._seed, legal_tool_id(given, MOST_ID), event.name, self._forms)
        self._calls[event.index] = item
        return closed + self._open(item)

    def _open(self, item: OutputItem) -> Events:
        self._items.append(item)
        return item.opening()

    def _close(self, status: Status = "completed") -> Events:
        current, self._current = self._current, None
        return [] if current is None else current.closing(status)

    def _conclude(self, finish: StreamFinish) -> Events:
        """End what has not ended. Raises :class:`UpstreamError` for a call that cannot be told though all is whole."""
        cut = finish.reason in CUT_REASONS
        if not cut and any(call.is_broken for call in self._calls.values()):
            raise UpstreamError(ErrorKind.PROTOCOL, "the upstream broke off the arguments of a tool call")
        self._finish = finish
        current, events = self._current, []
        for item in self._items:
            if item is current:
                events += self._close("incomplete" if cut else "completed")
            elif isinstance(item, CallItem):
                if cut and not item.is_whole:
                    item.cut()
                else:
                    events += item.closing("completed")
        return events
