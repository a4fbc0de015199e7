"""Counting on the request path: whom it asks, what it answers when nobody can say, and what it costs nobody."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack, suppress
from typing import Any

import httpx
import pytest
from core.gateway_house import ANTHROPIC_WHOLE, ANY, House, Script, openai_like, refused, reply, streamed

from aigateway_core import counting
from aigateway_core.dialects.anthropic import Anthropic, AnthropicTokenCount
from aigateway_core.dialects.dialect import Dialect
from aigateway_core.dialects.gemini import GeminiTokenCount
from aigateway_core.errors import InvalidRequestError, UnknownModelError, UpstreamError
from aigateway_core.exchange import Whole
from aigateway_core.gateway import Incoming
from aigateway_core.model import JsonObject
from aigateway_core.plugin import (
    AnthropicCompatibleConfig,
    AnthropicCompatibleProvider,
    ChatRequest,
    GeminiCompatibleConfig,
    GeminiCompatibleProvider,
    Provider,
    Upstream,
)
from aigateway_core.records import Caller

pytestmark = pytest.mark.anyio

ANTHROPIC, GEMINI = AnthropicTokenCount(), GeminiTokenCount()
MESSAGES = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": []}
CONTENTS = {"model": "m", "stream": False, "contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
HOST = "http://vendor.test"


def anthropic_like(**options: Any) -> Provider:
    return AnthropicCompatibleProvider(AnthropicCompatibleConfig(base_url=HOST, models=("m",), **options))


def gemini_like(**options: Any) -> Provider:
    return GeminiCompatibleProvider(GeminiCompatibleConfig(base_url=HOST, models=("m",), **options))


def asking(provider: Provider, accounts: str = "a", **answers: Any) -> House:
    return House(Script(**(answers or ANY)), provider, accounts)


async def count(house: House, body: JsonObject, dialect: Dialect) -> Whole:
    async def read() -> bytes:
        return json.dumps(body).encode()

    caller = Caller(id="-", role="client")
    incoming = Incoming(dialect, caller, "req-1", read(), AsyncExitStack, operation="count_tokens")
    answer = await house.gateway.answer(incoming)
    assert isinstance(answer, Whole)
    return answer


def tokens(answer: Whole) -> int:
    (number,) = json.loads(answer.body).values()
    assert type(number) is int
    return number


def is_estimate(answer: Whole) -> bool:
    return answer.headers.get("x-aigateway-estimate") == "true"


# -- who counts


async def test_anthropics_own_counter_is_asked_natively() -> None:
    house = asking(anthropic_like(), a=[reply({"input_tokens": 42, "x_new": 1})])
    answer = await count(house, {**MESSAGES, "x_new": 2}, ANTHROPIC)
    assert json.loads(answer.body) == {"input_tokens": 42, "x_new": 1}
    assert not is_estimate(answer)
    assert house.script.urls == [f"{HOST}/v1/messages/count_tokens"]
    assert house.script.seen == [("a", {**MESSAGES, "x_new": 2})]
    assert house.script.headers[0]["anthropic-version"] == "2023-06-01"


async def test_geminis_own_counter_is_asked_natively() -> None:
    house = asking(gemini_like(), a=[reply({"totalTokens": 42})])
    assert tokens(await count(house, CONTENTS, GEMINI)) == 42
    assert house.script.urls == [f"{HOST}/v1beta/models/m:countTokens"]
    assert house.script.seen == [("a", {"contents": CONTENTS["contents"]})]


async def test_a_client_of_the_other_dialect_is_counted_for_all_the_same() -> None:
    house = asking(anthropic_like(), a=[reply({"input_tokens": 42})])
    answer = await count(house, CONTENTS, GEMINI)
    assert json.loads(answer.body) == {"totalTokens": 42}
    assert not is_estimate(answer)
    assert house.script.urls == [f"{HOST}/v1/messages/count_tokens"]
    assert "max_tokens" not in house.script.seen[0][1]
    house = asking(gemini_like(), a=[reply({"totalTokens": 42})])
    answer = await count(house, {**MESSAGES, "system": "Be brief."}, ANTHROPIC)
    assert json.loads(answer.body) == {"input_tokens": 42}
    assert "systemInstruction" in house.script.seen[0][1]["generateContentRequest"]  # type: ignore[operator]


@pytest.mark.parametrize("accounts", ["", "a"])
async def test_case_165_a_vendor_without_a_counter_is_not_asked_and_needs_no_account(accounts: str) -> None:
    """Case 165."""
    house = asking(openai_like(), accounts)
    answer = await count(house, MESSAGES, ANTHROPIC)
    assert set(json.loads(answer.body)) == {"input_tokens"}
    assert tokens(answer) > 0
    assert is_estimate(answer)
    assert house.script.seen == []


@pytest.mark.parametrize("provider", [anthropic_like(count_tokens=False), gemini_like(count_tokens=False)])
@pytest.mark.parametrize(("dialect", "body"), [(ANTHROPIC, MESSAGES), (GEMINI, CONTENTS)])
async def test_a_counter_that_is_switched_off_is_not_asked(
    provider: Provider, dialect: Dialect, body: JsonObject
) -> None:
    house = asking(provider)
    assert is_estimate(await count(house, body, dialect))
    assert house.script.seen == []


async def test_an_estimate_grows_with_system_tools_and_images() -> None:
    async def size(**more: Any) -> int:
        return tokens(await count(asking(openai_like()), {**MESSAGES, **more}, ANTHROPIC))

    plain = await size()
    assert await size(system="Be brief. " * 20) >= plain + 40
    schema = {"type": "object", "properties": {"city": {"type": "string", "description": "the city " * 20}}}
    assert await size(tools=[{"name": "weather", "input_schema": schema}]) >= plain + 40
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aW1n"}}
    assert await size(messages=[{"role": "user", "content": [image]}]) >= plain + 500


# -- when the counter fails


@pytest.mark.parametrize("status", [401, 404, 405, 429, 500, 501, 503])
@pytest.mark.parametrize(("dialect", "body"), [(ANTHROPIC, MESSAGES), (GEMINI, CONTENTS)])
async def test_a_counter_that_fails_leaves_an_estimate(status: int, dialect: Dialect, body: JsonObject) -> None:
    house = asking(anthropic_like(), "ab", a=[refused(status)], b=[refused(status)])
    answer = await count(house, body, dialect)
    assert is_estimate(answer)
    assert tokens(answer) > 0


async def test_a_counter_that_cannot_be_reached_or_makes_no_sense_leaves_an_estimate() -> None:
    for bad in (httpx.ConnectError("no route"), reply({"tokens": 5}), reply({"input_tokens": None})):
        assert is_estimate(await count(asking(anthropic_like(), a=[bad]), MESSAGES, ANTHROPIC))


async def test_a_counter_that_takes_too_long_leaves_an_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "PATIENCE", 0.02)
    late = streamed(b'{"input_tokens": 42}', wait=5)
    house = asking(anthropic_like(), a=[late])
    assert is_estimate(await count(house, MESSAGES, ANTHROPIC))
    (attempt,) = (await house.record()).attempts
    assert attempt.error_kind == "timeout"


async def test_what_a_plugin_does_wrong_leaves_an_estimate() -> None:
    class Wrong(AnthropicCompatibleProvider):
        async def count_tokens(self, request: ChatRequest, upstream: Upstream) -> int:
            raise KeyError("oops")

    house = asking(Wrong(AnthropicCompatibleConfig(base_url=HOST, models=("m",))))
    assert is_estimate(await count(house, CONTENTS, GEMINI))


async def test_what_is_wrong_with_the_request_itself_is_told() -> None:
    with pytest.raises(UpstreamError, match="no 400"):
        await count(asking(anthropic_like(), a=[refused(400)]), MESSAGES, ANTHROPIC)


async def test_what_the_gateway_cannot_read_is_the_vendors_to_judge_and_its_failure_is_told() -> None:
    strange = {**MESSAGES, "messages": [{"role": "user", "content": [{"type": "hologram"}]}]}
    house = asking(anthropic_like(), a=[reply({"input_tokens": 42})])
    assert tokens(await count(house, strange, ANTHROPIC)) == 42
    with pytest.raises(UpstreamError):
        await count(asking(anthropic_like(), a=[refused(503)]), strange, ANTHROPIC)
    with pytest.raises(InvalidRequestError) as caught:
        await count(asking(openai_like()), {**strange, "messages": [{"role": "user", "content": 5}]}, ANTHROPIC)
    assert caught.value.path == "messages[0].content"


@pytest.mark.parametrize("status", [401, 429])
async def test_another_account_is_tried_and_none_is_punished(status: int) -> None:
    house = asking(anthropic_like(), "ab", a=[refused(status)], b=[reply({"input_tokens": 42})])
    for _ in range(4):
        answer = await count(house, MESSAGES, ANTHROPIC)
        assert (tokens(answer), is_estimate(answer)) == (42, False)
    assert all(not house.state.rests(name) for name in "ab")
    assert {name for name, _ in house.script.seen} == {"a", "b"}


async def test_an_unknown_model_is_not_estimated() -> None:
    with pytest.raises(UnknownModelError):
        await count(asking(openai_like()), {**MESSAGES, "model": "nobody"}, ANTHROPIC)


# -- what is written down


async def test_a_count_is_recorded_as_what_it_is() -> None:
    house = asking(anthropic_like(), "ab", a=[refused(503)], b=[reply({"input_tokens": 42})])
    await count(house, MESSAGES, ANTHROPIC)
    record = await house.record()
    assert (record.operation, record.outcome, record.native) == ("count_tokens", "ok", True)
    assert (record.input_tokens, record.usage_source, record.finish_reason) == (None, None, None)
    assert record.attempts[-1].status_code == 200


async def test_an_estimate_is_recorded_without_an_attempt() -> None:
    house = asking(openai_like())
    await count(house, MESSAGES, ANTHROPIC)
    record = await house.record()
    assert (record.operation, record.outcome, record.native, record.attempts) == ("count_tokens", "ok", False, ())
    assert (record.provider_id, record.account_id) == ("acme", None)


async def test_counts_take_turns_of_their_own_and_shift_nobody_elses() -> None:
    chat = reply({**ANTHROPIC_WHOLE, "input_tokens": 1})
    house = asking(anthropic_like(), "ab", a=[chat], b=[chat])
    asked = {"model": "m", "max_tokens": 5}
    for turn in range(4):
        await house.whole({**asked, "messages": [{"role": "user", "content": f"hi {turn}"}]}, Anthropic())
        await count(house, MESSAGES, ANTHROPIC)
    chats = [name for name, body in house.script.seen if "max_tokens" in body]
    counts = [name for name, body in house.script.seen if "max_tokens" not in body]
    assert sorted(chats) == sorted(counts) == ["a", "a", "b", "b"]


@pytest.mark.parametrize("said", [reply({"input_tokens": 42}), refused(400)])
async def test_what_counting_is_told_says_nothing_of_a_model_that_fails(said: httpx.Response) -> None:
    house = asking(anthropic_like(), a=[refused(503), said] * 4 + [refused(503)])
    chat = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    for turn in range(5):
        with pytest.raises(UpstreamError):
            await house.whole(chat, Anthropic())
        if turn < 4:
            with suppress(UpstreamError):
                await count(house, MESSAGES, ANTHROPIC)
    assert house.gateway._restraint.open_breakers == 1
