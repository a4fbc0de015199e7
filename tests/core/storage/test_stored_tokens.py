"""Claims on refresh tokens, and what is kept under them, in either kind of database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aigateway_core.errors import NotFoundError
from aigateway_core.storage import AccountPatch, Actor, Storage, tokens
from aigateway_core.storage.rows import AccountRest

pytestmark = pytest.mark.anyio
OLD = {"access_token": "at-old-canary", "refresh_token": "rt-old-canary"}
NEW = {"access_token": "at-new-canary", "refresh_token": "rt-new-canary"}
LATER = datetime(2030, 1, 1, tzinfo=UTC)


async def test_one_of_many_claims_wins_and_the_others_wait(storage: Storage, add: Callable[..., Any]) -> None:
    account = await add(auth_data=OLD)
    won = await asyncio.gather(*(storage.tokens.claim(account.id, 0, f"attempt-{n}", 30) for n in range(8)))
    assert won.count(True) == 1


async def test_who_asks_again_and_again_is_not_let_in_before_the_claim_has_ended(
    storage: Storage, add: Callable[..., Any]
) -> None:
    account = await add("waiting")
    assert await storage.tokens.claim(account.id, 0, "one", 30)
    assert [await storage.tokens.claim(account.id, 0, "two", 30) for _ in range(3)] == [False] * 3


async def test_a_claim_that_was_taken_back_leaves_room_and_one_that_has_run_out_a_moment_later(
    storage: Storage, add: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "_GRACE_SECONDS", 0.3)
    account = await add(auth_data=OLD)
    assert await storage.tokens.claim(account.id, 0, "one", 30)
    await storage.tokens.release(account.id, "somebody else")
    assert not await storage.tokens.claim(account.id, 0, "two", 30)
    await storage.tokens.release(account.id, "one")
    assert await storage.tokens.claim(account.id, 0, "two", 0.05)
    await asyncio.sleep(0.1)
    # Whoever made it may hold the next token and be about to store it.
    assert not await storage.tokens.claim(account.id, 0, "three", 30)
    await asyncio.sleep(0.4)
    assert await storage.tokens.claim(account.id, 0, "three", 30)
    assert not await storage.tokens.claim(account.id, 0, "four", 30)


async def test_what_a_renewal_brought_is_kept_and_no_change_of_an_operators(
    storage: Storage, add: Callable[..., Any]
) -> None:
    account, version = await add(auth_data=OLD), await storage.version()
    await storage.tokens.claim(account.id, 0, "one", 30)
    assert await storage.tokens.keep(account.id, 0, NEW, LATER)
    read = await storage.accounts.get(account.id)
    assert (read.auth_data, read.expires_at, read.auth_generation) == (NEW, LATER, 1)
    assert (read.updated_at, await storage.version()) == (account.updated_at, version)
    assert await storage.tokens.claim(account.id, 1, "two", 30)


async def test_a_late_writer_finds_none_of_his(storage: Storage, add: Callable[..., Any]) -> None:
    account = await add(auth_data=OLD)
    assert await storage.tokens.keep(account.id, 0, NEW, LATER)
    assert not await storage.tokens.keep(account.id, 0, {"access_token": "stale"}, None)
    assert not await storage.tokens.claim(account.id, 0, "late", 30)
    assert not await storage.tokens.need_login(account.id, 0, "stale")
    read = await storage.accounts.get(account.id)
    assert (read.auth_data, read.status) == (NEW, "active")


async def test_tokens_that_come_after_the_mark_end_it_and_the_rest_that_it_cost(
    storage: Storage, add: Callable[..., Any]
) -> None:
    account = await add(auth_data=OLD)
    assert await storage.tokens.need_login(account.id, 0, "revoked")
    rest = AccountRest(account_id=account.id, reach="*", reason="credential", until=LATER, revision=account.updated_at)
    await storage.rests.keep([rest])
    assert await storage.tokens.keep(account.id, 0, NEW, LATER)
    read = await storage.accounts.get(account.id)
    assert (read.status, read.status_reason, read.auth_data) == ("active", None, NEW)
    assert read.updated_at > account.updated_at
    assert await storage.rests.standing() == ()
    assert (await storage.audit.list()).rows[0].action == "account.renewed_late"


async def test_an_operators_change_of_the_credential_beats_a_renewal_under_way(
    storage: Storage, add: Callable[..., Any], actor: Actor
) -> None:
    account = await add(auth_data=OLD)
    await storage.tokens.claim(account.id, 0, "one", 30)
    await storage.accounts.update(account.id, AccountPatch(label="no matter"), actor)
    assert not await storage.tokens.claim(account.id, 0, "two", 30)
    await storage.accounts.update(account.id, AccountPatch(auth_data={"access_token": "by hand"}), actor)
    assert not await storage.tokens.keep(account.id, 0, NEW, LATER)
    assert (await storage.accounts.get(account.id)).auth_data == {"access_token": "by hand"}
    assert await storage.tokens.claim(account.id, 1, "two", 30)


async def test_the_mark_says_why_is_audited_once_and_goes_with_a_new_credential(
    storage: Storage, add: Callable[..., Any], actor: Actor
) -> None:
    account, version = await add(auth_data=OLD), await storage.version()
    assert await storage.tokens.need_login(account.id, 0, "revoked ⚡" + "x" * 300)
    assert await storage.tokens.need_login(account.id, 0, "again")
    read = await storage.accounts.get(account.id)
    assert (read.status, read.status_until) == ("needs_login", None)
    assert read.status_reason == ("revoked ⚡" + "x" * 300)[:255]
    assert await storage.version() == version + 1
    newest = (await storage.audit.list()).rows[0]
    assert (newest.action, newest.actor, newest.entity_id) == ("account.needs_login", "system", account.id)
    await storage.accounts.update(account.id, AccountPatch(auth_data=NEW), actor)
    mended = await storage.accounts.get(account.id)
    assert (mended.status, mended.status_reason, mended.auth_generation) == ("active", None, 1)


async def test_an_account_is_put_out_of_use_once_unless_it_was_changed_meanwhile(
    storage: Storage, add: Callable[..., Any], actor: Actor
) -> None:
    account, version = await add(auth_data=OLD), await storage.version()
    put, url = storage.accounts.put_out_of_use, "https://verify.test/?" + "x" * 900
    assert await put(account.id, account.updated_at, "disabled", "credential", url)
    assert not await put(account.id, account.updated_at, "banned", "banned", None)
    read = await storage.accounts.get(account.id)
    assert (read.status, read.status_reason, read.status_until) == ("disabled", "credential", None)
    assert (read.status_remedy, read.updated_at) == (url, account.updated_at)
    assert await storage.version() == version + 1
    newest = (await storage.audit.list()).rows[0]
    assert (newest.action, newest.actor, newest.detail) == ("account.disabled", "system", {"reason": "credential"})
    assert not await put("nobody", account.updated_at, "banned", "banned", None)
    renamed = await storage.accounts.update(account.id, AccountPatch(label="no matter"), actor)
    assert renamed.status == "disabled"
    for patch in (AccountPatch(is_active=True), AccountPatch(metadata={"n": 1}), AccountPatch(auth_data=NEW)):
        mended = await storage.accounts.update(account.id, patch, actor)
        assert (mended.status, mended.status_reason, mended.status_remedy) == ("active", None, None)
        assert not await put(account.id, account.updated_at, "banned", "banned", None)
        assert await put(account.id, mended.updated_at, "banned", "banned", None)
    off = await storage.accounts.update(account.id, AccountPatch(is_active=False), actor)
    assert off.status == "banned"


async def test_an_account_that_is_gone_takes_nothing(storage: Storage) -> None:
    assert not await storage.tokens.claim("nobody", 0, "one", 30)
    assert not await storage.tokens.keep("nobody", 0, NEW, None)
    assert not await storage.tokens.need_login("nobody", 0, "x")
    await storage.tokens.release("nobody", "one")


async def test_tokens_are_nowhere_in_clear(storage: Storage, add: Callable[..., Any], sql: Callable[..., Any]) -> None:
    account = await add(auth_data=OLD)
    await storage.tokens.keep(account.id, 0, NEW, LATER)
    await storage.logins.put("state-canary", "acme", {"verifier": "verifier-canary"}, 60)
    everything = "".join(str(sql(f"SELECT * FROM {table}")) for table in ("accounts", "audit_log", "oauth_logins"))
    assert "canary" not in everything


async def test_s_21_a_begun_login_is_taken_out_once(storage: Storage) -> None:
    await storage.logins.put("state-1", "acme", {"verifier": "v"}, 60)
    await storage.logins.put("state-2", "acme", {}, 60)
    results = await asyncio.gather(*(storage.logins.take("state-1") for _ in range(5)), return_exceptions=True)
    assert [found for found in results if not isinstance(found, NotFoundError)] == [("acme", {"verifier": "v"})]
    assert await storage.logins.take("state-2") == ("acme", {})


@pytest.mark.parametrize("state", ["", "state-1x", "\udc80", "x" * 5000])
async def test_a_login_that_nobody_began_is_not_there(storage: Storage, state: str) -> None:
    await storage.logins.put("state-1", "acme", {}, 60)
    with pytest.raises(NotFoundError, match="no login waits"):
        await storage.logins.take(state)


async def test_s_21_a_login_expires_and_is_cleared_away(storage: Storage, sql: Callable[..., Any]) -> None:
    await storage.logins.put("old", "acme", {}, 0)
    with pytest.raises(NotFoundError):
        await storage.logins.take("old")
    await storage.logins.put("older", "acme", {}, -timedelta(hours=1).total_seconds())
    await storage.logins.put("new", "acme", {}, 60)
    assert sql("SELECT COUNT(*) FROM oauth_logins") == [(1,)]


async def test_t_04_a_claim_that_a_clock_has_made_endless_is_none(
    storage: Storage, add: Callable[..., Any], sql: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "_GRACE_SECONDS", 0.3)
    account = await add(auth_data=OLD)
    assert await storage.tokens.claim(account.id, 0, "killed", 20)
    # It was made two hours ago by a clock that has been set back by as much since.
    ends = (datetime.now(UTC) + timedelta(hours=2)).strftime("%Y-%m-%d %H:%M:%S.000000")
    sql(f"UPDATE accounts SET refresh_until = '{ends}'")
    assert not await storage.tokens.claim(account.id, 0, "next", 20), "who made it may be about to store"
    await asyncio.sleep(0.4)
    assert await storage.tokens.claim(account.id, 0, "next", 20)
    assert not await storage.tokens.claim(account.id, 0, "late", 20)
