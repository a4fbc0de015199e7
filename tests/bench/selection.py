"""What the choice of an account costs. A benchmark, never a test: it prints.

python tests/bench/selection.py [ACCOUNTS]
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

from aigateway_core.accounts import AccountSelector, Terms
from aigateway_core.affinity import conversation
from aigateway_core.records import Account
from aigateway_core.routing import Route
from aigateway_core.snapshot import CurrentSnapshot, Snapshot
from aigateway_core.state import Cooldown, one_model
from aigateway_core.state.memory import MemoryState

ROUNDS = 5
NUMBER = 2000
BODY = {"messages": [{"role": "user", "content": "word " * 400}, {"role": "assistant", "content": "yes"}]}


async def microseconds(step: Callable[[int], Awaitable[object]]) -> float:
    """The best of some rounds: what else the machine does only ever adds."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for number in range(NUMBER):
            await step(number)
        best = min(best, time.perf_counter() - began)
    return best / NUMBER * 1e6


async def main(accounts: int) -> None:
    snapshot, state = CurrentSnapshot(), MemoryState()
    listed = tuple(Account(id=f"a-{number}", provider_id="p") for number in range(accounts))
    snapshot.value = Snapshot(accounts={"p": listed})
    selector = AccountSelector(snapshot, state)
    provider: Any = SimpleNamespace(id="p")
    route = Route(provider, "m", "m")
    key = frozenset(account.id for account in listed[::2])
    later = time.time() + 3600

    def named(number: int) -> Terms:
        return Terms(conversation=conversation("k", {"session-id": f"s-{number}"}.get, BODY))

    def opened() -> Terms:
        return Terms(conversation=conversation("k", {}.get, BODY))

    cooled = itertools.count()

    async def cool(number: int) -> None:
        state.cool(f"a-{number % (accounts // 10)}", one_model("m"), Cooldown(later + next(cooled), "quota"))
        await selector.select(route)

    steps: list[tuple[str, Callable[[int], Awaitable[object]]]] = [
        ("round-robin", lambda _: selector.select(route)),
        ("a key's own half of the accounts", lambda _: selector.select(route, (), Terms(allowed=key))),
        ("a conversation by its name, bound before", lambda n: selector.select(route, (), named(n))),
        ("a conversation by its beginning", lambda _: selector.select(route, (), opened())),
        ("after a failure", lambda _: selector.select(route, ("a-1",))),
        ("with a tenth of the accounts resting, and a new rest before each choice", cool),
    ]
    sys.stdout.write(f"choosing among {accounts} accounts, microseconds:\n")
    for title, step in steps:
        sys.stdout.write(f"{await microseconds(step):8.1f}  {title}\n")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
