"""When to leave somebody alone who does not answer."""

from __future__ import annotations

import time
from collections.abc import Callable


class Breaker:
    """Closed while all is well; open after a failure, for ``first`` seconds.

    Each failed try after that keeps it open for twice as long, up to ``most``. Nobody but whoever tries again, when it
    is :attr:`due`, should ask while it is open.
    """

    def __init__(self, first: float, most: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._first, self._most, self._clock = first, most, clock
        self._pause = 0.0
        self._until: float | None = None

    @property
    def closed(self) -> bool:
        """Whether to ask."""
        return self._until is None

    @property
    def due(self) -> float:
        """Seconds until the next try: 0 when it is time for one, or the breaker is closed."""
        return 0.0 if self._until is None else max(0.0, self._until - self._clock())

    def failed(self) -> None:
        """Somebody got no answer. Those who asked before it opened, and fail only now, do not count again."""
        if self.due == 0:
            self._pause = min(self._pause * 2, self._most) if self._pause else self._first
            self._until = self._clock() + self._pause

    def succeeded(self) -> None:
        """Somebody got an answer."""
        self._pause, self._until = 0.0, None
