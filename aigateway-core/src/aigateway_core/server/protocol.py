"""uvicorn's HTTP protocol with a deadline for the headers, which uvicorn itself does not have."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class DeadlineProtocol(HttpToolsProtocol):
    """Closes a connection that does not get as far as the end of a request's headers in ``header_timeout`` seconds.

    Between two requests of a connection uvicorn's own keep-alive timer counts.
    """

    header_timeout: ClassVar[float] = 10.0
    _late: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._arm()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    @override
    def on_message_begin(self) -> None:
        self._arm()
        super().on_message_begin()

    @override
    def on_headers_complete(self) -> None:
        self._disarm()
        super().on_headers_complete()

    def _arm(self) -> None:
        self._disarm()
        self._late = self.loop.call_later(self.header_timeout, self._abort)

    def _disarm(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _abort(self) -> None:
        if not self.transport.is_closing():
            self.transport.abort()


def with_header_timeout(seconds: float) -> type[DeadlineProtocol]:
    """The protocol with this deadline."""
    return type("Protocol", (DeadlineProtocol,), {"header_timeout": seconds})
