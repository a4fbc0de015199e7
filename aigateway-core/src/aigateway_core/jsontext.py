"""JSON at the edge: bytes in, plain values out, with a reason when it is not good JSON.

orjson already refuses NaN, invalid UTF-8, a byte-order mark and lone surrogates; what it does not bound is depth.
"""

from __future__ import annotations

from typing import Any

import orjson

from aigateway_core.errors import ErrorKind, InvalidRequestError, UpstreamError
from aigateway_core.model import JsonObject

MAX_DEPTH = 64


def loads_object(body: bytes) -> JsonObject:
    """The JSON object that ``body`` spells.

    Raises :class:`InvalidRequestError` for anything else: no JSON, another type at the root, or nested deeper than
    :data:`MAX_DEPTH`.
    """
    if not body.strip():
        raise InvalidRequestError("the request body is empty; send a JSON object")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(
            f"the request body is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        ) from None
    if not isinstance(value, dict):
        raise InvalidRequestError(f"the request body must be a JSON object, not {_TYPES.get(type(value), 'a scalar')}")
    if _too_deep(body, value):
        raise InvalidRequestError(f"the request body is nested too deep: at most {MAX_DEPTH} levels")
    return value


def loads_upstream(body: bytes) -> JsonObject:
    """The JSON object that an upstream answered with, to :data:`MAX_DEPTH` levels: orjson reads more than it writes.

    Raises :class:`UpstreamError` (kind ``protocol``) for anything else.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise UpstreamError(ErrorKind.PROTOCOL, "the upstream's answer is not a JSON object")
    if _too_deep(body, value):
        raise UpstreamError(ErrorKind.PROTOCOL, f"the upstream's answer is nested deeper than {MAX_DEPTH} levels")
    return value


def dumps(value: Any) -> bytes:
    """Compact JSON."""
    return orjson.dumps(value)


_TYPES: dict[type, str] = {
    list: "an array",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}


def _too_deep(body: bytes, value: Any) -> bool:
    # Each level needs an opening bracket, so few brackets mean little depth and the walk can be spared.
    return body.count(b"{") + body.count(b"[") > MAX_DEPTH and _deeper_than(value, MAX_DEPTH)


def _deeper_than(value: Any, limit: int) -> bool:
    level: list[Any] = [value]
    for _ in range(limit):
        level = [
            child
            for node in level
            for child in (node.values() if type(node) is dict else node)
            if type(child) in (dict, list)
        ]
        if not level:
            return False
    return True
