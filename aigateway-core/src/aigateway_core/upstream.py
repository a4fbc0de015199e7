"""The provider's side of the wire: an HTTP client that is already bound to an account's way out and credential.

The engine behind it is an :class:`httpx.AsyncBaseTransport` (see :mod:`aigateway_core.engine`), called directly: no
``httpx.AsyncClient``, so no redirects, no cookies, no environment proxies and none of its cost. What a client would do
besides, driving the flow of :class:`httpx.Auth`, is done here.

Every failure leaves this module as an :class:`UpstreamError`; :mod:`aigateway_core.faults` says what it means.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, Literal

import httpx
from typing_extensions import override

from aigateway_core.bodies import HeldReply, collect, refusal, refuse_encoding, split_lines
from aigateway_core.dialects.sse import ServerSentEvent, SseParser
from aigateway_core.errors import ErrorKind, UpstreamError, UpstreamFailure
from aigateway_core.faults import FAULTS, classify_status, fault_of
from aigateway_core.outgoing import Limits, Outgoing, Sender
from aigateway_core.replies import Reply, WholeResponse, header
from aigateway_core.secret import Secret, scrub

__all__ = ["Limits", "Upstream", "UpstreamStream", "WholeLimits"]

FAILURES = (*FAULTS, TimeoutError)
"""What a transport may raise, and that a deadline has passed."""


class WholeLimits(Limits):
    """Those of a call whose caller waits for all of the answer: what streams in for it is held within the size too."""


class UpstreamStream:
    """An answer that is still coming in. Its connection is closed when its ``async with`` block is left."""

    def __init__(
        self, reply: Reply, limits: Limits, deadline: float, failed: Callable[[Exception, float], UpstreamError]
    ) -> None:
        self._reply = reply
        self._limits = limits
        self._deadline = deadline
        self._failed = failed

    @property
    def status(self) -> int:
        """The HTTP status: 200 to 299."""
        return self._reply.status

    @property
    def headers(self) -> httpx.Headers:
        """The response headers."""
        return httpx.Headers(list(self._reply.headers))

    @property
    def is_json(self) -> bool:
        """Whether the upstream sends one JSON document rather than a stream."""
        kind = header(self._reply.headers, b"content-type")
        return kind.partition(";")[0].strip().lower() == "application/json"

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The bytes as they come in.

        Raises :class:`UpstreamError` when the connection breaks or falls silent, or the call has taken too long.
        """
        try:
            while chunk := await self._reply.received(self._deadline):
                yield chunk
        except FAILURES as error:
            raise self._failed(error, self._deadline) from error

    async def read(self) -> bytes:
        """The rest of the answer at once; errors as for :meth:`chunks`, and when it is larger than the limit."""
        try:
            return await collect(self._reply, self._deadline, self._limits.max_response_bytes)
        except FAILURES as error:
            raise self._failed(error, self._deadline) from error

    async def events(self) -> AsyncGenerator[ServerSentEvent, None]:
        """The bytes as server-sent events."""
        parser = SseParser()
        async with aclosing(self.chunks()) as chunks:
            async for chunk in chunks:
                for event in parser.feed(chunk):
                    yield event
        for event in parser.flush():
            yield event

    async def lines(self) -> AsyncGenerator[str, None]:
        """The bytes as lines of UTF-8 text, without their ends; empty lines are left out."""
        async with aclosing(split_lines(self.chunks())) as lines:
            async for line in lines:
                if text := line.decode("utf-8", "replace").strip():
                    yield text


