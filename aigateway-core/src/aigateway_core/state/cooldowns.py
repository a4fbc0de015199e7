"""Rests that workers tell each other of: each keeps them in memory, and Redis carries them from one to the others."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from aigateway_core.state import Cooldown
from aigateway_core.state.away import Command
from aigateway_core.state.hints import Hints
from aigateway_core.state.memory import MemoryState
from aigateway_core.state.outbox import Outbox
from aigateway_core.state.wire import Keys, are_texts, read_cooldown, read_member, write_cooldown, write_member

if TYPE_CHECKING:
    from aigateway_core.state.link import Link

_MOST_AT_ONCE = 1000
_SKEW = 1.0
"""Seconds by which the clocks of machines that are kept right may differ."""

_FOR_GOOD = 86400.0
"""Seconds that Redis keeps what does not pass by itself. It is the database that remembers it; here it is news."""


class SharedCooldowns:
    """The rests of the accounts of all workers."""

    def __init__(self, link: Link, keys: Keys, outbox: Outbox, hints: Hints, local: MemoryState) -> None:
        self._link = link
        self._keys = keys
        self._outbox = outbox
        self._hints = hints
        self._local = local
        self._began = time.time()

    def cool(self, account_id: str, reach: str, cooldown: Cooldown) -> None:
        """Let it rest here at once, and at the other workers a moment later."""
        self._local.cool(account_id, reach, cooldown)
        now = time.time()
        if self._local.cooldowns_of(account_id).get(reach) is not cooldown or cooldown.until <= now:
            return
        key = self._keys.cooldown(account_id, reach)
        value = write_cooldown(cooldown, now)
        until = cooldown.until if cooldown.passes else now + _FOR_GOOD
        self._outbox.put(
            key,
            ("SET", key, value, "PXAT", int(until * 1000)),
            ("ZADD", self._keys.cooldowns, until, write_member(account_id, reach)),
            self._hints.tell(cool=[account_id, reach, value.decode()]),
        )

    def clear(self, account_id: str) -> None:
        """Forget its cooldowns. The other workers see by themselves that the account has been changed."""
        for reach in self._local.cooldowns_of(account_id):
            key = self._keys.cooldown(account_id, reach)
            self._outbox.put(key, ("DEL", key), ("ZREM", self._keys.cooldowns, write_member(account_id, reach)))
        self._local.clear(account_id)

    def hear(self, cooled: Any) -> None:
        """Another worker has told of one."""
        if not are_texts(cooled, 3) or (told := read_cooldown(cooled[2])) is None:
            return
        cooldown, found = told
        # It was found out just now. The clocks of machines may differ, and what is told may have waited for Redis.
        until = min(cooldown.until, time.time() + cooldown.until - found)
        self._local.cool(cooled[0], cooled[1], attrs.evolve(cooldown, until=until))

    async def look(self, now: float) -> list[tuple[Command, Any]]:
        """Learn of those that were told while this worker did not listen; what Redis said of the index.

        Raises :class:`AwayError`.
        """
        index = self._keys.cooldowns
        commands: list[Command] = [
            ("ZREMRANGEBYSCORE", index, "-inf", now),
            ("ZRANGEBYSCORE", index, now, "+inf", "LIMIT", 0, _MOST_AT_ONCE),
        ]
        _, members = answers = await self._link.ask(*commands)
        pairs = [pair for each in members if (pair := read_member(each))] if type(members) is list else []
        unknown = [pair for pair in pairs if not self._knows(*pair)]
        if unknown:
            found = await self._link.ask(*(("GETRANGE", self._keys.cooldown(*pair), 0, 1000) for pair in unknown))
            self._learn(dict(zip(unknown, found, strict=True)))
        return list(zip(commands, answers, strict=True))

    def _knows(self, account_id: str, reach: str) -> bool:
        known = self._local.cooldowns_of(account_id).get(reach)
        return known is not None and self._local.holds(account_id, known)

    def _learn(self, stored: Mapping[tuple[str, str], Any]) -> None:
        now = time.time()
        for (account_id, reach), value in stored.items():
            # An account that was mended here a moment ago is not to rest because Redis has not heard of it yet.
            if self._keys.cooldown(account_id, reach) in self._outbox or (told := read_cooldown(value)) is None:
                continue
            cooldown, found = told
            # To start is a new chance for whatever the database does not know to be out of use.
            is_old = found < self._began and not cooldown.passes
            # A clock was set back since, this one or theirs: nobody knows how much of it is left.
            is_of_the_future = found > now + _SKEW
            if cooldown.until > now and not is_old and not is_of_the_future:
                self._local.cool(account_id, reach, cooldown)
