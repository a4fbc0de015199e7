"""How long to wait, as upstreams write it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aigateway_core.dialects.waits import LONGEST_WAIT, duration, retry_after, until, wait_in


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Rate limit reached. Please try again in 1.5s.", 1.5),
        ("Please try again in 120ms.", 0.12),
        ("Please try again in 6m0s. Visit", 360.0),
        ("Please retry in 3.21s.", 3.21),
        ("Your quota will reset after 71h15m27s.", 256527.0),
        ("Individual quota reached. Resets in 71h15m27s.", 256527.0),
        ("It will reset in 5m.", 300.0),
        ("The model gemini-3.1-pro-low is busy.", None),
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
        ({"seconds": 3, "nanos": 500_000_000}, 3.5),
        ({"nanos": 200_000_000}, 0.2),
        ({"seconds": 3, "nanos": "x"}, 3.0),
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


@pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%dT%H:%M:%S+00:00"])
@pytest.mark.parametrize(("away", "seconds"), [(90.0, 90.0), (-90.0, 0.0), (30 * 86400.0, LONGEST_WAIT)])
def test_a_moment_is_as_far_away_as_it_is(form: str, away: float, seconds: float) -> None:
    moment = (datetime.now(UTC) + timedelta(seconds=away)).strftime(form)
    assert until(moment) == pytest.approx(seconds, abs=5)


@pytest.mark.parametrize("moment", ["", "tomorrow", "9" * 41, 3, None, {}])
def test_what_is_no_moment_is_none(moment: Any) -> None:
    assert until(moment) is None


@given(st.text() | st.datetimes().map(str) | st.datetimes(timezones=st.just(UTC)).map(lambda when: when.isoformat()))
def test_no_moment_is_in_the_past_or_more_than_a_week_away(moment: str) -> None:
    found = until(moment)
    assert found is None or 0 <= found <= LONGEST_WAIT


@pytest.fixture
def far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose clock shows another zone than UTC."""
    with monkeypatch.context() as patch:
        patch.setitem(os.environ, "TZ", "Asia/Shanghai")
        time.tzset()
        yield
    time.tzset()


def in_future(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3),
        ({"retry-after": " 3 "}, 3),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "-5"}, 0),
        ({"retry-after": "1000000000"}, 3600),
        ({"retry-after": "9" * 400}, 3600),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9),
        ({"retry-after-ms": "nan", "retry-after": "9"}, 9),
        ({"retry-after-ms": "-1"}, 0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "-inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "1_0"}, None),
        ({"retry-after": "Mon, 01 Jan 99999 00:00:00 GMT"}, None),
        ({"retry-after": "Mon, 01 Jan 2024 00:00:00 +9999999"}, None),
        ({"retry-after": "Mon, 01 Jan 2024 00:00:00 GMT"}, 0),
    ],
)
def test_the_waiting_time_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


@pytest.mark.usefixtures("far_from_greenwich")
@pytest.mark.parametrize("zone", ["GMT", "-0000", "+0000"])
def test_a_date_is_waited_for_wherever_the_machine_stands(zone: str) -> None:
    date = format_datetime(in_future(120), usegmt=True).replace("GMT", zone)
    waiting = retry_after({"retry-after": date})
    assert waiting is not None
    assert 110 <= waiting <= 121


def test_a_date_in_another_zone_is_understood() -> None:
    waiting = retry_after({"retry-after": in_future(100).astimezone().strftime("%a, %d %b %Y %H:%M:%S %z")})
    assert waiting is not None
    assert 90 <= waiting <= 101


def test_the_longest_wait_is_the_caller_s_choice() -> None:
    assert retry_after({"retry-after": "50"}, most=10) == 10
    assert retry_after({"retry-after": format_datetime(in_future(86400), usegmt=True)}) == 3600


def test_httpx_headers_are_read_whatever_their_case() -> None:
    assert retry_after(httpx.Headers({"Retry-After": "3"})) == 3


@given(st.text(max_size=40) | st.from_regex(r"[0-9+\-:, .eE]*(Mon|Jan|GMT|UTC)?[0-9+\-:, .]*", fullmatch=True))
@example("Mon, 01 Jan 0000 00:00:00 GMT")
@example("Mon, 01 Jan 0001 00:00:00 +2300")
@example("Fri, 31 Dec 9999 23:59:59 -2300")
@example("1e999")
@example("\ud800")
def test_any_header_is_a_wait_within_bounds_or_none(value: str) -> None:
    seconds = retry_after({"retry-after": value, "retry-after-ms": value})
    assert seconds is None or 0 <= seconds <= 3600
