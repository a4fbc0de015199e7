"""A process beside the tests that changes what is stored, and is killed before one statement of it or another.

``python killed_process.py '<json>'``: the location. Each line of its input is ``NAME NTH [ID]``: do this, in a process
of its own, which is killed before its NTH statement. The answer is ``killed``, or ``done`` if it did not come as far.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

from pymysql.connections import Connection

sys.path.insert(0, str(Path(__file__).parents[2]))

from core.storage.other_process import keyring, location

from aigateway_core.storage import AccountPatch, Actor, NewAccount, Storage

ACTOR = Actor(id="tester", request_id="req-1")
left = 0


def statement(*_: object) -> None:
    """One is about to be sent."""
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def count_statements() -> None:
    """From now on, whatever the database is."""
    connect, execute = sqlite3.connect, Connection._execute_command

    def connected(*args: Any, **more: Any) -> sqlite3.Connection:
        made = connect(*args, **more)
        made.set_trace_callback(statement)
        return made

    def executed(connection: Connection, command: int, sql: object) -> Any:
        statement()
        return execute(connection, command, sql)

    sqlite3.connect = connected
    Connection._execute_command = executed


async def change(where: dict[str, Any], name: str, nth: int, account: str) -> None:
    """Do it."""
    global left
    async with await Storage.open(location(where), keyring(), threads=1) as storage:
        left = nth
        if name == "create":
            await storage.accounts.create(NewAccount(provider_id="acme", auth_data={"k": "v"}), ACTOR)
        elif name == "update":
            await storage.accounts.update(account, AccountPatch(label=f"label-{nth}", auth_data={"k": str(nth)}), ACTOR)
        elif name == "key":
            await storage.keys.replace("admin", str(nth), ACTOR)
        left = 0


def main(where: dict[str, Any]) -> None:
    count_statements()
    for line in sys.stdin:
        name, nth, *account = line.split()
        if (child := os.fork()) == 0:
            asyncio.run(change(where, name, int(nth), "".join(account)))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        was_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        sys.stdout.write("done\n" if status == 0 else "killed\n" if was_killed else "failed\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
