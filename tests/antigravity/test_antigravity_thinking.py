"""How much the models are told to think, by clients of every API."""

from __future__ import annotations

from typing import Any

import pytest
from antigravity_clients import (
    CLAUDE,
    FLASH,
    LITE,
    OSS,
    PAINTER,
    assistant,
    by_anthropic,
    by_gemini,
    by_openai,
    claudes,
    config_of,
    content,
    find,
    function,
    natively,
    read,
    result,
    said,
    sent,
    system_of,
    text,
    think_of,
    thinking,
    thoughts_of,
    tool,
    use,
    user,
    wired,
)
from hypothesis import given
from hypothesis import strategies as st

from aigateway_antigravity.claude import BETWEEN_CALLS
from aigateway_antigravity.losses import losses
from aigateway_antigravity.models import Asked
from aigateway_antigravity.signatures import ThoughtMemory
from aigateway_antigravity.translation import body_of
from aigateway_core.plugin import Anthropic, ChatRequest, JsonObject, OpenAIChat, Reasoning


def enabled(budget: int) -> JsonObject:
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def budget_of(request: JsonObject) -> int | None:
    return (think_of(request) or {}).get("thinkingBudget")


# -- Claude


@pytest.mark.parametrize(
    ("most", "asked", "budget"),
    [
        pytest.param(32_000, 8192, 8192, id="T1 as asked"),
        pytest.param(8000, 16_000, 7999, id="T2 below the limit"),
        pytest.param(32_000, 500, 1024, id="T3 no less than the least"),
        pytest.param(900, 4000, None, id="T4 no room to think"),
        pytest.param(1025, 4000, 1024, id="just enough room"),
        pytest.param(200_000, 100_000, 63_999, id="no more than the most"),
    ],
)
def test_claudes_budget_fits_its_limit(most: int, asked: int, budget: int | None) -> None:
    request = by_anthropic(CLAUDE, max_tokens=most, **enabled(asked))
    assert config_of(request)["maxOutputTokens"] == min(most, 64_000)
    wanted = None if budget is None else {"includeThoughts": True, "thinkingBudget": budget}
    assert think_of(request) == wanted


def test_T3_a_budget_is_raised_for_clients_of_every_api() -> None:
    config = {"thinkingConfig": {"thinkingBudget": 500, "includeThoughts": True}}
    assert budget_of(by_gemini(CLAUDE, generationConfig=config)) == 1024


def test_T5_without_a_limit_claudes_own_is_written() -> None:
    request = by_openai(CLAUDE, reasoning_effort="low")
    assert config_of(request) == {
        "maxOutputTokens": 64_000,
        "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 1024},
    }
    assert "maxOutputTokens" not in config_of(by_openai(CLAUDE))


@pytest.mark.parametrize(
    ("fields", "budget"),
    [
        pytest.param({}, 24_576, id="T6 adaptive"),
        pytest.param({"output_config": {"effort": "medium"}}, 8192, id="T6 medium"),
        pytest.param({"output_config": {"effort": "max"}, "max_tokens": 64_000}, 62_976, id="T6 max"),
        pytest.param({"output_config": {"effort": "max"}, "max_tokens": 200_000}, 62_976, id="T6 max of all"),
        pytest.param({"max_tokens": 8192}, 7168, id="room is left for an answer"),
    ],
)
def test_claude_is_told_a_budget_and_never_a_level(fields: JsonObject, budget: int) -> None:
    request = by_anthropic(CLAUDE, thinking={"type": "adaptive"}, **fields)
    assert think_of(request) == {"includeThoughts": True, "thinkingBudget": budget}
    assert budget < config_of(request)["maxOutputTokens"] <= 64_000


