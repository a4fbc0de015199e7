"""JSON Schema as the classic ``Schema`` message, a subset of OpenAPI's: every keyword that it lacks is a 400.

References are put in place, alternatives and conditions become what they have in common with the message, and limits
that have no field of their own are told in the description. Writing what was written changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aigateway_core.jsontext import MAX_DEPTH, dumps
from aigateway_core.model import JsonObject

_HINTED = (
    *("minLength", "maxLength", "exclusiveMinimum", "exclusiveMaximum", "pattern", "minItems", "maxItems"),
    *("uniqueItems", "format", "default", "minimum", "maximum", "multipleOf", "minProperties", "maxProperties"),
)
"""Keywords that are told in the description where the message has no field for them."""

_TEXTS = ("description", "title", "pattern")
_FORMATS: dict[str, frozenset[str]] = {
    "string": frozenset({"enum", "date-time"}),
    "integer": frozenset({"int32", "int64"}),
    "number": frozenset({"float", "double"}),
}
_TYPES = ("string", "number", "integer", "boolean", "array", "object")
_ALTERNATIVES = ("anyOf", "oneOf")
_CONDITIONS = ("if", "then", "else")
_MOST_NESTED = 8
"""How deep ``allOf`` may stand in ``allOf``, which may be itself."""

_MOST_SIZE = 4000
"""How many schemas one may unfold to: references that refer to each other grow without end."""

_MOST_COPIED = 100_000
"""How many characters, about, references may add to one schema: many that refer to one long text repeat it."""

_MOST_REFERENCES = 32
"""How many references may lie on the way to one schema."""


def classic_schema(schema: Mapping[str, Any], keywords: frozenset[str]) -> JsonObject:
    """``schema`` as a message that has the fields ``keywords``."""
    writer = _Writer(schema, keywords)
    written = writer.write(schema, ())
    return written or {"type": "OBJECT", "properties": {}}


class _Writer:
    def __init__(self, root: Mapping[str, Any], keywords: frozenset[str]) -> None:
        self._root = root
        self._keywords = keywords
        self._size = 0
        self._left = _MOST_COPIED

    def write(self, schema: Any, seen: tuple[str, ...], depth: int = 0) -> JsonObject:
        """One schema; ``seen`` are the references on the way to it."""
        self._size += 1
        if not isinstance(schema, Mapping) or depth > MAX_DEPTH or self._size > _MOST_SIZE:
            return {"type": "STRING"}
        if seen and not self._affords(schema):
            return {"type": "STRING"}
        node, seen = self._resolved(dict(schema), seen)
        node = _typed(_merged(_without_constant(node), self))
        branches = _branches(node)
        if "anyOf" not in self._keywords or len(branches) < 2:
            node = _typed(_chosen(node, branches) if branches else node)
            branches = []
        return self._written(node, branches, seen, depth)

    def _written(self, node: JsonObject, branches: list[Any], seen: tuple[str, ...], depth: int) -> JsonObject:
        kind = node.get("type")
        written: JsonObject = {} if kind is None else {"type": str(kind).upper()}
        _hint(node, self._lost(node))
        written |= {
            name: node[name]
            for name in ("description", "title", "nullable", *_HINTED)
            if name in node and name in self._keywords and _fits(name, node[name], kind)
        }
        if "enum" in self._keywords and (words := _words(node)):
            written["enum"] = words
        if branches:
            written["anyOf"] = [self.write(branch, seen, depth + 1) for branch in branches]
        if kind == "array":
            written["items"] = self.write(_first(node.get("items")), seen, depth + 1)
        if isinstance(properties := node.get("properties"), Mapping):
            written |= self._object(properties, node.get("required"), seen, depth)
        return written

    def _object(self, properties: Mapping[str, Any], required: Any, seen: tuple[str, ...], depth: int) -> JsonObject:
        kept = {name: inner for name, inner in properties.items() if isinstance(inner, Mapping)}
        needed = [name for name in required if type(name) is str] if isinstance(required, list) else []
        # Some write "required": true inside a property.
        needed += [name for name, inner in kept.items() if inner.get("required") is True]
        names = [name for name in dict.fromkeys(needed) if name in kept]
        written: JsonObject = {"properties": {name: self.write(kept[name], seen, depth + 1) for name in kept}}
        return written | {"required": names} if names else written

    def _lost(self, node: JsonObject) -> Iterable[str]:
        """What the message has no field for, in words."""
        kind = node.get("type")
        for name in _HINTED:
            value = node.get(name)
            lost = name not in self._keywords or not _fits(name, value, kind)
            if value is not None and lost and not isinstance(value, (list, dict)):
                yield f"{name}: {value if type(value) is str else dumps(value).decode()}"
        values = node.get("enum")
        if isinstance(values, list) and values and ("enum" not in self._keywords or not _words(node)):
            yield "Allowed: " + ", ".join(_word(value) for value in values)

    def _resolved(self, node: JsonObject, seen: tuple[str, ...]) -> tuple[JsonObject, tuple[str, ...]]:
        """The schema with what its reference points to; what stands beside the reference wins."""
        while type(reference := node.pop("$ref", None)) is str:
            target = self._target(reference)
            if target is None or not self._follows(reference, seen, target):
                node = {**self._outlined(target or {}), **node}
                _hint(node, [f"See: {reference.rpartition('/')[2]}"])
                break
            seen = (*seen, reference)
            node = {**target, **node}
        return node, seen

    def _follows(self, reference: str, seen: tuple[str, ...], target: Mapping[str, Any]) -> bool:
        return reference not in seen and len(seen) < _MOST_REFERENCES and self._affords(target)

    def _outlined(self, target: Mapping[str, Any]) -> JsonObject:
        """A target that is not put in place."""
        outline = {name: target[name] for name in ("type", "description") if name in target}
        if not self._affords(outline):
            outline.pop("description", None)
        return outline

    def _affords(self, node: Mapping[str, Any]) -> bool:
        """Whether ``node`` may be copied once more; if so, it counts."""
        if self._left > 0:
            self._left -= sum(len(name) + _length(name, value) for name, value in node.items())
            return True
        return False

    def _target(self, reference: str) -> Mapping[str, Any] | None:
        if not reference.startswith("#/"):
            return None
        found: Any = self._root
        for step in reference[2:].split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, Mapping) else None
        return found if isinstance(found, Mapping) else None

    def target_of(self, node: Any) -> Any:
        """``node`` itself, or, for one that refers to another, what both say."""
        return self._resolved(dict(node), ())[0] if isinstance(node, Mapping) else {}


def _length(name: str, value: Any) -> int:
    """About how long a keyword's value is by itself, without the schemas in it."""
    if name in ("enum", "const"):
        return len(dumps(value))
    if isinstance(value, (Mapping, list)):
        return sum(8 + (len(item) if type(item) is str else 0) for item in value)
    return len(value) if type(value) is str else 8


