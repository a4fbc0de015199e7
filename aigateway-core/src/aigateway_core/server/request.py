"""One request under way, from its headers to its last byte or to the moment its client leaves.

It costs a request no task and no timer unless it has to be waited for: its body one timer, its stream another; nothing
is done for a single chunk but noting the time.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import Protocol

import attrs

from aigateway_core.errors import (
    GatewayError,
    RequestTimeoutError,
    RequestTooLargeError,
    UnavailableError,
)
from aigateway_core.server.asgi import LINE, App, Line, Message, Receive, Scope, Send
from aigateway_core.server.inspection import Inspected, Refusal
from aigateway_core.server.refusal import STATUS, refuse

log = logging.getLogger(__name__)

_LINGER_SECONDS = 2.0
_LINGER_BYTES = 64 << 20
_LAST_WORDS_SECONDS = 2.0


@attrs.frozen(kw_only=True)
class GuardLimits:
    """Bytes and seconds. ``max_concurrency`` 0 is no limit.

    The paths ``always_admitted`` are free of it and of ``allowed_hosts``, and are answered until the end: they tell how
    the gateway does.
    """

    max_body_bytes: int = 20 << 20
    body_timeout: float = 30.0
    send_timeout: float = 60.0
    keepalive_interval: float = 15.0
    max_concurrency: int = 0
    always_admitted: frozenset[str] = frozenset({"/health", "/ready"})
    allowed_hosts: tuple[str, ...] = ()

    @property
    def tick(self) -> float:
        """How often a stream is looked after."""
        return min(self.keepalive_interval, self.send_timeout)


class LiveStream(Protocol):
    """What the guard may say within a stream; the app sends whole events, so that it can speak between two of them."""

    @property
    def keepalive(self) -> bytes:
        """Said when nothing has been for ``keepalive_interval``; empty for nothing."""

    @property
    def ending(self) -> Callable[[GatewayError], bytes]:
        """Makes the last words of a stream that cannot go on."""


class _Reason(Enum):
    """Why a request was ended by us; the value is the message of the cancellation."""

    GONE = "the client has left"
    STALLED = "the client does not read"
    SHUTDOWN = UnavailableError.SHUTTING_DOWN


class LiveRequest:
    """Runs the app for one request, and stands between it and the server.

    While it only takes what its client still sends after the answer, it is in ``answered``.
    """

    # What most requests leave as it is costs them nothing here.
    _reason: _Reason | None = None
    _asked = _reading = _late = False
    _started = _complete = _sending = _over = False
    _read = 0
    _last_sent = 0.0
    _timer: asyncio.TimerHandle | None = None
    _pulse: asyncio.TimerHandle | None = None
    _ping: asyncio.Task[None] | None = None

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        inspected: Inspected,
        limits: GuardLimits,
        answered: set[LiveRequest],
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._declared, self._number = inspected
        self._limits = limits
        self._answered = answered
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task(self._loop)
        self._began = self._loop.time()
        self._line: Line | None = scope.get("extensions", {}).get(LINE)
        if self._line is not None:
            self._line.on_leave = self._leave
        self._body_is_in = self._declared == 0

    async def run(self, app: App) -> None:
        """Run the app to its end, or to the client's."""
        state = self._scope.setdefault("state", {})
        state["request_id"] = self._number.decode()
        failure: Exception | None = None
        try:
            try:
                await app(self._scope, self.receive, self.send)
            finally:
                if (exits := state.get("exits")) is not None:
                    await exits.__aexit__(*sys.exc_info())
        except asyncio.CancelledError:
            if self._reason is None:
                raise
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is answered and ends here
            failure = error
        finally:
            self._stop_watching()
        if self._reason is not None and self._task is not None:
            self._task.uncancel()
        if failure is not None or not self._complete:
            await self._conclude(failure)

    def finish(self) -> None:
        """The gateway shuts down: end this request now."""
        self._end(_Reason.SHUTDOWN)

    # -- from the client

    async def receive(self) -> Message:
        """The app's next message from the client. Raises :class:`ClientError` for a body too large or too slow."""
        cap = self._limits.max_body_bytes
        has_news = self._line is not None and self._line.has_news
        if not self._asked:
            self._asked = True
            if not has_news or not 0 < (self._declared or 0) <= cap:
                # Falcon asks for a first message before it has anybody who could answer an error; this one is empty, so
                # that the headers can be judged before the body is waited for.
                return {"type": "http.request", "body": b"", "more_body": not self._body_is_in}
        if self._body_is_in:
            # Nothing can come now but the client's leaving, and that is a cancellation.
            await self._loop.create_future()
        if self._declared is not None and self._declared > cap:
            raise RequestTooLargeError(f"the body has {self._declared} bytes; at most {cap} are taken")
        message = await (self._receive() if has_news else self._in_time())
        if message["type"] == "http.disconnect":
            # Falcon would take half a body for a whole one.
            self._leave()
            await asyncio.sleep(0)
        self._read += len(message.get("body", b""))
        if self._read > cap:
            raise RequestTooLargeError(f"the body is too large; at most {cap} bytes are taken")
        if not message.get("more_body", False):
            self._body_is_in = True
            if self._timer is not None:
                self._timer.cancel()
        return message

    async def _in_time(self) -> Message:
        """What comes next of the body. An ``asyncio.timeout`` would cost as much as the rest of the guard."""
        if self._timer is None:
            left = self._began + self._limits.body_timeout - self._loop.time()
            self._timer = self._loop.call_later(max(left, 0), self._give_up)
        self._reading = True
        try:
            return await self._receive()
        except asyncio.CancelledError:
            if not self._late or self._reason is not None or self._task is None:
                raise
            self._task.uncancel()
            raise RequestTimeoutError(f"the body did not arrive within {self._limits.body_timeout:g} s") from None
        finally:
            self._reading = False

    def _give_up(self) -> None:
        self._late = True
        if self._reading and self._task is not None:
            self._task.cancel()

    def _leave(self) -> None:
        """The client is gone."""
        self._end(_Reason.GONE)

    def _end(self, reason: _Reason) -> None:
        if self._reason is None and not self._complete and not self._over and self._task is not None:
            self._reason = reason
            self._task.cancel(reason.value)

    # -- to the client

    async def send(self, message: Message) -> None:
        """The app's next message to the client."""
        if self._ping is not None:
            await asyncio.wait({self._ping})
        is_last = False
        if message["type"] == "http.response.start":
            message = self._begun(message)
        elif message.get("more_body", False):
            if self._pulse is None:
                self._keep_watch()
        else:
            is_last = True
            if not self._body_is_in:
                message = await self._too_early(message)
        if self._pulse is None:  # nobody looks how long it takes
            await self._send(message)
        else:
            self._sending, self._last_sent = True, self._loop.time()
            await self._send(message)
            self._sending, self._last_sent = False, self._loop.time()
        self._complete = is_last

    def _begun(self, message: Message) -> Message:
        """The head of the answer, with what the guard has to say in it."""
        self._started = True
        if "stream" in self._scope["state"]:
            self._keep_watch()
        headers = list(message.get("headers", ()))
        if b"x-request-id" in dict(headers):
            headers = [header for header in headers if header[0] != b"x-request-id"]
        headers.append((b"x-request-id", self._number))
        if not self._body_is_in:
            # What is left of the body must not be taken for the next request.
            headers.append((b"connection", b"close"))
        return {**message, "headers": headers}

    async def _too_early(self, message: Message) -> Message:
        """All of the answer is known before the body has come: it is sent, and its end kept for a while."""
        await self._send({**message, "more_body": True})
        self._answered.add(self)
        try:
            await self._linger()
        finally:
            self._answered.discard(self)
        return {"type": "http.response.body", "body": b"", "more_body": False}

    async def _linger(self) -> None:
        """Read on for a while: closing on a client that still sends would take the answer away from it."""
        left = _LINGER_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_SECONDS):
                while left > 0:
                    message = await self._receive()
                    left -= len(message.get("body", b""))
                    if not message.get("more_body", False):
                        return

    def _keep_watch(self) -> None:
        self._pulse = self._loop.call_later(self._limits.tick, self._check)

    def _check(self) -> None:
        """Does the client still read, and has it been kept waiting? One timer for a stream, not one for a chunk."""
        quiet = self._loop.time() - self._last_sent
        wait = self._limits.tick
        if self._sending:
            wait = self._limits.send_timeout - quiet
            if wait <= 0:
                self._end(_Reason.STALLED)
                return
        elif quiet < wait:
            wait -= quiet
        elif (words := self._keepalive()) and self._ping is None:
            self._ping = self._loop.create_task(self._keep_alive(words))
        self._pulse = self._loop.call_later(wait, self._check)

    def _keepalive(self) -> bytes:
        stream: LiveStream | None = self._scope["state"].get("stream")
        return stream.keepalive if stream is not None else b""

    async def _keep_alive(self, words: bytes) -> None:
        self._sending, self._last_sent = True, self._loop.time()
        await self._send({"type": "http.response.body", "body": words, "more_body": True})
        self._sending, self._last_sent = False, self._loop.time()
        self._ping = None

    # -- the end

    def _stop_watching(self) -> None:
        self._over = True
        if self._line is not None:
            self._line.on_leave = None
        for handle in (self._timer, self._pulse, self._ping):
            if handle is not None:
                handle.cancel()

    async def _conclude(self, failure: Exception | None) -> None:
        """Say what is left to say, when the app has not come to its own end."""
        if failure is not None and not isinstance(failure, GatewayError):
            log.error("a request failed inside the gateway (request %s)", self._number.decode(), exc_info=failure)
        if self._complete or self._reason is _Reason.GONE:
            return
        if failure is None and self._reason is None:
            log.error("a request got no answer, or half of one (request %s)", self._number.decode())
        if self._reason is _Reason.STALLED:
            await self._abort()
        elif self._reason is _Reason.SHUTDOWN:
            await self._last_words(UnavailableError(UnavailableError.SHUTTING_DOWN))
        else:
            await self._last_words(failure if isinstance(failure, GatewayError) else GatewayError("internal error"))

    async def _last_words(self, error: GatewayError) -> None:
        stream: LiveStream | None = self._scope["state"].get("stream")
        try:
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                if not self._started:
                    await refuse(self._send, Refusal(STATUS.get(error.kind, 500), error.message), self._number)
                elif stream is not None and not self._sending:
                    await self._send({"type": "http.response.body", "body": stream.ending(error), "more_body": False})
                else:
                    await self._abort()
        except TimeoutError:
            await self._abort()

    async def _abort(self) -> None:
        """Break the connection, so that nobody takes half an answer for a whole one; then the server knows as well."""
        if self._line is not None:
            self._line.abort()
            while (await self._receive())["type"] != "http.disconnect":
                pass
