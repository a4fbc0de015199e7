"""The snapshot stays true, whatever the database or a plugin's credential class does meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from aigateway_core.credentials import Credentials
from aigateway_core.errors import UnavailableError
from aigateway_core.live import LiveSnapshot
from aigateway_core.snapshot import CurrentSnapshot, ProviderEntry
from aigateway_core.state import EVERY_MODEL, Cooldown
from aigateway_core.state.memory import MemoryState
from aigateway_core.storage.rows import AccountRest, SnapshotRows, StoredAccount

pytestmark = pytest.mark.anyio


@attrs.frozen
class Token:
    token: str


class Picky:
    """A credential class that raises what no structuring expects."""

    def __init__(self, **_: Any) -> None:
        raise LookupError("at home")


class Strategy:
    def __init__(self, credential: type[Any]) -> None:
        self.credential = credential

    def auth(self, account: object) -> Any:
        raise AssertionError("nobody asks for it here")


def row(name: str, provider: str = "acme", **changes: Any) -> StoredAccount:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    values: dict[str, Any] = {
        "id": name,
        "provider_id": provider,
        "label": "",
        "auth_data": {"token": name},
        "metadata": {},
        "is_active": True,
        "proxy_url": None,
        "proxy_id": None,
        "egress": "pool",
        "expires_at": None,
        "last_used_at": None,
        "usage_count": 0,
        "created_at": moment,
        "updated_at": moment,
    }
    return StoredAccount(**{**values, **changes})


class Store:
    """Rows that a test may change, and a failure that it may order."""

    def __init__(self, *rows: StoredAccount) -> None:
        self.rows = rows
        self.rests: tuple[AccountRest, ...] = ()
        self.number = 1
        self.failure: Exception | None = None
        self.asked = 0

    async def version(self) -> int:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return self.number

    async def load_snapshot(self) -> SnapshotRows:
        if self.failure is not None:
            raise self.failure
        return SnapshotRows(version=self.number, providers=(), accounts=self.rows, keys=(), rests=self.rests)


class Watched:
    """A live snapshot over a store, with its parts at hand."""

    def __init__(self, store: Store, entry: Callable[..., ProviderEntry], **credentials: type[Any]) -> None:
        self.current = CurrentSnapshot()
        self.state = MemoryState()
        providers = [
            attrs.evolve(entry(name), strategy=Strategy(kind)) for name, kind in ({"acme": Token} | credentials).items()
        ]
        self.live = LiveSnapshot(
            self.current,
            store,
            providers,
            (),
            {"config:acme": "its key"},
            state=self.state,
            credentials=Credentials(),
            interval=0.01,
        )

    def accounts(self, provider: str = "acme") -> list[str]:
        return [account.id for account in self.current.value.accounts.get(provider, ())]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the watch tells nobody
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("failure", [UnavailableError("away"), RuntimeError("a bug in a driver")])
async def test_the_watch_outlives_whatever_goes_wrong_and_says_it_once(
    failure: Exception, entry: Callable[..., ProviderEntry], caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(row("a"))
    watched = Watched(store, entry)
    await watched.live.start()
    store.failure = failure
    seen = store.asked
    await until(lambda: store.asked > seen + 3)
    assert watched.accounts() == ["a"]
    assert len(caplog.records) == 1
    store.rows, store.number, store.failure = (row("a"), row("b")), 2, None
    await until(lambda: watched.accounts() == ["a", "b"])
    await watched.live.aclose()


async def test_one_account_that_cannot_be_read_leaves_the_others_usable(
    entry: Callable[..., ProviderEntry], caplog: pytest.LogCaptureFixture
) -> None:
    watched = Watched(Store(row("a"), row("p", "picky"), row("b")), entry, picky=Picky)
    await watched.live.reload()
    assert watched.accounts() == ["a", "b"]
    assert watched.accounts("picky") == []
    assert "the account p cannot be used" in caplog.text


async def test_a_change_that_is_stored_stands_even_if_it_cannot_be_loaded_at_once(
    entry: Callable[..., ProviderEntry],
) -> None:
    store = Store(row("a"))
    watched = Watched(store, entry)
    await watched.live.start()
    store.rows, store.number, store.failure = (), 2, UnavailableError("away")
    await watched.live.notice()
    assert watched.accounts() == ["a"]
    store.failure = None
    await until(lambda: watched.accounts() == [])
    await watched.live.aclose()


async def test_an_account_that_did_not_change_stays_the_same_and_keeps_its_cooldown(
    entry: Callable[..., ProviderEntry],
) -> None:
    store = Store(row("a"), row("b"))
    watched = Watched(store, entry)
    await watched.live.reload()
    before = watched.current.value.accounts["acme"][0]
    for name in "ab":
        watched.state.cool(name, "m", Cooldown(4e9, "rate_limit"))
    store.rows, store.number = (row("a", usage_count=9), row("b", auth_data={"token": "new"})), 2
    await watched.live.reload()
    assert watched.current.value.accounts["acme"][0] is before
    assert watched.state.cooldown("a", "m") is not None
    assert watched.state.cooldown("b", "m") is None


async def test_an_account_that_is_enabled_while_it_rests_is_given_a_new_chance(
    entry: Callable[..., ProviderEntry],
) -> None:
    store = Store(row("a"), row("b"))
    watched = Watched(store, entry)
    await watched.live.reload()
    before = watched.current.value.by_id["a"]
    for name in "ab":
        watched.state.cool(name, "m", Cooldown(4e9, "rate_limit"))
    store.rows, store.number = (row("a", updated_at=row("a").updated_at.replace(year=2027)), row("b")), 2
    await watched.live.reload()
    assert watched.current.value.by_id["a"] is before
    assert watched.state.cooldown("a", "m") is None
    assert watched.state.cooldown("b", "m") is not None


async def test_what_is_stored_of_rests_is_kept_to_and_shortens_none(entry: Callable[..., ProviderEntry]) -> None:
    store = Store(row("a"), row("b"))
    watched = Watched(store, entry)
    watched.state.cool("b", EVERY_MODEL, Cooldown(4e9 + 60, "known better here"))
    store.rests = tuple(
        AccountRest(
            account_id=name,
            reach=EVERY_MODEL,
            reason="quota",
            until=datetime.fromtimestamp(4e9, UTC),
            revision=row(name).updated_at,
        )
        for name in "ab"
    )
    await watched.live.reload()
    edition = watched.current.edition_of("a")
    assert edition
    assert watched.state.cooldown("a", "m") == Cooldown(4e9, "quota", edition=edition)
    assert watched.state.cooldown("b", "m") == Cooldown(4e9 + 60, "known better here")


async def test_a_stored_rest_that_may_be_of_another_key_in_the_configuration_keeps_nobody_out(
    entry: Callable[..., ProviderEntry],
) -> None:
    store = Store()
    store.rests = (
        AccountRest(
            account_id="config:acme",
            reach=EVERY_MODEL,
            reason="quota",
            until=datetime.fromtimestamp(4e9, UTC),
            revision=None,
        ),
    )
    watched = Watched(store, entry)
    await watched.live.reload()
    assert watched.state.cooldown("config:acme", "m") is None


async def test_each_change_of_an_account_or_of_its_way_out_makes_another_edition_of_it(
    entry: Callable[..., ProviderEntry],
) -> None:
    store = Store(row("a"))
    watched = Watched(store, entry)
    seen = []
    for changed in (row("a"), row("a", updated_at=datetime(2027, 1, 1, tzinfo=UTC)), row("a", proxy_id=7)):
        store.rows = (changed,)
        await watched.live.reload()
        seen.append(watched.current.edition_of("a"))
    assert len(set(seen)) == 3
    assert watched.current.edition_of("config:acme") == "its key 0"
    assert watched.current.edition_of("nobody") is None


async def test_an_account_that_needs_a_login_is_not_asked(entry: Callable[..., ProviderEntry]) -> None:
    watched = Watched(Store(row("good"), row("dead", status="needs_login", status_reason="revoked")), entry)
    await watched.live.reload()
    assert watched.accounts() == ["good"]


async def test_an_account_that_had_a_new_login_is_not_kept_resting_for_the_one_that_died(
    entry: Callable[..., ProviderEntry],
) -> None:
    """Whatever was written of the failure meanwhile, and read with the mark."""
    store = Store(row("a"))
    watched = Watched(store, entry)
    await watched.live.reload()
    until, revision = datetime.fromtimestamp(4e9, UTC), row("a").updated_at
    rest = AccountRest(account_id="a", reach=EVERY_MODEL, reason="credential", until=until, revision=revision)
    store.rows, store.rests, store.number = (row("a", status="needs_login"),), (rest,), 2
    await watched.live.reload()
    store.rows, store.rests, store.number = (row("a", updated_at=revision.replace(year=2027)),), (), 3
    await watched.live.reload()
    assert watched.accounts() == ["a"]
    assert watched.state.cooldown("a", "m") is None


async def test_a_change_that_another_worker_tells_of_is_seen_at_once(entry: Callable[..., ProviderEntry]) -> None:
    store = Store()
    watched = Watched(store, entry)
    watched.live._interval = 60
    await watched.live.start()
    await asyncio.sleep(0)
    store.rows, store.number = (row("a"),), 2
    watched.state.announce(1)
    await asyncio.sleep(0.05)
    assert watched.accounts() == []  # no news
    watched.state.announce(2)
    await until(lambda: watched.accounts() == ["a"])
    await watched.live.aclose()


async def test_a_change_that_was_made_here_is_told_to_the_other_workers(entry: Callable[..., ProviderEntry]) -> None:
    watched = Watched(Store(), entry)
    told: list[int] = []
    watched.state.on_announcement(told.append)
    await watched.live.start()
    assert told == []
    await watched.live.notice()
    assert told == [1]
    await watched.live.aclose()


class Renewing(Strategy):
    """Its tokens end and are renewed."""

    def expires_at(self, credential: object) -> None:
        return None

    async def renew(self, account: object, upstream: object) -> Any:
        raise AssertionError("nobody asks for it here")


async def test_renewed_tokens_are_no_change_and_everything_else_is(entry: Callable[..., ProviderEntry]) -> None:
    store = Store(row("a", auth_data={"token": "one"}))
    watched = Watched(store, entry)
    watched.live._providers["acme"] = attrs.evolve(entry("acme"), strategy=Renewing(Token))
    await watched.live.reload()
    first = watched.current.value.by_id["a"]
    watched.state.cool("a", EVERY_MODEL, Cooldown(4102444800.0, "rate_limit"))
    store.rows = (row("a", auth_data={"token": "two"}),)
    await watched.live.reload()
    assert watched.current.value.by_id["a"] is first
    assert watched.state.cooldown("a", EVERY_MODEL) is not None
    later = row("a").updated_at.replace(year=2027)
    for changed in (
        row("a", auth_data={"token": "two"}, proxy_url="http://proxy.test:1"),
        row("a", auth_data={"token": "three"}, updated_at=later),
    ):
        store.rows = (changed,)
        await watched.live.reload()
        account = watched.current.value.by_id["a"]
        assert account is not first
        assert account.credential == Token(dict(changed.auth_data or {})["token"])
        assert watched.state.cooldown("a", EVERY_MODEL) is None


async def test_the_snapshot_is_built_beside_the_event_loop(entry: Callable[..., ProviderEntry]) -> None:
    threads: list[int] = []

    class Noting(Token):
        def __attrs_post_init__(self) -> None:
            threads.append(threading.get_ident())

    watched = Watched(Store(row("one")), entry, acme=attrs.frozen(Noting))
    await watched.live.reload()
    assert watched.accounts() == ["one"]
    assert threads
    assert threading.get_ident() not in threads
