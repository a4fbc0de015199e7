"""Servers on loopback that run in a thread: the loop that is tested is not the one on which they answer and end."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

_WITHOUT_LINGERING = struct.pack("ii", 1, 0)


@contextmanager
def serving(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of one that gives each connection to ``handle``, one after the other, and then closes it."""

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(5)
                handle(connection)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def resetting() -> AbstractContextManager[int]:
    """The port of one that takes connections and resets each at once, as one does that dies or is overrun."""
    return serving(lambda connection: connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _WITHOUT_LINGERING))
