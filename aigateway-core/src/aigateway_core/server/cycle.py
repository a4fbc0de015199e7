"""One request and its answer on a connection: the ``receive`` and the ``send`` of ASGI, written for speed.

The head of an answer goes out together with the first piece of its body: each write is a system call, and wakes whoever
reads. A piece goes out at once, by one write; those that follow it within the same millisecond, mostly since one read
from an upstream has brought them all, go out together in the loop's next turn.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterable

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from aigateway_core.server.asgi import LINE, App, Message, Scope

log = logging.getLogger(__name__)

_HEADERS = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: [^\x00-\x08\x0a-\x1f\x7f]*\r\n)*")
"""Header lines of RFC 9110 §5.5, of which none can end before its own end."""
_GONE: Message = {"type": "http.disconnect"}
_BODILESS = frozenset({204, 304})
_MOST_HELD = 64 << 10
"""Bytes of pieces that wait for each other."""


class Cycle:
    """From the end of a request's headers to the last byte of its answer, upon which ``on_end`` is called."""

    # Where every one of them begins.
    complete = left = has_news = started = False
    on_leave: Callable[[], None] | None = None
    task: asyncio.Task[None] | None = None
    """What runs it, as the server counts its tasks."""
    _waiter: asyncio.Future[None] | None = None
    _waiting_bytes = 0
    _more_body = True
    _head: bytes | None = None
    _bodiless = False
    _last_at = -1.0
    """When a piece went out by itself last, by the loop's clock, of which uvloop tells whole milliseconds."""
    _held: list[bytes] | None = None
    """Pieces that came within the same millisecond, and all behind them until these are out."""
    _held_bytes = 0
    _owed: int | None = None
    """Bytes of the body that were promised and not sent yet; None when nobody knows how many there will be."""

    def __init__(
        self,
        scope: Scope,
        transport: asyncio.Transport,
        flow: FlowControl,
        server: ServerState,
        loop: asyncio.AbstractEventLoop,
        *,
        keep_alive: bool,
        wants_go_ahead: bool,
        on_end: Callable[[], None],
    ) -> None:
        scope["extensions"] = {LINE: self}  # which this must not hold in turn: what refers to itself is freed late
        self._is_head = scope["method"] == "HEAD"
        # RFC 9112 §6.1: to a client of HTTP/1.0 chunks would be content. The end of the connection is the body's end.
        self._in_chunks = scope["http_version"] != "1.0"
        self.keep_alive = keep_alive
        self._transport = transport
        self._flow = flow
        self._server = server
        self._loop = loop
        self._wants_go_ahead = wants_go_ahead
        self._on_end = on_end
        self._parts: list[bytes] = []

    async def run(self, app: App, scope: Scope) -> None:
        """Run the app; an end without a whole answer is the end of the connection."""
        try:
            await app(scope, self.receive, self.send)
        except BaseException as error:
            log.error("a request ended without its guard", exc_info=error)
        finally:
            if not self.complete and not self.left:
                self._let_go()
                self._transport.close()
            if self.task is not None:
                self._server.tasks.discard(self.task)

    # -- from the connection

    def take(self, part: bytes) -> None:
        """A part of the body is there."""
        self._parts.append(part)
        self._waiting_bytes += len(part)
        if self._waiting_bytes > HIGH_WATER_LIMIT:
            self._flow.pause_reading()
        self.has_news = True
        if self._waiter is not None:
            self._wake()

    def body_is_in(self) -> None:
        """All of the body is there."""
        self._more_body = False
        self.has_news = True
        if self._waiter is not None:
            self._wake()

    def leave(self) -> None:
        """The connection is gone."""
        self.left = self.has_news = True
        self._wake()
        if self.on_leave is not None and not self.complete:
            self.on_leave()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- to the app

    async def receive(self) -> Message:
        """More of the body, or that the client has left."""
        # Whoever has sent something of it uninvited is not asked for more before that has been looked at.
        if self._wants_go_ahead and not self.has_news and not self._transport.is_closing():
            self._wants_go_ahead = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if not self.has_news and not self.left and not self.complete:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        self.has_news = False
        if self.left or self.complete:
            return _GONE
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._waiting_bytes = 0
        if self._flow.read_paused:  # though nothing more of it may come: while nobody reads, nobody hears a leave
            self._flow.resume_reading()
        return {"type": "http.request", "body": body, "more_body": self._more_body}

    async def send(self, message: Message) -> None:
        """The next piece of the answer; waits while the client does not keep up. After a leave it is said to nobody."""
        if self._flow.write_paused and not self.left:
            await self._flow.drain()
        if self.left:
            return
        if message["type"] == "http.response.start":
            self._begin(message["status"], message.get("headers", ()))
        else:
            self._write(message.get("body", b""), more=message.get("more_body", False))

    def abort(self) -> None:
        """Close the connection at once."""
        self._held = None
        self._transport.abort()

    def _begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        if self.started:
            raise RuntimeError("an answer has one head")
        lines: list[bytes] = []
        framed = False
        for name, value in (*self._server.default_headers, *headers):
            lines.append(b"%b: %b\r\n" % (name, value))
            if name == b"content-length":
                framed, self._owed = True, int(value)
            elif name == b"connection" and value == b"close":
                self.keep_alive = False
        self._bodiless = status in _BODILESS or self._is_head
        if not framed and not self._bodiless and self._in_chunks:
            lines.append(b"transfer-encoding: chunked\r\n")
        if not self.keep_alive and b"connection: close\r\n" not in lines:
            lines.append(b"connection: close\r\n")
        told = b"".join(lines)
        if _HEADERS.fullmatch(told) is None:
            raise RuntimeError("a header of the answer holds what no header may")
        self.started = True
        self._wants_go_ahead = False
        self._head = b"%b%b\r\n" % (STATUS_LINE[status], told)

    def _write(self, body: bytes, *, more: bool) -> None:
        if not self.started or self.complete:
            raise RuntimeError("a piece of a body comes between the head of its answer and the end")
        piece = b"" if self._bodiless else self._framed(body, more=more)
        if self._head is not None:
            piece = self._head + piece
            self._head = None
        if more:
            if piece:
                self._go_on(piece)
            return
        if self._held:
            self._hold(piece)
            self._let_go()
        elif piece:
            self._transport.write(piece)
        self.complete = self.has_news = True
        if self._waiter is not None:
            self._wake()
        if not self.keep_alive:
            self._transport.close()
        self._on_end()

    def _go_on(self, piece: bytes) -> None:
        """Send a piece after which there is more: now, or with those that come within a millisecond."""
        now = self._loop.time()
        if self._held or now == self._last_at:
            self._hold(piece)
        else:
            self._last_at = now
            self._transport.write(piece)

    def _hold(self, piece: bytes) -> None:
        if not self._held:
            self._held = []
            self._loop.call_soon(self._let_go)
        self._held.append(piece)
        self._held_bytes += len(piece)
        if self._held_bytes > _MOST_HELD:
            self._let_go()

    def _let_go(self) -> None:
        """Write what is held, unless the connection is gone."""
        held, self._held, self._held_bytes = self._held, None, 0
        # A transport that is closing still takes it: that of a client that has ended its own half, above all.
        if held and not self.left:
            self._transport.write(b"".join(held))

    def _framed(self, body: bytes, *, more: bool) -> bytes:
        if self._owed is None:
            if not self._in_chunks:
                return body
            piece = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            return piece if more else piece + b"0\r\n\r\n"
        self._owed -= len(body)
        if self._owed < 0 or (self._owed and not more):
            raise RuntimeError("a body is as long as its head says")
        return body
