"""Serving: one uvicorn process around the guarded app, from listening to the last byte."""

from __future__ import annotations

import asyncio
import errno
import math
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType

import uvicorn
from typing_extensions import override

from aigateway_core.errors import ConfigurationError
from aigateway_core.server.asgi import App
from aigateway_core.server.guard import Guard, GuardLimits
from aigateway_core.server.protocol import with_header_timeout
from aigateway_core.settings import ServerSettings

_KEEP_ALIVE_SECONDS = 75
"""Longer than what load balancers keep (60 s is usual), so that it is they who close an idle connection."""
_LAST_WORDS_SECONDS = 3
"""From the end of the drain to the hard end: time for the last bytes to leave."""
_START_FAILED = 3
_BACKLOG = 2048
_NOT_HERE = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""This machine does not have the address, or none of its family."""
_FILES_WANTED = 65_536
"""Each stream takes two descriptors; the usual soft limit of 1024 would end at 500 of them."""


def serve(app: App, settings: ServerSettings, *, on_listening: Callable[[], None] | None = None) -> None:
    """Listen until SIGTERM or SIGINT, then end in good order. ``on_listening`` is called once requests are taken.

    On the first signal no more connections are taken, and what is under way has ``settings.drain_timeout`` seconds;
    then streams are ended in their own dialect. On the second signal that happens at once.

    Raises :class:`ConfigurationError` when the address cannot be listened on, and :class:`SystemExit` when the app
    does not start.
    """
    guard = Guard(app, _limits(settings))
    listeners = _listen(settings)
    _raise_file_limit()
    server = _Server(_config(guard, settings), guard, settings.drain_timeout, on_listening)
    server.run(sockets=listeners)
    if not server.started:
        sys.exit(_START_FAILED)


class _Server(uvicorn.Server):
    def __init__(
        self, config: uvicorn.Config, guard: Guard, grace: float, on_listening: Callable[[], None] | None
    ) -> None:
        super().__init__(config)
        self._guard = guard
        self._grace = grace
        self._on_listening = on_listening
        self._loop: asyncio.AbstractEventLoop | None = None

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.started and self._on_listening is not None:
            self._on_listening()

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """In place of uvicorn's handling, which would raise the signal again at the end: ours is an orderly one."""
        if self._loop is None:
            signal.default_int_handler(sig, frame)
        elif self.should_exit:
            self._loop.call_soon_threadsafe(self._guard.end)
        else:
            self.should_exit = True
            self._loop.call_soon_threadsafe(self._guard.drain, self._grace)


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


def _limits(settings: ServerSettings) -> GuardLimits:
    return GuardLimits(
        max_body_bytes=settings.max_body_bytes,
        body_timeout=settings.body_timeout,
        send_timeout=settings.send_timeout,
        keepalive_interval=settings.keepalive_interval,
        max_concurrency=settings.max_concurrency,
        allowed_hosts=settings.allowed_hosts,
    )


def _listen(settings: ServerSettings) -> list[socket.socket]:
    """A listening socket for every address of the host; of those of ``localhost`` one may not exist on this machine."""
    host, port = settings.host.strip("[]"), settings.port
    listeners: list[socket.socket] = []
    failure: OSError | None = None
    try:
        for family, _, _, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            try:
                listeners.append(_listener(family, address, settings.send_timeout))
            except OSError as error:
                failure = error
                if error.errno not in _NOT_HERE:
                    break
    except OSError as error:
        failure = error
    if failure is None or (listeners and failure.errno in _NOT_HERE):
        return listeners
    for listener in listeners:
        listener.close()
    reason = failure.strerror or type(failure).__name__
    raise ConfigurationError(
        f"server.host, server.port: cannot listen on {host}:{port}: {reason}; choose another with --host and --port"
    ) from failure


def _listener(family: int, address: tuple[str | int | bytes, ...], send_timeout: float) -> socket.socket:
    # With its protocol said, for asyncio sets TCP_NODELAY on nothing else, and then each answer waits for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # Its connections inherit it: one whose client takes nothing of what was written dies without us.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(send_timeout * 1000))
        listener.bind(address)
        # At once, since two processes can both have bound an address until one of them listens.
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _raise_file_limit() -> None:
    """As far as an ordinary process may."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_WANTED if hard == resource.RLIM_INFINITY else min(_FILES_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
