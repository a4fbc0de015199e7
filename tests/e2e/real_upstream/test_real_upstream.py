"""Both official SDKs through the gateway, against a server that nobody here wrote."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest
from e2e.anthropic_talker import AnthropicTalker
from e2e.gateway_process import GatewayProcess
from e2e.house import TARGETS, Target
from e2e.openai_talker import OpenAITalker
from e2e.talkers import MODES, Mode, Talker, ToolSpec

TOOLS = [ToolSpec(name="clock", arguments=("tz",)), ToolSpec(name="weather", arguments=("city",))]

everywhere = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.provider)
in_each_dialect = pytest.mark.parametrize("dialect", ["openai-chat", "anthropic"])
in_each_mode = pytest.mark.parametrize("mode", MODES)


@pytest.fixture
def talker(
    target: Target, dialect: str, mode: Mode, openai_client: openai.OpenAI, anthropic_client: anthropic.Anthropic
) -> Talker:
    if dialect == "openai-chat":
        return OpenAITalker(openai_client, target.model, mode, system="Be kind", tools=TOOLS)
    thinking: dict[str, Any] = {"thinking": {"type": "enabled", "budget_tokens": 2048}}
    return AnthropicTalker(anthropic_client, target.model, mode, system="Be kind", tools=TOOLS, **thinking)


@everywhere
@in_each_dialect
@in_each_mode
def test_a_conversation_with_tools(talker: Talker, target: Target, dialect: str, gateway: GatewayProcess) -> None:
    mark = gateway.mark()
    hello = talker.say("hello")
    assert (hello.text, hello.finish) == ("Hello from a server that nobody here wrote, wörld 日本 🎉", "stop")
    asked = talker.say("What time is it in Oslo?")
    assert (asked.text, asked.finish) == ("Let me look.", "tools")
    assert [(call.name, call.arguments) for call in asked.calls] == [
        ("clock", {"tz": "Europe/Oslo"}),
        ("weather", {"city": "Ålesund"}),
    ]
    told = talker.answer({call.id: "noon" for call in asked.calls})
    assert (told.text, told.finish) == ("It is noon, and it snows.", "stop")
    assert {reply.model for reply in (hello, asked, told)} == {target.model}
    for row in gateway.rows(mark, 3):
        assert (row["outcome"], row["native"]) == ("ok", dialect == target.dialect)


@pytest.mark.parametrize("target", [one for one in TARGETS if one.provider != "openai"], ids=lambda one: one.provider)
@in_each_dialect
@in_each_mode
def test_thinking_is_shown(talker: Talker) -> None:
    reply = talker.say("think")
    assert (reply.thinking, reply.text) == ("Let me see, wörld 日本.", "I have thought.")


@everywhere
def test_a_refusal_is_put_into_the_words_of_the_client(
    target: Target, openai_client: openai.OpenAI, anthropic_client: anthropic.Anthropic
) -> None:
    # The second question does not even reach the vendor: its only account rests.
    with pytest.raises(openai.RateLimitError):
        OpenAITalker(openai_client, target.model, "whole").say("too often")
    with pytest.raises(anthropic.RateLimitError):
        AnthropicTalker(anthropic_client, target.model, "whole").say("too often")
