"""Antigravity (Google's Cloud Code Assist) as a provider of aigateway."""

from __future__ import annotations

from collections.abc import Iterable

from aigateway_antigravity.config import AntigravityConfig, advice
from aigateway_antigravity.login import RISK, options
from aigateway_antigravity.provider import AntigravityProvider
from aigateway_core.plugin import ProviderSpec, hookimpl

__version__ = "0.1.0"
__all__ = ["AntigravityConfig", "AntigravityProvider"]


@hookimpl
def aigateway_register_providers() -> Iterable[ProviderSpec[AntigravityConfig]]:
    """Offer Antigravity. It waits for an OAuth client of the operator's."""
    yield ProviderSpec(
        name="antigravity",
        title="Antigravity",
        config=AntigravityConfig,
        build=AntigravityProvider,
        auth="oauth",
        auth_options=options,
        risk=RISK,
        advice=advice,
    )
