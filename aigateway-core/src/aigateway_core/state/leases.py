"""Locks that all workers share, with tokens that grow."""

from __future__ import annotations

import attrs

from aigateway_core.state import Lease
from aigateway_core.state.away import AwayError, Command, is_about_the_value
from aigateway_core.state.link import Link
from aigateway_core.state.memory import MemoryState
from aigateway_core.state.wire import Keys

# Each script touches one key. Its clock is Redis' own, so workers whose clocks differ agree on who holds the lock; the
# token is of that clock too, so that it grows even where Redis has lost all it knew.
_CLOCK = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local held = redis.call('HMGET', KEYS[1], 'token', 'until')
local token, till = tonumber(held[1] or 0), tonumber(held[2] or 0)
"""
_HOLD = """
redis.call('HSET', KEYS[1], 'token', string.format('%.0f', token), 'until', string.format('%.0f', now + ARGV[1]))
redis.call('PEXPIRE', KEYS[1], ARGV[1] + 86400000)
return token
"""
ACQUIRE = f"{_CLOCK} if till > now then return 0 end token = math.max(token + 1, now) {_HOLD}"
RENEW = f"{_CLOCK} if till <= now or token ~= tonumber(ARGV[2]) then return 0 end {_HOLD}"
RELEASE = f"{_CLOCK} if token == tonumber(ARGV[1]) then redis.call('HSET', KEYS[1], 'until', 0) end return 1"


@attrs.frozen
class _Held:
    token: int
    local: Lease


class Leases:
    """Locks in Redis, each of them held in this process first: its own tasks keep each other out without asking."""

    def __init__(self, link: Link, keys: Keys, local: MemoryState) -> None:
        self._link = link
        self._keys = keys
        self._local = local
        self._held: dict[str, _Held] = {}

    async def acquire(self, name: str, seconds: float) -> Lease | None:
        """Hold the lock; one that Redis cannot know of keeps out this process alone."""
        local = await self._local.acquire(name, seconds)
        if local is None:
            return None
        try:
            token = await self._run(ACQUIRE, name, _milliseconds(seconds))
        except AwayError:
            return attrs.evolve(local, shared=False)
        except BaseException:
            await self._local.release(local)
            raise
        if token == 0:
            await self._local.release(local)
            return None
        self._held[name] = _Held(token, local)
        return Lease(name, token, shared=True)

    async def renew(self, lease: Lease, seconds: float) -> bool:
        """Hold it for longer. While Redis is away nobody knows whether it is held still, so it is not."""
        if not lease.shared:
            return await self._local.renew(lease, seconds)
        held = self._held.get(lease.name)
        if held is None or held.token != lease.token or not await self._local.renew(held.local, seconds):
            return False
        try:
            return await self._run(RENEW, lease.name, _milliseconds(seconds), lease.token) == lease.token
        except AwayError:
            return False

    async def release(self, lease: Lease) -> None:
        """Give it back; where Redis cannot be told, its time there ends by itself."""
        if not lease.shared:
            await self._local.release(lease)
            return
        held = self._held.get(lease.name)
        if held is None or held.token != lease.token:
            return
        del self._held[lease.name]
        await self._local.release(held.local)
        try:
            await self._run(RELEASE, lease.name, lease.token)
        except AwayError:
            return

    async def _run(self, script: str, name: str, *arguments: int) -> int:
        key = self._keys.lock(name)
        command: Command = ("EVAL", script, 1, key, *arguments)
        (answer,) = await self._link.ask(command)
        if is_about_the_value(answer):
            # Somebody else's value stands in the place of the lock.
            _, answer = await self._link.ask(("DEL", key), command)
        return answer if isinstance(answer, int) else 0


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
