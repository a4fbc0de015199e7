"""Deletes call records that are older than they are to be kept, a slice at a time."""

from __future__ import annotations

import asyncio
import logging
import random
from datetime import UTC, datetime, timedelta
from typing import Protocol

from aigateway_core.errors import GatewayError
from aigateway_core.state import State

log = logging.getLogger(__name__)

_LOCK = "retention"
_LEASE_SECONDS = 60.0
_SLICE = 1000
_BREATH = 0.05
"""Seconds between slices, for those who write meanwhile."""


class OldCalls(Protocol):
    """Where records are deleted."""

    async def delete_before(self, moment: datetime, most: int) -> int:
        """Delete up to so many of the oldest from before this moment, and return their number."""


class Retention:
    """Looks every ``interval`` seconds for records of more than ``days`` days; of many workers, one at a time."""

    def __init__(self, calls: OldCalls, state: State, *, days: int, interval: float = 3600.0) -> None:
        self._calls = calls
        self._state = state
        self._days = days
        self._interval = interval
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, unless everything is kept."""
        if self._days:
            self._task = asyncio.create_task(self._run(), name="retention")

    async def aclose(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def sweep(self) -> int:
        """Delete all that is too old, unless another worker does; returns the number of records."""
        lease = await self._state.acquire(_LOCK, _LEASE_SECONDS)
        if lease is None:
            return 0
        moment = datetime.now(UTC) - timedelta(days=self._days)
        total = 0
        try:
            while gone := await self._calls.delete_before(moment, _SLICE):
                total += gone
                # Should the lock be lost, two delete the same rows: that costs time, and nothing else.
                await self._state.renew(lease, _LEASE_SECONDS)
                await asyncio.sleep(_BREATH)
        finally:
            await self._state.release(lease)
        return total

    async def _run(self) -> None:
        while True:
            # Not all gateways at the same moment, and not in the first seconds of a start.
            await asyncio.sleep(self._interval * random.uniform(0.01, 0.02))  # noqa: S311 - spreads, hides nothing
            try:
                if total := await self.sweep():
                    log.info("%d call records of more than %d days were deleted", total, self._days)
            except GatewayError as error:
                log.warning("old call records were not deleted: %s", error.message)
            await asyncio.sleep(self._interval)
