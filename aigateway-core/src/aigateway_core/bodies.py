"""The body of an answer, read within limits."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

import httpx

from aigateway_core.dialects.sse import MAX_EVENT_BYTES
from aigateway_core.errors import ErrorKind, UpstreamError
from aigateway_core.replies import Reply, header

MAX_ERROR_BYTES = 64 << 10
"""How much of a refusal's body is read."""

ERROR_BODY_SECONDS = 5.0
"""How long a refusal's body is waited for. The status alone says enough to go on."""


async def collect(reply: Reply, until: float, cap: int) -> bytes:
    """The whole body; errors as of :meth:`Reply.received`, and :class:`UpstreamError` beyond ``cap`` bytes."""
    parts: list[bytes] = []
    size = 0
    while chunk := await reply.received(until):
        parts.append(chunk)
        size += len(chunk)
        if size > cap:
            raise _too_large(cap)
    return parts[0] if len(parts) == 1 else b"".join(parts)


class HeldReply:
    """A reply whose body is read bit by bit, and is no larger than ``cap`` bytes all the same."""

    def __init__(self, reply: Reply, cap: int) -> None:
        self.status, self.headers, self.aclose = reply.status, reply.headers, reply.aclose
        self._reply = reply
        self._cap = cap
        self._size = 0

    async def received(self, until: float) -> bytes:
        """As of :class:`Reply`; raises :class:`UpstreamError` beyond the cap."""
        chunk = await self._reply.received(until)
        self._size += len(chunk)
        if self._size > self._cap:
            raise _too_large(self._cap)
        return chunk


def _too_large(cap: int) -> UpstreamError:
    return UpstreamError(ErrorKind.PROTOCOL, f"the upstream's answer is larger than {cap} bytes")


async def split_lines(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Lines without their LF. Raises :class:`UpstreamError` for one that does not end."""
    held: list[bytes] = []
    size = 0
    async with aclosing(chunks):
        async for chunk in chunks:
            whole, newline, rest = chunk.rpartition(b"\n")
            if newline:
                for line in b"".join((*held, whole)).split(b"\n"):
                    yield line
                held, size = [], 0
            held.append(rest)
            size += len(rest)
            if size > MAX_EVENT_BYTES:
                raise UpstreamError(ErrorKind.PROTOCOL, "the upstream sent a line without an end")
    yield b"".join(held)


async def refusal(reply: Reply) -> bytes:
    """As much of a refusal's body as comes in time; what breaks off or lingers loses the rest.

    Front ends compress their errors whatever they were asked for: that is undone, up to the same size. What is
    compressed in another way says nothing, since its bytes must not stand in a message.
    """
    body = bytearray()
    until = asyncio.get_running_loop().time() + ERROR_BODY_SECONDS
    with suppress(httpx.HTTPError, TimeoutError):
        while len(body) < MAX_ERROR_BYTES and (chunk := await reply.received(until)):
            body += chunk
    encoding = header(reply.headers, b"content-encoding").strip().lower()
    return _unpacked(bytes(body[:MAX_ERROR_BYTES]), encoding or "identity")


_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


def _unpacked(body: bytes, encoding: str) -> bytes:
    if encoding == "identity":
        return body
    if encoding not in ("gzip", "x-gzip", "deflate"):
        return b""
    try:
        return zlib.decompressobj(_GZIP_OR_ZLIB).decompress(body, MAX_ERROR_BYTES)
    except zlib.error:
        return b""


def refuse_encoding(reply: Reply) -> None:
    """Identity was asked for. Decoding what came instead would let a kilobyte fill the memory."""
    for name, value in reply.headers:
        if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            message = "the upstream compressed its answer although it was asked not to"
            raise UpstreamError(ErrorKind.PROTOCOL, message, status=reply.status)
