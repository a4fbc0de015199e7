"""Wrong keys are looked at only so often from one place; and where a request comes from."""

from __future__ import annotations

import hashlib
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigateway_core.guesses import Guesses, GuessLimitError, Role
from aigateway_core.state.memory import MemoryState

pytestmark = pytest.mark.anyio
MOST: dict[Role, int] = {"client": 20, "admin": 5}
HERE, ELSEWHERE = "203.0.113.7", "203.0.113.8"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


@pytest.fixture
def guesses(clock: list[float]) -> Guesses:
    return Guesses(MemoryState(), MOST)


async def wrong(guesses: Guesses, times: int) -> int:
    """How many of so many wrong admin keys were looked at."""
    looked_at, waits = 0, []
    for number in range(times):
        try:
            await guesses.refuse("admin", HERE, [f"wrong-{number}"])
            looked_at += 1
            await guesses.note_wrong("admin", HERE)
        except GuessLimitError as error:
            waits.append(error.retry_after or 0)
    assert all(0 < wait <= 12 for wait in waits)
    return looked_at


async def test_after_five_wrong_admin_keys_in_a_minute_none_is_looked_at(
    guesses: Guesses, clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert await wrong(guesses, 100) == 6
    assert caplog.text.count("too many wrong admin keys from 203.0.113.7") == 1
    with pytest.raises(GuessLimitError, match="too many wrong keys from this address; try again in 12 s"):
        await guesses.refuse("admin", HERE, ["the right one"])
    clock[0] += 12.5
    assert await wrong(guesses, 100) == 2
    clock[0] += 61
    assert await wrong(guesses, 100) == 6


async def test_elsewhere_and_at_the_other_door_nobody_has_to_wait(guesses: Guesses) -> None:
    await wrong(guesses, 100)
    await guesses.refuse("admin", ELSEWHERE, ["k"])
    await guesses.refuse("client", HERE, ["k"])
    await guesses.refuse("admin", HERE, [])


async def test_a_key_that_was_right_there_is_looked_at_all_the_same(guesses: Guesses) -> None:
    guesses.note_right("admin", HERE, ["right"])
    await wrong(guesses, 100)
    await guesses.refuse("admin", HERE, ["right"])
    with pytest.raises(GuessLimitError):
        await guesses.refuse("admin", HERE, ["other"])


async def test_without_a_limit_every_key_is_looked_at() -> None:
    assert await wrong(Guesses(MemoryState(), {"client": 0, "admin": 0}), 100) == 100


async def test_s_08_workers_count_together(clock: list[float]) -> None:
    state = MemoryState()
    one, other = Guesses(state, MOST), Guesses(state, MOST)
    for _ in range(5):
        await one.note_wrong("admin", HERE)
    with pytest.raises(GuessLimitError):
        await other.note_wrong("admin", HERE)


def hashed(key: str) -> str:
    return hashlib.sha256(b"the secret of all workers" + key.encode()).hexdigest()


async def test_s_08_a_key_that_was_right_there_is_looked_at_by_every_worker(clock: list[float]) -> None:
    state = MemoryState()
    one, other = Guesses(state, MOST, keyed_hash=hashed), Guesses(state, MOST, keyed_hash=hashed)
    stranger = Guesses(state, MOST, keyed_hash=str)
    one.note_right("admin", HERE, ["right"])
    assert "right" not in "".join(state._marks).replace("right-admin", "")
    for worker in (other, stranger):
        await wrong(worker, 100)
    await other.refuse("admin", HERE, ["junk", "right"])
    for worker, keys in ((other, ["wrong"]), (stranger, ["right"])):
        with pytest.raises(GuessLimitError):
            await worker.refuse("admin", HERE, keys)


async def test_workers_are_told_again_of_a_key_that_goes_on_being_right(clock: list[float]) -> None:
    state = MemoryState()
    one, other = Guesses(state, MOST, keyed_hash=hashed), Guesses(state, MOST, keyed_hash=hashed)
    for _ in range(5):
        one.note_right("admin", HERE, ["right"])
        clock[0] += 43_201
    await wrong(other, 100)
    await other.refuse("admin", HERE, ["right"])
    clock[0] += 86_400
    await wrong(other, 100)
    with pytest.raises(GuessLimitError):
        await other.refuse("admin", HERE, ["right"])


async def test_in_one_place_or_at_one_door_a_key_was_right_and_not_in_another(clock: list[float]) -> None:
    state = MemoryState()
    one, other = Guesses(state, MOST, keyed_hash=hashed), Guesses(state, MOST, keyed_hash=hashed)
    one.note_right("admin", ELSEWHERE, ["right"])
    one.note_right("client", HERE, ["right"])
    await wrong(other, 100)
    with pytest.raises(GuessLimitError):
        await other.refuse("admin", HERE, ["right"])


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded_for", "place"),
    [
        ((), "203.0.113.7", "198.51.100.1", "203.0.113.7"),
        (("203.0.113.7",), "203.0.113.8", "198.51.100.1", "203.0.113.8"),
        (("203.0.113.7",), "203.0.113.7", "198.51.100.1", "198.51.100.1"),
        (("203.0.113.7",), "203.0.113.7", None, "203.0.113.7"),
        # What stands before the last word was written by whoever sent it.
        (("203.0.113.7",), "203.0.113.7", "192.0.2.1, 198.51.100.1", "198.51.100.1"),
        (("203.0.113.0/24",), "203.0.113.7", "192.0.2.1, 198.51.100.1, 203.0.113.9", "198.51.100.1"),
        (("203.0.113.0/24",), "203.0.113.7", "203.0.113.9, 203.0.113.10", "203.0.113.9"),
        (("203.0.113.7",), "203.0.113.7", "192.0.2.1, unknown", "203.0.113.7"),
        (("203.0.113.7",), "203.0.113.7", "198.51.100.1:4711", "198.51.100.1"),
        (("203.0.113.7",), "203.0.113.7", "[2001:db8:1:2:3::4]:4711", "2001:db8:1:2::/64"),
        (("::1",), "::1", "2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        (("203.0.113.7",), "::ffff:203.0.113.7", "198.51.100.1", "198.51.100.1"),
        ((), "2001:db8:1:2:aaaa::1", None, "2001:db8:1:2::/64"),
        ((), "::ffff:203.0.113.7", None, "203.0.113.7"),
        ((), "", None, ""),
    ],
)
def test_a_request_comes_from_where_trusted_proxies_say(
    trusted: tuple[str, ...], peer: str, forwarded_for: str | None, place: str
) -> None:
    headers = {} if forwarded_for is None else {"x-forwarded-for": forwarded_for}
    assert Guesses(MemoryState(), MOST, trusted).place(peer, headers.get) == place


@given(st.text())
def test_s_08_nobody_changes_their_place_by_what_they_say(said: str) -> None:
    assert Guesses(MemoryState(), MOST).place("203.0.113.7", {"x-forwarded-for": said}.get) == "203.0.113.7"
    trusting = Guesses(MemoryState(), MOST, ["203.0.113.7"])
    headers = {"x-forwarded-for": f"{said}, 198.51.100.1"}
    assert trusting.place("203.0.113.7", headers.get) == "198.51.100.1"
