"""OpenAI as a provider of aigateway."""

from __future__ import annotations

from collections.abc import Iterable

from aigateway_core.plugin import ProviderSpec, hookimpl
from aigateway_openai.provider import OpenAIConfig, OpenAIProvider

__version__ = "0.1.0"
__all__ = ["OpenAIConfig", "OpenAIProvider"]


@hookimpl
def aigateway_register_providers() -> Iterable[ProviderSpec[OpenAIConfig]]:
    """Offer OpenAI."""
    yield ProviderSpec(name="openai", title="OpenAI", config=OpenAIConfig, build=OpenAIProvider, auth="api_key")
