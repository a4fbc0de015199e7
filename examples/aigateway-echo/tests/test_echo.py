"""Echo, as its author tests it."""

from __future__ import annotations

import pytest

from aigateway_core.plugin import ChatRequest, Message, Provider, TextDelta, TextPart
from aigateway_core.testing import FakeUpstream, ProviderConformance
from aigateway_echo import EchoConfig, EchoProvider


class TestEcho(ProviderConformance):
    without = {"network": "Echo answers by itself", "tool_calls": "Echo only repeats"}

    @pytest.fixture
    def provider(self) -> Provider:
        return EchoProvider(EchoConfig())


def _heard(*messages: tuple[str, str]) -> ChatRequest:
    turns = tuple(Message("user" if who == "user" else "assistant", (TextPart(said),)) for who, said in messages)
    return ChatRequest(model="echo-1", messages=turns)


@pytest.mark.anyio
async def test_it_repeats_the_last_words_of_the_user() -> None:
    request = _heard(("user", "first"), ("assistant", "yes?"), ("user", "say  this\nagain"), ("assistant", "well"))
    response = await EchoProvider(EchoConfig()).complete(request, FakeUpstream())
    assert response.text == "say  this\nagain"
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (6, 3)


@pytest.mark.anyio
async def test_it_streams_word_by_word() -> None:
    events = EchoProvider(EchoConfig(delay=0.001)).stream(_heard(("user", "one two three")), FakeUpstream())
    assert [event.text async for event in events if isinstance(event, TextDelta)] == ["one", " two", " three"]


@pytest.mark.anyio
async def test_it_has_something_to_say_when_nothing_was_said() -> None:
    assert (await EchoProvider(EchoConfig()).complete(_heard(("user", " ")), FakeUpstream())).text == "…"
