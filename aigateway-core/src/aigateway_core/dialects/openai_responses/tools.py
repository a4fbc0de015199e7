"""Tools, the choice among them, and the forms that their calls have.

Besides functions this API has tools whose input is free text (``custom``) and tools grouped in a ``namespace``. Other
vendors are told of them as functions: a free text becomes the one property ``input``, a namespace a part of the name
(translation table, 1.5). An :class:`OpenAITool` remembers what it was, so that calls of it can be told as such.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeGuard

import attrs

from aigateway_core.dialects.checks import (
    mapping,
    missing,
    one_of,
    optional_boolean,
    optional_mapping,
    optional_string,
    sequence,
    string,
)
from aigateway_core.dialects.identifiers import legal_tool_name
from aigateway_core.dialects.openai_facts import function_schema, may_be_strict
from aigateway_core.dialects.openai_tools import OpenAITool, free_text_schema
from aigateway_core.model import HostedTool, JsonObject, Tool, ToolChoice

HOSTED = frozenset(
    {
        *("web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11"),
        *("file_search", "code_interpreter", "image_generation", "mcp", "computer", "computer_use_preview"),
        *("local_shell", "shell", "apply_patch", "tool_search", "programmatic_tool_calling"),
    }
)
"""The types of tools that OpenAI defines itself (the type ``Tool`` of its SDK)."""


def joined_name(namespace: str | None, name: str) -> str:
    """The one name that a tool in a namespace has for other vendors."""
    if not namespace:
        return name
    return namespace + name if namespace.endswith("__") else f"{namespace}__{name}"


# -- read


def read_tools(value: Any, *path: str | int) -> Iterator[Tool | HostedTool]:
    """The tools of a list of definitions; a namespace brings all of its own."""
    if value is None:
        return
    for index, item in enumerate(sequence(value, *path)):
        at = (*path, index)
        tool = mapping(item, *at)
        if "type" not in tool:
            missing(*at, "type")
        kind = string(tool["type"], *at, "type")
        if kind == "namespace":
            yield from _namespace(tool, *at)
        elif kind in ("function", "custom"):
            yield _own_tool(tool, kind, None, "", *at)
        else:
            yield HostedTool(kind, _hosted_name(tool, kind), tool)


def merged(tools: Iterable[Tool | HostedTool]) -> tuple[Tool | HostedTool, ...]:
    """One tool for each name: the first one, but a tool of its own before one in a namespace."""
    kept: list[Tool | HostedTool] = []
    places: dict[str, int] = {}
    for tool in tools:
        if isinstance(tool, HostedTool):
            kept.append(tool)
        elif (place := places.get(tool.name)) is None:
            places[tool.name] = len(kept)
            kept.append(tool)
        elif _is_namespaced(kept[place]) and not _is_namespaced(tool):
            kept[place] = tool
    return tuple(kept)


def _is_namespaced(tool: Tool | HostedTool) -> bool:
    return isinstance(tool, OpenAITool) and tool.namespace is not None


def _namespace(group: JsonObject, *path: str | int) -> Iterator[Tool]:
    name = _name(group, *path)
    description = optional_string(group.get("description"), *path, "description") or ""
    for index, item in enumerate(sequence(group.get("tools"), *path, "tools")):
        at = (*path, "tools", index)
        tool = mapping(item, *at)
        kind = one_of(tool.get("type", "function"), ("function", "custom"), *at, "type")
        yield _own_tool(tool, kind, name, description, *at)


def _own_tool(tool: JsonObject, kind: str, namespace: str | None, about: str, *path: str | int) -> Tool:
    own_name = _name(tool, *path)
    name = joined_name(namespace, own_name)
    description = optional_string(tool.get("description"), *path, "description")
    if kind == "custom":
        form = optional_mapping(tool.get("format"), *path, "format")
        return OpenAITool(
            name, description, free_text_schema(form), None, own_name, namespace, about, custom=True, format=form
        )
    parameters = optional_mapping(tool.get("parameters"), *path, "parameters") or {}
    strict = optional_boolean(tool.get("strict"), *path, "strict")
    if namespace is None:
        return Tool(name, description, parameters, strict)
    return OpenAITool(name, description, parameters, strict, own_name, namespace, about)


def _hosted_name(tool: JsonObject, kind: str) -> str:
    name = tool.get("server_label") if kind == "mcp" else tool.get("name")
    return name if type(name) is str and name else kind


def _name(owner: JsonObject, *path: str | int) -> str:
    if "name" not in owner:
        missing(*path, "name")
    return string(owner["name"], *path, "name")


def read_tool_choice(value: Any) -> ToolChoice | None:
    """The choice; Chat Completions' form of it is taken as well."""
    if value is None:
        return None
    if type(value) is str:
        return _mode(one_of(value, ("none", "auto", "required"), "tool_choice"))
    choice = mapping(value, "tool_choice")
    if choice.get("type") != "allowed_tools":
        return ToolChoice("required", (_chosen(choice, "tool_choice"),))
    mode = one_of(choice.get("mode", "auto"), ("auto", "required"), "tool_choice", "mode")
    path = ("tool_choice", "tools")
    names = (
        _chosen(mapping(tool, *path, index), *path, index)
        for index, tool in enumerate(sequence(choice.get("tools"), *path))
    )
    return attrs.evolve(_mode(mode), names=tuple(dict.fromkeys(names)))


