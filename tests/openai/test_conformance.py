"""OpenAI keeps what every provider has to keep."""

from __future__ import annotations

import pytest

from aigateway_core.plugin import Provider
from aigateway_core.testing import FakeVendor, ProviderConformance, openai_chat_vendor
from aigateway_openai import OpenAIConfig, OpenAIProvider


class TestOpenAI(ProviderConformance):
    @pytest.fixture
    def provider(self) -> Provider:
        return OpenAIProvider(OpenAIConfig())

    @pytest.fixture
    def vendor(self) -> FakeVendor:
        return openai_chat_vendor(model="gpt-4o")


class TestOpenAIReasoning(ProviderConformance):
    @pytest.fixture
    def provider(self) -> Provider:
        return OpenAIProvider(OpenAIConfig())

    @pytest.fixture
    def vendor(self) -> FakeVendor:
        return openai_chat_vendor(model="o4-mini")
