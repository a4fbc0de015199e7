"""Which of several accounts a conversation is with, turn after turn, and what happens when one has to rest."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from typing import Any

import attrs
import httpx
import pytest
from cloud_code_answers import ONE, line
from cloud_code_refusals import info, refusal, retry
from core.gateway_house import House, Script, account, streamed

from aigateway_antigravity.config import AntigravityConfig
from aigateway_antigravity.provider import AntigravityProvider
from aigateway_core.errors import NoAccountError
from aigateway_core.plugin import Anthropic, ErrorKind, JsonObject, Secret, UpstreamError
from aigateway_core.snapshot import Snapshot

pytestmark = pytest.mark.anyio
CLIENT = Anthropic()


class Google(Script):
    """A script for what a model is asked; what an account has left, nobody knows."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if "streamGenerateContent" not in str(request.url):
            return httpx.Response(404, json=refusal(404, "NOT_FOUND"))
        return await super().handle_async_request(request)


def house(*, patience: float = 0.0, **answers: list[httpx.Response | Exception]) -> House:
    """The provider over these accounts, each with its project."""
    config = AntigravityConfig(oauth_client_id="id", oauth_client_secret=Secret("s" * 20), user_agent="mine/1")
    gateway = House(Google(**answers), AntigravityProvider(config), "", patience=patience)
    accounts = tuple(attrs.evolve(account(name), metadata={"project": f"of-{name}-1"}) for name in answers)
    gateway.snapshot.value = Snapshot(version=1, accounts={"acme": accounts})
    return gateway


def well() -> httpx.Response:
    return streamed(line(ONE))


def limited(delay: str | None, reason: str = "RATE_LIMIT_EXCEEDED") -> httpx.Response:
    details = [info(reason)] if delay is None else [info(reason), retry(delay)]
    return httpx.Response(429, json=refusal(429, "RESOURCE_EXHAUSTED", "no", *details))


def turn(number: int, about: str = "the weather", model: str = "claude-sonnet-4-6") -> JsonObject:
    """The ``number``-th request of a conversation, with all that was said before."""
    messages: list[JsonObject] = [{"role": "user", "content": f"Tell me about {about}."}]
    for past in range(number):
        messages += [
            {"role": "assistant", "content": f"Well ({past})."},
            {"role": "user", "content": f"More ({past})."},
        ]
    return {"model": model, "max_tokens": 2000, "messages": messages}


def sessions(gateway: House) -> set[Any]:
    bodies: list[Any] = [body for _, body in gateway.script.seen]
    return {body["request"]["sessionId"] for body in bodies}


