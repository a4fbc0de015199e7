"""State of a single process, gone when it ends."""

from __future__ import annotations

import time
from collections import defaultdict
from itertools import count

from aigateway_core.state import EVERY_MODEL, Cooldown


class MemoryState:
    """Counters and cooldowns in dictionaries."""

    def __init__(self) -> None:
        self._turns: defaultdict[tuple[str, str], count[int]] = defaultdict(count)
        self._cooldowns: dict[str, dict[str, Cooldown]] = {}

    async def take_turn(self, provider_id: str, model: str) -> int:
        """The next number of this round-robin."""
        return next(self._turns[provider_id, model])

    def cooldown(self, account_id: str, model: str) -> Cooldown | None:
        """The longest cooldown that covers this account and model, if any still stands."""
        if not self._cooldowns:
            return None
        models = self._cooldowns.get(account_id)
        if models is None:
            return None
        found: Cooldown | None = None
        now = time.time()
        for name in (model, EVERY_MODEL):
            cooldown = models.get(name)
            if cooldown is None:
                continue
            if cooldown.until <= now:
                del models[name]
            elif found is None or cooldown.until > found.until:
                found = cooldown
        if not models:
            del self._cooldowns[account_id]
        return found

    def cool(self, account_id: str, model: str, cooldown: Cooldown) -> None:
        """Keep the longer of this cooldown and the one that stands."""
        models = self._cooldowns.setdefault(account_id, {})
        standing = models.get(model)
        if standing is None or standing.until < cooldown.until:
            models[model] = cooldown

    def clear(self, account_id: str) -> None:
        """Forget this account's cooldowns."""
        self._cooldowns.pop(account_id, None)
