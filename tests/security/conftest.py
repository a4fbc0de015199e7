"""Gateways to knock at, once for each module since nobody changes them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from core.server.conftest import serving as serving
from security.doors import Door, opened, settings_in


@pytest.fixture(scope="module")
async def public(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    """One that other machines can reach."""
    async with opened(settings_in(tmp_path_factory.mktemp("public"))) as door:
        yield door


@pytest.fixture(scope="module")
async def local(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    """One that only this machine can reach."""
    async with opened(settings_in(tmp_path_factory.mktemp("local"), host="127.0.0.1")) as door:
        yield door
