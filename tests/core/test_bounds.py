"""What callers can make up by the hundred thousand, and what a long outage can pile up, takes bounded room."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import pytest
from bench.snapshot import Stalls, fill

from aigateway_core.accounts import AccountSelector, Terms
from aigateway_core.affinity import conversation
from aigateway_core.bootstrap import assemble
from aigateway_core.credentials import Credentials
from aigateway_core.errors import UnavailableError
from aigateway_core.guesses import Guesses, GuessLimitError
from aigateway_core.ledger import CallLedger
from aigateway_core.live import LiveSnapshot
from aigateway_core.metrics import Metrics
from aigateway_core.recording import Recorder, RecorderLimits
from aigateway_core.records import Account, Attempt, CallRecord
from aigateway_core.routing import Route
from aigateway_core.settings import PluginsSettings, ProviderSettings, Settings
from aigateway_core.snapshot import CurrentSnapshot, Snapshot
from aigateway_core.spool import Spool
from aigateway_core.state import Cooldown, one_model
from aigateway_core.state.memory import MemoryState
from aigateway_core.storage import SYSTEM, AccountPatch, SQLiteFile, Storage
from aigateway_core.vault import KeyRing

pytestmark = pytest.mark.anyio
MANY = 100_000
MIB = 1 << 20
PROVIDER: Any = SimpleNamespace(id="acme")


def record(number: int) -> CallRecord:
    """One of a call whose caller has made up all that a caller can."""
    return CallRecord(
        id=f"{number:032x}",
        request_id=f"made-up-{number}",
        created_at=datetime(2026, 5, 4, tzinfo=UTC),
        dialect="openai-chat",
        client_key_id=f"key-{number}",
        outcome="ok",
        status_code=200,
        latency_ms=12,
        model=f"made-up-model-{number}",
        upstream_model=f"made-up-model-{number}",
        provider_id="acme",
        account_id="a",
        error="x" * 200,
        attempts=(Attempt(account_id="a", latency_ms=11, status_code=200, provider_id="acme"),),
    )


def memory() -> float:
    """MiB that this process takes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / MIB


async def test_k_03_metrics_have_no_more_lines_for_a_hundred_thousand_names() -> None:
    metrics = Metrics(dict)
    await metrics.write([record(number) for number in range(1000)])
    before = (await metrics.page()).count(b"\n")
    await metrics.write([record(number) for number in range(MANY)])
    page = await metrics.page()
    assert page.count(b"\n") == before
    assert page.count(b"made-up-model") <= 3 * 200


async def test_k_03_what_is_remembered_of_models_conversations_and_places_is_bounded() -> None:
    state, current = MemoryState(), CurrentSnapshot()
    current.value = Snapshot(accounts={"acme": tuple(Account(id=name, provider_id="acme") for name in "abc")})
    selector, guesses = AccountSelector(current, state), Guesses(state, {"client": 1, "admin": 5}, keyed_hash=str)
    ends = time.time() + 3600
    for number in range(MANY + 1):
        state._buckets.spend(f"made-up-{number}", 5)
    for number in range(55_000):
        name = f"made-up-{number}"
        known = conversation("k", {"session-id": name}.get, {})
        account = await selector.select(Route(PROVIDER, name, name), (), Terms(conversation=known))
        if number < 4000:
            state.cool(account.id, one_model(name), Cooldown(ends + number, "quota"))
        elif number < 16_000:
            guesses.note_right("client", name, [name])
            with suppress(GuessLimitError):
                await guesses.note_wrong("client", name)
                await guesses.note_wrong("client", name)
    rooms: dict[str, tuple[Any, int]] = {
        "turns": (state._turns, 10_000),
        "conversations": (state._bindings, 50_000),
        "buckets": (state._buckets._full_at, 100_000),
        "lists": (selector._lists, 1024),
        "waiting": (guesses._waiting, 10_000),
        "right": (guesses._right, 10_000),
        "marks": (state._marks, 10_000),
        **{f"rests of {name}": (models, 1001) for name, models in state._cooldowns.items()},
    }
    assert {name: len(room) for name, (room, most) in rooms.items() if len(room) > most} == {}


