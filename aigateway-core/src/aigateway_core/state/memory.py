"""State of a single process, gone when it ends."""

from __future__ import annotations

import time

from aigateway_core.state import EVERY_MODEL, Cooldown

_MOST_TURNS = 10_000
_MOST_COOLDOWNS = 1000
"""Models to remember, of all providers and of one account: callers make up their names, so there have to be bounds."""


class MemoryState:
    """Counters and cooldowns in dictionaries."""

    def __init__(self) -> None:
        self._turns: dict[tuple[str, str], int] = {}
        self._cooldowns: dict[str, dict[str, Cooldown]] = {}

    async def take_turn(self, provider_id: str, model: str) -> int:
        """The next number of this round-robin."""
        turn = self._turns.pop((provider_id, model), 0)
        # The one that was used last stands at the end, and the first is the one that was not for longest.
        self._turns[provider_id, model] = turn + 1
        if len(self._turns) > _MOST_TURNS:
            del self._turns[next(iter(self._turns))]
        return turn

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
        if len(models) > _MOST_COOLDOWNS:
            soonest = min((name for name in models if name != EVERY_MODEL), key=lambda name: models[name].until)
            del models[soonest]

    def clear(self, account_id: str) -> None:
        """Forget this account's cooldowns."""
        self._cooldowns.pop(account_id, None)
