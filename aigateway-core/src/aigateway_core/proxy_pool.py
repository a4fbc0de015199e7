"""The pool of outbound proxies as the request path asks for it, in whatever storage is open.

The path is put together before the storage is opened, and goes on when it is away: who is bound already needs nobody.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from aigateway_core.egress.health import Standing
from aigateway_core.errors import UnavailableError
from aigateway_core.storage.rows import SYSTEM, Actor, ProxyHealth


class Bindings(Protocol):
    """Where bindings are kept."""

    async def claim(self, account_id: str, actor: Actor, *, reserve_seconds: float | None = None) -> int | None:
        """The outbound proxy of this account, bound now if it was not; None when none has room."""


class Proxies(Protocol):
    """Where proxies are kept."""

    async def note_health(self, proxy_id: int, health: ProxyHealth, actor: Actor) -> None:
        """Keep what was seen."""


class Books(Protocol):
    """What the pool is kept in."""

    @property
    def bindings(self) -> Bindings:
        """Who goes out by what."""

    @property
    def proxies(self) -> Proxies:
        """What there is to go out by."""


class ProxyPool:
    """Binds accounts and stores health, on the gateway's own behalf."""

    def __init__(self) -> None:
        self._books: Books | None = None
        self._changed: Callable[[], Awaitable[None]] | None = None

    def open(self, books: Books, changed: Callable[[], Awaitable[None]] | None = None) -> None:
        """From now on it is kept here; ``changed`` brings what was bound into the snapshot, where there is one."""
        self._books, self._changed = books, changed

    async def claim(self, account_id: str) -> int | None:
        """The outbound proxy of this account, bound now if it was not; None when none has room.

        Raises :class:`UnavailableError`.
        """
        if self._books is None:
            raise UnavailableError("the storage is not open")
        found = await self._books.bindings.claim(account_id, SYSTEM)
        if found is not None and self._changed is not None:
            await self._changed()
        return found

    async def keep(self, proxy_id: int, standing: Standing) -> None:
        """Store a proxy's health. Raises :class:`UnavailableError`."""
        if self._books is None:
            raise UnavailableError("the storage is not open")
        health = ProxyHealth(
            health_status=standing.status,
            consecutive_failures=standing.failures,
            success_rate=standing.success_rate,
            avg_latency_ms=standing.avg_latency_ms,
            last_checked_at=standing.checked_at,
        )
        await self._books.proxies.note_health(proxy_id, health, SYSTEM)
