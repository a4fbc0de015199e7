"""The way out to an upstream: direct, or through an outbound proxy.

An account goes out by its own ``proxy_url``, else by the proxy of the pool that it is bound to; one that is bound to
none yet is bound now, fill-first. It fails closed: while there is any proxy in the pool, no account goes out direct
unless an operator marked it so, and no failure of a proxy makes it.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

import attrs
import httpx

from aigateway_core.egress.health import ProxyHealthBook
from aigateway_core.engine import Transports
from aigateway_core.errors import ErrorKind, GatewayError, UpstreamError
from aigateway_core.records import Account
from aigateway_core.snapshot import CurrentSnapshot

__all__ = ["Claims", "Egress", "WayOut"]

_PATIENCE = 5.0
"""Seconds until an account is asked for again that an operator has to find a way out for."""


@attrs.frozen
class WayOut:
    """A transport, and whether an outbound proxy stands in it; ``proxy_id`` when it is one of the pool."""

    transport: httpx.AsyncBaseTransport
    proxied: bool
    proxy_id: int | None = None


class Claims(Protocol):
    """Where accounts are bound to outbound proxies."""

    async def claim(self, account_id: str) -> int | None:
        """The outbound proxy of this account, bound now if it was not; None when none has room.

        Raises :class:`GatewayError` when nobody can be asked. What was bound is in the snapshot when this returns.
        """


class Egress:
    """Hands out the way that belongs to an account, and learns what came of it."""

    def __init__(
        self, transports: Transports, snapshot: CurrentSnapshot, claims: Claims, health: ProxyHealthBook
    ) -> None:
        self._transports = transports
        self._snapshot = snapshot
        self._claims = claims
        self._health = health
        self._claiming: dict[str, asyncio.Task[int | None]] = {}
        self._homeless: dict[str, tuple[int, float]] = {}
        self._direct: WayOut | None = None

    async def way_out(self, account: Account, *, even_down: bool = False) -> WayOut:
        """The account's way out. Base URLs come from the configuration or from a plugin, so they are trusted.

        ``even_down`` is for what has leave to go by a proxy that is down, and takes no trial of it: what a request that
        took the trial needs first, and what somebody wants to see himself.

        Raises :class:`UpstreamError`, of which nothing was sent, when the account has none that could be used.
        """
        if account.proxy_url is not None:
            return WayOut(self._through(account.proxy_url), proxied=True)
        pool = self._snapshot.value.proxies
        if account.egress == "direct" or (not pool and account.proxy_id is None):
            if self._direct is None:
                self._direct = WayOut(self._transports.direct(trusted=True), proxied=False)
            return self._direct
        proxy_id = account.proxy_id if account.proxy_id is not None else await self._bound(account)
        proxy = self._snapshot.value.proxies.get(proxy_id)
        if proxy is None or not proxy.is_active:
            raise _no_way(f"the account's outbound proxy ({proxy_id}) is switched off or gone", _PATIENCE)
        if not even_down and (wait := self._health.wait(proxy)) > 0:
            raise _no_way(f"the account's outbound proxy ({proxy_id}) is down", wait)
        return WayOut(self._through(proxy.url), proxied=True, proxy_id=proxy_id)

    def judge(self, way_out: WayOut, error: GatewayError | None) -> None:
        """Learn from something sent: a connection that could not be made is the proxy's fault, an answer is its merit.

        Whatever else went wrong says nothing of the proxy; neither does what was never sent, which is not told here.
        """
        proxy = self._snapshot.value.proxies.get(way_out.proxy_id) if way_out.proxy_id is not None else None
        if proxy is None:
            return
        if isinstance(error, UpstreamError) and error.scope == "outbound_proxy":
            # Its own answer too, which has a status: that it does not accept our credentials.
            self._health.failed(proxy)
        elif error is None or (isinstance(error, UpstreamError) and error.status is not None):
            self._health.worked(proxy)

    def _through(self, url: str) -> httpx.AsyncBaseTransport:
        try:
            return self._transports.through(url, trusted=True)
        except ValueError as error:
            raise _no_way(str(error)) from None

    async def _bound(self, account: Account) -> int:
        """Bind the account: of many requests at once, one asks.

        Who found no room asks again after a change, and after a while: a place that was kept for a login is free again
        without one.
        """
        version = self._snapshot.value.version
        found_full, again_at = self._homeless.get(account.id, (None, 0.0))
        if found_full == version and time.monotonic() < again_at:
            raise _no_room(account)
        task = self._claiming.get(account.id)
        if task is None:
            task = self._claiming[account.id] = asyncio.create_task(self._claims.claim(account.id))
            task.add_done_callback(lambda _: self._claiming.pop(account.id, None))
        try:
            # Shielded: the client that came first may leave, and the others wait for the same claim.
            found = await asyncio.shield(task)
        except GatewayError as error:
            raise _no_way(f"the account cannot be bound to an outbound proxy: {error.message}") from None
        if found is None:
            self._homeless[account.id] = version, time.monotonic() + _PATIENCE
            raise _no_room(account)
        return found


def _no_way(message: str, retry_after: float | None = None) -> UpstreamError:
    return UpstreamError(
        ErrorKind.UNAVAILABLE, message, scope="outbound_proxy", dispatched=False, retry_after=retry_after
    )


def _no_room(account: Account) -> UpstreamError:
    return _no_way(
        f"no outbound proxy has room for the account {account.id}; `aigateway-core proxies plan` shows what is missing",
        _PATIENCE,
    )
