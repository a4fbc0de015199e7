"""A new master key: everything sealed is sealed again, nothing is lost on the way, and the old key may go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from aigateway_core.errors import ConfigurationError, ConflictError
from aigateway_core.storage import Actor, DatabaseLocation, NewAccount, NewProxy, Storage
from aigateway_core.storage import resealing as module
from aigateway_core.vault import KeyRing

pytestmark = pytest.mark.anyio

OLD = bytes(range(32))
NEW = bytes(range(32, 64))
BOTH = KeyRing([NEW, OLD])
URL = "http://user:pass@proxy.example:3128"


async def filled(location: DatabaseLocation, actor: Actor, count: int = 3) -> list[str]:
    """A database of the old key; the ids of its accounts."""
    async with await Storage.open(location, KeyRing([OLD])) as storage:
        await storage.providers.upsert_installed("acme")
        made = []
        for number in range(count):
            new = NewAccount(
                provider_id="acme", auth_data={"api_key": f"key-{number}"}, proxy_url=None if number % 2 else URL
            )
            made.append((await storage.accounts.create(new, actor)).id)
        await storage.proxies.create(NewProxy(url=URL), actor)
        await storage.logins.put("state-1", "acme", {"verifier": "v"}, 600)
        await storage.keys.create("client", "first", actor)
    return made


@pytest.fixture
def sealed(sql: Callable[..., Any]) -> Callable[[], set[str]]:
    """By what keys the stored values are sealed."""

    def look() -> set[str]:
        columns = {
            "accounts": ("auth_data", "proxy_url"),
            "proxy_pool": ("url",),
            "oauth_logins": ("data",),
            "storage_facts": ("value",),
        }
        found = [
            value
            for table, names in columns.items()
            for name in names
            for (value,) in sql(f"SELECT {name} FROM {table}")
            if value
        ]
        return {value.split(":")[1] for value in found}

    return look


async def test_everything_sealed_opens_with_the_new_key_alone_afterwards(
    location: DatabaseLocation, actor: Actor, sealed: Callable[[], set[str]]
) -> None:
    ids = await filled(location, actor)
    async with await Storage.open(location, BOTH) as storage:
        done = await storage.secrets.reseal(actor)
        entry = (await storage.audit.list(limit=1)).rows[0]
    assert done.key == KeyRing([NEW]).kids[0]
    assert done.rows == {"accounts": 3, "proxy_pool": 1, "oauth_logins": 1}
    assert done.unreadable == ()
    assert sealed() == {done.key}
    assert (entry.action, entry.entity_id) == ("secrets.rotate", done.key)
    assert entry.detail == {"key": done.key, **done.rows, "unreadable": 0}
    async with await Storage.open(location, KeyRing([NEW])) as storage:
        accounts = [await storage.accounts.get(account_id) for account_id in ids]
        assert [account.auth_data for account in accounts] == [{"api_key": f"key-{number}"} for number in range(3)]
        assert [account.proxy_url for account in accounts] == [URL, None, URL]
        assert (await storage.load_snapshot()).proxies[0].url == URL
        assert await storage.logins.take("state-1") == ("acme", {"verifier": "v"})
        with pytest.raises(ConflictError, match="in the pool already"):
            await storage.proxies.create(NewProxy(url=URL), actor)
    with pytest.raises(ConfigurationError, match="does not fit"):
        await Storage.open(location, KeyRing([OLD]))


async def test_done_again_it_changes_nothing_and_leaves_no_trace(location: DatabaseLocation, actor: Actor) -> None:
    await filled(location, actor)
    async with await Storage.open(location, BOTH) as storage:
        await storage.secrets.reseal(actor)
        version, snapshot = await storage.version(), await storage.load_snapshot()
        done = await storage.secrets.reseal(actor)
        assert not any(done.rows.values())
        assert await storage.version() == version
        assert await storage.load_snapshot() == snapshot


async def test_s_25_it_goes_by_slices_and_one_that_was_stopped_is_run_again(
    location: DatabaseLocation, actor: Actor, sealed: Callable[[], set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(location, actor, 25)
    monkeypatch.setattr(module, "_SLICE", 10)
    old = KeyRing([OLD]).kids[0]

    class StoppedError(Exception):
        pass

    async with await Storage.open(location, BOTH) as storage:
        transaction, slices = storage._database.transaction, []

        async def stopping(unit: Any) -> Any:
            slices.append(unit)
            if len(slices) == 3:
                raise StoppedError
            return await transaction(unit)

        with monkeypatch.context() as patch:
            patch.setattr(storage._database, "transaction", stopping)
            with pytest.raises(StoppedError):
                await storage.secrets.reseal(actor)
        assert old in sealed()
        # The new key alone is refused as long as not everything is sealed with it.
        with pytest.raises(ConfigurationError, match="does not fit"):
            await Storage.open(location, KeyRing([NEW]))
        done = await storage.secrets.reseal(actor)
    assert done.rows["accounts"] == 5
    assert sealed() == {done.key}


async def test_what_no_key_opens_is_told_and_left_as_it_is(
    location: DatabaseLocation, actor: Actor, sql: Callable[..., Any]
) -> None:
    ids = await filled(location, actor)
    (before,) = sql("SELECT auth_data FROM accounts ORDER BY id")[0]
    lost = min(ids)
    async with await Storage.open(location, BOTH) as storage:
        other = KeyRing([bytes(range(64, 96))]).kids[0]
        damaged = before.replace(KeyRing([OLD]).kids[0], other)

        def damage(session: Any) -> None:
            session.entities.account.get(id=lost).auth_data = damaged

        await storage._database.transaction(damage)
        done = await storage.secrets.reseal(actor)
        assert done.unreadable == (f"accounts.auth_data of {lost}",)
        assert done.rows["accounts"] == 2
    assert (damaged,) in sql("SELECT auth_data FROM accounts")


async def test_keys_that_hang_on_the_older_master_key_are_named(location: DatabaseLocation, actor: Actor) -> None:
    await filled(location, actor)
    async with await Storage.open(location, BOTH) as storage:
        await storage.keys.create("client", "second", actor)
        (told,) = (await storage.secrets.reseal(actor)).older_keys
    assert told.startswith("client key 'first' of ")


async def test_a_renewal_that_comes_in_between_is_not_lost(location: DatabaseLocation, actor: Actor) -> None:
    (account_id,) = await filled(location, actor, 1)
    async with (
        await Storage.open(location, BOTH) as storage,
        await Storage.open(location, KeyRing([OLD, NEW])) as older,
    ):
        before = await storage.accounts.get(account_id)
        assert await older.tokens.keep(account_id, before.auth_generation, {"api_key": "renewed"}, None)
        await storage.secrets.reseal(actor)
        after = await storage.accounts.get(account_id)
        assert after.auth_data == {"api_key": "renewed"}
        assert attrs.evolve(after, auth_data=None, auth_generation=0) == attrs.evolve(
            before, auth_data=None, auth_generation=0
        )
