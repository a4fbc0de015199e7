"""Providers, strategies and accounts that go wrong: each call still ends in order, and is recorded once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any

import attrs
import httpx
import pytest
from core.gateway_house import (
    ANY,
    CHAT,
    OPENAI,
    START,
    STREAM,
    TEXT,
    WHOLE,
    Events,
    House,
    OneWay,
    Script,
    Strategy,
    Token,
    account,
    house,
    openai_like,
    refused,
    reply,
    streamed,
)

from aigateway_core.answers import StreamAnswer
from aigateway_core.egress import Egress, WayOut
from aigateway_core.errors import ErrorKind, GatewayError, UpstreamError
from aigateway_core.events import StreamEvent
from aigateway_core.model import ChatRequest, ChatResponse, TextPart
from aigateway_core.plugin import Grant
from aigateway_core.records import Account
from aigateway_core.renewal import Renewals
from aigateway_core.secret import Secret
from aigateway_core.snapshot import Snapshot
from aigateway_core.upstream import Limits, Upstream

pytestmark = pytest.mark.anyio


# -- providers that raise what they should not


class Raises(Events):
    """A provider whose every answer is this exception."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self._error = error

    async def complete(self, request: ChatRequest, upstream: Upstream) -> ChatResponse:
        raise self._error


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_x_07_a_cancellation_that_a_provider_lets_escape_is_its_mistake_and_no_client_that_left(
    stream: bool,
) -> None:
    it = house("a", provider=Raises(asyncio.CancelledError()), **ANY)
    with pytest.raises(UpstreamError, match="failed inside the gateway"):
        await it.ask({**CHAT, "stream": stream})
    record = await it.record()
    assert (record.outcome, record.status_code) == ("gateway_error", 500)


async def test_x_07_a_cancellation_that_a_provider_lets_escape_amid_a_stream_is_told_in_band() -> None:
    it = house("a", provider=Events(START, TEXT, asyncio.CancelledError()), **ANY)
    assert b"internal error" in await it.stream(CHAT)
    record = await it.record()
    assert (record.outcome, record.error_kind) == ("truncated", "internal")


@pytest.mark.parametrize("message", [None, "", 5, {"message": "x"}])
async def test_an_error_whose_message_is_no_text_is_recorded_all_the_same(message: object) -> None:
    it = house("a", provider=Raises(UpstreamError(ErrorKind.SERVER, message)), **ANY)  # type: ignore[arg-type]
    with pytest.raises(UpstreamError):
        await it.ask(CHAT)
    assert (await it.record()).outcome == "upstream_error"


@pytest.mark.parametrize("wait", [float("inf"), float("nan"), -5, 1e300, "5", None])
async def test_a_wait_that_is_no_time_harms_nobody(wait: object) -> None:
    error = UpstreamError(ErrorKind.RATE_LIMIT, "no", scope="account", retry_after=wait)  # type: ignore[arg-type]
    it = house("a", provider=Raises(error), **ANY)
    for _ in range(2):
        with pytest.raises(GatewayError) as caught:
            await it.ask(CHAT)
        headers = OPENAI.encode_error(caught.value, "req-1").headers
        assert 0 < int(headers.get("retry-after", "1")) <= 30 * 86400
    await it.recorder.aclose()
    assert len(it.sink.records) == 2


class ReadsOn(Events):
    """A provider whose vendor streams alone: a whole answer is what came of the stream."""

    async def complete(self, request: ChatRequest, upstream: Upstream) -> ChatResponse:
        async with upstream.stream("http://vendor.test/", json={}) as reply:
            words = b"".join([chunk async for chunk in reply.chunks()])
        return ChatResponse(id="r", model=request.model, parts=(TextPart(words.decode()),))


async def test_a_whole_answer_that_is_made_of_a_stream_is_no_larger_than_any_other() -> None:
    limits = Limits(max_response_bytes=1000)

    def it(*chunks: bytes) -> House:
        return House(Script(a=[streamed(*chunks)]), ReadsOn(), "a", limits=limits)

    assert "x" * 1000 in str(await it(*[b"x" * 100] * 10).whole(CHAT))
    with pytest.raises(UpstreamError, match="larger than 1000 bytes") as caught:
        await it(*[b"x" * 100] * 11).whole(CHAT)
    assert caught.value.kind is ErrorKind.PROTOCOL


async def test_a_stream_that_is_passed_on_may_be_larger() -> None:
    it = house("a", a=[streamed(*STREAM)])
    it.gateway._limits = Limits(max_response_bytes=100)
    assert b"[DONE]" in await it.stream(CHAT)


class ClosesBadly(Events):
    """A provider that cannot be stopped."""

    def __init__(self, *, yields: bool) -> None:
        super().__init__()
        self._yields = yields

    async def stream(self, request: ChatRequest, upstream: Upstream) -> AsyncIterator[StreamEvent]:
        try:
            yield START
            yield TEXT
            await asyncio.Event().wait()
        finally:
            if self._yields:
                yield TEXT
            raise ZeroDivisionError("at closing")


