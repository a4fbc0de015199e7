"""A vendor in trouble is asked no more than it can bear, and one bad account never passes for an outage."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack

import httpx
import pytest
from clock import Clock
from core.gateway_house import CHAT, OPENAI, WHOLE, House, Script, openai_like, refused, reply
from hypothesis import given
from hypothesis import strategies as st

from aigateway_core import restraint
from aigateway_core.errors import ErrorKind, GatewayError, Scope, UpstreamError
from aigateway_core.gateway import Incoming
from aigateway_core.jsontext import dumps
from aigateway_core.records import Caller
from aigateway_core.restraint import Breaker, Budget, Restraint, is_ambiguous, is_the_vendors

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restraint, "GAP", 0.0)


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(2, clock)
    assert breaker.failed() == 0
    assert breaker.failed() == restraint.FIRST_PAUSE
    return breaker


def test_a_breaker_opens_after_failures_in_a_row_and_lets_one_probe_through(clock: Clock) -> None:
    breaker = opened(clock)
    assert breaker.wait() == restraint.FIRST_PAUSE
    clock.now += restraint.FIRST_PAUSE
    assert breaker.wait() == 0
    assert [breaker.wait() for _ in range(3)] == [restraint.PROBING] * 3


def test_failures_that_are_far_apart_open_nothing(clock: Clock) -> None:
    breaker = Breaker(2, clock)
    for _ in range(20):
        assert breaker.failed() == 0
        clock.now += restraint.WINDOW + 1


def test_a_probe_that_fails_keeps_it_open_for_longer_and_longer(clock: Clock) -> None:
    breaker = opened(clock)
    pauses = []
    for _ in range(6):
        clock.now += breaker.wait()
        assert breaker.wait() == 0
        pauses.append(breaker.failed())
    assert pauses == [4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_a_probe_that_thinks_for_long_holds_up_nobody(clock: Clock) -> None:
    breaker = opened(clock)
    clock.now += restraint.FIRST_PAUSE
    assert breaker.wait() == 0
    clock.now += restraint.PROBING
    assert [breaker.wait() for _ in range(9)] == [0] * 9
    assert breaker.failed() > 0, "the next failure opens it again"


def test_who_is_no_probe_leaves_the_turn_to_another(clock: Clock) -> None:
    breaker = opened(clock)
    clock.now += restraint.FIRST_PAUSE
    assert breaker.wait(probes=False) == breaker.wait() == 0
    assert breaker.wait() > 0


def test_what_was_asked_before_it_opened_opens_it_no_further(clock: Clock) -> None:
    breaker = opened(clock)
    assert [breaker.failed() for _ in range(50)] == [0] * 50
    assert breaker.wait() == restraint.FIRST_PAUSE


def test_a_vendor_may_say_how_long_to_leave_it_alone(clock: Clock) -> None:
    breaker = Breaker(1, clock)
    assert breaker.failed(7.0) == 7.0
    assert Breaker(1, clock).failed(1e9) == restraint.LONGEST_PAUSE


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3))), st.sampled_from([0.0, 0.2, 1.0]))
def test_no_more_is_tried_again_than_the_share_and_the_reserve(steps: list[tuple[int, int]], share: float) -> None:
    clock = Clock()
    budget = Budget(share, clock)
    requests = spent = 0
    for came, seconds in steps:
        budget.requests += came
        requests += came
        clock.now += seconds
        while budget.spend():
            spent += 1
        assert spent <= share * requests + restraint.RESERVE + (clock.now - 1000.0)


def test_the_reserve_comes_back_and_no_more_than_that(clock: Clock) -> None:
    budget = Budget(0.0, clock)
    assert [budget.spend() for _ in range(11)] == [True] * 10 + [False]
    clock.now += 3
    assert [budget.spend() for _ in range(4)] == [True] * 3 + [False]
    clock.now += 1e6
    assert [budget.spend() for _ in range(11)] == [True] * 10 + [False]


@pytest.mark.parametrize("scope", ["model", "quota_group", "account", "outbound_proxy"])
def test_what_speaks_of_an_account_or_its_way_out_is_no_outage(scope: Scope) -> None:
    assert not is_the_vendors(UpstreamError(ErrorKind.SERVER, "no", scope=scope))
    assert is_the_vendors(UpstreamError(ErrorKind.SERVER, "no"))
    assert not is_the_vendors(UpstreamError(ErrorKind.INVALID_REQUEST, "no"))


@pytest.mark.parametrize(
    ("error", "ambiguous"),
    [
        (UpstreamError(ErrorKind.TIMEOUT, "silent"), True),
        (UpstreamError(ErrorKind.UNAVAILABLE, "broke"), True),
        (UpstreamError(ErrorKind.PROTOCOL, "cut"), True),
        (UpstreamError(ErrorKind.UNAVAILABLE, "not there", dispatched=False), False),
        (UpstreamError(ErrorKind.SERVER, "500", status=500), False),
        (UpstreamError(ErrorKind.TIMEOUT, "504", status=504), False),
        (UpstreamError(ErrorKind.OVERLOADED, "an error event"), False),
    ],
)
def test_only_a_lost_answer_is_in_doubt(error: UpstreamError, ambiguous: bool) -> None:
    assert is_ambiguous(error) == ambiguous
    assert Restraint(ambiguous=False).forbids(error) == ambiguous
    assert not Restraint().forbids(error)


# -- within the request path


def home(accounts: str = "abc", held: Restraint | None = None, **answers: list[httpx.Response | Exception]) -> House:
    return House(Script(**answers), openai_like(), accounts, restraint=held)


def asked(of: House) -> str:
    return "".join(name for name, _ in of.script.seen)


async def failing(of: House, times: int) -> list[GatewayError]:
    errors = []
    for _ in range(times):
        with pytest.raises(GatewayError) as raised:
            await of.ask(CHAT)
        errors.append(raised.value)
    return errors


async def test_a_vendor_that_fails_every_request_is_left_alone_and_clients_are_told_when_to_come_back(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    house = home("a", Restraint(clock=clock), a=[refused(503)] * 6 + [reply(WHOLE)])
    await failing(house, 5)
    assert asked(house) == "aaaaa"
    (error,) = await failing(house, 1)
    assert asked(house) == "aaaaa", "nothing was sent"
    assert isinstance(error, UpstreamError)
    assert (error.kind, error.retry_after, error.dispatched) == (ErrorKind.OVERLOADED, 2.0, False)
    assert "asked again in 2 s" in error.message
    clock.now += 2
    await failing(house, 2)
    assert asked(house) == "aaaaaa", "one was the probe, the other was refused"
    clock.now += 4
    await house.ask(CHAT)
    await house.ask(CHAT)
    assert asked(house) == "aaaaaaaa"
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [line for line in told if "acme" in line] == [
        "the model 'm' of the provider 'acme' fails (overloaded): it is asked again in 2 s",
        "the model 'm' of the provider 'acme' fails (overloaded): it is asked again in 4 s",
        "the model 'm' of the provider 'acme' answers again",
    ]


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422, 429])
async def test_a_refusal_opens_nothing_and_is_an_answer(status: int) -> None:
    house = home("a", Restraint(limit=2), a=[refused(503), refused(status), refused(503), reply(WHOLE)])
    await failing(house, 2)
    # Whatever the account has to suffer for it, no breaker counts.
    assert not house.gateway._restraint.breakers


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_u_14_what_is_the_clients_to_mend_is_tried_on_no_other_account(status: int) -> None:
    house = home("abc", a=[refused(status)], b=[reply(WHOLE)], c=[reply(WHOLE)])
    await failing(house, 1)
    assert asked(house) == "a"


async def test_one_bad_account_never_opens_the_breaker_for_good_ones() -> None:
    house = home("ab", Restraint(limit=1), a=[refused(500)], b=[reply(WHOLE)])
    for _ in range(20):
        await house.ask(CHAT)
    assert "a" in asked(house)
    assert not house.gateway._restraint.breakers


async def test_one_model_that_fails_leaves_the_others_open_and_a_host_that_is_away_none(clock: Clock) -> None:
    vendors = Restraint(limit=1, clock=clock)
    house = home("a", vendors, a=[refused(503), reply(WHOLE), httpx.ConnectError("no")])
    assert vendors.open_breakers == 0
    await failing(house, 1)
    assert vendors.open_breakers == 1
    await house.ask({**CHAT, "model": "acme/other"})
    clock.now += 60
    await failing(house, 1)
    assert vendors.open_breakers == 2
    with pytest.raises(UpstreamError, match="the provider 'acme' has answered none"):
        await house.ask({**CHAT, "model": "acme/other"})
    assert asked(house) == "aaa"


async def test_who_names_an_account_asks_it_whatever_the_breaker_says() -> None:
    house = home("a", Restraint(limit=1), a=[refused(503)])
    await failing(house, 2)
    assert asked(house) == "a"

    async def body() -> bytes:
        return dumps(CHAT)

    caller = Caller(id="-", role="admin")
    with pytest.raises(UpstreamError):
        await house.gateway.answer(Incoming(OPENAI, caller, "req-2", body(), AsyncExitStack, account="a"))
    assert asked(house) == "aa"


async def test_u_25_tries_after_the_first_are_a_share_of_the_requests() -> None:
    house = home(held=Restraint(limit=0), a=[refused(503)], b=[refused(503)], c=[refused(503)])
    await failing(house, 300)
    assert 300 + 60 - 2 <= len(house.script.seen) <= 300 + 60 + restraint.RESERVE + 2


async def test_going_on_from_an_account_that_is_out_of_quota_costs_nothing() -> None:
    house = home(held=Restraint(share=0.0), a=[refused(401)], b=[refused(429)], c=[reply(WHOLE)])
    house.gateway._restraint._budgets["acme"]._left = 0.0
    await asyncio.gather(*(house.ask(CHAT) for _ in range(30)))


async def test_u_24_there_is_a_moment_before_each_try_at_a_vendor_in_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(restraint, "GAP", 0.1)
    monkeypatch.setattr(restraint.random, "uniform", lambda _, most: most)
    monkeypatch.setattr(restraint.asyncio, "sleep", sleep)
    error = UpstreamError(ErrorKind.OVERLOADED, "busy")
    route = home().gateway.router.route("m")
    held = Restraint()
    assert [await held.again(route, error, attempts) for attempts in (1, 2, 3)] == [True] * 3
    assert waits == [0.1, 0.2, 0.4]
    assert await held.again(route, UpstreamError(ErrorKind.UNAVAILABLE, "not there", dispatched=False), 1)
    assert await held.again(route, UpstreamError(ErrorKind.RATE_LIMIT, "slow", scope="model"), 1)
    assert len(waits) == 3, "nobody was there, or another account is: there is nothing to wait for"


@pytest.mark.parametrize(("allowed", "tried"), [(True, "ab"), (False, "a")])
async def test_u_29_a_request_whose_answer_was_lost_is_tried_again_only_if_it_may_be(allowed: bool, tried: str) -> None:
    house = home("ab", Restraint(ambiguous=allowed), a=[httpx.ReadError("cut")], b=[reply(WHOLE)])
    if allowed:
        await house.ask(CHAT)
    else:
        (error,) = await failing(house, 1)
        assert isinstance(error, UpstreamError)
    assert asked(house) == tried
    first = (await house.record()).attempts[0]
    assert (first.dispatched, first.status_code, first.error_kind) == (True, None, ErrorKind.UNAVAILABLE)


async def test_u_29_what_was_never_sent_may_always_be_tried_again() -> None:
    house = home("ab", Restraint(ambiguous=False), a=[httpx.ConnectError("no")], b=[reply(WHOLE)])
    await house.ask(CHAT)
    assert asked(house) == "ab"
