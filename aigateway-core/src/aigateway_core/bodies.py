"""The body of an answer, read within limits."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import httpx

from aigateway_core.dialects.sse import MAX_EVENT_BYTES
from aigateway_core.errors import ErrorKind, UpstreamError

MAX_ERROR_BYTES = 64 << 10
"""How much of a refusal's body is read."""

ERROR_BODY_SECONDS = 5.0
"""How long a refusal's body is waited for. The status alone says enough to go on."""


async def raw(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """The bytes as they come in, undecoded; or what an auth flow has read of them already."""
    if response.is_stream_consumed:
        yield response.content
        return
    stream = response.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        raise TypeError("the transport gave a response without an asynchronous body")
    async for chunk in stream:
        yield chunk


async def collect(chunks: AsyncIterator[bytes], cap: int) -> bytes:
    """All of it. Raises :class:`UpstreamError` beyond ``cap`` bytes."""
    parts: list[bytes] = []
    size = 0
    async for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size > cap:
            raise UpstreamError(ErrorKind.PROTOCOL, f"the upstream's answer is larger than {cap} bytes")
    return b"".join(parts)


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


async def refusal(response: httpx.Response) -> bytes:
    """As much of a refusal's body as comes in time; what breaks off or lingers loses the rest.

    Front ends compress their errors whatever they were asked for: that is undone, up to the same size. What is
    compressed in another way says nothing, since its bytes must not stand in a message.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(ERROR_BODY_SECONDS), aclosing(raw(response)) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) >= MAX_ERROR_BYTES:
                    break
    except (httpx.HTTPError, TimeoutError):
        pass
    return _unpacked(bytes(body[:MAX_ERROR_BYTES]), _encoding(response))


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


def _encoding(response: httpx.Response) -> str:
    return (response.headers.get("content-encoding") or "identity").strip().lower()


def refuse_encoding(response: httpx.Response) -> None:
    """Identity was asked for. Decoding what came instead would let a kilobyte fill the memory."""
    if _encoding(response) != "identity":
        message = "the upstream compressed its answer although it was asked not to"
        raise UpstreamError(ErrorKind.PROTOCOL, message, status=response.status_code)
