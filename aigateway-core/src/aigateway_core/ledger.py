"""The store behind the database sink: call records as rows, and on disk while there is no database to write to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from aigateway_core.errors import UnavailableError
from aigateway_core.records import CallRecord
from aigateway_core.spool import Spool

log = logging.getLogger(__name__)

_PATIENCE = 3.0
"""Seconds that a batch waits for the database before it goes to disk."""

_LAST_PATIENCE = 2.0
"""Seconds that the database has for all that is left when the gateway stops: less than a sink's farewell."""

_PAUSES = (0.25, 0.5, 1.0, 2.0)
"""Seconds between tries while the database is away; the last one repeats."""

_AT_ONCE = 500


class Calls(Protocol):
    """Where records are kept."""

    async def insert_many(self, records: Sequence[CallRecord]) -> Sequence[CallRecord]:
        """Keep these and all that they add up to, or nothing; returns the new ones.

        One that is there already stays as it is, and counts for nothing.
        """


class CallLedger:
    """Writes to whatever storage is open: the sink is made before the storage is.

    What the database does not take goes into the spool, and from there into the database, in its order, once that is
    back: :attr:`spooling` meanwhile. A disk that takes nothing keeps nothing from a database that does. A record may be
    offered to the database twice, and is stored and counted once. ``dropped`` counts records that nothing could keep.
    """

    def __init__(self) -> None:
        self.calls: Calls | None = None
        self.dropped = 0
        self.spooling = False
        self.spool_bytes = 0
        self._spool: Spool | None = None
        self._spooled = asyncio.Event()
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._complained = ""
        self._deadline: float | None = None

    def open(self, calls: Calls, spool: Spool | None = None) -> None:
        """Write to this storage from now on, beginning with what an earlier process left in the spool."""
        self.calls, self._spool = calls, spool
        if spool is not None:
            self._spooled.set()
            self._task = asyncio.create_task(self._replay_always(spool), name="spool")

    def hurry(self) -> None:
        """The gateway is about to stop: what the database does not take within two seconds goes to disk at once."""
        self._deadline = asyncio.get_running_loop().time() + _LAST_PATIENCE

    async def aclose(self) -> None:
        """Stop; what is in the spool stays there."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._spool is not None:
            await asyncio.to_thread(self._spool.close)

    async def insert_many(self, records: Sequence[CallRecord]) -> None:
        """Keep these records, in the database or on disk.

        Raises :class:`UnavailableError` when there is no database and no spool, :class:`OSError` when the disk does not
        take them either.
        """
        if self._spool is None:
            await self._keep(records)
            return
        if self.spooling:
            try:
                await self._put(records, self._spool)
            except OSError as error:
                # What waits may never be read again either: no reason to wait for it.
                self._complain(self._spool, error)
                if not await self._kept_soon(records):
                    raise
        elif not await self._kept_soon(records):
            await self._put(records, self._spool)
            log.warning("the database takes no call records, they wait in %s", self._spool.path)

    async def _kept_soon(self, records: Sequence[CallRecord]) -> bool:
        """Whether the database has taken them."""
        patience = _PATIENCE
        if self._deadline is not None and (patience := self._deadline - asyncio.get_running_loop().time()) <= 0:
            return False
        try:
            async with asyncio.timeout(patience):
                await self._keep(records)
        except (UnavailableError, TimeoutError):
            return False
        return True

    def _complain(self, spool: Spool, error: Exception) -> None:
        """Say what is wrong, when it begins: not at every try."""
        if str(error) != self._complained:
            self._complained = str(error)
            log.warning("what waits in %s cannot be written: %s", spool.path, error)

    # -- to disk, and back

    async def _put(self, records: Sequence[CallRecord], spool: Spool) -> None:
        async with self._turn:
            gone = await asyncio.to_thread(spool.put, records)
            self.spool_bytes = await asyncio.to_thread(spool.bytes)
            self.spooling = True
        self._spooled.set()
        if gone:
            self.dropped += gone
            log.warning("%s is full, the %d oldest call records are dropped", spool.path, gone)

    async def _replay_always(self, spool: Spool) -> None:
        while True:
            await self._spooled.wait()
            self._spooled.clear()
            tries = count = 0
            left = True
            while left:
                try:
                    written = await self._replay(spool)
                    count, tries, left = count + written, 0, written > 0
                except Exception as error:  # noqa: BLE001 - without this task nothing would come back for good
                    if not isinstance(error, UnavailableError):  # that the database is away is said already
                        self._complain(spool, error)
                    await asyncio.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
                    tries += 1
                if count and not self.spooling:
                    log.warning("the database takes call records again: %d that had waited are written", count)
                    count = 0

    async def _replay(self, spool: Spool) -> int:
        """Write the oldest that wait, and return their number; 0 when none waits any more.

        Raises :class:`OSError` when all are written and the disk does not let go of them.
        """
        async with self._turn:
            waiting = await asyncio.to_thread(spool.peek, _AT_ONCE)
            self.spooling = bool(waiting)
            if not waiting:
                await asyncio.to_thread(spool.remove, ())
                self._complained = ""
            self.spool_bytes = await asyncio.to_thread(spool.bytes)
        records = [each.record for each in waiting if each.record is not None]
        if records:
            await self._keep(records)
        self.dropped += len(waiting) - len(records)
        try:
            await asyncio.to_thread(spool.remove, waiting)
        except OSError as error:
            # They come out no more, and the others need not wait for the disk.
            self._complain(spool, error)
        return len(waiting)

    # -- to the database

    async def _keep(self, records: Sequence[CallRecord]) -> None:
        """Insert the batch; when it is refused because of some of its records, the others all the same."""
        if (calls := self.calls) is None:
            raise UnavailableError("the storage is not open")
        try:
            await calls.insert_many(records)
        except UnavailableError:
            raise
        except Exception as error:
            refused = 0
            for record in records if len(records) > 1 else ():
                try:
                    await calls.insert_many([record])
                except UnavailableError:
                    raise
                except Exception:  # noqa: BLE001 - said below
                    refused += 1
            if refused == len(records) or len(records) == 1:
                # It is not because of a record that all of them are refused.
                raise
            self.dropped += refused
            log.error("%d call records are lost: the database refuses them: %s", refused, type(error).__name__)
