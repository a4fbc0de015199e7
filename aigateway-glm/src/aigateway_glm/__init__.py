"""GLM (Zhipu, Z.ai) as a provider of aigateway."""

from __future__ import annotations

from collections.abc import Iterable

from aigateway_core.plugin import AuthStrategySpec, ProviderSpec, hookimpl
from aigateway_glm.auth import SigningOptions, SigningStrategy
from aigateway_glm.provider import GLMConfig, GLMProvider

__version__ = "0.1.0"
__all__ = ["GLMConfig", "GLMProvider"]


@hookimpl
def aigateway_register_providers() -> Iterable[ProviderSpec[GLMConfig]]:
    """Offer GLM."""
    yield ProviderSpec(name="glm", title="Zhipu GLM", config=GLMConfig, build=GLMProvider, auth="bearer")


@hookimpl
def aigateway_register_auth_strategies() -> Iterable[AuthStrategySpec[SigningOptions]]:
    """Offer ``glm_jwt``, for those who would rather not send their key."""
    yield AuthStrategySpec(name="glm_jwt", config=SigningOptions, build=SigningStrategy)
