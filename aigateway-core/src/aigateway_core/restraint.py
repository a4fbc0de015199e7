"""How much is asked of a vendor that is in trouble: a budget for tries after the first, and a breaker.

Both look at what speaks of the vendor alone (:func:`is_the_vendors`). An account that is out of quota, shut out or
badly bound is no sign of an outage: it rests (:mod:`aigateway_core.accounts`), and going on to the next one is free.
What is known here is this process's own: that of another worker finds out by itself.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections import defaultdict
from collections.abc import Callable
from typing import TypeAlias

from aigateway_core.errors import ErrorKind, UpstreamError
from aigateway_core.routing import Route

log = logging.getLogger(__name__)

WINDOW = 10.0
"""Seconds within which the failures must fall that open a breaker."""

FIRST_PAUSE, LONGEST_PAUSE = 2.0, 30.0
"""Seconds that a breaker stays open at first, and at most: twice as long after each probe that fails."""

PROBING = 5.0
"""Seconds that all wait for one probe. A vendor that thinks for longer turns nobody away: then all may go on."""

RESERVE = 10.0
"""Tries that a vendor may be asked for even where there are few requests; they come back one a second."""

MOST_SAVED = 100.0
"""Tries that can be saved up, so that a quiet hour does not pay for a storm."""

GAP = 0.1
"""Seconds, at most, before the second try at a vendor in trouble; twice as long before each one after that."""

_MOST_KEYS = 1024
"""Callers make up the names of models, so there is a bound."""

_IN_TROUBLE = frozenset(
    {ErrorKind.OVERLOADED, ErrorKind.SERVER, ErrorKind.UNAVAILABLE, ErrorKind.TIMEOUT, ErrorKind.PROTOCOL}
)
_ANSWER_LOST = frozenset({ErrorKind.UNAVAILABLE, ErrorKind.TIMEOUT, ErrorKind.PROTOCOL})
_OF_THE_VENDOR = frozenset({"request", "endpoint", "provider"})

_Key: TypeAlias = tuple[str, str]


def is_the_vendors(error: UpstreamError) -> bool:
    """Whether it was the vendor that failed, rather than this request, an account or the way out."""
    return error.kind in _IN_TROUBLE and error.scope in _OF_THE_VENDOR


def is_ambiguous(error: UpstreamError) -> bool:
    """Whether the vendor may have done what it was asked, and only its answer was lost."""
    return error.dispatched and error.status is None and error.kind in _ANSWER_LOST


class Budget:
    """Tries after the first: a share of the requests, and a reserve for where there are few."""

    def __init__(self, share: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._share, self._clock = share, clock
        self._left = RESERVE
        self._looked = clock()
        self.requests = 0
        """Those that have come since the last try that was spent: counted on the hot path, reckoned off it."""

    def spend(self) -> bool:
        """Whether there may be one try more."""
        now = self._clock()
        if self._left < RESERVE:
            self._left = min(RESERVE, self._left + now - self._looked)
        self._left = min(self._left + self._share * self.requests, MOST_SAVED)
        self._looked, self.requests = now, 0
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Breaker:
    """Closed while requests are answered; open for a while when ``limit`` in a row were not, within :data:`WINDOW`.

    Then one request is the probe, and what becomes of it decides.
    """

    __slots__ = ("_clock", "_count", "_limit", "_pause", "_probing", "_since", "_until")

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._clock = limit, clock
        self._count, self._since = 0, 0.0
        self._pause, self._until = 0.0, 0.0
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether requests are turned away, or wait for what becomes of a probe."""
        return self._until > 0

    @property
    def has_opened(self) -> bool:
        """Whether it is open, or was so since the last answer."""
        return self._pause > 0

    def wait(self, *, probes: bool = True) -> float:
        """Seconds until the next try; 0 for now. Of those who are told so, one who ``probes`` holds up the others."""
        if not self._until:
            return 0.0
        now = self._clock()
        if now < self._until:
            return self._until - now
        if self._probing:
            # The probe is still out: not turned away, at least. The next failure opens it again.
            self._probing, self._until, self._count, self._since = False, 0.0, self._limit - 1, now
        elif probes:
            self._probing, self._until = True, now + PROBING
        return 0.0

    def failed(self, asked_for: float | None = None) -> float:
        """A request had no answer; the vendor may have said how long to wait. Seconds for which this opens it, or 0."""
        now = self._clock()
        if self._until and not self._probing:
            return 0.0  # asked before it opened
        if not self._probing:
            if now - self._since > WINDOW:
                self._count, self._since = 0, now
            self._count += 1
            if self._count < self._limit:
                return 0.0
        self._pause = min(self._pause * 2 or FIRST_PAUSE, LONGEST_PAUSE)
        pause = max(self._pause, min(asked_for or 0.0, LONGEST_PAUSE))
        self._until, self._probing = now + pause, False
        return pause


