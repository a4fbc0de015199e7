"""No change without its audit row, no audit row without its change, and no secret in either."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aigateway_core.errors import GatewayError
from aigateway_core.storage import AccountPatch, Actor, SQLiteFile, Storage

pytestmark = pytest.mark.anyio


async def test_each_change_leaves_a_row_that_says_who_and_what(
    storage: Storage, add: Callable[..., Any], actor: Actor
) -> None:
    made = await add(label="one")
    await storage.accounts.update(made.id, AccountPatch(label="two", is_active=False), actor)
    await storage.accounts.delete(made.id, actor)
    deleted, updated, created = (await storage.audit.list(limit=3)).rows
    assert [entry.action for entry in (created, updated, deleted)] == [
        "account.create",
        "account.update",
        "account.delete",
    ]
    assert {
        (entry.actor, entry.request_id, entry.entity, entry.entity_id) for entry in (created, updated, deleted)
    } == {("tester", "req-1", "account", made.id)}
    assert updated.detail == {"label": {"from": "one", "to": "two"}, "is_active": {"from": True, "to": False}}
    assert deleted.detail == {"provider_id": "acme", "label": "two"}
    assert abs(created.created_at - datetime.now(UTC)) < timedelta(minutes=1)


async def test_a_request_id_that_a_client_made_up_is_trimmed_and_stops_no_change(storage: Storage) -> None:
    for odd, kept in (("x" * 500, "x" * 128), ("a\0b", "a\ufffdb"), ("\udc80", "?"), ("", "")):
        await storage.keys.create("client", "k", Actor(id="t" * 100, request_id=odd))
        (entry,) = (await storage.audit.list(limit=1)).rows
        assert (entry.actor, entry.request_id or "") == ("t" * 64, kept)


async def test_secrets_are_told_apart_by_fingerprints_only(
    storage: Storage, add: Callable[..., Any], actor: Actor
) -> None:
    made = await add(
        auth_data={"k": "sk-original-1234"}, proxy_url="http://u:hunter22@proxy.test", metadata={"c": "hunter22"}
    )
    await storage.accounts.update(made.id, AccountPatch(auth_data={"k": "sk-changed-5678"}), actor)
    await storage.accounts.update(made.id, AccountPatch(auth_data={"k": "sk-original-1234"}), actor)
    back, away, created = (await storage.audit.list(limit=3)).rows
    assert "sk-" not in repr((created, away, back))
    assert "hunter22" not in repr(created)
    assert away.detail["auth_data"]["from"] == created.detail["auth_data"] == back.detail["auth_data"]["to"]
    assert away.detail["auth_data"]["to"] == back.detail["auth_data"]["from"] != created.detail["auth_data"]


async def test_the_version_is_the_newest_change(storage: Storage, add: Callable[..., Any], actor: Actor) -> None:
    before = await storage.version()
    assert before == (await storage.audit.list(limit=1)).rows[0].id == 2
    made = await add()
    assert await storage.version() == before + 1
    await storage.accounts.get(made.id)
    await storage.load_snapshot()
    assert await storage.version() == before + 1
    await storage.keys.create("client", "k", actor)
    assert (await storage.load_snapshot()).version == await storage.version() == before + 2


async def test_pages_are_newest_first(storage: Storage, add: Callable[..., Any]) -> None:
    for _ in range(5):
        await add()
    page = await storage.audit.list(limit=2, offset=1)
    assert ([entry.id for entry in page.rows], page.total) == ([6, 5], 7)


async def test_s_23_a_change_whose_audit_row_cannot_be_written_does_not_happen(
    storage: Storage, add: Callable[..., Any], actor: Actor, sql: Callable[..., Any], location: Any
) -> None:
    made = await add(label="before")
    if isinstance(location, SQLiteFile):
        sql("CREATE TRIGGER full BEFORE INSERT ON audit_log BEGIN SELECT RAISE(ABORT, 'the audit log is full'); END")
    else:
        sql(
            "CREATE TRIGGER full BEFORE INSERT ON audit_log FOR EACH ROW"
            " SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1114, MESSAGE_TEXT = 'the audit log is full'"
        )
    for change in (
        storage.accounts.update(made.id, AccountPatch(label="after"), actor),
        storage.accounts.delete(made.id, actor),
        add(),
        storage.keys.create("admin", "k", actor),
        storage.providers.upsert_installed("new"),
    ):
        with pytest.raises(GatewayError):
            await change
    assert (await storage.accounts.list()).rows == (made,)
    assert (await storage.keys.list()).total == 0
    assert [row.id for row in await storage.providers.list()] == ["acme", "globex"]
