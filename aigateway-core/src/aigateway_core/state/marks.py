"""Marks that one worker sets and the others find: that there is one is all that it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aigateway_core.state.away import AwayError
from aigateway_core.state.wire import Keys

if TYPE_CHECKING:
    from aigateway_core.state.link import Link
    from aigateway_core.state.outbox import Outbox


class SharedMarks:
    """The marks of all workers. None is found while Redis is away; those that are set then are written afterwards."""

    def __init__(self, link: Link, keys: Keys, outbox: Outbox) -> None:
        self._link = link
        self._keys = keys
        self._outbox = outbox

    def mark(self, name: str, seconds: float) -> None:
        """Set it a moment later."""
        key = self._keys.mark(name)
        self._outbox.put(key, ("SET", key, 1, "PX", max(1, int(seconds * 1000))))

    async def marked(self, name: str) -> bool:
        """Whether any worker has set it."""
        key = self._keys.mark(name)
        if key in self._outbox:
            return True
        try:
            (found,) = await self._link.ask(("EXISTS", key))
        except AwayError:
            return False
        return bool(found == 1)
