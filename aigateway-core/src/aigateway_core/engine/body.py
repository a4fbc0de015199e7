"""How an answer is read: its body, and what aiohttp's exceptions mean from the moment of being connected."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import httpx
from aiohttp.http import HttpProcessingError
from typing_extensions import override

from aigateway_core.engine.resolving import detail_of


class Body(httpx.AsyncByteStream):
    """The body as it comes in. Closing it before its end closes the connection, at once."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        protocol = None if response.connection is None else response.connection.protocol
        self._unframed = None if _is_framed(response) else protocol
        self._closed = None if protocol is None else protocol.closed
        if self._closed is not None:
            self._closed.add_done_callback(self._lost)
            # Once for a connection: who asked for this future has to take its exception, even from an idle one.
            self._closed.remove_done_callback(asyncio.Future.exception)
            self._closed.add_done_callback(asyncio.Future.exception)

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        content = self._response.content
        try:
            while chunk := await content.readany():
                yield chunk
        except FAILURES as error:
            # aiohttp drops what had come in before the connection broke, if it has not been read by then.
            if chunk := content._read_nowait(-1):  # noqa: SLF001
                yield chunk
            raise failed(error) from None
        if self._unframed is not None and isinstance(self._unframed.exception(), OSError):
            raise httpx.ReadError("the connection was reset where its closing would have ended the body")

    @override
    async def aclose(self) -> None:
        if self._closed is not None:
            self._closed.remove_done_callback(self._lost)
        if (connection := self._response.connection) is not None and connection.transport is not None:
            connection.transport.abort()
        self._response.close()

    def _lost(self, _: asyncio.Future[None]) -> None:
        """Wake the reader: aiohttp leaves it waiting for ever when it closes the connection over a malformed chunk."""
        content = self._response.content
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError())


FAILURES = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError)
"""What aiohttp raises once it is connected; a TimeoutError is an OSError, and a ValueError refuses a header of ours."""

MEANINGS: dict[type[Exception], type[httpx.TransportError]] = {
    # Most specific first.
    aiohttp.InvalidURL: httpx.UnsupportedProtocol,
    aiohttp.NonHttpUrlClientError: httpx.UnsupportedProtocol,
    aiohttp.ServerDisconnectedError: httpx.RemoteProtocolError,
    aiohttp.ClientPayloadError: httpx.RemoteProtocolError,
    aiohttp.ClientResponseError: httpx.RemoteProtocolError,
    HttpProcessingError: httpx.RemoteProtocolError,
    aiohttp.ClientConnectionResetError: httpx.WriteError,
    TimeoutError: httpx.ReadTimeout,
    aiohttp.ClientError: httpx.ReadError,
    OSError: httpx.ReadError,
    ValueError: httpx.LocalProtocolError,
}


def failed(error: Exception) -> httpx.TransportError:
    """One of :data:`FAILURES` in httpx's words."""
    return next(meaning for kind, meaning in MEANINGS.items() if isinstance(error, kind))(detail_of(error))


def _is_framed(response: aiohttp.ClientResponse) -> bool:
    return "content-length" in response.headers or "transfer-encoding" in response.headers
