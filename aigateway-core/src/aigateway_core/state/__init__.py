"""What is shared between requests, and between workers once there are several: turns and cooldowns.

One Protocol, so that a single process needs nothing but itself and many processes can share.
"""

from __future__ import annotations

from typing import Protocol

import attrs

EVERY_MODEL = "*"
"""Stands for all models of an account."""


@attrs.frozen
class Cooldown:
    """An account is not to be asked before ``until`` (seconds since the epoch): for one model, or for every."""

    until: float
    reason: str


class State(Protocol):
    """Turns and cooldowns. Reading is immediate; only taking a turn may have to ask someone else."""

    async def take_turn(self, provider_id: str, model: str) -> int:
        """The next number of the round-robin of this provider and model, from 0 on."""

    def cooldown(self, account_id: str, model: str) -> Cooldown | None:
        """What keeps this account from being asked for this model now."""

    def cool(self, account_id: str, model: str, cooldown: Cooldown) -> None:
        """Do not ask this account for this model until then; a longer cooldown that stands already is kept."""

    def clear(self, account_id: str) -> None:
        """Forget every cooldown of this account: it has been mended."""
