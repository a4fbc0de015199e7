"""How long a request waits for an account that is about to be ready, instead of failing or moving on."""

from __future__ import annotations

import asyncio
import random

_SPREAD = 0.1
_A_MOMENT = 0.01
"""Clocks differ by a little: nobody shall come just before the door opens."""


async def wait(seconds: float, most: float) -> float:
    """Wait that long, and a little more, so that not all who wait come at once; the seconds that it took.

    0, at once, when there is nothing to wait for, or it takes longer than the ``most`` that a request may still wait.
    """
    if not 0 < seconds <= most:
        return 0.0
    pause = seconds + _A_MOMENT + random.uniform(0, _SPREAD) * seconds  # noqa: S311 - no secret
    await asyncio.sleep(pause)
    return pause
