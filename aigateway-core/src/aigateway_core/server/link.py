"""The line between a supervisor and each of its workers: a pair of sockets, of which a byte or the end is a message.

The worker says when it takes requests, and is asked to make room for another. The end of the line tells each side that
the other one is gone, however that happened: a worker without a supervisor would hold the port that the next one needs.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

_READY = b"r"
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

    def attach(self, *, on_leave: Callable[[], None], on_orphaned: Callable[[], None]) -> None:
        """Tell the supervisor that requests are taken, and listen to it from now on, in the running loop."""
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
            self._line.send(_READY)


class SupervisorEnd:
    """The supervisor's side."""

    def __init__(self, line: socket.socket) -> None:
        line.setblocking(False)
        self._line = line

    async def ready(self) -> bool:
        """Wait until the worker takes requests; false when it has ended before."""
        try:
            return await asyncio.get_running_loop().sock_recv(self._line, 1) == _READY
        except OSError:
            return False

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
