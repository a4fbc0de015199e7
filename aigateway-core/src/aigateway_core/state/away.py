"""What Redis is asked, and what comes back where there is no answer: words that need nothing of its library."""

from __future__ import annotations

from typing import TypeAlias

Command: TypeAlias = tuple[str | bytes | int | float, ...]


class AwayError(Exception):
    """Redis did not answer in time, or cannot do what it was asked. ``asked`` is false when nothing was sent."""

    def __init__(self, *, asked: bool) -> None:
        super().__init__("Redis is away")
        self.asked = asked


def is_about_the_value(answer: object) -> bool:
    """Whether a command failed because of what somebody else has put under its key."""
    return isinstance(answer, Exception) and (
        str(answer).startswith("WRONGTYPE") or "not an integer" in str(answer) or "would overflow" in str(answer)
    )
