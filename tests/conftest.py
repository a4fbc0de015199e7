"""What every test may use."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, settings
from scripted_upstream import ScriptedUpstream

# How fast the machine is says nothing about what is tested; and what a run finds, the next one finds again: by day the
# examples are always the same, new ones are drawn at night (CONTRIBUTING.md).
settings.register_profile(
    "any-machine",
    deadline=None,
    derandomize=os.environ.get("AIGATEWAY_TEST_PROFILE") != "nightly",
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("any-machine")

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


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--requests", type=int, default=2000, help="how many requests a soak asks (services/test_soak.py)")
    parser.addoption("--minutes", type=float, default=0.06, help="how long a soak keeps its pace")
    parser.addoption("--share", type=float, default=0.7, help="that pace, as a share of what was measured before")
