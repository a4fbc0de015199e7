"""A server on loopback that takes connections and resets each at once, as one does that dies or is overrun."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_WITHOUT_LINGERING = struct.pack("ii", 1, 0)


@contextmanager
def resetting() -> Iterator[int]:
    """The port of one. It runs in a thread, so that it resets while the loop is still about to write."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_reset_all, args=[server])
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def _reset_all(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _WITHOUT_LINGERING)
