"""A Redis that dies as a connection to it is made: its backlog still takes connections, and then resets them."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from threaded_servers import resetting

from aigateway_core.state.address import RedisAddress
from aigateway_core.state.redis import RedisState

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """The two loops differ in what they raise for a connection that was lost before anything was written to it."""
    return "asyncio", {"use_uvloop": request.param}


async def test_d_12_a_redis_that_resets_every_connection_is_away_and_nothing_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with resetting() as port:
        for _ in range(30):
            state = RedisState(RedisAddress(port=port))
            await state.start()
            assert await asyncio.gather(*(state.token("p", "a") for _ in range(16))) == [None] * 16
            await state.aclose()
    told = {record.getMessage().partition(" (")[0] for record in caplog.records if record.levelno >= logging.WARNING}
    assert told == {f"Redis at localhost:{port} does not answer"}
