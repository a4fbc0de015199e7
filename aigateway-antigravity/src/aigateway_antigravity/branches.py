"""Schemas made of schemas, as one: all of them, one of several, and what holds under a condition.

The wire knows none of these. What all have to say is taken together; of alternatives the one that says most stands for
all; what only a condition asks for may be given and need not be.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from aigateway_antigravity.hints import hint
from aigateway_antigravity.keywords import ALTERNATIVES, CONDITIONALS
from aigateway_antigravity.refs import Place, References
from aigateway_core.plugin import JsonObject

_MOST_ROUNDS = 16
"""How many alternatives in alternatives are looked into."""

_TYPES = ("string", "number", "integer", "boolean", "array", "object")


def whole(place: Place, references: References) -> JsonObject:
    """The schema with all that it is made of, but for alternatives; where they differ, its own words win."""
    node = references.opened(place)
    needed = names(node.get("required"))
    pending = deque(_parts(node, binding=True))
    while pending:
        part_place, binding = pending.popleft()
        part = references.opened(part_place)
        pending.extend(_parts(part, binding=binding))
        _take_properties(node, part)
        if binding:
            needed += names(part.pop("required", None))
            for name, value in part.items():
                node.setdefault(name, value)
    return {**node, "required": needed} if needed else node


def _parts(node: JsonObject, *, binding: bool) -> Iterator[tuple[Place, bool]]:
    """What ``node`` is made of, and whether it always holds."""
    node.pop("if", None)
    parts = [(part, binding) for part in node.pop("allOf", ())]
    return iter(parts + [(node.pop(name), False) for name in CONDITIONALS[1:] if isinstance(node.get(name), Place)])


def _take_properties(node: JsonObject, part: JsonObject) -> None:
    """The properties that ``node`` does not have itself."""
    if "properties" in part:
        own = node.setdefault("properties", {})
        for name, place in part["properties"].items():
            own.setdefault(name, place)


def names(required: Any) -> list[str]:
    """The names that are required; where it is no list of them, none."""
    return [name for name in required if type(name) is str] if isinstance(required, list) else []


def alternatives(node: JsonObject, references: References) -> list[JsonObject]:
    """The alternatives taken out of ``node``, each whole."""
    return [whole(place, references) for name in ALTERNATIVES for place in node.pop(name, ())]


def single(place: Place, references: References) -> JsonObject:
    """The whole schema, where one alternative stands for all."""
    node = whole(place, references)
    for _ in range(_MOST_ROUNDS):
        if not (branches := alternatives(node, references)):
            break
        node = _chosen(node, branches)
    return {name: value for name, value in node.items() if name not in ALTERNATIVES}


def _chosen(node: JsonObject, branches: Sequence[JsonObject]) -> JsonObject:
    kept = [branch for branch in branches if not is_null(branch)]
    if len(kept) < len(branches):
        node["nullable"] = True
    if not kept:
        return node
    if len(kept) > 1 and all(_values(branch) for branch in kept):
        values = [value for branch in kept for value in _values(branch)]
        return {**_merged(node, {"type": _common_type(kept)}), "enum": values}
    merged = _merged(node, max(kept, key=_rank))
    types = list(dict.fromkeys(kind for branch in kept for kind in kinds(branch)))
    if len(types) > 1:
        hint(merged, accepts(types))
    return merged


def _merged(node: JsonObject, branch: JsonObject) -> JsonObject:
    merged = {**branch, **node}
    own, other = node.get("description"), branch.get("description")
    if type(own) is str and type(other) is str:
        merged["description"] = own
        hint(merged, other)
    if "properties" in branch:
        merged["properties"] = {**branch["properties"], **node.get("properties", {})}
        merged["required"] = [*names(node.get("required")), *names(branch.get("required"))]
    elif "required" in branch and "required" not in node:
        # That one of several sets of names is needed cannot be said, and none of them is needed always.
        del merged["required"]
    return merged


def is_null(branch: JsonObject) -> bool:
    """Whether this alternative is null and nothing else."""
    kind = branch.get("type")
    return (type(kind) is str and kind.lower() == "null") or _values(branch) == [None]


def _values(branch: JsonObject) -> list[Any]:
    """The only values of a schema that names them all."""
    values = [branch["const"]] if "const" in branch else branch.get("enum")
    return values if isinstance(values, list) else []


def _common_type(branches: Sequence[JsonObject]) -> str | None:
    types = {tuple(kinds(branch)) for branch in branches}
    common = types.pop()
    return common[0] if not types and len(common) == 1 else None


def _rank(branch: JsonObject) -> int:
    types = kinds(branch)
    return 3 if "object" in types else 2 if "array" in types else 1 if types else 0


def kinds(node: JsonObject) -> list[str]:
    """The types that a schema allows, but for null, in the words of JSON Schema; none where it does not say."""
    given = node.get("type")
    words = [word.lower() for word in (given if isinstance(given, list) else [given]) if type(word) is str]
    types = [word for word in words if word in _TYPES]
    return list(dict.fromkeys(types)) or _implied(node)


def _implied(node: JsonObject) -> list[str]:
    if "properties" in node:
        return ["object"]
    if "items" in node:
        return ["array"]
    return list(dict.fromkeys(_type_of(value) for value in _values(node) if value is not None))


def _type_of(value: Any) -> str:
    for kind, python in (("string", str), ("boolean", bool), ("integer", int), ("number", float), ("array", list)):
        if type(value) is python:
            return kind
    return "object"


def accepts(types: Sequence[str]) -> str:
    """The types of which the wire can say one."""
    return "Accepts: " + " | ".join(types)
