"""Somebody writes into the database behind the gateway's back: what was changed does not open, and the rest goes on."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest
from core.gateway_house import WHOLE
from scripted_upstream import ScriptedUpstream, whole
from security.doors import Door, opened, settings_in

from aigateway_core.bootstrap import open_storage
from aigateway_core.errors import ConfigurationError
from aigateway_core.secret import Secret
from aigateway_core.settings import KeySettings, ProviderSettings, Settings
from aigateway_core.storage import SYSTEM, AccountPatch, NewAccount, NewProxy
from aigateway_core.vault import KeyRing

pytestmark = pytest.mark.anyio

OLD = "q4pSbq7n0cYF2L1g3Wm5u8xJt6dKz9vHhRfEaQwXyTU="
NEW = "Zx81mQ0rTyUw37pLk2BnHy6gTf5dRsLn4bVc3xZaQw4="
CHAT = {"model": "m-1", "messages": [{"role": "user", "content": "hi"}]}
TAMPERINGS: dict[str, Callable[[str, str], str]] = {
    "one's credential in the other's row": lambda _, other: other,
    "a bit flipped": lambda own, _: own[:-10] + ("A" if own[-10] != "A" else "B") + own[-9:],
    "cut short": lambda own, _: own[:-8],
    "blank": lambda _, __: " ",
    "in clear": lambda _, __: '{"api_key": "sk-of-somebody-else"}',
    "named for another key": lambda own, _: own.replace(own.split(":")[1], "00000000"),
    "another version": lambda own, _: own.replace("v1:", "v0:"),
}


@pytest.fixture
def settings(tmp_path: Path, scripted_upstream: ScriptedUpstream) -> Settings:
    scripted_upstream.play(whole(json.dumps(WHOLE).encode()))
    acme = {"base_url": f"http://127.0.0.1:{scripted_upstream.port}/v1", "models": ["m-1"]}
    return attrs.evolve(
        settings_in(tmp_path),
        keys=KeySettings(master=Secret(OLD)),
        providers={"acme": ProviderSettings(kind="openai-compatible", options=acme)},
    )


@pytest.fixture
async def accounts(settings: Settings) -> list[str]:
    """Two that will be tampered with, and one that will not."""
    async with await open_storage(settings) as storage:
        await storage.providers.upsert_installed("acme")
        new = [NewAccount(provider_id="acme", auth_data={"api_key": f"sk-right-{number}"}) for number in range(3)]
        return [(await storage.accounts.create(each, SYSTEM)).id for each in new]


@pytest.fixture
def sql(settings: Settings) -> Callable[..., list[tuple[Any, ...]]]:
    def run(statement: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(settings.database.path)) as database, database:
            return database.execute(statement, values).fetchall()

    return run


@pytest.fixture
async def door(settings: Settings, accounts: list[str], tampered: None) -> AsyncIterator[Door]:
    async with opened(settings) as door:
        yield door


@pytest.fixture(params=list(TAMPERINGS))
def tampered(request: pytest.FixtureRequest, accounts: list[str], sql: Callable[..., list[tuple[Any, ...]]]) -> None:
    """The first two accounts of the database, in each way, crosswise."""
    stored = dict(sql("SELECT id, auth_data FROM accounts"))
    change = TAMPERINGS[request.param]
    for own, other in (accounts[:2], accounts[1::-1]):
        sql("UPDATE accounts SET auth_data = ? WHERE id = ?", change(stored[own], stored[other]), own)


async def test_s_19_what_was_tampered_with_is_used_for_nothing_and_the_others_go_on(
    door: Door, accounts: list[str], scripted_upstream: ScriptedUpstream
) -> None:
    async with door.client(authorization=f"Bearer {door.keys.admin}") as admin:
        shown = {row["id"]: row for row in (await admin.get("/api/v1/accounts")).json()["data"]}
    assert [shown[each]["status"] for each in accounts] == ["unusable", "unusable", "active"]
    assert {shown[each]["status_reason"] for each in accounts[:2]} == {"crypto_error"}
    async with door.client(authorization=f"Bearer {door.keys.client}") as client:
        for _ in range(6):
            assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 200
    assert {each.headers["authorization"] for each in scripted_upstream.requests} == {"Bearer sk-right-2"}


def _dump(settings: Settings) -> list[str]:
    with closing(sqlite3.connect(settings.database.path)) as database:
        return list(database.iterdump())


@pytest.mark.parametrize("rows", [0, 2])
async def test_s_19_the_old_key_cannot_go_before_the_rotation_has_ended(
    settings: Settings, accounts: list[str], sql: Callable[..., list[tuple[Any, ...]]], rows: int
) -> None:
    """Whether it was not begun or was stopped in the middle: refused, and nothing is written."""
    async with await open_storage(settings) as storage:
        await storage.proxies.create(NewProxy(url="http://user:pass@proxy.example:3128"), SYSTEM)
    both = attrs.evolve(settings, keys=KeySettings(master=Secret(f"{NEW},{OLD}")))
    async with await open_storage(both) as storage:
        for account in accounts[:rows]:
            row = await storage.accounts.get(account)
            assert row.auth_data is not None
            await storage.accounts.update(account, AccountPatch(auth_data=dict(row.auth_data)), SYSTEM)
    marks = {value.split(":")[1] for (value,) in sql("SELECT auth_data FROM accounts")}
    assert marks == ({KeyRing.parse(OLD).kids[0]} | ({KeyRing.parse(NEW).kids[0]} if rows else set()))
    before = _dump(settings)
    alone = attrs.evolve(settings, keys=KeySettings(master=Secret(NEW)))
    with pytest.raises(ConfigurationError, match="the master key does not fit this database"):
        await open_storage(alone)
    assert _dump(settings) == before
    async with await open_storage(both) as storage:
        await storage.secrets.reseal(SYSTEM)
    async with await open_storage(alone) as storage:
        assert [(await storage.accounts.get(each)).auth_data for each in accounts] == [
            {"api_key": f"sk-right-{number}"} for number in range(3)
        ]
