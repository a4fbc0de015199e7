"""The arguments of a call on their way to the client: as its own schema has them, not as the upstream was told."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from aigateway_antigravity.branches import alternatives, is_null, kinds, whole
from aigateway_antigravity.placeholders import NAMES
from aigateway_antigravity.refs import Place, References
from aigateway_core.plugin import JsonObject, UpstreamError, loads_upstream

_DEEPEST = 64
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,17})?(?:[eE][+-]?[0-9]{1,3})?")
_BOOLEANS = {"true": True, "false": False}


def returned(arguments: JsonObject, schema: Mapping[str, Any], *, placeholders: bool = True) -> JsonObject:
    """``arguments`` as the client's ``schema`` has them.

    Placeholders that the client did not declare are left out; not so where the model was told of none
    (``placeholders``). Some models write numbers, booleans, arrays and objects as text: such a text is read where the
    schema allows no text at that place. One that begins with a zero is a code and no number, and stays.
    """
    value = _Reader(schema, placeholders=placeholders).value(arguments, [Place(schema)])
    return value if isinstance(value, dict) else arguments


class _Reader:
    def __init__(self, schema: Mapping[str, Any], *, placeholders: bool) -> None:
        self._schema = schema
        self._placeholders = placeholders

    def value(self, value: Any, places: Sequence[Place], depth: int = 0) -> Any:
        """``value`` as the schemas at ``places`` have it, one of which is its own."""
        if not places or depth > _DEEPEST or not isinstance(value, (str, list, dict)):
            return value
        nodes, leaves = self._nodes(places)
        if isinstance(value, str):
            value = _read(value, leaves)
        if isinstance(value, dict):
            return self._object(value, nodes, depth)
        if isinstance(value, list):
            return self._array(value, nodes, depth)
        return value

    def _nodes(self, places: Sequence[Place]) -> tuple[list[JsonObject], list[JsonObject]]:
        """The schemas at ``places`` with all alternatives; and those of them that have none, which know a text's type.

        Arguments end, so that references back to what is around them need not: the way here does not count.
        """
        references = References(self._schema)
        nodes = [whole(attrs.evolve(place, references=()), references) for place in places]
        leaves: list[JsonObject] = []
        for node in nodes:
            branches = alternatives(node, references)
            for branch in branches:
                branch |= {"type": node["type"]} if "type" in node else {}
            nodes += branches
            leaves += [] if branches or is_null(node) else [node]
        return nodes, leaves

    def _object(self, value: JsonObject, nodes: Sequence[JsonObject], depth: int) -> JsonObject:
        declared: dict[str, list[Place]] = {}
        for node in nodes:
            for name, place in node.get("properties", {}).items():
                declared.setdefault(name, []).append(place)
        others = [node["additionalProperties"] for node in nodes if isinstance(node.get("additionalProperties"), Place)]
        told = self._placeholders and (depth == 0 or any("object" in kinds(node) for node in nodes))
        return {
            name: self.value(inner, declared.get(name, others), depth + 1)
            for name, inner in value.items()
            if name in declared or not (told and name in NAMES)
        }

    def _array(self, value: list[Any], nodes: Sequence[JsonObject], depth: int) -> list[Any]:
        lists = [node["items"] for node in nodes if node.get("items")]
        return [
            self.value(item, [items[min(index, len(items) - 1)] for items in lists], depth + 1)
            for index, item in enumerate(value)
        ]


def _read(text: str, schemas: Iterable[JsonObject]) -> Any:
    """What ``text`` spells where none of the schemas allows it as it stands; else ``text``."""
    types: set[str] = set()
    for schema in schemas:
        allowed = kinds(schema)
        if not allowed or "string" in allowed:
            return text
        types.update(allowed)
    if "boolean" in types and text in _BOOLEANS:
        return _BOOLEANS[text]
    if types & {"integer", "number"} and _INTEGER.fullmatch(text):
        return int(text)
    if "number" in types and _NUMBER.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return _read_json(text, types)


def _read_json(text: str, types: set[str]) -> Any:
    if not text.lstrip().startswith(tuple("[" * ("array" in types) + "{" * ("object" in types))):
        return text
    try:
        json.loads(text)
        value = loads_upstream(b'{"value":%s}' % text.encode())["value"]
    except (ValueError, RecursionError, UpstreamError):
        return text
    return value
