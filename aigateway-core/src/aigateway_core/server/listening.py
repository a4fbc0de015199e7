"""Listening: a socket for every address of the host, bound before anything is served."""

from __future__ import annotations

import errno
import socket
import sys

from aigateway_core.errors import ConfigurationError
from aigateway_core.settings import ServerSettings

_BACKLOG = 2048
_NOT_HERE = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""This machine does not have the address, or none of its family."""
_LONGEST_USER_TIMEOUT = 2**31 - 1
"""Milliseconds; 24 days. The kernel takes no more, and none at all would be its own 15 minutes."""
_FILES_WANTED = 65_536
"""Each stream takes two descriptors; the usual soft limit of 1024 would end at 500 of them."""


def listen(settings: ServerSettings) -> list[socket.socket]:
    """A listening socket for every address of the host; of those of ``localhost`` one may not exist on this machine.

    Raises :class:`ConfigurationError` when the address cannot be listened on.
    """
    host, port = settings.host.strip("[]"), settings.port
    listeners: list[socket.socket] = []
    failure: OSError | ValueError | None = None
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
    except (OSError, ValueError) as error:
        # A ValueError is that of a name which no name can be: too long, or with odd characters.
        failure = error
    if failure is None or (listeners and isinstance(failure, OSError) and failure.errno in _NOT_HERE):
        return listeners
    for listener in listeners:
        listener.close()
    reason = (failure.strerror if isinstance(failure, OSError) else "this is no host") or type(failure).__name__
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
            milliseconds = max(1, int(min(send_timeout * 1000, _LONGEST_USER_TIMEOUT)))
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        listener.bind(address)
        # At once, since two processes can both have bound an address until one of them listens.
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def raise_file_limit() -> None:
    """Allow this process, and those that it starts, as many open files as an ordinary one may have."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_WANTED if hard == resource.RLIM_INFINITY else min(_FILES_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def leave_no_core() -> None:
    """Let a crash of this process, and of those that it starts, write no image of its memory: all secrets are in it."""
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
