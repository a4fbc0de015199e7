"""Turns of the round-robins that all workers share: a worker takes them from Redis by the block."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from aigateway_core.state.away import AwayError, Command
from aigateway_core.state.link import Link
from aigateway_core.state.recent import Recent
from aigateway_core.state.wire import Keys

BLOCK = 31
"""Turns taken at a time. A prime: were it a multiple of the number of accounts, workers that begin a block at the same
moment would all begin with the same account."""

_LOW = 8
_MOST = 10_000
_DAY = 86400

_Key = tuple[str, str]


class Turns:
    """A block of turns for each round-robin; the next one is fetched before the last turn of this one is taken."""

    def __init__(self, link: Link, keys: Keys, heal: Callable[[Command, object], None]) -> None:
        self._link = link
        self._keys = keys
        self._heal = heal
        self._blocks: Recent[_Key, list[range]] = Recent(_MOST)
        self._fetching: dict[_Key, asyncio.Task[None]] = {}
        # Workers that have to go on by themselves shall not all begin with the first account.
        self._own = random.randrange(1 << 20)  # noqa: S311 - nobody gains by guessing it

    async def take(self, provider_id: str, model: str) -> int:
        """The next turn; waits for Redis only where none is left."""
        key = (provider_id, model)
        while not (blocks := self._blocks.get(key)):
            # Whoever waits may be cancelled, and the others wait for the same block.
            await asyncio.shield(self.fetch(key))
        turn, rest = blocks[0][0], blocks[0][1:]
        blocks[:1] = [rest] if rest else []
        if sum(map(len, blocks)) < _LOW:
            self.fetch(key)
        return turn

    def prepare(self, provider_id: str, model: str) -> None:
        """Begin to fetch turns where none are left: soon one will be asked for."""
        if not self._blocks.get((provider_id, model)):
            self.fetch((provider_id, model))

    def fetch(self, key: _Key) -> asyncio.Task[None]:
        """Fetch the next block, if nobody is at it."""
        task = self._fetching.get(key)
        # One that is done brings nothing any more: a crowd may have taken all of its block before the loop has told us.
        if task is None or task.done():
            task = self._fetching[key] = asyncio.create_task(self._fetch(key))
            task.add_done_callback(lambda done: self._fetched(key, done))
        return task

    def _fetched(self, key: _Key, task: asyncio.Task[None]) -> None:
        if self._fetching.get(key) is task:
            del self._fetching[key]

    async def _fetch(self, key: _Key) -> None:
        name = self._keys.turns(*key)
        command: Command = ("INCRBY", name, BLOCK)
        try:
            # A counter that nobody uses any more goes: callers make up the names of models.
            end, _ = await self._link.ask(command, ("EXPIRE", name, _DAY))
        except AwayError:
            end = None
        if not isinstance(end, int):
            if end is not None:
                self._heal(command, end)
            end = self._own = self._own + BLOCK
        self._blocks[key] = [*(self._blocks.get(key) or []), range(end - BLOCK, end)]

    async def aclose(self) -> None:
        """End what is under way."""
        tasks = list(self._fetching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
