"""Provider kinds that are configuration alone: any vendor that speaks a known dialect, without a plugin."""

from __future__ import annotations

from typing import Any

from aigateway_core.plugin import (
    AnthropicCompatibleConfig,
    AnthropicCompatibleProvider,
    GeminiCompatibleConfig,
    GeminiCompatibleProvider,
    OpenAIChat,
    OpenAIChatProfile,
    OpenAICompatibleConfig,
    OpenAICompatibleProvider,
    OpenAIResponses,
    OpenAIResponsesProfile,
    ProviderSpec,
    hookimpl,
)


class _OpenAICompatible(OpenAICompatibleProvider):
    """Any server of this wire: it is asked in the words that all of them know, old ones included."""

    dialect = OpenAIChat(OpenAIChatProfile(max_tokens_field="max_tokens"))
    # Encrypted reasoning of such a server is not for OpenAI.
    responses = OpenAIResponses(OpenAIResponsesProfile(origin="openai-compatible"))


@hookimpl
def aigateway_register_providers() -> tuple[ProviderSpec[Any], ...]:
    """Offer ``openai-compatible``, ``anthropic-compatible`` and ``gemini-compatible``."""
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
            build=AnthropicCompatibleProvider,
            auth_options={"header": "x-api-key", "prefix": ""},
        ),
        ProviderSpec(
            name="gemini-compatible",
            title="any vendor with a Gemini-like API",
            config=GeminiCompatibleConfig,
            build=GeminiCompatibleProvider,
            auth_options={"header": "x-goog-api-key", "prefix": ""},
        ),
    )
