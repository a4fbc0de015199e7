"""Rests in Redis: how long they are kept there, and for whom they hold."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
import redis
from core.state.state_contract import ahead, eventually
from services.private_servers import Redis

from aigateway_core.state import EVERY_MODEL, Cooldown, one_model
from aigateway_core.state.address import RedisAddress
from aigateway_core.state.redis import RedisState
from aigateway_core.state.wire import write_cooldown

pytestmark = [pytest.mark.services, pytest.mark.anyio]
REACH = one_model("m")


class Workers:
    """Each is started when it is asked for; ``known`` are the editions of accounts that all of them know."""

    def __init__(self, server: Redis) -> None:
        self.client = redis.Redis(host=server.host, port=server.port)
        self.known: dict[str, str] = {}
        self.started: list[RedisState] = []
        self._address = RedisAddress(host=server.host, port=server.port)

    async def one_more(self) -> RedisState:
        state = RedisState(self._address, limit=10, edition_of=self.known.get)
        await state.start()
        self.started.append(state)
        return state


@pytest.fixture
async def workers(own_redis: Redis) -> AsyncIterator[Workers]:
    workers = Workers(own_redis)
    yield workers
    for state in workers.started:
        await state.aclose()


async def test_a_rest_holds_for_nobody_after_a_change_of_the_account_and_a_later_start(workers: Workers) -> None:
    first = await workers.one_more()
    workers.known["a"] = workers.known["b"] = "as it was"
    for name in "ab":
        first.cool(name, REACH, Cooldown(time.time() + 60, "quota", edition="as it was"))
    await eventually(lambda: workers.client.exists(f"cooldown:b:{REACH}") == 1)
    workers.known["a"] = "changed"
    second = await workers.one_more()
    assert set(second.resting(REACH)) == set(first.resting(REACH)) == {"b"}
    first.cool("a", REACH, Cooldown(time.time() + 30, "rate_limit", edition="changed"))
    await eventually(lambda: set(second.resting(REACH)) == {"a", "b"})
    found = second.cooldown("a", REACH)
    assert found is not None
    assert found.reason == "rate_limit"


async def test_a_rest_of_what_an_account_was_is_learned_over_once_it_is_told_of_what_it_is(workers: Workers) -> None:
    first, second = await workers.one_more(), await workers.one_more()
    second.cool("a", REACH, Cooldown(time.time() + 60, "quota", edition="as it was"))
    await eventually(lambda: set(first.resting(REACH)) == {"a"})
    workers.known["a"] = "changed"
    second._cooldowns._hints.tell = lambda **_: ("PING",)  # type: ignore[method-assign] # what it tells is lost
    second.cool("a", REACH, Cooldown(time.time() + 30, "rate_limit", edition="changed"))
    assert first.resting(REACH) == {}
    await eventually(lambda: set(first.resting(REACH)) == {"a"})


async def test_what_does_not_pass_is_news_to_who_runs_and_no_burden_to_who_starts(workers: Workers) -> None:
    """The database remembers it; what only the configuration knows has a new chance at each start."""
    first, other = await workers.one_more(), await workers.one_more()
    first.cool("a", EVERY_MODEL, Cooldown.for_good("disabled", "quota"))
    first.cool("b", EVERY_MODEL, ahead(60))
    await eventually(lambda: set(other.resting(EVERY_MODEL)) == {"a", "b"})
    later = await workers.one_more()
    await eventually(lambda: set(later.resting(EVERY_MODEL)) == {"b"})
    await later._look()
    assert set(later.resting(EVERY_MODEL)) == {"b"}
    assert 86_000 < workers.client.ttl(f"cooldown:a:{EVERY_MODEL}") <= 86_400


async def test_t_04_a_rest_does_not_come_back_after_the_clock_of_this_machine_was_set_right(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, ahead_by = time.time, 3600.0
    monkeypatch.setattr("time.time", lambda: real() + ahead_by)
    state = await workers.one_more()
    state.cool("a", REACH, ahead(0.2))
    await eventually(lambda: workers.client.exists(f"cooldown:a:{REACH}") == 1)
    ahead_by = 0.0
    await eventually(lambda: state.resting(REACH) == {})
    await state._look()
    assert state.resting(REACH) == {}
    assert (await workers.one_more()).resting(REACH) == {}
    state.cool("a", REACH, ahead(60))
    assert set(state.resting(REACH)) == {"a"}


async def test_a_rest_is_no_longer_where_the_clock_is_behind(workers: Workers) -> None:
    state = await workers.one_more()
    told = Cooldown(time.time() + 3600 + 5, "quota")
    state._cooldowns.hear(["a", REACH, write_cooldown(told, time.time() + 3600).decode()])
    state._cooldowns.hear(["b", REACH, write_cooldown(Cooldown.for_good("banned", "banned"), time.time()).decode()])
    found = state.cooldown("a", REACH)
    assert found is not None
    assert 0 < found.until - time.time() <= 5
    assert "b" in state.resting(REACH)
    late = Cooldown(time.time() + 5, "quota")
    state._cooldowns.hear(["c", REACH, write_cooldown(late, time.time() - 60).decode()])
    assert state.cooldown("c", REACH) == late
