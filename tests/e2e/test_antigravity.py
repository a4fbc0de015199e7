"""Antigravity through the official SDKs, with people who log in, behind a fake that is as strict as Google's API."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import anthropic
import openai
import pytest
from e2e.anthropic_talker import AnthropicTalker
from e2e.cloud_house import log_in, section
from e2e.fakes import cloud_code_errors
from e2e.fakes.cloud_code import FakeCloudCode
from e2e.gateway_process import CLIENT_KEY, GatewayProcess
from e2e.gemini_talker import GeminiTalker
from e2e.openai_talker import OpenAITalker
from e2e.responses_talker import ResponsesTalker
from e2e.talkers import PIXEL, Mode, Talker, ToolSpec
from google import genai
from google.genai import types

from aigateway_core.testing import FakeIdentityProvider

CLAUDE, SONNET, FLASH, PRO = "claude-opus-4-6-thinking", "claude-sonnet-4-6", "gemini-3-flash", "gemini-pro-agent"
OSS = "gpt-oss-120b-medium"
CLOCK = ToolSpec(name="clock", arguments=("tz",))
IDLE = ToolSpec(name="idle")
WEATHER = ToolSpec(name="weather", arguments=("city",))
TOOLS = [CLOCK, IDLE, WEATHER]
ASK = 'use the tool clock with {"tz": "Europe/Zürich \\"CH\\""}'
BOTH = 'use the tool clock with {"tz": "UTC"} and use the tool weather with {"city": "Oslo"}'
STEPS = 'use the tool idle with {} then use the tool weather with {"city": "Oslo"}'


@pytest.fixture(scope="module")
def gateway(cloud_gateway: GatewayProcess) -> GatewayProcess:
    return cloud_gateway


MakeTalker = Callable[..., Talker]


@pytest.fixture
def talkers(gateway: GatewayProcess) -> Iterator[dict[str, MakeTalker]]:
    with _sdks(gateway) as talkers:
        yield talkers


@contextmanager
def _sdks(gateway: GatewayProcess) -> Iterator[dict[str, MakeTalker]]:
    options = types.HttpOptions(base_url=gateway.url, api_version="v1beta", timeout=30_000)
    with (
        openai.OpenAI(api_key=CLIENT_KEY, base_url=f"{gateway.url}/v1", max_retries=0, timeout=30) as openai_client,
        anthropic.Anthropic(api_key=CLIENT_KEY, base_url=gateway.url, max_retries=0, timeout=30) as anthropic_client,
        genai.Client(api_key=CLIENT_KEY, http_options=options) as google,
    ):
        yield _makers(openai_client, anthropic_client, google)


def _makers(
    openai_client: openai.OpenAI, anthropic_client: anthropic.Anthropic, google: genai.Client
) -> dict[str, MakeTalker]:
    """Who talks by which SDK, with tools, and thinking where it is wished for."""

    def by_anthropic(model: str, mode: Mode, *, thinking: bool, **more: Any) -> Talker:
        wish = {"thinking": {"type": "enabled", "budget_tokens": 2048}} if thinking else {}
        return AnthropicTalker(anthropic_client, model, mode, system="Be kind", tools=TOOLS, **wish, **more)

    def by_openai(model: str, mode: Mode, *, thinking: bool, **more: Any) -> Talker:
        wish = {"reasoning_effort": "medium"} if thinking else {}
        return OpenAITalker(openai_client, model, mode, system="Be kind", tools=TOOLS, **wish, **more)

    def by_responses(model: str, mode: Mode, *, thinking: bool, **more: Any) -> Talker:
        shown = {"effort": "medium", "summary": "auto"}
        wish = {"reasoning": shown, "include": ["reasoning.encrypted_content"]} if thinking else {}
        return ResponsesTalker(openai_client, model, mode, system="Be kind", tools=TOOLS, **wish, **more)

    def by_google(model: str, mode: Mode, *, thinking: bool, **more: Any) -> Talker:
        wish = {"thinking_config": types.ThinkingConfig(include_thoughts=True)} if thinking else {}
        return GeminiTalker(google, model, mode, system="Be kind", tools=TOOLS, **wish, **more)

    return {"anthropic": by_anthropic, "chat": by_openai, "responses": by_responses, "google": by_google}


def converse(talker: Talker, model: str) -> list[str]:
    """Several turns with single, parallel and successive calls; what was thought before each answer."""
    hello = talker.say("hello, wörld 日本 🎉")
    # A Claude that thinks and has tools is told more than the client's system prompt.
    assert hello.text.startswith("echo: hello, wörld 日本 🎉 [system: Be kind")
    assert hello.text.endswith("] [turn 1]")
    assert hello.finish == "stop"
    asked = talker.say(ASK)
    assert (asked.text, asked.finish) == ("Calling clock.", "tools")
    assert [(call.name, call.arguments) for call in asked.calls] == [("clock", {"tz": 'Europe/Zürich "CH"'})]
    told = talker.answer({asked.calls[0].id: "noon"})
    assert (told.text, told.finish) == ("The tool answered: noon", "stop")
    both = talker.say(BOTH)
    assert [(call.name, call.arguments) for call in both.calls] == [
        ("clock", {"tz": "UTC"}),
        ("weather", {"city": "Oslo"}),
    ]
    # Clients answer parallel calls in whatever order the tools come back.
    talker.answer({both.calls[1].id: "snow", both.calls[0].id: "midnight"})
    idle = talker.say(STEPS)
    assert [(call.name, call.arguments) for call in idle.calls] == [("idle", {})]
    next_step = talker.answer({idle.calls[0].id: "done"})
    assert [(call.name, call.arguments) for call in next_step.calls] == [("weather", {"city": "Oslo"})]
    last = talker.answer({next_step.calls[0].id: "snow"})
    assert last.text == "The tool answered: snow"
    assert {reply.model for reply in (hello, asked, told, both, idle, last)} == {model}
    return [reply.thinking for reply in (hello, asked, told, both, idle, next_step, last)]


@pytest.mark.parametrize(("mode", "thinking"), [("whole", True), ("stream", True), ("helper", True), ("stream", False)])
@pytest.mark.parametrize(
    ("who", "model"),
    [
        ("anthropic", CLAUDE),
        ("anthropic", FLASH),
        ("chat", CLAUDE),
        ("chat", FLASH),
        ("responses", CLAUDE),
        ("responses", FLASH),
    ],
)
def test_a_conversation_with_tools(
    who: str, model: str, thinking: bool, mode: Mode, talkers: dict[str, MakeTalker], cloud: FakeCloudCode
) -> None:
    _hold(who, model, thinking, mode, talkers, cloud)


@pytest.mark.parametrize(("mode", "thinking"), [("whole", True), ("stream", True), ("stream", False)])
@pytest.mark.parametrize("model", [FLASH, PRO, SONNET])
def test_a_conversation_by_googles_sdk(
    model: str, thinking: bool, mode: Mode, talkers: dict[str, MakeTalker], cloud: FakeCloudCode
) -> None:
    _hold("google", model, thinking, mode, talkers, cloud)


def _hold(
    who: str, model: str, thinking: bool, mode: Mode, talkers: dict[str, MakeTalker], cloud: FakeCloudCode
) -> None:
    seen = len(cloud.sessions(model))
    thoughts = converse(talkers[who](model, mode, thinking=thinking), model)
    assert all(thoughts) if thinking else not any(thoughts)
    asked = cloud.sessions(model)[seen:]
    assert len(asked) == 8
    assert len(set(asked)) == 1


def test_a_model_without_thinking_is_asked_without_any(talkers: dict[str, MakeTalker]) -> None:
    assert not any(converse(talkers["chat"](OSS, "stream", thinking=True), OSS))


@pytest.mark.parametrize("who", ["anthropic", "chat", "responses", "google"])
@pytest.mark.parametrize("model", [CLAUDE, FLASH])
def test_pictures_are_seen(who: str, model: str, talkers: dict[str, MakeTalker]) -> None:
    reply = talkers[who](model, "stream", thinking=False).say("look", images=[PIXEL, PIXEL])
    assert reply.text == "echo: look [system: Be kind] [images: 2] [turn 1]"


@pytest.mark.parametrize("who", ["anthropic", "chat", "google"])
@pytest.mark.parametrize("model", [CLAUDE, FLASH])
def test_what_the_vendor_filters_is_told(who: str, model: str, talkers: dict[str, MakeTalker]) -> None:
    assert talkers[who](model, "stream", thinking=False).say("say something unsafe").finish == "filter"


def test_a_conversation_goes_from_one_family_to_the_other_and_back(anthropic_client: anthropic.Anthropic) -> None:
    wish = {"thinking": {"type": "enabled", "budget_tokens": 2048}}
    talker = AnthropicTalker(anthropic_client, CLAUDE, "stream", tools=TOOLS, **wish)
    for turn, model in enumerate((CLAUDE, FLASH, SONNET, OSS, PRO, CLAUDE)):
        talker.switch(model)
        asked = talker.say(ASK)
        assert talker.answer({asked.calls[0].id: f"noon {turn}"}).text == f"The tool answered: noon {turn}"


@pytest.mark.parametrize("mode", ["whole", "stream"])
@pytest.mark.parametrize("who", ["anthropic", "chat", "google"])
@pytest.mark.parametrize("model", [CLAUDE, FLASH])
def test_what_was_used_is_counted_once(
    who: str, model: str, mode: Mode, talkers: dict[str, MakeTalker], cloud: FakeCloudCode, gateway: GatewayProcess
) -> None:
    mark = gateway.mark()
    reply = talkers[who](model, mode, thinking=True).say("count me")
    answer = cloud.exchanges[-1].answer
    assert answer is not None
    assert (reply.input_tokens, reply.output_tokens) == (answer.input_tokens, answer.output_tokens)
    [row] = gateway.rows(mark, 1)
    told = {name: row[name] for name in ("provider_id", "upstream_model", "native", "streamed", "usage_source")}
    assert told == {
        "provider_id": "antigravity",
        "upstream_model": model,
        "native": who == "google" and model == FLASH,
        "streamed": mode == "stream",
        "usage_source": "upstream",
    }
    assert row["reasoning_tokens"] == answer.reasoning_tokens > 0


# -- several accounts

ASKS = 50


@pytest.fixture
def house(
    start_gateway: Callable[..., GatewayProcess], cloud_idp: FakeIdentityProvider
) -> Iterator[tuple[GatewayProcess, FakeCloudCode, dict[str, str]]]:
    """A gateway of its own, with three accounts; of each, its id."""
    cloud = FakeCloudCode(cloud_idp)
    cloud.start()
    gateway = start_gateway({"providers": {"antigravity": section(cloud, cloud_idp)}})
    people = ("exhausted@example.com", "banned@example.com", "healthy@example.com")
    yield gateway, cloud, {email: log_in(gateway, cloud, cloud_idp, email) for email in people}
    cloud.stop()
    assert cloud.violations == []


@pytest.mark.parametrize(
    ("who", "model", "group"),
    [("anthropic", CLAUDE, "claude"), ("chat", FLASH, "gemini-flash"), ("google", FLASH, "gemini-flash")],
)
def test_a_long_conversation_loses_nothing_and_moves_once(
    who: str, model: str, group: str, house: tuple[GatewayProcess, FakeCloudCode, dict[str, str]]
) -> None:
    gateway, cloud, accounts = house
    cloud.script(cloud_code_errors.banned(), key="banned@example.com")
    with _sdks(gateway) as talkers:
        talker = talkers[who](model, "stream", thinking=True)
        first = _talk(talker, cloud, 1, 20)
        assert len(set(first)) == 1, "the conversation left an account that was well"
        [home] = set(first)
        cloud.accounts.by_email[home].exhaust(group, 3600)
        reset = time.time() + 3600
        second = _talk(talker, cloud, 21, ASKS)
    assert len(set(second)) == 1
    assert set(second) != {home}
    assert "banned@example.com" not in {*first, *second}
    assert len(set(cloud.sessions(model))) == 1
    [well] = set(second)
    assert len(cloud.asked(key="banned@example.com", model=model)) == 1
    expected = {home: f"resting for {group} (quota) until ", "banned@example.com": "banned", well: "active"}
    shown = _shown(gateway, accounts, expected, reset)
    gateway.stop()
    gateway.start()
    assert _shown(gateway, accounts, expected, reset) == shown


def _shown(gateway: GatewayProcess, accounts: dict[str, str], expected: dict[str, str], reset: float) -> list[str]:
    """What the command shows of the accounts at a terminal; it has to be so, with the end of what passes."""
    lines = gateway.command("accounts", "list").splitlines()
    rows = {email: next(line for line in lines if line.startswith(name)) for email, name in accounts.items()}
    for email, status in expected.items():
        said = rows[email].partition(email)[2].strip()
        assert said.startswith(status), lines
        if status.endswith(" until "):
            until = datetime.fromisoformat(said.removeprefix(status).split()[0])
            assert abs(until.timestamp() - reset) < 5
    enabled = f"settle it with the vendor; then: aigateway-core accounts enable {accounts['banned@example.com']}"
    assert lines[-1].endswith(enabled)
    by_command = {account["id"]: account for account in json.loads(gateway.command("accounts", "list", "--json"))}
    for name in accounts.values():
        told = gateway.admin("GET", f"/accounts/{name}")
        assert _in_seconds(told) == _in_seconds(by_command[name])
    return lines


def _in_seconds(account: dict[str, Any]) -> list[Any]:
    rests = [(rest["name"], rest["reason"], rest["until"][:19]) for rest in account["resting"]]
    return [*(account[f"status{more}"] for more in ("", "_reason", "_until", "_remedy")), *rests]


def _talk(talker: Talker, cloud: FakeCloudCode, start: int, end: int) -> list[str]:
    """These turns, with a call in some; whose account answered each request."""
    seen = len(cloud.exchanges)
    for turn in range(start, end + 1):
        if turn % 5:
            heard = talker.say(f"number {turn}").text
            assert heard.startswith(f"echo: number {turn} ")
            assert heard.endswith(f" [turn {turn}]"), "something of the conversation was lost"
        else:
            asked = talker.say(f'{turn}: use the tool clock with {{"tz": "UTC"}}')
            assert talker.answer({asked.calls[0].id: f"noon {turn}"}).text == f"The tool answered: noon {turn}"
    return [one.owner for one in cloud.exchanges[seen:] if one.answer is not None and "verb" in one.said_by_path]
