"""Places that workers share in Redis, when something goes wrong."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import redis
from core.state.state_contract import eventually
from services.private_servers import Redis

from aigateway_core.state import State, places
from aigateway_core.state.address import RedisAddress
from aigateway_core.state.redis import RedisState

pytestmark = pytest.mark.anyio
KEY = "limit:k:places"

_TAKES_TWO = """
import asyncio, sys
from aigateway_core.state import places
from aigateway_core.state.address import RedisAddress
from aigateway_core.state.redis import RedisState

async def main():
    places._MILLISECONDS = 1500
    state = RedisState(RedisAddress(host="127.0.0.1", port=int(sys.argv[1])), limit=10)
    await state.start()
    assert await state.take_place("k", 2) and await state.take_place("k", 2)
    sys.stdout.write("taken\\n")
    sys.stdout.flush()
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
async def state(own_redis: Redis) -> AsyncIterator[RedisState]:
    state = RedisState(RedisAddress(host=own_redis.host, port=own_redis.port), limit=10)
    await state.start()
    yield state
    await state.aclose()


async def is_free(state: State) -> bool:
    found = await state.take_place("k", 2)
    if found is not None:
        state.leave_place(found)
    return found is not None


@pytest.mark.services
async def test_the_places_of_a_worker_that_was_killed_end_by_themselves(own_redis: Redis, state: RedisState) -> None:
    arguments = (sys.executable, "-c", _TAKES_TWO, str(own_redis.port))
    other = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)
    assert other.stdout is not None
    assert await other.stdout.readline() == b"taken\n"
    other.kill()
    assert not await is_free(state)
    await other.wait()
    await eventually(lambda: is_free(state))


@pytest.mark.services
async def test_a_place_that_is_held_is_renewed(state: RedisState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_MILLISECONDS", 500)
    monkeypatch.setattr(places, "_RENEW_SECONDS", 0.05)
    assert await state.take_place("k", 2)
    assert await state.take_place("k", 2)
    for _ in range(10):
        await asyncio.sleep(0.1)
        await state._places.keep()
    assert not await is_free(state)


@pytest.mark.services
async def test_what_redis_loses_is_there_again(
    own_redis: Redis, state: RedisState, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = await state.take_place("k", 2)
    assert held is not None
    with redis.Redis(port=own_redis.port) as client:
        client.flushall()
        monkeypatch.setattr(places, "_RENEW_SECONDS", 0.0)
        await state._places.keep()
        assert client.zcard(KEY) == 1
        state.leave_place(held)
        await eventually(lambda: client.zcard(KEY) == 0)
        client.set(KEY, "somebody else's")
        assert await is_free(state)


@pytest.mark.services
async def test_a_client_that_leaves_while_redis_is_asked_leaves_no_place_behind(
    own_redis: Redis, state: RedisState
) -> None:
    for wait in (0.0, 0.0003, 0.001):
        task = asyncio.create_task(state.take_place("k", 2))
        await asyncio.sleep(wait)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled() and (place := task.result()) is not None:
            state.leave_place(place)
    with redis.Redis(port=own_redis.port) as client:
        await eventually(lambda: client.zcard(KEY) == 0)


async def test_a_worker_counts_for_itself_while_redis_is_away() -> None:
    state = RedisState(RedisAddress(host="127.0.0.1", port=9))
    taken = [await state.take_place("k", 2) for _ in range(3)]
    assert [place is not None for place in taken] == [True, True, False]
    assert taken[0] is not None
    state.leave_place(taken[0])
    assert await state.take_place("k", 2) is not None
    await state.aclose()


def waiting(state: RedisState) -> int:
    """Names that are to be given back, wherever they wait."""
    told = sum(len(command) for commands in state._outbox._writes.values() for command in commands)
    return told + sum(len(names) for names in state._places._left.values()) + len(state._places._untold)


async def test_however_many_come_while_redis_is_away_nothing_is_kept_of_them() -> None:
    state = RedisState(RedisAddress(host="127.0.0.1", port=9))
    for _ in range(1000):
        place = await state.take_place("k", 2)
        assert place is not None
        state.leave_place(place)
    assert waiting(state) < 20
    await state.aclose()


async def test_what_redis_was_told_of_is_given_back_for_as_long_as_its_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    state = RedisState(RedisAddress(host="127.0.0.1", port=9))
    for _ in range(100):
        state._places._give_back("k", [uuid4().hex])
    assert len(state._places._left["k"]) == 100
    later = time.monotonic() + places.LEASE + 1
    monkeypatch.setattr("aigateway_core.state.places.time.monotonic", lambda: later)
    state._places._give_back("k", ["the last one"])
    assert list(state._places._left["k"]) == ["the last one"]
    await state.aclose()


@pytest.mark.services
async def test_places_that_were_taken_before_during_and_after_an_outage_are_free_afterwards(
    own_redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = RedisState(RedisAddress(host=own_redis.host, port=own_redis.port), limit=2)
    await state.start()
    before = await state.take_place("k", 3)
    assert before is not None
    own_redis.freeze()
    during = await state.take_place("k", 3)
    await eventually(lambda: not state.connected)
    short, kept = [await state.take_place("k", 4) for _ in range(2)]
    assert during is not None
    assert short is not None
    assert kept is not None
    state.leave_place(short)
    own_redis.thaw()
    await eventually(lambda: bool(state.connected))
    monkeypatch.setattr(places, "_RENEW_SECONDS", 0.0)
    await state._places.keep()
    with redis.Redis(port=own_redis.port) as client:
        assert client.zcard(KEY) == 3, "what is held is known there again"
        for place in (before, during, kept):
            state.leave_place(place)
        await eventually(lambda: client.zcard(KEY) == 0)
    assert await is_free(state)
    await state.aclose()
