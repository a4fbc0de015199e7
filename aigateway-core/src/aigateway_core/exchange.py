"""One exchange with an upstream: native or translated, whole or streamed.

An exchange knows what to send and how to read what comes back; it knows nothing of accounts, so that the same exchange
can be tried on another account when the first one fails. Streams are opened up to the commit point:
:meth:`Exchange.open` returns once the first real content is there, and until then an error is raised as if nothing had
happened.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, suppress
from typing import ClassVar

import attrs
from typing_extensions import override

from aigateway_core.dialects.dialect import Classify, Dialect, StreamEncoder, StreamTap
from aigateway_core.dialects.estimate import OutputMeter, usage_of
from aigateway_core.errors import ClientError, ErrorKind, GatewayError, UpstreamError
from aigateway_core.events import (
    CONTENT_EVENTS,
    StreamEvent,
    StreamFinish,
    StreamStart,
    TextDelta,
    ThinkingDelta,
    UsageUpdate,
    unfold,
)
from aigateway_core.headers import DROPPED, listed
from aigateway_core.jsontext import dumps, loads_upstream
from aigateway_core.model import ChatRequest, FinishReason, JsonObject, Usage
from aigateway_core.plugin.provider import Endpoint, Provider
from aigateway_core.upstream import Upstream

log = logging.getLogger(__name__)

_AFTERMATH_SECONDS = 2.0
"""How long an upstream is listened to once the answer is complete: for a late usage, and for the end of its body, after
which its connection can be used again."""


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
    outcome: Outcome
    headers: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(eq=False)
class Stream:
    """A streamed answer in the client's dialect, past its commit point.

    ``chunks`` raises :class:`UpstreamError` when the upstream fails on the way; ``fail`` puts that in-band where it has
    to fit what was sent before, and gives None where the dialect alone can say it.
    """

    chunks: AsyncGenerator[bytes, None]
    outcome: Outcome
    fail: Callable[[GatewayError, str], bytes | None]
    headers: Mapping[str, str] = attrs.field(factory=dict)


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

    async def open(self, upstream: Upstream, exits: AsyncExitStack) -> Stream:  # noqa: ARG002 - nothing stays open
        """The stream at its commit point; what it holds open is closed by ``exits``. Raises :class:`UpstreamError`.

        Of what never streams, the whole answer at once.
        """
        whole = await self.complete(upstream)
        return Stream(_once(whole.body), whole.outcome, lambda *_: None, whole.headers)

    def unasked(self, failure: GatewayError | None = None) -> Whole | None:  # noqa: ARG002
        """An answer that no upstream is needed for: before any was asked, or after it ended in ``failure``."""
        return None


class NativeExchange(Exchange):
    """The client's body goes out as it is, but for model and stream options, and the answer comes back as it is."""

    is_native = True

    def __init__(
        self,
        endpoint: Endpoint,
        client: Dialect,
        body: JsonObject,
        model: str,
        client_model: str,
        classify: Classify | None,
    ) -> None:
        self._endpoint = endpoint
        self._client = client
        self._body = body
        self._client_model = client_model
        self._classify = classify
        sent = endpoint.dialect.native_request(body, model)
        self._content = dumps(endpoint.prepare(sent) if endpoint.prepare else sent)

    @override
    async def complete(self, upstream: Upstream) -> Whole:
        """Relay a whole answer."""
        response = await upstream.post(self._endpoint.url, content=self._content, headers=self._endpoint.headers)
        answer = self._endpoint.dialect.native_response(response.content, self._client_model, self._classify)
        outcome = Outcome()
        outcome.usage, outcome.finish_reason = answer.usage, answer.finish_reason
        return Whole(answer.body, outcome)

    @override
    async def open(self, upstream: Upstream, exits: AsyncExitStack) -> Stream:
        """Relay a stream."""
        reply = await exits.enter_async_context(
            upstream.stream(
                self._endpoint.stream_url or self._endpoint.url, content=self._content, headers=self._endpoint.headers
            )
        )
        if reply.is_json:
            return self._from_whole(await reply.read())
        chunks = await exits.enter_async_context(aclosing(reply.chunks()))
        tap = self._client.reframe(self._endpoint.dialect.stream_tap(self._body, self._client_model, self._classify))
        exits.push_async_callback(_hear_out, chunks, tap)
        outcome = Outcome()
        held: list[bytes] = []
        async for chunk in chunks:
            held.append(tap.feed(chunk))
            _raise_if_failed(tap)
            if tap.committed or tap.ended:
                return Stream(_relay(b"".join(held), chunks, tap, outcome), outcome, tap.fail)
        held.append(tap.end())
        _raise_if_failed(tap)
        outcome.usage, outcome.finish_reason = tap.usage, tap.finish_reason
        return Stream(_once(b"".join(held)), outcome, tap.fail)

    def _from_whole(self, content: bytes) -> Stream:
        """A stream made of a whole answer, for an upstream that does not stream (case 170)."""
        answer = self._endpoint.dialect.native_response(content, self._client_model, self._classify)
        try:
            request = self._client.decode_request(self._body)
        except ClientError:
            # The vendor knows what the gateway does not. Little of a request shows in how its answer is written.
            request = ChatRequest(model=self._client_model, stream=True)
        response = self._endpoint.dialect.decode_response(loads_upstream(content), request)
        outcome = Outcome()
        outcome.usage, outcome.finish_reason = answer.usage, answer.finish_reason
        encoder = self._client.stream_encoder(request)
        return Stream(_once(b"".join(map(encoder.encode, unfold(response))) + encoder.end()), outcome, encoder.fail)


