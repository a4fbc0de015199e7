"""Tools and the choice among them, read and written.

Tools that Anthropic defines are told apart by a dated ``type``. Those that run at the client (a shell, a text editor, a
memory folder) are plain functions whose schema every Claude model knows by heart; other models are given that schema.
Those that run at Anthropic are :class:`HostedTool`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeGuard

from aigateway_core.dialects.anthropic.object_schema import object_schema
from aigateway_core.dialects.anthropic.profile import ModelRule
from aigateway_core.dialects.anthropic.structured_output import MOST_STRICT_TOOLS, is_structured
from aigateway_core.dialects.checks import (
    mapping,
    optional_boolean,
    optional_mapping,
    optional_string,
    sequence,
    string,
)
from aigateway_core.dialects.identifiers import legal_tool_name
from aigateway_core.model import ChatRequest, HostedTool, JsonObject, Tool, ToolChoice

PLACEHOLDER = "DeferredToolPlaceholder"
"""A tool that Claude Code lists only so that there is one whose loading is deferred (case 26)."""

_HOSTED = re.compile(r"\w+_20\d{6}|mcp_toolset")

_TEXT: JsonObject = {"type": "string"}
_LINE: JsonObject = {"type": "integer"}
_RANGE: JsonObject = {"type": "array", "items": {"type": "integer"}}


def _commands(*commands: str) -> JsonObject:
    return {"type": "string", "enum": list(commands)}


def _schema(required: list[str], **properties: JsonObject) -> JsonObject:
    return {"type": "object", "properties": properties, "required": required}


_CLIENT_TOOLS: tuple[tuple[str, str, JsonObject], ...] = (
    (
        "bash_",
        "Run a command in a persistent bash session, or restart the session.",
        _schema([], command=_TEXT, restart={"type": "boolean"}),
    ),
    (
        "text_editor_",
        "View, create and edit text files.",
        _schema(
            ["command", "path"],
            command=_commands("view", "create", "str_replace", "insert", "undo_edit"),
            path=_TEXT,
            view_range=_RANGE,
            file_text=_TEXT,
            old_str=_TEXT,
            new_str=_TEXT,
            insert_line=_LINE,
            insert_text=_TEXT,
        ),
    ),
    (
        "memory_",
        "Keep notes as files in a memory folder that outlasts the conversation.",
        _schema(
            ["command"],
            command=_commands("view", "create", "str_replace", "insert", "delete", "rename"),
            path=_TEXT,
            view_range=_RANGE,
            file_text=_TEXT,
            old_str=_TEXT,
            new_str=_TEXT,
            insert_line=_LINE,
            insert_text=_TEXT,
            old_path=_TEXT,
            new_path=_TEXT,
        ),
    ),
)
"""Beginning of the type, description, schema: platform.claude.com, "bash", "text editor" and "memory tool"."""


def read_tools(value: Any) -> tuple[Tool | HostedTool, ...]:
    """The ``tools`` of a body, but for Claude Code's placeholder."""
    if value is None:
        return ()
    items = enumerate(sequence(value, "tools"))
    return tuple(_read_tool(mapping(item, "tools", index), index) for index, item in items if not _is_placeholder(item))


def _is_placeholder(item: Any) -> bool:
    return isinstance(item, dict) and item.get("name") == PLACEHOLDER


def _read_tool(item: JsonObject, index: int) -> Tool | HostedTool:
    path = ("tools", index)
    kind = optional_string(item.get("type"), *path, "type")
    if kind is None or kind == "custom":
        return Tool(
            string(item.get("name"), *path, "name"),
            optional_string(item.get("description"), *path, "description"),
            optional_mapping(item.get("input_schema"), *path, "input_schema") or {},
            optional_boolean(item.get("strict"), *path, "strict"),
        )
    name = optional_string(item.get("name"), *path, "name") or ""
    for start, description, schema in _CLIENT_TOOLS:
        if kind.startswith(start):
            return Tool(name or start.rstrip("_"), description, schema)
    return HostedTool(kind, name, {key: field for key, field in item.items() if key not in ("type", "name")})


