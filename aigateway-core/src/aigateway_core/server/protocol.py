"""A client's connection: HTTP/1.1 by httptools, in the place of uvicorn's own protocol, which it does the work of.

What uvicorn leaves open is closed here: how late and how large a head may be, and what may follow it. It costs less:
no timer for each request, one write for a whole answer, and no task that waits for the client to leave.
"""

from __future__ import annotations

import asyncio
import urllib.parse
from contextlib import suppress
from typing import Any, ClassVar

import httptools
import uvicorn
from typing_extensions import override
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from aigateway_core.server.asgi import Scope
from aigateway_core.server.cycle import Cycle
from aigateway_core.server.inspection import Refusal, fitting_id
from aigateway_core.server.refusal import spelt

MAX_LOOSE_BYTES = 64 << 10
"""Of a head the guard refuses much less, and says why; this is for what it would never get to see: a head that does not
end, and what is neither a head nor a body (a trailer, above all, which the parser joins piece by piece)."""


class Connection(asyncio.Protocol):
    """One request at a time, whose headers come in ``header_timeout`` seconds or never.

    A client that sends its next request before it has an answer (pipelining) gets the answer, and then the end of the
    connection, as RFC 9112 §9.3.2 allows: whoever stopped reading meanwhile would never see that the client leaves.
    """

    header_timeout: ClassVar[float] = 10.0

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.loop = _loop or asyncio.get_event_loop()
        self._app = config.loaded_app
        self._server = server_state
        self._app_state = app_state
        self._keep_alive_seconds = config.timeout_keep_alive
        self._parser = self._new_parser()
        self._url = self._last_url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._wants_go_ahead = False
        self._loose_bytes = 0
        """What has come since a head, a piece of a body or a request was whole."""
        self._in_head = True
        self._is_deaf = False
        self._cycle: Cycle | None = None
        self._idle_since: float | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._late: asyncio.TimerHandle | None = None

    def _new_parser(self) -> httptools.HttpRequestParser:
        parser = httptools.HttpRequestParser(self)
        # What follows a request that asks for the end of the connection must not cost it its answer.
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    # -- from the loop

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._server.connections.add(self)  # type: ignore[arg-type]
        self.transport = transport
        self._flow = FlowControl(transport)
        self._of_all: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": get_local_addr(transport),
            "client": get_remote_addr(transport),
            "scheme": "https" if is_ssl(transport) else "http",
            "root_path": "",
        }
        self._arm()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        self._disarm()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        if self._cycle is not None:
            self._cycle.leave()
        self._flow.resume_writing()
        del self._parser  # which holds this

    @override
    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        self._loose_bytes += len(data)
        try:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as stop:
                self._stay(data[stop.args[0] :])
        except httptools.HttpParserError:
            self._refuse("Invalid HTTP request received.")
            return
        if self._loose_bytes > MAX_LOOSE_BYTES and not self._is_deaf:
            self._refuse(f"The {'head' if self._in_head else 'framing'} of the request is too large.")
        elif self._in_head and self._late is None:
            self._arm()

    @override
    def pause_writing(self) -> None:
        self._flow.pause_writing()

    @override
    def resume_writing(self) -> None:
        self._flow.resume_writing()

    # -- from the parser

    def on_message_begin(self) -> None:
        """A request begins."""
        if self._cycle is not None and not self._cycle.complete:
            self._is_deaf = True
            self._cycle.keep_alive = False
            return
        self._idle_since = None  # only now: the parser skips empty lines
        self._in_head = True
        self._url = b""
        self._headers = []
        self._wants_go_ahead = False

    def on_url(self, url: bytes) -> None:
        """A piece of its target."""
        if not self._is_deaf:
            self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; or a trailer, which must not be taken for one: who stands before us has not seen it as such."""
        if not self._in_head:
            return
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self._wants_go_ahead = True
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Its head is there: it is served from now on."""
        if self._is_deaf or self._parser.should_upgrade():
            return
        if self._late is not None:
            self._disarm()
        self._in_head = False
        self._loose_bytes = 0
        version = self._parser.get_http_version()
        scope = self._scope(version)
        self._cycle = cycle = Cycle(
            scope,
            self.transport,
            self._flow,
            self._server,
            self.loop,
            keep_alive=version != "1.0" and self._parser.should_keep_alive(),
            wants_go_ahead=self._wants_go_ahead and version != "1.0",  # RFC 9110 §10.1.1
            on_end=self._answered,
        )
        cycle.task = self.loop.create_task(cycle.run(self._app, scope))
        self._server.tasks.add(cycle.task)

    def on_body(self, body: bytes) -> None:
        """A part of its body."""
        self._loose_bytes = 0
        if not self._is_deaf and self._cycle is not None and not self._cycle.complete:
            self._cycle.take(body)

    def on_message_complete(self) -> None:
        """It is there as a whole."""
        self._loose_bytes = 0
        if not self._is_deaf and self._cycle is not None and not self._cycle.complete:
            self._cycle.body_is_in()

    def _stay(self, rest: bytes) -> None:
        """Read a request that would change to another protocol, and the ``rest`` behind its head, as the plain one.

        A server may ignore ``Upgrade`` (RFC 9110 §7.8), but the parser skips the body as none of its concern: a fresh
        one gets the head again, without that header, so that all the rules of framing hold for what follows.
        """
        if self._is_deaf:
            return
        method = self._parser.get_method()
        if method == b"CONNECT":
            raise httptools.HttpParserError("there are no tunnels here")
        lines = (b"%b: %b\r\n" % header for header in self._headers if header[0] != b"upgrade")
        head = (method, self._url, self._parser.get_http_version().encode(), b"".join(lines))
        self._parser = self._new_parser()
        with suppress(httptools.HttpParserUpgrade):  # of a request after this one, which is not heard any more
            self._parser.feed_data(b"%b %b HTTP/%b\r\n%b\r\n" % head + rest)

    def _scope(self, version: str) -> Scope:
        if self._url != self._last_url:
            self._aim()
        scope: Scope = self._of_all.copy()
        scope["http_version"] = version
        scope["method"] = self._parser.get_method().decode("ascii")
        scope["headers"] = self._headers
        scope["state"] = self._app_state.copy()
        return scope

    def _aim(self) -> None:
        """Take the target apart; mostly the next request on a connection has the same."""
        target = httptools.parse_url(self._url)
        path = target.path.decode("ascii")
        self._of_all["path"] = urllib.parse.unquote(path) if "%" in path else path
        self._of_all["raw_path"] = target.path
        self._of_all["query_string"] = target.query or b""
        self._last_url = self._url

    # -- between two requests

    def _answered(self) -> None:
        """An answer is out: the next request may come, and has to within the time that idle connections are kept."""
        if self.transport.is_closing():
            return
        if self._flow.read_paused:
            self._flow.resume_reading()
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self._keep_alive_seconds, self._look)

    def _look(self) -> None:
        """One timer for a connection, not one for each of its requests."""
        self._idle_timer = None
        if self._idle_since is None:
            return  # there will be another one after the next answer
        left = self._idle_since + self._keep_alive_seconds - self.loop.time()
        if left > 0:
            self._idle_timer = self.loop.call_later(left, self._look)
        elif not self.transport.is_closing():
            self.transport.close()

    def end_after_this_answer(self) -> None:
        """Close the connection when the answer that is under way is over, if there is one."""
        if self._cycle is not None:
            self._cycle.keep_alive = False

    def shutdown(self) -> None:
        """Close the connection as soon as no answer is under way; uvicorn calls this when it stops."""
        if self._cycle is None or self._cycle.complete:
            self.transport.close()
        else:
            self._cycle.keep_alive = False

    # -- what is no request, or not yet

    def _refuse(self, message: str) -> None:
        """In the words of the guard, which every client's parser takes."""
        self._disarm()
        self._is_deaf = True
        if self.transport.is_closing():
            return
        if self._cycle is not None and self._cycle.started and not self._cycle.complete:
            self.transport.abort()  # nothing can be said in the midst of an answer
            return
        headers, body = spelt(Refusal(400, message), fitting_id(None))
        lines = (name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(b"".join([STATUS_LINE[400], *lines, b"\r\n", body]))
        self.transport.close()

    def _arm(self) -> None:
        self._late = self.loop.call_later(self.header_timeout, self._abort)

    def _disarm(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _abort(self) -> None:
        if not self.transport.is_closing():
            self.transport.abort()


def with_header_timeout(seconds: float) -> type[Connection]:
    """The protocol with this deadline."""
    return type("Connection", (Connection,), {"header_timeout": seconds})
