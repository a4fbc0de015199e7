"""References within a schema, put in place of what refers; with a limit on what that adds.

References that refer to each other, each twice, double at every step: a few hundred characters would unfold to more
than a computer holds. What is copied is therefore counted, and where it is too much, a reference is named instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import attrs

from aigateway_antigravity.hints import hint, word
from aigateway_antigravity.keywords import ALTERNATIVES, DEFINITIONS, spelled
from aigateway_core.plugin import JsonObject

MOST_COPIED = 100_000
"""Characters, about, that references may add to one schema."""

_MOST_NESTED = 32
"""How many references may lie on the way to one schema."""

_LISTS = ("allOf", *ALTERNATIVES)
_SINGLE = ("then", "else", "additionalProperties")
_WHOLE = ("enum", "const", "not")
"""Keywords whose value is told as it is, however deep."""


@attrs.frozen
class Place:
    """A schema, the references on the way to it (``#`` is the root), and the schemas around it with definitions."""

    schema: Any
    references: tuple[str, ...] = ()
    scopes: tuple[Mapping[str, Any], ...] = ()

    @property
    def copied(self) -> bool:
        """Whether a reference led here, so that this schema may stand in other places too."""
        return self.references[-1:] not in ((), ("#",))


class References:
    """The references of one schema, which starts at ``root``."""

    def __init__(self, root: Mapping[str, Any], most: int = MOST_COPIED) -> None:
        self._root = root
        self._left = most
        self._targets: dict[int, tuple[Mapping[str, Any], JsonObject]] = {}

    def opened(self, place: Place) -> JsonObject:
        """The keywords of a schema and of what it refers to, where its own win; schemas in it are places again."""
        node, inside = self._followed(place)
        return _placed(node, inside)

    def _followed(self, place: Place) -> tuple[JsonObject, Place]:
        node = spelled(place.schema)
        references, scopes = place.references, _scopes(place.scopes, node)
        if place.copied and not self._afford(node):
            node = _outline(node)
        while type(reference := node.pop("$ref", None)) is str:
            target = self._target(reference, scopes)
            if target is None or not self._may_follow(reference, references, target):
                node = {**self._told(target or {}), **node}
                hint(node, f"See: {reference.rpartition('/')[2]}")
                break
            references, scopes = (*references, reference), _scopes(scopes, target)
            node = {**target, **node}
        return node, attrs.evolve(place, references=references, scopes=scopes)

    def _may_follow(self, reference: str, before: Sequence[str], target: JsonObject) -> bool:
        """Not back to where the way came from, not too far, and not where it would be too much."""
        return reference not in before and len(before) < _MOST_NESTED and self._afford(target)

    def _told(self, target: JsonObject) -> JsonObject:
        """A target that is not put in place, with its description as long as there is room."""
        outline, description = _outline(target), target.get("description")
        if type(description) is str and self._left > 0:
            self._left -= len(description)
            outline["description"] = description
        return outline

    def _afford(self, node: JsonObject) -> bool:
        if self._left > 0:
            self._left -= _weight(node)
            return True
        return False

    def _target(self, reference: str, scopes: Sequence[Mapping[str, Any]]) -> JsonObject | None:
        """What ``reference`` points to, seen from the root, or else from the nearest schema with definitions."""
        if reference[:1] != "#":
            return None
        for scope in (self._root, *reversed(scopes)):
            found = _pointed(scope, reference[1:])
            if isinstance(found, Mapping):
                return self._spelled(found)
            if found is True:
                return {}
        return None

    def _spelled(self, found: Mapping[str, Any]) -> JsonObject:
        """Kept for all that refer to it: a large target is not read again for each."""
        if id(found) not in self._targets:
            self._targets[id(found)] = (found, spelled(found))
        return self._targets[id(found)][1]


def _pointed(scope: Any, pointer: str) -> Any:
    """RFC 6901, as a fragment of an address."""
    if not pointer:
        return scope
    first, *steps = unquote(pointer).split("/")
    if first:
        return None
    for step in steps:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(scope, Mapping):
            scope = scope.get(name)
        elif isinstance(scope, list) and name.isdecimal() and len(name) < 9 and int(name) < len(scope):
            scope = scope[int(name)]
        else:
            return None
    return scope


def _scopes(scopes: tuple[Mapping[str, Any], ...], node: JsonObject) -> tuple[Mapping[str, Any], ...]:
    return (*scopes, node) if any(name in node for name in DEFINITIONS) else scopes


def _outline(node: JsonObject) -> JsonObject:
    outline: JsonObject = {name: node[name] for name in ("type", "nullable") if name in node}
    if "properties" in node:
        outline.setdefault("type", "object")
    return outline


def _placed(node: JsonObject, inside: Place) -> JsonObject:
    """``node`` with a place for each schema directly in it that counts; the items of an array are a list of them."""

    def place(schema: Any) -> Place:
        return attrs.evolve(inside, schema=schema)

    if isinstance(properties := node.pop("properties", None), Mapping):
        node["properties"] = {str(name): place(inner) for name, inner in properties.items()}
    for name in _LISTS:
        if name in node:
            given = node.pop(name)
            node[name] = [place(inner) for inner in given] if isinstance(given, list) else []
    for name in _SINGLE:
        if isinstance(node.get(name), Mapping):
            node[name] = place(node[name])
    if "items" in node or "prefixItems" in node:
        node["items"] = [place(inner) for inner in _items(node.pop("items", None), node.pop("prefixItems", None))]
    return node


def _items(items: Any, first_items: Any) -> Sequence[Any]:
    """What an array holds: of any place, or of the first, the second and so on."""
    if isinstance(items, Mapping):
        return [items]
    return next((given for given in (items, first_items) if isinstance(given, list) and given), [])


def _weight(node: JsonObject) -> int:
    return sum(len(name) + (len(word(value)) if name in _WHOLE else _length(value)) for name, value in node.items())


def _length(value: Any) -> int:
    """About how much of the output a keyword's value becomes by itself, without the schemas in it."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(len(str(name)) + 8 for name in value)
    return sum(len(item) if type(item) is str else 8 for item in value) if isinstance(value, list) else 8
