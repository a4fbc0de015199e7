"""A clock for tests of what takes time."""

from __future__ import annotations


class Clock:
    """A time that stands still unless a test moves it; in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
