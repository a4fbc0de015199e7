"""No change without its row in the audit log: where that cannot be written, the change does not happen, and says so."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from security.doors import Door, opened, settings_in

pytestmark = pytest.mark.anyio

FULL = "CREATE TRIGGER full BEFORE INSERT ON audit_log BEGIN SELECT RAISE(ABORT, 'the audit log is full'); END"
ACCOUNT = {"provider_id": "acme", "auth_data": {"api_key": "sk-canary-1234"}}
KEPT = ("accounts", "api_keys", "model_mappings", "proxy_pool", "providers", "audit_log")


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with opened(settings_in(tmp_path)) as door:
        yield door


def rows(door: Door) -> dict[str, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(door.settings.database.path)) as database:
        return {table: database.execute(f"SELECT * FROM {table}").fetchall() for table in KEPT}


async def test_s_23_an_admin_changes_nothing_that_nobody_could_be_asked_about(door: Door) -> None:
    async with door.client(authorization=f"Bearer {door.keys.admin}") as admin:
        made = (await admin.post("/api/v1/accounts", json=ACCOUNT)).json()["id"]
        key = (await admin.post("/api/v1/keys", json={"name": "team"})).json()["id"]
        proxy = (await admin.post("/api/v1/proxies", json={"url": "http://proxy.example:3128"})).json()["id"]
        alias = {"alias": "short", "targets": [{"provider": "acme", "model": "m-1"}]}
        await admin.post("/api/v1/model-mappings", json=alias)
        with closing(sqlite3.connect(door.settings.database.path)) as database, database:
            database.execute(FULL)
        before = rows(door)
        for method, path, body in (
            ("POST", "accounts", ACCOUNT),
            ("PUT", f"accounts/{made}", {"label": "new"}),
            ("POST", f"accounts/{made}/test", {"model": "m-1"}),
            ("DELETE", f"accounts/{made}", None),
            ("POST", "keys", {"name": "more"}),
            ("PUT", f"keys/{key}", {"name": "new"}),
            ("DELETE", f"keys/{key}", None),
            ("POST", "proxies", {"url": "http://other.example:3128"}),
            ("PUT", f"proxies/{proxy}", {"is_active": False}),
            ("DELETE", f"proxies/{proxy}", None),
            ("POST", "model-mappings", {**alias, "alias": "other"}),
            ("PUT", "model-mappings/short", {"is_active": False}),
            ("DELETE", "model-mappings/short", None),
            ("PUT", "providers/acme", {"is_active": False}),
        ):
            answer = await admin.request(method, f"/api/v1/{path}", json=body)
            assert answer.status_code == 503, (method, path, answer.text)
            assert "full" not in answer.text
            assert rows(door) == before, (method, path)
        # What is in memory is what was before, too.
        listed = (await admin.get("/api/v1/accounts")).json()["data"]
        assert {row["id"]: row["label"] for row in listed}[made] == ""
