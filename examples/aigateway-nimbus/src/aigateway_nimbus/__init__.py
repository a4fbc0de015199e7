"""Nimbus's models, for aigateway. Nimbus speaks OpenAI's Chat Completions, but for the name of one field."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from aigateway_core.plugin import (
    ModelInfo,
    OpenAIChat,
    OpenAIChatProfile,
    OpenAICompatibleConfig,
    OpenAICompatibleProvider,
    ProviderSpec,
    hookimpl,
)


@attrs.frozen(kw_only=True)
class NimbusConfig(OpenAICompatibleConfig):
    """Where Nimbus is."""

    base_url: str = "https://api.nimbus.example/v1"


class NimbusProvider(OpenAICompatibleProvider):
    """A table of facts."""

    dialect = OpenAIChat(OpenAIChatProfile(max_tokens_field="max_tokens"))
    known_models = (ModelInfo(id="nimbus-2", context_window=128_000, max_output_tokens=8_192),)
    known_patterns = ("nimbus-*",)


@hookimpl
def aigateway_register_providers() -> Iterable[ProviderSpec[NimbusConfig]]:
    """Offer Nimbus."""
    yield ProviderSpec(name="nimbus", title="Nimbus", config=NimbusConfig, build=NimbusProvider, auth="bearer")
