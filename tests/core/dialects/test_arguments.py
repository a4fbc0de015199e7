"""The arguments of a tool call, whole and while they arrive."""

from __future__ import annotations

import json

from core.dialects.damage import JSON
from hypothesis import example, given
from hypothesis import strategies as st

from aigateway_core.dialects.arguments import GrowingArguments, parse_arguments
from aigateway_core.jsontext import MAX_DEPTH

OBJECTS = st.dictionaries(st.text('ab{}"\\\n\U0001f600', max_size=4), JSON | st.text('{}"\\', max_size=5), max_size=3)
SPACE = st.sampled_from(["", " ", "\n\t"])
TEXTS = st.builds("{}{}{}".format, SPACE, OBJECTS.map(json.dumps), SPACE)
ODD = st.text('{}[]":\\a1, ', max_size=12)


def grown(text: str, size: int) -> GrowingArguments:
    arguments = GrowingArguments()
    for start in range(0, len(text), size):
        arguments.add(text[start : start + size])
        arguments.add("")
    return arguments


def spells_an_object(text: str) -> bool:
    return text.strip().startswith("{") and parse_arguments(text) is not None


@given(TEXTS | ODD | st.builds("{}{}".format, TEXTS, ODD), st.integers(1, 9))
@example('{"a":"\\"}"}', 1)
@example('{"a":"\\\\"}', 6)
@example("{}{}", 1)
@example('[{"a":1}]', 9)
@example("}{", 1)
def test_growing_arguments_are_complete_where_they_spell_an_object(text: str, size: int) -> None:
    arguments = grown(text, size)
    assert arguments.text == text
    assert arguments.complete is spells_an_object(text)
    assert arguments.broken is (parse_arguments(text) is None)


@given(TEXTS, st.data())
def test_growing_arguments_are_not_complete_before_their_last_brace(text: str, data: st.DataObject) -> None:
    kept = data.draw(st.integers(0, text.rindex("}")))
    assert not grown(text[:kept], data.draw(st.integers(1, 9))).complete


def test_arguments_that_are_nested_too_deep_are_broken_ones() -> None:
    def nested(levels: int) -> str:
        return '{"a":' * levels + "1" + "}" * levels

    assert parse_arguments(nested(MAX_DEPTH)) == json.loads(nested(MAX_DEPTH))
    assert parse_arguments(nested(MAX_DEPTH + 1)) is None
