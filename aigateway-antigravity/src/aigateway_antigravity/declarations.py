"""The functions and tools of a request, as Cloud Code takes them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aigateway_antigravity.schemas import response_schema, tool_schema
from aigateway_core.plugin import InvalidRequestError, JsonObject

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}")
_HUMP = re.compile(r"_([a-z])")
_PARAMETERS = ("parametersJsonSchema", "parameters")
_ANSWERS = ("responseJsonSchema", "response")
_FUNCTIONS = "functionDeclarations"


def declared(tools: Sequence[Any], *, claude: bool) -> list[JsonObject]:
    """The ``tools`` of a Gemini-shaped body: one entry with all functions, and one for each tool of the vendor's own.

    A function keeps the keys that are known, its schemas become those that are taken (under ``parameters`` and
    ``response``, also where JSON Schema was given, which wins where both were). Of two with one name the first stays.
    Raises :class:`InvalidRequestError` for what is no function, and for a name that no upstream takes: names that the
    gateway writes itself are made to fit before.
    """
    functions: dict[str, JsonObject] = {}
    hosted: dict[str, JsonObject] = {}
    for index, tool in enumerate(tools):
        for key, value in _entry(tool, f"tools[{index}]").items():
            if key == _FUNCTIONS:
                for path, function in _functions(value, f"tools[{index}].{_FUNCTIONS}"):
                    functions.setdefault(_name(function, path), function)
            elif value is not None:
                hosted.setdefault(key, {key: value})
    written = [_declaration(name, function, claude=claude) for name, function in functions.items()]
    return [*([{_FUNCTIONS: written}] if written else []), *hosted.values()]


def _entry(value: Any, path: str) -> JsonObject:
    """An object with its keys in camel case: both spellings are read here as by Google."""
    if not isinstance(value, Mapping):
        raise InvalidRequestError("must be an object", path=path)
    return {_HUMP.sub(lambda letter: letter[1].upper(), str(key)): inner for key, inner in value.items()}


def _functions(value: Any, path: str) -> Iterator[tuple[str, JsonObject]]:
    if not isinstance(value, (list, type(None))):
        raise InvalidRequestError("must be an array", path=path)
    for index, function in enumerate(value or ()):
        yield f"{path}[{index}]", _entry(function, f"{path}[{index}]")


def _name(function: JsonObject, path: str) -> str:
    name = function.get("name")
    if type(name) is not str or not _NAME.fullmatch(name):
        raise InvalidRequestError(
            "must have at most 64 letters, digits, '_', '.', ':' and '-', a letter or '_' first", path=f"{path}.name"
        )
    return name


def _declaration(name: str, function: JsonObject, *, claude: bool) -> JsonObject:
    declaration: JsonObject = {"name": name}
    for key in ("description", "behavior"):
        if type(function.get(key)) is str and function[key]:
            declaration[key] = function[key]
    schema = _first_schema(function, _PARAMETERS) or {"type": "object", "properties": {}}
    declaration["parameters"] = tool_schema(schema, claude=claude)
    if answer := _first_schema(function, _ANSWERS):
        declaration["response"] = response_schema(answer)
    return declaration


def _first_schema(function: JsonObject, keys: Sequence[str]) -> Mapping[str, Any] | None:
    return next((function[key] for key in keys if isinstance(function.get(key), Mapping) and function[key]), None)
