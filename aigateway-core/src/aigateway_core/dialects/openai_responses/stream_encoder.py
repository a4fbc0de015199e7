"""Canonical events, written as the stream of a client."""

from __future__ import annotations

from typing_extensions import override

from aigateway_core.dialects.dialect import StreamEncoder
from aigateway_core.dialects.openai_responses.assembly import Assembly
from aigateway_core.dialects.openai_responses.items import Events
from aigateway_core.dialects.sse import format_event
from aigateway_core.errors import GatewayError
from aigateway_core.events import StreamEvent
from aigateway_core.jsontext import dumps
from aigateway_core.model import ChatRequest, JsonObject


def write_event(event: JsonObject, number: int) -> bytes:
    """One event with its sequence number."""
    kind = event["type"]
    return format_event(dumps({"type": kind, "sequence_number": number, **event}), kind)


class ResponsesStreamEncoder(StreamEncoder):
    """Writes one stream; the closing event waits for :meth:`end`, as some upstreams tell the usage after the finish."""

    def __init__(self, request: ChatRequest) -> None:
        self._assembly = Assembly(request)
        self._number = 0

    @override
    def encode(self, event: StreamEvent) -> bytes:
        return self._written(self._assembly.feed(event))

    @override
    def end(self) -> bytes:
        response = self._assembly.closed()
        return self._written([{"type": f"response.{response['status']}", "response": response}])

    @override
    def fail(self, error: GatewayError, request_id: str) -> bytes:
        return self._written(self._assembly.failed(error))

    def _written(self, events: Events) -> bytes:
        first, self._number = self._number, self._number + len(events)
        return b"".join([write_event(event, first + place) for place, event in enumerate(events)])