class Restraint:
    """The budgets and the breakers of all vendors.

    ``share`` is that of the requests that may be tried again, ``limit`` how many failures in a row open a breaker (0
    for never), ``ambiguous`` whether a request may be tried again whose answer was lost. There is a breaker for each
    model, since one model is overloaded while the others are well, and one for whatever speaks of the vendor's host.
    """

    def __init__(
        self,
        share: float = 0.2,
        limit: int = 5,
        *,
        ambiguous: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit, self._clock, self._ambiguous = limit, clock, ambiguous
        self._budgets: defaultdict[str, Budget] = defaultdict(lambda: Budget(share, clock))
        self.breakers: dict[_Key, Breaker] = {}
        """Those that have counted a failure: none, as long as all is well."""

    @property
    def open_breakers(self) -> int:
        """How many are open now."""
        return sum(breaker.is_open for breaker in self.breakers.values())

    def enter(self, route: Route, *, probes: bool = True) -> None:
        """A request comes for this vendor. Raises :class:`UpstreamError` while a breaker is open."""
        self._budgets[route.provider.id].requests += 1
        for key in _keys(route) if self.breakers else ():
            breaker = self.breakers.get(key)
            if breaker is not None and (wait := breaker.wait(probes=probes)) > 0:
                raise _refusal(key, wait)

    def answered(self, route: Route) -> None:
        """The vendor has said something, be it that it will not."""
        for key in _keys(route):
            if (breaker := self.breakers.pop(key, None)) is not None and breaker.has_opened:
                log.warning("%s answers again", _named(key))

    def failed(self, route: Route, error: UpstreamError) -> None:
        """This is what a request ended with, after all its tries."""
        if not self._limit:
            return
        if not is_the_vendors(error):
            if error.status is not None:
                self.answered(route)
            return
        key = (route.provider.id, "" if error.scope != "request" else route.model)
        if len(self.breakers) >= _MOST_KEYS:
            self.breakers.clear()
        pause = self.breakers.setdefault(key, Breaker(self._limit, self._clock)).failed(error.retry_after)
        if pause:
            log.warning("%s fails (%s): it is asked again in %.0f s", _named(key), error.kind, pause)

    def forbids(self, error: UpstreamError) -> bool:
        """Whether nobody may be asked after this error, since the vendor may have done what it was asked."""
        return not self._ambiguous and is_ambiguous(error)

    async def again(self, route: Route, error: UpstreamError, attempts: int) -> bool:
        """Whether to try once more after this error of the ``attempts``-th try, once a moment has passed."""
        if not is_the_vendors(error):
            return True
        if not self._budgets[route.provider.id].spend():
            return False
        if error.dispatched:
            await asyncio.sleep(random.uniform(0, GAP * 2 ** (attempts - 1)))  # noqa: S311 - no secret
        return True


def _keys(route: Route) -> tuple[_Key, _Key]:
    return (route.provider.id, ""), (route.provider.id, route.model)


def _named(key: _Key) -> str:
    provider, model = key
    return f"the model {model!r} of the provider {provider!r}" if model else f"the provider {provider!r}"


def _refusal(key: _Key, wait: float) -> UpstreamError:
    message = f"{_named(key)} has answered none of the last requests; it is asked again in {math.ceil(wait)} s"
    return UpstreamError(ErrorKind.OVERLOADED, message, scope="provider", retry_after=wait, dispatched=False)
