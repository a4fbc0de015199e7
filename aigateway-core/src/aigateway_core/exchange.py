"""One exchange with an upstream, whole or streamed: what every one is, and the native one.

An exchange knows what to send and how to read what comes back; it knows nothing of accounts, so that the same exchange
can be tried on another account when the first one fails. Streams are opened up to the commit point:
:meth:`Exchange.open` returns once the first real content is there, and until then an error is raised as if nothing had
happened. Translated exchanges are in :mod:`aigateway_core.translation`.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import ClassVar

import attrs
from typing_extensions import override

from aigateway_core.dialects.dialect import Classify, Dialect, NativeAnswer, StreamTap
from aigateway_core.errors import ClientError, ErrorKind, GatewayError, UpstreamError
from aigateway_core.events import unfold
from aigateway_core.headers import DROPPED, listed
from aigateway_core.jsontext import dumps, loads_upstream
from aigateway_core.model import ChatRequest, FinishReason, JsonObject, Usage
from aigateway_core.plugin.provider import Endpoint
from aigateway_core.upstream import Upstream, UpstreamStream

AFTERMATH_SECONDS = 2.0
"""How long an upstream is listened to once the answer is complete: for a late usage, and for the end of its body, after
which its connection can be used again."""

_MOST_BEFORE_CONTENT = 16 << 20
"""Bytes of a stream that are kept until one of its events is content: one that never comes to it must not fill the
memory. Some vendors tell what they were asked once more at the beginning."""


class Outcome:
    """What was learnt of an answer in passing; complete once its stream has ended."""

    __slots__ = ("finish_reason", "usage")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.finish_reason: FinishReason | None = None


@attrs.frozen(eq=False)
class Whole:
    """A whole answer in the client's dialect."""

    body: bytes
    outcome: Outcome | NativeAnswer
    headers: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(eq=False)
class Stream:
    """A streamed answer in the client's dialect, past its commit point.

    ``chunks`` raises :class:`UpstreamError` when the upstream fails on the way; ``fail`` puts that in-band where it has
    to fit what was sent before, and gives None where the dialect alone can say it. ``close`` is called once, when
    nobody takes any more of it: it lets go of what the stream holds open.
    """

    chunks: AsyncGenerator[bytes, None]
    outcome: Outcome | NativeAnswer | StreamTap
    fail: Callable[[GatewayError, str], bytes | None]
    headers: Mapping[str, str]
    close: Callable[[], Awaitable[None]]


class Exchange(ABC):
    """What is to be sent, and how the answer is read."""

    headers: Mapping[str, str] = {}
    """Headers for the client's answer."""

    is_native: bool = False
    """Whether the client's body goes out as it is."""

    is_helper: ClassVar[bool] = False
    """Whether this is no more than a help for clients: its failures are held against no account."""

    @abstractmethod
    async def complete(self, upstream: Upstream) -> Whole:
        """The whole answer. Raises :class:`UpstreamError`."""

    async def open(self, upstream: Upstream) -> Stream:
        """The stream at its commit point. Raises :class:`UpstreamError`, and holds nothing open then.

        Of what never streams, the whole answer at once.
        """
        whole = await self.complete(upstream)
        return Stream(_once(whole.body), whole.outcome, lambda *_: None, whole.headers, _nothing_open)

    def turn_to_another_account(self) -> None:  # noqa: B027 - most have no such thing
        """Another account is asked from now on: what only the last one could not have is asked for again."""

    def mend(self, error: UpstreamError) -> bool:  # noqa: ARG002 - most have nothing to leave out
        """Leave out what the upstream refuses, if the answer means the same without; whether to ask again, now."""
        return False

    def unasked(self, failure: GatewayError | None = None) -> Whole | None:  # noqa: ARG002
        """An answer that no upstream is needed for: before any was asked, or after it ended in ``failure``."""
        return None


