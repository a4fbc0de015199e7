"""JSON at the edge: bytes in, plain values out, with a reason when it is not good JSON.

orjson already refuses NaN, invalid UTF-8, a byte-order mark and lone surrogates; what it does not bound is depth and
number, and of two equal keys it silently keeps the last.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import orjson

from aigateway_core.errors import ErrorKind, InvalidRequestError, UpstreamError
from aigateway_core.model import JsonObject

MAX_DEPTH = 64

MAX_KEYS = 50_000
"""How many keys all objects of a client's body may have together: what is looked at singly must not hold the loop."""

MAX_OBJECTS_IN_A_LIST = 5_000
"""How long a client's list may be that holds objects: messages, tools. Lists of texts and numbers are free of it."""

_SHORTEST_PAIR = 4
"""Bytes that a key and its value take at least, with what stands between and after them."""

_COUNTED_UP_TO = 4 << 10
"""Bytes of a text in which all brackets are counted: to look for one after the other takes longer."""

_NAMED_UP_TO = 1 << 20
"""Bytes of a body in which a key that is there twice is named: to find its name takes far longer than to miss it."""


def loads_object(body: bytes) -> JsonObject:
    """The JSON object that ``body`` spells.

    Raises :class:`InvalidRequestError` for anything else: no JSON, another type at the root, nested deeper than
    :data:`MAX_DEPTH`, more of it than :data:`MAX_KEYS` and its like allow, or a key that an object has twice, of which
    whoever stood before us may have read the other one.
    """
    value = _parsed(body)
    # No key is without a colon, and no ordinary body has so many outside of objects: it is not walked through.
    if _is_crowded(body) or (len(body) > _SHORTEST_PAIR * MAX_KEYS and body.count(b":") > MAX_KEYS):
        _refuse_masses(value)
    written = orjson.dumps(value)
    if written != body and _lost_a_key(body, written):
        raise InvalidRequestError(f"the request body gives {_repeated(body)} twice in one object; give it once")
    return value


def loads_arguments(body: bytes) -> JsonObject:
    """As :func:`loads_object`, for what a model wrote: of two equal keys the last one counts, and none are too many."""
    value = _parsed(body)
    if _is_crowded(body) and _deeper_than(value, MAX_DEPTH):
        raise _nested_too_deep()
    return value


def _parsed(body: bytes) -> JsonObject:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if not body.strip():
            raise InvalidRequestError("the request body is empty; send a JSON object") from None
        raise InvalidRequestError(
            f"the request body is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        ) from None
    if type(value) is not dict:
        raise InvalidRequestError(f"the request body must be a JSON object, not {_TYPES.get(type(value), 'a scalar')}")
    return value


def loads_upstream(body: bytes) -> JsonObject:
    """The JSON object that an upstream answered with, to :data:`MAX_DEPTH` levels: orjson reads more than it writes.

    Half a character is a U+FFFD: servers that stream token by token break an emoji in two. Raises
    :class:`UpstreamError` (kind ``protocol``) for anything else.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = _without_halves(body)
    if type(value) is not dict:
        raise UpstreamError(ErrorKind.PROTOCOL, "the upstream's answer is not a JSON object")
    if _is_crowded(body) and _deeper_than(value, MAX_DEPTH):
        raise UpstreamError(ErrorKind.PROTOCOL, f"the upstream's answer is nested deeper than {MAX_DEPTH} levels")
    return value


_HALF = re.compile(
    # An even number of backslashes before it, which spell themselves; then one half of a pair without the other.
    rb"(?<!\\)((?:\\\\)*)"
    rb"(?:\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2})"
)


_MOST_HALVES = 10_000
"""How many halves of characters an answer may have: to replace one takes a hundred times as long as to read it."""


def _without_halves(body: bytes) -> Any:
    """What ``body`` spells with U+FFFD for each lone surrogate; None where these are not what is wrong with it."""
    if b"\\ud" not in body and b"\\uD" not in body:
        return None
    try:
        return orjson.loads(_HALF.sub(rb"\1\\ufffd", body, count=_MOST_HALVES))
    except orjson.JSONDecodeError:
        return None


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


def _nested_too_deep() -> InvalidRequestError:
    return InvalidRequestError(f"the request body is nested too deep: at most {MAX_DEPTH} levels")


def _refuse_masses(value: JsonObject) -> None:
    keys = 0
    objects: list[JsonObject] = [value]
    lists: list[list[Any]] = []
    for _ in range(MAX_DEPTH):
        keys += sum(map(len, objects))
        if keys > MAX_KEYS:
            raise InvalidRequestError(f"the request body has too many keys: at most {MAX_KEYS} in all its objects")
        if max(map(len, lists), default=0) > MAX_OBJECTS_IN_A_LIST and any(map(_holds_too_many, lists)):
            most = MAX_OBJECTS_IN_A_LIST
            raise InvalidRequestError(
                f"the request body has a list that is too long: at most {most} objects in one list"
            )
        below = [*_below(map(dict.values, objects)), *_below(lists)]
        if not below:
            return
        objects = [node for node in below if type(node) is dict]
        lists = [node for node in below if type(node) is list]
    raise _nested_too_deep()


def _holds_too_many(items: list[Any]) -> bool:
    return sum(type(item) is dict for item in items) > MAX_OBJECTS_IN_A_LIST


_ESCAPED_COLON = re.compile(rb"(?<!\\)(?:\\\\)*\\u003[aA]")


def _lost_a_key(body: bytes, written: bytes) -> bool:
    # Written again, it has all the colons of ``body`` but those of what was overwritten: each key has one, and the
    # colons of texts stay. Both are counted at the speed of memory; to parse with a hook takes four times as long.
    colons = body.count(b":")
    if b"\\u003" in body:
        colons += len(_ESCAPED_COLON.findall(body))
    return colons != written.count(b":")


def _repeated(body: bytes) -> str:
    if len(body) > _NAMED_UP_TO:
        return "a key"
    found: list[str] = []

    def note(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                found.append(key)
            seen.add(key)

    json.loads(body, object_pairs_hook=note, parse_int=str, parse_float=str)
    return f"the key {json.dumps(found[0][:100])}"


def _is_crowded(body: bytes) -> bool:
    """Whether it has to be walked through: what has few brackets is neither deep nor full of objects."""
    few = MAX_DEPTH // 2
    if len(body) <= _COUNTED_UP_TO:
        return body.count(b"{") > few or body.count(b"[") > few
    # One by one, up to that many: to count them all in a long text takes longer than to parse it.
    for mark in (b"{", b"["):
        at = -1
        for _ in range(few + 1):
            at = body.find(mark, at + 1)
            if at < 0:
                break
        else:
            return True
    return False


def _deeper_than(value: Any, limit: int) -> bool:
    level: list[Any] = [value]
    for _ in range(limit):
        level = _below([node.values() if type(node) is dict else node for node in level])
        if not level:
            return False
    return True


_CONTAINERS = frozenset({dict, list})


def _below(level: Iterable[Iterable[Any]]) -> list[Any]:
    return [child for children in level for child in children if type(child) in _CONTAINERS]
