"""The breaker against a plain list of what has happened."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aigateway_core.state.breaker import Breaker

FIRST, MOST = 0.5, 8.0
STEPS = st.lists(st.sampled_from(["failed", "succeeded"]) | st.floats(0, 20, allow_subnormal=False), max_size=60)


@given(STEPS)
def test_it_opens_at_a_failure_and_waits_twice_as_long_after_each_that_follows(steps: list[str | float]) -> None:
    now = 1000.0
    breaker = Breaker(FIRST, MOST, lambda: now)
    opened: float | None = None
    pause = 0.0
    for step in steps:
        if isinstance(step, float):
            now += step
        elif step == "succeeded":
            breaker.succeeded()
            opened, pause = None, 0.0
        else:
            breaker.failed()
            if opened is None or now >= opened + pause:
                opened, pause = now, min(max(FIRST, pause * 2), MOST)
        assert breaker.closed == (opened is None)
        assert breaker.due == (0.0 if opened is None else max(0.0, opened + pause - now))
        assert breaker.due <= MOST


def test_many_failures_at_once_count_as_one() -> None:
    now = 0.0
    breaker = Breaker(FIRST, MOST, lambda: now)
    for _ in range(100):
        breaker.failed()
    assert breaker.due == FIRST
