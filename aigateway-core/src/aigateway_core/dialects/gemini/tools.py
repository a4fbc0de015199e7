"""Functions that the model may call, tools that the vendor runs, and the choice among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from aigateway_core.dialects.checks import (
    Path,
    mapping,
    missing,
    one_of,
    optional_mapping,
    optional_string,
    sequence,
    string,
)
from aigateway_core.dialects.gemini.classic_schema import classic_schema
from aigateway_core.dialects.gemini.keys import field, spellings
from aigateway_core.dialects.gemini.names import wire_name
from aigateway_core.dialects.gemini.profile import GeminiProfile
from aigateway_core.dialects.gemini.schemas import json_schema
from aigateway_core.model import ChatRequest, HostedTool, JsonObject, Tool, ToolChoice

HOSTED = (
    *("googleSearch", "googleSearchRetrieval", "codeExecution", "urlContext", "googleMaps", "fileSearch"),
    *("computerUse", "enterpriseWebSearch", "retrieval", "mcpServers"),
)
"""Tools that Google runs itself (ai.google.dev, API reference, Tool)."""

_CAMEL = {name: hosted for hosted in HOSTED for name in spellings(hosted)}
_FUNCTIONS = spellings("functionDeclarations")
_MODES = ("mode_unspecified", "auto", "any", "none", "validated")


def read_tools(value: Any) -> tuple[Tool | HostedTool, ...]:
    """The functions of all entries, and each tool of the vendor's own."""
    if value is None:
        return ()
    tools: list[Tool | HostedTool] = []
    for index, item in enumerate(sequence(value, "tools")):
        entry = mapping(item, "tools", index)
        if (functions := field(entry, "functionDeclarations")) is not None:
            path = ("tools", index, "functionDeclarations")
            tools += (
                _read_function(function, (*path, place)) for place, function in enumerate(sequence(functions, *path))
            )
        for name, definition in entry.items():
            if name not in _FUNCTIONS and definition is not None:
                kind = _CAMEL.get(name, name)
                tools.append(HostedTool(kind, kind, definition if isinstance(definition, dict) else {}))
    return tuple(tools)


def _read_function(value: Any, path: Path) -> Tool:
    function = mapping(value, *path)
    if "name" not in function:
        missing(*path, "name")
    name = "parametersJsonSchema" if field(function, "parametersJsonSchema") is not None else "parameters"
    schema = optional_mapping(field(function, name), *path, name) or {}
    return Tool(
        string(function["name"], *path, "name"),
        optional_string(function.get("description"), *path, "description"),
        json_schema(schema),
    )


def read_tool_choice(value: Any) -> ToolChoice | None:
    """The choice; ``VALIDATED`` is ``AUTO`` with arguments that fit, which the canonical form does not tell apart."""
    config = optional_mapping(value, "toolConfig") or {}
    path = ("toolConfig", "functionCallingConfig")
    calling = optional_mapping(field(config, "functionCallingConfig"), *path)
    if calling is None:
        return None
    mode = calling.get("mode")
    word = "auto" if mode is None else one_of(mode.lower() if type(mode) is str else mode, _MODES, *path, "mode")
    allowed = field(calling, "allowedFunctionNames")
    names = _names([] if allowed is None else sequence(allowed, *path, "allowedFunctionNames"), path)
    if word == "none":
        return ToolChoice("none")
    return ToolChoice("required" if word == "any" else "auto", names)


def _names(allowed: list[Any], path: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(string(name, *path, "allowedFunctionNames", index) for index, name in enumerate(allowed))


def write_tools(request: ChatRequest, profile: GeminiProfile) -> list[JsonObject]:
    """The ``tools`` for an upstream: one entry with all functions, and one for each tool of this vendor's own."""
    entries: list[JsonObject] = []
    if functions := list(_functions(request.tools, profile)):
        entries.append({"functionDeclarations": functions})
    entries += (
        {tool.type: dict(tool.definition)}
        for tool in request.tools
        if isinstance(tool, HostedTool) and tool.type in HOSTED
    )
    return entries


def _functions(tools: Sequence[Tool | HostedTool], profile: GeminiProfile) -> Iterator[JsonObject]:
    """Each function once: a name that is declared twice is a 400."""
    declared: set[str] = set()
    for tool in tools:
        if isinstance(tool, Tool) and tool.name not in declared:
            declared.add(tool.name)
            yield _write_function(tool, profile)


def _write_function(tool: Tool, profile: GeminiProfile) -> JsonObject:
    function: JsonObject = {"name": wire_name(tool.name)}
    if tool.description:
        function["description"] = tool.description
    schema = dict(tool.parameters) or {"type": "object", "properties": {}}
    if profile.json_schemas:
        function["parametersJsonSchema"] = schema
    else:
        function["parameters"] = classic_schema(schema, profile.schema_keywords)
    return function


def write_tool_choice(request: ChatRequest) -> JsonObject | None:
    """The ``toolConfig`` for the functions that there are; None when there is no choice to make.

    Names may stand with ``ANY`` and ``VALIDATED`` alone: a narrowed ``auto`` is the latter.
    """
    choice = request.tool_choice
    declared = {tool.name for tool in request.tools if isinstance(tool, Tool)}
    if choice is None or not declared:
        return None
    names = [wire_name(name) for name in choice.names if name in declared]
    if choice.mode == "none":
        return _calling({"mode": "NONE"})
    if choice.names and not names:
        return None
    if not names:
        return _calling({"mode": "ANY" if choice.mode == "required" else "AUTO"})
    mode = "ANY" if choice.mode == "required" else "VALIDATED"
    return _calling({"mode": mode, "allowedFunctionNames": names})


def _calling(config: JsonObject) -> JsonObject:
    return {"functionCallingConfig": config}
