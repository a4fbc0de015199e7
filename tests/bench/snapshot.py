"""What a large pool costs: choosing an account, and loading the snapshot anew. A benchmark, never a test: it prints.

PYTHONPATH=tests python tests/bench/snapshot.py [ACCOUNTS [PROXIES [MAPPINGS]]]
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aigateway_core.accounts import AccountSelector
from aigateway_core.bootstrap import assemble
from aigateway_core.credentials import Credentials
from aigateway_core.live import LiveSnapshot
from aigateway_core.records import Target
from aigateway_core.routing import Route
from aigateway_core.settings import DatabaseSettings, PluginsSettings, ProviderSettings, Settings
from aigateway_core.snapshot import CurrentSnapshot
from aigateway_core.state.memory import MemoryState
from aigateway_core.storage import SYSTEM, AccountPatch, NewAccount, NewMapping, NewProxy, SQLiteFile, Storage
from aigateway_core.vault import KeyRing

ROUNDS = 7
PICKS = 20_000


class Stalls:
    """How long the event loop was kept from doing anything else, at most."""

    async def __aenter__(self) -> Stalls:
        self.longest = 0.0
        self._task = asyncio.create_task(self._watch())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            self.longest = max(self.longest, time.perf_counter() - before - 0.001)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def fill(storage: Storage, accounts: int, proxies: int, mappings: int) -> str:
    """The id of one of the accounts."""
    await storage.providers.upsert_installed("acme")
    for number in range(proxies):
        await storage.proxies.create(NewProxy(url=f"http://u:p@10.0.{number // 256}.{number % 256}:8080"), SYSTEM)
    for number in range(mappings):
        await storage.mappings.create(
            NewMapping(alias=f"alias-{number}", targets=(Target(provider="acme", model="m"),)), SYSTEM
        )
    row = None
    for number in range(accounts):
        auth_data = {"api_key": f"sk-{number:040d}"}
        row = await storage.accounts.create(NewAccount(provider_id="acme", auth_data=auth_data), SYSTEM)
    assert row is not None
    return row.id


async def reloads(live: LiveSnapshot, storage: Storage, account: str) -> None:
    taken, stalls = [], []
    for number in range(ROUNDS):
        await storage.accounts.update(account, AccountPatch(label=f"label {number}"), SYSTEM)
        async with Stalls() as stall:
            began = time.perf_counter()
            await live.reload()
            taken.append(time.perf_counter() - began)
        stalls.append(stall.longest)
    say(f"reload after a change: {statistics.median(taken) * 1000:.0f} ms (worst {max(taken) * 1000:.0f})")
    say(f"longest stall of the event loop meanwhile: {max(stalls) * 1000:.1f} ms")


async def picks(current: CurrentSnapshot, state: MemoryState) -> None:
    selector = AccountSelector(current, state)
    provider: Any = SimpleNamespace(id="acme")
    route = Route(provider, "m", "m")
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(PICKS):
            await selector.select(route)
        best = min(best, time.perf_counter() - began)
    say(f"choosing an account: {best / PICKS * 1e6:.1f} us")


async def main(accounts: int, proxies: int, mappings: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.db"
        vendor = {"base_url": "http://127.0.0.1:9/v1", "models": ["m"]}
        settings = Settings(
            database=DatabaseSettings(path=path),
            plugins=PluginsSettings(allowed=frozenset()),
            providers={"acme": ProviderSettings(kind="openai-compatible", options=vendor)},
        )
        async with await Storage.open(SQLiteFile(path), KeyRing([bytes(range(32))])) as storage:
            account = await fill(storage, accounts, proxies, mappings)
            current, state = CurrentSnapshot(), MemoryState()
            live = LiveSnapshot(
                current, storage, assemble(settings).providers, (), state=state, credentials=Credentials()
            )
            await live.reload()
            found = current.value
            say(f"{len(found.by_id)} accounts, {len(found.proxies)} proxies, {len(found.mappings)} mappings")
            await reloads(live, storage, account)
            await picks(current, state)


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    asyncio.run(main(*(given + [1000, 200, 500][len(given) :])))
