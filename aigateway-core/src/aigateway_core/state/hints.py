"""What workers tell each other at once, on a channel. Nothing depends on it: what was not heard is looked up later."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from aigateway_core.state.away import Command
from aigateway_core.state.link import AWAY, Link
from aigateway_core.state.wire import Keys, read_hint, write_hint

log = logging.getLogger(__name__)

_PAUSE_SECONDS = 1.0


class Hints:
    """Calls ``heard`` with what other workers tell, and ``began`` whenever it begins to listen (again)."""

    def __init__(
        self, link: Link, keys: Keys, heard: Callable[[Mapping[str, Any]], None], began: Callable[[], None]
    ) -> None:
        self._link = link
        self._channel = keys.hints
        self._heard = heard
        self._began = began
        self._me = secrets.token_hex(8)
        self.listening = asyncio.Event()

    def tell(self, **said: Any) -> Command:
        """The command that tells the others."""
        return ("PUBLISH", self._channel, write_hint(self._me, **said))

    async def listen(self) -> None:
        """Listen for ever, whatever happens to the connection."""
        while True:
            try:
                await self._listen()
            except AWAY:
                self.listening.clear()
            except Exception:
                log.exception("a hint of another worker could not be heard")
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _listen(self) -> None:
        async with self._link.listener() as listener:
            await listener.subscribe(self._channel)
            self.listening.set()
            # What was told before this moment has to be looked up.
            self._began()
            while True:
                message = await listener.get_message(ignore_subscribe_messages=True, timeout=5.0)
                if message is not None:
                    self._hear(message["data"])

    def _hear(self, message: Any) -> None:
        said = read_hint(message)
        if said.get("from") != self._me:
            self._heard(said)
