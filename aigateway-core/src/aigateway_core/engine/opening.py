"""How a connection is opened over one of several addresses, for either engine; nothing here needs aiohttp."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import aiohappyeyeballs

NEXT_ADDRESS_SECONDS = 0.25
"""How long one of several addresses is tried alone (RFC 8305 §5)."""

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
