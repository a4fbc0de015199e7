"""Mappings and the terms of keys in either database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from aigateway_core.errors import ConflictError, NotFoundError, StaleChangeError
from aigateway_core.records import Target
from aigateway_core.storage import Actor, KeyPatch, KeyTerms, MappingPatch, NewMapping, Storage

pytestmark = pytest.mark.anyio

ALIAS = "équipe/fast " + "x" * 243
TARGETS = (Target(provider="acme", model="m/1"), Target(provider="globex", model="⚡"))


async def test_a_mapping_is_kept_changed_and_removed(storage: Storage, actor: Actor) -> None:
    made = await storage.mappings.create(NewMapping(alias=ALIAS, targets=TARGETS, description="für uns"), actor)
    assert (made.alias, made.targets, made.description, made.is_active) == (ALIAS, TARGETS, "für uns", True)
    assert await storage.mappings.get(ALIAS) == made
    assert (await storage.load_snapshot()).mappings == (made,)
    changed = await storage.mappings.update(ALIAS, MappingPatch(is_active=False, targets=TARGETS[1:]), actor)
    assert (changed.targets, changed.is_active, changed.description) == (TARGETS[1:], False, "für uns")
    assert changed.updated_at > made.updated_at
    assert (await storage.load_snapshot()).mappings == ()
    assert (await storage.mappings.list(is_active=False)).rows == (changed,)
    await storage.mappings.delete(ALIAS, actor)
    with pytest.raises(NotFoundError):
        await storage.mappings.get(ALIAS)
    audit = await storage.audit.list()
    assert [entry.action for entry in audit.rows[:3]] == ["mapping.delete", "mapping.update", "mapping.create"]
    assert all(entry.detail["alias"] == ALIAS for entry in audit.rows[:3])


async def test_aliases_differ_by_case_and_are_taken_once(storage: Storage, actor: Actor) -> None:
    for alias in ("fast", "Fast"):
        await storage.mappings.create(NewMapping(alias=alias, targets=TARGETS), actor)
    with pytest.raises(ConflictError):
        await storage.mappings.create(NewMapping(alias="fast", targets=TARGETS), actor)
    assert (await storage.mappings.list()).total == 2


@pytest.mark.parametrize("alias", ["", "none", "x" * 5000, "\udc80", "a\0b"])
async def test_an_alias_that_nobody_has_is_not_found(storage: Storage, actor: Actor, alias: str) -> None:
    for deed in (storage.mappings.get(alias), storage.mappings.delete(alias, actor)):
        with pytest.raises(NotFoundError):
            await deed


async def test_the_terms_of_a_key_are_kept_and_changed(storage: Storage, actor: Actor) -> None:
    terms = KeyTerms(providers=("acme",), models=("m-*", "ü"), requests_per_minute=3, concurrency=1)
    stored, _ = await storage.keys.create("client", "k", actor, terms=terms)
    assert (await storage.load_snapshot()).keys == (stored,)
    assert stored.terms == terms
    soon = datetime.now(UTC) + timedelta(days=1)
    patch = KeyPatch(models=None, requests_per_minute=None, expires_at=soon, accounts=("a",))
    changed = await storage.keys.update(stored.id, "client", patch, actor)
    assert changed.terms == KeyTerms(providers=("acme",), accounts=("a",), concurrency=1)
    assert changed.expires_at == soon
    with pytest.raises(StaleChangeError):
        await storage.keys.update(stored.id, "client", KeyPatch(name="x"), actor, expected_updated_at=stored.updated_at)
    with pytest.raises(NotFoundError):
        await storage.keys.update(stored.id, "admin", KeyPatch(name="x"), actor)


async def test_that_there_was_a_client_key_is_not_forgotten(storage: Storage, actor: Actor) -> None:
    assert not (await storage.load_snapshot()).client_keys_exist
    stored, _ = await storage.keys.create("client", "k", actor)
    await storage.keys.revoke(stored.id, actor)
    rows = await storage.load_snapshot()
    assert rows.keys == ()
    assert rows.client_keys_exist
