"""What a gateway that other machines can reach shows to nobody but an admin."""

from __future__ import annotations

import attrs
import httpx
import pytest

from aigateway_core.secret import Secret
from aigateway_core.settings import ServerSettings, Settings

pytestmark = pytest.mark.anyio

CLIENT_KEY = "c" * 20 + "lient-key-of-the-tests"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    keys = attrs.evolve(settings.keys, client=Secret(CLIENT_KEY))
    return attrs.evolve(settings, server=ServerSettings(host="0.0.0.0"), keys=keys)


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
async def test_it_asks_for_the_admin_key(client: httpx.AsyncClient, admin: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 401
    assert (await client.get(path, headers={"x-api-key": CLIENT_KEY})).status_code == 401
    assert (await admin.get(path)).status_code == 200


async def test_that_it_lives_is_for_everybody(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health")).status_code == 200
