"""uvicorn's HTTP protocol, and what it leaves open: how late and how large a head may be, and what may follow it."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from aigateway_core.server.asgi import ABORT
from aigateway_core.server.inspection import Refusal, fitting_id
from aigateway_core.server.refusal import spelt

MAX_HEAD_BYTES = 64 << 10
"""The guard refuses much less, and says why; this is for what it would never get to see."""


class _Dropped(list[Any]):
    """Takes headers and forgets them."""

    @override
    def append(self, item: object) -> None:
        pass


class DeadlineProtocol(HttpToolsProtocol):
    """One request at a time, whose headers come in ``header_timeout`` seconds or never.

    Between two requests of a connection uvicorn's own keep-alive timer counts.

    A client that sends its next request before it has an answer (pipelining) gets the answer, and then the end of the
    connection, as RFC 9112 §9.3.2 allows: uvicorn would stop reading meanwhile, and never see that the client leaves.
    """

    header_timeout: ClassVar[float] = 10.0
    _late: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _is_deaf = False

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._arm()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        super().data_received(data)
        if self._late is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self._disarm()
                self.send_400_response("The head of the request is too large.")

    @override
    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request in the words of the guard: uvicorn's own are text that no client's parser takes."""
        headers, body = spelt(Refusal(400, msg), fitting_id(b""))
        lines = (name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(b"".join([STATUS_LINE[400], *lines, b"\r\n", body]))
        self.transport.close()

    @override
    def on_message_begin(self) -> None:
        under_way: RequestResponseCycle | None = self.cycle
        if under_way is not None and not under_way.response_complete:
            self._is_deaf = True
            under_way.keep_alive = False
            return
        self._head_bytes = 0
        self._arm()
        super().on_message_begin()
        self.scope["extensions"] = {ABORT: {"now": self.transport.abort}}

    @override
    def on_url(self, url: bytes) -> None:
        if not self._is_deaf:
            super().on_url(url)

    @override
    def on_headers_complete(self) -> None:
        if self._is_deaf:
            return
        self._disarm()
        super().on_headers_complete()
        # Trailers must not be taken for headers: whoever stands before us has not seen them as such.
        self.headers = _Dropped()

    @override
    def on_body(self, body: bytes) -> None:
        if not self._is_deaf:
            super().on_body(body)

    @override
    def _unsupported_upgrade_warning(self) -> None:
        """Nothing: the request is answered as the plain one it also is, and anybody could fill the log with these."""

    def end_after_this_answer(self) -> None:
        """Close the connection when the answer that is under way is over, if there is one."""
        under_way: RequestResponseCycle | None = self.cycle
        if under_way is not None:
            under_way.keep_alive = False

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
