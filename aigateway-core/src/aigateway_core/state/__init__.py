"""What is shared between requests, and between workers: turns, cooldowns, affinity, tokens, locks, the day's counters.

One Protocol, so that a single process needs nothing but itself (:mod:`~aigateway_core.state.memory`) and many can share
(:mod:`~aigateway_core.state.redis`). Nothing here is the truth about anything: all of it may be lost at any time, and
the gateway goes on. No operation raises because the store is away, and none waits longer than its limit for it.

What is immediate is not ``async``: it answers from memory, and what it changes reaches the other workers a little
later.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal, Protocol, TypeAlias

import attrs

_MODEL, _QUOTA_GROUP = "model\t", "quota group\t"
# Models are named by callers and groups by plugins: what is before the name keeps them apart. No name of a model that
# was ever asked for has a tab, so that none is taken for more by those who wrote, or write, the bare name.

EVERY_MODEL = "account\t"
"""The reach of a rest for which an account is not asked at all."""

NO_WAY_OUT = "outbound_proxy"
"""Why an account rests whose outbound proxy is down: no fault of its own, and over as soon as the proxy is back."""

Status: TypeAlias = Literal["active", "cooling", "needs_login", "banned", "disabled"]
"""What an account is. ``cooling`` passes by itself; the three after it stand until somebody has mended the account."""


def one_model(name: str) -> str:
    """The reach of a rest for which an account is not asked for this model."""
    return _MODEL + name


def one_quota(group: str) -> str:
    """The reach of a rest for which an account is not asked for the models of this quota group."""
    return _QUOTA_GROUP + group


def name_in(reach: str) -> str | None:
    """The model or the quota group; None where there is neither: every model, or what an earlier version wrote."""
    kind, tab, name = reach.partition("\t")
    return name if kind + tab in (_MODEL, _QUOTA_GROUP) else None


@attrs.frozen
class Cooldown:
    """An account is not to be asked before ``until`` (seconds since the epoch), as far as the rest reaches.

    ``status`` tells what the account is meanwhile; what does not pass by itself has no end (see :meth:`for_good`).
    ``remedy`` is what its owner has to do, if somebody said. It holds for the ``edition`` of the account of which it
    was found out, and for no other; empty for any.
    """

    until: float
    reason: str
    status: Status = "cooling"
    remedy: str | None = None
    edition: str = ""

    @classmethod
    def for_good(cls, status: Status, reason: str, remedy: str | None = None) -> Cooldown:
        """One that stands until the account is mended."""
        return cls(math.inf, reason, status, remedy)

    @property
    def passes(self) -> bool:
        """Whether it ends by itself."""
        return self.until != math.inf


EditionOf: TypeAlias = Callable[[str], str | None]
"""What tells the account of this id, as it is now, from what it was before a change; None for one that is not known."""


@attrs.frozen
class Lease:
    """A lock that is held.

    ``token`` grows with every lease of that name, over processes and restarts: what comes under an older token than the
    last one seen comes from somebody who has lost the lock.

    ``shared`` is false when other processes cannot see it, since the store is away: then it keeps out this one's own
    tasks alone.
    """

    name: str
    token: int
    shared: bool


@attrs.frozen
class DailyCount:
    """What one outbound proxy carried since midnight UTC. Approximate: what could not be told in time is not told."""

    requests: int
    errors: int


@attrs.frozen
class Allowance:
    """What a key may still ask for, of so many requests a minute.

    ``wait`` are the seconds until the next request would be let through: none, if this one was. ``remaining`` is how
    many could follow now, ``reset`` in how many seconds all of them could.
    """

    wait: float
    remaining: int
    reset: float

    @property
    def granted(self) -> bool:
        """Whether this request may go on."""
        return self.wait <= 0


@attrs.frozen
class Place:
    """A request of this key is under way, and is one of those that may be at a time."""

    key_id: str
    name: str


class State(Protocol):
    """Everything that workers share."""

    # -- accounts

    async def take_turn(self, provider_id: str, model: str) -> int:
        """The next number of the round-robin of this provider and model."""

    @property
    def changes(self) -> int:
        """Grows whenever a cooldown is set or forgotten: while it stays, :meth:`resting` changes by time alone."""

    def resting(self, reach: str) -> Mapping[str, Cooldown]:
        """The accounts that rest now, for this reach or for every model, and what keeps each of them."""

    def cooldown(self, account_id: str, reach: str) -> Cooldown | None:
        """What keeps this account from being asked now, for this reach or for every model."""

    def rests(self, account_id: str) -> Mapping[str, Cooldown]:
        """All that keeps this account now, by reach."""

    def cool(self, account_id: str, reach: str, cooldown: Cooldown) -> None:
        """Do not ask this account until then, as far as that reaches; a longer cooldown that stands is kept.

        A reach is :data:`EVERY_MODEL`, or what :func:`one_model` or :func:`one_quota` says.
        """

    def clear(self, account_id: str) -> None:
        """Forget every cooldown of this account: it has been mended."""

    # -- affinity

    async def bound(self, conversation: str, provider_id: str, model: str) -> str | None:
        """The account that this conversation was bound to, for this provider and model; asking keeps it bound.

        Whoever is told None takes a turn next: an implementation that has to ask for both may ask at once.
        """

    def bind(self, conversation: str, provider_id: str, model: str, account_id: str) -> None:
        """Bind this conversation to that account for as long as it goes on; the newest binding counts."""

    # -- tokens: opaque bytes, already sealed by whoever puts them here

    async def token(self, provider_id: str, account_id: str) -> bytes | None:
        """The cached token of this account, until its time is over."""

    async def put_token(self, provider_id: str, account_id: str, sealed: bytes, seconds: float) -> None:
        """Keep this token for so many seconds. Nothing is kept for a time that is none."""

    async def delete_token(self, provider_id: str, account_id: str) -> None:
        """Forget the token of this account."""

    # -- locks

    async def acquire(self, name: str, seconds: float) -> Lease | None:
        """Hold the lock of this name for so many seconds at most; None while somebody else holds it."""

    async def renew(self, lease: Lease, seconds: float) -> bool:
        """Hold it for so many seconds from now on; false when it has been lost meanwhile."""

    async def release(self, lease: Lease) -> None:
        """Give it back; nothing happens when it has been lost meanwhile."""

    # -- limits of keys

    async def spend(self, key_id: str, per_minute: int) -> Allowance:
        """Take one request from what this key may ask for: a bucket of so many, which fills evenly in a minute."""

    async def take_place(self, key_id: str, most: int) -> Place | None:
        """A place for one request of this key, of so many at a time; None when all of them are taken.

        It is to be given back. The places of a process that was killed are free after half a minute.
        """

    def leave_place(self, place: Place) -> None:
        """Give a place back, once."""

    # -- marks

    def mark(self, name: str, seconds: float) -> None:
        """Let all workers find this mark for so many seconds."""

    async def marked(self, name: str) -> bool:
        """Whether any worker has set this mark and its time is not over."""

    # -- the day's counters

    def count(self, proxy_id: int, *, failed: bool) -> None:
        """This outbound proxy has carried a request."""

    async def today(self, proxy_id: int) -> DailyCount:
        """What this outbound proxy has carried today."""

    # -- hints

    def announce(self, version: int) -> None:
        """Tell all workers that what is stored has this version now."""

    def on_announcement(self, heard: Callable[[int], None]) -> None:
        """Call this with every version that any worker announces. Only a hint: one may be lost."""

    # -- its own life

    @property
    def connected(self) -> bool | None:
        """Whether the store that workers share answers now; None where there is none."""

    async def start(self) -> None:
        """Begin to share. Never raises because the store is away."""

    async def aclose(self) -> None:
        """Write what is left, and let go of the store."""
