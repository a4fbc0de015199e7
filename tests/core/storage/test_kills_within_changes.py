"""A process that is killed within a change of what is stored has made all of it, or nothing."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from aigateway_core.storage import Actor, DatabaseLocation, NewAccount, SQLiteFile, Storage

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

Do = Callable[..., str]


@pytest.fixture
def do(location: DatabaseLocation) -> Iterator[Do]:
    """Changes something in a process that may be killed, and tells whether it was."""
    where = (
        {"path": str(location.path)}
        if isinstance(location, SQLiteFile)
        else {**attrs.asdict(location, recurse=False), "password": location.password.reveal()}
    )
    command = [sys.executable, str(Path(__file__).with_name("killed_process.py")), json.dumps(where)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def run(*words: object) -> str:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(" ".join(map(str, words)) + "\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        yield run


async def state(storage: Storage, account: str) -> dict[str, Any]:
    entries = (await storage.audit.list(limit=10_000)).rows
    row = await storage.accounts.get(account)
    assert row.problem is None
    keys = (await storage.keys.list(limit=10_000)).rows
    return {
        "accounts": (await storage.accounts.list()).total,
        "account audits": sum(entry.action == "account.create" for entry in entries),
        "update": (row.label, (row.auth_data or {})["k"]),
        "update audits": sum(entry.action == "account.update" for entry in entries),
        "keys": len(keys),
        "keys in force": sum(key.revoked_at is None for key in keys),
        "key audits": sum(entry.action == "key.create" for entry in entries),
    }


CHANGES: dict[str, Callable[[dict[str, Any], int], dict[str, Any]]] = {
    "create": lambda was, _: {"accounts": was["accounts"] + 1, "account audits": was["account audits"] + 1},
    "update": lambda was, nth: {"update": (f"label-{nth}", str(nth)), "update audits": was["update audits"] + 1},
    "key": lambda was, _: {"keys": was["keys"] + 1, "key audits": was["key audits"] + 1},
}


@pytest.mark.parametrize("name", CHANGES)
async def test_p_10_a_kill_anywhere_within_a_change_leaves_all_of_it_or_nothing(
    name: str, storage: Storage, actor: Actor, do: Do
) -> None:
    account = (await storage.accounts.create(NewAccount(provider_id="acme", auth_data={"k": "0"}), actor)).id
    await storage.keys.replace("admin", "first", actor)
    kills = 0
    for nth in range(1, 60):
        before = await state(storage, account)
        end = await asyncio.to_thread(do, name, nth, account)
        after = await state(storage, account)
        whole = {**before, **CHANGES[name](before, nth)}
        assert after in ([whole] if end == "done" else [before, whole]), (nth, end)
        if end == "done":
            break
        assert end == "killed"
        kills += after == before
    assert end == "done"
    assert kills > 3, "it was never killed in the middle"
