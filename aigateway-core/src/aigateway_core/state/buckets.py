"""How often a key may ask: a token bucket for each, of this process alone or of all workers.

A bucket is one number, the moment when it would be full again (the *generic cell rate algorithm*): each request moves
that moment on by its share of a minute, and one that would move it beyond a minute from now is refused. It is how the
vendors count as well: "token bucket", Anthropic's API reference, *Rate limits*.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aigateway_core.state import Allowance
from aigateway_core.state.away import AwayError
from aigateway_core.state.recent import Recent
from aigateway_core.state.wire import Keys

if TYPE_CHECKING:
    from aigateway_core.state.link import Link

WINDOW = 60.0
_MOST_KEYS = 100_000
_SLACK = 1e-6

# One key, Redis' own clock, and whatever else may stand under that key is overwritten.
_SPEND = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local said = redis.pcall('GET', KEYS[1])
local full = type(said) == 'string' and tonumber(said) or now
if full ~= full or full < now then full = now end
full = math.min(full, now + 60) + 60 / ARGV[1]
local left = full - now
if left > 60.00001 then return {0, string.format('%.6f', left)} end
redis.call('SET', KEYS[1], string.format('%.6f', full), 'PX', math.ceil(left * 1000))
return {1, string.format('%.6f', left)}
"""


class Buckets:
    """The buckets of this process."""

    def __init__(self) -> None:
        self._full_at: Recent[str, float] = Recent(_MOST_KEYS)

    def spend(self, key_id: str, per_minute: int) -> Allowance:
        """Take one request from this bucket."""
        now = time.monotonic()
        full = min(max(self._full_at.get(key_id, now), now), now + WINDOW) + WINDOW / per_minute
        left = full - now
        if left > WINDOW + _SLACK:
            return _allowance(left, per_minute, granted=False)
        self._full_at[key_id] = full
        return _allowance(left, per_minute, granted=True)

    def learn(self, key_id: str, seconds: float) -> None:
        """The bucket of all workers is full in so many seconds: what counts here while that one cannot be asked."""
        self._full_at[key_id] = time.monotonic() + seconds


class SharedBuckets:
    """The buckets of all workers; this one's own while Redis is away."""

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys
        self._own = Buckets()

    async def spend(self, key_id: str, per_minute: int) -> Allowance:
        """Take one request from this bucket."""
        try:
            (answer,) = await self._link.ask(("EVAL", _SPEND, 1, self._keys.bucket(key_id), per_minute))
        except AwayError:
            return self._own.spend(key_id, per_minute)
        if not isinstance(answer, list):
            return self._own.spend(key_id, per_minute)
        granted, left = bool(answer[0]), float(answer[1])
        if granted:
            self._own.learn(key_id, left)
        return _allowance(left, per_minute, granted=granted)


def _allowance(left: float, per_minute: int, *, granted: bool) -> Allowance:
    """``left`` are the seconds until the bucket would be full with this request."""
    share = WINDOW / per_minute
    if granted:
        return Allowance(0.0, int((WINDOW - left) / share + _SLACK), left)
    return Allowance(max(left - WINDOW, _SLACK), 0, left - share)
