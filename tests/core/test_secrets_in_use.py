"""The log has to know every secret that is in use, wherever it came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from aigateway_core.bootstrap import COMMAND_LINE, House, administration, assemble, first_look
from aigateway_core.secret import Secret
from aigateway_core.settings import Settings, load

pytestmark = pytest.mark.anyio

ADMIN_KEY = "Jm3xQ0v9_tTzKp2LwB7RaYc5NdGhUeSiFoVq81WnXrM"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    file = tmp_path / "config.yaml"
    file.write_text("""
providers:
  vendor: {kind: openai-compatible, base_url: http://vendor.test, api_key: from-the-file}
plugins: {allowed: []}
""")
    environ = {
        "AIGATEWAY_ADMIN_KEY": ADMIN_KEY,
        "AIGATEWAY__DATABASE__PATH": str(tmp_path / "aigateway.db"),
        "AIGATEWAY__DATABASE__PASSWORD": "of-the-database",
    }
    return load(file, environ)


async def test_the_secrets_of_settings_and_accounts_are_known_as_soon_as_they_are_in_use(settings: Settings) -> None:
    assembly = assemble(settings)
    house = House(assembly)
    said = {Secret(ADMIN_KEY), Secret("of-the-database"), Secret("from-the-file")}
    assert set(house.secrets()) == said
    await first_look(assembly)
    async with administration(assembly) as office:
        await office.accounts.create({"provider_id": "vendor", "auth_data": {"api_key": "stored"}}, COMMAND_LINE)
    await house.start()
    try:
        assert set(house.secrets()) == said | {Secret("stored")}
        assert house.secrets() is house.secrets()
    finally:
        await house.stop()
