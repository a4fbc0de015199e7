from __future__ import annotations

import time

import pytest
from core.state.state_contract import StateContract, ahead

from aigateway_core.state import Cooldown, DailyCount
from aigateway_core.state.memory import MemoryState
from aigateway_core.state.recent import Recent


class TestMemoryState(StateContract):
    @pytest.fixture
    def state(self) -> MemoryState:
        return MemoryState()

    @pytest.fixture
    def other(self, state: MemoryState) -> MemoryState:
        """Memory is shared by all there is: one worker."""
        return state


@pytest.mark.anyio
async def test_turns_begin_at_none() -> None:
    state = MemoryState()
    assert [await state.take_turn("p", "m") for _ in range(3)] == [0, 1, 2]


def test_what_is_over_takes_no_memory() -> None:
    state = MemoryState()
    state.cool("a", "m", ahead(-1))
    state.cooldown("a", "m")
    assert state._cooldowns == {}


@pytest.mark.anyio
async def test_turns_of_names_that_callers_make_up_take_no_memory_without_bound() -> None:
    state = MemoryState()
    for number in range(20_000):
        await state.take_turn("p", f"made-up-{number}")
    assert len(state._turns) <= 10_000
    assert await state.take_turn("p", "made-up-19999") == 1


def test_conversations_take_no_memory_without_bound() -> None:
    state = MemoryState()
    for number in range(60_000):
        state.bind(f"{number}", "p", "m", "a")
    assert len(state._bindings) == 50_000


def test_cooldowns_that_nobody_asks_for_again_take_no_memory_without_bound() -> None:
    state = MemoryState()
    for number in range(20_000):
        state.cool("a", f"made-up-{number}", ahead(-1))
    assert len(state._cooldowns["a"]) < 2000


@pytest.mark.anyio
async def test_a_binding_ends_an_hour_after_its_last_use(monkeypatch: pytest.MonkeyPatch) -> None:
    state, now = MemoryState(), time.monotonic()
    monkeypatch.setattr("aigateway_core.state.memory.time.monotonic", lambda: now)
    state.bind("c", "p", "m", "a")
    for _ in range(3):
        now += 3599
        assert await state.bound("c", "p", "m") == "a"
    now += 3601
    assert await state.bound("c", "p", "m") is None


@pytest.mark.anyio
async def test_t_01_the_days_counters_begin_anew_at_midnight_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    state, now = MemoryState(), 86400.0 * 20_000 - 1
    monkeypatch.setattr("aigateway_core.state.memory.time.time", lambda: now)
    state.count(7, failed=True)
    assert await state.today(7) == DailyCount(1, 1)
    now += 2
    assert await state.today(7) == DailyCount(0, 0)
    state.count(7, failed=False)
    assert await state.today(7) == DailyCount(1, 0)


@pytest.mark.anyio
async def test_t_04_who_rests_is_back_in_time_though_the_clock_was_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """By two hours, once, while two accounts rest and a third one begins to."""
    now, moved, monotonic = time.time(), 0.0, 100.0
    monkeypatch.setattr("aigateway_core.state.memory.time.time", lambda: now + monotonic + moved)
    monkeypatch.setattr("aigateway_core.state.memory.time.monotonic", lambda: monotonic)
    state = MemoryState()
    state.cool("a", "m", Cooldown(now + 100 + 30, "quota"))
    state.cool("banned", "m", Cooldown.for_good("banned", "banned"))
    changes = state.changes
    monotonic += 10
    moved = -7200
    assert set(state.resting("m")) == {"a", "banned"}
    assert state.changes > changes, "whoever keeps a list looks again"
    assert state.rests("a")["m"].until == pytest.approx(now + 100 + 30 - 7200)
    state.cool("b", "m", Cooldown(now + monotonic + moved + 60, "quota"))
    monotonic += 21
    assert set(state.resting("m")) == {"b", "banned"}
    monotonic += 60
    assert set(state.resting("m")) == {"banned"}


@pytest.mark.anyio
async def test_t_04_a_clock_that_was_set_forward_costs_at_most_a_question_too_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = MemoryState()
    state.cool("a", "m", ahead(60))
    state.bind("c", "p", "m", "a")
    await state.put_token("p", "a", b"sealed", 60)
    lease = await state.acquire("l", 60)
    assert lease is not None
    moved = time.time() + 7200
    monkeypatch.setattr("aigateway_core.state.memory.time.time", lambda: moved)
    assert state.resting("m") == {}
    assert await state.bound("c", "p", "m") == "a"
    assert await state.token("p", "a") == b"sealed"
    assert await state.acquire("l", 60) is None


def test_what_was_put_first_is_forgotten_first() -> None:
    recent: Recent[str, int] = Recent(2)
    for key, value in (("a", 1), ("b", 2), ("a", 3), ("c", 4)):
        recent[key] = value
    assert (recent.get("a"), recent.get("b"), recent.get("c"), recent.get("d", 9)) == (3, None, 4, 9)
    assert len(recent) == 2


def test_a_rest_counts_for_the_edition_of_the_account_that_it_was_found_out_of() -> None:
    known = {"a": "one"}
    state = MemoryState(known.get)
    of_one = Cooldown(time.time() + 60, "quota", edition="one")
    of_two = Cooldown(time.time() + 30, "rate_limit", edition="two")
    state.cool("a", "m", of_one)
    state.cool("a", "m", of_two)
    assert (state.cooldown("a", "m"), state.rests("a"), state.resting("m")) == (of_one, {"m": of_one}, {"a": of_one})
    known["a"] = "two"
    assert (state.cooldown("a", "m"), state.rests("a"), state.resting("m")) == (None, {}, {})
    state.cool("a", "m", of_two)
    state.cool("a", "m", of_one)
    assert (state.cooldown("a", "m"), state.rests("a"), state.resting("m")) == (of_two, {"m": of_two}, {"a": of_two})
