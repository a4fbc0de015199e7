"""A Redis that dies as a connection to it is made: its backlog still takes connections, and then resets them."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from aigateway_core.state.address import RedisAddress
from aigateway_core.state.redis import RedisState

pytestmark = pytest.mark.anyio

RESET = struct.pack("ii", 1, 0)
"""Do not linger: what is closed is reset."""


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """The two loops differ in what they raise for a connection that was lost before anything was written to it."""
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=reset_all, args=[server])
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def reset_all(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


async def test_d_12_a_redis_that_resets_every_connection_is_away_and_nothing_fails(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(30):
        state = RedisState(RedisAddress(port=port))
        await state.start()
        assert await asyncio.gather(*(state.token("p", "a") for _ in range(16))) == [None] * 16
        await state.aclose()
    told = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert {record.getMessage().partition(" (")[0] for record in told} == {f"Redis at localhost:{port} does not answer"}
