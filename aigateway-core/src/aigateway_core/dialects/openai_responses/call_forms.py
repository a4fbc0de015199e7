"""How a call looks in this API: an item that says what kind of tool is called, and in which namespace."""

from __future__ import annotations

from collections.abc import Iterable

from aigateway_core.dialects.identifiers import legal_tool_name
from aigateway_core.dialects.openai_responses.tools import joined_name
from aigateway_core.dialects.openai_tools import OpenAITool, free_text
from aigateway_core.model import HostedTool, JsonObject, Tool, ToolCallPart


class CallForms:
    """The forms that the calls of these tools have: to the client's names, or (``legal``) to what an upstream takes."""

    def __init__(self, tools: Iterable[Tool | HostedTool], *, legal: bool) -> None:
        self._legal = legal
        self._own: dict[str, OpenAITool] = {}
        self._names: dict[tuple[str | None, str], str] = {}
        for tool in tools:
            if isinstance(tool, HostedTool):
                continue
            if isinstance(tool, OpenAITool):
                self._own[tool.name] = tool
                self._names[tool.namespace, self._written(tool.own_name)] = tool.name
            else:
                self._names[None, self._written(tool.name)] = tool.name

    def is_custom(self, name: str) -> bool:
        """Whether calls of this tool carry free text."""
        tool = self._own.get(name)
        return tool is not None and tool.custom

    def named(self, name: str) -> JsonObject:
        """``name``, and ``namespace`` where there is one."""
        tool = self._own.get(name)
        if tool is None:
            return {"name": self._written(name)}
        inside = {} if tool.namespace is None else {"namespace": tool.namespace}
        return {"name": self._written(tool.own_name), **inside}

    def call(self, part: ToolCallPart, call_id: str) -> JsonObject:
        """The item of a finished call."""
        text = free_text(part.arguments) if self.is_custom(part.name) else None
        if text is not None:
            return {"type": "custom_tool_call", "call_id": call_id, **self.named(part.name), "input": text}
        arguments = part.arguments if part.arguments.strip() else "{}"
        return {"type": "function_call", "call_id": call_id, **self.named(part.name), "arguments": arguments}

    def canonical(self, namespace: str | None, name: str) -> str:
        """The name that a tool has in the request, out of what an item says."""
        return self._names.get((namespace, name)) or joined_name(namespace, name)

    def _written(self, name: str) -> str:
        return legal_tool_name(name) if self._legal else name
