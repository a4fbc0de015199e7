from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import pytest
from core.state.state_contract import StateContract
from services.private_servers import Redis

from aigateway_core.state.address import RedisAddress
from aigateway_core.state.redis import RedisState

pytestmark = pytest.mark.services


@pytest.fixture
def prefix() -> str:
    """Keys of this test's own."""
    return f"{secrets.token_hex(4)}:"


def worker(server: Redis, prefix: str) -> RedisState:
    # What Redis promises is asked here, not how long a busy machine lets it wait.
    return RedisState(RedisAddress(host=server.host, port=server.port), prefix, limit=10)


class TestRedisState(StateContract):
    @pytest.fixture
    async def state(self, redis_server: Redis, prefix: str) -> AsyncIterator[RedisState]:
        state = worker(redis_server, prefix)
        await state.start()
        yield state
        await state.aclose()

    @pytest.fixture
    async def other(self, redis_server: Redis, prefix: str) -> AsyncIterator[RedisState]:
        other = worker(redis_server, prefix)
        await other.start()
        yield other
        await other.aclose()
