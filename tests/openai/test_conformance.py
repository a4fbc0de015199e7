"""OpenAI keeps what every provider has to keep, over both of its APIs."""

from __future__ import annotations

import pytest

from aigateway_core.plugin import Provider
from aigateway_core.testing import FakeVendor, ProviderConformance, openai_chat_vendor, openai_responses_vendor
from aigateway_openai import OpenAIConfig, OpenAIProvider


class TestOpenAI(ProviderConformance):
    @pytest.fixture
    def provider(self) -> Provider:
        return OpenAIProvider(OpenAIConfig())

    @pytest.fixture
    def vendor(self) -> FakeVendor:
        return openai_chat_vendor(model="gpt-4o")


class TestOpenAIReasoning(ProviderConformance):
    """Over Responses, which serves the models that reason."""

    @pytest.fixture
    def provider(self) -> Provider:
        return OpenAIProvider(OpenAIConfig())

    @pytest.fixture
    def vendor(self) -> FakeVendor:
        return openai_responses_vendor(model="o4-mini")


class TestOpenAIWithChatAlone(ProviderConformance):
    @pytest.fixture
    def provider(self) -> Provider:
        return OpenAIProvider(OpenAIConfig(wires=("chat",)))

    @pytest.fixture
    def vendor(self) -> FakeVendor:
        return openai_chat_vendor(model="o4-mini")
