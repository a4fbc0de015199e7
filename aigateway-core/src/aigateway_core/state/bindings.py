"""Which account a conversation is bound to, for all workers: each knows its own in memory, Redis decides."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aigateway_core.state.away import AwayError, Command
from aigateway_core.state.hints import Hints
from aigateway_core.state.memory import AFFINITY_SECONDS, MemoryState
from aigateway_core.state.outbox import Outbox
from aigateway_core.state.recent import Recent
from aigateway_core.state.turns import Turns
from aigateway_core.state.wire import Keys, are_texts

if TYPE_CHECKING:
    from aigateway_core.state.link import Link

_LONGEST_NAME = 255
_SURE_SECONDS = AFFINITY_SECONDS / 4
"""How long a worker takes its own word for what Redis has: Redis need not hear of every use."""


class SharedBindings:
    """The bindings of all workers.

    Two workers that bind one conversation to two accounts, since neither could ask, or Redis has lost what it had, are
    at one again when each has asked Redis once more: the first tells it, the other takes over what it finds.
    """

    def __init__(
        self,
        link: Link,
        keys: Keys,
        outbox: Outbox,
        hints: Hints,
        turns: Turns,
        local: MemoryState,
        healed: Callable[[Command, object], None],
    ) -> None:
        self._link = link
        self._keys = keys
        self._outbox = outbox
        self._hints = hints
        self._turns = turns
        self._local = local
        self._heal = healed
        self._sure: Recent[str, float] = Recent(50_000)

    async def bound(self, conversation: str, provider_id: str, model: str) -> str | None:
        """The account of this conversation: as this worker knows it, else as another has told Redis."""
        known = self._local.recall(conversation, provider_id, model)
        key = self._keys.affinity(conversation, provider_id, model)
        if not self._link.up or (known is not None and self._is_sure(key)):
            return known
        if known is None:
            self._turns.prepare(provider_id, model)
        found = await self._ask(key, known)
        now = self._local.recall(conversation, provider_id, model)
        if found is None or (now is not None and now != known):
            # Redis has none, or it was bound here while it was asked.
            return now
        if found != now:
            self._local.bind(conversation, provider_id, model, found)
        return found

    def bind(self, conversation: str, provider_id: str, model: str, account_id: str) -> None:
        """Bind it here at once; workers that know of another account are told."""
        before = self._local.recall(conversation, provider_id, model)
        self._local.bind(conversation, provider_id, model, account_id)
        key = self._keys.affinity(conversation, provider_id, model)
        if before == account_id:
            if not self._is_sure(key):
                self._sure[key] = time.monotonic()
                self._outbox.put(key, *_kept(key, account_id))
            return
        told: list[Command] = [("SET", key, account_id, "EX", int(AFFINITY_SECONDS))]
        if before is not None:
            told.append(self._hints.tell(moved=[conversation, provider_id, model, account_id]))
        self._sure[key] = time.monotonic()
        self._outbox.put(key, *told)

    def hear(self, moved: Any) -> None:
        """Another worker has moved a conversation. Who does not know it will ask when it comes."""
        if are_texts(moved, 4) and self._local.recall(*moved[:3]) is not None:
            self._local.bind(*moved)

    def doubt(self) -> None:
        """Redis may know less than it was told: look at each binding again when it is used."""
        self._sure.clear()

    def _is_sure(self, key: str) -> bool:
        return time.monotonic() - self._sure.get(key, -math.inf) <= _SURE_SECONDS or key in self._outbox

    async def _ask(self, key: str, known: str | None) -> str | None:
        """What Redis has, which lives on; what is known here, if it had nothing. None while it is away."""
        self._sure[key] = time.monotonic()
        command: Command = ("GETRANGE", key, 0, _LONGEST_NAME)
        try:
            found = (await self._link.ask(*_kept(key, known), command))[-1]
        except AwayError:
            return None
        self._heal(command, found)
        return found.decode("utf-8", "replace") or None if type(found) is bytes else None


def _kept(key: str, account_id: str | None) -> tuple[Command, ...]:
    """The commands that let a binding live on, and bring it back if Redis has lost it."""
    living: Command = ("EXPIRE", key, int(AFFINITY_SECONDS))
    if account_id is None:
        return (living,)
    return ("SET", key, account_id, "NX", "EX", int(AFFINITY_SECONDS)), living
