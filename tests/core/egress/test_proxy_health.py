"""The health of outbound proxies: from seen to be trusted, to gone, and back by one trial at a time."""

from __future__ import annotations

import attrs
from clock import Clock
from hypothesis import given
from hypothesis import strategies as st

from aigateway_core.egress.health import ProxyHealthBook, Standing
from aigateway_core.snapshot import OutboundProxy

PROXY = OutboundProxy(id=1, url="http://proxy.test:1")


def book(clock: Clock | None = None, max_failures: int = 3) -> ProxyHealthBook:
    return ProxyHealthBook(max_failures=max_failures, retry_interval=60, clock=clock or Clock())


def test_u_33_a_proxy_goes_down_after_so_many_failures_in_a_row() -> None:
    it = book()
    seen = []
    for _ in range(4):
        it.failed(PROXY)
        seen.append(it.standing(PROXY).status)
    assert seen == ["degraded", "degraded", "down", "down"]


def test_a_success_between_failures_begins_the_count_anew() -> None:
    it = book()
    for _ in range(5):
        it.failed(PROXY)
        it.failed(PROXY)
        it.worked(PROXY)
    assert it.standing(PROXY).status == "healthy"


def test_a_limit_of_its_own_beats_the_setting() -> None:
    it = book()
    it.failed(attrs.evolve(PROXY, max_failures=1))
    assert it.standing(PROXY).status == "down"


def test_one_that_is_down_takes_one_trial_per_interval_and_comes_back_in_two_steps() -> None:
    clock = Clock()
    it = book(clock, max_failures=1)
    it.failed(PROXY)
    assert it.wait(PROXY) == 60
    clock.now += 60
    assert it.wait(PROXY) == 0
    assert it.wait(PROXY) == 60
    it.failed(PROXY)
    clock.now += 60
    assert it.wait(PROXY) == 0
    it.worked(PROXY)
    assert (it.standing(PROXY).status, it.wait(PROXY)) == ("degraded", 0)
    it.worked(PROXY)
    assert it.standing(PROXY).status == "healthy"


def test_what_a_healthy_proxy_does_well_is_no_news_unless_it_was_checked() -> None:
    it = book()
    told: list[str] = []
    it.on_change = lambda: told.append("change")
    it.worked(PROXY)
    assert (told, dict(it.take_unsaved())) == ([], {})
    it.worked(PROXY, 120.0, checked=True)
    (standing,) = it.take_unsaved().values()
    assert (standing.avg_latency_ms, standing.success_rate, told) == (120, 1.0, ["change"])
    assert standing.checked_at is not None


def test_a_status_that_another_process_stored_counts_and_ones_own_is_not_forgotten_for_it() -> None:
    it = book(max_failures=2)
    it.failed(PROXY)
    it.failed(PROXY)
    # It comes back from the storage as this process put it there: the count goes on.
    stored = attrs.evolve(PROXY, health_status="down", consecutive_failures=0)
    assert it.standing(stored).failures == 2
    # And then somebody else saw it work.
    again = attrs.evolve(PROXY, health_status="degraded", consecutive_failures=0, success_rate=0.5)
    assert it.standing(again) == Standing(status="degraded", failures=0, success_rate=0.5)


def test_a_proxy_that_is_gone_is_forgotten() -> None:
    it = book()
    it.failed(PROXY)
    it.forget(lambda proxy_id: proxy_id == PROXY.id)
    assert it.standing(PROXY) == Standing()


@given(st.lists(st.booleans()), st.integers(1, 5))
def test_down_means_that_the_last_ones_failed_and_averages_stay_shares(outcomes: list[bool], most: int) -> None:
    standing = Standing()
    for ok in outcomes:
        standing = standing.after_success(10.0) if ok else standing.after_failure(most)
        assert standing.success_rate is not None
        assert 0 <= standing.success_rate <= 1
    failures = next((count for count, ok in enumerate(reversed(outcomes)) if ok), len(outcomes))
    assert standing.failures == failures
    if failures >= most:
        assert standing.status == "down"
    if failures == 0 and len(outcomes) >= 2 and all(outcomes[-2:]):
        assert standing.status == "healthy"
