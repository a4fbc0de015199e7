"""Providers in either database: a row for each that is installed, and the operator's word kept."""

from __future__ import annotations

import asyncio

import pytest

from aigateway_core.errors import InvalidRequestError, NotFoundError
from aigateway_core.storage import Actor, ProviderPatch, Storage

pytestmark = pytest.mark.anyio


async def test_an_installed_provider_has_a_row_that_says_nothing_yet(storage: Storage) -> None:
    acme, globex = await storage.providers.list()
    assert (acme.id, acme.name, acme.is_active) == ("acme", "acme", True)
    assert (acme.base_url, acme.auth_type, acme.auth_strategy) == (None, None, None)
    assert (acme.supported_models, acme.config) == ((), {})
    assert globex.id == "globex"
    assert await storage.providers.get("acme") == acme


async def test_an_upgrade_adds_what_is_missing_and_keeps_what_was_stored(storage: Storage, actor: Actor) -> None:
    patch = ProviderPatch(base_url="https://acme.test/v1", is_active=False, config={"timeout": 3, "x": ["⚡"]})
    changed = await storage.providers.update("acme", patch, actor)
    before = await storage.version()
    await storage.providers.upsert_installed("acme", "globex")
    assert await storage.version() == before
    await storage.providers.upsert_installed("initech", "acme", "initech")
    assert [row.id for row in await storage.providers.list()] == ["acme", "globex", "initech"]
    assert await storage.providers.get("acme") == changed
    assert await storage.version() == before + 1


async def test_many_servers_that_start_at_once_add_a_provider_once(storage: Storage) -> None:
    await asyncio.gather(*(storage.providers.upsert_installed("new", "newer") for _ in range(8)))
    assert [row.id for row in await storage.providers.list()] == ["acme", "globex", "new", "newer"]
    added = [entry.entity_id for entry in (await storage.audit.list()).rows if entry.action == "provider.create"]
    assert sorted(added) == ["acme", "globex", "new", "newer"]


async def test_a_patch_changes_what_it_names(storage: Storage, actor: Actor) -> None:
    patch = ProviderPatch(
        name=" Acme ⚡ ",
        base_url="https://acme.test",
        auth_type="api_key",
        auth_strategy="api_key",
        supported_models=("a-1", "vendor/a-2"),
    )
    changed = await storage.providers.update("acme", patch, actor)
    assert await storage.providers.get("acme") == changed
    assert (changed.name, changed.base_url, changed.auth_type) == (" Acme ⚡ ", "https://acme.test", "api_key")
    assert (changed.supported_models, changed.is_active) == (("a-1", "vendor/a-2"), True)
    assert changed.updated_at > changed.created_at
    cleared = await storage.providers.update("acme", ProviderPatch(base_url=None), actor)
    assert (cleared.base_url, cleared.name) == (None, " Acme ⚡ ")


async def test_a_patch_that_changes_nothing_is_no_change(storage: Storage, actor: Actor) -> None:
    before, acme = await storage.version(), await storage.providers.get("acme")
    assert await storage.providers.update("acme", ProviderPatch(name="acme", config={}), actor) == acme
    assert await storage.version() == before


async def test_the_audit_log_keeps_the_configuration_to_itself(storage: Storage, actor: Actor) -> None:
    patch = ProviderPatch(base_url="https://user:hunter22@acme.test", config={"client_secret": "hunter22"})
    await storage.providers.update("acme", patch, actor)
    (entry,) = (await storage.audit.list(limit=1)).rows
    assert (entry.action, entry.entity_id) == ("provider.update", "acme")
    assert set(entry.detail) == {"base_url", "config"}
    assert "hunter22" not in repr(entry)


async def test_what_no_column_can_hold_is_refused_by_its_field(storage: Storage, actor: Actor) -> None:
    with pytest.raises(InvalidRequestError, match="base_url: at most 2048 characters"):
        await storage.providers.update("acme", ProviderPatch(base_url="https://" + "x" * 2048), actor)
    with pytest.raises(InvalidRequestError, match="name: must be text without NUL"):
        await storage.providers.update("acme", ProviderPatch(name="a\0"), actor)
    assert (await storage.providers.get("acme")).base_url is None


async def test_a_provider_that_is_not_there_is_not_found(storage: Storage, actor: Actor) -> None:
    for odd in ("nobody", "", "x" * 65, "ACME", "\udc80"):
        with pytest.raises(NotFoundError, match="there is no provider"):
            await storage.providers.get(odd)
        with pytest.raises(NotFoundError, match="there is no provider"):
            await storage.providers.update(odd, ProviderPatch(is_active=False), actor)
