"""Checks on parsed JSON: the right value passes as it is, the wrong one is named with its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigateway_core.dialects import checks
from aigateway_core.errors import InvalidRequestError
from aigateway_core.jsontext import dumps, loads_object

INTEGERS_OF_JSON = st.integers(-(2**63), 2**64 - 1)
"""Longer ones become floats when they are read."""

SAMPLES: dict[str, Any] = {
    "null": None,
    "a boolean": True,
    "an integer": 7,
    "a number": 1.5,
    "a string": "text",
    "an array": [1],
    "an object": {"a": 1},
}

ACCEPTED: list[tuple[Callable[..., Any], set[str]]] = [
    (checks.string, {"a string"}),
    (checks.optional_string, {"a string", "null"}),
    (checks.integer, {"an integer"}),
    (checks.optional_integer, {"an integer", "null"}),
    (checks.count, {"an integer"}),
    (checks.optional_count, {"an integer", "null"}),
    (checks.optional_tokens, {"an integer", "null"}),
    (checks.optional_number, {"an integer", "a number", "null"}),
    (checks.optional_boolean, {"a boolean", "null"}),
    (checks.mapping, {"an object"}),
    (checks.optional_mapping, {"an object", "null"}),
    (checks.sequence, {"an array"}),
]


@pytest.mark.parametrize("kind", SAMPLES)
@pytest.mark.parametrize(("check", "accepted"), ACCEPTED, ids=lambda value: getattr(value, "__name__", ""))
def test_each_check_accepts_its_own_types_alone(check: Callable[..., Any], accepted: set[str], kind: str) -> None:
    value = SAMPLES[kind]
    if kind in accepted:
        assert check(value, "here") is value
        return
    with pytest.raises(InvalidRequestError) as caught:
        check(value, "messages", 2, "role")
    assert caught.value.path == "messages[2].role"
    assert caught.value.message.startswith("messages[2].role: expected a")
    assert caught.value.message.endswith(f"got {kind}")


@pytest.mark.parametrize("number", [0, -1, 2**31, 2**53])
def test_a_count_is_neither_nothing_nor_beyond_all_measure(number: int) -> None:
    with pytest.raises(InvalidRequestError, match="from 1 to 2147483647") as caught:
        checks.count(number, "max_tokens")
    assert caught.value.path == "max_tokens"


@pytest.mark.parametrize(
    ("said", "read"), [(None, None), (7, 7), (-1, 0), (2**64 - 1, 2**53), (2.0**70, 2**53), (-1e300, 0)]
)
def test_tokens_that_a_vendor_cannot_have_counted_are_held_within_bounds(said: float | None, read: int | None) -> None:
    assert checks.optional_tokens(said, "usage") == read


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ((), ""),
        (("model",), "model"),
        (("messages", 0), "messages[0]"),
        (("messages", 0, "content", 12, "source", "data"), "messages[0].content[12].source.data"),
        ((3, "role"), "[3].role"),
        (("a", 1, 2), "a[1][2]"),
    ],
)
def test_a_path_reads_as_one_would_write_it(steps: tuple[str | int, ...], text: str) -> None:
    assert checks.path_text(steps) == text


def test_a_whole_float_is_an_integer() -> None:
    value = checks.integer(5.0, "max_tokens")
    assert value == 5
    assert type(value) is int


@pytest.mark.parametrize("value", [5.5, True, False, "5", float("inf"), float("nan"), None])
def test_what_only_looks_like_an_integer_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequestError):
        checks.integer(value, "max_tokens")


@pytest.mark.parametrize("text", ["1e300", "123456789012345678901234567890", "-1e19", "18446744073709551616"])
def test_an_integer_too_large_for_json_is_refused_and_not_passed_on(text: str) -> None:
    value = loads_object(b'{"max_tokens":' + text.encode() + b"}")["max_tokens"]
    with pytest.raises(InvalidRequestError, match="max_tokens"):
        checks.integer(value, "max_tokens")


@given(st.floats() | INTEGERS_OF_JSON | st.booleans())
def test_an_integer_that_passes_can_be_written_again(value: float) -> None:
    try:
        number = checks.integer(value, "n")
    except InvalidRequestError:
        return
    assert dumps(number) == str(number).encode()


@given(st.floats(allow_nan=False, allow_infinity=False) | INTEGERS_OF_JSON)
def test_a_number_that_passes_can_be_written_again(value: float) -> None:
    try:
        number = checks.optional_number(value, "n")
    except InvalidRequestError:
        return
    assert number is not None
    assert float(dumps(number)) == float(number)


def test_one_of_names_what_is_allowed_and_what_came() -> None:
    assert checks.one_of("user", ("user", "assistant"), "role") == "user"
    with pytest.raises(InvalidRequestError, match=r"messages\[0\]\.role: expected one of user, assistant, got 'alien'"):
        checks.one_of("alien", ("user", "assistant"), "messages", 0, "role")
    with pytest.raises(InvalidRequestError, match="got an array"):
        checks.one_of(["user"], ("user",), "role")


def test_a_long_wrong_word_is_not_repeated_in_full() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        checks.one_of("x" * 10_000, ("user",), "role")
    assert len(caught.value.message) < 200


def test_a_missing_field_is_named() -> None:
    with pytest.raises(InvalidRequestError, match=r"^tools\[1\]\.name: this field is required$"):
        checks.missing("tools", 1, "name")
