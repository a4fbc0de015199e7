"""The pool of outbound proxies and who is bound to what, in either database."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from aigateway_core.errors import ConflictError, NotFoundError
from aigateway_core.storage import AccountPatch, Actor, NewProxy, ProxyHealth, ProxyPatch, Storage

pytestmark = pytest.mark.anyio

URL = "http://user:pr0xy-pass@proxy.test:3128"
DOWN = ProxyHealth(
    health_status="down",
    consecutive_failures=3,
    success_rate=0.25,
    avg_latency_ms=120,
    last_checked_at=datetime(2026, 5, 4, 12, 0, 0, 123456, UTC),
)


def number(count: int) -> str:
    return f"http://proxy-{count}.test:3128"


async def test_a_proxy_is_read_back_as_it_was_stored(storage: Storage, actor: Actor) -> None:
    made = await storage.proxies.create(NewProxy(url=URL, max_accounts=3, priority=7, weight=2, max_failures=5), actor)
    assert (made.url, made.protocol, made.is_active, made.health_status) == (URL, "http", True, "healthy")
    assert (made.max_accounts, made.priority, made.weight, made.max_failures) == (3, 7, 2, 5)
    assert (made.current_accounts, made.success_rate, made.avg_latency_ms, made.usage_count) == (0, None, None, 0)
    assert await storage.proxies.get(made.id) == made
    assert (await storage.proxies.list()).rows == (made,)
    assert (await storage.load_snapshot()).proxies == (made,)


@pytest.mark.parametrize(
    ("url", "protocol"), [("socks5h://p.test:1", "socks5"), ("SOCKS5://p.test", "socks5"), ("https://p.test", "https")]
)
async def test_its_protocol_is_what_its_url_says(storage: Storage, actor: Actor, url: str, protocol: str) -> None:
    assert (await storage.proxies.create(NewProxy(url=url), actor)).protocol == protocol


async def test_its_password_stands_in_no_column_and_in_no_repr(
    storage: Storage, actor: Actor, sql: Callable[..., Any]
) -> None:
    made = await storage.proxies.create(NewProxy(url=URL), actor)
    await storage.proxies.update(made.id, ProxyPatch(url=URL + "0"), actor)
    assert "pr0xy-pass" not in str(sql("SELECT * FROM proxy_pool")) + str(sql("SELECT * FROM audit_log"))
    assert "pr0xy-pass" not in repr((made, NewProxy(url=URL), ProxyPatch(url=URL)))


async def test_a_url_that_was_moved_to_another_row_does_not_open(
    storage: Storage, actor: Actor, sql: Callable[..., Any]
) -> None:
    first = await storage.proxies.create(NewProxy(url=number(1)), actor)
    second = await storage.proxies.create(NewProxy(url=number(2)), actor)
    (sealed,) = sql("SELECT url FROM proxy_pool WHERE id = ?", first.id)[0]
    sql("UPDATE proxy_pool SET url = ? WHERE id = ?", sealed, second.id)
    assert (await storage.proxies.get(second.id)).problem == "crypto_error"
    assert (await storage.proxies.get(second.id)).url == ""


async def test_the_same_url_twice_is_refused(storage: Storage, actor: Actor) -> None:
    made = await storage.proxies.create(NewProxy(url=URL), actor)
    other = await storage.proxies.create(NewProxy(url=number(1)), actor)
    with pytest.raises(ConflictError, match=f"already, as number {made.id}"):
        await storage.proxies.create(NewProxy(url=URL), actor)
    with pytest.raises(ConflictError, match="already"):
        await storage.proxies.update(other.id, ProxyPatch(url=URL), actor)
    assert (await storage.proxies.update(made.id, ProxyPatch(url=URL, priority=1), actor)).priority == 1


async def test_another_url_is_another_proxy_whose_past_does_not_count(storage: Storage, actor: Actor) -> None:
    made = await storage.proxies.create(NewProxy(url=URL), actor)
    await storage.proxies.note_health(made.id, DOWN, actor)
    changed = await storage.proxies.update(made.id, ProxyPatch(url="socks5://p.test:1"), actor)
    assert (changed.health_status, changed.consecutive_failures, changed.protocol) == ("healthy", 0, "socks5")
    assert changed.updated_at > made.updated_at


async def test_only_a_new_status_is_a_change_that_others_hear_of(storage: Storage, actor: Actor) -> None:
    made = await storage.proxies.create(NewProxy(url=URL), actor)
    before = await storage.version()
    await storage.proxies.note_health(made.id, DOWN, actor)
    assert await storage.version() == before + 1
    await storage.proxies.note_health(made.id, attrs.evolve(DOWN, consecutive_failures=4), actor)
    assert await storage.version() == before + 1
    read = await storage.proxies.get(made.id)
    assert (read.health_status, read.consecutive_failures, read.success_rate) == ("down", 4, 0.25)
    assert (read.avg_latency_ms, read.last_checked_at) == (120, DOWN.last_checked_at)
    await storage.proxies.note_health(made.id + 1, DOWN, actor)


async def test_what_nobody_has_is_not_found(storage: Storage, actor: Actor) -> None:
    for odd in (0, -1, 1 << 70):
        with pytest.raises(NotFoundError, match="there is no outbound proxy"):
            await storage.proxies.get(odd)
    with pytest.raises(NotFoundError):
        await storage.proxies.delete(1, actor)


async def test_accounts_fill_one_proxy_before_the_next_and_keep_it(
    storage: Storage, actor: Actor, add: Callable[..., Any]
) -> None:
    first = await storage.proxies.create(NewProxy(url=number(1), max_accounts=2), actor)
    second = await storage.proxies.create(NewProxy(url=number(2), max_accounts=1, priority=1), actor)
    accounts = [(await add(label=str(each))).id for each in range(4)]
    found = [await storage.bindings.claim(account, actor) for account in accounts]
    assert found == [second.id, first.id, first.id, None]
    assert [await storage.bindings.claim(account, actor) for account in accounts] == found
    assert [account.proxy_id for account in (await storage.accounts.list()).rows] == found
    assert [proxy.current_accounts for proxy in (await storage.proxies.list()).rows] == [2, 1]
    assert (await storage.load_snapshot()).bindings == dict(zip(accounts[:3], found[:3], strict=True))


async def test_an_account_that_goes_frees_its_place(storage: Storage, actor: Actor, add: Callable[..., Any]) -> None:
    await storage.proxies.create(NewProxy(url=number(1), max_accounts=1), actor)
    first, second, third = [(await add(label=str(each))).id for each in range(3)]
    assert await storage.bindings.claim(first, actor) is not None
    await storage.accounts.delete(first, actor)
    assert await storage.bindings.claim(second, actor) is not None
    await storage.accounts.update(second, AccountPatch(egress="direct"), actor)
    assert (await storage.accounts.get(second)).proxy_id is None
    assert await storage.bindings.claim(third, actor) is not None
    await storage.accounts.update(third, AccountPatch(proxy_url="http://own.test:1"), actor)
    assert await storage.bindings.all() == {}


async def test_a_place_is_reserved_for_an_account_that_is_still_to_be_made(storage: Storage, actor: Actor) -> None:
    proxy = await storage.proxies.create(NewProxy(url=number(1), max_accounts=1), actor)
    assert await storage.bindings.claim("to-come", actor, reserve_seconds=60) == proxy.id
    assert await storage.bindings.claim("other", actor) is None
    assert await storage.bindings.claim("to-come", actor) == proxy.id
    assert await storage.bindings.all() == {"to-come": proxy.id}


async def test_a_reservation_that_nobody_needs_is_given_back_and_a_binding_is_none(
    storage: Storage, actor: Actor
) -> None:
    proxy = await storage.proxies.create(NewProxy(url=number(1), max_accounts=1), actor)
    await storage.bindings.claim("to-come", actor, reserve_seconds=60)
    version = await storage.version()
    await storage.bindings.give_back("to-come", actor)
    assert await storage.bindings.all() == {}
    assert await storage.version() > version
    assert await storage.bindings.claim("other", actor) == proxy.id
    await storage.bindings.give_back("other", actor)
    await storage.bindings.give_back("nobody", actor)
    assert await storage.bindings.all() == {"other": proxy.id}


async def test_a_reservation_ends_by_itself(storage: Storage, actor: Actor) -> None:
    proxy = await storage.proxies.create(NewProxy(url=number(1), max_accounts=1), actor)
    await storage.bindings.claim("never-came", actor, reserve_seconds=-1)
    assert await storage.bindings.all() == {}
    assert await storage.bindings.claim("other", actor) == proxy.id


async def test_a_proxy_that_is_removed_hands_its_accounts_on(storage: Storage, actor: Actor) -> None:
    first = await storage.proxies.create(NewProxy(url=number(1)), actor)
    second = await storage.proxies.create(NewProxy(url=number(2), max_accounts=2), actor)
    for account in ("a", "b"):
        await storage.bindings.claim(account, actor)
    assert await storage.proxies.delete(first.id, actor) == {"a": second.id, "b": second.id}
    assert await storage.bindings.all() == {"a": second.id, "b": second.id}
    assert (await storage.proxies.list()).total == 1


async def test_a_proxy_whose_accounts_would_find_no_other_stays(storage: Storage, actor: Actor) -> None:
    only = await storage.proxies.create(NewProxy(url=number(1)), actor)
    await storage.bindings.claim("a", actor)
    before = await storage.version()
    with pytest.raises(ConflictError, match=r"1 of the accounts .*\(a\): add a proxy"):
        await storage.proxies.delete(only.id, actor)
    assert await storage.bindings.all() == {"a": only.id}
    assert await storage.version() == before


async def test_recalculating_moves_those_whose_proxy_is_down_and_nobody_else(storage: Storage, actor: Actor) -> None:
    first = await storage.proxies.create(NewProxy(url=number(1), max_accounts=2), actor)
    second = await storage.proxies.create(NewProxy(url=number(2), max_accounts=2), actor)
    for account in ("a", "b", "c"):
        await storage.bindings.claim(account, actor)
    await storage.proxies.note_health(first.id, DOWN, actor)
    found = await storage.bindings.recalculate(["a", "b", "c"], actor)
    assert found.unplaced == ("b",)
    # Who finds no other place rests where it is, rather than going out bare.
    assert await storage.bindings.all() == {"a": second.id, "b": first.id, "c": second.id}


async def test_c_20_a_hundred_accounts_that_claim_at_once_fill_fifty_places(
    storage: Storage, actor: Actor, other_process: Any, sql: Callable[..., Any]
) -> None:
    for count in range(5):
        await storage.proxies.create(NewProxy(url=number(count), max_accounts=10), actor)
    accounts = [f"account-{count}" for count in range(100)]
    processes = [other_process.start("claim", accounts=accounts[start::4]) for start in range(4)]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    found: dict[str, int | None] = {}
    for process in processes:
        found |= json.loads(process.communicate(timeout=60)[0])
    bound = {account: proxy for account, proxy in found.items() if proxy is not None}
    assert sorted(Counter(bound.values()).values()) == [10] * 5
    assert dict(sql("SELECT account_id, proxy_id FROM proxy_bindings")) == bound