def read_tool_choice(value: Any) -> tuple[ToolChoice | None, bool | None]:
    """The choice, and whether calls may be made in parallel; a kind of choice that is not known means ``auto``."""
    if value is None:
        return None, None
    choice = mapping(value, "tool_choice")
    kind = string(choice.get("type"), "tool_choice", "type")
    disabled = optional_boolean(choice.get("disable_parallel_tool_use"), "tool_choice", "disable_parallel_tool_use")
    parallel = None if disabled is None else not disabled
    if kind == "tool":
        return ToolChoice("required", (string(choice.get("name"), "tool_choice", "name"),)), parallel
    if kind == "any":
        return ToolChoice("required"), parallel
    return ToolChoice("none" if kind == "none" else "auto"), parallel


def is_foreign(tool: Tool | HostedTool) -> TypeGuard[HostedTool]:
    """Whether this is a tool that some other vendor runs: their types carry no date of Anthropic's form."""
    return isinstance(tool, HostedTool) and _HOSTED.fullmatch(tool.type) is None


def write_tools(request: ChatRequest, rule: ModelRule) -> list[JsonObject]:
    """The ``tools`` for an upstream: those that this vendor has, narrowed to the ones that the choice leaves."""
    names = request.tool_choice.names if request.tool_choice else ()
    # This API can force one tool or any, not one of several: the others are left out instead.
    narrowed = len(names) > 1 or (names and request.tool_choice is not None and request.tool_choice.mode == "auto")
    written = list(_written(tool for tool in request.tools if not (narrowed and tool.name not in names)))
    return _strict_within_limits(written, MOST_STRICT_TOOLS if rule.structured_output else 0)


def _strict_within_limits(tools: list[JsonObject], most: int) -> list[JsonObject]:
    """The tools, of which as many stay strict as may be: those with a schema that this API can hold a model to."""
    kept = 0
    for tool in tools:
        if tool.get("strict") is not True or "input_schema" not in tool:
            continue
        if kept < most and is_structured(tool["input_schema"]):
            kept += 1
        else:
            del tool["strict"]
    return tools


def loses_strictness(request: ChatRequest, written: list[JsonObject]) -> bool:
    """Whether a tool that is sent was to be strict, and is not."""
    strict = {legal_tool_name(tool.name) for tool in request.tools if isinstance(tool, Tool) and tool.strict}
    return any(tool.get("name") in strict and "strict" not in tool for tool in written)


def loses_tool_choice(request: ChatRequest, written: JsonObject | None) -> bool:
    """Whether the tools that were chosen are not there to be chosen."""
    choice = request.tool_choice
    if choice is None or choice.mode == "none" or (choice.mode == "auto" and not choice.names):
        return False
    return written is None or (choice.mode == "required" and written["type"] == "auto")


def _written(tools: Iterator[Tool | HostedTool]) -> Iterator[JsonObject]:
    for tool in tools:
        if isinstance(tool, Tool):
            yield _write_function(tool)
        elif not is_foreign(tool):
            yield {"type": tool.type, **({"name": tool.name} if tool.name else {}), **tool.definition}


def _write_function(tool: Tool) -> JsonObject:
    written: JsonObject = {"name": legal_tool_name(tool.name), "input_schema": object_schema(tool.parameters)}
    if tool.description:
        written["description"] = tool.description
    if tool.strict:
        written["strict"] = True
    return written


def write_tool_choice(request: ChatRequest, tools: list[JsonObject]) -> JsonObject | None:
    """The ``tool_choice`` for the tools that are left; None when there is none to make."""
    choice, parallel = request.tool_choice, request.parallel_tool_calls
    if not tools or (choice is None and parallel is not False):
        return None
    written = _write_choice(choice or ToolChoice("auto"), {tool.get("name") for tool in tools})
    if parallel is not None and written["type"] != "none":
        written["disable_parallel_tool_use"] = not parallel
    return written


def _write_choice(choice: ToolChoice, known: set[Any]) -> JsonObject:
    if choice.mode != "required":
        return {"type": choice.mode}
    if len(choice.names) == 1:
        name = legal_tool_name(choice.names[0])
        return {"type": "tool", "name": name} if name in known else {"type": "auto"}
    return {"type": "any"}
