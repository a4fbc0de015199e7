"""What is still to be told to Redis: written without waiting, sent in batches, kept while Redis is away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import attrs

from aigateway_core.state.away import AwayError, Command

if TYPE_CHECKING:
    from aigateway_core.state.link import Link

_MOST_WAITING = 20_000
_BATCH = 200


@attrs.frozen
class _Count:
    """A counter's key, and the end of the day (seconds since the epoch) whose count it is."""

    key: str
    until: int


class Outbox:
    """The newest write under each key, and what counters are to grow by.

    A write may be repeated, so it is kept until it has arrived. A count may not: when nobody knows whether it arrived,
    it is given up, since a count that is too low is the lesser lie.
    """

    def __init__(self, link: Link, healed: Callable[[Command, object], None]) -> None:
        self._link = link
        self._heal = healed
        self._writes: dict[str, tuple[Command, ...]] = {}
        self._counts: dict[_Count, int] = {}
        self.waiting = asyncio.Event()

    def __contains__(self, key: str) -> bool:
        return key in self._writes

    def put(self, key: str, *commands: Command) -> None:
        """Send these for this key, instead of what waits for it."""
        self._writes.pop(key, None)
        self._writes[key] = commands
        if len(self._writes) > _MOST_WAITING:
            del self._writes[next(iter(self._writes))]
        self.waiting.set()

    def drop(self, key: str) -> None:
        """Forget what waits for this key."""
        self._writes.pop(key, None)

    def count(self, key: str, until: int) -> None:
        """Let this counter grow by one; it ends then."""
        entry = _Count(key, until)
        self._counts[entry] = self._counts.get(entry, 0) + 1
        self.waiting.set()

    async def flush(self, now: float) -> None:
        """Send all that waits, as far as Redis takes it."""
        self.waiting.clear()
        try:
            await self._flush_counts(now)
            while self._writes:
                await self._flush_writes()
        except AwayError:
            return

    async def _flush_counts(self, now: float) -> None:
        # What was counted yesterday is no part of today's count, and yesterday's has ended.
        self._counts = {entry: number for entry, number in self._counts.items() if entry.until > now}
        if not self._counts or not self._link.up:
            return
        counts, self._counts = self._counts, {}
        commands: list[Command] = []
        for entry, number in counts.items():
            commands += [("INCRBY", entry.key, number), ("EXPIREAT", entry.key, entry.until)]
        await self._send(commands)

    async def _flush_writes(self) -> None:
        keys = [key for key, _ in zip(self._writes, range(_BATCH), strict=False)]
        batch = {key: self._writes.pop(key) for key in keys}
        try:
            await self._send([command for commands in batch.values() for command in commands])
        except (AwayError, asyncio.CancelledError):
            # What was put meanwhile is newer.
            self._writes = {**batch, **self._writes}
            raise

    async def _send(self, commands: Sequence[Command]) -> None:
        for command, answer in zip(commands, await self._link.ask(*commands), strict=True):
            if isinstance(answer, Exception):
                self._heal(command, answer)
