"""After every test of a fault, the gateway has to be as it was before: see :mod:`faults.watched_gateway`."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from faults.watched_gateway import WatchedGateway
from scripted_upstream import ScriptedUpstream


@pytest.fixture(scope="module")
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    """The server that plays the vendors of all tests of a file, and of their one gateway."""
    async with ScriptedUpstream() as made:
        yield made


@pytest.fixture
async def invariants(gateway: WatchedGateway) -> AsyncIterator[None]:
    """V1 to V10 of the catalogue of faults, after the test."""
    await gateway.begin()
    yield
    await gateway.check()


@pytest.fixture(autouse=True)
def invariants_hold(request: pytest.FixtureRequest) -> None:
    """Look over every ``gateway`` that can be: of tests that have one."""
    if "gateway" in request.fixturenames and isinstance(request.getfixturevalue("gateway"), WatchedGateway):
        request.getfixturevalue("invariants")
