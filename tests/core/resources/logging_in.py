"""Logging in at a house in-process: its settings, and the first half of a login."""

from __future__ import annotations

from typing import Any

import attrs
import httpx

from aigateway_core.secret import Secret
from aigateway_core.settings import ProviderSettings, SecuritySettings, Settings
from aigateway_core.testing import FakeIdentityProvider


def with_logins(settings: Settings, idp: FakeIdentityProvider) -> Settings:
    """``acme`` logs in; its vendor is away. ``other`` logs in at the same place."""
    acme = ProviderSettings(
        kind="openai-compatible",
        auth_strategy="oauth",
        auth_options={**idp.auth_options, "client_secret": Secret(idp.client_secret)},
        options={"base_url": "http://127.0.0.1:9", "models": ["m-1"]},
    )
    providers = {**settings.providers, "acme": acme, "other": acme}
    return attrs.evolve(
        settings, providers=providers, security=SecuritySettings(allow_private_hosts=frozenset({"127.0.0.1"}))
    )


async def begin(admin: httpx.AsyncClient, provider: str = "acme", **body: Any) -> dict[str, Any]:
    """What the admin API says of a login that was begun."""
    answer = await admin.post(f"/api/v1/oauth/{provider}/start", json=body)
    assert answer.status_code == 200, answer.text
    begun: dict[str, Any] = answer.json()
    return begun
