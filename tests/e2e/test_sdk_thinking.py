"""Thinking: shown where the vendor shows it, sent back where the vendor wants it back, and never to another vendor."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest
from e2e.anthropic_talker import AnthropicTalker
from e2e.gateway_process import GatewayProcess
from e2e.house import Vendors
from e2e.openai_talker import OpenAITalker
from e2e.talkers import MODES, Mode, ToolSpec

CLOCK = ToolSpec(name="clock", arguments=("tz",))
ENABLED = {"type": "enabled", "budget_tokens": 2048}
ASK = 'use the tool clock with {"tz": "UTC"}'

in_each_mode = pytest.mark.parametrize("mode", MODES)


@in_each_mode
@pytest.mark.parametrize("model", ["claude-sonnet-5", "glm-4.6"])
def test_the_anthropic_sdk_sees_thinking_and_sends_it_back(
    model: str, mode: Mode, anthropic_client: anthropic.Anthropic
) -> None:
    talker = AnthropicTalker(anthropic_client, model, mode, tools=[CLOCK], thinking=ENABLED)
    asked = talker.say(ASK)
    assert asked.thinking == f"Thinking about: {ASK}"
    told = talker.answer({asked.calls[0].id: "noon"})
    assert (told.text, told.thinking) == ("The tool answered: noon", "Thinking about: noon")


@in_each_mode
def test_glm_gets_its_own_thinking_back(mode: Mode, anthropic_client: anthropic.Anthropic, vendors: Vendors) -> None:
    talker = AnthropicTalker(anthropic_client, "glm-4.6", mode, tools=[CLOCK], thinking=ENABLED)
    asked = talker.say(ASK)
    talker.answer({asked.calls[0].id: "noon"})
    assistant = vendors.glm.exchanges[-1].json["messages"][1]
    assert assistant["reasoning_content"] == asked.thinking


@in_each_mode
def test_thinking_that_is_not_shown_comes_back_with_its_signature(
    mode: Mode, anthropic_client: anthropic.Anthropic
) -> None:
    thinking = {"type": "adaptive", "display": "omitted"}
    talker = AnthropicTalker(anthropic_client, "claude-sonnet-5", mode, tools=[CLOCK], thinking=thinking)
    asked = talker.say(ASK)
    assert asked.thinking == ""
    assert talker.answer({asked.calls[0].id: "noon"}).text == "The tool answered: noon"


@in_each_mode
@pytest.mark.parametrize(
    ("model", "options", "shown"),
    [
        ("gpt-5", {"reasoning_effort": "low"}, False),
        ("glm-4.7", {}, True),
        ("claude-sonnet-5", {"reasoning_effort": "medium"}, True),
        ("beta-large", {"reasoning_effort": "high"}, True),
    ],
)
def test_the_openai_sdk_with_thinking_models(
    model: str,
    options: dict[str, Any],
    shown: bool,
    mode: Mode,
    openai_client: openai.OpenAI,
    gateway: GatewayProcess,
) -> None:
    mark = gateway.mark()
    talker = OpenAITalker(openai_client, model, mode, tools=[CLOCK], **options)
    asked = talker.say(ASK)
    assert asked.thinking == (f"Thinking about: {ASK}" if shown else "")
    assert talker.answer({asked.calls[0].id: "noon"}).text == "The tool answered: noon"
    first, _ = gateway.rows(mark, 2)
    assert first["reasoning_tokens"] == len(f"Thinking about: {ASK}".split())


@in_each_mode
@pytest.mark.parametrize("model", ["gpt-5", "gpt-4o", "beta-large"])
@pytest.mark.parametrize("thinking", [ENABLED, {"type": "adaptive"}], ids=["enabled", "adaptive"])
def test_a_client_that_always_asks_for_thinking_is_answered_by_every_model(
    model: str, thinking: dict[str, Any], mode: Mode, anthropic_client: anthropic.Anthropic
) -> None:
    talker = AnthropicTalker(anthropic_client, model, mode, tools=[CLOCK], thinking=thinking)
    asked = talker.say(ASK)
    assert talker.answer({asked.calls[0].id: "noon"}).text == "The tool answered: noon"


@in_each_mode
def test_a_conversation_that_changes_vendors_takes_no_foreign_thinking_along(
    mode: Mode, anthropic_client: anthropic.Anthropic
) -> None:
    talker = AnthropicTalker(anthropic_client, "glm-4.6", mode, tools=[CLOCK], thinking=ENABLED)
    asked = talker.say(ASK)
    talker.answer({asked.calls[0].id: "noon"})
    for model, turn in (("claude-sonnet-5", 2), ("gpt-5", 3), ("glm-4.6", 4), ("claude-sonnet-5", 5)):
        talker.switch(model)
        assert talker.say("and now?").text == f"echo: and now? [turn {turn}]"


def test_thinking_counts_as_output_once(anthropic_client: anthropic.Anthropic, vendors: Vendors) -> None:
    talker = AnthropicTalker(anthropic_client, "glm-4.6", "whole", thinking=ENABLED)
    reply = talker.say("hello")
    answer = vendors.glm.exchanges[-1].answer
    assert answer is not None
    assert reply.output_tokens == answer.output_tokens
