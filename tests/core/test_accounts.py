from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import pytest

from aigateway_core.accounts import AccountSelector, cooldown_of
from aigateway_core.errors import ErrorKind, NoAccountError, Scope, UpstreamError
from aigateway_core.escalation import Escalation
from aigateway_core.model import ModelInfo
from aigateway_core.records import Account
from aigateway_core.routing import Route, Router
from aigateway_core.snapshot import CurrentSnapshot, ProviderEntry, Snapshot
from aigateway_core.state import Cooldown
from aigateway_core.state.memory import MemoryState

pytestmark = pytest.mark.anyio
Make = Callable[..., ProviderEntry]


def account(name: str, provider: str = "acme") -> Account:
    return Account(id=name, provider_id=provider)


@pytest.fixture
def route(entry: Make) -> Route:
    return Router([entry("acme", models=["m", "other"])]).route("m")


@pytest.fixture
def selector() -> AccountSelector:
    snapshot = CurrentSnapshot()
    snapshot.value = Snapshot(version=1, accounts={"acme": tuple(account(name) for name in "abc")})
    return AccountSelector(snapshot, MemoryState())


async def picks(selector: AccountSelector, route: Route, number: int) -> Counter[str]:
    return Counter([(await selector.select(route)).id for _ in range(number)])


def failure(kind: ErrorKind, scope: Scope, retry_after: float | None = None) -> UpstreamError:
    return UpstreamError(kind, "no", scope=scope, retry_after=retry_after)


async def test_accounts_take_turns_evenly(selector: AccountSelector, route: Route) -> None:
    assert await picks(selector, route, 300) == {"a": 100, "b": 100, "c": 100}


async def test_each_model_has_turns_of_its_own(selector: AccountSelector, entry: Make) -> None:
    router = Router([entry("acme", models=["m", "other"])])
    first = [(await selector.select(router.route(model))).id for model in ("m", "other", "m", "other")]
    assert first == ["a", "a", "b", "b"]


async def test_an_account_that_was_tried_is_not_taken_again(selector: AccountSelector, route: Route) -> None:
    assert (await selector.select(route, {"a", "c"})).id == "b"
    with pytest.raises(NoAccountError):
        await selector.select(route, {"a", "b", "c"})


async def test_picks_after_a_failure_do_not_shift_the_turns_of_first_picks(
    selector: AccountSelector, route: Route
) -> None:
    first: list[str] = []
    for _ in range(30):
        first.append((await selector.select(route)).id)
        await selector.select(route, {first[-1]})
    assert Counter(first) == {"a": 10, "b": 10, "c": 10}


async def test_a_cooling_account_is_left_out_and_the_others_stay_even(selector: AccountSelector, route: Route) -> None:
    selector.punish(route, account("b"), failure(ErrorKind.RATE_LIMIT, "model"))
    assert await picks(selector, route, 200) == {"a": 100, "c": 100}


async def test_a_failure_of_model_scope_rests_that_model_alone(selector: AccountSelector, entry: Make) -> None:
    router = Router([entry("acme", models=["m", "other"])])
    selector.punish(router.route("m"), account("b"), failure(ErrorKind.RATE_LIMIT, "model", 60))
    assert set(await picks(selector, router.route("m"), 10)) == {"a", "c"}
    assert set(await picks(selector, router.route("other"), 10)) == {"a", "b", "c"}


async def test_models_of_one_quota_group_rest_together(selector: AccountSelector, entry: Make) -> None:
    models = [ModelInfo(id="m-1", quota_group="g"), ModelInfo(id="m-2", quota_group="g")]
    router = Router([entry("acme", models=models)])
    selector.punish(router.route("m-1"), account("b"), failure(ErrorKind.QUOTA, "quota_group"))
    assert set(await picks(selector, router.route("m-2"), 10)) == {"a", "c"}


