"""A worker of its own process: picks accounts when it is told to, and tells how often it picked which.

    python picking_process.py PORT NAME

Each line on standard input is a command: ``pick NUMBER`` or ``cool ACCOUNT``; each is answered by a line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from types import SimpleNamespace
from typing import Any

from aigateway_core.accounts import AccountSelector, Terms
from aigateway_core.affinity import Conversation
from aigateway_core.records import Account
from aigateway_core.routing import Route
from aigateway_core.snapshot import CurrentSnapshot, Snapshot
from aigateway_core.state import Cooldown, one_model
from aigateway_core.state.address import RedisAddress
from aigateway_core.state.redis import RedisState


def tell(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def main(port: int, name: str) -> None:
    snapshot = CurrentSnapshot()
    snapshot.value = Snapshot(accounts={"p": tuple(Account(id=each, provider_id="p") for each in "abc")})
    state = RedisState(RedisAddress(port=port))
    selector = AccountSelector(snapshot, state)
    provider: Any = SimpleNamespace(id="p")
    route = Route(provider, "m", "m")
    await state.start()
    tell("ready")
    loop = asyncio.get_running_loop()
    begun = 0
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command, argument = line.split()
        picked: Counter[str] = Counter()
        if command == "cool":
            state.cool(argument, one_model("m"), Cooldown(time.time() + 60, "quota"))
        for number in range(int(argument) if command == "pick" else 0):
            terms = Terms(conversation=Conversation(f"{name}-{begun + number}"))
            picked[(await selector.select(route, (), terms)).id] += 1
        begun += sum(picked.values())
        tell(picked)
    await state.aclose()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
