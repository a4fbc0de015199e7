"""State of a single process, gone when it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import attrs

from aigateway_core.state import EVERY_MODEL, Allowance, Cooldown, DailyCount, EditionOf, Lease, Place
from aigateway_core.state.buckets import Buckets
from aigateway_core.state.places import Places
from aigateway_core.state.recent import Recent

AFFINITY_SECONDS = 3600.0
"""How long a conversation stays bound after its last request: prompt caches upstream do not live longer."""

_MOST_TURNS = 10_000
_MOST_CONVERSATIONS = 50_000
_MOST_TOKENS = 10_000
_MOST_MARKS = 10_000
_MOST_COOLDOWNS = 1000
"""Rests to remember of one account. Callers make up the names of models and conversations, so there are bounds."""


_SET_BACK = 1.0
"""Seconds between two looks by which a clock is set back by hand: what keeps it right moves it by less."""


@attrs.frozen
class _Token:
    sealed: bytes
    until: float


class MemoryState:
    """Everything in dictionaries. ``edition_of`` tells which rests are of what an account is now."""

    def __init__(self, edition_of: EditionOf = lambda _: None) -> None:
        self._edition_of = edition_of
        self._turns: Recent[tuple[str, str], int] = Recent(_MOST_TURNS)
        self._cooldowns: dict[str, dict[str, Cooldown]] = {}
        self._clock = time.time() - time.monotonic()
        self.changes = 0
        """Grows with every change of a cooldown."""
        self._bindings: Recent[tuple[str, str, str], tuple[str, float]] = Recent(_MOST_CONVERSATIONS)
        self._tokens: Recent[tuple[str, str], _Token] = Recent(_MOST_TOKENS)
        self._leases: dict[str, tuple[int, float]] = {}
        self._newest_token = 0
        self._buckets = Buckets()
        self._places = Places()
        self._marks: Recent[str, float] = Recent(_MOST_MARKS)
        self._counts: dict[int, DailyCount] = {}
        self._day = 0
        self._listeners: list[Callable[[int], None]] = []

    async def take_turn(self, provider_id: str, model: str) -> int:
        """The next number of this round-robin, from 0 on."""
        turn = self._turns.get((provider_id, model), 0)
        self._turns[provider_id, model] = turn + 1
        return turn

    # -- cooldowns

    def resting(self, reach: str) -> Mapping[str, Cooldown]:
        """Which accounts rest now, for this reach or for every model."""
        self._follow_the_clock()
        found = ((account_id, self.cooldown(account_id, reach)) for account_id in tuple(self._cooldowns))
        return {account_id: cooldown for account_id, cooldown in found if cooldown is not None}

    def cooldown(self, account_id: str, reach: str) -> Cooldown | None:
        """The longest cooldown that covers this account so far, if any still stands."""
        if not self._cooldowns:
            return None
        self._follow_the_clock()
        rests = self._cooldowns.get(account_id)
        if rests is None:
            return None
        found: Cooldown | None = None
        now = time.time()
        for name in (reach, EVERY_MODEL):
            cooldown = rests.get(name)
            if cooldown is None:
                continue
            if cooldown.until <= now:
                del rests[name]
            elif self.holds(account_id, cooldown) and (found is None or cooldown.until > found.until):
                found = cooldown
        if not rests:
            del self._cooldowns[account_id]
        return found

    def rests(self, account_id: str) -> Mapping[str, Cooldown]:
        """This account's cooldowns that still stand, by reach."""
        self._follow_the_clock()
        now = time.time()
        rests = self.cooldowns_of(account_id).items()
        return {reach: found for reach, found in rests if found.until > now and self.holds(account_id, found)}

    def cool(self, account_id: str, reach: str, cooldown: Cooldown) -> None:
        """Keep the one that is of what the account is now; of two such cooldowns the longer."""
        self._follow_the_clock()
        rests = self._cooldowns.setdefault(account_id, {})
        standing = rests.get(reach)
        if standing is None or self._outweighs(account_id, cooldown, standing):
            rests[reach] = cooldown
            self.changes += 1
        if len(rests) > _MOST_COOLDOWNS:
            soonest = min((name for name in rests if name != EVERY_MODEL), key=lambda name: rests[name].until)
            del rests[soonest]

    def clear(self, account_id: str) -> None:
        """Forget this account's cooldowns."""
        if self._cooldowns.pop(account_id, None) is not None:
            self.changes += 1

    def holds(self, account_id: str, cooldown: Cooldown) -> bool:
        """Whether this is of what the account is now, as far as anybody knows."""
        edition = self._edition_of(account_id) if cooldown.edition else None
        return edition is None or edition == cooldown.edition

    def _outweighs(self, account_id: str, cooldown: Cooldown, standing: Cooldown) -> bool:
        holds, held = self.holds(account_id, cooldown), self.holds(account_id, standing)
        return cooldown.until > standing.until if holds == held else holds

    def cooldowns_of(self, account_id: str) -> Mapping[str, Cooldown]:
        """This account's cooldowns by reach, those that are over included."""
        return self._cooldowns.get(account_id, {})

    def _follow_the_clock(self) -> None:
        """Let rests end when they would have, after somebody has set the clock of the machine back.

        One that was set forward ends them early. That may also be a machine that has slept, where they are over; and an
        account that is asked too early says so.
        """
        clock = time.time() - time.monotonic()
        back, self._clock = self._clock - clock, clock
        if back > _SET_BACK:
            for rests in self._cooldowns.values():
                for name, cooldown in rests.items():
                    rests[name] = attrs.evolve(cooldown, until=cooldown.until - back)
            self.changes += 1

    # -- affinity

    async def bound(self, conversation: str, provider_id: str, model: str) -> str | None:
        """The account of this conversation, which is kept for another while."""
        return self.recall(conversation, provider_id, model)

    def recall(self, conversation: str, provider_id: str, model: str) -> str | None:
        """The same, at once."""
        binding, now = self._bindings.get((conversation, provider_id, model)), time.monotonic()
        if binding is None or binding[1] <= now:
            return None
        self._bindings[conversation, provider_id, model] = (binding[0], now + AFFINITY_SECONDS)
        return binding[0]

    def bind(self, conversation: str, provider_id: str, model: str, account_id: str) -> None:
        """Remember this account for the conversation."""
        self._bindings[conversation, provider_id, model] = (account_id, time.monotonic() + AFFINITY_SECONDS)

    # -- tokens

    async def token(self, provider_id: str, account_id: str) -> bytes | None:
        """The token, until its time is over."""
        kept = self._tokens.get((provider_id, account_id))
        return kept.sealed if kept is not None and kept.until > time.monotonic() else None

    async def put_token(self, provider_id: str, account_id: str, sealed: bytes, seconds: float) -> None:
        """Keep it."""
        self._tokens[provider_id, account_id] = _Token(sealed, time.monotonic() + seconds)

    async def delete_token(self, provider_id: str, account_id: str) -> None:
        """Forget it."""
        self._tokens.pop((provider_id, account_id), None)

    # -- locks

    async def acquire(self, name: str, seconds: float) -> Lease | None:
        """Hold the lock, if nobody does."""
        now = time.monotonic()
        held = self._leases.get(name)
        if held is not None and held[1] > now:
            return None
        # Of the clock, so that it grows over restarts too.
        self._newest_token = max(self._newest_token + 1, int(time.time() * 1000))
        self._leases[name] = (self._newest_token, now + seconds)
        return Lease(name, self._newest_token, shared=True)

    async def renew(self, lease: Lease, seconds: float) -> bool:
        """Hold it for longer, if it is held still."""
        now = time.monotonic()
        held = self._leases.get(lease.name)
        if held is None or held[0] != lease.token or held[1] <= now:
            return False
        self._leases[lease.name] = (lease.token, now + seconds)
        return True

    async def release(self, lease: Lease) -> None:
        """Give it back."""
        held = self._leases.get(lease.name)
        if held is not None and held[0] == lease.token:
            del self._leases[lease.name]

    @property
    def connected(self) -> bool | None:
        """Nobody else is there."""
        return None

    # -- limits of keys

    async def spend(self, key_id: str, per_minute: int) -> Allowance:
        """Take one request from this key's bucket."""
        return self._buckets.spend(key_id, per_minute)

    async def take_place(self, key_id: str, most: int) -> Place | None:
        """Take one of this key's places."""
        return self._places.take(key_id, most)

    def leave_place(self, place: Place) -> None:
        """Give it back."""
        self._places.leave(place)

    # -- marks

    def mark(self, name: str, seconds: float) -> None:
        """Set it, in the place of the one that was set first when there are too many."""
        self._marks[name] = time.monotonic() + seconds

    async def marked(self, name: str) -> bool:
        """Whether it is set."""
        return self._marks.get(name, 0.0) > time.monotonic()

    # -- the day's counters

    def count(self, proxy_id: int, *, failed: bool) -> None:
        """Add one."""
        counted = self._today().get(proxy_id, DailyCount(0, 0))
        self._counts[proxy_id] = DailyCount(counted.requests + 1, counted.errors + failed)

    async def today(self, proxy_id: int) -> DailyCount:
        """What was counted since midnight."""
        return self._today().get(proxy_id, DailyCount(0, 0))

    def _today(self) -> dict[int, DailyCount]:
        day = int(time.time() // 86400)
        if day != self._day:
            self._day, self._counts = day, {}
        return self._counts

    # -- hints

    def announce(self, version: int) -> None:
        """Tell those who listen."""
        for heard in self._listeners:
            heard(version)

    def on_announcement(self, heard: Callable[[int], None]) -> None:
        """Remember who listens."""
        self._listeners.append(heard)

    # -- its own life

    async def start(self) -> None:
        """Nothing is needed."""

    async def aclose(self) -> None:
        """Nothing is held."""
