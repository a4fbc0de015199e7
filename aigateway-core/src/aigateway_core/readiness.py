"""Whether the gateway can serve, and what of it does not work: from memory alone, so that asking costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol, TypeAlias

Standing: TypeAlias = Literal["starting", "ok", "degraded", "stopping"]


class Snapshots(Protocol):
    """Who keeps the snapshot true."""

    @property
    def age(self) -> float:
        """Seconds since the database last said that the snapshot is still true."""


class Shared(Protocol):
    """What workers share."""

    @property
    def connected(self) -> bool | None:
        """Whether the store answers; None when there is none to ask."""


class Ledger(Protocol):
    """Where call records go."""

    spooling: bool
    spool_bytes: int


_STALE_SECONDS = 5.0
"""The snapshot is looked at every second; one that nobody could confirm for longer tells of a database that is away."""


class Readiness:
    """Ready from the end of the start to the begin of the stop; what is away meanwhile degrades it, and no more."""

    def __init__(self, version: Callable[[], int], state: Shared, ledger: Ledger) -> None:
        self._version = version
        self._state = state
        self._ledger = ledger
        self.snapshots: Snapshots | None = None
        self.stopping = False

    @property
    def serves(self) -> bool:
        """Whether requests may be sent here."""
        return self.snapshots is not None and not self.stopping

    @property
    def sees_changes(self) -> bool:
        """Whether the database has said lately that what is in memory is all there is."""
        return self.snapshots is not None and self.snapshots.age <= _STALE_SECONDS

    @property
    def standing(self) -> Standing:
        """In one word."""
        if self.stopping:
            return "stopping"
        if self.snapshots is None:
            return "starting"
        return "degraded" if self._troubles() else "ok"

    def in_full(self) -> Mapping[str, Any]:
        """All that is known of it."""
        snapshots = self.snapshots
        return {
            "status": self.standing,
            "degraded": self._troubles() if snapshots else [],
            "snapshot": {"version": self._version(), "age_seconds": round(snapshots.age, 1) if snapshots else None},
            "redis": {True: "ok", False: "away", None: "not configured"}[self._state.connected],
            "spool": {"in_use": self._ledger.spooling, "bytes": self._ledger.spool_bytes},
        }

    def _troubles(self) -> list[str]:
        found = ["database"] if self._ledger.spooling or not self.sees_changes else []
        return found + (["redis"] if self._state.connected is False else [])
