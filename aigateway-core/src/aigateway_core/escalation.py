"""How long an account rests when its vendor names no time: longer, the more often that happens in a row."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import attrs

from aigateway_core.errors import ErrorKind, UpstreamError
from aigateway_core.records import Account

QUIET = 120.0
"""Seconds. Whoever has been well for so long after a rest begins at the first step again."""

LADDERS: Mapping[ErrorKind, Sequence[float]] = {
    ErrorKind.RATE_LIMIT: (30.0, 60.0, 120.0, 300.0),
    ErrorKind.QUOTA: (60.0, 300.0, 1800.0, 7200.0),
    ErrorKind.CREDENTIAL: (300.0,),
    ErrorKind.MODEL_NOT_FOUND: (3600.0,),
}
"""Seconds of rest after the first failure of a kind, after the second, and so on; the last step is taken again.

Kinds that are not listed rest only for as long as the upstream asked.
"""

NOTHING_LEFT: Sequence[float] = (1800.0, 7200.0)
"""The same for an account that has nothing left for any model: that is rarely over in a minute."""

_MOST = 4096
"""Steps to remember: there may be many models."""


@attrs.frozen
class Step:
    """A rest that is the ``number``-th in a row, and when it is over, in seconds."""

    number: int
    until: float


def next_step(last: Step | None, now: float, ladder: Sequence[float]) -> Step:
    """Where a failure leads.

    During a rest it leads nowhere: requests that were under way together fail together, and are one failure.
    """
    if last is not None and now < last.until:
        return last
    again = last is not None and now < last.until + QUIET
    number = last.number + 1 if last is not None and again else 1
    return Step(number, now + ladder[min(number, len(ladder)) - 1])


class Escalation:
    """Remembers, for this process, how often in a row an account has failed with a model, or a group of them.

    What others hold against an account reaches this one as a cooldown; how often they did is theirs to know. An account
    that was changed begins anew.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._steps: dict[tuple[str, str, ErrorKind], tuple[Account, Step]] = {}

    def seconds(self, account: Account, reach: str, error: UpstreamError) -> float:
        """How long it is to rest, within that reach, after an error that names no time; 0 for not at all."""
        nothing_left = error.kind is ErrorKind.QUOTA and error.scope == "account"
        ladder = NOTHING_LEFT if nothing_left else LADDERS.get(error.kind, ())
        if len(ladder) < 2:
            return ladder[0] if ladder else 0.0
        now, key = self._clock(), (account.id, reach, error.kind)
        known = self._steps.pop(key, None)
        last = known[1] if known is not None and known[0] == account else None
        step = next_step(last, now, ladder)
        if len(self._steps) >= _MOST:
            self._steps = {name: kept for name, kept in self._steps.items() if now < kept[1].until + QUIET}
        if len(self._steps) < _MOST:
            self._steps[key] = account, step
        return step.until - now
