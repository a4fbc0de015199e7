"""Which account takes a call: the conversation's own, those that the key may use, the one that was named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Literal

import attrs
import pytest

from aigateway_core.accounts import AccountSelector, Terms
from aigateway_core.affinity import Conversation
from aigateway_core.errors import ErrorKind, ForbiddenError, NoAccountError, NotFoundError, Scope, UpstreamError
from aigateway_core.records import Account
from aigateway_core.routing import Route, Router
from aigateway_core.snapshot import CurrentSnapshot, OutOfUse, ProviderEntry, Snapshot
from aigateway_core.state import EVERY_MODEL, NO_WAY_OUT, Cooldown
from aigateway_core.state.memory import MemoryState

pytestmark = pytest.mark.anyio
Make = Callable[..., ProviderEntry]
BUSY = UpstreamError(ErrorKind.RATE_LIMIT, "no", scope="model", retry_after=60, status=429)


class Pool:
    """A selector over accounts ``a``, ``b``, ``c`` of ``acme``, and one of somebody else."""

    def __init__(self, entry: Make) -> None:
        self.snapshot = CurrentSnapshot()
        self.hold("abc")
        self.state = MemoryState()
        self.selector = AccountSelector(self.snapshot, self.state)
        self.router = Router([entry("acme", models=["m", "other"])])
        self.route = self.router.route("m")

    def hold(self, names: str) -> None:
        listed = tuple(Account(id=name, provider_id="acme") for name in names)
        self.snapshot.value = Snapshot(accounts={"acme": listed, "else": (Account(id="z", provider_id="else"),)})

    async def pick(
        self,
        conversation: str | None = None,
        *,
        begins: bool = False,
        tried: str = "",
        allowed: str | None = None,
        named: str | None = None,
        route: Route | None = None,
    ) -> str:
        terms = Terms(
            conversation=None if conversation is None else Conversation(conversation, begins),
            allowed=None if allowed is None else frozenset(allowed),
            named=named,
        )
        return (await self.selector.select(route or self.route, tried, terms)).id

    def fails(self, account: str, error: UpstreamError) -> None:
        self.selector.punish(self.route, Account(id=account, provider_id="acme"), error)


@pytest.fixture
def pool(entry: Make) -> Pool:
    return Pool(entry)


# -- how far a rest reaches

NAMES = ("flash", "*", "account\t", "quota group\tflash", "model\tm", "m\t")


@pytest.mark.parametrize("scope", ["model", "quota_group"])
@pytest.mark.parametrize("name", NAMES)
async def test_no_name_of_a_model_costs_an_account_more_than_that_model(pool: Pool, name: str, scope: Scope) -> None:
    provider = pool.route.provider
    error = UpstreamError(ErrorKind.MODEL_NOT_FOUND, "no", scope=scope, retry_after=3600, status=404)
    for account in "abc":
        pool.selector.punish(Route(provider, name, name), Account(id=account, provider_id="acme"), error)
    with pytest.raises(NoAccountError):
        await pool.pick(route=Route(provider, name, name))
    for route in (pool.route, Route(provider, "large", "flash", shares_quota=True)):
        assert {await pool.pick(route=route) for _ in range(3)} == set("abc")


@pytest.mark.parametrize("group", ["m", *NAMES])
async def test_no_name_of_a_quota_group_costs_an_account_more_than_its_models(pool: Pool, group: str) -> None:
    provider, error = pool.route.provider, UpstreamError(ErrorKind.QUOTA, "no", scope="quota_group", retry_after=3600)
    large, small = (Route(provider, model, group, shares_quota=True) for model in ("large", "small"))
    for account in "abc":
        pool.selector.punish(large, Account(id=account, provider_id="acme"), error)
    for route in (large, small):
        with pytest.raises(NoAccountError):
            await pool.pick(route=route)
    assert {await pool.pick() for _ in range(3)} == set("abc")


async def test_what_earlier_versions_wrote_of_a_model_or_a_group_keeps_nobody_from_anything(pool: Pool) -> None:
    """They wrote bare names, and nobody knows of what; an account that rests says so when it is asked."""
    for account in "abc":
        for name in ("*", "m", "flash"):
            pool.state.cool(account, name, Cooldown.for_good("disabled", "quota"))
    for route in (pool.route, Route(pool.route.provider, "large", "flash", shares_quota=True)):
        assert {await pool.pick(route=route) for _ in range(3)} == set("abc")


# -- affinity


async def test_a_conversation_stays_with_its_account(pool: Pool) -> None:
    accounts = {name: await pool.pick(name) for name in ("x", "y", "z")}
    assert sorted(accounts.values()) == ["a", "b", "c"]
    for _ in range(5):
        assert {name: await pool.pick(name) for name in ("z", "x", "y")} == accounts


async def test_first_picks_are_even_over_conversations(pool: Pool) -> None:
    first = [await pool.pick(f"c-{number}") for number in range(300)]
    for number in range(0, 300, 7):
        assert await pool.pick(f"c-{number}") == first[number]
    assert Counter(first) == {"a": 100, "b": 100, "c": 100}


async def test_conversations_that_begin_alike_are_spread(pool: Pool) -> None:
    assert [await pool.pick("hi", begins=True) for _ in range(6)] == ["a", "b", "c", "a", "b", "c"]
    assert [await pool.pick("hi") for _ in range(3)] == ["c", "c", "c"]


async def test_a_conversation_moves_once_when_its_account_rests_and_does_not_come_back(pool: Pool) -> None:
    first = await pool.pick("x")
    pool.fails(first, BUSY)
    second = await pool.pick("x", tried=first)
    assert second != first
    assert [await pool.pick("x") for _ in range(3)] == [second] * 3
    pool.state.clear(first)
    assert [await pool.pick("x") for _ in range(3)] == [second] * 3


async def test_a_failure_that_is_not_the_accounts_moves_no_conversation(pool: Pool) -> None:
    first = await pool.pick("x")
    assert await pool.pick("x", tried=first) != first
    assert await pool.pick("x") == first
    begun = await pool.pick("hi", begins=True)
    assert await pool.pick("hi", begins=True, tried=begun) != begun
    assert await pool.pick("hi") == begun


async def test_a_model_that_rests_moves_no_other_model(pool: Pool) -> None:
    other = pool.router.route("other")
    first, elsewhere = await pool.pick("x"), await pool.pick("x", route=other)
    pool.fails(first, BUSY)
    assert await pool.pick("x") != first
    assert await pool.pick("x", route=other) == elsewhere


async def test_a_conversation_of_an_account_that_is_gone_moves(pool: Pool) -> None:
    first = await pool.pick("x")
    pool.hold("abc".replace(first, ""))
    assert await pool.pick("x") != first


async def test_a_conversation_does_not_lead_to_another_providers_account(pool: Pool) -> None:
    pool.state.bind("x", "acme", "m", "z")
    assert await pool.pick("x") in "abc"


async def test_an_account_that_was_added_takes_its_part(pool: Pool) -> None:
    await pool.pick()
    pool.hold("abcd")
    assert Counter([await pool.pick() for _ in range(400)]) == dict.fromkeys("abcd", 100)


async def test_t_04_an_account_is_back_when_its_time_is_over(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    now, moved = 1_000_000.0, 0.0
    monkeypatch.setattr("time.time", lambda: now + moved)
    monkeypatch.setattr("time.monotonic", lambda: now)
    pool.fails("a", BUSY)
    assert {await pool.pick() for _ in range(6)} == {"b", "c"}
    now += 60.1
    assert {await pool.pick() for _ in range(6)} == {"a", "b", "c"}
    pool.fails("a", BUSY)
    assert {await pool.pick() for _ in range(6)} == {"b", "c"}
    now, moved = now + 300.1, -7200.0
    assert {await pool.pick() for _ in range(6)} == {"a", "b", "c"}, "the clock was set back meanwhile"
    pool.fails("a", BUSY)
    assert {await pool.pick() for _ in range(6)} == {"b", "c"}
    moved += 900.1
    assert {await pool.pick() for _ in range(6)} == {"a", "b", "c"}, "the clock was set forward, or the machine slept"


# -- what a key may use


async def test_a_key_uses_the_accounts_that_it_may(pool: Pool) -> None:
    assert Counter([await pool.pick(allowed="ac") for _ in range(20)]) == {"a": 10, "c": 10}
    bound = await pool.pick("x")
    others = "abc".replace(bound, "")
    assert await pool.pick("x", allowed=others) in others


async def test_a_key_that_may_use_none_is_told_so(pool: Pool) -> None:
    with pytest.raises(ForbiddenError, match="no account of the provider 'acme'"):
        await pool.pick(allowed="xyz")


async def test_the_wait_is_that_of_the_accounts_which_the_key_may_use(pool: Pool) -> None:
    pool.fails("a", UpstreamError(ErrorKind.RATE_LIMIT, "no", scope="model", retry_after=90))
    with pytest.raises(NoAccountError) as caught:
        await pool.pick(allowed="a")
    assert caught.value.retry_after in {89, 90}
    assert 89 < pool.selector.rest(pool.route, Terms(allowed=frozenset("a"))) <= 90
    assert pool.selector.rest(pool.route) == 0


# -- an account by name


async def test_an_account_that_is_named_is_the_only_one(pool: Pool) -> None:
    assert {await pool.pick("x", named="b") for _ in range(4)} == {"b"}
    with pytest.raises(NoAccountError):
        await pool.pick(named="b", tried="b")


async def test_a_named_account_is_asked_even_while_it_cools(pool: Pool) -> None:
    pool.fails("b", BUSY)
    assert await pool.pick(named="b") == "b"


async def test_a_banned_account_is_not_asked_by_any_name(pool: Pool) -> None:
    pool.fails("b", UpstreamError(ErrorKind.BANNED, "no", scope="account", status=403))
    with pytest.raises(NoAccountError, match="banned") as caught:
        await pool.pick(named="b")
    assert caught.value.kind is ErrorKind.UNAVAILABLE


@pytest.mark.parametrize("name", ["z", "nobody"])
async def test_a_name_that_is_none_of_the_providers_is_not_found(pool: Pool, name: str) -> None:
    with pytest.raises(NotFoundError, match=name):
        await pool.pick(named=name)


# -- what does not pass by itself


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UpstreamError(ErrorKind.QUOTA, "pay", scope="account", status=402, retry_after=5), "disabled"),
        (UpstreamError(ErrorKind.BANNED, "out", scope="account", status=403), "banned"),
    ],
)
async def test_an_unpaid_bill_and_a_ban_stand_until_the_account_is_mended(
    pool: Pool, error: UpstreamError, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool.fails("a", error)
    pool.fails("a", BUSY)
    found = pool.state.cooldown("a", EVERY_MODEL)
    assert found is not None
    assert (found.status, found.reason, found.passes) == (status, error.kind, False)
    monkeypatch.setattr("time.time", lambda: 9e9)
    assert {await pool.pick() for _ in range(6)} == {"b", "c"}
    pool.state.clear("a")
    assert {await pool.pick() for _ in range(6)} == {"a", "b", "c"}


async def test_a_ban_that_does_not_speak_of_the_account_costs_nothing(pool: Pool) -> None:
    pool.fails("a", UpstreamError(ErrorKind.BANNED, "no", scope="request"))
    assert {await pool.pick() for _ in range(6)} == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("reasons", "kind"),
    [
        (("quota", "quota", "quota"), ErrorKind.QUOTA),
        (("quota", "banned", "needs_login"), ErrorKind.UNAVAILABLE),
    ],
)
async def test_when_no_account_will_be_back_nobody_is_told_to_wait(
    pool: Pool, reasons: tuple[str, ...], kind: ErrorKind
) -> None:
    for name, reason in zip("abc", reasons, strict=True):
        pool.state.cool(name, EVERY_MODEL, Cooldown.for_good("disabled", reason))
    with pytest.raises(NoAccountError, match="until it is mended") as caught:
        await pool.pick()
    assert (caught.value.kind, caught.value.retry_after) == (kind, None)
    assert pool.selector.rest(pool.route) == 0


async def test_a_way_out_that_was_not_there_for_what_an_account_was_is_not_held_against_what_it_is(pool: Pool) -> None:
    seen = attrs.evolve(pool.snapshot.value, editions={"a": "as it was"})
    pool.snapshot.value = attrs.evolve(seen, editions={"a": "bound elsewhere"})
    account = Account(id="a", provider_id="acme")
    pool.selector.set_aside(account, 60, seen)
    assert not pool.state.rests("a")
    pool.selector.set_aside(account, 60, pool.snapshot.value)
    (found,) = pool.state.rests("a").values()
    assert (found.reason, found.edition) == (NO_WAY_OUT, "bound elsewhere")


async def test_accounts_whose_status_is_stored_are_told_of_like_those_found_out_just_now(pool: Pool) -> None:
    def shut(status: Literal["banned", "disabled"], reason: str) -> OutOfUse:
        return OutOfUse(provider_id="acme", status=status, reason=reason)

    pool.snapshot.value = Snapshot(out_of_use={"a": shut("disabled", "quota"), "b": shut("disabled", "quota")})
    with pytest.raises(NoAccountError, match=r"until it is mended: 2 disabled \(quota\)") as caught:
        await pool.pick()
    assert caught.value.kind is ErrorKind.QUOTA
    with pytest.raises(NoAccountError, match="1 disabled"):
        await pool.pick(allowed="a")
    with pytest.raises(NoAccountError, match=r"the account 'a' is disabled \(quota\) until it is mended"):
        await pool.pick(named="a")
    with pytest.raises(NotFoundError):
        await pool.pick(named="z")
    pool.snapshot.value = Snapshot(
        accounts={"acme": (Account(id="c", provider_id="acme"),)}, out_of_use={"a": shut("banned", "banned")}
    )
    assert await pool.pick() == "c"
    with pytest.raises(NoAccountError, match="1 banned"):
        await pool.pick(allowed="a")
    with pytest.raises(ForbiddenError):
        await pool.pick(allowed="x")


async def test_the_wait_is_that_of_an_account_that_will_be_back(pool: Pool) -> None:
    for name in "ab":
        pool.state.cool(name, EVERY_MODEL, Cooldown.for_good("banned", "banned"))
    pool.fails("c", BUSY)
    with pytest.raises(NoAccountError) as caught:
        await pool.pick()
    assert caught.value.retry_after in {59, 60}
