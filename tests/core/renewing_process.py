"""A process beside the tests that renews an account's token, and is killed where it is told to be.

python renewing_process.py '<json>': location, account, options of the identity provider, folder of the spool, and
``die_at``: a step's name. ``away`` lets the database go away once the token is spent.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from core.token_house import TokenHouse

from aigateway_core import renewal
from aigateway_core.errors import UnavailableError
from aigateway_core.secret import Secret
from aigateway_core.storage import DatabaseLocation, MySQLServer, SQLiteFile


class Dying:
    """Passes every call on to ``target``, and ends the process before or after the one that it was told."""

    def __init__(self, target: Any, name: str, die_at: str) -> None:
        self._target, self._name, self._die_at = target, name, die_at

    def __getattr__(self, method: str) -> Any:
        call: Callable[..., Any] = getattr(self._target, method)
        if f"{self._name}.{method}" not in self._die_at:
            return call

        async def watched(*args: Any, **more: Any) -> Any:
            if self._die_at.startswith("before "):
                os.kill(os.getpid(), signal.SIGKILL)
            result = await call(*args, **more)
            os.kill(os.getpid(), signal.SIGKILL)
            return result

        return watched


class Away:
    """A database that takes no tokens any more; where it is asked again and again, the process ends."""

    def __init__(self, target: Any) -> None:
        self._target, self._asked = target, 0

    async def keep(self, *_: object) -> bool:
        self._asked += 1
        if self._asked > 2:
            os.kill(os.getpid(), signal.SIGKILL)
        raise UnavailableError("the database does not answer")


def located(given: dict[str, Any]) -> DatabaseLocation:
    if "path" in given:
        return SQLiteFile(Path(given["path"]))
    return MySQLServer(**{**given, "password": Secret(given["password"])})


async def main(task: dict[str, Any]) -> None:
    renewal._CLAIM_SECONDS = 0.5
    async with TokenHouse(located(task["location"]), task["options"], spool=Path(task["spool"])) as house:
        row = await house.storage.accounts.get(task["account"])
        house.know(row)
        parts, die_at = house.renewals, task["die_at"]
        parts._accounts = Dying(parts._accounts, "accounts", die_at)
        parts._tokens = parts._keeper._tokens = Dying(parts._tokens, "tokens", die_at)
        parts._cache = Dying(parts._cache, "cache", die_at)
        if task.get("away"):
            parts._keeper._tokens = Away(parts._keeper._tokens)
        object.__setattr__(house.entry, "renews", Dying(house.strategy, "provider", die_at))
        sys.stdin.readline()
        sys.stdout.write(await house.token(row.id))
        sys.stdout.flush()
        await asyncio.sleep(10 if task.get("away") else 0)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
