"""Provider kinds that are configuration alone: any vendor that speaks a known dialect, without a plugin."""

from __future__ import annotations

from typing import Any

import attrs

from aigateway_core.plugin import (
    AnthropicCompatibleConfig,
    AnthropicCompatibleProvider,
    OpenAIChat,
    OpenAIChatProfile,
    OpenAICompatibleConfig,
    OpenAICompatibleProvider,
    OpenAIResponses,
    OpenAIResponsesProfile,
    ProviderSpec,
    hookimpl,
)

ANTHROPIC_VERSION = "2023-06-01"
"""What the header ``anthropic-version`` says unless the configuration says otherwise: the API asks for it."""


def _anthropic(config: AnthropicCompatibleConfig) -> AnthropicCompatibleProvider:
    headers = {name.lower(): value for name, value in config.headers.items()}
    return AnthropicCompatibleProvider(
        attrs.evolve(config, headers={"anthropic-version": ANTHROPIC_VERSION, **headers})
    )


class _OpenAICompatible(OpenAICompatibleProvider):
    """Any server of this wire: it is asked in the words that all of them know, old ones included."""

    dialect = OpenAIChat(OpenAIChatProfile(max_tokens_field="max_tokens"))
    # Encrypted reasoning of such a server is not for OpenAI.
    responses = OpenAIResponses(OpenAIResponsesProfile(origin="openai-compatible"))


@hookimpl
def aigateway_register_providers() -> tuple[ProviderSpec[Any], ...]:
    """Offer ``openai-compatible`` and ``anthropic-compatible``."""
    return (
        ProviderSpec(
            name="openai-compatible",
            title="any vendor with an OpenAI-like API",
            config=OpenAICompatibleConfig,
            build=_OpenAICompatible,
        ),
        ProviderSpec(
            name="anthropic-compatible",
            title="any vendor with an Anthropic-like API",
            config=AnthropicCompatibleConfig,
            build=_anthropic,
            auth_options={"header": "x-api-key", "prefix": ""},
        ),
    )
