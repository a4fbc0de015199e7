"""Good bodies and streams with something wrong in them, for the laws about what must never happen."""

from __future__ import annotations

import copy
from collections.abc import Iterator
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
