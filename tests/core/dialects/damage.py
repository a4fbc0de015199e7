"""Good bodies and streams with something wrong in them, for the laws about what must never happen."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

_NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_WORDS = st.sampled_from(
    [
        *("text", "image", "document", "tool_use", "tool_result", "thinking", "system", "user", "assistant", "tool"),
        *(
            "function",
            "image_url",
            "file",
            "input_audio",
            "enabled",
            "adaptive",
            "json_schema",
            "url",
            "base64",
            "file_id",
        ),
        *(
            "data:,",
            "data:image/png;base64,",
            "length",
            "stop",
            "error",
            "message_stop",
            "content",
            "type",
            "id",
            "name",
        ),
        *("gw1..", "gw1.glm.!!!", "gw1.glm.eJyLVoqOBQACFAEH", '{"a":', "[1]", "null", " ", "\0", "x" * 100),
    ]
)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXT | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS | _TEXT, inner, max_size=3),
    max_leaves=6,
)
OBJECTS: st.SearchStrategy[dict[str, Any]] = st.dictionaries(_WORDS | _TEXT, JSON, max_size=5)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in ``value`` with each of its keys."""
    keys: Any = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])


@st.composite
def damaged(draw: st.DrawFn, whole: Any) -> Any:
    """``whole`` with a few of its values replaced, removed or doubled."""
    value = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(value))
        if not places:
            break
        holder, key = draw(st.sampled_from(places))
        match draw(st.sampled_from(["replace", "replace", "remove", "double"])):
            case "remove":
                del holder[key]
            case "double" if isinstance(holder, list):
                holder.insert(key, copy.deepcopy(holder[key]))
            case _:
                holder[key] = draw(JSON)
    return value


@st.composite
def spliced(draw: st.DrawFn, whole: Any, others: Sequence[Any]) -> Any:
    """``whole`` with values in the places of others: its own, or out of ``others``, which speak of the same thing."""
    value = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 4))):
        source = copy.deepcopy(draw(st.sampled_from([value, *others])))
        given, targets = list(_places(source)), list(_places(value))
        if not given or not targets:
            break
        (giver, from_key), (holder, key) = draw(st.sampled_from(given)), draw(st.sampled_from(targets))
        holder[key] = giver[from_key]
    return value


@st.composite
def swollen(draw: st.DrawFn, whole: Any) -> Any:
    """``whole`` with one of its values far larger than any client or vendor sends it: long, deep, or many."""
    value = copy.deepcopy(whole)
    holder, key = draw(st.sampled_from(list(_places(value))))
    match draw(st.sampled_from(["long", "deep", "many"])):
        case "long":
            holder[key] = draw(st.sampled_from(["x", " ", "\0", "é", '"', "\\", "{", "a.", "-"])) * 5000
        case "deep":
            for _ in range(draw(st.integers(1, 50))):
                holder[key] = draw(st.sampled_from([[holder[key]], {"x": holder[key]}, {"type": holder[key]}]))
        case "many":
            holder[key] = [copy.deepcopy(holder[key]) for _ in range(200)]
    return value


@st.composite
def garbled(draw: st.DrawFn, wire: bytes) -> bytes:
    """``wire`` as a bad line leaves it: bytes lost, doubled, changed or added, line ends of another kind."""
    value = bytearray(wire)
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(value)))
        end = min(len(value), start + draw(st.integers(0, 40)))
        match draw(st.sampled_from(["lose", "double", "change", "add", "cut", "turn"])):
            case "lose":
                del value[start:end]
            case "double":
                value[end:end] = value[start:end]
            case "change":
                value[start:end] = draw(st.binary(max_size=8))
            case "add":
                value[start:start] = draw(st.sampled_from(_NOISE))
            case "cut":
                del value[start:]
            case "turn":
                value[start:end] = value[start:end].replace(b"\n", draw(st.sampled_from([b"\r\n", b"\r", b""])))
    return bytes(value)


_NOISE = (
    *(b"\n", b"\n\n", b"\r", b"data:", b"data: [DONE]\n\n", b"event: error\n", b": comment\n\n", b"\0", b"\xff", b"{"),
    *(b"}", b"[", b'"', b"data: {}\n\n", b"data: null\n\n", b'data: {"error":"boom"}\n\n', b"\xef\xbb\xbf", b"id: 1\n"),
)
