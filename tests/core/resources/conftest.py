"""A whole gateway over a database of its own, asked in-process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from core.contract import check
from core.guarded import Guarded

from aigateway_core.bootstrap import House, assemble, first_look
from aigateway_core.secret import Secret
from aigateway_core.settings import (
    DatabaseSettings,
    KeySettings,
    PluginsSettings,
    ProviderSettings,
    RecordingSettings,
    Settings,
)

ADMIN_KEY = "a" * 20 + "dmin-key-of-the-tests"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Two providers without any network behind them; one has an account in the configuration."""
    nowhere = {"base_url": "http://127.0.0.1:9", "models": ["m-1"]}
    return Settings(
        database=DatabaseSettings(path=tmp_path / "gateway.db"),
        keys=KeySettings(admin=Secret(ADMIN_KEY)),
        plugins=PluginsSettings(allowed=frozenset()),
        recording=RecordingSettings(flush_interval=0.01),
        providers={
            "acme": ProviderSettings(kind="openai-compatible", options=nowhere),
            "config-only": ProviderSettings(
                kind="anthropic-compatible",
                api_key=Secret("key-in-the-file-0001"),
                options={**nowhere, "models": ["m-2"]},
            ),
        },
    )


@pytest.fixture
async def house(settings: Settings) -> AsyncIterator[House]:
    """The gateway, running."""
    assembly = assemble(settings)
    await first_look(assembly)
    house = House(assembly)
    await house.start()
    yield house
    await house.stop()


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    """Asks it without any key; what it answers is held against the document."""
    transport = httpx.ASGITransport(Guarded(house.app))
    hooks = {"response": [check]}
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", event_hooks=hooks) as client:
        yield client


@pytest.fixture
async def admin(house: House) -> AsyncIterator[httpx.AsyncClient]:
    """Asks it with the admin key; what it answers is held against the document."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(Guarded(house.app)),
        base_url="http://localhost",
        headers={"authorization": f"Bearer {ADMIN_KEY}"},
        event_hooks={"response": [check]},
    ) as client:
        yield client
