"""JSON Schema as Cloud Code takes it: a message with few fields, every other keyword is a 400.

What has no field is put into words, and what is left ends in a list of what may stand. To clean what was cleaned
changes nothing, and the same schema always gives the same bytes: prompt caches hang on both.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import attrs

from aigateway_antigravity import placeholders
from aigateway_antigravity.branches import accepts, kinds, names, single
from aigateway_antigravity.hints import allowed, hint, limits, word
from aigateway_antigravity.refs import Place, References
from aigateway_core.plugin import JsonObject, dumps

_DEEPEST = 64
"""How many schemas may stand in one another: more than any request has, less than JSON's writer takes."""

_MOST_KEPT = 512
_LONGEST_KEPT = 8192
"""Schemas that are kept cleaned, each of at most so many bytes: an agent's tools are smaller."""


@attrs.frozen
class _Manner:
    response: bool = False
    placeholders: bool = False
    titles: bool = False


@attrs.frozen
class _Child:
    place: Place
    written: JsonObject
    depth: int


@attrs.frozen
class _Given:
    """A schema that is known by its text."""

    text: bytes
    schema: Mapping[str, Any] = attrs.field(eq=False)


def tool_schema(schema: Mapping[str, Any], *, claude: bool) -> JsonObject:
    """The parameters of a function, which are an object.

    A Claude model may only call functions that need something (mode ``VALIDATED``), in every object of theirs: those
    that need nothing get a placeholder.
    """
    manner = _Manner(placeholders=claude, titles=claude)
    try:
        text = dumps(schema)
    except TypeError:
        # No JSON spells it, so that it cannot be known again.
        return _of_tool(schema, manner)
    if len(text) > _LONGEST_KEPT:
        return _of_tool(schema, manner)
    kept: JsonObject = json.loads(_known(_Given(text, schema), manner))
    return kept


@lru_cache(maxsize=_MOST_KEPT)
def _known(given: _Given, manner: _Manner) -> bytes:
    """An agent sends the same tools with every turn: to clean them takes longer than all the rest of a request."""
    return dumps(_of_tool(given.schema, manner))


def _of_tool(schema: Mapping[str, Any], manner: _Manner) -> JsonObject:
    written = _cleaned(schema, manner)
    return written if written["type"] == "object" else _cleaned({"type": "object", "properties": {}}, manner)


def response_schema(schema: Mapping[str, Any]) -> JsonObject:
    """The shape of an answer that is JSON, or of what a function returns."""
    return _cleaned(schema, _Manner(response=True))


def _cleaned(schema: Mapping[str, Any], manner: _Manner) -> JsonObject:
    """Level by level, so that what references may add is spent on what is near before what is far."""
    references = References(schema)
    root: JsonObject = {}
    pending = deque([_Child(Place(schema, ("#",)), root, 0)])
    while pending:
        child = pending.popleft()
        node = _typed(single(child.place, references))
        if child.depth >= _DEEPEST and node["type"] in ("array", "object"):
            node = {"type": "string"}
        child.written.update(_flat(node, manner))
        pending.extend(_children(node, child))
        if manner.placeholders and node["type"] == "object":
            placeholders.add(child.written)
    return root


def _flat(node: JsonObject, manner: _Manner) -> JsonObject:
    """All of a schema but for the schemas in it."""
    kind = node["type"]
    words = _words(node.get("enum"))
    listed = bool(words) and (kind != "boolean" if manner.response else kind == "string")
    hint(node, *allowed(words, listed=listed))
    closed = kind == "object" and node.get("additionalProperties") is False
    if not manner.response:
        hint(node, *_others(node))
    hint(node, *limits(node), *(["nullable"] if node.get("nullable") is True else []))
    texts = ("description", "title") if manner.titles else ("description",)
    flat = {"type": kind} | {name: node[name] for name in texts if type(node.get(name)) is str and node[name]}
    if node.get("nullable") is True:
        flat["nullable"] = True
    if listed:
        flat["enum"] = words
    return flat | {"additionalProperties": False} if closed and manner.response else flat


def _others(node: JsonObject) -> Iterator[str]:
    """Which properties an object may have that it does not name."""
    others = node.get("additionalProperties")
    if node["type"] == "object" and others is False:
        yield "No extra properties allowed"
    elif node["type"] == "object" and isinstance(others, Place) and (types := _kinds_at(others)):
        yield f"Other properties: {' | '.join(types)}"


def _children(node: JsonObject, parent: _Child) -> list[_Child]:
    """The schemas in a schema, for each of which a place is made in what is written."""
    written, depth = parent.written, parent.depth + 1
    if node["type"] == "array":
        written["items"] = {}
        return [_Child(next(iter(node.get("items", ())), Place({"type": "string"})), written["items"], depth)]
    if node["type"] != "object" or "properties" not in node:
        return []
    # "false" fits no value, so that such a property can never be given.
    kept = {name: place for name, place in node["properties"].items() if place.schema is not False}
    written["properties"] = {name: {} for name in kept}
    needed = [*names(node.get("required")), *(name for name, place in kept.items() if _says_required(place.schema))]
    if required := [name for name in dict.fromkeys(needed) if name in kept]:
        written["required"] = required
    return [_Child(place, written["properties"][name], depth) for name, place in kept.items()]


def _says_required(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("required") is True


def _typed(node: JsonObject) -> JsonObject:
    """One type, in lower case: the one whose inside is described, or else the first."""
    if "const" in node:
        node.setdefault("enum", [node["const"]])
    types = kinds(node)
    if _allows_null(node):
        node["nullable"] = True
    if len(types) > 1:
        hint(node, accepts(types))
    items = node.get("items", ())
    if len(items) > 1 and "array" in types:
        hint(node, "Items in this order: " + ", ".join(" | ".join(_kinds_at(place)) or "any" for place in items))
    described = [kind for kind, name in (("object", "properties"), ("array", "items")) if name in node]
    node["type"] = next((kind for kind in (*described, *types) if kind in types), "string")
    return node


def _kinds_at(place: Place) -> list[str]:
    return kinds(place.schema) if isinstance(place.schema, dict) else []


def _allows_null(node: JsonObject) -> bool:
    given, values = node.get("type"), node.get("enum")
    words = given if isinstance(given, list) else [given]
    return any(type(word) is str and word.lower() == "null" for word in words) or (
        isinstance(values, list) and None in values
    )


def _words(values: Any) -> list[str]:
    """The values of an ``enum`` as the texts that the wire has for them; it has none for null and for no text."""
    if not isinstance(values, list):
        return []
    return list(dict.fromkeys(word(value) for value in values if value is not None and value != ""))
