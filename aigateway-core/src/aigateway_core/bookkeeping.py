"""Everything that happens with call records once they are made: sinks, the spool, counters, and what is too old."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from aigateway_core.assembly import Assembly
from aigateway_core.metrics import Gauges, Metrics, Share
from aigateway_core.recording import Recorder, RecorderLimits
from aigateway_core.records import CallRecord
from aigateway_core.restraint import Restraint
from aigateway_core.retention import Retention
from aigateway_core.settings import Settings
from aigateway_core.snapshot import CurrentSnapshot
from aigateway_core.spool import Spool
from aigateway_core.state import EVERY_MODEL, State
from aigateway_core.storage import Storage

_NOTE_SECONDS = 1.0
"""How old what a worker tells of another one may be."""


class DailyCounts:
    """A stats sink for what each outbound proxy carried today, in the state that workers share."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def write(self, records: Sequence[CallRecord]) -> None:
        """Count every attempt of today's calls that went by a proxy; that a client left is nobody's failure.

        A call belongs to the day (UTC) on which it began, as in the database.
        """
        today = datetime.now(UTC).date()
        of_today = (record for record in records if record.created_at.astimezone(UTC).date() == today)
        for attempt in (attempt for record in of_today for attempt in record.attempts):
            if attempt.proxy_id is not None:
                self._state.count(attempt.proxy_id, failed=attempt.error_kind not in {None, "client_gone"})

    async def aclose(self) -> None:
        """The state belongs to whoever opened it."""


class Bookkeeping:
    """The recorder with all its sinks, from the start of the gateway to its end.

    ``share`` is this worker's part of what several workers count together.
    """

    def __init__(
        self,
        assembly: Assembly,
        state: State,
        snapshot: CurrentSnapshot,
        restraint: Restraint,
        share: Share | None = None,
    ) -> None:
        settings = assembly.settings.recording
        self._assembly = assembly
        self._state = state
        self._snapshot = snapshot
        self._restraint = restraint
        self._retention: Retention | None = None
        self.ledger = assembly.ledger
        self.metrics = Metrics(self._gauges, share)
        self.stalls = 0
        """Times that something blocked the event loop."""
        self._noting: asyncio.Task[None] | None = None
        self.recorder = Recorder(
            [*assembly.sinks, DailyCounts(state), self.metrics],
            RecorderLimits(
                queue_size=settings.queue_size, flush_interval=settings.flush_interval, batch_size=settings.batch_size
            ),
            vendor_messages=settings.vendor_messages,
        )

    def start(self, storage: Storage) -> None:
        """Begin to write, and with what an earlier process left on disk."""
        settings = self._assembly.settings
        self.ledger.open(storage.calls, Spool(spool_path(settings), settings.recording.spool_max_bytes))
        self.recorder.start()
        self._retention = Retention(storage.calls, self._state, days=settings.recording.retention_days)
        self._retention.start()
        if self.metrics.share is not None:
            self._noting = asyncio.create_task(self._note(), name="metrics")

    async def aclose(self) -> None:
        """Write what is left, into the database or onto the disk, and stop."""
        if self._noting is not None:
            self._noting.cancel()
        if self._retention is not None:
            await self._retention.aclose()
        self.ledger.hurry()
        await self.recorder.aclose()
        await self.ledger.aclose()
        await self.metrics.note()

    async def _note(self) -> None:
        while True:
            await self.metrics.note()
            await asyncio.sleep(_NOTE_SECONDS)

    def _gauges(self) -> Gauges:
        snapshot = self._snapshot.value
        resting = self._state.resting(EVERY_MODEL)
        cooling = Counter(account.provider_id for account in snapshot.by_id.values() if account.id in resting)
        health = Counter(proxy.health_status if proxy.is_active else "off" for proxy in snapshot.proxies.values())
        return {
            "requests_in_flight": self.recorder.under_way,
            "queue_length": self.recorder.waiting,
            "records_dropped": self.recorder.dropped + self.ledger.dropped,
            "spool_bytes": self.ledger.spool_bytes,
            "tasks": len(asyncio.all_tasks()),
            "loop_stalls": self.stalls,
            "open_breakers": self._restraint.open_breakers,
            "accounts_cooling": {name: cooling[name] for name in snapshot.accounts},
            "outbound_proxies": {name: health[name] for name in ("healthy", "degraded", "down", "off")},
        }


def spool_path(settings: Settings) -> Path:
    """The file that belongs to this database and to no other."""
    folder, name = _beside(settings)
    return folder / (f"{name}.spool" if settings.database.engine == "sqlite" else f"calls-{name}.spool")


def token_folder(settings: Settings) -> Path:
    """Where renewed tokens wait for this database."""
    folder, name = _beside(settings)
    return folder / (f"{name}.tokens" if settings.database.engine == "sqlite" else f"tokens-{name}")


def _beside(settings: Settings) -> tuple[Path, str]:
    """The folder for what the database does not take, and a name for the database."""
    database, folder = settings.database, settings.recording.spool_folder or settings.database.path.parent
    if database.engine == "sqlite":
        return folder, database.path.name
    place = f"{database.host}:{database.port}/{database.database}"
    return folder, hashlib.sha256(place.encode()).hexdigest()[:12]
