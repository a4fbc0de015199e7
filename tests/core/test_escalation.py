"""How long an account rests that fails again and again, with no time named."""

from __future__ import annotations

import attrs
import pytest
from clock import Clock
from hypothesis import given
from hypothesis import strategies as st

from aigateway_core.errors import ErrorKind, Scope, UpstreamError
from aigateway_core.escalation import LADDERS, QUIET, Escalation, Step, next_step
from aigateway_core.records import Account
from aigateway_core.secret import Secret

ONE = Account(id="a", provider_id="acme")
LADDER = (10.0, 20.0, 40.0)


@pytest.fixture
def escalation(clock: Clock) -> Escalation:
    return Escalation(clock)


def failure(kind: ErrorKind = ErrorKind.QUOTA, scope: Scope = "model") -> UpstreamError:
    return UpstreamError(kind, "no", scope=scope)


def after_each_rest(escalation: Escalation, clock: Clock, times: int, error: UpstreamError) -> list[float]:
    """How long each of so many rests is, when every one is followed by another failure at once."""
    rests = []
    for _ in range(times):
        rests.append(escalation.seconds(ONE, "m", error))
        clock.now += rests[-1] + 1
    return rests


@pytest.mark.parametrize(
    ("kind", "scope", "rests"),
    [
        (ErrorKind.QUOTA, "model", [60, 300, 1800, 7200, 7200]),
        (ErrorKind.QUOTA, "quota_group", [60, 300, 1800, 7200, 7200]),
        (ErrorKind.QUOTA, "account", [1800, 7200, 7200, 7200, 7200]),
        (ErrorKind.RATE_LIMIT, "model", [30, 60, 120, 300, 300]),
        (ErrorKind.CREDENTIAL, "account", [300, 300, 300, 300, 300]),
        (ErrorKind.MODEL_NOT_FOUND, "model", [3600, 3600, 3600, 3600, 3600]),
        (ErrorKind.SERVER, "model", [0, 0, 0, 0, 0]),
    ],
)
def test_each_failure_in_a_row_costs_more_up_to_the_last_step(
    escalation: Escalation, clock: Clock, kind: ErrorKind, scope: Scope, rests: list[float]
) -> None:
    assert after_each_rest(escalation, clock, 5, failure(kind, scope)) == rests


def test_ten_failures_at_a_time_are_one(escalation: Escalation, clock: Clock) -> None:
    for _ in range(10):
        assert clock.now + escalation.seconds(ONE, "m", failure()) == pytest.approx(1060.0)
        clock.now += 0.2
    clock.now = 1061.0
    assert escalation.seconds(ONE, "m", failure()) == 300.0


def test_a_while_of_quiet_is_a_new_beginning(escalation: Escalation, clock: Clock) -> None:
    escalation.seconds(ONE, "m", failure())
    clock.now += 60 + QUIET + 1
    assert escalation.seconds(ONE, "m", failure()) == 60.0


def test_other_models_accounts_and_failures_have_steps_of_their_own(escalation: Escalation, clock: Clock) -> None:
    after_each_rest(escalation, clock, 3, failure())
    assert escalation.seconds(ONE, "other", failure()) == 60.0
    assert escalation.seconds(Account(id="b", provider_id="acme"), "m", failure()) == 60.0
    assert escalation.seconds(ONE, "m", failure(ErrorKind.RATE_LIMIT)) == 30.0


def test_failures_that_are_not_the_accounts_are_no_steps(escalation: Escalation, clock: Clock) -> None:
    for _ in range(5):
        assert escalation.seconds(ONE, "m", failure(ErrorKind.SERVER)) == 0.0
        clock.now += 3
    assert escalation.seconds(ONE, "m", failure()) == 60.0


def test_an_account_that_was_changed_begins_anew(escalation: Escalation, clock: Clock) -> None:
    after_each_rest(escalation, clock, 3, failure())
    mended = attrs.evolve(ONE, proxy_url=Secret("http://proxy.test"))
    assert escalation.seconds(mended, "m", failure()) == 60.0


def test_what_is_remembered_has_a_bound(escalation: Escalation, clock: Clock) -> None:
    for number in range(10_000):
        escalation.seconds(ONE, f"m-{number}", failure())
    assert len(escalation._steps) <= 4096  # the bound is nowhere else to be seen
    clock.now += 60 + QUIET
    assert escalation.seconds(ONE, "one more", failure()) == 60.0
    clock.now += 61
    assert escalation.seconds(ONE, "one more", failure()) == 300.0


@given(st.lists(st.floats(0, 300), max_size=40))
def test_the_laws_of_steps(pauses: list[float]) -> None:
    now, last = 0.0, None
    for pause in pauses:
        now += pause
        step = next_step(last, now, LADDER)
        if last is not None and now < last.until:
            assert step == last
        else:
            again = last is not None and now < last.until + QUIET
            assert step.number == (last.number + 1 if last is not None and again else 1)
            assert step.until == pytest.approx(now + LADDER[min(step.number, 3) - 1])
        assert now < step.until <= now + LADDER[-1]
        last = step


@given(st.floats(0, 1e6), st.integers(1, 50), st.floats(0, 1e6))
def test_no_step_is_beyond_the_last(until: float, number: int, now: float) -> None:
    step = next_step(Step(number, until), now, LADDER)
    assert step.number <= number + 1
    assert step.until <= max(until, now + LADDER[-1])


def test_every_ladder_leads_upwards() -> None:
    for ladder in LADDERS.values():
        assert list(ladder) == sorted(ladder)
        assert ladder[0] > 0
