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
from functools import lru_cache
from typing import Any, Literal

import attrs
import httpx
from typing_extensions import override

from aigateway_core.bodies import collect, raw, refusal, refuse_encoding, split_lines
from aigateway_core.dialects.sse import ServerSentEvent, SseParser
from aigateway_core.errors import ErrorKind, UpstreamError, UpstreamFailure
from aigateway_core.faults import FAULTS, NOT_SENT, classify_status, fault_of
from aigateway_core.jsontext import dumps
from aigateway_core.secret import Secret, scrub


@attrs.frozen(kw_only=True)
class Limits:
    """Deadlines of one call in seconds, and the size of a whole answer in bytes.

    ``connect`` covers everything up to a usable connection, a proxy's handshake included; ``first_byte`` the wait for
    the upstream's headers from then on; ``idle`` the silence between two chunks; ``total`` the whole call, a refresh of
    its credential and the last byte of a stream included.
    """

    connect: float = 10.0
    first_byte: float = 300.0
    idle: float = 300.0
    total: float = 3600.0
    max_response_bytes: int = 64 << 20


class UpstreamStream:
    """An answer that is still coming in. Its connection is closed when its ``async with`` block is left."""

    def __init__(
        self, response: httpx.Response, limits: Limits, deadline: float, fault: Callable[[Exception], UpstreamError]
    ) -> None:
        self._response = response
        self._limits = limits
        self._deadline = deadline
        self._fault = fault

    @property
    def status(self) -> int:
        """The HTTP status: 200 to 299."""
        return self._response.status_code

    @property
    def headers(self) -> httpx.Headers:
        """The response headers."""
        return self._response.headers

    @property
    def is_json(self) -> bool:
        """Whether the upstream sends one JSON document rather than a stream."""
        return bool(self.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json")

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The bytes as they come in.

        Raises :class:`UpstreamError` when the connection breaks or falls silent, or the call has taken too long.
        """
        try:
            async with aclosing(raw(self._response)) as chunks:
                while (chunk := await self._next(chunks)) is not None:
                    yield chunk
        except FAULTS as error:
            raise self._fault(error) from error

    async def read(self) -> bytes:
        """The rest of the answer at once; errors as for :meth:`chunks`, and when it is larger than the limit."""
        async with aclosing(self.chunks()) as chunks:
            return await collect(chunks, self._limits.max_response_bytes)

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

    async def _next(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        """One chunk, None at the end. The engine watches over silence, so the total needs a timer only near its end.

        A timer around the whole loop would go off while the consumer is elsewhere, and cancel it there.
        """
        if self._deadline - asyncio.get_running_loop().time() > self._limits.idle:
            return await anext(chunks, None)
        try:
            async with asyncio.timeout_at(self._deadline):
                return await anext(chunks, None)
        except TimeoutError:
            raise _overdue() from None


class Upstream:
    """What a provider calls its vendor with.

    ``classify`` judges a refusal (a provider's own, or :func:`classify_status`); ``secrets`` are scrubbed from every
    message that leaves here; ``proxied`` says that an outbound proxy stands between, so that a connection that cannot
    be made is the proxy's fault and not the vendor's. ``account_id`` tells accounts apart, and ``metadata`` is what is
    stored of the account besides its credential: what its login found out, for one.
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
    ) -> None:
        self._transport = transport
        self._auth = auth
        self._limits = limits or Limits()
        self._classify = classify or classify_status
        # A list may grow while a call is under way: with the tokens that a refresh brings.
        self._secrets: Sequence[Secret] = secrets if isinstance(secrets, list) else tuple(secrets)
        self._proxied = proxied
        self.account_id = account_id
        self.metadata: Mapping[str, Any] = metadata or {}
        self._sent = [False]
        self._timeout = {
            "connect": self._limits.connect,
            "first_byte": self._limits.first_byte,
            "read": self._limits.idle,
            "write": self._limits.idle,
            "pool": self._limits.connect,
        }

    @override
    def __repr__(self) -> str:
        return f"<Upstream{' through an outbound proxy' if self._proxied else ''}>"

    @property
    def dispatched(self) -> bool:
        """Whether the vendor may have seen anything so far of what was asked here, or of the same way out."""
        return self._sent[0]

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
        )
        other._sent = self._sent
        return other

    async def post(
        self, url: str, *, json: Any = None, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """POST, and the whole answer. Raises :class:`UpstreamError` unless that is complete, and its status a 2xx."""
        return await self._whole(self._request("POST", url, json, content, headers))

    async def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """GET, and the whole answer; errors as for :meth:`post`."""
        return await self._whole(self._request("GET", url, None, None, headers))

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
        deadline = self._deadline()
        response = await self._send(self._request(method, url, json, content, headers), deadline)
        try:
            yield UpstreamStream(response, self._limits, deadline, self._fault)
        finally:
            await response.aclose()

    async def _whole(self, request: httpx.Request) -> httpx.Response:
        deadline = self._deadline()
        response = await self._send(request, deadline)
        try:
            # As its own aread() does; a second response would be parsed and iterated all over again.
            response._content = await UpstreamStream(response, self._limits, deadline, self._fault).read()  # noqa: SLF001
        finally:
            await response.aclose()
        return response

    async def _send(self, request: httpx.Request, deadline: float) -> httpx.Response:
        """The response with its body still unread, its status a 2xx."""
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._authenticated(request)
        except TimeoutError:
            raise _overdue() from None
        except FAULTS as error:
            raise self._fault(error) from error
        try:
            await self._refuse(response)
        except BaseException:
            await response.aclose()
            raise
        return response

    def _request(
        self, method: str, url: str, json: Any, content: bytes | None, headers: Mapping[str, str] | None
    ) -> httpx.Request:
        body = dumps(json) if content is None and json is not None else content
        every = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "aigateway"}
        if body is not None:
            every["content-type"] = "application/json"
        every.update({name.lower(): value for name, value in (headers or {}).items()})
        try:
            return httpx.Request(method, _parsed(url), content=body, headers=every)
        except (httpx.InvalidURL, ValueError) as error:
            raise self._fault(error) from None

    async def _authenticated(self, request: httpx.Request) -> httpx.Response:
        """Send, letting the auth flow see each answer and ask for another request: a refresh after 401, for one."""
        if self._auth is None:
            return await self._call(request)
        async with aclosing(self._auth.async_auth_flow(request)) as flow:
            asked = await anext(flow)
            while True:
                response = await self._call(asked)
                try:
                    if asked.url != request.url or self._auth.requires_response_body:
                        response = await self._settle(response)
                    asked = await flow.asend(response)
                except StopAsyncIteration:
                    return response
                except BaseException:
                    await response.aclose()
                    raise
                await response.aclose()

    async def _call(self, request: httpx.Request) -> httpx.Response:
        """One request and the head of its answer."""
        request.extensions.setdefault("timeout", self._timeout)
        before, self._sent[0] = self._sent[0], True
        try:
            # The engine keeps both deadlines; this one is for headers that dribble in, and bodies that nobody takes.
            async with asyncio.timeout(self._limits.connect + self._limits.first_byte):
                response = await self._transport.handle_async_request(request)
        except (TimeoutError, httpx.ReadTimeout):
            raise UpstreamError(
                ErrorKind.TIMEOUT, "the upstream did not begin to answer within the time limit"
            ) from None
        except asyncio.CancelledError as error:
            if NOT_SENT in getattr(error, "__notes__", ()):
                self._sent[0] = before
            raise
        if self._proxied and (response.status_code == 407 or "proxy-authenticate" in response.headers):
            await response.aclose()
            raise UpstreamError(
                ErrorKind.UNAVAILABLE,
                "the outbound proxy does not accept our credentials",
                scope="outbound_proxy",
                dispatched=False,
                status=response.status_code,
            )
        return response

    async def _settle(self, response: httpx.Response) -> httpx.Response:
        """The same response, read: for an auth flow that wants the body, of a token endpoint for example."""
        refuse_encoding(response)
        async with aclosing(raw(response)) as chunks:
            body = await collect(chunks, self._limits.max_response_bytes)
        await response.aclose()
        return httpx.Response(response.status_code, headers=response.headers, content=body)

    async def _refuse(self, response: httpx.Response) -> None:
        """Raise what a status other than 2xx means, and what an encoding does that nobody asked for."""
        status = response.status_code
        if status >= 400:
            failure = UpstreamFailure(status, dict(response.headers), await refusal(response))
            raise self._scrubbed(self._classify(failure))
        if status >= 300:
            message = f"the upstream answered with a redirect ({status}), which is not followed"
            raise UpstreamError(ErrorKind.PROTOCOL, message, status=status)
        if status < 200:
            raise UpstreamError(ErrorKind.PROTOCOL, f"the upstream answered with status {status}", status=status)
        refuse_encoding(response)

    def _scrubbed(self, error: UpstreamError) -> UpstreamError:
        error.message = scrub(error.message, self._secrets)
        error.args = (error.message,)
        error.code = None if error.code is None else scrub(error.code, self._secrets)
        error.remedy = None if error.remedy is None else scrub(error.remedy, self._secrets)
        return error

    def _fault(self, error: Exception) -> UpstreamError:
        return fault_of(error, proxied=self._proxied)

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._limits.total


@lru_cache(maxsize=1024)
def _parsed(url: str) -> httpx.URL:
    """The address, taken apart once: vendors are asked at few of them, and over and over again."""
    return httpx.URL(url)


def _overdue() -> UpstreamError:
    return UpstreamError(ErrorKind.TIMEOUT, "the call took longer than the time limit")
