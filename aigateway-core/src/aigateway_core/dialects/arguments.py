"""The arguments of a tool call: JSON text in the canonical form, an object on some wires."""

from __future__ import annotations

import orjson

from aigateway_core.errors import InvalidRequestError
from aigateway_core.jsontext import loads_object
from aigateway_core.model import JsonObject


def parse_arguments(text: str) -> JsonObject | None:
    """The object that ``text`` spells; None when it spells none because it is broken, or nested too deep.

    No text at all, and JSON that is not an object, stand for a call without arguments (case 56). Broken text is never
    mended: a call that was cut off must not be run as if it were whole (reliability, U-19).
    """
    content = text.encode("utf-8", "replace")
    if not content.strip():
        return {}
    try:
        return loads_object(content)
    except InvalidRequestError:
        return None if _is_broken(content) else {}


def _is_broken(content: bytes) -> bool:
    """Whether this is no JSON, or an object that was refused for its depth."""
    try:
        return isinstance(orjson.loads(content), dict)
    except orjson.JSONDecodeError:
        return True
