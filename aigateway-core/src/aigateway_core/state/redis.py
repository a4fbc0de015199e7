"""State that many workers share, in Redis.

Every worker keeps what it has to know in memory and answers from there; Redis carries it to the others. What a worker
changes is written without waiting, and told to the others on a channel; once in a while each looks up what it may have
missed. A request waits for Redis only when it brings a conversation that this worker has not met, or when there are no
turns left from the last block. While Redis is away all goes on in memory, and what has changed meanwhile is written
when it is back.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from aigateway_core.state import Cooldown, DailyCount, EditionOf, Lease
from aigateway_core.state.address import RedisAddress
from aigateway_core.state.away import AwayError, Command, is_about_the_value
from aigateway_core.state.bindings import SharedBindings
from aigateway_core.state.buckets import SharedBuckets
from aigateway_core.state.cooldowns import SharedCooldowns
from aigateway_core.state.hints import Hints
from aigateway_core.state.leases import Leases
from aigateway_core.state.link import LIMIT, Link, ended
from aigateway_core.state.marks import SharedMarks
from aigateway_core.state.memory import MemoryState
from aigateway_core.state.outbox import Outbox
from aigateway_core.state.places import SharedPlaces
from aigateway_core.state.turns import Turns
from aigateway_core.state.wire import Keys

log = logging.getLogger(__name__)

_GATHER_SECONDS = 0.005
"""How long the first write waits for others to go with."""

_LOOK_SECONDS = 2.0
"""How often a worker looks up what others may have told while it did not listen."""

_LARGEST_TOKEN = 64 << 10
_DAY = 86400


class RedisState:
    """The state of all workers that use the same Redis, database and prefix.

    ``limit`` is how many seconds anything may wait for it; ``edition_of`` tells which rests are of what an account is
    now.
    """

    def __init__(
        self,
        address: RedisAddress,
        prefix: str = "",
        *,
        limit: float = LIMIT,
        edition_of: EditionOf = lambda _: None,
    ) -> None:
        self._keys = Keys(prefix)
        self._link = Link(address, limit)
        self._local = MemoryState(edition_of)
        self.rests = self._local.rests
        self._outbox = Outbox(self._link, self._heal)
        self._turns = Turns(self._link, self._keys, self._heal)
        self._leases = Leases(self._link, self._keys, self._local)
        self.spend = SharedBuckets(self._link, self._keys).spend
        self._places = SharedPlaces(self._link, self._keys, self._outbox)
        self.take_place, self.leave_place = self._places.take, self._places.leave
        marks = SharedMarks(self._link, self._keys, self._outbox)
        self.mark, self.marked = marks.mark, marks.marked
        self._hints = Hints(self._link, self._keys, self._hear, self._look_soon)
        self._cooldowns = SharedCooldowns(self._link, self._keys, self._outbox, self._hints, self._local)
        self.cool, self.clear = self._cooldowns.cool, self._cooldowns.clear
        self._bindings = SharedBindings(
            self._link, self._keys, self._outbox, self._hints, self._turns, self._local, self._heal
        )
        self.bound, self.bind = self._bindings.bound, self._bindings.bind
        self._tasks: list[asyncio.Task[None]] = []
        self._look_again = 0.0

    # -- accounts

    async def take_turn(self, provider_id: str, model: str) -> int:
        """The next number of the round-robin of all workers, or of this one's own while Redis is away."""
        return await self._turns.take(provider_id, model)

    @property
    def changes(self) -> int:
        """Grows with every change of a cooldown, whoever made it."""
        return self._local.changes

    def resting(self, reach: str) -> Mapping[str, Cooldown]:
        """Which accounts rest now, for this reach or for every model."""
        return self._local.resting(reach)

    def cooldown(self, account_id: str, reach: str) -> Cooldown | None:
        """What keeps this account from being asked."""
        return self._local.cooldown(account_id, reach)

    # -- tokens

    async def token(self, provider_id: str, account_id: str) -> bytes | None:
        """The newest token that any worker has put here; this worker's own while Redis is away."""
        key = self._keys.token(provider_id, account_id)
        found = None if key in self._outbox else await self._get(key, _LARGEST_TOKEN)
        if found is None:
            return await self._local.token(provider_id, account_id)
        if found and len(found) <= _LARGEST_TOKEN:
            return found
        # Another worker has deleted it, or it is none.
        await self._local.delete_token(provider_id, account_id)
        return None

    async def put_token(self, provider_id: str, account_id: str, sealed: bytes, seconds: float) -> None:
        """Keep it here and in Redis."""
        await self._local.put_token(provider_id, account_id, sealed, seconds)
        until = int((time.time() + seconds) * 1000)
        key = self._keys.token(provider_id, account_id)
        await self._tell(key, ("SET", key, sealed, "PXAT", until) if seconds > 0 else ("DEL", key))

    async def delete_token(self, provider_id: str, account_id: str) -> None:
        """Forget it here and in Redis."""
        await self._local.delete_token(provider_id, account_id)
        key = self._keys.token(provider_id, account_id)
        await self._tell(key, ("DEL", key))

    async def _tell(self, key: str, command: Command) -> None:
        """Write now what others will look for, or as soon as that is possible."""
        self._outbox.drop(key)
        try:
            await self._link.ask(command)
        except AwayError:
            if key not in self._outbox:
                self._outbox.put(key, command)

    # -- locks

    async def acquire(self, name: str, seconds: float) -> Lease | None:
        """Hold the lock; the lease tells whether other processes can see it."""
        return await self._leases.acquire(name, seconds)

    async def renew(self, lease: Lease, seconds: float) -> bool:
        """Hold it for longer."""
        return await self._leases.renew(lease, seconds)

    async def release(self, lease: Lease) -> None:
        """Give it back."""
        await self._leases.release(lease)

    # -- the day's counters

    def count(self, proxy_id: int, *, failed: bool) -> None:
        """Add one, here at once and in Redis a moment later."""
        self._local.count(proxy_id, failed=failed)
        midnight = (int(time.time()) // _DAY + 1) * _DAY
        self._outbox.count(self._keys.requests(proxy_id), midnight)
        if failed:
            self._outbox.count(self._keys.errors(proxy_id), midnight)

    async def today(self, proxy_id: int) -> DailyCount:
        """What all workers have counted, or this one alone while Redis is away."""
        requests = await self._get(self._keys.requests(proxy_id), 32)
        errors = await self._get(self._keys.errors(proxy_id), 32)
        if requests is None or errors is None:
            return await self._local.today(proxy_id)
        return DailyCount(_number(requests), _number(errors))

    # -- hints

    def announce(self, version: int) -> None:
        """Tell the listeners here at once, and those of other workers a moment later."""
        self._local.announce(version)
        self._outbox.put("version", self._hints.tell(version=version))

    def on_announcement(self, heard: Callable[[int], None]) -> None:
        """Remember who listens here."""
        self._local.on_announcement(heard)

    def _hear(self, said: Mapping[str, Any]) -> None:
        version: Any = said.get("version")
        if type(version) is int:
            self._local.announce(version)
        self._cooldowns.hear(said.get("cool"))
        self._bindings.hear(said.get("moved"))

    def _look_soon(self) -> None:
        """Redis may have been away, and have lost what it had."""
        self._look_again = 0.0
        self._bindings.doubt()

    # -- its own life

    @property
    def connected(self) -> bool | None:
        """Whether Redis answered the last time."""
        return self._link.up

    async def start(self) -> None:
        """Begin to listen and to write, whether Redis is there or not."""
        if await self._link.probe("SET", self._keys.probe, 1, "EX", 60):
            await self._look()
        for name, work in (("writes", self._write()), ("hints", self._hints.listen())):
            self._tasks.append(asyncio.create_task(work, name=f"redis-{name}"))
        if self._link.up:
            await _no_longer_than(0.5, self._hints.listening.wait())

    async def aclose(self) -> None:
        """Write what is left, if Redis takes it, and close all connections."""
        await self._outbox.flush(time.time())
        await ended(self._tasks)
        await self._turns.aclose()
        await _no_longer_than(1.0, self._link.aclose())

    async def _write(self) -> None:
        while True:
            try:
                await self._turn_of_writing()
            except Exception:
                log.exception("the state could not be written to Redis")
                await asyncio.sleep(1.0)

    async def _turn_of_writing(self) -> None:
        if not self._link.up:
            await asyncio.sleep(max(self._link.due, 0.01))
            if await self._link.probe("SET", self._keys.probe, 1, "EX", 60):
                self._look_soon()
            return
        await _no_longer_than(max(0.0, self._look_again - time.monotonic()), self._outbox.waiting.wait())
        await asyncio.sleep(_GATHER_SECONDS)
        await self._outbox.flush(time.time())
        await self._places.keep()
        if time.monotonic() >= self._look_again:
            await self._look()

    async def _look(self) -> None:
        """Learn of cooldowns that were told while this worker did not listen."""
        self._look_again = time.monotonic() + _LOOK_SECONDS
        try:
            answers = await self._cooldowns.look(time.time())
        except AwayError:
            return
        for command, answer in answers:
            self._heal(command, answer)

    async def _get(self, key: str, most: int) -> bytes | None:
        """The first bytes under a key, none where there is nothing. None while Redis is away."""
        command: Command = ("GETRANGE", key, 0, most)
        try:
            (found,) = await self._link.ask(command)
        except AwayError:
            return None
        self._heal(command, found)
        return found if type(found) is bytes else b""

    def _heal(self, command: Command, answer: object) -> None:
        """Take away what somebody else has put under a key of ours."""
        if is_about_the_value(answer):
            key = str(command[1])
            log.warning("under the key %s in Redis stands what does not belong there: it is deleted", key)
            self._outbox.put(f"heal {key}", ("DEL", key))


async def _no_longer_than(seconds: float, work: Any) -> None:
    try:
        async with asyncio.timeout(seconds):
            await work
    except TimeoutError:
        return


def _number(value: bytes) -> int:
    return int(value) if value.isdigit() else 0
