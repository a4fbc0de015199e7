"""The schema of a tool's arguments as this API takes it: one object, since alternatives may not stand at the root.

They become one object with the properties of all of them (translation table, 1.5). What one property may be is told in
full: a model that could say but one word of a discriminator could make but one of the variants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from aigateway_core.dialects.anthropic.structured_output import referred
from aigateway_core.jsontext import dumps
from aigateway_core.model import JsonObject

_EITHER = ("anyOf", "oneOf")
_ALL = "allOf"

_MOST_NESTED = 8
"""How deep alternatives may stand in alternatives, which may refer to themselves."""

_MOST_COPIED = 200_000
"""How many characters references may add to one schema: many that refer to one long text repeat it."""


def object_schema(schema: Mapping[str, Any]) -> JsonObject:
    """``schema`` with ``type: object``, and without alternatives at its root."""
    written: JsonObject = {**schema, "type": "object"}
    if not schema:
        written["properties"] = {}
    for name in (*_EITHER, _ALL):
        written.pop(name, None)
    if any(_listed(schema, name) for name in (*_EITHER, _ALL)):
        shape = _Reader(schema).shape(schema)
        written["properties"] = shape.properties
        if shape.required:
            written["required"] = list(shape.required)
    return written


@attrs.frozen
class _Shape:
    """What is said of an object."""

    properties: Mapping[str, Any]
    required: Sequence[str] = ()


class _Reader:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._left = _MOST_COPIED

    def shape(self, given: Mapping[str, Any], depth: int = 0) -> _Shape:
        """What this schema says of an object, with all that it is made of."""
        node = self._resolved(given)
        if depth > _MOST_NESTED:
            return _Shape({})
        parts = [_own(node), *self._parts(node, depth + 1)]
        return _Shape(_joined(parts, _both), _of_any(parts))

    def _parts(self, node: Mapping[str, Any], depth: int) -> Iterator[_Shape]:
        yield from (self._shape_of(part, depth) for part in _listed(node, _ALL))
        for name in _EITHER:
            branches = [self._shape_of(branch, depth) for branch in _listed(node, name) if _may_be_object(branch)]
            if branches:
                yield _Shape(_joined(branches, _either), _of_each(branches))

    def _shape_of(self, part: Any, depth: int) -> _Shape:
        return self.shape(part, depth) if isinstance(part, Mapping) else _Shape({})

    def _resolved(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        """The schema with what its reference leads to; what stands beside the reference wins."""
        way: set[str] = set()
        while isinstance(reference := node.get("$ref"), str):
            found = referred(reference, self._root)
            beside = {name: value for name, value in node.items() if name != "$ref"}
            if reference in way or not isinstance(found, Mapping) or not self._affords(found):
                return beside
            way.add(reference)
            node = {**found, **beside}
        return node

    def _affords(self, found: Mapping[str, Any]) -> bool:
        if self._left > 0:
            self._left -= len(dumps(found))
        return self._left > 0


def _may_be_object(branch: Any) -> bool:
    kind = branch.get("type", "object") if isinstance(branch, Mapping) else "object"
    return kind == "object" or (isinstance(kind, list) and "object" in kind)


def _listed(node: Mapping[str, Any], name: str) -> list[Any]:
    value = node.get(name)
    return value if isinstance(value, list) else []


def _own(node: Mapping[str, Any]) -> _Shape:
    found = node.get("properties")
    required = [name for name in _listed(node, "required") if isinstance(name, str)]
    return _Shape(found if isinstance(found, Mapping) else {}, required)


def _of_each(shapes: Sequence[_Shape]) -> list[str]:
    """What every one of them requires."""
    first, *others = shapes
    common = set(first.required).intersection(*(shape.required for shape in others))
    return [name for name in first.required if name in common]


def _of_any(shapes: Sequence[_Shape]) -> list[str]:
    """What one or the other of them requires."""
    return list(dict.fromkeys(name for shape in shapes for name in shape.required))


def _joined(shapes: Iterable[_Shape], join: Callable[[list[Any]], Any]) -> JsonObject:
    """The properties of all of them; of what several say of one, what ``join`` makes."""
    said: dict[str, list[Any]] = {}
    for shape in shapes:
        for name, value in shape.properties.items():
            said.setdefault(name, []).append(value)
    return {name: _one(values, join) for name, values in said.items()}


def _one(values: list[Any], join: Callable[[list[Any]], Any]) -> Any:
    distinct = _distinct(values) if len(values) > 1 else values
    return distinct[0] if len(distinct) == 1 else join(distinct)


def _distinct(values: Iterable[Any]) -> list[Any]:
    return list({dumps(value): value for value in values}.values())


def _both(values: list[Any]) -> JsonObject:
    return {"allOf": values}


def _either(values: list[Any]) -> JsonObject:
    """Single words become one list of words, as the discriminators of a union are; anything else alternatives."""
    words = [_words(value) for value in values]
    if not all(words):
        return {"anyOf": values}
    first, *others = values
    common = {
        name: said
        for name, said in first.items()
        if name not in ("const", "enum") and all(name in other and other[name] == said for other in others)
    }
    return {**common, "enum": _distinct(word for several in words for word in several)}


def _words(value: Any) -> list[Any]:
    """The values that a property may have, where they are listed."""
    if not isinstance(value, Mapping):
        return []
    return [value["const"]] if "const" in value else _listed(value, "enum")