class Away:
    """A database that is away, and back when it is told to be."""

    def __init__(self) -> None:
        self.is_away = True
        self.written = 0

    async def insert_many(self, records: Sequence[CallRecord]) -> Sequence[CallRecord]:
        if self.is_away:
            raise UnavailableError("away")
        self.written += len(records)
        return records


async def test_k_04_ten_minutes_without_a_database_take_bounded_memory_and_bounded_disk(
    tmp_path: Path,
) -> None:
    """30,000 calls: fifty a second."""
    away, ledger = Away(), CallLedger()
    spool = Spool(tmp_path / "calls.spool", 8 * MIB)
    ledger.open(away, spool)
    recorder = Recorder([Into(ledger)], RecorderLimits(flush_interval=0.01))
    recorder.start()
    before, most_memory, most_waiting, calls = memory(), 0.0, 0, 30_000
    for number in range(calls):
        recorder.put(record(number))
        if number % 250 == 249:
            await asyncio.sleep(0.01)
            most_waiting = max(most_waiting, recorder.waiting)
            most_memory = max(most_memory, memory() - before)
    async with asyncio.timeout(30):
        while recorder.waiting:  # noqa: ASYNC110 - the recorder writes
            await asyncio.sleep(0.05)
    assert most_waiting <= 10_000
    assert most_memory <= 16 + 16, "the records that wait, and what the rest takes"
    assert spool.bytes() <= 8 * MIB
    assert spool.path.stat().st_size <= 2 * 8 * MIB
    away.is_away = False
    async with asyncio.timeout(30):
        while ledger.spooling:  # noqa: ASYNC110 - the ledger replays
            await asyncio.sleep(0.05)
    await recorder.aclose()
    await ledger.aclose()
    assert away.written + ledger.dropped + recorder.dropped == calls
    assert ledger.dropped > 0, "the spool was never full"


class Into:
    """The ledger as a sink."""

    def __init__(self, ledger: CallLedger) -> None:
        self._ledger = ledger

    async def write(self, records: Sequence[CallRecord]) -> None:
        await self._ledger.insert_many(records)

    async def aclose(self) -> None:
        """It is closed by itself."""


async def test_k_08_among_a_thousand_accounts_one_is_chosen_in_no_time() -> None:
    """The bound is that of a starved machine; of what it is on a quiet one tests/bench/selection.py tells."""
    state, current = MemoryState(), CurrentSnapshot()
    listed = tuple(Account(id=f"a-{number}", provider_id="acme") for number in range(1000))
    current.value = Snapshot(accounts={"acme": listed})
    selector, route, ends = AccountSelector(current, state), Route(PROVIDER, "m", "m"), time.time() + 3600
    for number in range(100):
        state.cool(f"a-{number}", one_model("m"), Cooldown(ends, "quota"))
    began = time.thread_time()
    for _ in range(2000):
        await selector.select(route)
    assert (time.thread_time() - began) / 2000 <= 0.0005


async def test_k_08_a_large_pool_is_loaded_in_a_moment_and_beside_the_loop(tmp_path: Path) -> None:
    """A tenth of a second of a processor where it is quiet; the bound is that of a starved machine, likewise."""
    vendor = {"base_url": "http://127.0.0.1:9/v1", "models": ["m"]}
    settings = Settings(
        plugins=PluginsSettings(allowed=frozenset()),
        providers={"acme": ProviderSettings(kind="openai-compatible", options=vendor)},
    )
    async with await Storage.open(SQLiteFile(tmp_path / "large.db"), KeyRing([bytes(range(32))])) as storage:
        account = await fill(storage, 1000, 200, 500)
        current = CurrentSnapshot()
        live = LiveSnapshot(
            current, storage, assemble(settings).providers, (), state=MemoryState(), credentials=Credentials()
        )
        await live.reload()
        spent, held_up = [], []
        for number in range(5):
            await storage.accounts.update(account, AccountPatch(label=f"label {number}"), SYSTEM)
            async with Stalls() as stalls:
                began = time.process_time()
                await live.reload()
                spent.append(time.process_time() - began)
            held_up.append(stalls.longest)
    assert len(current.value.by_id) == 1000
    assert (len(current.value.proxies), len(current.value.mappings)) == (200, 500)
    assert median(spent) <= 3 * 0.1
    assert median(held_up) <= 0.1
