"""What every test may use."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from scripted_upstream import ScriptedUpstream

pytest_plugins = ("services.private_servers",)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio, as the gateway does."""
    return "asyncio"


@pytest.fixture
async def scripted_upstream() -> AsyncIterator[ScriptedUpstream]:
    """A server that answers by script, byte for byte: see :mod:`scripted_upstream`."""
    async with ScriptedUpstream() as upstream:
        yield upstream
