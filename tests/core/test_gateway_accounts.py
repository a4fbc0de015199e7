"""What a conversation, a key and an upstream's refusals do to the choice of accounts, along the request path."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import attrs
import httpx
import pytest
from core.gateway_house import ANTHROPIC, ANY, CHAT, MESSAGES, OPENAI, WHOLE, Events, House, Script, house, reply

from aigateway_core.errors import ErrorKind, ForbiddenError, GatewayError, NoAccountError, NotFoundError
from aigateway_core.gateway import Incoming
from aigateway_core.model import ChatRequest, ChatResponse
from aigateway_core.records import Caller
from aigateway_core.state import one_model
from aigateway_core.upstream import Upstream

pytestmark = pytest.mark.anyio


def pool(**answers: Any) -> House:
    """Accounts a, b and c; those without answers of their own are well."""
    return house(**{name: answers.get(name, [reply(WHOLE)]) for name in "abc"})


def refusal(status: int, body: object, **headers: str) -> Any:
    return httpx.Response(status, json=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


async def ask(asked: House, body: dict[str, Any], *, headers: dict[str, str] | None = None, **more: Any) -> str:
    """The account that took the call."""

    async def read() -> bytes:
        return json.dumps(body).encode()

    caller = more.pop("caller", Caller(id="k", role="client"))
    dialect = ANTHROPIC if "max_tokens" in body else OPENAI
    header = (headers or {}).get
    await asked.gateway.answer(Incoming(dialect, caller, "r", read(), AsyncExitStack, header, **more))
    return asked.script.seen[-1][0]


TURNS = [*CHAT["messages"], {"role": "assistant", "content": "hello"}, {"role": "user", "content": "go on"}]  # type: ignore[misc]
SESSIONS: list[tuple[dict[str, Any], dict[str, str]]] = [
    (CHAT, {"x-claude-code-session-id": "s"}),
    (CHAT, {"session-id": "s"}),
    ({**CHAT, "prompt_cache_key": "s"}, {}),
    ({**MESSAGES, "metadata": {"user_id": json.dumps({"session_id": "s"})}}, {}),
    ({**CHAT, "messages": TURNS}, {}),
]


@pytest.mark.parametrize(("body", "headers"), SESSIONS)
async def test_case_160_a_conversation_stays_with_its_account_while_it_is_healthy(
    body: dict[str, Any], headers: dict[str, str]
) -> None:
    asked = pool()
    first = await ask(asked, body, headers=headers)
    for number in range(4):
        await ask(asked, CHAT, headers={"session-id": f"other-{number}"})
        assert await ask(asked, body, headers=headers) == first


async def test_case_160_a_conversation_moves_once_when_its_account_is_not_healthy() -> None:
    body = {**CHAT, "prompt_cache_key": "s"}
    busy = refusal(429, {"error": {"message": "slow down"}}, retry_after="3")
    asked = pool(a=[reply(WHOLE), busy, reply(WHOLE)])
    assert await ask(asked, body) == "a"
    moved = await ask(asked, body)
    assert moved in "bc"
    asked.state.clear("a")
    assert {await ask(asked, body) for _ in range(4)} == {moved}


async def test_requests_without_a_history_are_spread_evenly_however_much_they_are_alike() -> None:
    asked = pool()
    assert Counter([await ask(asked, CHAT) for _ in range(30)]) == {"a": 10, "b": 10, "c": 10}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": {"message": "messages: expected a list", "type": "invalid_request_error"}}),
        (404, {"error": {"message": "no such model", "code": "model_not_found"}}),
        (400, {"error": {"message": "maximum context length is 8 tokens", "code": "context_length_exceeded"}}),
        (400, {"error": {"message": "flagged", "code": "content_filter"}}),
        (403, {"error": {"message": "not in your country", "code": "unsupported_country_region_territory"}}),
        (413, {"error": {"message": "too large"}}),
        (500, {"error": {"message": "oops"}}),
        (503, {"error": {"message": "overloaded"}}),
    ],
)
async def test_what_is_wrong_with_a_request_costs_no_account_anything(status: int, body: object) -> None:
    asked = pool(**{name: [refusal(status, body)] for name in "abc"})
    for _ in range(50):
        with pytest.raises(GatewayError):
            await ask(asked, CHAT)
    assert not any(asked.state.rests(name) for name in "abc")


async def test_u_22_a_busy_account_rests_for_the_time_it_asked_for_and_for_that_model_alone() -> None:
    busy = refusal(429, {"error": {"message": "slow down"}}, retry_after="3")
    asked = pool(a=[busy])
    assert await ask(asked, CHAT) != "a"
    (resting,) = asked.state.resting(one_model("m")).items()
    assert resting[0] == "a"
    assert asked.state.resting(one_model("another")) == {}


def _soon() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)


@pytest.mark.parametrize(
    ("said", "least", "most"),
    [("30", 29, 30), (_soon, 25, 31), ("1000000000", 3599, 3600), ("9" * 400, 3599, 3600)],
    ids=["seconds", "a date", "decades", "no number at all"],
)
async def test_u_22_a_wait_is_read_in_either_form_and_has_a_bound(
    said: str | Callable[[], str], least: float, most: float
) -> None:
    busy = refusal(429, {"error": {"message": "slow down"}}, retry_after=said if isinstance(said, str) else said())
    asked = pool(a=[busy])
    await ask(asked, CHAT)
    assert least <= asked.state.resting(one_model("m"))["a"].until - time.time() <= most


@pytest.mark.parametrize("said", ["soon", "", "nan", "1e9"])
async def test_u_22_junk_instead_of_a_wait_is_a_short_rest_all_the_same(said: str) -> None:
    asked = pool(a=[refusal(429, {"error": {"message": "slow down"}}, retry_after=said)])
    assert await ask(asked, CHAT) != "a"
    assert 0 < asked.state.resting(one_model("m"))["a"].until - time.time() <= 60


async def test_u_22_when_all_of_them_are_busy_the_client_is_told_of_the_first_that_is_back() -> None:
    waits = {"a": "300", "b": "20", "c": "4000"}
    asked = pool(
        **{name: [refusal(429, {"error": {"message": "no"}}, retry_after=each)] for name, each in waits.items()}
    )
    for _ in range(2):
        with pytest.raises(GatewayError) as raised:
            await ask(asked, CHAT)
        assert raised.value.kind is ErrorKind.RATE_LIMIT
        assert raised.value.retry_after is not None
        assert 19 <= raised.value.retry_after <= 20
    assert len(asked.script.seen) == 3


async def test_what_an_account_says_late_is_not_held_against_one_that_was_enabled_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = pool(a=[refusal(402, {"error": {"message": "pay your bill"}}), reply(WHOLE)])
    current, answer = asked.gateway._selector.snapshot, asked.script.handle_async_request
    current.value = attrs.evolve(current.value, editions={"a": "as it was"})

    async def enabled_meanwhile(request: httpx.Request) -> httpx.Response:
        found = await answer(request)
        current.value = attrs.evolve(current.value, editions={"a": "enabled"})
        return found

    monkeypatch.setattr(asked.script, "handle_async_request", enabled_meanwhile)
    assert await ask(asked, CHAT) != "a"
    assert asked.script.seen[0][0] == "a"
    assert not asked.state.rests("a")
    assert "a" in {await ask(asked, CHAT) for _ in range(3)}


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (refusal(402, {"error": {"message": "pay your bill"}}), "disabled"),
        (refusal(403, {"error": {"message": "Your account has been suspended."}}), "banned"),
    ],
)
async def test_u_23_an_unpaid_bill_and_a_ban_put_an_account_out_of_use_at_once(answer: Any, status: str) -> None:
    asked = pool(a=[answer, reply(WHOLE)])
    accounts = [await ask(asked, CHAT) for _ in range(9)]
    assert set(accounts) == {"b", "c"}
    assert [name for name, _ in asked.script.seen].count("a") == 1
    (found,) = asked.state.resting(one_model("another")).values()
    assert found.status == status


async def test_when_every_account_is_out_of_use_the_client_is_not_told_to_wait() -> None:
    asked = pool(**{name: [refusal(403, {"error": {"message": "Your account has been suspended."}})] for name in "abc"})
    with pytest.raises(GatewayError) as first:
        await ask(asked, CHAT)
    assert (first.value.kind, first.value.retry_after) == (ErrorKind.BANNED, None)
    with pytest.raises(NoAccountError, match="3 banned") as then:
        await ask(asked, CHAT)
    assert (then.value.kind, then.value.retry_after) == (ErrorKind.UNAVAILABLE, None)
    assert len(asked.script.seen) == 3


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"providers": frozenset({"another"})}, "provider 'acme'"),
        ({"models": frozenset({"another", "x-*"})}, "model 'm'"),
        ({"accounts": frozenset({"nobody"})}, "no account"),
        ({"accounts": frozenset()}, "no account"),
    ],
)
async def test_a_key_is_refused_what_it_may_not_use(limits: dict[str, Any], words: str) -> None:
    asked = pool()
    with pytest.raises(ForbiddenError, match=words):
        await ask(asked, CHAT, caller=Caller(id="k", role="client", **limits))
    assert asked.script.seen == []


@pytest.mark.parametrize("models", [{"m"}, {"acme/m"}, {"acme/*"}, {"*"}])
async def test_a_key_uses_what_it_may(models: set[str]) -> None:
    asked = pool()
    caller = Caller(
        id="k",
        role="client",
        providers=frozenset({"acme"}),
        models=frozenset(models),
        accounts=frozenset({"b", "nobody"}),
    )
    body = {**CHAT, "model": "acme/m"}
    assert {await ask(asked, body, caller=caller) for _ in range(5)} == {"b"}


async def test_a_named_account_takes_the_call_or_nobody_does() -> None:
    asked = pool(b=[reply(WHOLE), refusal(503, {"error": {"message": "overloaded"}})])
    assert await ask(asked, CHAT, account="b") == "b"
    with pytest.raises(GatewayError, match="overloaded"):
        await ask(asked, CHAT, account="b")
    with pytest.raises(NotFoundError):
        await ask(asked, CHAT, account="nobody")
    assert {name for name, _ in asked.script.seen} == {"b"}


class Listener(Events):
    """A provider that writes down whose conversations it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str | None] = []

    async def complete(self, request: ChatRequest, upstream: Upstream) -> ChatResponse:
        self.heard.append(request.conversation)
        await upstream.post("http://vendor.test/", json={})
        return await super().complete(request, upstream)


async def test_a_provider_can_tell_conversations_apart_and_other_clients() -> None:
    listener = Listener()
    asked = House(Script(**ANY), listener)
    ann, bob = Caller(id="ann", role="client"), Caller(id="bob", role="client")
    for caller, body in ((ann, CHAT), (ann, {**CHAT, "messages": TURNS}), (bob, CHAT)):
        await ask(asked, body, caller=caller)
    await ask(asked, CHAT, caller=ann, headers={"session-id": "s"})
    assert listener.heard[0] == listener.heard[1]
    assert len({*listener.heard}) == 3
    assert None not in listener.heard


async def test_a_request_that_nothing_tells_apart_is_its_clients_alone() -> None:
    listener = Listener()
    asked = House(Script(**ANY), listener)
    silent = {**CHAT, "messages": [{"role": "system", "content": "hi"}]}
    for name in ("ann", "bob"):
        await ask(asked, silent, caller=Caller(id=name, role="client"))
    assert len({*listener.heard} - {None}) == 2
