"""How many requests of a key are under way at a time: places, of this process alone or of all workers.

In Redis a key's places are a sorted set, each with the end of its lease. A worker renews those that it holds; those of
one that was killed end by themselves.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING
from uuid import uuid4

from aigateway_core.state import Place
from aigateway_core.state.away import AwayError, Command, is_about_the_value
from aigateway_core.state.outbox import Outbox
from aigateway_core.state.wire import Keys

if TYPE_CHECKING:
    from aigateway_core.state.link import Link

LEASE = 30.0
"""Seconds until the places of a worker that was killed are free."""

_RENEW_SECONDS = LEASE / 3
_MOMENT = 0.05
"""After so many seconds one who found no place looks again: another worker may be giving one back just now."""

# Both touch one key, and go by Redis' own clock.
_NOW = "local clock = redis.call('TIME') local now = clock[1] * 1000 + math.floor(clock[2] / 1000) "
_TAKE = f"""{_NOW}
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""
_RENEW = f"""{_NOW}
for number = 2, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[number]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
"""
_MILLISECONDS = int(LEASE * 1000)


class Places:
    """The places of this process."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    def take(self, key_id: str, most: int) -> Place | None:
        """One of so many; None when all of them are taken."""
        if self._taken[key_id] >= most:
            return None
        self._taken[key_id] += 1
        return Place(key_id, uuid4().hex)

    def leave(self, place: Place) -> None:
        """Give it back."""
        self._taken[place.key_id] -= 1
        if self._taken[place.key_id] <= 0:
            del self._taken[place.key_id]


class SharedPlaces:
    """The places of all workers; this one's own while Redis is away."""

    def __init__(self, link: Link, keys: Keys, outbox: Outbox) -> None:
        self._link = link
        self._keys = keys
        self._outbox = outbox
        self._own = Places()
        self._held: dict[str, set[str]] = {}
        # Of those that Redis was never told of there is nothing to be given back: all that come while it is away.
        self._untold: set[str] = set()
        self._left: dict[str, dict[str, float]] = {}
        self._renewed = time.monotonic()

    async def take(self, key_id: str, most: int) -> Place | None:
        """One of so many; None when all of them are taken. Costs one round trip, and a second one before it is None."""
        place = self._own.take(key_id, most)
        if place is None:
            return None
        self._held.setdefault(key_id, set()).add(place.name)
        try:
            if await self._ask(place, most):
                return place
            await asyncio.sleep(_MOMENT)
            if await self._ask(place, most):
                return place
        except BaseException:
            self.leave(place)
            raise
        self.leave(place)
        return None

    def leave(self, place: Place) -> None:
        """Give it back, here at once and to the others a moment later."""
        self._own.leave(place)
        held = self._held[place.key_id]
        held.discard(place.name)
        if not held:
            del self._held[place.key_id]
        if place.name in self._untold:
            self._untold.discard(place.name)
        else:
            self._give_back(place.key_id, (place.name,))

    async def keep(self) -> None:
        """Renew what is held, if it is time to. A place that Redis has lost is there again afterwards."""
        if time.monotonic() - self._renewed < _RENEW_SECONDS:
            return
        self._renewed = time.monotonic()
        held = {key_id: frozenset(names) for key_id, names in self._held.items()}
        if not held:
            return
        self._untold.difference_update(*held.values())
        try:
            await self._link.ask(*(self._renewal(key_id, *names) for key_id, names in held.items()))
        except AwayError:
            return
        # What was given back while this was asked may have been put there again.
        for key_id, names in held.items():
            if gone := names - self._held.get(key_id, set()):
                self._give_back(key_id, gone)

    async def _ask(self, place: Place, most: int) -> bool:
        """Whether Redis has a place; while it is away, that of this process counts."""
        if not self._link.up:
            self._untold.add(place.name)
            return True
        key, left = self._keys.places(place.key_id), self._left.pop(place.key_id, {})
        take: Command = ("EVAL", _TAKE, 1, key, most, _MILLISECONDS, place.name)
        # A client that asks one thing after the other shall find the place that it has just left.
        before: tuple[Command, ...] = (("ZREM", key, *left),) if left else ()
        try:
            answer = (await self._link.ask(*before, take))[-1]
            if is_about_the_value(answer):
                # Somebody else's value stands in the place of the set.
                answer = (await self._link.ask(("DEL", key), take))[-1]
        except BaseException as error:
            self._left[place.key_id] = left | self._left.get(place.key_id, {})
            if isinstance(error, AwayError):
                return True
            raise
        return bool(answer != 0)

    def _renewal(self, key_id: str, *names: str) -> Command:
        return ("EVAL", _RENEW, 1, self._keys.places(key_id), _MILLISECONDS, *names)

    def _give_back(self, key_id: str, names: Iterable[str]) -> None:
        """Tell Redis of these, and again of those that were given back before; not of those whose lease is over."""
        now, left = time.monotonic(), self._left.pop(key_id, {})
        left = {name: since for name, since in left.items() if now - since < LEASE}
        left.update(dict.fromkeys(names, now))
        self._left[key_id] = left
        key = self._keys.places(key_id)
        self._outbox.put(key, ("ZREM", key, *left))
