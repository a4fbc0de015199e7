"""The way out to an upstream: direct, or through the account's own outbound proxy.

Never direct for an account that has one.
"""

from __future__ import annotations

import attrs
import httpx

from aigateway_core.engine import Transports
from aigateway_core.errors import ErrorKind, UpstreamError
from aigateway_core.records import Account


@attrs.frozen
class WayOut:
    """A transport, and whether an outbound proxy stands in it."""

    transport: httpx.AsyncBaseTransport
    proxied: bool


class Egress:
    """Hands out the way that belongs to an account."""

    def __init__(self, transports: Transports) -> None:
        self._transports = transports

    def way_out(self, account: Account) -> WayOut:
        """The account's way out. Base URLs come from the configuration or from a plugin, so they are trusted.

        Raises :class:`UpstreamError`, of which nothing was sent, when the account's outbound proxy is none.
        """
        if account.proxy_url is None:
            return WayOut(self._transports.direct(trusted=True), proxied=False)
        try:
            return WayOut(self._transports.through(account.proxy_url, trusted=True), proxied=True)
        except ValueError as error:
            raise UpstreamError(ErrorKind.UNAVAILABLE, str(error), scope="outbound_proxy", dispatched=False) from None
