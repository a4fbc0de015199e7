"""A bounded queue before each stats sink, and what writes it out in batches."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice

import attrs

from aigateway_core.plugin.stats import StatsSink
from aigateway_core.records import CallRecord

log = logging.getLogger(__name__)

_FAREWELL_SECONDS = 5.0
"""How long a sink may take to write what is left when the gateway stops, and to close."""


@attrs.frozen(kw_only=True)
class RecorderLimits:
    """At most ``queue_size`` records wait; they go out every ``flush_interval`` seconds, ``batch_size`` at a time."""

    queue_size: int = 10_000
    flush_interval: float = 0.25
    batch_size: int = 500


class Lane:
    """One sink with a queue of its own, so that a slow one holds up nobody.

    ``fetch`` has whatever has come meanwhile :meth:`put` here, and is called before the sink is given anything.
    """

    def __init__(self, sink: StatsSink, limits: RecorderLimits, fetch: Callable[[], None]) -> None:
        self._sink = sink
        self._name = type(sink).__name__
        self._limits = limits
        self._fetch = fetch
        self._queue: deque[CallRecord] = deque()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failing = False
        self._closing = False
        self._dropped_before = 0
        self.dropped = 0

    @property
    def waiting(self) -> int:
        """Records that wait now."""
        return len(self._queue)

    def put(self, records: Sequence[CallRecord]) -> None:
        """Take in these records, and drop those for which there is no room."""
        room = self._limits.queue_size - len(self._queue)
        if len(records) > room:
            if self.dropped == self._dropped_before:
                log.warning("the stats sink %s does not keep up, records are dropped", self._name)
            self.dropped += len(records) - room
            records = records[:room]
        self._queue.extend(records)
        # A sink that is away is asked at its own pace, whatever comes in meanwhile.
        if len(self._queue) >= self._limits.batch_size and not self._failing:
            self._wake.set()

    def start(self) -> asyncio.Task[None]:
        """Begin to write."""
        self._task = asyncio.create_task(self._run(), name=f"recorder-{self._name}")
        return self._task

    async def aclose(self) -> None:
        """Write what is left within some seconds, then stop."""
        self._closing = True
        self._wake.set()
        task = self._task or self.start()
        await asyncio.wait({task}, timeout=_FAREWELL_SECONDS)
        task.cancel()
        self._fetch()
        if self._queue:
            self.dropped += len(self._queue)
            log.error("%d call records are lost: the stats sink %s did not take them", len(self._queue), self._name)
        try:
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await self._sink.aclose()
        except (Exception, SystemExit):
            log.exception("the stats sink %s could not be closed", self._name)

    async def _run(self) -> None:
        pause = self._limits.flush_interval
        while not self._closing:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            written = await self._flush()
            if not written or len(self._queue) < self._limits.batch_size:
                self._wake.clear()
            # A sink that is away is asked less and less often, and hears everything once it is back.
            pause = self._limits.flush_interval if written else min(pause * 2, 5.0)
        while self._has_some() and await self._flush():
            pass

    def _has_some(self) -> bool:
        self._fetch()
        return bool(self._queue)

    async def _flush(self) -> bool:
        """Write all that waits; false when the sink failed (what it did not take keeps waiting).

        What comes meanwhile waits for the next time: a batch of few costs nearly as much as one of many.
        """
        self._fetch()
        left = len(self._queue)
        while batch := list(islice(self._queue, min(left, self._limits.batch_size))):
            try:
                await self._sink.write(batch)
            except (Exception, asyncio.CancelledError, SystemExit) as error:
                if is_cancelled():
                    raise
                self._fail(error)
                return False
            for _ in batch:
                self._queue.popleft()
            left -= len(batch)
            self._recover()
        return True

    def _fail(self, error: BaseException) -> None:
        """One line when a sink begins to fail, not one for every try."""
        if not self._failing:
            self._failing = True
            log.warning("the stats sink %s fails, records wait: %s", self._name, type(error).__name__)

    def _recover(self) -> None:
        if self._failing:
            self._failing = False
            log.warning("the stats sink %s works again", self._name)
        if lost := self.dropped - self._dropped_before:
            self._dropped_before = self.dropped
            log.warning("the stats sink %s keeps up again, %d records were dropped", self._name, lost)


def is_cancelled() -> bool:
    """Whether somebody wants the current task to end.

    A plugin may let a cancellation escape that was none of this task's: it must not pass for one that was.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
