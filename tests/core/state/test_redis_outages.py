"""Redis killed, frozen, full, filled with what does not belong there, and back: nobody waits, nothing fails."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Iterator

import pytest
import redis
from core.state.state_contract import ahead, eventually
from services.private_servers import Redis

from aigateway_core.secret import Secret
from aigateway_core.state import EVERY_MODEL, Cooldown, DailyCount
from aigateway_core.state.address import RedisAddress
from aigateway_core.state.link import LIMIT
from aigateway_core.state.redis import RedisState

pytestmark = [pytest.mark.anyio, pytest.mark.services]

SLACK = 0.8
"""What a busy machine may add to the limit."""


def worker(server: Redis, limit: float = LIMIT) -> RedisState:
    return RedisState(RedisAddress(host=server.host, port=server.port), limit=limit)


@pytest.fixture
def limit(request: pytest.FixtureRequest) -> float:
    """The real one where Redis is taken away; else one that a busy machine does not reach."""
    return LIMIT if "how" in request.fixturenames else 10.0


@pytest.fixture
async def state(own_redis: Redis, limit: float) -> AsyncIterator[RedisState]:
    state = worker(own_redis, limit)
    await state.start()
    yield state
    await state.aclose()


@pytest.fixture
async def other(own_redis: Redis, limit: float) -> AsyncIterator[RedisState]:
    other = worker(own_redis, limit)
    await other.start()
    yield other
    await other.aclose()


@pytest.fixture
def client(own_redis: Redis) -> Iterator[redis.Redis]:
    with redis.Redis(port=own_redis.port) as client:
        yield client


async def timed(work: Awaitable[object]) -> tuple[object, float]:
    began = time.monotonic()
    found = await work
    return found, time.monotonic() - began


async def everything(state: RedisState, mark: str) -> list[float]:
    """Every operation once, and how long each took."""
    works: list[Awaitable[object]] = [
        state.take_turn("p", mark),
        state.bound(mark, "p", "m"),
        state.token("p", "a"),
        state.put_token("p", mark, b"sealed", 60),
        state.delete_token("p", mark),
        state.acquire(mark, 30),
        state.today(7),
    ]
    return [(await timed(work))[1] for work in works]


def break_it(server: Redis, how: str) -> None:
    server.kill() if how == "killed" else server.freeze()


def mend_it(server: Redis, how: str) -> None:
    server.start() if how == "killed" else server.thaw()


HOW = pytest.mark.parametrize("how", ["killed", "frozen"])


@HOW
async def test_d_12_d_13_nobody_waits_longer_than_the_limit_and_only_the_first_waits_at_all(
    own_redis: Redis, state: RedisState, how: str
) -> None:
    await everything(state, "before")
    break_it(own_redis, how)
    first = await everything(state, "first")
    assert max(first) < LIMIT + SLACK
    assert sum(first) < 2 * LIMIT + SLACK
    for number in range(50):
        assert sum(await everything(state, f"later-{number}")) < LIMIT


@HOW
async def test_many_at_once_wait_no_longer_than_one(own_redis: Redis, state: RedisState, how: str) -> None:
    break_it(own_redis, how)
    found = await asyncio.gather(*(timed(state.bound(f"{number}", "p", "m")) for number in range(500)))
    assert {account for account, _ in found} == {None}
    assert max(seconds for _, seconds in found) < LIMIT + SLACK


@HOW
async def test_d_12_d_13_all_goes_on_in_memory_while_redis_is_away(
    own_redis: Redis, state: RedisState, how: str
) -> None:
    state.bind("c", "p", "m", "a")
    await state.put_token("p", "a", b"sealed", 60)
    break_it(own_redis, how)
    turns = [await state.take_turn("p", "new") for _ in range(90)]
    assert turns == list(range(turns[0], turns[0] + 90))
    state.cool("a", "m", ahead(60))
    assert set(state.resting("m")) == {"a"}
    assert await state.bound("c", "p", "m") == "a"
    assert await state.token("p", "a") == b"sealed"
    state.bind("d", "p", "m", "b")
    assert await state.bound("d", "p", "m") == "b"
    lease = await state.acquire("l", 30)
    assert lease is not None
    assert not lease.shared
    assert await state.acquire("l", 30) is None
    assert await state.renew(lease, 30)
    await state.release(lease)
    assert await state.acquire("l", 30) is not None
    state.count(7, failed=True)
    assert await state.today(7) == DailyCount(1, 1)


@HOW
async def test_what_happened_meanwhile_is_told_when_redis_is_back(
    own_redis: Redis, state: RedisState, other: RedisState, how: str
) -> None:
    break_it(own_redis, how)
    await everything(state, "away")
    await everything(other, "away")
    state.cool("a", "m", ahead(60, "quota"))
    other.cool("b", EVERY_MODEL, Cooldown.for_good("banned", "banned"))
    state.cool("mended", "m", ahead(60))
    state.clear("mended")
    state.bind("c", "p", "m", "b")
    await state.put_token("p", "a", b"made meanwhile", 60)
    mend_it(own_redis, how)
    await eventually(lambda: set(state.resting("m")) == set(other.resting("m")) == {"a", "b"})

    async def known() -> bool:
        return await other.token("p", "a") == b"made meanwhile" and await other.bound("c", "p", "m") == "b"

    await eventually(known)
    lease = await state.acquire("after", 30)
    assert lease is not None
    assert lease.shared
    state.cool("late", "m", ahead(60))
    await eventually(lambda: "late" in other.resting("m"))


async def test_a_gateway_starts_without_redis_and_finds_it_later(
    own_redis: Redis, other: RedisState, caplog: pytest.LogCaptureFixture
) -> None:
    state = worker(own_redis)
    own_redis.kill()
    with caplog.at_level(logging.WARNING, "aigateway_core.state"):
        _, seconds = await timed(state.start())
        assert seconds < LIMIT + SLACK
        for number in range(20):
            await everything(state, f"{number}")
        mine = [record for record in caplog.records if "does not answer" in record.message]
        assert len(mine) <= 2  # one of each worker
        own_redis.start()
        state.cool("a", "m", ahead(60))
        await eventually(lambda: "a" in other.resting("m"))
        assert [record for record in caplog.records if "answers again" in record.message]
    await state.aclose()


async def test_workers_that_were_cut_off_hear_each_other_again(
    own_redis: Redis, state: RedisState, other: RedisState, client: redis.Redis
) -> None:
    client.client_kill_filter(_type="pubsub")
    client.client_kill_filter(_type="normal", skipme=True)
    state.cool("a", "m", ahead(60))
    await eventually(lambda: "a" in other.resting("m"))


async def test_connections_that_redis_ends_while_they_are_idle_cost_nothing(
    state: RedisState, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    await asyncio.gather(*(state.token("p", f"{number}") for number in range(8)))
    client.client_kill_filter(_type="normal", skipme=True)
    await asyncio.sleep(0.1)
    for number in range(8):
        await state.token("p", f"{number}")
    assert not [record for record in caplog.records if "does not answer" in record.message]


async def test_a_redis_that_is_back_is_found_by_all_who_look(own_redis: Redis, state: RedisState) -> None:
    await asyncio.gather(*(state.token("p", f"{number}") for number in range(8)))
    await asyncio.to_thread(own_redis.kill)
    await state.token("p", "a")
    assert not state._link.up
    await asyncio.to_thread(own_redis.start)
    # The first may find a connection that has failed already: another has to do with one that was idle all the while.
    assert all(await asyncio.gather(*(state._link.probe("SET", "looked", 1) for _ in range(8))))


# -- what else may be wrong with it


async def test_d_14_what_does_not_belong_under_a_key_is_taken_away(
    state: RedisState, other: RedisState, client: redis.Redis
) -> None:
    client.set("account:rr:p:m", "many")
    client.rpush("affinity:p:m:c", "x")
    client.rpush("auth:p:a", "x")
    client.rpush("lock:l", "x")
    client.rpush("cooldowns", "x")
    client.rpush("stats:proxy:7:requests:today", "x")
    client.set("cooldown:z:m", "x" * 100_000)
    await state.take_turn("p", "m")
    assert await state.bound("c", "p", "m") is None
    assert await state.token("p", "a") is None
    assert await state.acquire("l", 30) is not None
    state.count(7, failed=False)
    state.cool("a", "m", ahead(60))

    async def healed() -> bool:
        state.count(7, failed=False)
        there = {name: client.type(name) for name in ("cooldowns", "stats:proxy:7:requests:today")}
        return there == {"cooldowns": b"zset", "stats:proxy:7:requests:today": b"string"}

    state.cool("b", "m", ahead(60))
    await asyncio.sleep(0.1)
    state.cool("c", "m", ahead(60))
    await eventually(healed)
    await eventually(lambda: client.get("account:rr:p:m") != b"many")
    assert state._link.up


async def test_d_14_a_token_that_is_far_too_large_is_none(state: RedisState, client: redis.Redis) -> None:
    client.set("auth:p:a", b"x" * 10_000_000)
    assert await state.token("p", "a") is None


async def test_odd_hints_and_odd_cooldowns_are_passed_over(state: RedisState, client: redis.Redis) -> None:
    for odd in (b"", b"\xff", b"[]", b"7", b'{"cool": 7}', b'{"cool": ["a", "m", "{}"], "moved": [1, 2, 3, 4]}'):
        client.publish("hints", odd)
        client.zadd("cooldowns", {odd: 9e9})
    client.publish("hints", b'{"version": 5}')
    heard: list[int] = []
    state.on_announcement(heard.append)
    client.publish("hints", b'{"version": 6}')
    await eventually(lambda: 6 in heard)
    assert state.resting("m") == {}


@pytest.mark.parametrize("setting", [("maxmemory", "1"), ("min-replicas-to-write", "3")])
async def test_d_14_a_redis_that_takes_no_writes_is_as_good_as_away(
    state: RedisState, client: redis.Redis, setting: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    before = client.config_get(setting[0])[setting[0]]
    client.config_set(*setting)
    with caplog.at_level(logging.WARNING, "aigateway_core.state"):
        for number in range(20):
            assert max(await everything(state, f"{number}")) < LIMIT + SLACK
            state.cool(f"{number}", "m", ahead(60))
            await asyncio.sleep(0.05)
        assert len([record for record in caplog.records if "does not answer" in record.message]) == 1
        client.config_set(setting[0], before)
        await eventually(lambda: client.exists("cooldown:19:m") == 1)
    assert len(state.resting("m")) == 20


async def test_d_14_when_all_is_lost_turns_and_cooldowns_go_on(state: RedisState, client: redis.Redis) -> None:
    state.cool("a", "m", ahead(60))
    await asyncio.gather(*(state.take_turn("p", "m") for _ in range(100)))
    client.flushall()
    assert set(state.resting("m")) == {"a"}
    turns = [await state.take_turn("p", "m") for _ in range(100)]
    assert all(type(turn) is int for turn in turns)


async def test_c_15_commands_that_are_given_up_mix_up_no_answers(state: RedisState) -> None:
    for number in range(20):
        await state.put_token("p", f"{number}", f"{number}".encode(), 60)

    async def ask(number: int) -> None:
        account = f"{number % 20}"
        task = asyncio.create_task(state.token("p", account))
        await asyncio.sleep(number % 7 * 0.0003)
        task.cancel()
        found = (await asyncio.gather(task, return_exceptions=True))[0]
        assert isinstance(found, asyncio.CancelledError) or found == account.encode()

    for start in range(0, 1000, 50):
        await asyncio.gather(*(ask(number) for number in range(start, start + 50)))
    assert [await state.token("p", f"{number}") for number in range(20)] == [f"{n}".encode() for n in range(20)]


# -- what stands in it


async def test_keys_have_their_names_and_their_ends(state: RedisState, client: redis.Redis) -> None:
    await state.take_turn("p", "m")
    state.cool("a", "m", ahead(60, "quota"))
    state.cool("a", EVERY_MODEL, Cooldown.for_good("banned", "banned"))
    state.bind("0123", "p", "m", "a")
    state.count(7, failed=True)
    await state.put_token("p", "a", b"sealed", 60)
    await eventually(lambda: client.exists("stats:proxy:7:errors:today") == 1)
    left = {name.decode(): client.ttl(name) for name in client.scan_iter()}
    assert left.keys() == {
        *("account:rr:p:m", "cooldown:a:m", "cooldown:a:account\t", "cooldowns", "affinity:p:m:0123", "probe"),
        *("stats:proxy:7:requests:today", "stats:proxy:7:errors:today", "auth:p:a"),
    }
    assert left["cooldowns"] == -1
    assert 86_000 < left["cooldown:a:account\t"] <= 86_400
    assert 50 < left["cooldown:a:m"] <= 60
    assert 50 < left["auth:p:a"] <= 60
    assert 3500 < left["affinity:p:m:0123"] <= 3600
    midnight = 86400 - time.time() % 86400
    assert abs(left["stats:proxy:7:requests:today"] - midnight) < 5
    for key in left:
        if key.startswith("cooldown:"):
            assert b"quota" in client.get(key) or b"banned" in client.get(key)


async def test_a_prefix_stands_before_every_key(own_redis: Redis, client: redis.Redis) -> None:
    state = RedisState(RedisAddress(url=Secret(f"redis://localhost:{own_redis.port}/3")), "gw:", limit=10)
    await state.start()
    await everything(state, "x")
    state.cool("a", "m", ahead(60))
    state.count(1, failed=True)
    await state.aclose()
    with redis.Redis(port=own_redis.port, db=3) as third:
        names = third.keys()
    assert names
    assert all(name.startswith(b"gw:") for name in names)
    assert client.keys() == []


async def test_the_password_is_shown_nowhere(
    own_redis: Redis, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    client.config_set("requirepass", "canary-of-redis")
    url = Secret(f"redis://:canary-of-redis@localhost:{own_redis.port}/0")
    wrong = Secret(f"redis://:wrong-canary@localhost:{own_redis.port}/0")
    with caplog.at_level(logging.DEBUG):
        for address in (RedisAddress(url=url), RedisAddress(url=wrong)):
            state = RedisState(address, limit=10)
            await state.start()
            lease = await state.acquire("l", 0.01)
            assert lease is not None
            assert lease.shared == (address.url is url)
            await state.aclose()
            assert "canary" not in repr(address)
    assert RedisAddress(url=url).password_in_url == Secret("canary-of-redis")
    assert any("does not answer" in record.message for record in caplog.records)
    assert "canary" not in caplog.text
    client.execute_command("AUTH", "canary-of-redis")
    client.config_set("requirepass", "")
