"""How a connection is opened and how it ends, for either engine; nothing here needs aiohttp.

Both are where uvloop does not do as asyncio does.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import aiohappyeyeballs

NEXT_ADDRESS_SECONDS = 0.25
"""How long one of several addresses is tried alone (RFC 8305 §5)."""

_AT_ONCE = 256 << 10

ProtocolT = TypeVar("ProtocolT", bound=asyncio.BaseProtocol)


async def open_connection(
    addresses: Sequence[aiohappyeyeballs.AddrInfoType], make: Callable[[], ProtocolT], **secure: Any
) -> tuple[asyncio.Transport, ProtocolT]:
    """A connection to the first of the addresses that answers, with the protocol that ``make`` gives.

    ``secure`` is what ``create_connection`` takes for TLS. Raises ``OSError`` and ``TimeoutError``, and with uvloop
    ``RuntimeError`` for a connection that is lost before it could be used.
    """
    loop = asyncio.get_running_loop()
    wire = await aiohappyeyeballs.start_connection(
        addresses, happy_eyeballs_delay=NEXT_ADDRESS_SECONDS, interleave=1, loop=loop
    )
    try:
        return await loop.create_connection(make, sock=wire, **secure)
    finally:
        if not isinstance(loop, asyncio.BaseEventLoop):
            # uvloop works on the number of the descriptor and closes that. Where a connection is lost at once it leaves
            # the number with the socket as well, which would close it again when it is collected; by then it may be the
            # number of somebody else's connection. asyncio's own loops work with the socket itself.
            wire.detach()


def unread(transport: asyncio.BaseTransport) -> bytes:
    """What came over TLS before the end of a connection, and was not handed out.

    uvloop closes a connection with what it has not decrypted yet, where reading was paused at its end: some 100 kB of
    an answer whose reader is slower than its server. asyncio's loop leaves nothing behind.
    """
    tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    found: list[bytes] = []
    try:
        while tls is not None and (data := tls.read(_AT_ONCE)):
            found.append(data)
    except (ssl.SSLError, ValueError):
        pass  # there is no more
    return b"".join(found)
