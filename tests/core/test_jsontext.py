"""JSON at the edge: what is no good JSON is refused with a reason, from clients and from upstreams."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigateway_core.errors import ErrorKind, InvalidRequestError, UpstreamError
from aigateway_core.jsontext import MAX_DEPTH, dumps, loads_object, loads_upstream
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
def test_another_root_than_an_object_is_named(body: bytes, kind: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"must be a JSON object, not {kind}"):
        loads_object(body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"a":NaN}', id="nan"),
        pytest.param(b'{"a":Infinity}', id="infinity"),
        pytest.param(b'{"a":1e400}', id="a_number_beyond_double"),
        pytest.param(b'{"a":' + b"9" * 4301 + b"}", id="an_integer_of_4301_digits"),
        pytest.param(b'{"a":"\\ud800"}', id="a_lone_surrogate"),
        pytest.param(b'{"\\udfff":1}', id="a_lone_surrogate_in_a_key"),
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
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="not valid JSON"):
        loads_object(body)
    with pytest.raises(UpstreamError):
        loads_upstream(body)


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
def test_a_body_one_level_deeper_is_refused(nest: object, levels: int) -> None:
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


def test_a_broad_body_is_not_a_deep_one() -> None:
    body = json.dumps({"a": [{"b": []}] * 5000}).encode()
    assert len(loads_object(body)["a"]) == 5000


def test_json_is_written_without_blanks_and_in_utf8() -> None:
    assert dumps({"a": [1, "é"]}) == '{"a":[1,"é"]}'.encode()
