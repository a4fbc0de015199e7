"""What is typed on the command line, and a gateway that runs meanwhile: Redis tells it."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
from core.resources.conftest import Guarded
from services.private_servers import Redis

from aigateway_core.bootstrap import House, assemble, first_look
from aigateway_core.live import LiveSnapshot
from aigateway_core.settings import load

pytestmark = [pytest.mark.anyio, pytest.mark.services]
Command = Callable[..., subprocess.CompletedProcess[str]]

CONFIG = """
redis: {{enabled: true, host: {host}, port: {port}}}
plugins: {{allowed: []}}
server: {{client_auth: required}}
providers:
  mine: {{kind: openai-compatible, base_url: 'http://127.0.0.1:9', models: [m-1]}}
"""


@pytest.fixture
async def gateway(home: Path, own_redis: Redis, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    """One that looks into the database once an hour: what it knows sooner, it was told."""
    defaults = {**(LiveSnapshot.__init__.__kwdefaults__ or {}), "interval": 3600.0}
    monkeypatch.setattr(LiveSnapshot.__init__, "__kwdefaults__", defaults)
    (home / "config.yaml").write_text(CONFIG.format(host=own_redis.host, port=own_redis.port))
    assembly = assemble(load(None))
    await first_look(assembly)
    house = House(assembly)
    await house.start()
    try:
        transport = httpx.ASGITransport(Guarded(house.app))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client
    finally:
        await house.stop()


async def test_a_key_that_is_made_and_revoked_is_known_within_a_second(
    gateway: httpx.AsyncClient, process: Command
) -> None:
    made = await asyncio.to_thread(process, "keys", "create", "laptop")
    key = made.stdout.strip()
    assert await seconds_until(gateway, key, 200) < 1.0
    revoked = await asyncio.to_thread(process, "keys", "revoke", key.split("_")[1])
    assert revoked.returncode == 0, revoked.stderr
    assert await seconds_until(gateway, key, 401) < 1.0


async def seconds_until(gateway: httpx.AsyncClient, key: str, status: int) -> float:
    """How long after the command has ended a request with this key is answered so."""
    began = time.monotonic()
    async with asyncio.timeout(10):
        while (await gateway.get("/v1/models", headers={"x-api-key": key})).status_code != status:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return time.monotonic() - began
