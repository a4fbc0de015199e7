"""Accounts in either database: what goes in comes out, and nobody else's."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from aigateway_core.errors import ConflictError, InvalidRequestError, NotFoundError
from aigateway_core.records import Attempt, CallRecord
from aigateway_core.storage import AccountPatch, Actor, NewAccount, Storage
from aigateway_core.vault import KeyRing, Place

Noted = Callable[..., CallRecord]

pytestmark = pytest.mark.anyio

EMOJI = "héllo ⚡ 👩‍👩‍👧 世界"


async def test_an_account_comes_back_as_it_was_given(storage: Storage, actor: Actor) -> None:
    expires = datetime(2027, 1, 2, 3, 4, 5, 678901, UTC)
    made = await storage.accounts.create(
        NewAccount(
            provider_id="acme",
            label=EMOJI,
            auth_data={"api_key": "sk-1", "nested": {"é": [1, 2.5, None, True]}},
            metadata={"note": EMOJI, "n": 7},
            is_active=False,
            proxy_url="socks5://user:pässword@proxy.test:1080",
            expires_at=expires,
        ),
        actor,
    )
    read = await storage.accounts.get(made.id)
    assert read == made
    assert (read.label, read.is_active, read.expires_at) == (EMOJI, False, expires)
    assert read.auth_data == {"api_key": "sk-1", "nested": {"é": [1, 2.5, None, True]}}
    assert read.metadata == {"note": EMOJI, "n": 7}
    assert read.proxy_url == "socks5://user:pässword@proxy.test:1080"
    assert (read.usage_count, read.last_used_at, read.proxy_id, read.problem) == (0, None, None, None)
    assert read.created_at == read.updated_at
    assert abs(read.created_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", read.id)


async def test_text_is_neither_stripped_nor_cut(storage: Storage, add: Callable[..., Any]) -> None:
    for label in ("", " ", "  two  ", "\tx\n", "x" * 255, "⚡" * 255):
        made = await add(label=label, auth_data={"token": f" {label} "}, metadata={" k ": label})
        read = await storage.accounts.get(made.id)
        assert (read.label, read.auth_data, read.metadata) == (label, {"token": f" {label} "}, {" k ": label})


async def test_labels_that_differ_in_case_or_accent_are_different(storage: Storage, add: Callable[..., Any]) -> None:
    labels = ["Label", "label", "làbel", "LABEL"]
    made = [await add(label=label) for label in labels]
    assert [(await storage.accounts.get(account.id)).label for account in made] == labels


async def test_providers_that_differ_in_case_are_different(storage: Storage, add: Callable[..., Any]) -> None:
    await storage.providers.upsert_installed("ACME")
    await add(provider_id="ACME")
    assert (await storage.accounts.list(provider_id="ACME")).total == 1
    assert (await storage.accounts.list(provider_id="acme")).total == 0


async def test_an_account_of_an_unknown_provider_is_refused(storage: Storage, actor: Actor) -> None:
    for provider_id in ("nobody", "", "x" * 65, "a\0b", "\udc80", "' OR 1=1 --"):
        with pytest.raises(InvalidRequestError, match="provider_id: there is no provider"):
            await storage.accounts.create(NewAccount(provider_id=provider_id, auth_data={}), actor)
    assert (await storage.accounts.list()).total == 0


async def test_a_label_that_no_column_can_hold_is_refused_the_same_everywhere(
    storage: Storage, add: Callable[..., Any], actor: Actor
) -> None:
    made = await add(label="fine")
    for label in ("x" * 256, "a\0b", "\ud800"):
        with pytest.raises(InvalidRequestError, match="label"):
            await add(label=label)
        with pytest.raises(InvalidRequestError, match="label"):
            await storage.accounts.update(made.id, AccountPatch(label=label), actor)
    assert (await storage.accounts.list()).rows == (made,)


async def test_lists_are_filtered_counted_and_paged(storage: Storage, add: Callable[..., Any]) -> None:
    made = [await add(label=str(n), provider_id="globex" if n % 3 == 0 else "acme", is_active=n != 4) for n in range(7)]
    everything = await storage.accounts.list()
    assert (everything.rows, everything.total) == (tuple(made), 7)
    page = await storage.accounts.list(limit=2, offset=3)
    assert (page.rows, page.total) == (tuple(made[3:5]), 7)
    assert (await storage.accounts.list(limit=0)).total == 7
    assert (await storage.accounts.list(offset=100)).rows == ()
    assert [row.label for row in (await storage.accounts.list(provider_id="globex")).rows] == ["0", "3", "6"]
    assert [row.label for row in (await storage.accounts.list(is_active=False)).rows] == ["4"]
    assert (await storage.accounts.list(provider_id="acme", is_active=True)).total == 3


async def test_a_filter_that_fits_nothing_gives_an_empty_list(storage: Storage, add: Callable[..., Any]) -> None:
    await add()
    for odd in ("", "x" * 65, "a\0b", "\udc80", "%", "acme'"):
        assert (await storage.accounts.list(provider_id=odd)).total == 0


async def test_an_id_that_nobody_has_is_not_found_and_not_repeated_at_length(storage: Storage, actor: Actor) -> None:
    for odd in ("", "x" * 100_000, "a\0b", "\udc80", "' OR 1=1 --", "00000000-0000-0000-0000-000000000000"):
        for attempt in (
            storage.accounts.get(odd),
            storage.accounts.update(odd, AccountPatch(label="x"), actor),
            storage.accounts.delete(odd, actor),
        ):
            with pytest.raises(NotFoundError) as caught:
                await attempt
            assert len(caught.value.message) < 500


async def test_a_patch_changes_what_it_names_and_nothing_else(
    storage: Storage, add: Callable[..., Any], actor: Actor
) -> None:
    made = await add(label="before", metadata={"a": 1}, proxy_url="http://proxy.test")
    changed = await storage.accounts.update(made.id, AccountPatch(label="after"), actor)
    assert changed.label == "after"
    assert (changed.auth_data, changed.metadata, changed.proxy_url) == (made.auth_data, made.metadata, made.proxy_url)
    assert changed == await storage.accounts.get(made.id)
    cleared = await storage.accounts.update(
        made.id, AccountPatch(proxy_url=None, auth_data={"token": "new"}, is_active=False, metadata={}), actor
    )
    assert (cleared.proxy_url, cleared.auth_data, cleared.is_active) == (None, {"token": "new"}, False)
    assert (cleared.metadata, cleared.label) == ({}, "after")


async def test_an_empty_patch_changes_nothing(storage: Storage, add: Callable[..., Any], actor: Actor) -> None:
    made = await add()
    before = await storage.version()
    assert await storage.accounts.update(made.id, AccountPatch(), actor) == made
    assert await storage.version() == before


async def test_a_change_on_top_of_an_old_state_is_refused(
    storage: Storage, add: Callable[..., Any], actor: Actor
) -> None:
    made = await add(label="0")
    newer = await storage.accounts.update(made.id, AccountPatch(label="1"), actor, expected_updated_at=made.updated_at)
    assert newer.updated_at > made.updated_at
    with pytest.raises(ConflictError, match="changed meanwhile"):
        await storage.accounts.update(made.id, AccountPatch(label="2"), actor, expected_updated_at=made.updated_at)
    assert (await storage.accounts.get(made.id)).label == "1"


async def test_of_many_who_change_the_same_state_one_wins(
    storage: Storage, add: Callable[..., Any], actor: Actor
) -> None:
    made = await add()
    tries = [
        storage.accounts.update(made.id, AccountPatch(label=str(n)), actor, expected_updated_at=made.updated_at)
        for n in range(12)
    ]
    ends = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(end, ConflictError) for end in ends) == 11
    winner = next(end for end in ends if not isinstance(end, BaseException))
    assert await storage.accounts.get(made.id) == winner


async def test_changes_at_the_same_time_all_happen_one_after_the_other(
    storage: Storage, add: Callable[..., Any], actor: Actor
) -> None:
    made = await add()
    before = await storage.version()
    changes = (storage.accounts.update(made.id, AccountPatch(label=str(n)), actor) for n in range(20))
    states = await asyncio.gather(*changes)
    assert len({state.updated_at for state in states}) == 20
    assert max(states, key=lambda state: state.updated_at) == await storage.accounts.get(made.id)
    assert await storage.version() == before + 20


async def test_the_time_of_a_change_moves_on_when_the_clock_does_not(
    storage: Storage, add: Callable[..., Any], actor: Actor, sql: Callable[..., Any]
) -> None:
    made = await add()
    sql("UPDATE accounts SET updated_at = ?", "2099-01-01 00:00:00.000000")
    changed = await storage.accounts.update(made.id, AccountPatch(label="x"), actor)
    assert changed.updated_at == datetime(2099, 1, 1, 0, 0, 0, 1, UTC)


async def test_a_deleted_account_is_gone(storage: Storage, add: Callable[..., Any], actor: Actor) -> None:
    made, other = await add(), await add()
    await storage.accounts.delete(made.id, actor)
    assert (await storage.accounts.list()).rows == (other,)
    with pytest.raises(NotFoundError):
        await storage.accounts.delete(made.id, actor)


async def test_times_of_any_zone_are_kept_as_the_moment_they_mean(storage: Storage, add: Callable[..., Any]) -> None:
    east = datetime(2026, 11, 22, 3, 4, 5, 6, timezone(timedelta(hours=14)))
    made = await add(expires_at=east)
    read = await storage.accounts.get(made.id)
    assert read.expires_at == east
    assert read.expires_at is not None
    assert read.expires_at.utcoffset() == timedelta(0)


async def test_a_time_without_a_zone_is_refused(storage: Storage, add: Callable[..., Any], noted: Noted) -> None:
    naive = datetime(2026, 11, 22, 3, 4, 5)
    with pytest.raises(ValueError, match="without a zone"):
        await add(expires_at=naive)
    with pytest.raises(ValueError, match="without a zone"):
        await storage.calls.insert_many([noted(created_at=naive)])
    assert (await storage.accounts.list()).total == 0


def tried(*accounts: str) -> tuple[Attempt, ...]:
    return tuple(Attempt(account_id=account, latency_ms=1) for account in accounts)


async def test_every_attempt_is_a_use_and_tells_nobody(storage: Storage, add: Callable[..., Any], noted: Noted) -> None:
    first, second, idle = await add(), await add(), await add()
    before = await storage.version()
    noon = datetime(2026, 5, 4, 12, 0, 0, 5, UTC)
    calls = [
        noted("1", created_at=noon, attempts=tried(first.id, first.id, "config:acme")),
        noted("2", created_at=noon, attempts=tried("gone", second.id)),
        noted("3", created_at=noon - timedelta(hours=1), attempts=tried(first.id)),
        noted("4", created_at=noon, attempts=()),
    ]
    for call in [*calls, calls[0]]:  # the last one is there already, and counts for nothing
        await storage.calls.insert_many([call])
    rows = {row.id: row for row in (await storage.accounts.list()).rows}
    assert (rows[first.id].usage_count, rows[first.id].last_used_at) == (3, noon)
    assert (rows[second.id].usage_count, rows[second.id].last_used_at) == (1, noon)
    assert rows[idle.id] == idle
    assert rows[first.id].updated_at == first.updated_at
    assert await storage.version() == before


async def test_no_use_is_lost_between_changes(
    storage: Storage, add: Callable[..., Any], actor: Actor, noted: Noted
) -> None:
    accounts = [(await add()) for _ in range(3)]
    orders = [tried(*(each.id for each in accounts)), tried(*(each.id for each in reversed(accounts)))]
    uses = (storage.calls.insert_many([noted(str(n), attempts=orders[n % 2])]) for n in range(30))
    changes = (storage.accounts.update(accounts[0].id, AccountPatch(label=str(n)), actor) for n in range(10))
    await asyncio.gather(*uses, *changes)
    assert [row.usage_count for row in (await storage.accounts.list()).rows] == [30, 30, 30]


# Secrets that do not open


async def swap(sql: Callable[..., Any], column: str, one: str, other: str) -> None:
    values = dict(sql(f"SELECT id, {column} FROM accounts"))
    sql(f"UPDATE accounts SET {column} = ? WHERE id = ?", values[other], one)
    sql(f"UPDATE accounts SET {column} = ? WHERE id = ?", values[one], other)


@pytest.mark.parametrize("column", ["auth_data", "proxy_url"])
async def test_swapped_secrets_disable_those_accounts_and_no_other(
    storage: Storage, add: Callable[..., Any], sql: Callable[..., Any], column: str
) -> None:
    first, second, third = [await add(proxy_url=f"http://p{n}.test") for n in range(3)]
    await swap(sql, column, first.id, second.id)
    for rows in ((await storage.accounts.list()).rows, (await storage.load_snapshot()).accounts):
        assert [row.problem for row in rows] == ["crypto_error", "crypto_error", None]
        assert [(row.auth_data, row.proxy_url) for row in rows[:2]] == [(None, None), (None, None)]
        assert rows[2] == third


async def test_a_secret_with_one_changed_character_disables_its_account(
    storage: Storage, add: Callable[..., Any], sql: Callable[..., Any]
) -> None:
    made = await add()
    ((sealed,),) = sql("SELECT auth_data FROM accounts")
    at = len(sealed) // 2
    sql("UPDATE accounts SET auth_data = ?", sealed[:at] + ("A" if sealed[at] != "A" else "B") + sealed[at + 1 :])
    assert (await storage.accounts.get(made.id)).problem == "crypto_error"


async def test_an_account_that_does_not_open_can_be_changed_and_mended(
    storage: Storage, add: Callable[..., Any], actor: Actor, sql: Callable[..., Any]
) -> None:
    made = await add()
    sql("UPDATE accounts SET auth_data = 'v1:junk'")
    relabelled = await storage.accounts.update(made.id, AccountPatch(label="broken"), actor)
    assert (relabelled.label, relabelled.problem) == ("broken", "crypto_error")
    assert sql("SELECT auth_data FROM accounts") == [("v1:junk",)]
    mended = await storage.accounts.update(made.id, AccountPatch(auth_data={"api_key": "sk-2"}), actor)
    assert (mended.problem, mended.auth_data) == (None, {"api_key": "sk-2"})
    detail = (await storage.audit.list(limit=1)).rows[0].detail
    assert detail["auth_data"]["from"] == "unreadable"


async def test_secrets_are_sealed_in_their_own_row(
    storage: Storage, add: Callable[..., Any], sql: Callable[..., Any], keyring: KeyRing
) -> None:
    made = await add(proxy_url="http://u:p@proxy.test")
    ((auth_data, proxy_url),) = sql("SELECT auth_data, proxy_url FROM accounts")
    assert keyring.open(auth_data, Place("accounts", "auth_data", made.id)) == '{"api_key":"sk-original-1234"}'
    assert keyring.open(proxy_url, Place("accounts", "proxy_url", made.id)) == "http://u:p@proxy.test"


async def test_no_secret_shows_in_a_value(storage: Storage, add: Callable[..., Any]) -> None:
    made = await add(proxy_url="http://user:hunter22@proxy.test", metadata={"cookie": "crumbs-9"})
    shown = repr((made, await storage.load_snapshot(), AccountPatch(auth_data={"k": "sk-original-1234"})))
    shown += repr(NewAccount(provider_id="acme", auth_data={"k": "sk-original-1234"}, proxy_url="hunter22"))
    assert not re.search("sk-original|hunter22|crumbs-9", shown)


async def test_what_was_found_out_is_added_to_the_metadata_and_overwrites_nothing(
    storage: Storage, add: Callable[..., Any]
) -> None:
    account = await add(metadata={"note": "mine", "tier": ""})
    version = await storage.version()
    assert await storage.accounts.learn(account.id, {"note": "theirs", "tier": "free", "project": "p-1"})
    read = await storage.accounts.get(account.id)
    assert read.metadata == {"note": "mine", "tier": "free", "project": "p-1"}
    assert read.updated_at == account.updated_at
    assert await storage.version() > version
    [entry] = (await storage.audit.list(limit=1)).rows
    assert (entry.actor, entry.action, entry.detail) == ("system", "account.learn", {"names": ["project", "tier"]})


async def test_what_is_known_already_or_of_nobody_is_no_change(storage: Storage, add: Callable[..., Any]) -> None:
    account = await add(metadata={"project": "p-1"})
    version = await storage.version()
    for name in (account.id, "nobody", "config:" + "x" * 64):
        assert not await storage.accounts.learn(name, {"project": "p-2"})
    assert await storage.version() == version


async def test_a_ban_and_what_is_found_out_meanwhile_both_stand(storage: Storage, add: Callable[..., Any]) -> None:
    account = await add()
    await asyncio.gather(
        *(storage.accounts.learn(account.id, {f"n-{number}": number + 1}) for number in range(5)),
        storage.accounts.put_out_of_use(account.id, account.updated_at, "banned", "banned", None),
    )
    read = await storage.accounts.get(account.id)
    assert read.metadata == {f"n-{number}": number + 1 for number in range(5)}
    assert read.status == "banned"
