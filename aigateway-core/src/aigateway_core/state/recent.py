"""A dictionary that forgets what was not used for longest."""

from __future__ import annotations

from typing import TypeVar

from typing_extensions import override

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


class Recent(dict[KeyT, ValueT]):
    """At most ``most`` entries: a new one beyond that takes the place of the one that was set first.

    Set by ``recent[key] = value``, that is; the other ways of filling a dictionary know of no bound.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    @override
    def __setitem__(self, key: KeyT, value: ValueT) -> None:
        # A dictionary keeps the order of insertion, so what was set last stands at its end.
        self.pop(key, None)
        super().__setitem__(key, value)
        if len(self) > self._most:
            del self[next(iter(self))]
