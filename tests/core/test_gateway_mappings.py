"""Other names for models in the request path: where they lead, and what comes after a target that cannot answer."""

from __future__ import annotations

import json
import re
from contextlib import AsyncExitStack

import attrs
import httpx
import pytest
from core.gateway_house import (
    ANTHROPIC,
    CHAT,
    MESSAGES,
    OPENAI,
    STREAM,
    WHOLE,
    House,
    Script,
    account,
    openai_like,
    refused,
    reply,
    streamed,
)

from aigateway_core.answers import StreamAnswer
from aigateway_core.catalogue import Catalogue
from aigateway_core.errors import ForbiddenError, NoAccountError, UnknownModelError, UpstreamError
from aigateway_core.exchange import Whole
from aigateway_core.gateway import Incoming
from aigateway_core.records import Account, Caller, Target
from aigateway_core.routing import Router
from aigateway_core.snapshot import ProviderEntry, Snapshot

pytestmark = pytest.mark.anyio

FAST = (Target(provider="acme", model="m"), Target(provider="beta", model="b-1"))
ANYBODY = Caller(id="-", role="client")


async def test_u_26_names_that_lead_to_each_other_lead_no_further() -> None:
    it = house({"acme": "a"}, a=[reply(WHOLE)])
    circle = {"one": (Target(provider="acme", model="two"),), "two": (Target(provider="acme", model="one"),)}
    circle["self"] = (Target(provider="acme", model="self"),)
    it.snapshot.value = attrs.evolve(it.snapshot.value, mappings=circle)
    for name, asked in (("one", "two"), ("two", "one"), ("self", "self")):
        it.script.seen.clear()
        await it.ask({**CHAT, "model": name})
        assert [body["model"] for _, body in it.script.seen] == [asked], "the vendor's own name, whatever it means here"


def entry(house: House, name: str) -> ProviderEntry:
    return attrs.evolve(house.entry, id=name)


def at(name: str, provider: str) -> Account:
    return attrs.evolve(account(name), provider_id=provider)


def house(accounts: dict[str, str], *, off: frozenset[str] = frozenset(), **answers: list[httpx.Response]) -> House:
    """``accounts``: the accounts of each provider, by one letter each."""
    it = House(Script(**answers), openai_like(), "")
    it.snapshot.value = Snapshot(
        version=1,
        accounts={provider: tuple(at(name, provider) for name in names) for provider, names in accounts.items()},
        mappings={"fast": FAST, "team/fast": FAST[1:], "lost": (Target(provider="gone", model="x"),)},
        switched_off=off,
    )
    it.gateway.router = Router([it.entry, entry(it, "beta")], it.snapshot)
    return it


async def ask(it: House, model: str = "fast", caller: Caller = ANYBODY, **more: object) -> dict[str, object]:
    async def read() -> bytes:
        return json.dumps({**CHAT, "model": model, **more}).encode()

    async with AsyncExitStack() as exits:
        answer = await it.gateway.answer(Incoming(OPENAI, caller, "req-1", read(), lambda: exits))
        if isinstance(answer, StreamAnswer):
            return {"bytes": b"".join([each async for each in answer])}
        assert isinstance(answer, Whole)
        parsed: dict[str, object] = json.loads(answer.body)
        return parsed


async def test_an_alias_leads_to_its_first_target_and_keeps_its_name_in_the_answer() -> None:
    it = house({"acme": "a", "beta": "b"}, a=[reply(WHOLE)])
    assert (await ask(it))["model"] == "fast"
    assert it.script.seen == [("a", {**CHAT, "model": "m"})]
    record = await it.record()
    assert (record.model, record.provider_id, record.upstream_model) == ("fast", "acme", "m")


async def test_an_alias_may_hold_a_slash_and_goes_before_the_name_of_a_provider() -> None:
    it = house({"acme": "a", "beta": "b"}, b=[reply(WHOLE)])
    await ask(it, "team/fast")
    assert it.script.seen[0] == ("b", {**CHAT, "model": "b-1"})


@pytest.mark.parametrize(
    "failure", [refused(500), refused(429), refused(401), refused(503)], ids=lambda r: r.status_code
)
async def test_a_target_that_fails_is_followed_by_the_next(failure: httpx.Response) -> None:
    it = house({"acme": "a", "beta": "b"}, a=[failure], b=[reply(WHOLE)])
    assert (await ask(it))["model"] == "fast"
    record = await it.record()
    assert (record.outcome, record.provider_id, record.upstream_model, record.account_id) == ("ok", "beta", "b-1", "b")
    assert [(attempt.provider_id, attempt.account_id) for attempt in record.attempts] == [("acme", "a"), ("beta", "b")]


async def test_every_account_of_a_target_is_tried_before_the_next_target() -> None:
    it = house({"acme": "ac", "beta": "b"}, a=[refused(500)], c=[refused(500)], b=[reply(WHOLE)])
    await ask(it)
    assert [name for name, _ in it.script.seen][-1] == "b"
    assert {name for name, _ in it.script.seen} == {"a", "b", "c"}


async def test_a_target_without_an_account_is_passed_over() -> None:
    it = house({"beta": "b"}, b=[reply(WHOLE)])
    await ask(it)
    assert [name for name, _ in it.script.seen] == ["b"]


async def test_a_target_whose_accounts_rest_is_passed_over() -> None:
    it = house({"acme": "a", "beta": "b"}, a=[refused(429, **{"retry-after": "60"})], b=[reply(WHOLE)])
    await ask(it)
    await ask(it)
    assert [name for name, _ in it.script.seen] == ["a", "b", "b"]