async def test_a_model_that_an_account_lacks_rests_alone_in_its_quota_group(
    selector: AccountSelector, entry: Make
) -> None:
    models = [ModelInfo(id="m-1", quota_group="g"), ModelInfo(id="m-2", quota_group="g")]
    router = Router([entry("acme", models=models)])
    selector.punish(router.route("m-1"), account("b"), failure(ErrorKind.MODEL_NOT_FOUND, "model"))
    assert set(await picks(selector, router.route("m-1"), 10)) == {"a", "c"}
    assert set(await picks(selector, router.route("m-2"), 9)) == {"a", "b", "c"}
    selector.punish(router.route("m-1"), account("b"), failure(ErrorKind.QUOTA, "quota_group", 10))
    selector.punish(router.route("m-1"), account("a"), failure(ErrorKind.QUOTA, "account", 20))
    selector.punish(router.route("m-1"), account("c"), failure(ErrorKind.QUOTA, "quota_group", 30))
    assert 5 < selector.rest(router.route("m-2")) <= 10
    assert 15 < selector.rest(router.route("m-1")) <= 20


async def test_a_model_that_no_account_has_is_told_as_such(selector: AccountSelector, route: Route) -> None:
    for name in "abc":
        selector.punish(route, account(name), failure(ErrorKind.MODEL_NOT_FOUND, "model"))
    with pytest.raises(NoAccountError, match="has the model 'm'") as caught:
        await selector.select(route)
    assert caught.value.kind is ErrorKind.MODEL_NOT_FOUND
    selector.punish(route, account("c"), failure(ErrorKind.RATE_LIMIT, "model", 7200))
    with pytest.raises(NoAccountError, match="is resting") as caught:
        await selector.select(route)
    assert caught.value.kind is ErrorKind.RATE_LIMIT


async def test_an_account_that_fails_again_rests_longer(
    selector: AccountSelector, route: Route, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    monkeypatch.setattr(selector, "_escalation", Escalation(lambda: now))
    waits = []
    for passed in (0, 61, 301):
        now += passed
        for name in "abc":
            selector.punish(route, account(name), failure(ErrorKind.QUOTA, "quota_group"))
        waits.append(round(selector.rest(route)))
    assert waits == [60, 300, 1800]


async def test_what_its_owner_has_to_remedy_puts_an_account_out_of_use(selector: AccountSelector, route: Route) -> None:
    error = UpstreamError(ErrorKind.CREDENTIAL, "verify your account", scope="account", remedy="https://verify.test/")
    selector.punish(route, account("a"), error)
    assert set(await picks(selector, route, 10)) == {"b", "c"}
    cooldown = cooldown_of(error, 30.0)
    assert cooldown == Cooldown.for_good("disabled", "credential", "https://verify.test/")


async def test_a_failure_of_account_scope_rests_every_model(selector: AccountSelector, entry: Make) -> None:
    router = Router([entry("acme", models=["m", "other"])])
    selector.punish(router.route("m"), account("a"), failure(ErrorKind.CREDENTIAL, "account"))
    assert set(await picks(selector, router.route("other"), 10)) == {"b", "c"}


@pytest.mark.parametrize("scope", ["request", "endpoint", "outbound_proxy", "provider"])
@pytest.mark.parametrize("kind", list(ErrorKind))
async def test_no_other_scope_is_held_against_an_account(
    selector: AccountSelector, route: Route, kind: ErrorKind, scope: Scope
) -> None:
    selector.punish(route, account("a"), failure(kind, scope, 60))
    assert set(await picks(selector, route, 30)) == {"a", "b", "c"}


async def test_when_all_rest_the_wait_is_that_of_the_first_to_come_back(
    selector: AccountSelector, route: Route
) -> None:
    for name, seconds in (("a", 90.0), ("b", 20.0), ("c", 50.0)):
        selector.punish(route, account(name), failure(ErrorKind.RATE_LIMIT, "model", seconds))
    with pytest.raises(NoAccountError) as caught:
        await selector.select(route)
    assert caught.value.kind is ErrorKind.RATE_LIMIT
    assert caught.value.retry_after in {19, 20}


async def test_a_rest_of_no_time_is_none(selector: AccountSelector, route: Route) -> None:
    selector.punish(route, account("a"), failure(ErrorKind.RATE_LIMIT, "model", 0))
    assert set(await picks(selector, route, 30)) == {"a", "b", "c"}


async def test_a_provider_without_accounts_says_how_to_add_one(entry: Make) -> None:
    selector = AccountSelector(CurrentSnapshot(), MemoryState())
    with pytest.raises(NoAccountError, match="aigateway-core accounts add acme") as caught:
        await selector.select(Router([entry("acme", models=["m"])]).route("m"))
    assert caught.value.kind is ErrorKind.UNAVAILABLE
