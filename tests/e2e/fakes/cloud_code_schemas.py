"""What Cloud Code refuses in a schema: everything that its message of one does not have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from e2e.fakes.vendor import Problem

_FIELDS = {"type", "title", "description", "nullable", "enum", "properties", "required", "items"}
_KINDS = {"string", "number", "integer", "boolean", "array", "object"}
_STRINGS = ("title", "description")


def unknown(name: str, where: str) -> Problem:
    """The words for a field that there is not."""
    said = f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}': Cannot find field."
    return Problem(said if where else said.replace(" at ''", ""), where=where)


def tool_problems(schema: Any, where: str, *, validated: bool) -> Iterator[Problem]:
    """What is wrong with the parameters of a function; ``validated``: each object in it needs something required."""
    if isinstance(schema, dict) and _kind(schema) != "object":
        yield Problem("functionDeclaration parameters schema should be of type OBJECT.", where=where)
    for at, node in _nodes(schema, where):
        yield from _problems(node, at, _FIELDS)
        if not isinstance(node, dict):
            continue
        if "enum" in node and _kind(node) != "string":
            yield Problem("enum: only allowed for STRING type", where=at)
        if validated and _kind(node) == "object" and not node.get("required"):
            yield Problem("VALIDATED: an object schema needs at least one required property", where=at)


def response_problems(schema: Any, where: str) -> Iterator[Problem]:
    """What is wrong with the schema of an answer."""
    for at, node in _nodes(schema, where):
        yield from _problems(node, at, _FIELDS | {"additionalProperties"})
        if not isinstance(node, dict):
            continue
        if node.get("additionalProperties", False) is not False:
            yield Problem("additional_properties: only false is supported", where=at)
        if "enum" in node and _kind(node) == "boolean":
            yield Problem("enum: not allowed for BOOLEAN type", where=at)


def _nodes(schema: Any, where: str) -> Iterator[tuple[str, Any]]:
    """A schema and those inside it, each with its place as Google writes it: a map is a list of keys and values."""
    yield where, schema
    if not isinstance(schema, dict):
        return
    properties = schema.get("properties", {})
    for number, inner in enumerate(properties.values() if isinstance(properties, dict) else ()):
        yield from _nodes(inner, f"{where}.properties[{number}].value")
    if "items" in schema:
        yield from _nodes(schema["items"], f"{where}.items")


def _problems(node: Any, where: str, fields: set[str]) -> Iterator[Problem]:
    if not isinstance(node, dict):
        yield Problem(f"Invalid value at '{where}' (type.googleapis.com/google.ai.Schema), {node!r}", where=where)
        return
    yield from (unknown(name, where) for name in node.keys() - fields)
    kind = node.get("type")
    if kind is not None and _kind(node) not in _KINDS:
        yield Problem(f"Invalid value at '{where}.type' (Type), {kind!r}", where=where)
    if _kind(node) == "array" and "items" not in node:
        yield Problem(f"{where}.items: missing field.", where=where)
    if not isinstance(node.get("properties", {}), dict):
        yield Problem(f"Invalid value at '{where}.properties'", where=where)
    elif not isinstance(node.get("required", []), list) or set(node.get("required", ())) - {
        *node.get("properties", ())
    }:
        yield Problem(f"{where}.required: property is not defined", where=where)
    if not all(isinstance(node.get(name, ""), str) for name in _STRINGS):
        yield Problem(f"Invalid value at '{where}' (TYPE_STRING)", where=where)
    if not isinstance(node.get("nullable", False), bool):
        yield Problem(f"Invalid value at '{where}.nullable' (TYPE_BOOL)", where=where)
    members = node.get("enum", [""])
    if not isinstance(members, list) or not members or not all(isinstance(one, str) for one in members):
        yield Problem(f"Invalid value at '{where}.enum' (TYPE_STRING), {members!r}", where=where)


def _kind(node: Any) -> str:
    kind = node.get("type")
    return kind.lower() if isinstance(kind, str) else ""