async def test_a_stream_that_breaks_before_its_first_content_goes_on_at_the_next_target() -> None:
    it = house({"acme": "a", "beta": "b"}, a=[streamed(STREAM[0], httpx.ReadError("gone"))], b=[streamed(*STREAM)])
    answer = await ask(it, stream=True)
    assert b"hel" in answer["bytes"]  # type: ignore[operator]


async def test_a_stream_that_breaks_after_its_first_content_does_not() -> None:
    it = house({"acme": "a", "beta": "b"}, a=[streamed(*STREAM[:2], httpx.ReadError("gone"))], b=[streamed(*STREAM)])
    answer = await ask(it, stream=True)
    assert b'"error"' in answer["bytes"]  # type: ignore[operator]
    assert [name for name, _ in it.script.seen] == ["a"]


async def test_a_mistake_of_the_client_is_not_repeated_elsewhere() -> None:
    it = house({"acme": "a", "beta": "b"}, a=[refused(400)], b=[reply(WHOLE)])
    with pytest.raises(UpstreamError, match="no 400"):
        await ask(it)
    assert [name for name, _ in it.script.seen] == ["a"]


async def test_when_every_target_fails_the_last_word_of_an_upstream_is_told_with_the_shortest_wait() -> None:
    it = house({"acme": "a", "beta": "b"}, a=[refused(429, **{"retry-after": "9"})], b=[refused(429)])
    with pytest.raises(UpstreamError, match="no 429") as failed:
        await ask(it)
    assert failed.value.retry_after is not None
    assert 8 < failed.value.retry_after <= 9


async def test_when_no_target_has_an_account_it_is_said_of_the_first() -> None:
    with pytest.raises(NoAccountError, match="the provider 'acme' has no active account"):
        await ask(house({}))


async def test_an_alias_that_leads_nowhere_is_an_unknown_model() -> None:
    with pytest.raises(UnknownModelError, match="the model 'lost' leads to no provider that is switched on"):
        await ask(house({"acme": "a"}), "lost")


async def test_a_key_takes_the_targets_that_it_may_use() -> None:
    it = house({"acme": "a", "beta": "b"}, b=[reply(WHOLE)])
    await ask(it, caller=Caller(id="k", role="client", providers=frozenset({"beta"})))
    await ask(it, caller=Caller(id="k", role="client", models=frozenset({"b-*"})))
    await ask(it, caller=Caller(id="k", role="client", accounts=frozenset({"b"})))
    assert [name for name, _ in it.script.seen] == ["b", "b", "b"]


async def test_the_name_of_an_alias_on_a_key_opens_what_it_leads_to_by_that_name_alone() -> None:
    it = house({"acme": "a", "beta": "b"}, a=[reply(WHOLE)])
    caller = Caller(id="k", role="client", models=frozenset({"fast"}))
    await ask(it, caller=caller)
    with pytest.raises(ForbiddenError):
        await ask(it, "m", caller)


async def test_a_key_that_may_use_no_target_is_refused() -> None:
    it = house({"acme": "a", "beta": "b"})
    with pytest.raises(ForbiddenError, match="this key may not use the provider 'acme'"):
        await ask(it, caller=Caller(id="k", role="client", providers=frozenset({"other"})))


LIMITED = (
    Caller(id="k", role="client", providers=frozenset({"beta"})),
    Caller(id="k", role="client", models=frozenset({"b-*"})),
)


@pytest.mark.parametrize(
    ("model", "told"),
    [("fasd", "did you mean fast"), ("nope", "acme"), ("acme/m", "the provider 'acme'"), ("lost", "(gone)")],
)
async def test_a_key_that_does_not_open_everything_is_not_told_what_else_there_is(model: str, told: str) -> None:
    it = house({"acme": "a", "beta": "b"}, off=frozenset({"acme"} if model == "acme/m" else ()))
    with pytest.raises(UnknownModelError, match=re.escape(told)):
        await ask(it, model)
    for caller in LIMITED:
        with pytest.raises(UnknownModelError) as caught:
            await ask(it, model, caller)
        assert caught.value.message == f"no provider that this key may use serves the model {model!r}"


async def test_a_provider_that_is_switched_off_serves_nothing_and_says_so() -> None:
    it = house({"acme": "a", "beta": "b"}, off=frozenset({"acme"}), b=[reply(WHOLE)])
    await ask(it)
    await ask(it, "m")
    assert [name for name, _ in it.script.seen] == ["b", "b"], "another provider has the model too"
    with pytest.raises(
        UnknownModelError, match="the provider 'acme', which serves the model 'acme/m', is switched off"
    ):
        await ask(it, "acme/m")


async def test_aliases_are_listed_to_those_who_may_use_them() -> None:
    it = house({"acme": "a"})
    catalogue = Catalogue(it.gateway.router, it.snapshot)
    assert [(each.info.id, each.provider_id) for each in catalogue.models(ANYBODY)] == [("fast", "acme"), ("m", "acme")]
    caller = Caller(id="k", role="client", models=frozenset({"fast"}))
    assert [each.info.id for each in catalogue.models(caller)] == ["fast"]
    assert catalogue.model("fast", ANYBODY).info.id == "fast"
    it.snapshot.value = attrs.evolve(it.snapshot.value, mappings={})
    assert [each.info.id for each in catalogue.models(ANYBODY)] == ["m"]


async def test_a_translated_request_goes_to_the_next_target_as_well() -> None:
    it = house({"acme": "a", "beta": "b"}, a=[refused(500)], b=[reply(WHOLE)])

    async def read() -> bytes:
        return json.dumps({**MESSAGES, "model": "fast"}).encode()

    async with AsyncExitStack() as exits:
        answer = await it.gateway.answer(Incoming(ANTHROPIC, ANYBODY, "req-1", read(), lambda: exits))
    assert isinstance(answer, Whole)
    assert json.loads(answer.body)["model"] == "fast"
