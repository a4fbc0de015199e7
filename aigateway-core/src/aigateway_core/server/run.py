"""Serving: one uvicorn process around the guarded app, from listening to the last byte."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import NoReturn

import uvicorn
from typing_extensions import override

from aigateway_core.errors import ConfigurationError
from aigateway_core.server.guard import App, Guard, GuardLimits
from aigateway_core.server.protocol import with_header_timeout
from aigateway_core.settings import ServerSettings

_KEEP_ALIVE_SECONDS = 75
"""Longer than what load balancers keep (60 s is usual), so that it is they who close an idle connection."""
_LAST_WORDS_SECONDS = 3
"""From the end of the drain to the hard end: time for the last bytes to leave."""
_START_FAILED = 3


def serve(app: App, settings: ServerSettings, *, on_listening: Callable[[], None] | None = None) -> None:
    """Listen until SIGTERM or SIGINT, then end in good order. ``on_listening`` is called once requests are taken.

    Raises :class:`ConfigurationError` when the address cannot be listened on, and :class:`SystemExit` when the app
    does not start.
    """
    guard = Guard(app, _limits(settings))
    listener = _listen(settings.host, settings.port)
    # uvicorn raises the signal again once it is done; an orderly end is no death by signal.
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, lambda *_: None)
    server = _Server(_config(guard, settings), guard, settings.drain_timeout, on_listening)
    server.run(sockets=[listener])
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
        self._drain: asyncio.Task[None] | None = None

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.started and self._on_listening is not None:
            self._on_listening()

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        if self.force_exit:
            # uvicorn then leaves the lifespan out, and with it what has not been written yet.
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WORDS_SECONDS):
                    await self.lifespan.shutdown()

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            # Asked twice: whoever asks does not want to wait.
            self.force_exit = True
        elif self._loop is not None:
            self._loop.call_soon_threadsafe(self._begin_to_drain)
        super().handle_exit(sig, frame)

    def _begin_to_drain(self) -> None:
        self._drain = asyncio.ensure_future(self._guard.drain(self._grace))


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
        timeout_graceful_shutdown=round(settings.drain_timeout) + _LAST_WORDS_SECONDS,
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


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket whose connections die when nobody acknowledges what is sent for a minute."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60_000)
        listener.bind(address)
    except OSError as error:
        _refuse(host, port, error)
    return listener


def _refuse(host: str, port: int, error: OSError) -> NoReturn:
    reason = error.strerror or type(error).__name__
    raise ConfigurationError(
        f"server.host, server.port: cannot listen on {host}:{port}: {reason}; choose another with --host and --port"
    ) from error
