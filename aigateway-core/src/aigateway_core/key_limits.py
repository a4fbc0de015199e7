"""How much a client key may ask for: so many requests a minute, and so many at a time.

Both are counted for all workers where they share a state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import TypeAlias

from aigateway_core.errors import ClientError, ErrorKind
from aigateway_core.records import Caller
from aigateway_core.state import State

_BUSY_SECONDS = 1.0
"""When to ask again while too many requests are under way: nobody knows when the first of them ends."""

Tell: TypeAlias = Callable[[Mapping[str, str]], None]

Exits: TypeAlias = Callable[[], AsyncExitStack]
"""Gives the stack that is closed when a request is over; most need none, so that it is made when first asked for."""


class LimitError(ClientError):
    """The key has asked for as much as it may, for now."""

    kind = ErrorKind.RATE_LIMIT


class KeyLimits:
    """Lets a request through, or not."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def enter(self, caller: Caller, exits: Exits, tell: Tell) -> None:
        """Count this request, until its ``exits`` close; ``tell`` adds headers to its answer, whatever that will be.

        Raises :class:`LimitError`.
        """
        if caller.concurrency is not None:
            await self._take_place(caller.id, caller.concurrency, exits)
        if caller.requests_per_minute is not None:
            await self._spend(caller.id, caller.requests_per_minute, tell)

    async def _take_place(self, key_id: str, most: int, exits: Exits) -> None:
        place = await self._state.take_place(key_id, most)
        if place is None:
            raise LimitError(
                f"this key may have {_counted(most, 'request')} under way at a time", retry_after=_BUSY_SECONDS
            )
        exits().callback(self._state.leave_place, place)

    async def _spend(self, key_id: str, per_minute: int, tell: Tell) -> None:
        allowance = await self._state.spend(key_id, per_minute)
        tell(
            {
                "x-ratelimit-limit-requests": str(per_minute),
                "x-ratelimit-remaining-requests": str(allowance.remaining),
                "x-ratelimit-reset-requests": f"{allowance.reset:.3f}s",
            }
        )
        if not allowance.granted:
            wait = max(1, math.ceil(allowance.wait))
            raise LimitError(
                f"this key may make {_counted(per_minute, 'request')} a minute; try again in {wait} s",
                retry_after=allowance.wait,
            )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
