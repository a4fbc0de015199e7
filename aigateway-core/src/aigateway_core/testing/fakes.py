"""A vendor without a network: what it answers, and the upstream that plays it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import ClassVar, Literal

import attrs
import httpx
from typing_extensions import override

from aigateway_core.plugin import ClassifiesErrors, Provider, Secret, Upstream


def _chunks(body: bytes | Sequence[bytes]) -> tuple[bytes, ...]:
    return (body,) if isinstance(body, bytes) else tuple(body)


@attrs.frozen
class Reply:
    """One answer: its ``body`` in the chunks it comes in, and how it ends.

    ``end``: in good order, as far as HTTP can tell. ``break``: the connection is lost after the last chunk.
    ``silence``: nothing more comes, and the connection stays open until the reader leaves.
    """

    body: Sequence[bytes] = attrs.field(default=b"", converter=_chunks)
    status: int = 200
    headers: Mapping[str, str] = attrs.field(factory=dict)
    ending: Literal["end", "break", "silence"] = "end"


@attrs.frozen(kw_only=True)
class FakeVendor:
    """What a vendor answers on its own wire, in bytes.

    ``text`` is a whole answer with some text, a finish and usage; ``text_stream`` is **the same answer** streamed, in
    the chunks it comes in. ``tool_call`` and ``tool_call_stream`` are an answer that calls a tool, if there are tools.
    ``errors`` are the bodies of its refusals by status; a status that is not there is played with an empty body.
    ``model`` is the model to ask for; without it, the first one that the provider knows. ``count`` is what it answers
    when it is asked for the tokens of a prompt, if it can be.
    """

    text: bytes
    text_stream: Sequence[bytes]
    tool_call: bytes | None = None
    tool_call_stream: Sequence[bytes] = ()
    errors: Mapping[int, bytes] = attrs.field(factory=dict)
    model: str | None = None
    count: bytes | None = None


class FakeUpstream(Upstream):
    """An :class:`Upstream` that plays replies instead of calling anybody, and remembers what it was asked.

    Each request takes the next reply; the last one is played again and again. An exception in place of a reply is
    raised where the connection would have been made. Refusals are judged by ``provider`` when it classifies errors.
    Every request passes an auth flow that adds :attr:`SECRET`.
    """

    SECRET: ClassVar[str] = "sk-fake-0123456789abcdef"

    def __init__(self, *replies: Reply | Exception, provider: Provider | None = None) -> None:
        self._player = _Player(replies)
        judge: object = provider
        classify = judge.classify_error if isinstance(judge, ClassifiesErrors) else None
        super().__init__(self._player, _Marked(self.SECRET), classify=classify, secrets=(Secret(self.SECRET),))

    @property
    def requests(self) -> Sequence[httpx.Request]:
        """Every request that was sent, in order."""
        return self._player.requests

    @property
    def open_answers(self) -> int:
        """How many answers have been begun and not been closed."""
        return sum(not body.closed for body in self._player.bodies)


class _Marked(httpx.Auth):
    def __init__(self, secret: str) -> None:
        self._secret = secret

    @override
    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        request.headers["authorization"] = f"Bearer {self._secret}"
        yield request


class _Player(httpx.AsyncBaseTransport):
    def __init__(self, replies: Sequence[Reply | Exception]) -> None:
        self._replies = replies
        self.requests: list[httpx.Request] = []
        self.bodies: list[_Body] = []

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not self._replies:
            raise AssertionError(f"{request.method} {request.url}: this upstream has nothing to answer")
        reply = self._replies[min(len(self.requests), len(self._replies) - 1)]
        self.requests.append(request)
        if isinstance(reply, Exception):
            raise reply
        body = _Body(reply)
        self.bodies.append(body)
        return httpx.Response(reply.status, headers=dict(reply.headers), stream=body, request=request)


class _Body(httpx.AsyncByteStream):
    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self.closed = False

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._reply.body:
            # Lets other calls run between two chunks, as a network would.
            await asyncio.sleep(0)
            yield chunk
        if self._reply.ending == "break":
            raise httpx.ReadError("the connection was lost")
        if self._reply.ending == "silence":
            await asyncio.Event().wait()

    @override
    async def aclose(self) -> None:
        self.closed = True