def asked(gateway: House) -> list[str]:
    return [name for name, _ in gateway.script.seen]


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rests of two seconds and less are over at once, so that nobody has to wait for them here."""
    monkeypatch.setattr("aigateway_antigravity.errors.LEAST_REST", 0.1)


@pytest.mark.usefixtures("hasty")
async def test_X7_a_short_limit_is_waited_for_and_a_long_one_is_not() -> None:
    gateway = house(patience=2.0, **{name: [well(), limited("0.1s"), well()] for name in "ab"})
    await gateway.stream(turn(0), CLIENT)
    begun = time.monotonic()
    await gateway.stream(turn(1), CLIENT)
    assert time.monotonic() - begun >= 0.1
    assert len(asked(gateway)) == 3
    assert len(set(asked(gateway))) == 1
    away = house(patience=2.0, a=[limited("40s")], b=[limited("40s"), well()])
    with pytest.raises(UpstreamError) as caught:
        await away.stream(turn(0), CLIENT)
    assert sorted(asked(away)) == ["a", "b"]
    assert caught.value.retry_after is not None
    assert 38 <= caught.value.retry_after <= 40


async def test_X8_a_limit_without_a_word_is_tried_on_the_other_account() -> None:
    bare = httpx.Response(
        429, json=refusal(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota).")
    )
    gateway = house(a=[bare], b=[well()])
    for number in range(2):
        await gateway.stream(turn(number), CLIENT)
    assert asked(gateway)[-2:] == ["b", "b"]


async def test_X6_an_empty_quota_rests_its_group_of_models_and_no_other() -> None:
    gateway = house(a=[limited("71h15m27.79s", "QUOTA_EXHAUSTED"), well()])
    for model in ("claude-opus-4-6-thinking", "claude-sonnet-4-6"):
        with pytest.raises((UpstreamError, NoAccountError)) as caught:
            await gateway.stream(turn(0, model=model), CLIENT)
        assert caught.value.retry_after == pytest.approx(256527, abs=5)
    assert b"Here it is." in await gateway.stream(turn(0, model="gemini-3-flash"), CLIENT)
    assert len(asked(gateway)) == 2


async def test_X16_where_all_rest_for_long_the_client_is_told_at_once() -> None:
    gateway = house(patience=2.0, a=[limited("90s")], b=[limited("45s")])
    for _ in range(2):
        begun = time.monotonic()
        with pytest.raises((UpstreamError, NoAccountError)) as caught:
            await gateway.stream(turn(0), CLIENT)
        assert time.monotonic() - begun < 1.5
        reply = CLIENT.encode_error(caught.value, "req-1")
        assert (reply.status, reply.headers["retry-after"]) == (429, "45")
    assert sorted(asked(gateway)) == ["a", "b"]


@pytest.mark.usefixtures("hasty")
async def test_X17_where_one_is_back_in_a_moment_it_is_waited_for() -> None:
    gateway = house(patience=2.0, a=[limited("60s")], b=[limited("0.1s"), well()])
    assert b"Here it is." in await gateway.stream(turn(0), CLIENT)
    assert asked(gateway).count("b") == 2


async def test_X27_a_conversation_stays_with_its_account_and_its_session() -> None:
    gateway = house(a=[well()], b=[well()])
    for number in range(5):
        await gateway.stream(turn(number), CLIENT)
    assert len(set(asked(gateway))) == 1
    assert len(asked(gateway)) == 5
    assert len(sessions(gateway)) == 1


async def test_X28_a_conversation_moves_once_and_does_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = house(a=[well(), limited("40s"), well()], b=[well()])
    for number in range(2):
        await gateway.stream(turn(number), CLIENT)
    assert asked(gateway) == ["a", "a", "b"]
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 60)
    for number in (2, 3):
        await gateway.stream(turn(number), CLIENT)
    assert asked(gateway)[3:] == ["b", "b"]
    assert len(sessions(gateway)) == 1


async def test_X29_conversations_are_spread_and_each_stays_where_it_is() -> None:
    gateway = house(a=[well()], b=[well()])
    homes: dict[str, set[str]] = {}
    for number in range(3):
        for about in ("the weather", "the sea"):
            await gateway.stream(turn(number, about), CLIENT)
            homes.setdefault(about, set()).add(asked(gateway)[-1])
    assert all(len(names) == 1 for names in homes.values())
    assert Counter(asked(gateway)) == {"a": 3, "b": 3}
    assert len(sessions(gateway)) == 2


@pytest.mark.usefixtures("hasty")
async def test_X32_a_client_that_leaves_while_it_waits_asks_nobody() -> None:
    gateway = house(patience=30.0, a=[limited("20s"), well()])
    waiting = asyncio.ensure_future(gateway.stream(turn(0), CLIENT))
    for _ in range(20):
        await asyncio.sleep(0.02)
    assert asked(gateway) == ["a"]
    assert not waiting.done()
    begun = time.monotonic()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert time.monotonic() - begun < 1.0
    assert asked(gateway) == ["a"]


async def test_X33_neither_records_nor_errors_hold_the_project() -> None:
    said = "Permission denied on resource project of-a-1. See projects/of-a-1/locations/global"
    gateway = house(a=[httpx.Response(403, json=refusal(403, "PERMISSION_DENIED", said))])
    with pytest.raises(UpstreamError) as caught:
        await gateway.stream(turn(0), CLIENT)
    record = await gateway.record()
    told = json.dumps(CLIENT.encode_error(caught.value, "req-1").body)
    assert "Permission denied" in told
    assert "of-a-1" not in told + repr(record) + str(caught.value)
    assert caught.value.kind is ErrorKind.CREDENTIAL
