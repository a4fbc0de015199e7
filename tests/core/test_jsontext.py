"""JSON at the edge: what is no good JSON is refused with a reason, from clients and from upstreams."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigateway_core.errors import ErrorKind, InvalidRequestError, UpstreamError
from aigateway_core.jsontext import (
    MAX_DEPTH,
    MAX_KEYS,
    MAX_OBJECTS_IN_A_LIST,
    dumps,
    loads_arguments,
    loads_object,
    loads_upstream,
)
from aigateway_core.model import JsonObject

numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers
plain_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values = st.recursive(
    scalars | plain_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(plain_text, inner, max_size=4),
    max_leaves=20,
)
objects = st.dictionaries(plain_text, values, max_size=5)


def arrays(levels: int) -> bytes:
    """An object that is ``levels`` deep, of arrays."""
    return b'{"a":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


def nested_objects(levels: int) -> bytes:
    """An object that is ``levels`` deep, of objects."""
    return b'{"a":' * (levels - 1) + b"{}" + b"}" * (levels - 1)


def mixed(levels: int) -> bytes:
    """An object that is ``levels`` deep, of both in turn."""
    opening, closing = zip(*[(b"[", b"]") if level % 2 else (b'{"a":', b"}") for level in range(levels)], strict=True)
    return b"".join(opening) + b"1" + b"".join(reversed(closing))


@given(objects)
def test_an_object_is_read_back_as_it_was_written(value: JsonObject) -> None:
    assert loads_object(dumps(value)) == value
    assert loads_upstream(dumps(value)) == value


@given(objects)
def test_another_writer_means_the_same(value: JsonObject) -> None:
    assert loads_object(json.dumps(value, indent=1).encode()) == value


@given(st.binary(max_size=60))
def test_any_bytes_are_an_object_or_an_invalid_request(body: bytes) -> None:
    with suppress(InvalidRequestError):
        assert isinstance(loads_object(body), dict)


@given(st.binary(max_size=60))
def test_any_bytes_of_an_upstream_are_an_object_or_a_protocol_error(body: bytes) -> None:
    with suppress(UpstreamError):
        assert isinstance(loads_upstream(body), dict)


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"a"', b"null"])
def test_an_upstream_s_nonsense_is_held_against_nobody(body: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        loads_upstream(body)
    assert caught.value.kind is ErrorKind.PROTOCOL
    assert caught.value.scope == "request"


@pytest.mark.parametrize("body", [b"", b"  \r\n\t "])
def test_an_empty_body_is_named_as_such(body: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="empty"):
        loads_object(body)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"[]", "an array"),
        (b"1", "a number"),
        (b"1.5", "a number"),
        (b'"x"', "a string"),
        (b"null", "null"),
        (b"true", "a boolean"),
    ],
)
def test_i_04_another_root_than_an_object_is_named(body: bytes, kind: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"must be a JSON object, not {kind}"):
        loads_object(body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"a":NaN}', id="nan"),
        pytest.param(b'{"a":Infinity}', id="infinity"),
        pytest.param(b'{"a":1e400}', id="a_number_beyond_double"),
        pytest.param(b'{"a":' + b"9" * 4301 + b"}", id="an_integer_of_4301_digits"),
        pytest.param(b'{"a":"\xed\xa0\x80"}', id="a_surrogate_in_utf8"),
        pytest.param(b'{"a":"\xc0\xaf"}', id="overlong_utf8"),
        pytest.param(b'{"a":"\xff"}', id="no_utf8"),
        pytest.param(b'\xef\xbb\xbf{"a":1}', id="a_byte_order_mark"),
        pytest.param('{"a":1}'.encode("utf-16"), id="utf_16"),
        pytest.param(b'{"a":"\x00"}', id="a_raw_nul"),
        pytest.param(b'{"a":"\n"}', id="a_raw_line_end"),
        pytest.param(b'{"a":1,}', id="a_trailing_comma"),
        pytest.param(b"{'a':1}", id="single_quotes"),
        pytest.param(b'{"a":1} x', id="something_behind"),
        pytest.param(b'{"a":1', id="cut"),
        pytest.param(b"/* */{}", id="a_comment"),
    ],
)
def test_i_15_i_16_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="not valid JSON"):
        loads_object(body)
    with pytest.raises(UpstreamError):
        loads_upstream(body)


HALF = "\\ud83d"
REST = "\\ude00"


@pytest.mark.parametrize("body", [b'{"a":"\\ud800"}', b'{"\\udfff":1}'], ids=["in_a_value", "in_a_key"])
def test_a_lone_surrogate_of_a_client_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="not valid JSON"):
        loads_object(body)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (HALF, "\ufffd"),
        (REST, "\ufffd"),
        (f"a{HALF}b{REST}c", "a\ufffdb\ufffdc"),
        (HALF + HALF + REST + REST, "\ufffd😀\ufffd"),
        (REST + HALF, "\ufffd\ufffd"),
        (HALF.upper().replace("U", "u"), "\ufffd"),
        (rf"\\{HALF}", "\\\ufffd"),
        (rf"\\\{HALF}{HALF}", "\\\\ud83d\ufffd"),
    ],
)
def test_half_a_character_of_an_upstream_is_one_that_stands_for_it(written: str, text: str) -> None:
    assert loads_upstream(b'{"a":"%b"}' % written.encode()) == {"a": text}


@given(st.text(st.sampled_from("a\n😀\ufffe\ud83d\ud800\ude00\udfff"), max_size=12))
def test_an_upstream_may_break_any_character_in_two(text: str) -> None:
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert loads_upstream(json.dumps({"a": text}).encode()) == {"a": whole}


def test_an_answer_of_halves_is_no_answer() -> None:
    with pytest.raises(UpstreamError):
        loads_upstream(b'{"a":"' + HALF.encode() * 10_001 + b'"}')


def test_half_a_character_excuses_no_other_mistake() -> None:
    with pytest.raises(UpstreamError):
        loads_upstream(b'{"a":"\\ud800",}')


def test_the_place_of_the_mistake_is_named() -> None:
    with pytest.raises(InvalidRequestError, match=r"line 2, column 7"):
        loads_object(b'{"a": 1,\n "b": x}')


def test_text_of_the_whole_of_unicode_passes_unchanged() -> None:
    text = "é e\u0301 🎈 \u202e rtl \u200d \x00 \ufffe"
    assert loads_object(json.dumps({"a": text}).encode()) == {"a": text}


@pytest.mark.parametrize("nest", [arrays, nested_objects, mixed])
def test_the_deepest_allowed_body_passes(nest: object) -> None:
    assert callable(nest)
    loads_object(nest(MAX_DEPTH))
    loads_upstream(nest(MAX_DEPTH))


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, MAX_DEPTH + 2, 500, 1000, 100_000])
@pytest.mark.parametrize("nest", [arrays, nested_objects, mixed])
def test_i_12_a_body_one_level_deeper_is_refused(nest: object, levels: int) -> None:
    assert callable(nest)
    body = nest(levels)
    with pytest.raises(InvalidRequestError, match=r"too deep|not valid JSON"):
        loads_object(body)


@pytest.mark.parametrize("levels", [500, 1000, 100_000])
def test_an_upstream_s_body_that_could_not_be_written_again_is_refused(levels: int) -> None:
    with pytest.raises(UpstreamError) as caught:
        loads_upstream(arrays(levels))
    assert caught.value.kind is ErrorKind.PROTOCOL


def test_brackets_within_text_are_no_depth() -> None:
    body = json.dumps({"a": "[" * 5000 + "{" * 5000}).encode()
    assert loads_object(body)["a"].startswith("[[")


@pytest.mark.parametrize("nest", [arrays, nested_objects, mixed])
@pytest.mark.parametrize("length", [0, 100, 5_000, 100_000])
def test_a_long_text_beside_it_hides_no_depth(nest: Callable[[int], bytes], length: int) -> None:
    def beside(levels: int) -> bytes:
        return b'{"text": "' + b"x" * length + b'", "nested": ' + nest(levels - 1) + b"}"

    loads_object(beside(MAX_DEPTH))
    with pytest.raises(InvalidRequestError, match="too deep"):
        loads_object(beside(MAX_DEPTH + 1))
    with pytest.raises(UpstreamError, match="deeper"):
        loads_upstream(beside(MAX_DEPTH + 1))


def test_a_broad_body_is_not_a_deep_one() -> None:
    body = json.dumps({"a": [{"b": []}] * 5000}).encode()
    assert len(loads_object(body)["a"]) == 5000


awkward_text = st.lists(st.sampled_from([*':"\\{},[] au03A', "\\u003a", "é"]), max_size=8).map("".join)


def spelt_out(text: str) -> str:
    """A JSON string all of whose characters are escaped."""
    return '"' + "".join(f"\\u{ord(letter):04x}" for letter in text) + '"'


@st.composite
def spelt(draw: st.DrawFn, depth: int = 2) -> tuple[str, bool]:
    """JSON text of an object, blanks and escapes included, and whether an object in it has a key twice."""
    spell, blank = draw(st.sampled_from([json.dumps, spelt_out])), draw(st.sampled_from(["", " ", "\n "]))
    keys = draw(st.lists(awkward_text, max_size=4))
    members, repeats = [], len(set(keys)) < len(keys)
    for key in keys:
        if depth and draw(st.booleans()):
            value, inner = draw(spelt(depth - 1))
            repeats |= inner
        else:
            value = spell(draw(awkward_text))
        members.append(f"{spell(key)}{blank}:{blank}{value}")
    return "{" + ",".join(members) + "}", repeats


@given(spelt())
def test_i_18_a_key_that_an_object_has_twice_is_refused_and_nothing_else(told: tuple[str, bool]) -> None:
    text, repeats = told
    assert loads_arguments(text.encode()) == json.loads(text)
    if repeats:
        with pytest.raises(InvalidRequestError, match="twice"):
            loads_object(text.encode())
    else:
        assert loads_object(text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (b'{"model":"cheap","model":"dear"}', "model"),
        (b'{"model" :1,"a":2, "model"\t:1}', "model"),
        (b'{"a":[{"b":{"c":1,"d":2,"c":1}}]}', "c"),
        (rb'{"model":1,"mod\u0065l":2}', r"model"),
        (rb'{"a":1,"a":2,"b":"\u003a"}', "a"),
        (rb'{"a":"\\u003a","b":1,"b":"\\\u003A"}', "b"),
        (b'{"a":{},"a":":::"}', "a"),
        (b'{"a\\u001b[31m":1,"a\\u001b[31m":2}', r"a\\u001b\[31m"),
    ],
)
def test_i_18_the_key_that_is_there_twice_is_named(body: bytes, key: str) -> None:
    with pytest.raises(InvalidRequestError, match=f'the key "{key}" twice'):
        loads_object(body)


def test_i_18_in_a_large_body_a_key_that_is_there_twice_is_refused_without_its_name() -> None:
    with pytest.raises(InvalidRequestError, match="a key twice"):
        loads_object(b'{"a":"' + b"x" * (1 << 20) + b'","a":1}')


def test_of_two_equal_keys_that_a_model_wrote_the_last_one_counts() -> None:
    assert loads_arguments(b'{"a":1,"a":2}') == {"a": 2}


@pytest.mark.parametrize(
    ("most", "more", "word"),
    [
        ({"a": [{"b": i} for i in range(MAX_OBJECTS_IN_A_LIST)]}, {"a": [{"b": 1}] * 5001}, "objects in one list"),
        ({f"k{i:09}": i for i in range(MAX_KEYS)}, {f"k{i:09}": i for i in range(MAX_KEYS + 1)}, "too many keys"),
        (
            {"a": [{f"k{i:09}": i for i in range(25_000)}]},
            {"a": [{f"k{i}": i for i in range(25_000)}] * 3},
            "many keys",
        ),
        ({"input": list(range(300_000))}, {"a": [{}] * 100_000}, "objects in one list"),
        ({"input": ["text"] * 50_000}, {"a": [1, *[{}] * 5_001, 1]}, "objects in one list"),
    ],
)
def test_i_13_what_would_take_too_long_to_look_at_is_refused(most: JsonObject, more: JsonObject, word: str) -> None:
    assert loads_object(dumps(most)) == most
    body = json.dumps(more).encode()
    with pytest.raises(InvalidRequestError, match=word):
        loads_object(body)


def test_json_is_written_without_blanks_and_in_utf8() -> None:
    assert dumps({"a": [1, "é"]}) == '{"a":[1,"é"]}'.encode()
