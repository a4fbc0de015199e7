"""A translated exchange: a client's request for a provider that speaks something else, and its answer back again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial

import attrs
from typing_extensions import override

from aigateway_core.dialects.dialect import Dialect, StreamEncoder
from aigateway_core.dialects.estimate import OutputMeter, usage_of
from aigateway_core.errors import ErrorKind, UpstreamError
from aigateway_core.events import (
    CONTENT_EVENTS,
    StreamEvent,
    StreamFinish,
    StreamStart,
    TextDelta,
    ThinkingDelta,
    UsageUpdate,
)
from aigateway_core.exchange import AFTERMATH_SECONDS, Exchange, Outcome, Stream, Whole
from aigateway_core.headers import DROPPED, listed
from aigateway_core.jsontext import dumps
from aigateway_core.model import ChatRequest
from aigateway_core.plugin.provider import MendsRequests, Provider
from aigateway_core.upstream import Upstream

log = logging.getLogger(__name__)

_MOST_BEFORE_CONTENT = 10_000
"""Events that are kept until one of them is shown: a stream without any must not fill the memory."""

_MOST_MOVES = 8
"""Times that a request goes to another host, so that one that is sent in a circle comes to its end."""


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
        mends: MendsRequests | None = None,
    ) -> None:
        self._provider = provider
        self._mends = mends
        self._client = client
        self._request = request
        self._sent = self._first = sent
        self._mended = False
        self._moves = 0
        self.headers = {DROPPED: listed(dropped)} if dropped else {}

    @override
    def turn_to_another_account(self) -> None:
        if self._moves:
            self._sent, self._mended, self._moves = self._first, False, 0

    @override
    def mend(self, error: UpstreamError) -> bool:
        """Once, if the provider knows how; and at its other hosts, while it names one."""
        changed = None if self._mends is None else self._mends.mend(self._sent, error)
        if changed is None:
            return False
        if error.is_the_hosts and changed is not self._sent:
            self._moves += 1
            if self._moves > _MOST_MOVES:
                return False
            if error.kind is not ErrorKind.MODEL_NOT_FOUND:
                self._first = changed  # that host is away for everybody
        elif self._mended:
            return False
        else:
            self._mended = True
        self._sent = changed
        return True

    @override
    async def complete(self, upstream: Upstream) -> Whole:
        """Translate a whole answer."""
        response = await self._provider.complete(self._sent, upstream)
        outcome = Outcome()
        if response.usage is None:
            response = attrs.evolve(response, usage=usage_of(self._request, response))
        outcome.usage, outcome.finish_reason = response.usage, response.finish_reason
        return Whole(dumps(self._client.encode_response(response, self._request)), outcome, self.headers)

    @override
    async def open(self, upstream: Upstream) -> Stream:
        """Translate a stream."""
        events = self._provider.stream(self._sent, upstream)
        try:
            return await self._committed(events)
        except BaseException:
            await _close(events)
            raise

    async def _committed(self, events: AsyncIterator[StreamEvent]) -> Stream:
        """The stream, once something has come that a client would show."""
        held: list[StreamEvent] = []
        async for event in events:
            held.append(event)
            if _commits(event):
                outcome = Outcome()
                encoder = self._client.stream_encoder(self._request)
                passage = _Passage(encoder, self._request, outcome)
                translated, close = _translate(held, events, passage), partial(_close, events)
                return Stream(translated, outcome, encoder.fail, self.headers, close)
            if len(held) >= _MOST_BEFORE_CONTENT:
                raise UpstreamError(ErrorKind.PROTOCOL, "the upstream's stream begins and begins, and says nothing")
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
        self.finished = False
        """Whether the answer is complete."""

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
            self._outcome.finish_reason, self.finished = event.reason, True
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
        async with asyncio.timeout(AFTERMATH_SECONDS):
            async for event in events:
                passage.feed(event)
    except (UpstreamError, TimeoutError):
        pass
    except (Exception, SystemExit):
        log.exception("a provider failed after the end of its answer")


def _commits(event: StreamEvent) -> bool:
    """Whether this is the first event that a client would show or act on."""
    if isinstance(event, TextDelta | ThinkingDelta):
        return event.text != ""
    return isinstance(event, (*CONTENT_EVENTS, StreamFinish))


def _cut() -> UpstreamError:
    return UpstreamError(ErrorKind.PROTOCOL, "the upstream's stream was cut before its end")


async def _close(events: AsyncIterator[StreamEvent]) -> None:
    """End a provider's generator. That it cannot even do this must not spoil an answer that was given."""
    try:
        if isinstance(events, AsyncGenerator):
            await events.aclose()
    except (Exception, SystemExit):
        log.exception("a provider's stream could not be closed")
