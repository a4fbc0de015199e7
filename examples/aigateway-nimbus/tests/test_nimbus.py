"""Nimbus, as its author tests it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from aigateway_core.plugin import ChatRequest, Message, Provider, TextPart
from aigateway_core.testing import FakeUpstream, FakeVendor, ProviderConformance, Reply, openai_chat_vendor
from aigateway_nimbus import NimbusConfig, NimbusProvider


class TestNimbus(ProviderConformance):
    @pytest.fixture
    def provider(self) -> Provider:
        return NimbusProvider(NimbusConfig())

    @pytest.fixture
    def vendor(self) -> FakeVendor:
        return openai_chat_vendor()


@pytest.mark.anyio
async def test_its_own_name_for_the_limit_is_used(fake_upstream: Callable[..., FakeUpstream]) -> None:
    upstream = fake_upstream(Reply(openai_chat_vendor().text))
    request = ChatRequest(model="nimbus-2", messages=(Message("user", (TextPart("Hi"),)),), max_tokens=7)
    await NimbusProvider(NimbusConfig()).complete(request, upstream)
    [sent] = upstream.requests
    assert str(sent.url) == "https://api.nimbus.example/v1/chat/completions"
    assert json.loads(sent.content)["max_tokens"] == 7
