"""The words of a schema: which there are, how the Gemini API spells them, and maps of properties that lack them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aigateway_antigravity.hints import TOLD
from aigateway_core.plugin import JsonObject

ALTERNATIVES = ("anyOf", "oneOf")
CONDITIONALS = ("if", "then", "else")
DEFINITIONS = ("$defs", "definitions", "defs")

_SHAPING = ("type", "$ref", "enum", "const", "properties", "items", "prefixItems", "allOf", *ALTERNATIVES)
"""A schema has one of these, or it says nothing about a value's shape."""

_KNOWN = frozenset(
    {
        *(*_SHAPING, *TOLD, *CONDITIONALS, *DEFINITIONS),
        *("title", "description", "nullable", "required", "additionalProperties", "propertyOrdering", "not"),
        *("patternProperties", "propertyNames", "dependentSchemas", "dependentRequired", "dependencies", "contains"),
        *(
            "additionalItems",
            "unevaluatedProperties",
            "unevaluatedItems",
            "minContains",
            "maxContains",
            "contentSchema",
        ),
        *("discriminator", "externalDocs", "xml", "example", "enumDescriptions", "enumTitles"),
    }
)
_HUMP = re.compile(r"(?<=[a-z0-9])[A-Z]")
_CAMEL = {_HUMP.sub(lambda letter: "_" + letter[0].lower(), name): name for name in _KNOWN}


def spelled(schema: Any) -> JsonObject:
    """The keywords of ``schema`` in camel case, as the Gemini API's snake case is not JSON Schema's; not those inside.

    Anything but an object says nothing: ``true`` allows what it likes to.
    """
    if not isinstance(schema, Mapping):
        return {}
    node = {_CAMEL.get(str(name), str(name)): value for name, value in schema.items()}
    reference = node.get("ref")
    if type(reference) is str and reference.startswith("#"):
        node.setdefault("$ref", node.pop("ref"))
    return _wrapped(node)


def _wrapped(node: JsonObject) -> JsonObject:
    """A map of properties that forgot to say so, as the object that it means."""
    if any(name in node for name in _SHAPING[1:]) or node.get("type", "object") not in ("object", "OBJECT"):
        return node
    properties = {name: value for name, value in node.items() if _is_property(name, value)}
    if not properties:
        return node
    rest = {name: value for name, value in node.items() if name not in properties}
    return {**rest, "type": "object", "properties": properties}


def _is_property(name: str, value: Any) -> bool:
    if name in _KNOWN or name.startswith(("x-", "$")) or not isinstance(value, Mapping):
        return False
    return any(keyword in value for keyword in _SHAPING)
