"""Keys in either database: shown once, stored as hashes, revoked for good."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from aigateway_core.errors import ConfigurationError, InvalidRequestError, NotFoundError
from aigateway_core.records import CallRecord
from aigateway_core.secret import Secret
from aigateway_core.storage import Actor, Storage
from aigateway_core.vault import KeyRing, key_id

pytestmark = pytest.mark.anyio


async def test_a_new_key_is_stored_as_a_hash_that_verifies_it(storage: Storage, actor: Actor, keyring: KeyRing) -> None:
    stored, key = await storage.keys.create("client", "laptop", actor)
    assert key.reveal().startswith("gwcli_")
    assert stored.id == key_id(key.reveal())
    assert (stored.name, stored.role, stored.revoked_at, stored.expires_at) == ("laptop", "client", None, None)
    assert keyring.verify(key.reveal(), stored.hash)
    assert (await storage.keys.list()).rows == (stored,)
    assert await storage.keys.all_active() == (stored,)


async def test_a_key_shows_neither_itself_nor_its_hash(storage: Storage, actor: Actor) -> None:
    stored, key = await storage.keys.create("admin", "", actor)
    assert key.reveal().startswith("gwadm_")
    shown = repr((stored, key, await storage.audit.list()))
    assert key.reveal() not in shown
    assert stored.hash not in shown


async def test_a_revoked_key_is_listed_and_opens_nothing(storage: Storage, actor: Actor) -> None:
    stored, _ = await storage.keys.create("client", "a", actor)
    kept, _ = await storage.keys.create("client", "b", actor)
    before = await storage.version()
    revoked = await storage.keys.revoke(stored.id, actor)
    assert revoked.revoked_at is not None
    assert await storage.keys.all_active() == (kept,)
    assert (await storage.keys.list()).rows == (revoked, kept)
    assert await storage.version() == before + 1


async def test_revoking_twice_changes_nothing_more(storage: Storage, actor: Actor) -> None:
    stored, _ = await storage.keys.create("client", "a", actor)
    first = await storage.keys.revoke(stored.id, actor)
    before = await storage.version()
    assert await storage.keys.revoke(stored.id, actor) == first
    assert await storage.version() == before


async def test_a_key_that_nobody_has_cannot_be_revoked(storage: Storage, actor: Actor) -> None:
    for odd in ("", "unknown1", "x" * 5000, "\udc80"):
        with pytest.raises(NotFoundError, match="there is no key"):
            await storage.keys.revoke(odd, actor)


async def test_a_key_stops_opening_when_it_expires(storage: Storage, actor: Actor) -> None:
    moment = datetime.now(UTC)
    past, _ = await storage.keys.create("client", "old", actor, expires_at=moment - timedelta(seconds=1))
    future, _ = await storage.keys.create("client", "new", actor, expires_at=moment + timedelta(hours=1))
    assert await storage.keys.all_active() == (future,)
    assert (await storage.load_snapshot()).keys == (future,)
    assert not past.is_valid(moment)
    assert future.is_valid(moment)
    assert not future.is_valid(moment + timedelta(hours=1))


async def test_keys_are_listed_by_role_and_paged(storage: Storage, actor: Actor) -> None:
    made = [(await storage.keys.create("admin" if n == 2 else "client", str(n), actor))[0] for n in range(5)]
    assert (await storage.keys.list(role="admin")).rows == (made[2],)
    page = await storage.keys.list(role="client", limit=2, offset=1)
    assert (page.rows, page.total) == ((made[1], made[3]), 4)


async def test_of_many_starts_one_makes_the_first_key(storage: Storage, actor: Actor) -> None:
    ends = await asyncio.gather(*(storage.keys.create_first("admin", "first", actor) for _ in range(8)))
    made = [end for end in ends if end is not None]
    assert len(made) == 1
    assert await storage.keys.all_active() == (made[0][0],)
    assert await storage.keys.create_first("admin", "again", actor) is None


async def test_a_first_key_that_cannot_be_kept_is_not_made(storage: Storage, actor: Actor) -> None:
    kept: list[Secret] = []

    def refuse(key: Secret) -> None:
        raise ConfigurationError("no room")

    with pytest.raises(ConfigurationError, match="no room"):
        await storage.keys.create_first("admin", "first", actor, refuse)
    assert await storage.keys.all_active() == ()
    made = await storage.keys.create_first("admin", "first", actor, kept.append)
    assert made is not None
    assert kept == [made[1]]


async def test_the_first_key_of_a_role_does_not_count_other_roles_or_revoked_keys(
    storage: Storage, actor: Actor
) -> None:
    await storage.keys.create("client", "c", actor)
    first = await storage.keys.create_first("admin", "a", actor)
    assert first is not None
    await storage.keys.revoke(first[0].id, actor)
    assert await storage.keys.create_first("admin", "b", actor) is not None


async def test_a_replacement_revokes_the_keys_of_its_role_only(storage: Storage, actor: Actor) -> None:
    client, _ = await storage.keys.create("client", "c", actor)
    old = [(await storage.keys.create("admin", str(n), actor))[0] for n in range(2)]
    new, _ = await storage.keys.replace("admin", "new", actor)
    assert {key.id for key in await storage.keys.all_active()} == {client.id, new.id}
    actions = [(entry.action, entry.entity_id) for entry in (await storage.audit.list(limit=3)).rows]
    assert actions[0] == ("key.create", new.id)
    assert set(actions[1:]) == {("key.revoke", key.id) for key in old}


async def test_the_last_use_of_a_key_only_moves_forward(
    storage: Storage, actor: Actor, noted: Callable[..., CallRecord]
) -> None:
    stored, _ = await storage.keys.create("client", "a", actor)
    before, noon = await storage.version(), datetime(2026, 5, 4, 12, tzinfo=UTC)
    used = [noted(key, created_at=noon, client_key_id=key) for key in (stored.id, "gone", "-", "environment")]
    await storage.calls.insert_many(used)
    await storage.calls.insert_many([noted(created_at=noon - timedelta(minutes=1), client_key_id=stored.id)])
    assert [key.last_used_at for key in await storage.keys.all_active()] == [noon]
    assert await storage.version() == before


async def test_a_name_that_no_column_can_hold_is_refused(storage: Storage, actor: Actor) -> None:
    with pytest.raises(InvalidRequestError, match="name: at most 255 characters"):
        await storage.keys.create("client", "x" * 256, actor)
    assert (await storage.keys.list()).total == 0
