"""Which accounts rest, and for what: what is stored of it, and what this process knows besides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from aigateway_core.administration.views import iso
from aigateway_core.state import EVERY_MODEL, Cooldown, State, name_in
from aigateway_core.storage.rows import AccountRest


class RestStore(Protocol):
    """Where it is kept which accounts rest."""

    async def standing(self) -> Sequence[AccountRest]:
        """Those rests that hold now."""


class KnownRests:
    """Rests as an operator sees them. The state knows each to the second, the store those that take a while."""

    def __init__(self, stored: Sequence[AccountRest], state: State | None) -> None:
        self._stored: dict[str, dict[str, Cooldown]] = {}
        for rest in stored:
            found = Cooldown(rest.until.timestamp(), rest.reason)
            self._stored.setdefault(rest.account_id, {})[rest.reach] = found
        self._state = state

    def status(self, account_id: str) -> dict[str, Any]:
        """What an account is that may be used: active, or resting for every model."""
        found = self._of(account_id).get(EVERY_MODEL)
        if found is None:
            return told("active")
        return told(found.status, found.reason, _moment(found) if found.passes else None, found.remedy)

    def resting(self, account_id: str) -> Sequence[dict[str, Any]]:
        """The models and quota groups that the account is not asked for now, while it is for others."""
        return [
            {"name": name, "reason": found.reason, "until": iso(_moment(found))}
            for reach, found in sorted(self._of(account_id).items())
            if (name := name_in(reach)) is not None and found.passes
        ]

    def _of(self, account_id: str) -> Mapping[str, Cooldown]:
        found = dict(self._stored.get(account_id, {}))
        for name, known in ({} if self._state is None else self._state.rests(account_id)).items():
            if name not in found or found[name].until < known.until:
                found[name] = known
        return found


def told(
    status: str, reason: str | None = None, until: datetime | None = None, remedy: str | None = None
) -> dict[str, Any]:
    """An account's status, as its fields."""
    return {"status": status, "status_reason": reason, "status_until": iso(until), "status_remedy": remedy}


def _moment(cooldown: Cooldown) -> datetime:
    return datetime.fromtimestamp(cooldown.until, UTC)
