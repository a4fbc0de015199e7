"""What every test may use."""

from __future__ import annotations

import pytest

pytest_plugins = ("services.private_servers",)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio, as the gateway does."""
    return "asyncio"
