"""The error tree, and the waiting time that an upstream asks for."""

from __future__ import annotations

import inspect
import os
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aigateway_core import errors
from aigateway_core.errors import (
    ErrorKind,
    GatewayError,
    InvalidRequestError,
    NoAccountError,
    SettingsError,
    UnsupportedFeatureError,
    UpstreamError,
    UpstreamFailure,
    retry_after,
)


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


def test_the_tree_in_the_documentation_is_the_tree_in_the_code() -> None:
    drawn = re.findall(r"[A-Z]\w+Error", (errors.__doc__ or "").split("Text reaches")[0])
    real = [
        name
        for name, value in inspect.getmembers(errors, inspect.isclass)
        if issubclass(value, Exception) and value.__module__ == errors.__name__
    ]
    assert sorted(drawn) == sorted(real)


def test_every_error_of_ours_is_caught_as_one() -> None:
    for value in vars(errors).values():
        if inspect.isclass(value) and issubclass(value, Exception):
            assert issubclass(value, GatewayError)


@pytest.mark.parametrize("kind", [InvalidRequestError, UnsupportedFeatureError])
def test_the_path_of_a_problem_stands_in_its_message(
    kind: type[InvalidRequestError] | type[UnsupportedFeatureError],
) -> None:
    error = kind("expected a string, got null", path="messages[0].role")
    assert error.message == str(error) == "messages[0].role: expected a string, got null"
    assert error.path == "messages[0].role"
    assert kind("no JSON").message == "no JSON"


def test_every_problem_of_the_settings_is_kept() -> None:
    error = SettingsError(["server.port: not a number", "redis.prot: unknown key"])
    assert error.problems == ["server.port: not a number", "redis.prot: unknown key"]
    assert "server.port" in str(error)
    assert "redis.prot" in str(error)


def test_a_failure_is_held_against_nobody_unless_it_says_so() -> None:
    error = UpstreamError(ErrorKind.SERVER, "boom")
    assert error.scope == "request"
    assert error.dispatched
    assert (error.retry_after, error.status, error.code) == (None, None, None)


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_only_what_is_not_the_request_s_own_fault_may_be_tried_again(kind: ErrorKind) -> None:
    again = {
        "rate_limit",
        "quota",
        "credential",
        "banned",
        "overloaded",
        "server",
        "unavailable",
        "timeout",
        "protocol",
    }
    assert UpstreamError(kind, "x").retryable == (kind.value in again)


def test_having_no_account_can_mean_more_than_a_rate_limit() -> None:
    assert NoAccountError("busy", retry_after=2.0).kind is ErrorKind.RATE_LIMIT
    assert NoAccountError("empty", kind=ErrorKind.QUOTA).kind is ErrorKind.QUOTA


def test_the_body_of_a_refusal_does_not_show_in_its_repr() -> None:
    assert repr(UpstreamFailure(401, {"authorization": "hush"}, b"hush")) == "UpstreamFailure(status=401, 4 bytes)"
