"""A worker that counts with others: ``metrics_process.py FOLDER SLOT``.

For each line that it reads (``{"calls": 2, "waiting": 3, "lost": 1}``) it takes in so many records, sets its gauges,
and answers with its page as one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from aigateway_core.metrics import Gauges, Metrics, Share
from aigateway_core.records import Attempt, CallRecord


async def main(folder: str, slot: str) -> None:
    told: dict[str, float] = {"under_way": 0, "waiting": 0, "lost": 0, "tasks": 5, "stalls": 0, "breakers": 0}

    def gauges() -> Gauges:
        return {
            "requests_in_flight": told["under_way"],
            "queue_length": told["waiting"],
            "records_dropped": told["lost"],
            "spool_bytes": 0,
            "tasks": told["tasks"],
            "loop_stalls": told["stalls"],
            "open_breakers": told["breakers"],
            "accounts_cooling": {"acme": 2},
            "outbound_proxies": {"healthy": 1},
        }

    metrics = Metrics(gauges, Share(Path(folder), int(slot)))
    await metrics.note()
    for line in sys.stdin:
        said = json.loads(line)
        await metrics.write([record(number) for number in range(said.pop("calls", 0))])
        told |= said
        sys.stdout.write(json.dumps((await metrics.page()).decode()) + "\n")
        sys.stdout.flush()


def record(number: int) -> CallRecord:
    return CallRecord(
        id=str(number),
        request_id=str(number),
        created_at=datetime(2026, 5, 4, tzinfo=UTC),
        dialect="openai-chat",
        client_key_id="-",
        outcome="ok",
        status_code=200,
        latency_ms=300,
        model="m-1",
        provider_id="acme",
        input_tokens=10,
        attempts=(Attempt(account_id="a", latency_ms=1),),
    )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
