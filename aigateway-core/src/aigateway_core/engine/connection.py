"""One connection to an upstream: HTTP/1.1, one exchange after the other, parsed by httptools as it comes in.

Everything that can go wrong ends in :attr:`Connection.error`, one of httpx's exceptions, and closes the connection;
what had been received before is still handed out. Silence is measured only while somebody waits: a slow reader is no
silent upstream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from math import inf
from typing import cast

import httptools
import httpx
from typing_extensions import override

from aigateway_core.engine.opening import unread

MAX_HEADER_LINE = 16 << 10
"""Bytes of a status line or of one response header; there may be :data:`MAX_HEADERS` of them."""

MAX_HEADERS = 128

_MAX_IDLE_TALK = 256 << 10
"""Bytes in a row that are no body: a head, trailers, what may be written beside the size of a chunk."""

_MAX_BUFFERED = 256 << 10

# Plain numbers: a member of an enumeration is looked up by a function each time.
_FIRST_FINAL, _SWITCHING_PROTOCOLS, _BODILESS = 200, 101, (204, 304)


class Connection(asyncio.Protocol):
    """``lost`` is called once, when it is closed for whatever reason.

    Of the answer under way: ``status`` is 0 until its head is there, ``complete`` says that all of it is,
    ``unanswered`` that not one byte has come since the request.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, origin: tuple[bytes, bytes, int], lost: Callable[[Connection], None]
    ) -> None:
        self.origin = origin
        self.idle_since = 0.0
        self.closed = False
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.error: httpx.TransportError | None = None
        self.complete = self.unanswered = True
        self._loop = loop
        self._lost = lost
        self._parser: httptools.HttpResponseParser | None = None
        self._chunks: list[bytes] = []
        self._buffered = self._idle_talk = 0
        self._paused = self._keeps = self._until_closed = False
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf
        self._deadline = inf

    # -- for who has the connection

    async def exchange(self, request: Sequence[bytes], until: float) -> None:
        """Send a request and wait for the head of its answer, ``until`` a time of the loop's clock.

        Raises one of httpx's transport errors. Whoever ends the waiting in another way has closed the connection.
        """
        transport = self._transport
        if transport is None or self.closed:
            raise httpx.RemoteProtocolError("the connection was closed")
        self._parser = httptools.HttpResponseParser(self)
        self.headers, self._chunks = [], []
        self.status = self._idle_talk = 0
        self.complete, self.unanswered = False, True
        try:
            transport.writelines(request)
            while not self.status and self.error is None:
                await self._wait(until)
        except BaseException:
            self.abort()
            raise
        if not self.status and self.error is not None:
            raise self.error

    async def received(self, idle: float, until: float) -> bytes:
        """All of the body that has come since the last call; empty at its end. Errors as for :meth:`exchange`.

        Silence may last ``idle`` seconds, and no longer than ``until`` a time of the loop's clock.
        """
        silent = until
        while not (self._chunks or self.complete or self.error):
            silent = min(silent, self._loop.time() + idle)
            await self._wait(silent)
        if chunks := self._chunks:
            self._chunks, self._buffered = [], 0
            if self._paused and self._transport is not None and not self.closed:
                self._paused = False
                self._transport.resume_reading()
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)
        if self.error is not None:
            raise self.error
        return b""

    def rest(self) -> bool:
        """Stay open without an exchange; False when none may follow, since something came after it or is to come.

        Bytes that come from now on were not asked for, and close the connection.
        """
        whole = self.complete and self.error is None and not self._chunks and self._keeps and not self.closed
        if not whole or self._transport is None or self._transport.get_write_buffer_size():
            return False
        self._parser = None
        self.idle_since = self._loop.time()
        return True

    def abort(self) -> None:
        """Close it now, without a farewell."""
        self._fail(httpx.ReadError("the connection was closed"))

    # -- for the event loop

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A transport of uvloop's is none by inheritance.
        self._transport = cast("asyncio.Transport", transport)
        if self.closed:
            self._transport.abort()

    @override
    def data_received(self, data: bytes) -> None:
        if self._parser is None:
            self._fail(httpx.RemoteProtocolError("bytes that were not asked for"))
            return
        self.unanswered = False
        self._idle_talk += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # its body is complete, being none
        except httptools.HttpParserError as error:
            self._fail(_cause(error) or httpx.RemoteProtocolError(f"malformed answer: {type(error).__name__}"))
        if self._idle_talk > _MAX_IDLE_TALK and not self.complete:
            self._fail(httpx.RemoteProtocolError("the head of the answer is too large"))
        self._wake()

    @override
    def eof_received(self) -> None:
        """Nothing more will come: who still has a request to send would otherwise be left waiting until it is sent."""
        self.connection_lost(None)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._parser is not None and self._transport is not None and not (self.closed or self.complete):
            self._paused = True  # nothing is left to pause
            if data := unread(self._transport):
                self.data_received(data)
        if not self.complete and self.error is None:
            if self._until_closed and exc is None:
                self.complete = True
            elif isinstance(exc, OSError) and (self._until_closed or not self.status):
                self.error = httpx.ReadError(type(exc).__name__)
            else:
                self.error = httpx.RemoteProtocolError("the connection was closed within the answer")
        self._close()

    # -- for the parser

    def on_message_begin(self) -> None:
        """An answer begins; another one after the answer that was asked for is nobody's."""
        if self.complete:
            raise httpx.RemoteProtocolError("a second answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which is passed over."""
        if self.status:
            return
        if len(name) + len(value) > MAX_HEADER_LINE or len(self.headers) >= MAX_HEADERS:
            raise httpx.RemoteProtocolError("the head of the answer is too large")
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is complete; that of an informational answer is passed over (RFC 9110 §15.2)."""
        parser = self._parser
        assert parser is not None  # noqa: S101 - it is what calls this
        status = parser.get_status_code()
        if status < _FIRST_FINAL and status != _SWITCHING_PROTOCOLS:
            self.headers.clear()
            return
        named = dict(self.headers)
        framed = (b"content-length" in named) + (b"transfer-encoding" in named)
        if framed > 1:
            raise httpx.RemoteProtocolError("both a length and chunks")
        self._until_closed = not framed and status not in _BODILESS
        self._keeps = parser.should_keep_alive() and not self._until_closed
        self.status = status
        # After another protocol was agreed upon, which nobody asked for, there is no body.
        self.complete = status == _SWITCHING_PROTOCOLS

    def on_body(self, data: bytes) -> None:
        """A piece of the body; too many that nobody takes stop the reading."""
        self._idle_talk = 0
        self._chunks.append(data)
        self._buffered += len(data)
        if self._buffered > _MAX_BUFFERED and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """The answer is complete, unless it was an informational one."""
        self.complete = self.status > 0

    # -- waiting

    async def _wait(self, until: float) -> None:
        self._waiter = waiter = self._loop.create_future()
        self._deadline = until
        # A timer that goes off too early looks at the deadline again: most exchanges need none of their own.
        if self._timer_at > until:
            self._arm(until)
        try:
            await waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = when
        self._timer = self._loop.call_at(when, self._look_at_the_clock)

    def _look_at_the_clock(self) -> None:
        self._timer, self._timer_at = None, inf
        if self._waiter is None or self.closed:
            return
        if self._loop.time() < self._deadline:
            if self._deadline < inf:
                self._arm(self._deadline)
        elif not self._waiter.done():
            self._fail(httpx.ReadTimeout("the upstream fell silent"))

    # -- ending

    def _fail(self, error: httpx.TransportError) -> None:
        if not self.complete and self.error is None:
            self.error = error
        self._keeps = False
        self._close()

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._timer_at = None, inf
        if not self.closed:
            self.closed = True
            if self._transport is not None:
                self._transport.abort()
            self._lost(self)
        self._wake()


def _cause(error: BaseException) -> httpx.TransportError | None:
    """What one of the parser's callbacks raised: httptools wraps it."""
    cause = error.__context__ or error.__cause__
    return cause if isinstance(cause, httpx.TransportError) else None
