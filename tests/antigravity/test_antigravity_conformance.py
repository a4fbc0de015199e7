"""Antigravity keeps what every provider has to keep."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

import attrs
import pytest
from cloud_code_streams import enveloped

from aigateway_antigravity import AntigravityConfig, AntigravityProvider
from aigateway_core.plugin import ChatRequest, ChatResponse, Provider, Secret, StreamEvent, Upstream
from aigateway_core.testing import FakeVendor, ProviderConformance, gemini_vendor

CONFIG = AntigravityConfig(
    oauth_client_id="client",
    oauth_client_secret=Secret("secret"),
    user_agent="tests/1.0",
    base_urls=("https://one-host.test",),
)


class WithAProject(AntigravityProvider):
    """Asked by accounts whose login has found their project."""

    async def complete(self, request: ChatRequest, upstream: Upstream) -> ChatResponse:
        upstream.metadata = {"project": "example-proj-1a2b3"}
        return await super().complete(request, upstream)

    async def stream(self, request: ChatRequest, upstream: Upstream) -> AsyncGenerator[StreamEvent, None]:
        upstream.metadata = {"project": "example-proj-1a2b3"}
        async with aclosing(super().stream(request, upstream)) as events:
            async for event in events:
                yield event


def cloud_code(model: str) -> FakeVendor:
    """Gemini's answers in Cloud Code's envelope; a whole one is the stream of it."""
    plain = gemini_vendor(model=model)
    text, call = enveloped(plain.text_stream), enveloped(plain.tool_call_stream)
    return attrs.evolve(
        plain, text=b"".join(text), text_stream=text, tool_call=b"".join(call), tool_call_stream=call, count=None
    )


class TestAntigravityWithGemini(ProviderConformance):
    @pytest.fixture
    def provider(self) -> Provider:
        return WithAProject(CONFIG)

    @pytest.fixture
    def vendor(self) -> FakeVendor:
        return cloud_code("gemini-3-flash")


class TestAntigravityWithClaude(ProviderConformance):
    @pytest.fixture
    def provider(self) -> Provider:
        return WithAProject(CONFIG)

    @pytest.fixture
    def vendor(self) -> FakeVendor:
        return cloud_code("claude-sonnet-4-6")


def test_the_envelope_holds_the_answer() -> None:
    [first, *_] = cloud_code("gemini-3-flash").text_stream
    piece = json.loads(first.removeprefix(b"data: "))
    assert piece.keys() == {"response", "traceId"}
