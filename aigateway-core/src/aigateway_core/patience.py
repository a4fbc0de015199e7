"""How long a request waits for an account that is about to be ready, instead of failing or moving on."""

from __future__ import annotations

import asyncio
import random

_SPREAD = 0.1
_A_MOMENT = 0.01
"""Clocks differ by a little: nobody shall come just before the door opens."""


class Patience:
    """What one request may still wait, in seconds."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds

    async def wait(self, seconds: float) -> bool:
        """Wait that long, and a little more, so that not all who wait come at once.

        False, at once, when there is nothing to wait for, or it takes longer than this request may still wait.
        """
        if not 0 < seconds <= self._left:
            return False
        pause = seconds + _A_MOMENT + random.uniform(0, _SPREAD) * seconds  # noqa: S311 - no secret
        self._left -= pause
        await asyncio.sleep(pause)
        return True