@given(
    most=st.none() | st.integers(1, 10**6),
    budget=st.none() | st.integers(0, 10**6),
    effort=st.sampled_from([None, "none", "minimal", "low", "medium", "high", "xhigh", "max"]),
)
def test_whatever_is_asked_claudes_budget_is_legal(most: int | None, budget: int | None, effort: Any) -> None:
    body = sent(ChatRequest(model=CLAUDE, max_tokens=most, reasoning=Reasoning(effort, budget)), CLAUDE)
    thinking = think_of(body)
    assert config_of(body).get("maxOutputTokens", 0) <= 64_000
    room = min(most or 64_000, 64_000) - (1 if effort is None and budget is not None else 1024)
    assert (thinking is None) == (effort == "none" or room < 1024)
    if thinking is not None:
        assert 1024 <= thinking["thinkingBudget"] < config_of(body)["maxOutputTokens"]
        assert "thinkingLevel" not in thinking


def test_silence_and_no_are_no_thinking_for_claude() -> None:
    assert think_of(by_anthropic(CLAUDE)) is None
    assert think_of(by_anthropic(CLAUDE, thinking={"type": "disabled"})) is None
    assert think_of(by_openai(CLAUDE, reasoning_effort="none")) is None


def test_thinking_excludes_what_claude_refuses_beside_it() -> None:
    fields = {"temperature": 0.5, "top_p": 0.5, "top_k": 5}
    assert config_of(by_anthropic(CLAUDE, **fields, **enabled(2000))).keys() == {"maxOutputTokens", "thinkingConfig"}
    assert config_of(by_anthropic(CLAUDE, top_p=0.97, **enabled(2000)))["topP"] == 0.97
    without = config_of(by_anthropic(CLAUDE, **fields))
    assert (without["temperature"], without["topK"], "topP" in without) == (0.5, 5, False)
    assert config_of(by_openai(CLAUDE, temperature=1.5))["temperature"] == 1
    request = read(Anthropic(), {"max_tokens": 9000, "messages": [said("hi")], **fields, **enabled(2000)}, CLAUDE)
    assert set(losses(request, find(CLAUDE)).dropped) == {"temperature", "top_p", "top_k"}


def test_T11_claude_is_told_that_it_may_think_between_its_calls() -> None:
    both = by_anthropic(CLAUDE, system="Be brief.", tools=[tool()], **enabled(2000))
    assert system_of(both) == ["Be brief.", BETWEEN_CALLS]
    again = by_anthropic(CLAUDE, system=[text("Be brief."), text(BETWEEN_CALLS)], tools=[tool()], **enabled(2000))
    assert system_of(again) == ["Be brief.", BETWEEN_CALLS]
    assert system_of(by_anthropic(CLAUDE, tools=[tool()])) == []
    assert system_of(by_anthropic(CLAUDE, **enabled(2000))) == []
    assert system_of(by_anthropic(CLAUDE, tools=[tool()], tool_choice={"type": "none"}, **enabled(2000))) == []
    assert system_of(by_anthropic(FLASH, tools=[tool()], **enabled(2000))) == []


def test_T12_after_thinking_that_is_not_claudes_there_is_none() -> None:
    turns = [said("a"), assistant(thinking("hm"), text("b")), said("c")]
    request = by_anthropic(CLAUDE, *turns, **enabled(2000))
    assert thoughts_of(request) == []
    assert think_of(request) is None
    lost = losses(read(Anthropic(), {"max_tokens": 9000, "messages": turns, **enabled(2000)}, CLAUDE), find(CLAUDE))
    assert set(lost.dropped) == {"messages.thinking", "reasoning"}


def test_T12_a_turn_that_calls_without_having_thought_is_not_gone_on_with_in_thought() -> None:
    turns = [said("a"), assistant(use("t1")), user(result("t1"))]
    assert think_of(by_anthropic(CLAUDE, *turns, **enabled(2000))) is None
    assert think_of(by_anthropic(CLAUDE, *turns, assistant(text("b")), said("c"), **enabled(2000))) is not None