class Upstream:
    """What a provider calls its vendor with.

    ``classify`` judges a refusal (a provider's own, or :func:`classify_status`); ``secrets`` are scrubbed from every
    message that leaves here; ``proxied`` says that an outbound proxy stands between, so that a connection that cannot
    be made is the proxy's fault and not the vendor's. ``account_id`` tells accounts apart, and ``metadata`` is what is
    stored of the account besides its credential: what its login found out, for one. ``learn`` takes what is to be
    stored there besides.
    """

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        auth: httpx.Auth | None = None,
        *,
        limits: Limits | None = None,
        classify: Callable[[UpstreamFailure], UpstreamError] | None = None,
        secrets: Iterable[Secret] = (),
        proxied: bool = False,
        account_id: str = "",
        metadata: Mapping[str, Any] | None = None,
        learn: Callable[[str, Mapping[str, Any]], None] | None = None,
    ) -> None:
        self._transport = transport
        self._auth = auth
        self._limits = limits or Limits()
        self._classify = classify or classify_status
        # A list may grow while a call is under way: with the tokens that a refresh brings.
        self._secrets: Sequence[Secret] = secrets if isinstance(secrets, list) else tuple(secrets)
        self._proxied = proxied
        self._sender = Sender(transport, auth, self._limits, proxied=proxied)
        self.account_id = account_id
        self.metadata: Mapping[str, Any] = metadata or {}
        self._learn = learn

    @override
    def __repr__(self) -> str:
        return f"<Upstream{' through an outbound proxy' if self._proxied else ''}>"

    @property
    def dispatched(self) -> bool:
        """Whether the vendor may have seen anything so far of what was asked here, or of the same way out."""
        return self._sender.sent[0]

    def signed(self, auth: httpx.Auth | None, *secrets: Secret) -> Upstream:
        """The same way out, with another credential: ``secrets`` are scrubbed besides those that are already."""
        return self._other(auth, (*self._secrets, *secrets), self._classify)

    def judged(self, classify: Callable[[UpstreamFailure], UpstreamError]) -> Upstream:
        """The same way out, whose refusals are judged otherwise: for addresses that are not the usual ones."""
        return self._other(self._auth, self._secrets, classify)

    def _other(
        self, auth: httpx.Auth | None, secrets: Iterable[Secret], classify: Callable[[UpstreamFailure], UpstreamError]
    ) -> Upstream:
        other = Upstream(
            self._transport,
            auth,
            limits=self._limits,
            classify=classify,
            secrets=secrets,
            proxied=self._proxied,
            account_id=self.account_id,
            metadata=self.metadata,
            learn=self._learn,
        )
        other._sender.sent = self._sender.sent
        return other

    def remember(self, metadata: Mapping[str, Any]) -> None:
        """Store this with the account, for later calls and starts to find in ``metadata``; nothing waits for it.

        What is there already stays as it is. Values are JSON.
        """
        if self._learn is not None:
            self._learn(self.account_id, metadata)

    async def post(
        self, url: str, *, json: Any = None, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """POST, and the whole answer. Raises :class:`UpstreamError` unless that is complete, and its status a 2xx."""
        return await self._whole(Outgoing("POST", url, json, content, headers))

    async def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """GET, and the whole answer; errors as for :meth:`post`."""
        return await self._whole(Outgoing("GET", url, None, None, headers))

    @asynccontextmanager
    async def stream(
        self,
        url: str,
        *,
        method: Literal["POST", "GET"] = "POST",
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[UpstreamStream]:
        """A request whose answer is read while it comes in; errors as for :meth:`post`, before the block is entered."""
        deadline = asyncio.get_running_loop().time() + self._limits.total
        reply = await self._send(Outgoing(method, url, json, content, headers), deadline)
        if isinstance(self._limits, WholeLimits):
            reply = HeldReply(reply, self._limits.max_response_bytes)
        try:
            yield UpstreamStream(reply, self._limits, deadline, self._failed)
        finally:
            await reply.aclose()

    async def _whole(self, asked: Outgoing) -> httpx.Response:
        deadline = asyncio.get_running_loop().time() + self._limits.total
        reply = await self._send(asked, deadline)
        try:
            content = await collect(reply, deadline, self._limits.max_response_bytes)
        except FAILURES as error:
            raise self._failed(error, deadline) from error
        finally:
            await reply.aclose()
        return WholeResponse(reply, content, asked.request)

    async def _send(self, asked: Outgoing, deadline: float) -> Reply:
        """The reply with its body still unread, its status a 2xx."""
        try:
            reply = await self._sender.send(asked, deadline)
        except FAILURES as error:
            raise self._failed(error, deadline) from error
        try:
            if not 200 <= reply.status < 300:
                raise await self._refused(reply)
            refuse_encoding(reply)
        except BaseException:
            await reply.aclose()
            raise
        return reply

    async def _refused(self, reply: Reply) -> UpstreamError:
        """What a status other than 2xx means."""
        status = reply.status
        if status >= 400:
            failure = UpstreamFailure(status, dict(httpx.Headers(list(reply.headers))), await refusal(reply))
            return self._scrubbed(self._classify(failure))
        what = f"a redirect ({status}), which is not followed" if status >= 300 else f"status {status}"
        return UpstreamError(ErrorKind.PROTOCOL, f"the upstream answered with {what}", status=status)

    def _scrubbed(self, error: UpstreamError) -> UpstreamError:
        error.message = scrub(error.message, self._secrets)
        error.args = (error.message,)
        error.code = None if error.code is None else scrub(error.code, self._secrets)
        error.remedy = None if error.remedy is None else scrub(error.remedy, self._secrets)
        return error

    def _failed(self, error: Exception, deadline: float) -> UpstreamError:
        # An engine that was told the deadline says in its own words that nothing came.
        silent = isinstance(error, httpx.ReadTimeout) and asyncio.get_running_loop().time() >= deadline
        if silent or isinstance(error, TimeoutError):
            return UpstreamError(ErrorKind.TIMEOUT, "the call took longer than the time limit")
        return fault_of(error, proxied=self._proxied)