def _hint(node: JsonObject, hints: Iterable[str]) -> None:
    """Append to the description what is not in it yet."""
    text = node.get("description")
    text = text if type(text) is str else ""
    for hint in hints:
        if hint not in text:
            text = f"{text} ({hint})" if text else hint
    if text:
        node["description"] = text


def _without_constant(node: JsonObject) -> JsonObject:
    if "const" in node:
        constant = node.pop("const")
        node.setdefault("enum", [constant])
    return node


def _merged(node: JsonObject, writer: _Writer) -> JsonObject:
    """``allOf`` and conditions taken into the schema that they belong to, which wins over them."""
    for _ in range(_MOST_NESTED):
        parts = [(node.pop(name), False) for name in _CONDITIONS[1:] if name in node]
        every = node.pop("allOf", None)
        parts = [(part, True) for part in (every if isinstance(every, list) else [])] + parts
        for part, binding in parts:
            _take_in(node, writer.target_of(part), binding=binding)
    return node


def _take_in(node: JsonObject, part: JsonObject, *, binding: bool) -> None:
    if isinstance(properties := part.get("properties"), Mapping):
        own = node.get("properties")
        node["properties"] = {**properties, **own} if isinstance(own, Mapping) else dict(properties)
    if not binding:
        return
    if isinstance(needed := part.get("required"), list):
        own = node.get("required")
        node["required"] = [*own, *needed] if isinstance(own, list) else needed
    for name, value in part.items():
        if name not in ("properties", "required", *_CONDITIONS):
            node.setdefault(name, value)


