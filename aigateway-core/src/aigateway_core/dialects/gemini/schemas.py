"""Schemas as this API's clients write them, made into plain JSON Schema.

They write types in upper case, also where JSON Schema is asked for (case 140), spell ``nullable`` and
``propertyOrdering``, and, since ``Schema`` is a protocol buffer, numbers as strings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aigateway_core.dialects.gemini.keys import spellings
from aigateway_core.model import JsonObject

MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "defs")
"""Keywords whose value has names for keys, and a schema for each."""

LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
"""Keywords whose value is an array of schemas."""

NODES = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")
"""Keywords whose value is a schema, or no object at all."""

_TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object", "null"})
_COUNTS = frozenset({"minItems", "maxItems", "minProperties", "maxProperties", "minLength", "maxLength"})
_CAMEL = {
    snake_name: name
    for name in (*_COUNTS, "anyOf", "additionalProperties", "propertyOrdering")
    for snake_name in spellings(name)
}


def each_schema(schema: Mapping[str, Any], change: Callable[[Any], Any]) -> JsonObject:
    """``schema`` with ``change`` applied to every schema directly inside it; names and data stay as they are."""
    changed: JsonObject = {}
    for name, value in schema.items():
        if name in MAPS and isinstance(value, Mapping):
            changed[name] = {key: change(inner) for key, inner in value.items()}
        elif name in NODES or name in LISTS:
            changed[name] = [change(inner) for inner in value] if isinstance(value, list) else change(value)
        else:
            changed[name] = value
    return changed


def json_schema(schema: Any) -> Any:
    """``schema`` in the words of JSON Schema; anything but an object stays as it is."""
    if not isinstance(schema, Mapping):
        return schema
    plain: JsonObject = {_CAMEL.get(str(name), str(name)): value for name, value in schema.items()}
    plain.pop("propertyOrdering", None)
    nullable = plain.pop("nullable", None)
    if "type" in plain and (kind := _plain_type(plain.pop("type"))) is not None:
        plain = {"type": [kind, "null"] if nullable is True and type(kind) is str else kind, **plain}
    if nullable is True:
        plain = _with_null(plain)
    for name in _COUNTS & plain.keys():
        plain[name] = _number(plain[name])
    return each_schema(plain, json_schema)


def _with_null(schema: JsonObject) -> JsonObject:
    """The words and the alternatives with null among them: JSON Schema holds a value to all that it says."""
    for name, null in (("enum", None), ("anyOf", {"type": "null"})):
        listed = schema.get(name)
        if isinstance(listed, list) and null not in listed and not any(map(_is_null, listed)):
            schema = {**schema, name: [*listed, null]}
    return schema


def _is_null(schema: Any) -> bool:
    return isinstance(schema, Mapping) and str(schema.get("type")).lower() == "null"


def _plain_type(value: Any) -> Any:
    """The type in lower case; None for the word that says that there is none."""
    if isinstance(value, list):
        return [_plain_type(item) for item in value]
    if type(value) is not str or value.lower() in _TYPES:
        return value.lower() if type(value) is str else value
    return None if value.upper() == "TYPE_UNSPECIFIED" else value


def _number(value: Any) -> Any:
    return int(value) if type(value) is str and value.isascii() and value.isdigit() and len(value) < 19 else value
