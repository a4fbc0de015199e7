"""A process beside the tests: opens storage, migrates, or writes, until it is done or killed.

python other_process.py open|migrate|write|claim '<json>'
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from aigateway_core.secret import Secret
from aigateway_core.storage import SYSTEM, DatabaseLocation, MySQLServer, NewAccount, SQLiteFile, Storage, migrate
from aigateway_core.storage.migrations.steps import Step
from aigateway_core.vault import KeyRing


def location(given: dict[str, Any]) -> DatabaseLocation:
    if "path" in given:
        return SQLiteFile(Path(given["path"]))
    return MySQLServer(**{**given, "password": Secret(given["password"])})


def say(text: object) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def keyring() -> KeyRing:
    return KeyRing([bytes(range(32))])


async def open_and_close(task: dict[str, Any]) -> None:
    async with await Storage.open(location(task["location"]), keyring()) as storage:
        await storage.providers.upsert_installed("acme")
        made = await storage.keys.create_first("admin", "first", SYSTEM)
        say(json.dumps({"made_the_key": made is not None, "version": await storage.version()}))


def migrate_once(task: dict[str, Any]) -> None:
    """Migrate; with ``die_at`` (version, step, stage), kill this process there as a power cut would."""
    die_at = task.get("die_at")

    def on_step(step: Step, stage: str) -> None:
        if [step.version, step.number, stage] == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    folder = Path(task["folder"]) if "folder" in task else None
    say(migrate(location(task["location"]), folder=folder, on_step=on_step))


async def write(task: dict[str, Any]) -> None:
    """Add accounts for ever; say each id once it is stored."""
    storage = await Storage.open(location(task["location"]), keyring())
    for number in itertools.count():
        made = await storage.accounts.create(
            NewAccount(provider_id="acme", label=str(number), auth_data={"n": number}), SYSTEM
        )
        say(made.id)


async def claim(task: dict[str, Any]) -> None:
    """Claim an outbound proxy for each of these accounts, all at once; say which each of them got."""
    async with await Storage.open(location(task["location"]), keyring()) as storage:
        claims = (storage.bindings.claim(account_id, SYSTEM) for account_id in task["accounts"])
        say(json.dumps(dict(zip(task["accounts"], await asyncio.gather(*claims), strict=True))))


def main() -> None:
    deed, task = sys.argv[1], json.loads(sys.argv[2])
    sys.stdin.readline()  # so that several can begin at the same moment
    if deed == "migrate":
        migrate_once(task)
    else:
        asyncio.run({"open": open_and_close, "write": write, "claim": claim}[deed](task))


if __name__ == "__main__":
    main()
