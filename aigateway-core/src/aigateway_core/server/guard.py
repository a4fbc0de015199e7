"""The outermost layer: what a web framework leaves open.

Falcon never tells a responder that the client has left, uvicorn has no deadline for a body and none for a client that
does not read. Here every request has both, a cap on its body, a stack that owns what was acquired for it
(``scope["state"]["exits"]``), and an end: when the client leaves, the app's task is cancelled, wherever it is.

One task is added to a request, and only from the moment its body is in: it waits for the client to leave.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AsyncExitStack, suppress
from typing import Any, TypeAlias

import attrs

from aigateway_core.errors import RequestTimeoutError, RequestTooLargeError, UnavailableError
from aigateway_core.jsontext import dumps
from aigateway_core.server.inspection import Inspected, Inspector, Refusal

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[..., Awaitable[None]]

_MOST_LINGERED_SECONDS = 2.0
_MOST_LINGERED_BYTES = 64 << 20
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_BUSY = Refusal(503, "the gateway is busy; try again in a moment")
_CLOSING = Refusal(503, "the gateway is shutting down")


@attrs.frozen(kw_only=True)
class GuardLimits:
    """Bytes and seconds; ``max_concurrency`` 0 is no limit."""

    max_body_bytes: int = 20 << 20
    body_timeout: float = 30.0
    send_timeout: float = 60.0
    keepalive_interval: float = 15.0
    max_concurrency: int = 0
    allowed_hosts: tuple[str, ...] = ()


class Guard:
    """Stands around an ASGI app."""

    def __init__(self, app: App, limits: GuardLimits | None = None) -> None:
        self._app = app
        self._limits = limits or GuardLimits()
        self._inspector = Inspector(self._limits.allowed_hosts)
        self._live: set[_Request] = set()
        self._draining = False

    @property
    def live(self) -> int:
        """Requests under way."""
        return len(self._live)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or pass on what is none."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        number = _request_id(scope)
        found = self._inspector.inspect(dict(scope))
        if isinstance(found, Refusal):
            await _refuse(send, found, number)
        elif self._draining:
            await _refuse(send, _CLOSING, number)
        elif 0 < self._limits.max_concurrency <= len(self._live):
            await _refuse(send, _BUSY, number)
        else:
            await self._serve(scope, receive, send, number, found)

    async def drain(self, grace: float) -> None:
        """Take no more requests; after ``grace`` seconds end those under way, streams in their own dialect."""
        self._draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                while self._live:  # noqa: ASYNC110 - requests come to their end by themselves, and nobody tells
                    await asyncio.sleep(0.02)
        for request in tuple(self._live):
            request.finish()

    async def _serve(self, scope: Scope, receive: Receive, send: Send, number: bytes, found: Inspected) -> None:
        request = _Request(scope, receive, send, number, found.declared, self._limits)
        self._live.add(request)
        try:
            await request.run(self._app)
        finally:
            self._live.discard(request)


class _Request:
    """One request under way."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, number: bytes, declared: int | None, limits: GuardLimits
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._number = number
        self._declared = declared
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = asyncio.current_task()
        self._watcher: asyncio.Task[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._pulse: asyncio.TimerHandle | None = None
        self._extra: asyncio.Task[None] | None = None
        self._read = 0
        self._opened = self._whole_body = self._late = self._gone = self._ending = self._started = self._complete = (
            False
        )
        self._last_sent = 0.0
        self._sending_since: float | None = None

    async def run(self, app: App) -> None:
        """Run the app to its end, or to the client's."""
        state = self._scope.setdefault("state", {})
        state["request_id"] = self._number.decode()
        try:
            async with AsyncExitStack() as exits:
                state["exits"] = exits
                await app(self._scope, self.receive, self.send)
        except asyncio.CancelledError:
            if not (self._gone or self._ending) or self._task is None:
                raise
            self._task.uncancel()
        finally:
            self._stop_watching()
        if self._ending and not self._gone and not self._complete:
            await self._end()

    def finish(self) -> None:
        """The gateway shuts down: end this request now."""
        if self._task is not None and not self._complete:
            self._ending = True
            self._task.cancel(UnavailableError.SHUTTING_DOWN)

    # -- from the client

    async def receive(self) -> Message:
        """The app's next message from the client. Raises :class:`ClientError` for a body too large or too slow."""
        if not self._opened:
            # Falcon asks for a first message before it has anybody who could answer an error; this one is empty, so
            # that the headers can be judged before the body is waited for.
            self._opened = True
            return {"type": "http.request", "body": b"", "more_body": True}
        if self._whole_body:
            # Nothing can come now but the end, and the watcher waits for that.
            await asyncio.Event().wait()
        cap = self._limits.max_body_bytes
        if self._declared is not None and self._declared > cap:
            raise RequestTooLargeError(f"the body has {self._declared} bytes; at most {cap} are taken")
        message = await self._next()
        if message["type"] == "http.disconnect":
            # Without this the app would take half a body for a whole one.
            self._gone = True
            raise asyncio.CancelledError
        self._read += len(message.get("body", b""))
        if self._read > cap:
            raise RequestTooLargeError(f"the body is too large; at most {cap} bytes are taken")
        if not message.get("more_body", False):
            self._whole_body = True
            self._disarm()
            self._watcher = asyncio.create_task(self._watch())
        return message

    async def _next(self) -> Message:
        if self._deadline is None:
            self._deadline = self._loop.call_later(self._limits.body_timeout, self._too_late)
        try:
            return await self._receive()
        except asyncio.CancelledError:
            if not self._late or self._task is None:
                raise
            self._task.uncancel()
            seconds = self._limits.body_timeout
            raise RequestTimeoutError(f"the body did not arrive within {seconds:g} s") from None

    def _too_late(self) -> None:
        if self._task is not None:
            self._late = True
            self._task.cancel()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._leave()

    def _leave(self) -> None:
        """The client has left, or does not read: nobody wants the answer any more."""
        if not self._complete and not self._gone and self._task is not None:
            self._gone = True
            self._task.cancel()

    # -- to the client

    async def send(self, message: Message) -> None:
        """The app's next message to the client."""
        if message["type"] == "http.response.start":
            self._started = True
            headers = [*message.get("headers", ()), (b"x-request-id", self._number)]
            if self._unread:
                # What is left of the body must not be taken for the next request.
                headers.append((b"connection", b"close"))
            message["headers"] = headers
        elif message.get("more_body", False):
            if self._pulse is None:
                self._beat()
        elif self._unread:
            await self._linger(message)
            return
        else:
            self._complete = True
        self._sending_since = self._last_sent = self._loop.time()
        await self._send(message)
        self._sending_since = None

    @property
    def _unread(self) -> bool:
        return not self._whole_body and self._declared != 0

    async def _linger(self, last: Message) -> None:
        """Answer, and go on reading for a while: closing on a client that still sends would take the answer from it."""
        await self._send({**last, "more_body": True})
        left = _MOST_LINGERED_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout(_MOST_LINGERED_SECONDS):
                while left > 0 and not self._gone:
                    message = await self._receive()
                    left -= len(message.get("body", b""))
                    if not message.get("more_body", False):
                        break
        self._complete = True
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def _beat(self) -> None:
        interval = min(self._limits.keepalive_interval, self._limits.send_timeout)
        self._pulse = self._loop.call_later(interval, self._check)

    def _check(self) -> None:
        """See whether the client still reads, and whether it is kept waiting: one timer a stream, not one a chunk."""
        now = self._loop.time()
        if self._sending_since is not None:
            if now - self._sending_since >= self._limits.send_timeout:
                self._leave()
                return
        elif now - self._last_sent >= self._limits.keepalive_interval:
            self._extra = asyncio.create_task(self._keep_alive())
        self._beat()

    async def _keep_alive(self) -> None:
        """Every chunk of a stream is whole events, so that a comment between two of them disturbs nothing."""
        stream = self._scope["state"].get("stream")
        if stream is not None and not self._complete and not self._gone:
            self._last_sent = self._loop.time()
            await self._send({"type": "http.response.body", "body": stream.keepalive, "more_body": True})

    async def _end(self) -> None:
        """The last words of a request that the shutdown has ended."""
        if not self._started:
            await _refuse(self._send, _CLOSING, self._number)
            return
        stream = self._scope["state"].get("stream")
        words = stream.ending(UnavailableError(UnavailableError.SHUTTING_DOWN)) if stream is not None else b""
        self._complete = True
        await self._send({"type": "http.response.body", "body": words, "more_body": False})

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def _stop_watching(self) -> None:
        self._disarm()
        for handle in (self._pulse, self._watcher, self._extra):
            if handle is not None:
                handle.cancel()


def _request_id(scope: Scope) -> bytes:
    """The client's own id for its request when it has a fitting one, else a fresh one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return bytes(value)
    return b"req_" + os.urandom(12).hex().encode()


async def _refuse(send: Send, refusal: Refusal, number: bytes) -> None:
    """Answer in a shape that clients of every dialect can read, and close the connection."""
    kind = "invalid_request_error" if refusal.status < 500 else "overloaded_error"
    error = {"type": kind, "message": refusal.message, "param": None, "code": None}
    body = dumps({"type": "error", "error": error, "request_id": number.decode()})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        (b"x-request-id", number),
    ]
    if refusal.status == 503:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
