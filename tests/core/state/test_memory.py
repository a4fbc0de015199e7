from __future__ import annotations

import time

import pytest

from aigateway_core.state import EVERY_MODEL, Cooldown
from aigateway_core.state.memory import MemoryState


def ahead(seconds: float, reason: str = "rate_limit") -> Cooldown:
    return Cooldown(time.time() + seconds, reason)


@pytest.mark.anyio
async def test_turns_count_up_for_each_provider_and_model() -> None:
    state = MemoryState()
    assert [await state.take_turn("p", "m") for _ in range(3)] == [0, 1, 2]
    assert await state.take_turn("p", "other") == 0
    assert await state.take_turn("q", "m") == 0


def test_a_cooldown_stands_until_its_time() -> None:
    state = MemoryState()
    state.cool("a", "m", ahead(60))
    assert state.cooldown("a", "m") is not None
    assert state.cooldown("a", "other") is None
    assert state.cooldown("b", "m") is None
    state.cool("b", "m", ahead(-1))
    assert state.cooldown("b", "m") is None


def test_a_cooldown_of_every_model_covers_each() -> None:
    state = MemoryState()
    state.cool("a", EVERY_MODEL, ahead(60))
    assert state.cooldown("a", "anything") is not None


def test_the_longer_cooldown_is_kept() -> None:
    state = MemoryState()
    state.cool("a", "m", ahead(60, "quota"))
    state.cool("a", "m", ahead(5, "rate_limit"))
    found = state.cooldown("a", "m")
    assert found is not None
    assert found.reason == "quota"


def test_the_longer_of_model_and_account_is_told() -> None:
    state = MemoryState()
    state.cool("a", "m", ahead(5, "rate_limit"))
    state.cool("a", EVERY_MODEL, ahead(60, "credential"))
    found = state.cooldown("a", "m")
    assert found is not None
    assert found.reason == "credential"


def test_a_mended_account_is_free_at_once() -> None:
    state = MemoryState()
    state.cool("a", "m", ahead(60))
    state.cool("a", EVERY_MODEL, ahead(60))
    state.clear("a")
    assert state.cooldown("a", "m") is None


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


def test_cooldowns_that_nobody_asks_for_again_take_no_memory_without_bound() -> None:
    state = MemoryState()
    for number in range(20_000):
        state.cool("a", f"made-up-{number}", ahead(-1))
    assert len(state._cooldowns["a"]) < 2000
