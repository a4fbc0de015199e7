"""The tokens of a prompt: counted by the vendor where it can, estimated where it cannot, or will not just now.

A count is a help for clients, no more: whatever goes wrong with a vendor's counter, they get a number, and nothing is
held against an account. An estimate says that it is one, in the header :data:`~aigateway_core.headers.ESTIMATE`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import ClassVar

import attrs
from typing_extensions import override

from aigateway_core.dialects.dialect import Dialect
from aigateway_core.dialects.estimate import input_tokens
from aigateway_core.errors import ClientError, ErrorKind, GatewayError, UpstreamError
from aigateway_core.exchange import Exchange, Outcome, Whole
from aigateway_core.headers import ESTIMATE
from aigateway_core.jsontext import dumps
from aigateway_core.model import ChatRequest, ChatResponse, JsonObject, Usage
from aigateway_core.plugin.provider import CountsTokens
from aigateway_core.upstream import Upstream

Counter = Callable[[Upstream], Awaitable[Whole]]
"""How the vendor is asked; raises :class:`UpstreamError`."""

PATIENCE = 10.0
"""Seconds that a vendor may take to count: an estimate now is worth more than a number that nobody waits for."""

_NO_COUNTER = frozenset({404, 405, 501})
"""What a server answers that has no such operation."""

_OF_THE_REQUEST = frozenset({ErrorKind.INVALID_REQUEST, ErrorKind.UNSUPPORTED, ErrorKind.TOO_LARGE})
"""What is wrong with the request itself: its client would only meet it again when it asks for an answer."""


def counted_by(provider: CountsTokens, client: Dialect, request: ChatRequest, model: str) -> Counter:
    """The counter of a provider that speaks another dialect than the client."""
    sent = attrs.evolve(request, model=model)

    async def count(upstream: Upstream) -> Whole:
        return _whole(client, request, await provider.count_tokens(sent, upstream))

    return count


class CountExchange(Exchange):
    """Asks ``counter``; without one, or when it fails, the answer is an estimate of the prompt in ``body``."""

    is_helper: ClassVar[bool] = True

    def __init__(self, client: Dialect, body: JsonObject, counter: Counter | None, *, is_native: bool) -> None:
        self.is_native = is_native
        self._client = client
        self._body = body
        self._counter = counter

    @override
    async def complete(self, upstream: Upstream) -> Whole:
        """The vendor's count."""
        if self._counter is None:
            return self.estimate()
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._counter(upstream)
        except TimeoutError:
            raise UpstreamError(ErrorKind.TIMEOUT, "the vendor took too long to count") from None

    @override
    def unasked(self, failure: GatewayError | None = None) -> Whole | None:
        """The estimate, where there is no counter or it failed. Raises :class:`InvalidRequestError` for a bad body."""
        if self._counter is None:
            return self.estimate()
        if failure is None or _is_the_clients(failure):
            return None
        try:
            return self.estimate()
        except ClientError:
            # The vendor would have known what the gateway does not.
            return None

    def estimate(self) -> Whole:
        """About how many tokens it is: system, messages, tools, attachments."""
        request = self._client.decode_request(self._body)
        return attrs.evolve(_whole(self._client, request, input_tokens(request)), headers={ESTIMATE: "true"})


def _whole(client: Dialect, request: ChatRequest, tokens: int) -> Whole:
    told = ChatResponse(id="", model=request.model, usage=Usage(input_tokens=tokens))
    return Whole(dumps(client.encode_response(told, request)), Outcome())


def _is_the_clients(failure: GatewayError) -> bool:
    lacks = isinstance(failure, UpstreamError) and failure.status in _NO_COUNTER
    return failure.kind in _OF_THE_REQUEST and not lacks
