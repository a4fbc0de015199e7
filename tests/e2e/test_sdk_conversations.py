"""Whole conversations through the official SDKs, unmodified, in either dialect and with every kind of provider."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest
from e2e.anthropic_talker import AnthropicTalker
from e2e.fakes.mind import CACHED
from e2e.gateway_process import CLIENT_KEY, GatewayProcess
from e2e.house import TARGETS, Target, Vendors
from e2e.openai_talker import OpenAITalker
from e2e.talkers import MODES, PIXEL, Mode, Reply, Talker, ToolSpec

CLOCK = ToolSpec(name="clock", arguments=("tz",))
WEATHER = ToolSpec(name="weather", arguments=("city",))
DIALECTS = ("openai-chat", "anthropic")

everywhere = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.provider)
in_each_dialect = pytest.mark.parametrize("dialect", DIALECTS)
in_each_mode = pytest.mark.parametrize("mode", MODES)


@pytest.fixture
def talker(
    request: pytest.FixtureRequest,
    target: Target,
    dialect: str,
    mode: Mode,
    openai_client: openai.OpenAI,
    anthropic_client: anthropic.Anthropic,
) -> Talker:
    return _talker(dialect, target.model, mode, openai_client, anthropic_client, tools=[CLOCK, WEATHER])


def _talker(
    dialect: str, model: str, mode: Mode, by_openai: openai.OpenAI, by_anthropic: anthropic.Anthropic, **options: Any
) -> Talker:
    if dialect == "anthropic":
        return AnthropicTalker(by_anthropic, model, mode, system="Be kind", **options)
    return OpenAITalker(by_openai, model, mode, system="Be kind", **options)


@everywhere
@in_each_dialect
@in_each_mode
def test_a_conversation_of_several_turns_with_tools(talker: Talker, target: Target) -> None:
    hello = talker.say("hello, wörld 日本 🎉")
    assert (hello.text, hello.finish) == ("echo: hello, wörld 日本 🎉 [system: Be kind] [turn 1]", "stop")

    asked = talker.say('use the tool clock with {"tz": "Europe/Zürich \\"CH\\""}')
    assert (asked.text, asked.finish) == ("Calling clock.", "tools")
    assert [(call.name, call.arguments) for call in asked.calls] == [("clock", {"tz": 'Europe/Zürich "CH"'})]
    told = talker.answer({asked.calls[0].id: "noon"})
    assert (told.text, told.finish) == ("The tool answered: noon", "stop")

    both = talker.say('use the tool clock with {"tz": "UTC"} and use the tool weather with {"city": "Oslo"}')
    assert [(call.name, call.arguments) for call in both.calls] == [
        ("clock", {"tz": "UTC"}),
        ("weather", {"city": "Oslo"}),
    ]
    # Clients answer parallel calls in whatever order the tools come back.
    told = talker.answer({both.calls[1].id: "snow", both.calls[0].id: "midnight"})
    assert sorted(told.text.removeprefix("The tool answered: ").split(" The tool answered: ")) == ["midnight", "snow"]

    bye = talker.say("bye")
    assert bye.text == "echo: bye [system: Be kind] [turn 4]"
    assert {reply.model for reply in (hello, asked, told, both, bye)} == {target.model}


@everywhere
@in_each_dialect
@in_each_mode
def test_each_call_is_counted_and_logged_once(
    talker: Talker, target: Target, dialect: str, mode: Mode, gateway: GatewayProcess, vendors: Vendors
) -> None:
    mark = gateway.mark()
    replies = [talker.say("count me"), talker.say('use the tool clock with {"tz": "UTC"}')]
    replies.append(talker.answer({replies[1].calls[0].id: "noon"}))
    exchanges = vendors.named(target.provider).exchanges[-3:]
    for row, reply, exchange in zip(gateway.rows(mark, 3), replies, exchanges, strict=True):
        answer = exchange.answer
        assert answer is not None
        assert _counted(reply) == (answer.input_tokens, CACHED, answer.output_tokens)
        assert _without(
            row, "seq", "id", "request_id", "created_at", "latency_ms", "time_to_first_byte_ms", "account_id"
        ) == {
            "dialect": dialect,
            "client_key_id": "environment",
            "outcome": "ok",
            "operation": "chat",
            "status_code": 200,
            "model": target.model,
            "upstream_model": target.model,
            "provider_id": target.provider,
            "proxy_id": None,
            "streamed": mode != "whole",
            "native": dialect == target.dialect,
            "input_tokens": answer.input_tokens,
            "output_tokens": answer.output_tokens,
            "cached_tokens": CACHED,
            "reasoning_tokens": answer.reasoning_tokens,
            "usage_source": "upstream",
            "finish_reason": answer.finish,
            "error_kind": None,
            "error": None,
            "attempts": [
                {
                    "account_id": row["account_id"],
                    "provider_id": target.provider,
                    "latency_ms": row["attempts"][0]["latency_ms"],
                    "status_code": 200,
                    "error_kind": None,
                    "scope": None,
                    "dispatched": True,
                    "proxy_id": None,
                }
            ],
        }
        assert row["latency_ms"] >= row["time_to_first_byte_ms"] >= 0


def _counted(reply: Reply) -> tuple[int | None, int | None, int | None]:
    return reply.input_tokens, reply.cached_tokens, reply.output_tokens


def _without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


@pytest.mark.parametrize(
    "target",
    [attr for attr in TARGETS if attr.provider != "glm"]
    + [Target(provider="glm", model="glm-4.6v", dialect="openai-chat")],
    ids=lambda target: target.provider,
)
@in_each_dialect
@in_each_mode
def test_pictures_are_seen(talker: Talker) -> None:
    assert talker.say("look", images=[PIXEL, PIXEL]).text == "echo: look [system: Be kind] [images: 2] [turn 1]"


@everywhere
@in_each_dialect
@in_each_mode
def test_an_answer_that_reaches_the_limit_says_so(
    target: Target, dialect: str, mode: Mode, openai_client: openai.OpenAI, anthropic_client: anthropic.Anthropic
) -> None:
    # The OpenAI SDK's stream helper raises by design when the limit is met.
    if dialect == "openai-chat" and mode == "helper":
        with pytest.raises(openai.LengthFinishReasonError):
            OpenAITalker(openai_client, target.model, mode, max_tokens=3).say("one two three four five")
        return
    talker = _talker(dialect, target.model, mode, openai_client, anthropic_client, max_tokens=3)
    reply = talker.say("one two three four five")
    assert (reply.text, reply.finish) == ("echo: one two", "length")


@everywhere
@in_each_dialect
@pytest.mark.parametrize("mode", ["whole", "stream"])
def test_an_answer_that_the_vendor_filters_says_so(talker: Talker) -> None:
    assert talker.say("say something unsafe").finish == "filter"


@everywhere
@in_each_dialect
@pytest.mark.parametrize("mode", ["whole"])
def test_no_secret_of_the_client_reaches_a_vendor(talker: Talker, target: Target, vendors: Vendors) -> None:
    talker.say("hello")
    exchange = vendors.named(target.provider).exchanges[-1]
    assert CLIENT_KEY not in str(exchange.headers)
    assert not {name for name in exchange.headers if name.startswith(("x-stainless", "x-forwarded", "cookie", "via"))}


@everywhere
@in_each_dialect
@pytest.mark.parametrize("mode", ["whole", "helper"])
def test_a_task_of_several_steps(talker: Talker) -> None:
    first = talker.say('use the tool clock with {"tz": "UTC"} then use the tool weather with {"city": "Oslo"}')
    assert [call.name for call in first.calls] == ["clock"]
    second = talker.answer({first.calls[0].id: "noon"})
    assert [(call.name, call.arguments) for call in second.calls] == [("weather", {"city": "Oslo"})]
    assert talker.answer({second.calls[0].id: "snow"}).text == "The tool answered: snow"
