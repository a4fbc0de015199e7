"""What every implementation of the state promises. ``state`` and ``other`` are two workers that share one store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from aigateway_core.state import EVERY_MODEL, Cooldown, DailyCount, State


def ahead(seconds: float, reason: str = "rate_limit") -> Cooldown:
    return Cooldown(time.time() + seconds, reason)


def reason(state: State, account: str, model: str) -> str | None:
    found = state.cooldown(account, model)
    return None if found is None else found.reason


async def eventually(holds: Callable[[], bool] | Callable[[], Awaitable[bool]]) -> None:
    """What is not awaited where it is said arrives a little later."""
    async with asyncio.timeout(5):
        while True:
            found = holds()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.01)


@pytest.mark.anyio
class StateContract:
    """Subclass it, and give the fixtures ``state`` and ``other``."""

    # -- turns

    async def test_turns_follow_each_other(self, state: State) -> None:
        turns = [await state.take_turn("p", "m") for _ in range(100)]
        assert turns == list(range(turns[0], turns[0] + 100))

    async def test_no_turn_is_given_twice(self, state: State, other: State) -> None:
        taken: list[int] = []

        async def take(worker: State) -> None:
            for _ in range(200):
                taken.append(await worker.take_turn("p", "shared"))
                await asyncio.sleep(0)

        await asyncio.gather(take(state), take(other), take(state))
        assert len(set(taken)) == 600

    async def test_each_provider_and_model_has_turns_of_its_own(self, state: State) -> None:
        first = {(p, m): await state.take_turn(p, m) for p in "pq" for m in ("m", "n")}
        for (provider, model), turn in first.items():
            assert await state.take_turn(provider, model) == turn + 1

    # -- limits of keys

    async def test_a_bucket_gives_what_it_holds_and_then_says_how_long_to_wait(self, state: State) -> None:
        first = [await state.spend("k", 3) for _ in range(3)]
        assert [each.granted for each in first] == [True] * 3
        assert [each.remaining for each in first] == [2, 1, 0]
        assert 0 < first[0].reset <= 20
        refused = await state.spend("k", 3)
        assert not refused.granted
        assert 15 < refused.wait <= 20.1
        assert refused.remaining == 0
        assert 55 < refused.reset <= 60.1

    async def test_a_bucket_fills_evenly(self, state: State) -> None:
        assert all([(await state.spend("quick", 600)).granted for _ in range(600)][:600])
        await asyncio.sleep(0.35)
        assert (await state.spend("quick", 600)).granted

    async def test_each_key_has_a_bucket_of_its_own(self, state: State) -> None:
        assert (await state.spend("one", 1)).granted
        assert not (await state.spend("one", 1)).granted
        assert (await state.spend("One", 1)).granted

    async def test_a_limit_that_was_lowered_keeps_nobody_waiting_for_longer_than_its_own_minute(
        self, state: State
    ) -> None:
        for _ in range(10):
            await state.spend("less", 10)
        assert (await state.spend("less", 2)).wait <= 30.1

    async def test_workers_take_from_one_bucket(self, state: State, other: State) -> None:
        taken = [await worker.spend("both", 4) for worker in (state, other) * 3]
        assert [each.granted for each in taken] == [True] * 4 + [False] * 2

    async def test_a_mark_is_found_by_all_workers_until_its_time_is_over(self, state: State, other: State) -> None:
        state.mark("seen", 60)
        state.mark("short", 0.05)
        assert await state.marked("seen")
        await eventually(lambda: other.marked("seen"))
        assert not await other.marked("unseen")
        await asyncio.sleep(0.3)
        assert not await other.marked("short")

    async def test_there_are_so_many_places_and_no_more(self, state: State, other: State) -> None:
        one, two = await state.take_place("k", 2), await other.take_place("k", 2)
        assert one is not None
        assert two is not None
        assert await state.take_place("k", 2) is None
        assert await other.take_place("k", 2) is None
        other.leave_place(two)
        assert await state.take_place("k", 2) is not None
        assert await other.take_place("k", 3) is not None, "a limit that was raised"
        assert await state.take_place("else", 1) is not None

    async def test_whoever_asks_one_thing_after_the_other_needs_one_place(self, state: State, other: State) -> None:
        for worker in (state, state, other, state, other, other):
            place = await worker.take_place("k", 1)
            assert place is not None
            worker.leave_place(place)

    async def test_many_at_once_get_exactly_the_places_that_there_are(self, state: State, other: State) -> None:
        taken = await asyncio.gather(*((state, other)[n % 2].take_place("crowd", 7) for n in range(40)))
        assert len([place for place in taken if place is not None]) == 7

    # -- cooldowns

    async def test_a_cooldown_stands_at_once(self, state: State) -> None:
        state.cool("a", "m", ahead(60))
        assert reason(state, "a", "m") == "rate_limit"
        assert reason(state, "a", "another") is None
        assert reason(state, "b", "m") is None
        assert set(state.resting("m")) == {"a"}
        assert state.resting("another") == {}

    async def test_every_worker_hears_of_a_cooldown(self, state: State, other: State) -> None:
        told = ahead(60, "quota")
        state.cool("a", "m", told)
        state.cool("b", EVERY_MODEL, Cooldown.for_good("banned", "banned"))
        await eventually(lambda: set(other.resting("m")) == {"a", "b"})
        found, banned = other.cooldown("a", "m"), other.cooldown("b", "anything")
        assert found is not None
        assert found.until == pytest.approx(told.until, abs=0.01)
        assert (found.reason, found.status) == ("quota", "cooling")
        assert banned == Cooldown.for_good("banned", "banned")
        assert not banned.passes

    async def test_a_cooldown_that_is_over_stands_in_no_way(self, state: State) -> None:
        state.cool("a", "m", ahead(-1))
        state.cool("b", "m", ahead(0.05))
        await asyncio.sleep(0.1)
        assert state.resting("m") == {}
        assert reason(state, "b", "m") is None

    async def test_all_that_an_account_rests_for_is_told(self, state: State, other: State) -> None:
        state.cool("a", "m", ahead(60, "quota"))
        state.cool("a", EVERY_MODEL, ahead(30))
        state.cool("a", "over", ahead(-1))
        state.cool("b", "m", ahead(60))
        found = state.rests("a")
        assert {name: each.reason for name, each in found.items()} == {"m": "quota", EVERY_MODEL: "rate_limit"}
        await eventually(lambda: set(other.rests("a")) == {"m", EVERY_MODEL})
        assert state.rests("nobody") == {}

    async def test_the_longer_cooldown_is_kept(self, state: State) -> None:
        state.cool("a", "m", ahead(60, "quota"))
        state.cool("a", "m", ahead(5, "rate_limit"))
        assert reason(state, "a", "m") == "quota"
        state.cool("a", EVERY_MODEL, ahead(90, "credential"))
        assert reason(state, "a", "m") == "credential"

    async def test_a_mended_account_is_free_at_once(self, state: State) -> None:
        state.cool("a", "m", ahead(60))
        state.cool("a", EVERY_MODEL, Cooldown.for_good("disabled", "quota"))
        state.cool("b", "m", ahead(60))
        state.clear("a")
        assert set(state.resting("m")) == {"b"}

    async def test_changes_tell_when_to_look_again(self, state: State) -> None:
        before = state.changes
        state.cool("a", "m", ahead(60))
        cooled = state.changes
        state.clear("a")
        assert before < cooled < state.changes

    # -- affinity

    async def test_a_conversation_is_bound_for_all_workers(self, state: State, other: State) -> None:
        assert await state.bound("c", "p", "m") is None
        state.bind("c", "p", "m", "a")
        assert await state.bound("c", "p", "m") == "a"
        assert await state.bound("c", "p", "another") is None
        assert await state.bound("c", "q", "m") is None
        await eventually(lambda: _is(other.bound("c", "p", "m"), "a"))

    async def test_the_newest_binding_counts_for_all_workers(self, state: State, other: State) -> None:
        state.bind("c", "p", "m", "a")
        await eventually(lambda: _is(other.bound("c", "p", "m"), "a"))
        other.bind("c", "p", "m", "b")
        assert await other.bound("c", "p", "m") == "b"
        await eventually(lambda: _is(state.bound("c", "p", "m"), "b"))

    # -- tokens

    async def test_a_token_is_kept_as_it_is_until_its_time(self, state: State, other: State) -> None:
        sealed = bytes(range(256)) * 8
        assert await state.token("p", "a") is None
        await state.put_token("p", "a", sealed, 60)
        assert await state.token("p", "a") == sealed
        assert await state.token("p", "b") is None
        await eventually(lambda: _is(other.token("p", "a"), sealed))
        await state.put_token("p", "a", b"newer", 0.2)
        assert await state.token("p", "a") == b"newer"
        await asyncio.sleep(0.3)
        assert await state.token("p", "a") is None

    async def test_a_token_of_no_time_is_none(self, state: State) -> None:
        for seconds in (0, -5):
            await state.put_token("p", "a", b"old", 60)
            await state.put_token("p", "a", b"late", seconds)
            assert await state.token("p", "a") is None

    async def test_a_deleted_token_is_gone_for_all_workers(self, state: State, other: State) -> None:
        await state.put_token("p", "a", b"sealed", 60)
        await eventually(lambda: _is(other.token("p", "a"), b"sealed"))
        await other.delete_token("p", "a")
        assert await other.token("p", "a") is None
        await eventually(lambda: _is(state.token("p", "a"), None))

    # -- locks

    async def test_a_lock_is_held_by_one(self, state: State, other: State) -> None:
        lease = await state.acquire("refresh:a", 30)
        assert lease is not None
        assert lease.shared
        assert await other.acquire("refresh:a", 30) is None
        assert await state.acquire("refresh:a", 30) is None
        assert await other.acquire("refresh:b", 30) is not None
        await state.release(lease)
        assert await other.acquire("refresh:a", 30) is not None

    async def test_one_of_many_gets_the_lock(self, state: State, other: State) -> None:
        leases = await asyncio.gather(*((state, other)[n % 2].acquire("crowd", 30) for n in range(40)))
        assert len([lease for lease in leases if lease is not None]) == 1

    async def test_a_lock_that_nobody_gave_back_is_free_again(self, state: State, other: State) -> None:
        first = await state.acquire("l", 0.1)
        await asyncio.sleep(0.2)
        second = await other.acquire("l", 30)
        assert first is not None
        assert second is not None
        assert second.token > first.token
        await state.release(first)  # too late, and harmless
        assert not await state.renew(first, 30)
        assert await state.acquire("l", 30) is None

    async def test_tokens_grow_with_every_lease(self, state: State, other: State) -> None:
        tokens = []
        for worker in (state, other, state, other):
            lease = await worker.acquire("l", 30)
            assert lease is not None
            tokens.append(lease.token)
            await worker.release(lease)
        assert tokens == sorted(set(tokens))

    async def test_a_lock_is_held_for_longer_when_asked(self, state: State, other: State) -> None:
        lease = await state.acquire("l", 0.2)
        assert lease is not None
        assert await state.renew(lease, 30)
        await asyncio.sleep(0.3)
        assert await other.acquire("l", 30) is None

    # -- the day's counters

    async def test_a_proxys_day_is_counted_over_all_workers(self, state: State, other: State) -> None:
        for worker, failed in ((state, False), (other, True), (state, False), (other, False)):
            worker.count(7, failed=failed)
        state.count(8, failed=True)
        await eventually(lambda: _is(state.today(7), DailyCount(requests=4, errors=1)))
        await eventually(lambda: _is(other.today(8), DailyCount(requests=1, errors=1)))
        assert await state.today(9) == DailyCount(0, 0)

    # -- hints

    async def test_an_announcement_is_heard_by_all_workers(self, state: State, other: State) -> None:
        heard: list[tuple[str, int]] = []
        state.on_announcement(lambda version: heard.append(("state", version)))
        other.on_announcement(lambda version: heard.append(("other", version)))
        state.announce(42)
        await eventually(lambda: {("state", 42), ("other", 42)} <= set(heard))


async def _is(found: Awaitable[object], expected: object) -> bool:
    return await found == expected
