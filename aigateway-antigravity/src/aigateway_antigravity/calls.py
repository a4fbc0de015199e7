"""Calls of tools on their way to the client, with the arguments that its own schemas declare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aigateway_antigravity.arguments import returned
from aigateway_core.plugin import (
    HostedTool,
    StreamEvent,
    Tool,
    ToolCallDelta,
    ToolCallStart,
    UpstreamError,
    dumps,
    loads_upstream,
)


class Calls:
    """Reads the arguments of one answer's calls, each of which comes whole on this wire.

    ``placeholders``: the model was told of properties that the client did not declare.
    """

    def __init__(self, tools: Iterable[Tool | HostedTool], *, placeholders: bool) -> None:
        self._schemas: Mapping[str, Mapping[str, Any]] = {
            tool.name: tool.parameters for tool in tools if isinstance(tool, Tool)
        }
        self._placeholders = placeholders
        self._names: dict[int, str] = {}

    def told(self, event: StreamEvent) -> StreamEvent:
        """The event for the client."""
        if isinstance(event, ToolCallStart):
            self._names[event.index] = event.name
        elif isinstance(event, ToolCallDelta):
            schema = self._schemas.get(self._names.get(event.index, ""))
            if schema is not None:
                return ToolCallDelta(event.index, self._arguments(event.arguments, schema))
        return event

    def _arguments(self, text: str, schema: Mapping[str, Any]) -> str:
        try:
            given = loads_upstream(text.encode())
        except UpstreamError:
            return text
        kept = returned(given, schema, placeholders=self._placeholders)
        return text if kept == given else dumps(kept).decode()
