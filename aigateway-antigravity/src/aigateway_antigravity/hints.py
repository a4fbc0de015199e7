"""What a schema says that the wire has no field for, told in the description, where the model still reads it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from aigateway_core.plugin import JsonObject

TOLD = (
    *("minLength", "maxLength", "exclusiveMinimum", "exclusiveMaximum", "pattern", "minItems", "maxItems"),
    *("uniqueItems", "format", "default", "examples", "minimum", "maximum", "multipleOf"),
    *("minProperties", "maxProperties"),
)
"""Keywords that are told with their value, in this order."""

_LONGEST = 1000
"""Characters; what takes more words is not worth them."""

_NAMED_BESIDE_ENUM = 10
_NAMED_INSTEAD = 100
"""How many allowed values are named: beside the ``enum`` that has them too, and where nothing else has them."""


def hint(node: JsonObject, *hints: str) -> None:
    """Append each hint to the description in parentheses; one that stands there already is not repeated."""
    text = node.get("description")
    text = text if type(text) is str else ""
    for words in hints:
        if not text:
            text = words
        elif not _says(text, words):
            text = f"{text} ({words})"
    if text:
        node["description"] = text


def _says(text: str, words: str) -> bool:
    return text == words or f"({words})" in text or text.startswith(f"{words} (")


def limits(node: Mapping[str, Any]) -> Iterator[str]:
    """The limits and wishes of ``node`` in words; what is no plain value is left out."""
    for name in TOLD:
        if (
            name in node
            and not isinstance(value := node[name], (list, Mapping))
            and len(words := word(value)) < _LONGEST
        ):
            yield f"{name}: {words}"
    if "not" in node and len(words := word(node["not"])) < _LONGEST:
        yield f"not: {words}"


def allowed(words: list[str], *, listed: bool) -> Iterable[str]:
    """The allowed values in words; ``listed`` when an ``enum`` lists them as well."""
    if not words or len(words) > (_NAMED_BESIDE_ENUM if listed else _NAMED_INSTEAD):
        return ()
    text = ", ".join(words)
    return (f"Allowed: {text}",) if len(text) < _LONGEST else ()


def word(value: Any) -> str:
    """A string as it is, anything else as JSON, every digit of it."""
    if type(value) is str and value:
        return value
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except (RecursionError, ValueError):
        return "…"
