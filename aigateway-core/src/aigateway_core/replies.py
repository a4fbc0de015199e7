"""An answer whose head is there and whose body is still to come, whichever way it comes.

An engine that takes requests in plain words (:class:`Ask`) hands out replies of its own: nothing of httpx's is made
for them, which is what most of the time would go into. Whatever else comes is a response of httpx's: from a transport
that knows nothing else, or as an auth flow wants to see it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import httpx
from typing_extensions import override

RawHeaders: TypeAlias = Sequence[tuple[bytes, bytes]]
"""Headers as they stand on the wire; those of an answer have their names in lower case."""


class Reply(Protocol):
    """The head of an answer, and the way to its body."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> RawHeaders:
        """The response headers."""

    async def received(self, until: float) -> bytes:
        """All of the body that has come since the last call; empty at its end.

        Raises what a transport may raise, and :class:`TimeoutError` or :class:`httpx.ReadTimeout` when there is nothing
        ``until`` that time of the loop's clock.
        """

    async def aclose(self) -> None:
        """Let go of it: its connection is closed unless the body was taken to its end."""


class Ask(Protocol):
    """How a transport takes a request in plain words: its method ``ask``, if it has one."""

    async def __call__(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        unique: Sequence[tuple[str, str]],
        content: bytes,
        *,
        connect: float,
        first_byte: float,
        idle: float,
        until: float,
    ) -> Reply:
        """The reply to one request, with deadlines in seconds, and all of it ``until`` a time of the loop's clock.

        An engine may remember ``headers``, but not those that are ``unique``: a credential. What frames the body is
        written by the engine. Raises what a transport may raise: :class:`httpx.ReadTimeout` for a head that is late.
        """


def header(headers: RawHeaders, name: bytes) -> str:
    """One header, as httpx reads it; empty when it is not there."""
    found = b""
    for known, value in headers:
        if known == name:
            found = found + b", " + value if found else value
    return found.decode("iso-8859-1")


class HttpxReply:
    """A response of httpx's; ``idle`` is how long its transport lets a body be silent."""

    def __init__(self, response: httpx.Response, idle: float) -> None:
        self.status = response.status_code
        self.response = response
        self._idle = idle
        self._chunks = _raw(response)

    @property
    def headers(self) -> RawHeaders:
        """The response headers."""
        return [(name.lower(), value) for name, value in self.response.headers.raw]

    async def received(self, until: float) -> bytes:
        """As of :class:`Reply`. The engine watches over silence, so a timer is needed only near the end."""
        if until - asyncio.get_running_loop().time() > self._idle:
            return await anext(self._chunks, b"")
        async with asyncio.timeout_at(until):
            return await anext(self._chunks, b"")

    async def aclose(self) -> None:
        """As of :class:`Reply`."""
        await self._chunks.aclose()
        await self.response.aclose()


async def _raw(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """The bytes as they come in, undecoded; or what an auth flow has read of them already."""
    if response.is_stream_consumed:
        yield response.content
        return
    stream = response.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        raise TypeError("the transport gave a response without an asynchronous body")
    async for chunk in stream:
        if chunk:
            yield chunk


class WholeResponse(httpx.Response):
    """A whole answer. What httpx's own constructor does is done when somebody asks for more than its bytes."""

    def __init__(self, reply: Reply, content: bytes, request: Callable[[], httpx.Request]) -> None:
        self.status_code = reply.status
        self._made_of = (reply.headers, content, request)

    @property
    @override
    def content(self) -> bytes:
        """The body."""
        return self._made_of[1]

    def __getattr__(self, name: str) -> Any:
        if "_made_of" not in self.__dict__ or "headers" in self.__dict__:
            raise AttributeError(name)
        headers, content, request = self._made_of
        # As a stream, so that no header is added to those that came.
        super().__init__(self.status_code, headers=list(headers), stream=httpx.ByteStream(content), request=request())
        self._content = content
        self.is_stream_consumed = self.is_closed = True
        return getattr(self, name)
