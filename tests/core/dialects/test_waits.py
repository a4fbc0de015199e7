"""How long to wait, as upstreams write it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigateway_core.dialects.waits import LONGEST_WAIT, duration, wait_in


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Rate limit reached. Please try again in 1.5s.", 1.5),
        ("Please try again in 120ms.", 0.12),
        ("Please try again in 6m0s. Visit", 360.0),
        ("Please retry in 3.21s.", 3.21),
        ("Your quota will reset after 71h15m27s.", 256527.0),
        ("PLEASE TRY AGAIN IN 2S", 2.0),
        ("try again in 9000h", LONGEST_WAIT),
        ("try again later", None),
        ("", None),
    ],
)
def test_a_wait_is_read_out_of_a_message(message: str, seconds: float | None) -> None:
    assert wait_in(message) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3.2s", 3.2),
        ("71h15m27.79s", 256527.79),
        ({"seconds": 3}, 3.0),
        ({"seconds": "3"}, 3.0),
        ({}, None),
        ("", None),
        ("3", None),
        ("3s later", None),
        ("-3s", None),
        ("9" * 50 + "s", None),
        (3, None),
        (None, None),
    ],
)
def test_a_duration_is_read_or_is_none(value: Any, seconds: float | None) -> None:
    assert duration(value) == pytest.approx(seconds)


@given(st.text() | st.dictionaries(st.just("seconds"), st.integers() | st.text() | st.none()))
def test_no_upstream_can_ask_for_more_than_a_week(value: Any) -> None:
    found = duration(value)
    assert found is None or 0 <= found <= LONGEST_WAIT
