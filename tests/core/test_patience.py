"""An account that is about to be ready is waited for, within bounds."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest
from core.gateway_house import CHAT, WHOLE, House, Script, openai_like, refused, reply

from aigateway_core.errors import ErrorKind, GatewayError, NoAccountError
from aigateway_core.patience import wait
from aigateway_core.state import Cooldown, one_model

pytestmark = pytest.mark.anyio

BUSY = {"retry-after-ms": "50"}
TURNS = {
    **CHAT,
    "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello"},
        {"role": "user", "content": "go on"},
    ],
}


def home(accounts: str, patience: float = 5.0, **answers: list[httpx.Response | Exception]) -> House:
    return House(Script(**answers), openai_like(), accounts, patience=patience)


def asked(of: House) -> str:
    return "".join(name for name, _ in of.script.seen)


async def test_x7_the_only_account_is_asked_again_when_it_is_ready() -> None:
    one = home("a", a=[refused(429, **BUSY), reply(WHOLE)])
    await one.ask(CHAT)
    assert asked(one) == "aa"
    assert [attempt.error_kind for attempt in (await one.record()).attempts] == [ErrorKind.RATE_LIMIT, None]


async def test_x7_the_account_that_knows_the_conversation_is_asked_again_though_another_is_ready() -> None:
    two = home("ab", a=[reply(WHOLE), refused(429, **BUSY), reply(WHOLE)], b=[reply(WHOLE)])
    for _ in range(2):
        await two.ask(TURNS)
    assert asked(two) == "aaa"


async def test_x7_a_first_request_goes_to_another_account_at_once() -> None:
    two = home("ab", a=[refused(429, **BUSY)], b=[reply(WHOLE)])
    await two.ask(CHAT)
    assert asked(two) == "ab"


async def test_x7_a_long_wait_is_not_waited_for() -> None:
    two = home("ab", a=[reply(WHOLE), refused(429, **{"retry-after": "40"})], b=[reply(WHOLE)])
    for _ in range(2):
        await two.ask(TURNS)
    assert asked(two) == "aab"


async def test_x16_when_all_rest_for_long_the_client_hears_at_once_how_long() -> None:
    one = home("a", a=[reply(WHOLE)])
    one.state.cool("a", one_model("m"), Cooldown(time.time() + 45, "rate_limit"))
    with pytest.raises(NoAccountError) as caught:
        await one.ask(CHAT)
    assert caught.value.retry_after == 45
    assert asked(one) == ""


async def test_x17_when_all_rest_the_first_that_is_back_is_waited_for() -> None:
    two = home("ab", a=[reply(WHOLE)], b=[reply(WHOLE)])
    two.state.cool("a", one_model("m"), Cooldown(time.time() + 60, "rate_limit"))
    two.state.cool("b", one_model("m"), Cooldown(time.time() + 0.05, "rate_limit"))
    await two.ask(CHAT)
    assert asked(two) == "b"


async def test_x32_who_leaves_while_waiting_asks_nobody() -> None:
    one = home("a", a=[reply(WHOLE)])
    one.state.cool("a", one_model("m"), Cooldown(time.time() + 3, "rate_limit"))
    waiting = asyncio.ensure_future(one.ask(CHAT))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert asked(one) == ""


async def test_all_waits_of_a_request_together_stay_within_its_patience() -> None:
    one = home("a", patience=0.08, a=[refused(429, **BUSY)])
    with pytest.raises(GatewayError):
        await one.ask(CHAT)
    assert asked(one) == "aa"


async def test_many_short_waits_are_not_free() -> None:
    patience, waits = 0.1, 0
    while waited := await wait(0.0001, patience):
        patience -= waited
        waits += 1
    assert waits <= 10
