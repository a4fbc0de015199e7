"""What is known of each outbound proxy's health.

``healthy`` ─▶ ``degraded`` with the first failure ─▶ ``down`` after ``max_failures`` in a row. A proxy that is down
takes one trial every ``retry_interval`` seconds (half-open), a request or an active check; the first that gets through
makes it ``degraded`` again, the next ``healthy``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Literal, TypeAlias

import attrs

from aigateway_core.snapshot import OutboundProxy

Status: TypeAlias = Literal["healthy", "degraded", "down"]

_NEWEST = 0.2
"""How much the newest observation weighs in the averages."""


@attrs.frozen(kw_only=True)
class Standing:
    """A proxy's health as this process sees it: ``success_rate`` a share of 1, ``avg_latency_ms`` to a connection."""

    status: Status = "healthy"
    failures: int = 0
    success_rate: float | None = None
    avg_latency_ms: int | None = None
    checked_at: datetime | None = None

    def after_success(self, latency_ms: float | None = None) -> Standing:
        """It let somebody through, in this time if that was measured."""
        return attrs.evolve(
            self,
            status="degraded" if self.status == "down" else "healthy",
            failures=0,
            success_rate=_averaged(self.success_rate, 1.0),
            avg_latency_ms=self.avg_latency_ms
            if latency_ms is None
            else round(_averaged(self.avg_latency_ms, latency_ms)),
        )

    def after_failure(self, max_failures: int) -> Standing:
        """It did not."""
        failures = self.failures + 1
        return attrs.evolve(
            self,
            status="down" if self.status == "down" or failures >= max_failures else "degraded",
            failures=failures,
            success_rate=_averaged(self.success_rate, 0.0),
        )


def _averaged(before: float | None, now: float) -> float:
    return now if before is None else before + _NEWEST * (now - before)


@attrs.define
class _Entry:
    """``basis`` is the stored status that the standing began from; one that another process stores later counts."""

    basis: Status
    standing: Standing
    trial_at: float = 0.0


class ProxyHealthBook:
    """Keeps the standing of every proxy, and tells ``on_change`` of each that has to be stored."""

    def __init__(
        self, *, max_failures: int = 3, retry_interval: float = 60.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_failures = max_failures
        self._retry_interval = retry_interval
        self._clock = clock
        self._entries: dict[int, _Entry] = {}
        self._unsaved: dict[int, Standing] = {}
        self.on_change: Callable[[], None] = lambda: None

    def standing(self, proxy: OutboundProxy) -> Standing:
        """How it stands now."""
        return self._entry(proxy).standing

    def wait(self, proxy: OutboundProxy) -> float:
        """Seconds until a request may go out by it, 0 for now; of one that is down this takes the trial that is due."""
        entry = self._entry(proxy)
        if entry.standing.status != "down":
            return 0.0
        now = self._clock()
        if now < entry.trial_at:
            return entry.trial_at - now
        entry.trial_at = now + self._retry_interval
        return 0.0

    def worked(self, proxy: OutboundProxy, latency_ms: float | None = None, *, checked: bool = False) -> None:
        """It let somebody through. What a healthy one does well is not news, unless it was ``checked`` on purpose."""
        before = self.standing(proxy)
        if before.status == "healthy" and before.failures == 0 and not checked:
            return
        self._settle(proxy, before.after_success(latency_ms), checked=checked)

    def failed(self, proxy: OutboundProxy, *, checked: bool = False) -> None:
        """It let nobody through."""
        most = proxy.max_failures or self._max_failures
        self._settle(proxy, self.standing(proxy).after_failure(most), checked=checked)

    def take_unsaved(self) -> Mapping[int, Standing]:
        """What has changed since this was asked the last time, by proxy."""
        unsaved, self._unsaved = self._unsaved, {}
        return unsaved

    def forget(self, gone: Callable[[int], bool]) -> None:
        """Let go of proxies that are no more."""
        for proxy_id in [each for each in self._entries if gone(each)]:
            del self._entries[proxy_id]

    def _entry(self, proxy: OutboundProxy) -> _Entry:
        entry = self._entries.get(proxy.id)
        if entry is None or entry.basis != proxy.health_status:
            stored = Standing(
                status=proxy.health_status,
                failures=proxy.consecutive_failures,
                success_rate=proxy.success_rate,
                avg_latency_ms=proxy.avg_latency_ms,
            )
            own = entry is not None and entry.standing.status == proxy.health_status
            # What this process stored itself comes back as the basis: its own, newer figures stay.
            standing = entry.standing if own and entry is not None else stored
            trial_at = self._clock() + self._retry_interval if standing.status == "down" else 0.0
            entry = self._entries[proxy.id] = _Entry(proxy.health_status, standing, trial_at)
        return entry

    def _settle(self, proxy: OutboundProxy, after: Standing, *, checked: bool) -> None:
        entry = self._entry(proxy)
        if after.status == "down":
            entry.trial_at = self._clock() + self._retry_interval
        entry.standing = attrs.evolve(after, checked_at=datetime.now(UTC)) if checked else after
        self._unsaved[proxy.id] = entry.standing
        self.on_change()