def _mode(word: str) -> ToolChoice:
    match word:
        case "none":
            return ToolChoice("none")
        case "required":
            return ToolChoice("required")
        case _:
            return ToolChoice("auto")


def _chosen(tool: JsonObject, *path: str | int) -> str:
    if "type" not in tool:
        missing(*path, "type")
    kind = string(tool["type"], *path, "type")
    if kind not in ("function", "custom"):
        return _hosted_name(tool, kind)
    if type(tool.get(kind)) is dict:
        tool, path = tool[kind], (*path, kind)
    return joined_name(optional_string(tool.get("namespace"), *path, "namespace"), _name(tool, *path))


# -- write


def is_foreign(tool: Tool | HostedTool) -> TypeGuard[HostedTool]:
    """Whether this is a tool that another vendor runs."""
    return isinstance(tool, HostedTool) and tool.type not in HOSTED


def write_tools(tools: Iterable[Tool | HostedTool]) -> list[JsonObject]:
    """The definitions, but for those that another vendor runs; neighbours of one namespace stand together."""
    written: list[JsonObject] = []
    for tool in tools:
        if is_foreign(tool):
            continue
        if not isinstance(tool, OpenAITool) or tool.namespace is None:
            written.append(_definition(tool))
            continue
        last = written[-1] if written else {}
        if last.get("type") != "namespace" or last["name"] != tool.namespace:
            last = {"type": "namespace", "name": tool.namespace, "description": tool.namespace_description, "tools": []}
            written.append(last)
        last["tools"].append(_definition(tool))
    return written


def _definition(tool: Tool | HostedTool) -> JsonObject:
    if isinstance(tool, HostedTool):
        return {**tool.definition, "type": tool.type}
    own_name = tool.own_name if isinstance(tool, OpenAITool) else tool.name
    written: JsonObject = {"type": "function", "name": legal_tool_name(own_name)}
    if tool.description is not None:
        written["description"] = tool.description
    if isinstance(tool, OpenAITool) and tool.custom:
        return {**written, "type": "custom"} | ({} if tool.format is None else {"format": dict(tool.format)})
    written["parameters"] = function_schema(tool.parameters)
    # Silence means strict here, where it means the opposite elsewhere.
    written["strict"] = may_be_strict(tool)
    return written


def write_tool_choice(choice: ToolChoice, tools: Iterable[Tool | HostedTool]) -> Any:
    """The choice among ``tools``; None when it names none of them."""
    known = {tool.name: tool for tool in tools if not is_foreign(tool)}
    names = [name for name in choice.names if name in known]
    if not choice.names or choice.mode == "none":
        return choice.mode
    if not names:
        return None
    if choice.mode == "required" and len(names) == 1:
        return _reference(known[names[0]])
    return {"type": "allowed_tools", "mode": choice.mode, "tools": [_reference(known[name]) for name in names]}


def _reference(tool: Tool | HostedTool) -> JsonObject:
    if isinstance(tool, HostedTool):
        return {"type": tool.type} | ({"server_label": tool.name} if tool.type == "mcp" else {})
    if not isinstance(tool, OpenAITool):
        return {"type": "function", "name": legal_tool_name(tool.name)}
    kind = "custom" if tool.custom else "function"
    inside = {} if tool.namespace is None else {"namespace": tool.namespace}
    return {"type": kind, "name": legal_tool_name(tool.own_name), **inside}
