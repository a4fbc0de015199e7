"""Providers that are a table of facts over a known dialect: what they keep, and where they ask."""

from __future__ import annotations

import pytest

from aigateway_core.plugin import (
    AnthropicCompatibleConfig,
    AnthropicCompatibleProvider,
    GeminiCompatibleConfig,
    GeminiCompatibleProvider,
    OpenAICompatibleConfig,
    OpenAICompatibleProvider,
    Provider,
)
from aigateway_core.testing import (
    FakeUpstream,
    FakeVendor,
    ProviderConformance,
    Reply,
    anthropic_vendor,
    gemini_vendor,
    openai_chat_vendor,
)
from aigateway_core.testing.calls import events_of, question

HOST = "https://vendor.test"
GEMINI = GeminiCompatibleProvider(GeminiCompatibleConfig(base_url=f"{HOST}/", models=("gemini-3-pro",)))


class TestOpenAICompatible(ProviderConformance):
    @pytest.fixture
    def provider(self) -> Provider:
        return OpenAICompatibleProvider(OpenAICompatibleConfig(base_url=f"{HOST}/v1", models=("m",)))

    @pytest.fixture
    def vendor(self) -> FakeVendor:
        return openai_chat_vendor()


class TestAnthropicCompatible(ProviderConformance):
    @pytest.fixture
    def provider(self) -> Provider:
        return AnthropicCompatibleProvider(AnthropicCompatibleConfig(base_url=HOST, models=("claude-5",)))

    @pytest.fixture
    def vendor(self) -> FakeVendor:
        return anthropic_vendor()


class TestGeminiCompatible(ProviderConformance):
    @pytest.fixture
    def provider(self) -> Provider:
        return GEMINI

    @pytest.fixture
    def vendor(self) -> FakeVendor:
        return gemini_vendor()


@pytest.mark.anyio
async def test_a_gemini_vendor_is_asked_for_model_and_stream_in_the_url() -> None:
    vendor = gemini_vendor()
    upstream = FakeUpstream(Reply(vendor.text), Reply(vendor.text_stream), provider=GEMINI)
    request = question(GEMINI, vendor)
    await GEMINI.complete(request, upstream)
    await events_of(GEMINI, request, upstream)
    assert [str(each.url) for each in upstream.requests] == [
        f"{HOST}/v1beta/models/gemini-3-pro:generateContent",
        f"{HOST}/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse",
    ]


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-3-pro", "models/gemini-3-pro"),
        ("models/gemini-3-pro", "models/gemini-3-pro"),
        ("tunedModels/my-own", "tunedModels/my-own"),
        ("family/gemini-3-pro", "models/family%2Fgemini-3-pro"),
        ("models", "models/models"),
        ("../../admin", "models/..%2F..%2Fadmin"),
        ("x?key=1#y:z", "models/x%3Fkey%3D1%23y%3Az"),
    ],
)
def test_nothing_in_the_name_of_a_model_is_taken_for_a_part_of_the_url(model: str, path: str) -> None:
    endpoint = GEMINI.endpoint("gemini", "chat", model)
    assert endpoint is not None
    assert endpoint.url == f"{HOST}/v1beta/{path}:generateContent"
    assert endpoint.stream_url == f"{HOST}/v1beta/{path}:streamGenerateContent?alt=sse"


def test_what_the_configuration_says_of_a_header_is_said_once_whatever_its_case() -> None:
    config = AnthropicCompatibleConfig(base_url=HOST, headers={"Anthropic-Version": "2026-10-21", "X-Team": "a"})
    endpoint = AnthropicCompatibleProvider(config).endpoint("anthropic", "chat", "m")
    assert endpoint is not None
    assert dict(endpoint.headers) == {"anthropic-version": "2026-10-21", "x-team": "a"}
