"""JSON Schemas that this API holds a model to: ``output_config.format``, and the arguments of strict tools.

They are a part of JSON Schema, and anything else is a 400 ("For 'integer' type, property 'minimum' is not supported"):
every object is closed, nothing refers to itself, and of what limits a value there are ``enum``, ``const``, some formats
of strings and ``minItems`` of 0 or 1 (platform.claude.com, "structured outputs", JSON Schema limitations).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aigateway_core.jsontext import dumps
from aigateway_core.model import JsonObject

MOST_STRICT_TOOLS = 20
"""How many tools of one request may be strict (same page, schema complexity limits)."""

_FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"},
)
_MAPS = ("properties", "$defs", "definitions")
_LISTS = ("anyOf", "allOf")
_PLAIN = frozenset({"type", "title", "description", "required", "enum", "const", "default", "$ref"})
_SILENT = frozenset({"$schema", "$id", "$comment"})
"""Keywords that say nothing about a value."""


def structured(schema: Mapping[str, Any]) -> JsonObject | None:
    """The schema as this API takes it: objects closed, and what it cannot hold a model to told in descriptions.

    None for one that would be another one then: of objects with any keys, of nothing known, or within itself.
    """
    if not _ends(schema) or any(_is_open(node) for node in _nodes(schema)):
        return None
    return dict(_written(schema))


def is_structured(schema: Mapping[str, Any]) -> bool:
    """Whether a schema is one that this API can hold a model to, as it stands."""
    silent = {name: value for name, value in schema.items() if name not in _SILENT}
    return structured(schema) == silent


def _written(node: Any) -> Any:
    if not isinstance(node, Mapping):
        return node
    if "$ref" in node:
        # What stands beside a reference is no part of it, but for the definitions at the root.
        return {"$ref": node["$ref"]} | {name: _map(node[name]) for name in _MAPS[1:] if name in node}
    kept: JsonObject = {}
    untold: JsonObject = {}
    for name, value in node.items():
        if name in _MAPS:
            kept[name] = _map(value)
        elif name in (*_LISTS, "oneOf") and isinstance(value, list):
            kept["anyOf" if name == "oneOf" else name] = [_written(one) for one in value]
        elif name == "items" and isinstance(value, Mapping):
            kept[name] = _written(value)
        elif _is_held(name, value):
            kept[name] = value
        elif name not in _SILENT and name != "additionalProperties":
            untold[name] = value
    if _is_object(node):
        kept["additionalProperties"] = False
    if untold:
        said = node.get("description")
        kept["description"] = "\n\n".join(filter(None, (said, dumps(untold).decode())))
    return kept


def _map(value: Any) -> Any:
    return {name: _written(one) for name, one in value.items()} if isinstance(value, Mapping) else value


def _is_held(name: str, value: Any) -> bool:
    """Whether a keyword that holds no schemas can be sent with this value."""
    match name:
        case "format":
            return value in _FORMATS
        case "minItems":
            return value in (0, 1)
        case "enum":
            return isinstance(value, list) and not any(isinstance(one, list | Mapping) for one in value)
        case "const":
            return not isinstance(value, list | Mapping)
        case _:
            return name in _PLAIN


def _is_object(node: Mapping[str, Any]) -> bool:
    kind = node.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind)


def _is_open(node: Mapping[str, Any]) -> bool:
    """Whether anything may stand there, or an object with keys that nobody named."""
    if _is_object(node):
        return "properties" not in node and node.get("additionalProperties") is not False
    held = any(name in node and _is_held(name, node[name]) for name in ("type", "enum", "const", "$ref"))
    alternatives = node.keys() & {"anyOf", "oneOf"}
    return len(alternatives) > 1 or not (held or alternatives or "allOf" in node)


def _nodes(node: Any) -> Iterator[Mapping[str, Any]]:
    """Every schema in it."""
    if isinstance(node, Mapping):
        yield node
        for inner in _inside(node):
            yield from _nodes(inner)


def _inside(node: Mapping[str, Any], maps: tuple[str, ...] = _MAPS) -> Iterator[Any]:
    for name, value in node.items():
        if name in maps and isinstance(value, Mapping):
            yield from value.values()
        elif name in (*_LISTS, "oneOf") and isinstance(value, list):
            yield from value
        elif name == "items":
            yield value


def _ends(schema: Mapping[str, Any]) -> bool:
    """Whether following its references comes to an end, and never leaves the schema.

    Each is followed once: where many schemas refer to the same ones, there are more ways than anyone could walk.
    """
    followed: set[str] = set()
    way: dict[str, Iterator[Any]] = {"": _references(schema)}
    while way:
        came_by, onward = next(reversed(way.items()))
        reference = next(onward, None)
        if reference is None:
            del way[came_by]
            followed.add(came_by)
            continue
        found = referred(reference, schema)
        if found is None or reference in way:
            return False
        if reference not in followed:
            way[reference] = _references(found)
    return True


def _references(node: Any) -> Iterator[Any]:
    """Where the schemas in it refer to; nothing beside a reference counts."""
    if isinstance(node, Mapping):
        if node.get("$ref") is not None:
            yield node["$ref"]
            return
        for inner in _inside(node, ("properties",)):
            yield from _references(inner)


def referred(reference: Any, root: Mapping[str, Any]) -> Any:
    """What a reference leads to; None for one that leads out of the schema, or nowhere."""
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return None
    found: Any = root
    for step in reference[2:].split("/"):
        found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    return found
