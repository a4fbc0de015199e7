"""Ports for servers that start in a moment, and for addresses where nobody is to listen."""

from __future__ import annotations

import contextlib
import itertools
import secrets
import socket

_FIRST, _END = 10_000, 32_768
"""Below those that a system gives to whoever asks for any: nothing of a test beside is given one of these."""
_candidates = itertools.islice(itertools.cycle(range(_FIRST, _END)), secrets.randbelow(_END - _FIRST), None)


def free_port() -> int:
    """A port on loopback that nobody listens on, and that is not given out again while the tests run.

    Each process of tests begins somewhere else, so that two of them do not choose the same one at the same time.
    """
    while True:
        port = next(_candidates)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
