"""Conversations and their accounts in Redis, when it loses what it had and when workers are of two minds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import redis
from core.state.state_contract import eventually
from services.private_servers import Redis

from aigateway_core.state import bindings
from aigateway_core.state.address import RedisAddress
from aigateway_core.state.redis import RedisState

pytestmark = [pytest.mark.services, pytest.mark.anyio]
KEY = "affinity:p:m:c"
WHICH = ("c", "p", "m")


@pytest.fixture
async def two(own_redis: Redis) -> AsyncIterator[tuple[RedisState, RedisState]]:
    address = RedisAddress(host=own_redis.host, port=own_redis.port)
    one, other = (RedisState(address, limit=10) for _ in "ab")
    async with AsyncExitStack() as opened:
        for state in (one, other):
            await state.start()
            opened.push_async_callback(state.aclose)
        yield one, other


@pytest.fixture
def client(own_redis: Redis) -> redis.Redis:
    return redis.Redis(host=own_redis.host, port=own_redis.port)


async def test_a_binding_that_redis_has_lost_is_brought_back_by_who_uses_it(
    two: tuple[RedisState, RedisState], client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = two
    one.bind(*WHICH, "a")
    await eventually(lambda: client.get(KEY) == b"a")
    client.flushall()
    assert await one.bound(*WHICH) == "a"
    assert client.get(KEY) is None, "it need not ask at each use"
    monkeypatch.setattr(bindings, "_SURE_SECONDS", 0.0)
    assert await one.bound(*WHICH) == "a"
    assert client.get(KEY) == b"a"
    assert 3500 < client.ttl(KEY) <= 3600
    assert await other.bound(*WHICH) == "a"
    client.flushall()
    one.bind(*WHICH, "a")
    await eventually(lambda: client.get(KEY) == b"a")


async def test_workers_of_two_minds_are_at_one_again(
    two: tuple[RedisState, RedisState], client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = two
    one.bind(*WHICH, "a")
    await eventually(lambda: client.get(KEY) == b"a")
    client.flushall()
    assert await other.bound(*WHICH) is None
    other.bind(*WHICH, "b")
    await eventually(lambda: client.get(KEY) == b"b")
    assert await one.bound(*WHICH) == "a"
    monkeypatch.setattr(bindings, "_SURE_SECONDS", 0.0)
    assert [await one.bound(*WHICH), await other.bound(*WHICH)] == ["b", "b"]
    monkeypatch.undo()
    assert await one.bound(*WHICH) == "b"


async def test_who_finds_redis_again_looks_at_each_binding_once_more(
    two: tuple[RedisState, RedisState], client: redis.Redis, own_redis: Redis
) -> None:
    one, other = two
    one.bind(*WHICH, "a")
    await eventually(lambda: client.get(KEY) == b"a")
    own_redis.kill()
    own_redis.start()

    async def is_there() -> bool:
        return await one.bound(*WHICH) == "a" and client.get(KEY) == b"a"

    await eventually(is_there)
    await eventually(lambda: bool(other.connected))
    assert await other.bound(*WHICH) == "a"


async def test_what_somebody_else_has_put_there_is_no_account(
    two: tuple[RedisState, RedisState], client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = two
    one.bind(*WHICH, "a")
    await eventually(lambda: client.get(KEY) == b"a")
    client.delete(KEY)
    client.rpush(KEY, "junk")
    monkeypatch.setattr(bindings, "_SURE_SECONDS", 0.0)
    assert await one.bound(*WHICH) == "a"
    await eventually(lambda: client.type(KEY) != b"list")
