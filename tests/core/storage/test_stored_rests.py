"""Rests of accounts in either database: they hold until they are over, or until the account is another one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from aigateway_core.storage import (
    AccountPatch,
    AccountRest,
    Actor,
    DatabaseLocation,
    NewProxy,
    Storage,
    StoredAccount,
)
from aigateway_core.vault import KeyRing

pytestmark = pytest.mark.anyio

FAR = datetime(2100, 1, 2, 3, 4, 5, 678000, UTC)
HOUR = timedelta(hours=1)


def rest(account: StoredAccount, reach: str = "*", until: datetime = FAR, **more: Any) -> AccountRest:
    return attrs.evolve(
        AccountRest(
            account_id=account.id, reach=reach, reason="quota", until=until, revision=account.updated_at, proxy_id=None
        ),
        **more,
    )


async def test_a_rest_comes_back_as_it_was_given_and_is_in_the_snapshot(
    storage: Storage, add: Callable[..., Any]
) -> None:
    one, other = await add(), await add()
    given = [rest(one), rest(one, "größe/模型", FAR - HOUR), rest(other, "claude", reason="rate_limit")]
    await storage.rests.keep(given)
    found = await storage.rests.standing()
    assert sorted(found, key=str) == sorted(given, key=str)
    assert (await storage.load_snapshot()).rests == found


async def test_the_longer_of_two_counts_whichever_comes_first(storage: Storage, add: Callable[..., Any]) -> None:
    account = await add()
    longer, shorter = rest(account, reason="quota"), rest(account, until=FAR - HOUR, reason="rate_limit")
    for first, second in ((longer, shorter), (shorter, longer)):
        await storage.rests.keep([first])
        await storage.rests.keep([second])
        assert await storage.rests.standing() == (longer,)


async def test_whoever_changes_an_account_ends_its_rests_and_a_late_writer_does_not_bring_them_back(
    storage: Storage, add: Callable[..., Any], actor: Actor
) -> None:
    account = await add()
    await storage.rests.keep([rest(account), rest(account, "m-1")])
    changed = await storage.accounts.update(account.id, AccountPatch(is_active=True), actor)
    assert await storage.rests.standing() == ()
    await storage.rests.keep([rest(account)])
    assert await storage.rests.standing() == ()
    again = rest(changed, until=FAR - HOUR)
    await storage.rests.keep([again])
    await storage.rests.keep([rest(account)])
    assert await storage.rests.standing() == (again,)


async def test_an_account_that_goes_out_by_another_proxy_is_given_a_new_chance(
    storage: Storage, add: Callable[..., Any], actor: Actor
) -> None:
    account = await add()
    await storage.rests.keep([rest(account)])
    proxy = await storage.proxies.create(NewProxy(url="http://proxy.test:3128"), actor)
    assert await storage.bindings.claim(account.id, actor) == proxy.id
    assert await storage.rests.standing() == ()
    bound = rest(account, until=FAR - HOUR, proxy_id=proxy.id)
    await storage.rests.keep([bound])
    assert await storage.rests.standing() == (bound,)


async def test_what_is_over_is_not_told_and_is_deleted(
    storage: Storage, add: Callable[..., Any], sql: Callable[..., Any]
) -> None:
    account = await add()
    over = rest(account, until=datetime.now(UTC) - timedelta(milliseconds=1))
    await storage.rests.keep([over, rest(account, "m-1")])
    assert [each.reach for each in await storage.rests.standing()] == ["m-1"]
    await storage.rests.forget_ended()
    assert sql("SELECT reach FROM account_rests") == [("m-1",)]


async def test_an_account_of_the_configuration_rests_until_it_is_forgotten(
    storage: Storage, add: Callable[..., Any]
) -> None:
    stored = rest(await add())
    configured = AccountRest(account_id="config:acme", reach="m-1", reason="quota", until=FAR, revision=None)
    await storage.rests.keep([configured, stored])
    assert set(await storage.rests.standing()) == {configured, stored}
    await storage.rests.forget_configured()
    assert await storage.rests.standing() == (stored,)


async def test_a_rest_of_an_account_that_is_gone_is_not_told(
    storage: Storage, add: Callable[..., Any], actor: Actor
) -> None:
    account = await add()
    await storage.rests.keep([rest(account)])
    await storage.accounts.delete(account.id, actor)
    assert await storage.rests.standing() == ()


async def test_a_name_that_no_column_can_hold_stops_no_other(storage: Storage, add: Callable[..., Any]) -> None:
    account = await add()
    odd = [rest(account, name) for name in ("x" * 256, "a\0b", "\udc80")]
    fits = rest(account, "⚡" * 255, reason="r" * 300)
    await storage.rests.keep([*odd, fits])
    assert await storage.rests.standing() == (attrs.evolve(fits, reason="r" * 255),)


async def test_a_rest_is_no_change_that_anybody_is_told_of(storage: Storage, add: Callable[..., Any]) -> None:
    account = await add()
    version, entries = await storage.version(), (await storage.audit.list()).total
    await storage.rests.keep([rest(account)])
    assert (await storage.version(), (await storage.audit.list()).total) == (version, entries)
    assert (await storage.accounts.get(account.id)).updated_at == account.updated_at


async def test_many_processes_that_write_the_same_rests_leave_the_longest_of_each(
    storage: Storage, location: DatabaseLocation, keyring: KeyRing, add: Callable[..., Any]
) -> None:
    accounts = [await add() for _ in range(5)]

    async def write(worker: int) -> None:
        async with await Storage.open(location, keyring) as opened:
            for round_ in range(10):
                until = FAR + timedelta(seconds=(worker * 7 + round_ * 3) % 40)
                given = [rest(account, reach, until) for account in accounts for reach in ("*", "m-1")]
                await opened.rests.keep(given if worker % 2 else given[::-1])

    await asyncio.gather(*(write(worker) for worker in range(4)))
    longest = max((worker * 7 + round_ * 3) % 40 for worker in range(4) for round_ in range(10))
    found = await storage.rests.standing()
    assert len(found) == 10
    assert {each.until for each in found} == {FAR + timedelta(seconds=longest)}