@pytest.mark.parametrize("yields", [False, True])
async def test_a_provider_that_fails_at_closing_spoils_no_ending(
    yields: bool, caplog: pytest.LogCaptureFixture
) -> None:
    it = house("a", provider=ClosesBadly(yields=yields), **ANY)
    async with AsyncExitStack() as exits:
        answer = await it.ask({**CHAT, "stream": True}, OPENAI, exits)
        assert isinstance(answer, StreamAnswer)
        await anext(aiter(answer))
    assert (await it.record()).outcome == "client_gone"
    assert "could not be closed" in caplog.text


# -- accounts


class ChokesOn(Strategy):
    """An auth strategy that cannot use one of the accounts."""

    def __init__(self, name: str) -> None:
        self._name = name

    def auth(self, account: Account) -> httpx.Auth:
        if account.id == self._name:
            raise KeyError("refresh_token")
        return super().auth(account)


async def test_an_account_whose_credential_cannot_be_used_is_passed_over() -> None:
    it = House(Script(**ANY), openai_like(), "ab", strategy=ChokesOn("a"))
    for _ in range(4):
        assert (await it.whole(CHAT))["model"] == "m"
    assert [name for name, _ in it.script.seen] == ["b"] * 4
    await it.recorder.aclose()
    first = it.sink.records[0].attempts[0]
    assert (first.account_id, first.error_kind, first.dispatched) == ("a", "credential", False)


class NeverEnds(Strategy):
    """An auth strategy that cannot tell when the token of one of the accounts ends."""

    def __init__(self, name: str, end: datetime | Exception) -> None:
        self._name = name
        self._end = end

    def expires_at(self, credential: Token) -> datetime | None:
        if self._name not in credential.token.reveal():
            return None
        if isinstance(self._end, Exception):
            raise self._end
        return self._end

    async def renew(self, account: Account, upstream: Upstream) -> Grant:
        raise AssertionError("nothing has ended")


@pytest.mark.parametrize(
    "end", [OverflowError("date value out of range"), datetime(2030, 1, 1)], ids=["raised", "naive"]
)
async def test_an_account_whose_end_cannot_be_told_is_passed_over(end: datetime | Exception) -> None:
    it = House(Script(**ANY), openai_like(), "ab", strategy=NeverEnds("secret-of-a", end))
    nothing: Any = None
    it.gateway._credentials.renewals = Renewals(nothing, nothing, nothing, nothing)
    for _ in range(4):
        assert (await it.whole(CHAT))["model"] == "m"
    assert [name for name, _ in it.script.seen] == ["b"] * 4
    await it.recorder.aclose()
    first = it.sink.records[0].attempts[0]
    assert (first.account_id, first.error_kind, first.dispatched) == ("a", "credential", False)


class NoWayFor(OneWay):
    async def way_out(self, account: Account, *, even_down: bool = False) -> WayOut:
        if account.id == "a":
            return await Egress.way_out(self, attrs.evolve(account, proxy_url="http://proxy.example/with/a/path"))
        return await super().way_out(account)


async def test_an_account_whose_outbound_proxy_is_none_is_passed_over_and_never_goes_direct() -> None:
    script = Script(**ANY)
    it = House(script, openai_like(), "ab", egress=NoWayFor(script))
    for _ in range(4):
        assert (await it.whole(CHAT))["model"] == "m"
    assert [name for name, _ in it.script.seen] == ["b"] * 4
    await it.recorder.aclose()
    assert [attempt.account_id for record in it.sink.records for attempt in record.attempts] == ["b"] * 4


@pytest.mark.parametrize("order", ["ab", "ba"])
async def test_the_wait_that_is_told_is_that_of_the_first_account_to_come_back(order: str) -> None:
    waits = dict(zip(order, ("7", "3000"), strict=True))
    it = house("ab", **{name: [refused(429, **{"retry-after": wait})] for name, wait in waits.items()})
    with pytest.raises(UpstreamError) as caught:
        await it.ask(CHAT)
    assert caught.value.retry_after is not None
    assert 5 <= caught.value.retry_after <= 7


async def test_no_wait_is_told_while_another_account_is_ready() -> None:
    script = Script(**{name: [refused(429, **{"retry-after": "3000"})] for name in "abc"})
    it = House(script, openai_like(), "abc", max_attempts=2)
    with pytest.raises(UpstreamError) as caught:
        await it.ask(CHAT)
    assert caught.value.kind is ErrorKind.RATE_LIMIT
    assert caught.value.retry_after is None


async def test_a_bad_credential_does_not_hide_that_another_account_is_only_limited() -> None:
    it = house("ab", a=[refused(429, **{"retry-after": "7"})], b=[refused(401)])
    with pytest.raises(UpstreamError) as caught:
        await it.ask(CHAT)
    assert caught.value.kind is ErrorKind.RATE_LIMIT


async def test_what_an_account_said_before_it_was_mended_is_not_held_against_it() -> None:
    it = house("a", a=[refused(401), reply(WHOLE)])
    asked = asyncio.create_task(it.ask(CHAT))
    while not it.script.seen:  # noqa: ASYNC110 - the script tells nobody
        await asyncio.sleep(0)
    mended = attrs.evolve(account("a"), credential=Token(Secret("a-new-key-123456")))
    it.snapshot.value = Snapshot(version=2, accounts={"acme": (mended,)})
    with pytest.raises(UpstreamError):
        await asked
    assert (await it.whole(CHAT))["model"] == "m"
