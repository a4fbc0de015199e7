"""Serving: one uvicorn process around the guarded app, from listening to the last byte."""

from __future__ import annotations

import asyncio
import gc
import math
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import uvicorn
from typing_extensions import override

from aigateway_core.server.asgi import App
from aigateway_core.server.guard import Guard, GuardLimits
from aigateway_core.server.link import WorkerEnd
from aigateway_core.server.listening import leave_no_core, listen, raise_file_limit
from aigateway_core.server.protocol import Connection, with_header_timeout
from aigateway_core.server.stalls import StallWatch
from aigateway_core.settings import ServerSettings

_KEEP_ALIVE_SECONDS = 75
"""Longer than what load balancers keep (60 s is usual), so that it is they who close an idle connection."""
_LAST_WORDS_SECONDS = 3
"""From the end of the drain to the hard end: time for the last bytes to leave."""
_START_FAILED = 3
_GARBAGE_THRESHOLDS = (20_000, 20, 20)
"""When the collector looks for cycles. Few requests leave any behind, and each look stops all of them."""
_SWITCH_SECONDS = 0.001
"""How long a thread that writes records may keep the interpreter from the event loop, which lets go of it whenever it
waits. Python's own five milliseconds are what a client would wait beyond its answer."""
_LINGER_SECONDS = 1.0
"""How long a worker that makes room for another answers on connections that are open: their clients learn from the
answer that it is the last one, where a connection that is closed under them would lose a request."""


def serve(
    app: App,
    settings: ServerSettings,
    *,
    on_listening: Callable[[], None] | None = None,
    on_stopping: Callable[[], None] | None = None,
    on_stall: Callable[[], None] | None = None,
    listeners: Sequence[socket.socket] | None = None,
    link: WorkerEnd | None = None,
) -> None:
    """Listen until SIGTERM or SIGINT, then end in good order.

    ``on_listening`` is called once requests are taken, ``on_stopping`` when none are any more, ``on_stall`` on another
    thread whenever something blocks the event loop.

    On the first signal no more connections are taken, and what is under way has ``settings.drain_timeout`` seconds;
    then streams are ended in their own dialect. On the second signal that happens at once. SIGHUP is a first one too.

    A worker is given its ``listeners`` and the ``link`` to its supervisor, which may ask it to make room: then it takes
    no more connections, and ends when its last request has.

    Raises :class:`ConfigurationError` when the address cannot be listened on, and :class:`SystemExit` when the app
    does not start.
    """
    guard = Guard(app, _limits(settings))
    listeners = listen(settings) if listeners is None else list(listeners)
    raise_file_limit()
    leave_no_core()
    stalls = StallWatch(on_stall)
    server = _Server(_config(guard, settings), guard, settings.drain_timeout, on_listening, on_stopping, stalls, link)
    server.run(sockets=listeners)
    if not server.started:
        sys.exit(_START_FAILED)


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        guard: Guard,
        grace: float,
        on_listening: Callable[[], None] | None,
        on_stopping: Callable[[], None] | None,
        stalls: StallWatch,
        link: WorkerEnd | None = None,
    ) -> None:
        super().__init__(config)
        self._guard = guard
        self._grace = grace
        self._on_listening = on_listening
        self._on_stopping = on_stopping
        self._stalls = stalls
        self._link = link
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leaving: asyncio.Task[None] | None = None

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.started:
            _settle()
            self._stalls.start()
        if self.started and self._on_listening is not None:
            self._on_listening()
        if self.started and self._link is not None:
            self._link.attach(
                grace=self._grace,
                on_leave=self._make_room,
                on_orphaned=lambda: self.handle_exit(signal.SIGTERM, None),
            )

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Together with the end of listening: a request that came in between would be refused for nothing.
        self._guard.drain(self._grace)
        if self._on_stopping is not None:
            self._on_stopping()
        if self._leaving is not None:
            self._leaving.cancel()
        await super().shutdown(sockets)
        self._stalls.stop()

    @override
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """What uvicorn does, and for SIGHUP the same: a terminal that is closed, or a gateway that shall read anew."""
        with super().capture_signals(), _hang_ups(self._hang_up):
            yield

    def _hang_up(self, sig: int, frame: FrameType | None) -> None:
        # A terminal that closes may say so twice, and has no hurry.
        if not self.should_exit:
            self.handle_exit(sig, frame)

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """In place of uvicorn's handling, which would raise the signal again at the end: ours is an orderly one."""
        if self._loop is None:
            signal.default_int_handler(sig, frame)
        elif self.should_exit:
            self._loop.call_soon_threadsafe(self._guard.end)
        else:
            self.should_exit = True

    def _make_room(self) -> None:
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._leave(), name="make-room")

    async def _leave(self) -> None:
        """Take no more connections, and end when the last request has. No request is refused on the way."""
        for server in self.servers:
            server.close()
        last = (b"connection", b"close")
        self.config.encoded_headers.append(last)
        self.server_state.default_headers = [*self.server_state.default_headers, last]
        for connection in self.server_state.connections:
            if isinstance(connection, Connection):
                connection.end_after_this_answer()
        await asyncio.sleep(_LINGER_SECONDS)
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self.server_state.connections:  # noqa: ASYNC110 - uvicorn tells nobody of the last one
            await asyncio.sleep(0.1)
        self.should_exit = True


@contextmanager
def _hang_ups(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Let ``handler`` hear of SIGHUP, unless whoever started the process does not want it to (``nohup``)."""
    if sys.platform == "win32" or signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        yield
        return
    before = signal.signal(signal.SIGHUP, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def _config(guard: Guard, settings: ServerSettings) -> uvicorn.Config:
    return uvicorn.Config(
        guard,
        http=with_header_timeout(settings.header_timeout),
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=math.ceil(settings.drain_timeout) + _LAST_WORDS_SECONDS,
    )


def _settle() -> None:
    """Let the collector, which the command has switched off, pass over what the start has made: it stays to the end.

    From now on no thread keeps the interpreter from the event loop for long.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GARBAGE_THRESHOLDS)
    gc.enable()
    sys.setswitchinterval(_SWITCH_SECONDS)


def _limits(settings: ServerSettings) -> GuardLimits:
    return GuardLimits(
        max_body_bytes=settings.max_body_bytes,
        body_timeout=settings.body_timeout,
        send_timeout=settings.send_timeout,
        keepalive_interval=settings.keepalive_interval,
        max_concurrency=settings.max_concurrency,
        allowed_hosts=settings.allowed_hosts,
    )