def _branches(node: JsonObject) -> list[Any]:
    """The alternatives but for the one that is null, which makes the schema nullable."""
    given = [node.pop(name) for name in _ALTERNATIVES if name in node]
    branches = [branch for several in given if isinstance(several, list) for branch in several]
    kept = [
        branch for branch in branches if not (isinstance(branch, Mapping) and branch.get("type") in ("null", "NULL"))
    ]
    if len(kept) < len(branches):
        node["nullable"] = True
    return kept


def _chosen(node: JsonObject, branches: list[Any]) -> JsonObject:
    """The schema with its best alternative: objects before arrays before other types."""
    best = max(branches, key=_rank)
    if not isinstance(best, Mapping):
        return node
    own, other = node.get("description"), best.get("description")
    merged = {**best, **node}
    if type(own) is str and type(other) is str and other != own:
        merged["description"] = f"{own} ({other})"
    kinds = dict.fromkeys(
        str(branch["type"]) for branch in branches if isinstance(branch, Mapping) and "type" in branch
    )
    if len(kinds) > 1:
        _hint(merged, ["Accepts: " + " | ".join(kinds)])
    return merged


def _rank(branch: Any) -> int:
    if not isinstance(branch, Mapping):
        return -1
    if branch.get("type") == "object" or "properties" in branch:
        return 3
    if branch.get("type") == "array" or "items" in branch:
        return 2
    return 1 if "type" in branch else 0


def _typed(node: JsonObject) -> JsonObject:
    """One type, in lower case: of several the first, with a hint; ``null`` among them makes the schema nullable."""
    given = node.pop("type", None)
    words = [word.lower() for word in (given if isinstance(given, list) else [given]) if type(word) is str]
    kinds = [word for word in words if word in _TYPES]
    if "null" in words and len(words) > 1:
        node["nullable"] = True
    if len(kinds) > 1:
        _hint(node, ["Accepts: " + " | ".join(kinds)])
    if kinds:
        node["type"] = kinds[0]
    elif words or not any(name in node for name in _ALTERNATIVES):
        node["type"] = _guessed(node)
    return node


def _guessed(node: JsonObject) -> str:
    if "properties" in node:
        return "object"
    return "array" if "items" in node else "string"


def _fits(name: str, value: Any, kind: Any) -> bool:
    """Whether the message can hold this value of a keyword that it has."""
    if name == "format":
        return type(value) is str and value in _FORMATS.get(str(kind), ())
    if name in ("minimum", "maximum"):
        return type(value) in (int, float)
    if name in _TEXTS:
        return type(value) is str
    return type(value) is (bool if name == "nullable" else int)


def _words(node: JsonObject) -> list[str]:
    """The values that are allowed, which the message knows for strings alone."""
    values = node.get("enum")
    if not isinstance(values, list) or node.get("type") != "string":
        return []
    return list(dict.fromkeys(_word(value) for value in values if value is not None and value != ""))


def _word(value: Any) -> str:
    return value if type(value) is str else dumps(value).decode()


def _first(items: Any) -> Any:
    """The schema of an array's items: of several the first, of none a string's."""
    if isinstance(items, list):
        items = items[0] if items else None
    return items if isinstance(items, Mapping) else {"type": "string"}
