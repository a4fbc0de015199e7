"""One exchange with an upstream: native or translated, whole or streamed.

An exchange knows what to send and how to read what comes back; it knows nothing of accounts, so that the same exchange
can be tried on another account when the first one fails. Streams are opened up to the commit point:
:meth:`Exchange.open` returns once the first real content is there, and until then an error is raised as if nothing had
happened.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing

import attrs
from typing_extensions import override

from aigateway_core.dialects.dialect import Classify, Dialect, StreamEncoder, StreamTap
from aigateway_core.dialects.estimate import OutputMeter, usage_of
from aigateway_core.errors import ErrorKind, UpstreamError
from aigateway_core.events import CONTENT_EVENTS, StreamEvent, StreamFinish, UsageUpdate, unfold
from aigateway_core.jsontext import dumps, loads_upstream
from aigateway_core.model import ChatRequest, FinishReason, JsonObject, Usage
from aigateway_core.plugin.provider import Endpoint, Provider
from aigateway_core.upstream import Upstream


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

    ``chunks`` raises :class:`UpstreamError` when the upstream fails on the way.
    """

    chunks: AsyncGenerator[bytes, None]
    outcome: Outcome
    headers: Mapping[str, str] = attrs.field(factory=dict)


class Exchange(ABC):
    """What is to be sent, and how the answer is read."""

    headers: Mapping[str, str] = {}
    """Headers for the client's answer."""

    @abstractmethod
    async def complete(self, upstream: Upstream) -> Whole:
        """The whole answer. Raises :class:`UpstreamError`."""

    @abstractmethod
    async def open(self, upstream: Upstream, exits: AsyncExitStack) -> Stream:
        """The stream at its commit point; what it holds open is closed by ``exits``. Raises :class:`UpstreamError`."""


class NativeExchange(Exchange):
    """The client's body goes out as it is, but for model and stream options, and the answer comes back as it is."""

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
            upstream.stream(self._endpoint.url, content=self._content, headers=self._endpoint.headers)
        )
        if reply.is_json:
            return self._from_whole(await reply.read())
        chunks = await exits.enter_async_context(aclosing(reply.chunks()))
        tap = self._endpoint.dialect.stream_tap(self._body, self._client_model, self._classify)
        outcome = Outcome()
        held: list[bytes] = []
        async for chunk in chunks:
            held.append(tap.feed(chunk))
            _raise_if_failed(tap)
            if tap.committed:
                return Stream(_relay(b"".join(held), chunks, tap, outcome), outcome)
        held.append(tap.end())
        _raise_if_failed(tap)
        return Stream(_relay(b"".join(held), chunks, tap, outcome), outcome)

    def _from_whole(self, content: bytes) -> Stream:
        """A stream made of a whole answer, for an upstream that does not stream (case 170)."""
        answer = self._endpoint.dialect.native_response(content, self._client_model, self._classify)
        request = self._client.decode_request(self._body)
        response = self._endpoint.dialect.decode_response(loads_upstream(answer.body), request)
        outcome = Outcome()
        outcome.usage, outcome.finish_reason = answer.usage, answer.finish_reason
        encoder = self._client.stream_encoder(request)
        return Stream(_once(b"".join(map(encoder.encode, unfold(response))) + encoder.end()), outcome)


async def _relay(
    first: bytes, chunks: AsyncIterator[bytes], tap: StreamTap, outcome: Outcome
) -> AsyncGenerator[bytes, None]:
    try:
        yield first
        async for chunk in chunks:
            if passed := tap.feed(chunk):
                yield passed
            _raise_if_failed(tap)
        if rest := tap.end():
            yield rest
        _raise_if_failed(tap)
    finally:
        outcome.usage, outcome.finish_reason = tap.usage, tap.finish_reason


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
        self.headers = {"x-aigateway-dropped": ", ".join(dropped)} if dropped else {}

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
        source = self._provider.stream(self._sent, upstream)
        events = await exits.enter_async_context(aclosing(source)) if isinstance(source, AsyncGenerator) else source
        held: list[StreamEvent] = []
        async for event in events:
            held.append(event)
            if isinstance(event, (*CONTENT_EVENTS, StreamFinish)):
                break
        outcome = Outcome()
        encoder = self._client.stream_encoder(self._request)
        return Stream(self._translate(held, events, encoder, outcome), outcome, self.headers)

    async def _translate(
        self, held: list[StreamEvent], events: AsyncIterator[StreamEvent], encoder: StreamEncoder, outcome: Outcome
    ) -> AsyncGenerator[bytes, None]:
        meter = OutputMeter()

        def passed(event: StreamEvent) -> bytes:
            meter.feed(event)
            if isinstance(event, UsageUpdate):
                outcome.usage = event.usage
            elif isinstance(event, StreamFinish):
                outcome.finish_reason = event.reason
            return encoder.encode(event)

        if first := b"".join(map(passed, held)):
            yield first
        async for event in events:
            if chunk := passed(event):
                yield chunk
        if outcome.finish_reason is None:
            raise UpstreamError(ErrorKind.PROTOCOL, "the upstream's stream was cut before its end")
        closing = b"" if outcome.usage else passed(UsageUpdate(meter.usage(self._request)))
        yield closing + encoder.end()
