"""A dictionary that forgets what was not used for longest."""

from __future__ import annotations

from typing import Generic, TypeVar, overload

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")
DefaultT = TypeVar("DefaultT")


class Recent(Generic[KeyT, ValueT]):
    """At most ``most`` entries: a new one beyond that takes the place of the one that was put first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._entries: dict[KeyT, ValueT] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def get(self, key: KeyT) -> ValueT | None: ...
    @overload
    def get(self, key: KeyT, default: DefaultT) -> ValueT | DefaultT: ...
    def get(self, key: KeyT, default: object = None) -> object:
        """The value of this key."""
        return self._entries.get(key, default)

    def put(self, key: KeyT, value: ValueT) -> None:
        """Set it, as the newest."""
        # A dictionary keeps the order of insertion, so what was put last stands at its end.
        self._entries.pop(key, None)
        self._entries[key] = value
        if len(self._entries) > self._most:
            del self._entries[next(iter(self._entries))]

    def pop(self, key: KeyT) -> ValueT | None:
        """Forget it."""
        return self._entries.pop(key, None)
