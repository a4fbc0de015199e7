"""How long to wait, as Cloud Code says it, and where it says nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cloud_code_refusals import CAPACITY, QUOTA, exhausted, info, judged, refusal, retry
from hypothesis import given
from hypothesis import strategies as st

from aigateway_antigravity.errors import FULL_HOUSE, LEAST_REST
from aigateway_core.escalation import Escalation
from aigateway_core.plugin import Account, ErrorKind, JsonObject, UpstreamError


def wait(*details: JsonObject, message: str = "no") -> float | None:
    return exhausted(message, *details).retry_after


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [
        ("2.5s", 2.5),
        ("2200ms", 2.2),
        ("1h16m0.667s", 4560.667),
        ("3754.431528ms", 3.754431528),
        ("256527.79s", 256527.79),
        ("71h15m27.79s", 256527.79),
        ({"seconds": 3, "nanos": 500_000_000}, 3.5),
        ("abc", None),
        ("", None),
        ("-5s", None),
        (5, None),
    ],
)
@pytest.mark.parametrize("kind", ["retry", "metadata"])
def test_X1_a_duration_is_read_whatever_its_units(kind: str, delay: Any, seconds: float | None) -> None:
    details = retry(delay) if kind == "retry" else info("RATE_LIMIT_EXCEEDED", quotaResetDelay=delay)
    assert wait(details) == pytest.approx(seconds)


def test_X2_a_delay_is_kept_to_its_last_digit() -> None:
    assert wait(retry("4.203608125s")) == pytest.approx(4.203608125)


def test_X3_of_two_delays_the_one_for_retries_counts() -> None:
    limit = info("RATE_LIMIT_EXCEEDED", quotaResetDelay="9s", quotaResetTimeStamp="2999-01-01T00:00:00Z")
    assert wait(limit, retry("5s")) == 5.0
    assert wait(limit) == 9.0


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("You have exhausted your capacity on this model. Your quota will reset after 1h2m3s.", 3723.0),
        ("Your quota will reset after 45s.", 45.0),
        (QUOTA, 256527.0),
        ("Please retry in 7.5s", 7.5),
    ],
)
def test_X4_a_message_tells_the_delay_where_nothing_else_does(message: str, seconds: float) -> None:
    assert wait(message=message) == seconds


@pytest.mark.parametrize(
    "message",
    ["The model gemini-3.1-pro-low is busy", "claude-opus-4-6m is at its limit", "3.1s gemini-2h", "reset soon"],
)
def test_X5_the_name_of_a_model_is_no_delay(message: str) -> None:
    assert wait(info("RATE_LIMIT_EXCEEDED", model="gemini-3.1-pro-low"), message=message) is None


def test_X9_the_order_of_the_details_is_nothing() -> None:
    details = [retry("40s"), info("QUOTA_EXHAUSTED", quotaResetDelay="41s"), {"@type": "other"}]
    one, other = exhausted("no", *details), exhausted("no", *reversed(details))
    assert (one.kind, one.scope, one.retry_after) == (ErrorKind.QUOTA, "quota_group", 40.0)
    assert (other.kind, other.scope, other.retry_after) == (one.kind, one.scope, one.retry_after)


@pytest.mark.parametrize("delay", ["0.2s", "200ms", "0s", "1.999s"])
def test_X15_no_account_rests_for_less_than_two_seconds(delay: str) -> None:
    assert wait(retry(delay)) == LEAST_REST == 2.0


def test_X15_a_quota_that_was_to_be_back_by_now_rests_a_little_all_the_same() -> None:
    assert wait(info("QUOTA_EXHAUSTED", quotaResetTimeStamp="2026-01-01T00:00:00Z")) == LEAST_REST


@given(st.floats(0, 500_000))
def test_X15_every_delay_is_kept_or_made_longer(seconds: float) -> None:
    found = wait(retry(f"{seconds:.3f}s"))
    assert found == pytest.approx(max(float(f"{seconds:.3f}"), LEAST_REST), abs=0.001)


def test_a_moment_is_as_good_as_a_delay() -> None:
    moment = (datetime.now(UTC) + timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert wait(info("QUOTA_EXHAUSTED", quotaResetTimeStamp=moment)) == pytest.approx(3 * 3600, abs=5)


def test_X10_a_full_house_is_asked_again_after_some_seconds() -> None:
    body = refusal(503, "UNAVAILABLE", CAPACITY, info("MODEL_CAPACITY_EXHAUSTED", model="gemini-3.1-pro-low"))
    assert judged(503, body).retry_after == FULL_HOUSE
    assert judged(503, body, retry_after="9").retry_after == 9.0


@pytest.mark.parametrize("status", [500, 502, 504, 400, 401])
def test_no_time_is_made_up_for_what_google_says_nothing_about(status: int) -> None:
    assert judged(status, refusal(status, "")).retry_after is None


def test_a_header_tells_the_delay_too() -> None:
    assert judged(429, refusal(429, "RESOURCE_EXHAUSTED"), retry_after="12").retry_after == 12.0


# -- where no time is told, the gateway's own


class Resting:
    """An account whose rests are followed by another failure at once."""

    def __init__(self) -> None:
        self.now = 0.0
        self._escalation = Escalation(lambda: self.now)
        self._account = Account(id="a", provider_id="antigravity")

    def seconds(self, error: UpstreamError) -> float:
        assert error.retry_after is None
        assert error.scope in ("model", "quota_group")
        return self._escalation.seconds(self._account, "claude", error)


NO_TIME = info("QUOTA_EXHAUSTED", model="claude-opus-4-6-thinking")


def test_X11_failures_of_googles_own_do_not_make_the_first_rest_longer() -> None:
    resting = Resting()
    for _ in range(5):
        error = judged(500, refusal(500, "INTERNAL"))
        assert (error.scope, error.retry_after) == ("request", None)
        resting.now += 3
    assert resting.seconds(exhausted("no", NO_TIME)) == 60.0


def test_X13_a_quota_without_a_time_rests_longer_each_time() -> None:
    resting, rests = Resting(), []
    for _ in range(5):
        rests.append(resting.seconds(exhausted("no", NO_TIME)))
        resting.now += rests[-1] + 1
    assert rests == [60.0, 300.0, 1800.0, 7200.0, 7200.0]


@pytest.mark.parametrize("details", [[], [NO_TIME]])
def test_X14_ten_failures_within_two_seconds_are_one(details: list[JsonObject]) -> None:
    resting = Resting()
    ends = []
    for _ in range(10):
        ends.append(resting.now + resting.seconds(exhausted("no", *details)))
        resting.now += 0.2
    assert ends == pytest.approx([60.0 if details else 30.0] * 10)
    resting.now = ends[0] + 1
    assert resting.seconds(exhausted("no", *details)) == (300.0 if details else 60.0)
