"""The line between a supervisor and each of its workers: a pair of sockets, of which a byte or the end is a message.

The worker says when it takes requests, and how long it may need to end; it is asked to make room for another. The end
of the line tells each side that the other one is gone, however that happened: a worker without a supervisor would hold
the port that the next one needs.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

_READY = struct.Struct("!cd")
_LEAVE = b"l"


class WorkerEnd:
    """The worker's side."""

    def __init__(self, line: socket.socket) -> None:
        line.setblocking(False)
        self._line = line

    @classmethod
    def inherited(cls, descriptor: int) -> WorkerEnd:
        """The line that this process was started with."""
        return cls(socket.socket(fileno=descriptor))

    def attach(self, *, grace: float, on_leave: Callable[[], None], on_orphaned: Callable[[], None]) -> None:
        """Tell the supervisor that requests are taken, and listen to it from now on, in the running loop.

        ``grace`` is how many seconds these may need to end.
        """
        loop = asyncio.get_running_loop()

        def hear() -> None:
            try:
                said = self._line.recv(16)
            except BlockingIOError:
                return
            except OSError:
                said = b""
            if said:
                on_leave()
            else:
                loop.remove_reader(self._line)
                on_orphaned()

        loop.add_reader(self._line, hear)
        with suppress(OSError):
            self._line.send(_READY.pack(b"r", grace))


class SupervisorEnd:
    """The supervisor's side."""

    def __init__(self, line: socket.socket) -> None:
        line.setblocking(False)
        self._line = line

    async def ready(self) -> float | None:
        """Wait until the worker takes requests: the seconds these may need to end; None when it has ended before."""
        try:
            # A pair of sockets hands on what was sent in one piece as one piece, when it is as small as this.
            said = await asyncio.get_running_loop().sock_recv(self._line, _READY.size)
            grace: float = _READY.unpack(said)[1]
        except (OSError, struct.error):
            return None
        return grace

    def ask_to_leave(self) -> None:
        """Ask the worker to make room. One that is gone has done so."""
        with suppress(OSError):
            self._line.send(_LEAVE)

    def close(self) -> None:
        """End it; a worker that is still there ends in good order."""
        self._line.close()


def line() -> tuple[SupervisorEnd, socket.socket]:
    """A new line: the supervisor's end, and the socket that the worker inherits."""
    ours, theirs = socket.socketpair()
    return SupervisorEnd(ours), theirs