async def _relay(
    first: bytes, chunks: AsyncIterator[bytes], tap: StreamTap, outcome: Outcome
) -> AsyncGenerator[bytes, None]:
    try:
        yield first
        while not tap.ended:
            chunk = await anext(chunks, None)
            if passed := tap.end() if chunk is None else tap.feed(chunk):
                yield passed
            _raise_if_failed(tap)
            if chunk is None:
                return
    finally:
        outcome.usage, outcome.finish_reason = tap.usage, tap.finish_reason


async def _hear_out(chunks: AsyncIterator[bytes], tap: StreamTap) -> None:
    """Take in the end of a body whose last word was heard; that it breaks or lingers hurts nobody any more."""
    if tap.ended:
        with suppress(UpstreamError, TimeoutError):
            async with asyncio.timeout(_AFTERMATH_SECONDS):
                async for _ in chunks:
                    pass


def _raise_if_failed(tap: StreamTap) -> None:
    if tap.error is not None:
        raise tap.error


async def _once(content: bytes) -> AsyncGenerator[bytes, None]:
    yield content


class TranslatedExchange(Exchange):
    """The client's request in canonical form goes to the provider; its answer is put into the client's dialect.

    ``request`` has the client's name for the model, ``sent`` the provider's own.
    """

    def __init__(
        self,
        provider: Provider,
        client: Dialect,
        request: ChatRequest,
        sent: ChatRequest,
        dropped: tuple[str, ...] = (),
    ) -> None:
        self._provider = provider
        self._client = client
        self._request = request
        self._sent = sent
        self.headers = {DROPPED: listed(dropped)} if dropped else {}

    @override
    async def complete(self, upstream: Upstream) -> Whole:
        """Translate a whole answer."""
        response = await self._provider.complete(self._sent, upstream)
        outcome = Outcome()
        outcome.usage = response.usage or usage_of(self._request, response)
        outcome.finish_reason = response.finish_reason
        body = self._client.encode_response(attrs.evolve(response, usage=outcome.usage), self._request)
        return Whole(dumps(body), outcome, self.headers)

    @override
    async def open(self, upstream: Upstream, exits: AsyncExitStack) -> Stream:
        """Translate a stream."""
        events = self._provider.stream(self._sent, upstream)
        if isinstance(events, AsyncGenerator):
            exits.push_async_callback(_close, events)
        held: list[StreamEvent] = []
        async for event in events:
            held.append(event)
            if _commits(event):
                outcome = Outcome()
                encoder = self._client.stream_encoder(self._request)
                passage = _Passage(encoder, self._request, outcome)
                return Stream(_translate(held, events, passage), outcome, encoder.fail, self.headers)
        raise _cut()


class _Passage:
    """Puts a provider's events into the client's dialect, and into order (:mod:`aigateway_core.events`) where needed.

    The start comes first, and nothing but the usage comes after the finish.
    """

    def __init__(self, encoder: StreamEncoder, request: ChatRequest, outcome: Outcome) -> None:
        self._encoder = encoder
        self._request = request
        self._outcome = outcome
        self._meter = OutputMeter()
        self._begun = False

    @property
    def finished(self) -> bool:
        """Whether the answer is complete."""
        return self._outcome.finish_reason is not None

    def feed(self, event: StreamEvent) -> bytes:
        """The bytes that this event adds."""
        if isinstance(event, UsageUpdate):
            self._outcome.usage = event.usage
            return self._encoder.encode(event)
        if self.finished or (self._begun and isinstance(event, StreamStart)):
            return b""
        begun = (
            b"" if self._begun or isinstance(event, StreamStart) else self.feed(StreamStart("", self._request.model))
        )
        self._begun = True
        self._meter.feed(event)
        encoded = self._encoder.encode(event)
        if isinstance(event, StreamFinish):
            self._outcome.finish_reason = event.reason
        return begun + encoded

    def end(self) -> bytes:
        """The closing bytes; with an estimate where nobody told the usage."""
        closing = b"" if self._outcome.usage else self.feed(UsageUpdate(self._meter.usage(self._request)))
        return closing + self._encoder.end()


async def _translate(
    held: list[StreamEvent], events: AsyncIterator[StreamEvent], passage: _Passage
) -> AsyncGenerator[bytes, None]:
    if first := b"".join(map(passage.feed, held)):
        yield first
    while not passage.finished:
        event = await anext(events, None)
        if event is None:
            raise _cut()
        if chunk := passage.feed(event):
            yield chunk
    await _aftermath(events, passage)
    yield passage.end()


async def _aftermath(events: AsyncIterator[StreamEvent], passage: _Passage) -> None:
    """What comes after the finish: the usage, perhaps. The answer is complete, so a failure takes nothing from it."""
    try:
        async with asyncio.timeout(_AFTERMATH_SECONDS):
            async for event in events:
                passage.feed(event)
    except (UpstreamError, TimeoutError):
        pass
    except Exception:
        log.exception("a provider failed after the end of its answer")


def _commits(event: StreamEvent) -> bool:
    """Whether this is the first event that a client would show or act on."""
    if isinstance(event, TextDelta | ThinkingDelta):
        return event.text != ""
    return isinstance(event, (*CONTENT_EVENTS, StreamFinish))


def _cut() -> UpstreamError:
    return UpstreamError(ErrorKind.PROTOCOL, "the upstream's stream was cut before its end")


async def _close(events: AsyncGenerator[StreamEvent, None]) -> None:
    """End a provider's generator. That it cannot even do this must not spoil an answer that was given."""
    try:
        await events.aclose()
    except Exception:
        log.exception("a provider's stream could not be closed")