def test_T12_the_beginning_of_an_answer_does_not_hide_the_turn_that_is_gone_on_with() -> None:
    turns = [said("a"), assistant(use("t1")), user(result("t1")), assistant(text("Sure: "))]
    assert think_of(by_anthropic(CLAUDE, *turns, **enabled(2000))) is None


def test_signed_thinking_goes_on() -> None:
    turns = [said("a"), assistant(thinking("hm", claudes()), use("t1")), user(result("t1"))]
    request = by_anthropic(CLAUDE, *turns, **enabled(2000))
    assert thoughts_of(request) == [("hm", wired(claudes()))]
    assert budget_of(request) == 2000


# -- Gemini


@pytest.mark.parametrize("snake", [False, True])
def test_T7_level_or_budget_and_not_both(*, snake: bool) -> None:
    both = {"thinkingBudget": 512, "thinking_level": "HIGH", "include_thoughts": True}
    config = {"thinking_config" if snake else "thinkingConfig": both}
    request = natively(FLASH, **{"generation_config" if snake else "generationConfig": config})
    assert think_of(request) == {"includeThoughts": True, "thinkingLevel": "high"}
    older = natively("gemini-2.5-flash", generationConfig=config)
    assert think_of(older) == {"includeThoughts": True, "thinkingBudget": 512}


@pytest.mark.parametrize(
    ("model", "word", "wanted"),
    [
        pytest.param(FLASH, "auto", {"includeThoughts": True, "thinkingBudget": -1}, id="T8 auto"),
        pytest.param(LITE, "none", {"includeThoughts": False, "thinkingBudget": 0}, id="T8 none"),
        pytest.param(
            FLASH, "none", {"includeThoughts": False, "thinkingLevel": "minimal"}, id="T8 as little as may be"
        ),
        pytest.param(FLASH, "HIGH ", {"includeThoughts": True, "thinkingLevel": "high"}, id="T8 HIGH"),
        pytest.param("gemini-3.1-pro-low", "minimal", {"includeThoughts": True, "thinkingLevel": "low"}, id="nearest"),
        pytest.param(FLASH, "max", {"includeThoughts": True, "thinkingLevel": "high"}, id="the most there is"),
        pytest.param(CLAUDE, "auto", {"includeThoughts": True, "thinkingBudget": 24_576}, id="T8 Claude"),
    ],
)
def test_an_effort_word_says_how_much_is_thought(model: str, word: str, wanted: JsonObject) -> None:
    assert think_of(by_openai(model, reasoning_effort=word)) == wanted


def test_T9_thoughts_can_be_had_and_not_shown() -> None:
    config = {"thinkingConfig": {"includeThoughts": False, "thinkingLevel": "low"}}
    wanted = {"includeThoughts": False, "thinkingLevel": "low"}
    assert think_of(natively(FLASH, generationConfig=config)) == wanted
    assert think_of(by_gemini(FLASH, generationConfig=config)) == wanted


@pytest.mark.parametrize("model", [OSS, PAINTER])
def test_T10_a_model_that_cannot_think_is_not_asked_to(model: str) -> None:
    assert think_of(by_openai(model, reasoning_effort="high")) is None
    request = read(OpenAIChat(), {"messages": [said("hi")], "reasoning_effort": "high"}, model)
    assert "reasoning" in losses(request, find(model)).dropped
    if model == PAINTER:
        assert think_of(natively(model, generationConfig={"thinkingConfig": {"thinkingLevel": "low"}})) is None


def test_a_budget_for_a_model_that_is_told_levels_becomes_one() -> None:
    assert think_of(by_anthropic(FLASH, **enabled(8000))) == {"includeThoughts": True, "thinkingLevel": "medium"}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("claude-opus-4-6-thinking-low", {"includeThoughts": True, "thinkingBudget": 8192}),
        ("claude-opus-4-6-thinking(4096)", {"includeThoughts": True, "thinkingBudget": 4096}),
        ("gemini-3-flash-minimal", {"includeThoughts": True, "thinkingLevel": "minimal"}),
        ("gemini-3-flash(high)", {"includeThoughts": True, "thinkingLevel": "high"}),
    ],
)
def test_the_models_name_says_how_much_to_think_before_the_client_does(name: str, wanted: JsonObject) -> None:
    assert think_of(by_openai(name)) == wanted
    assert think_of(by_openai(name, reasoning_effort="medium")) == wanted


