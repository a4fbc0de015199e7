"""A database that the first version has filled upgrades to the newest with every row as it was."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from aigateway_core.storage import DatabaseLocation, Storage, migrate
from aigateway_core.vault import KeyRing, Place

pytestmark = pytest.mark.anyio

SHIPPED = files("aigateway_core.storage.migrations")
THEN = "2026-01-02 03:04:05.678901"
ACCOUNTS = 12
CALLS = 8


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """The migrations as the first version had them."""
    folder = tmp_path / "first"
    folder.mkdir()
    for file in SHIPPED.iterdir():
        if file.name.startswith("0001_"):
            (folder / file.name).write_text(file.read_text("utf-8"), "utf-8")
    return folder


def fill(sql: Callable[..., Any], keyring: KeyRing) -> None:
    sql(
        "INSERT INTO storage_facts VALUES ('canary', ?)",
        keyring.seal("aigateway", Place("storage_facts", "value", "canary")),
    )
    sql("INSERT INTO providers VALUES ('acme', 'Acmé 🙂', NULL, NULL, NULL, '[]', TRUE, '{}', ?, ?)", THEN, THEN)
    for number in range(ACCOUNTS):
        row = f"account-{number:03}"
        sealed = keyring.seal(f'{{"api_key":"key-{number}"}}', Place("accounts", "auth_data", row))
        columns = "id, provider_id, label, auth_data, metadata, is_active, usage_count, created_at, updated_at"
        values = (row, "acme", f"Nº {number}", sealed, '{"n":1}', number % 2 == 0, number, THEN, THEN)
        sql(f"INSERT INTO accounts ({columns}) VALUES ({', '.join('?' * len(values))})", *values)
    columns = "id, name, role, hash, created_at"
    sql(f"INSERT INTO api_keys ({columns}) VALUES ('abcdefgh', 'first', 'client', ?, ?)", keyring.hash_key("k"), THEN)
    columns = "created_at, actor, action, entity, entity_id, detail"
    sql(f"INSERT INTO audit_log ({columns}) VALUES (?, 'cli', 'account.create', 'account', 'a', '{{}}')", THEN)
    columns = "id, request_id, created_at, dialect, client_key_id, outcome, status_code, latency_ms"
    columns += ", streamed, native, attempts"
    for number in range(CALLS):
        values = (f"call-{number}", "r", THEN, "anthropic", "abcdefgh", "ok", 200, number, False, True, "[]")
        sql(f"INSERT INTO request_logs ({columns}) VALUES ({', '.join('?' * len(values))})", *values)


async def test_d_22_a_database_of_the_first_version_upgrades_with_its_rows(
    location: DatabaseLocation, keyring: KeyRing, first: Path, sql: Callable[..., Any]
) -> None:
    migrate(location, folder=first)
    fill(sql, keyring)
    tables = {
        "providers": "*",
        "accounts": "id, provider_id, label, auth_data, metadata, is_active, usage_count, created_at, updated_at",
        "api_keys": "id, name, role, hash, created_at",
        "audit_log": "created_at, actor, action, entity, entity_id, detail",
        "request_logs": "seq, id, created_at, dialect, client_key_id, outcome, latency_ms, attempts",
    }
    before = {table: sql(f"SELECT {columns} FROM {table} ORDER BY 1") for table, columns in tables.items()}
    assert migrate(location) > 0
    assert {table: sql(f"SELECT {columns} FROM {table} ORDER BY 1") for table, columns in tables.items()} == before
    async with await Storage.open(location, keyring) as storage:
        snapshot = await storage.load_snapshot()
        page = await storage.accounts.list(limit=500)
    assert [account.auth_data for account in page.rows] == [{"api_key": f"key-{n}"} for n in range(ACCOUNTS)]
    assert {(a.status, a.egress, a.auth_generation) for a in page.rows} == {("active", "pool", 0)}
    assert (page.rows[7].label, page.rows[7].is_active, page.rows[7].usage_count) == ("Nº 7", False, 7)
    assert page.rows[0].created_at.isoformat() == "2026-01-02T03:04:05.678901+00:00"
    assert snapshot.providers[0].name == "Acmé 🙂"
    assert [key.id for key in snapshot.keys] == ["abcdefgh"]
    assert sql("SELECT operation, count(*) FROM request_logs GROUP BY operation") == [("chat", CALLS)]
