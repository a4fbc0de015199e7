"""What it costs to write a million call records into MariaDB, and to read them. A benchmark, never a test: it prints.

PYTHONPATH=tests python tests/bench/request_log.py [ROWS]
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from services.private_servers import MariaDB, running

from aigateway_core.administration import Span
from aigateway_core.administration.statistics import StatisticsAdministration
from aigateway_core.records import Attempt, CallRecord
from aigateway_core.secret import Secret
from aigateway_core.storage import CallQuery, MySQLServer, Storage
from aigateway_core.vault import KeyRing

BATCH = 500
DAYS = 30
LOOKS = 7
CHANCE = random.Random(7)


def record(number: int, rows: int) -> CallRecord:
    provider = f"provider-{number % 5}"
    failed = number % 50 == 0
    account = f"account-{number % 40}"
    return CallRecord(
        id=f"{number:032x}",
        request_id=f"req_{number:024x}",
        created_at=datetime.now(UTC) - timedelta(days=DAYS) * (1 - number / rows),
        dialect="openai-chat",
        client_key_id=f"key-{number % 20}",
        outcome="upstream_error" if failed else "ok",
        status_code=429 if failed else 200,
        latency_ms=CHANCE.randrange(200, 30_000),
        model=f"model-{number % 12}",
        upstream_model=f"model-{number % 12}",
        provider_id=provider,
        account_id=account,
        proxy_id=number % 8,
        input_tokens=1000,
        output_tokens=200,
        usage_source="upstream",
        finish_reason="stop",
        error_kind="rate_limit" if failed else None,
        error="the vendor said no" if failed else None,
        attempts=(Attempt(account_id=account, latency_ms=900, status_code=200, proxy_id=number % 8),),
    )


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def fill(storage: Storage, rows: int) -> None:
    began = lap = time.perf_counter()
    for first in range(0, rows, BATCH):
        await storage.calls.insert_many([record(number, rows) for number in range(first, min(first + BATCH, rows))])
        if (first + BATCH) % 100_000 == 0:
            now = time.perf_counter()
            say(f"{first + BATCH:>9} rows, the last 100000 at {100_000 / (now - lap):,.0f} rows/s")
            lap = now
    say(f"written: {rows / (time.perf_counter() - began):,.0f} rows/s, {BATCH} in a batch, one connection, with sums")


async def look(name: str, deed: Callable[[], Awaitable[object]]) -> None:
    taken = []
    for _ in range(LOOKS):
        began = time.perf_counter()
        await deed()
        taken.append((time.perf_counter() - began) * 1000)
    say(f"{name:<44} {statistics.median(taken):8.1f} ms  (worst {max(taken):.1f})")


async def main(rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder, running(MariaDB(Path(folder))) as server, server.database() as name:
        location = MySQLServer(
            host=server.host, port=server.port, user=server.user, password=Secret(server.password), database=name
        )
        async with await Storage.open(location, KeyRing([bytes(32)])) as storage:
            await fill(storage, rows)
            seen = StatisticsAdministration(storage.calls, storage.statistics, storage.proxies)
            month = Span(since=datetime.now(UTC) - timedelta(days=DAYS))
            middle = datetime.now(UTC) - timedelta(days=DAYS / 2)
            await look("stats/logs?limit=100", lambda: seen.logs(CallQuery()))
            await look("  &provider=", lambda: seen.logs(CallQuery(provider_id="provider-3")))
            await look("  &account=", lambda: seen.logs(CallQuery(account_id="account-7")))
            await look("  &model=", lambda: seen.logs(CallQuery(model="model-5")))
            await look("  &key=", lambda: seen.logs(CallQuery(client_key_id="key-9")))
            await look("  &outcome=upstream_error", lambda: seen.logs(CallQuery(outcome="upstream_error")))
            await look("  &until=, in the middle", lambda: seen.logs(CallQuery(until=middle)))
            await look("  &before=, in the middle", lambda: seen.logs(CallQuery(before=f"{rows // 2:032x}")))
            await look("stats/summary, the last day", lambda: seen.summary(Span()))
            await look(f"stats/summary, {DAYS} days", lambda: seen.summary(month))
            await look("stats/timeseries, the last day by hour", lambda: seen.timeseries(Span()))
            await look(f"stats/timeseries, {DAYS} days by hour", lambda: seen.timeseries(month))
            await look(
                f"stats/timeseries, {DAYS} days by day, one account",
                lambda: seen.timeseries(month, by_day=True, dimension="account", name="account-7"),
            )
            await look("stats/proxies/{id}", lambda: seen.of_proxy(3, 7))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