@pytest.mark.parametrize(
    ("name", "config", "wanted"),
    [
        ("gemini-3-flash-low", {}, {"includeThoughts": False, "thinkingLevel": "low"}),
        (
            "gemini-3-flash(high)",
            {"thinkingBudget": 100, "includeThoughts": True},
            {"includeThoughts": True, "thinkingLevel": "high"},
        ),
        ("gemini-3-flash(8000)", {}, {"includeThoughts": False, "thinkingLevel": "medium"}),
        ("gemini-3-flash", {"includeThoughts": True}, {"includeThoughts": True}),
    ],
)
def test_the_models_name_says_so_to_geminis_own_clients_too(name: str, config: JsonObject, wanted: JsonObject) -> None:
    given = natively(name, generationConfig={"thinkingConfig": config, "topK": 5})
    assert given["generationConfig"] == {"thinkingConfig": wanted, "topK": 5}
    if name != "gemini-3-flash":
        assert think_of(natively(name)) == {**wanted, "includeThoughts": False}


def test_sampling_that_the_models_refuse_is_left_out_and_said() -> None:
    fields = {"presence_penalty": 0.5, "frequency_penalty": 0.5, "seed": 7}
    request = read(OpenAIChat(), {"messages": [said("hi")], **fields}, FLASH)
    assert config_of(by_openai(FLASH, **fields)) == {"seed": 7}
    assert set(losses(request, find(FLASH)).dropped) == {"presence_penalty", "frequency_penalty"}
    assert config_of(by_openai(CLAUDE, **fields)) == {}
    assert set(losses(request, find(CLAUDE)).dropped) == set(fields)


def test_stop_texts_and_numbers_pass() -> None:
    config = config_of(by_openai(FLASH, stop=["END"], temperature=0.25, top_p=0.5, max_tokens=30_000))
    assert config == {"stopSequences": ["END"], "temperature": 0.25, "topP": 0.5, "maxOutputTokens": 30_000}


def test_stop_texts_of_white_space_are_no_use_to_claude() -> None:
    assert config_of(by_openai(CLAUDE, stop=["\n", "END"]))["stopSequences"] == ["END"]
    assert config_of(by_openai(FLASH, stop=["\n", "END"]))["stopSequences"] == ["\n", "END"]
    request = read(OpenAIChat(), {"messages": [said("hi")], "stop": "\n"}, CLAUDE)
    assert losses(request, find(CLAUDE)).dropped == ("stop",)


def test_nothing_is_lost_of_a_plain_request() -> None:
    fields: JsonObject = {"tools": [function()], "tool_choice": "auto", "reasoning_effort": "low", "max_tokens": 9000}
    request = read(OpenAIChat(), {"messages": [said("be brief", "system"), said("hi")], **fields}, CLAUDE)
    for model in (CLAUDE, FLASH):
        assert losses(request, find(model)).dropped == ()


def test_a_model_that_makes_pictures_is_told_everything_by_the_user() -> None:
    request = by_openai(PAINTER, said("be brief", "system"), said("a cat"), tools=[function()])
    assert request["contents"] == [content("be brief", "a cat")]
    assert request.keys() == {"contents", "generationConfig"}
    asked = Asked(model=find(PAINTER).model)
    body = read(OpenAIChat(), {"messages": [said("hi")], "tools": [function()]}, PAINTER)
    assert body_of(body, asked, ThoughtMemory(), "").keys() == {"contents", "generationConfig"}
    assert losses(body, asked).dropped == ("tools",)