class NativeExchange(Exchange):
    """The client's body goes out as it is, but for model and stream options, and the answer comes back as it is.

    ``content`` is what spells ``body``: where nothing is changed it is what goes out, to the byte.
    """

    is_native = True

    def __init__(
        self,
        endpoint: Endpoint,
        client: Dialect,
        body: JsonObject,
        model: str,
        client_model: str,
        classify: Classify | None,
        content: bytes | None = None,
    ) -> None:
        self._endpoint = self._first = endpoint
        self._client = client
        self._body = body
        self._client_model = client_model
        self._classify = classify
        self._model = model
        self._as_it_came = content, body
        self._mended = False
        self._send()

    def _send(self, mended: JsonObject | None = None) -> None:
        """Make ready what goes out: the client's body for this vendor, or that after it was mended."""
        sent = mended
        if sent is None:
            sent = self._endpoint.dialect.native_request(self._body, self._model)
            sent = self._endpoint.prepare(sent) if self._endpoint.prepare else sent
        self._sent = sent
        content, body = self._as_it_came
        if self._endpoint.enclose:
            self._content = None  # what depends on the account is written for each of them
        elif content is not None and self._endpoint.prepare is None and _is_unchanged(sent, body):
            self._content = content
        else:
            self._content = dumps(sent)

    async def _enclosed(self, upstream: Upstream) -> bytes:
        """What goes out to this account alone."""
        enclose = self._endpoint.enclose
        return dumps(self._sent if enclose is None else await enclose(self._sent, upstream))

    @override
    def turn_to_another_account(self) -> None:
        self._endpoint = self._first

    @override
    def mend(self, error: UpstreamError) -> bool:
        """Another host, while there is one; and once what was refused is left out: the client hears the rest."""
        if error.is_the_hosts and (other := self._endpoint.fallback) is not None:
            self._endpoint = attrs.evolve(
                self._endpoint, url=other.url, stream_url=other.stream_url, fallback=other.fallback
            )
            if error.kind is not ErrorKind.MODEL_NOT_FOUND:
                self._first = self._endpoint  # that host is away for everybody
            return True
        if self._mended:
            return False
        self._mended = self._leave_out(error)
        return self._mended

    def _leave_out(self, error: UpstreamError) -> bool:
        """Send the body without what the error complains of (case 167); whether there is such a thing."""
        name = self._endpoint.dialect.refused_extra(self._body, error)
        if name is not None:
            self._body = {field: value for field, value in self._body.items() if field != name}
            self.headers = {DROPPED: listed([name])}
            self._send()
            return True
        mended = self._endpoint.mend(self._sent, error) if self._endpoint.mend else None
        if mended is not None:
            self._send(mended)
        return mended is not None

    @override
    async def complete(self, upstream: Upstream) -> Whole:
        """Relay a whole answer."""
        content, endpoint = self._content or await self._enclosed(upstream), self._endpoint
        response = await upstream.post(endpoint.url, content=content, headers=endpoint.headers)
        answer = endpoint.dialect.native_response(response.content, self._client_model, self._classify)
        return Whole(answer.body, answer, self.headers)

    @override
    async def open(self, upstream: Upstream) -> Stream:
        """Relay a stream."""
        content, endpoint = self._content or await self._enclosed(upstream), self._endpoint
        streamed = upstream.stream(endpoint.stream_url or endpoint.url, content=content, headers=endpoint.headers)
        tap = self._client.reframe(endpoint.dialect.stream_tap(self._body, self._client_model, self._classify))
        reply = await streamed.__aenter__()  # its block is left when the stream is closed, wherever that is
        chunks = reply.chunks()
        close = partial(_let_go, streamed, chunks, tap)
        try:
            if reply.is_json:
                return self._from_whole(await reply.read(), close)
            return await self._committed(chunks, tap, close)
        except BaseException:
            await close()
            raise

    async def _committed(
        self, chunks: AsyncGenerator[bytes, None], tap: StreamTap, close: Callable[[], Awaitable[None]]
    ) -> Stream:
        """The stream, once something has come that a client would show, or all of it."""
        held: list[bytes] = []
        size = 0
        async for chunk in chunks:
            held.append(tap.feed(chunk))
            size += len(held[-1])
            if tap.error is not None:
                raise tap.error
            if tap.committed or tap.ended:
                return Stream(_relay(b"".join(held), chunks, tap), tap, tap.fail, self.headers, close)
            if size > _MOST_BEFORE_CONTENT:
                raise UpstreamError(ErrorKind.PROTOCOL, "the upstream's stream begins and begins, and says nothing")
        held.append(tap.end())
        if tap.error is not None:
            raise tap.error
        return Stream(_once(b"".join(held)), tap, tap.fail, self.headers, close)

    def _from_whole(self, content: bytes, close: Callable[[], Awaitable[None]]) -> Stream:
        """A stream made of a whole answer, for an upstream that does not stream (case 170)."""
        answer = self._endpoint.dialect.native_response(content, self._client_model, self._classify)
        try:
            request = self._client.decode_request(self._body)
        except ClientError:
            # The vendor knows what the gateway does not. Little of a request shows in how its answer is written.
            request = ChatRequest(model=self._client_model, stream=True)
        response = self._endpoint.dialect.decode_response(loads_upstream(content), request)
        encoder = self._client.stream_encoder(request)
        content = b"".join(map(encoder.encode, unfold(response))) + encoder.end()
        return Stream(_once(content), answer, encoder.fail, self.headers, close)


def _is_unchanged(sent: JsonObject, body: JsonObject) -> bool:
    """Whether it is the client's own body, its values the very same objects; but a model may have the same name."""
    if len(sent) != len(body) or sent.get("model") != body.get("model"):
        return False
    for name, value in sent.items():  # noqa: SIM110 - a generator would be resumed for each
        if value is not body.get(name, sent) and name != "model":
            return False
    return True


async def _relay(first: bytes, chunks: AsyncIterator[bytes], tap: StreamTap) -> AsyncGenerator[bytes, None]:
    yield first
    if tap.ended:
        return
    async for chunk in chunks:
        if passed := tap.feed(chunk):
            yield passed
        if tap.error is not None or tap.ended:
            break
    else:
        if passed := tap.end():
            yield passed
    if tap.error is not None:
        raise tap.error


async def _let_go(
    streamed: AbstractAsyncContextManager[UpstreamStream], chunks: AsyncGenerator[bytes, None], tap: StreamTap
) -> None:
    """Take in the end of a body whose last word was heard; that it breaks or lingers hurts nobody any more."""
    try:
        if tap.ended:
            with suppress(UpstreamError, TimeoutError):
                async with asyncio.timeout(AFTERMATH_SECONDS):
                    async for _ in chunks:
                        pass
    finally:
        await chunks.aclose()
        await streamed.__aexit__(None, None, None)


async def _nothing_open() -> None:
    pass


async def _once(content: bytes) -> AsyncGenerator[bytes, None]:
    yield content
