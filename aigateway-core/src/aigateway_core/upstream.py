"""The provider's side of the wire: an HTTP client that is already bound to an account's way out and credential.

The engine behind it is an :class:`httpx.AsyncBaseTransport` (see :mod:`aigateway_core.engine`), called directly: no
``httpx.AsyncClient``, so no redirects, no cookies, no environment proxies and none of its cost. What a client would do
besides, driving the flow of :class:`httpx.Auth`, is done here.

Every failure leaves this module as an :class:`UpstreamError`; the mapping from httpx's exceptions is :data:`_TRANSPORT_FAULTS`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, aclosing
from typing import Any, Literal

import attrs
import httpx

from aigateway_core.dialects.sse import ServerSentEvent, SseParser
from aigateway_core.errors import ErrorKind, Scope, UpstreamError, UpstreamFailure, retry_after
from aigateway_core.jsontext import dumps
from aigateway_core.secret import Secret, scrub

MAX_ERROR_BYTES = 64 << 10
"""How much of a refusal's body is read."""


@attrs.frozen(kw_only=True)
class Limits:
    """Deadlines of one call in seconds, and the size of a whole answer in bytes.

    ``connect`` covers everything up to a usable connection, a proxy's handshake included; ``first_byte`` the wait for the
    upstream's headers; ``idle`` the silence between two chunks; ``total`` the whole call.
    """

    connect: float = 10.0
    first_byte: float = 300.0
    idle: float = 300.0
    total: float = 3600.0
    max_response_bytes: int = 64 << 20


class UpstreamStream:
    """An answer that is still coming in. Its connection is closed when its ``async with`` block is left."""

    def __init__(self, response: httpx.Response, fault: Callable[[Exception], UpstreamError]) -> None:
        self._response = response
        self._fault = fault

    @property
    def status(self) -> int:
        """The HTTP status; always below 400."""
        return self._response.status_code

    @property
    def headers(self) -> httpx.Headers:
        """The response headers."""
        return self._response.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes as they come in. Raises :class:`UpstreamError` when the connection breaks or falls silent."""
        try:
            async with aclosing(_raw(self._response)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except (httpx.HTTPError, TimeoutError) as error:
            raise self._fault(error) from error

    async def events(self) -> AsyncIterator[ServerSentEvent]:
        """The bytes as server-sent events."""
        parser = SseParser()
        async with aclosing(self.chunks()) as chunks:
            async for chunk in chunks:
                for event in parser.feed(chunk):
                    yield event
        for event in parser.flush():
            yield event

    async def lines(self) -> AsyncIterator[str]:
        """The bytes as lines of UTF-8 text, without their ends; empty lines are left out."""
        rest = b""
        async with aclosing(self.chunks()) as chunks:
            async for chunk in chunks:
                *whole, rest = (rest + chunk).split(b"\n")
                for line in whole:
                    if text := line.decode("utf-8", "replace").strip():
                        yield text
        if text := rest.decode("utf-8", "replace").strip():
            yield text


class Upstream:
    """What a provider calls its vendor with.

    ``classify`` judges a refusal (a provider's own, or :func:`classify_status`); ``secrets`` are scrubbed from every
    message that leaves here; ``proxied`` says that an outbound proxy stands between, so that a connection that cannot be
    made is the proxy's fault and not the vendor's.
    """

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        auth: httpx.Auth | None = None,
        *,
        limits: Limits = Limits(),
        classify: Callable[[UpstreamFailure], UpstreamError] | None = None,
        secrets: Iterable[Secret] = (),
        proxied: bool = False,
    ) -> None:
        self._transport = transport
        self._auth = auth
        self._limits = limits
        self._classify = classify or classify_status
        self._secrets = tuple(secrets)
        self._proxied = proxied
        self._extensions = {"timeout": {"connect": limits.connect, "read": limits.idle, "write": limits.idle, "pool": limits.connect}}

    def __repr__(self) -> str:
        return f"<Upstream{' through an outbound proxy' if self._proxied else ''}>"

    async def post(self, url: str, *, json: Any = None, content: bytes | None = None, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """POST, and the whole answer. Raises :class:`UpstreamError` for a status of 400 and above, or for no answer."""
        return await self._whole("POST", url, json, content, headers)

    async def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """GET, and the whole answer; errors as for :meth:`post`."""
        return await self._whole("GET", url, None, None, headers)

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
        response = await self._send(method, url, json, content, headers)
        try:
            yield UpstreamStream(response, self._fault)
        finally:
            await response.aclose()

    async def _whole(self, method: str, url: str, json: Any, content: bytes | None, headers: Mapping[str, str] | None) -> httpx.Response:
        response = await self._send(method, url, json, content, headers)
        try:
            body = await _read(response, self._limits.max_response_bytes, strict=True)
        except (httpx.HTTPError, TimeoutError) as error:
            raise self._fault(error) from error
        finally:
            await response.aclose()
        return httpx.Response(response.status_code, headers=response.headers, content=body)

    async def _send(self, method: str, url: str, json: Any, content: bytes | None, headers: Mapping[str, str] | None) -> httpx.Response:
        """The response with its body still unread, its status below 400."""
        request = self._request(method, url, dumps(json) if content is None and json is not None else content, headers)
        try:
            async with asyncio.timeout(self._limits.first_byte):
                response = await self._authenticated(request)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise self._fault(error) from error
        try:
            await self._refuse(response)
        except BaseException:
            await response.aclose()
            raise
        return response

    def _request(self, method: str, url: str, content: bytes | None, headers: Mapping[str, str] | None) -> httpx.Request:
        every = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "aigateway"}
        if content is not None:
            every["content-type"] = "application/json"
        every.update({name.lower(): value for name, value in (headers or {}).items()})
        try:
            return httpx.Request(method, url, content=content, headers=every, extensions=self._extensions)
        except (httpx.InvalidURL, ValueError) as error:
            raise self._fault(error) from error

    async def _authenticated(self, request: httpx.Request) -> httpx.Response:
        """Send, letting the auth flow see each answer and ask for another request: a refresh after 401, for one."""
        if self._auth is None:
            return await self._transport.handle_async_request(request)
        async with aclosing(self._auth.async_auth_flow(request)) as flow:
            request = await anext(flow)
            while True:
                response = await self._transport.handle_async_request(request)
                try:
                    request = await flow.asend(response)
                except StopAsyncIteration:
                    return response
                except BaseException:
                    await response.aclose()
                    raise
                await response.aclose()

    async def _refuse(self, response: httpx.Response) -> None:
        """Raise what a status of 300 and above means, and what an encoding does that nobody asked for."""
        status = response.status_code
        if status >= 400:
            try:
                body = await _read(response, MAX_ERROR_BYTES, strict=False)
            except (httpx.HTTPError, TimeoutError):
                body = b""
            raise self._scrubbed(self._classify(UpstreamFailure(status, dict(response.headers), body)))
        if status >= 300:
            raise UpstreamError(ErrorKind.PROTOCOL, f"the upstream answered with a redirect ({status}), which is not followed", status=status)
        encoding = response.headers.get("content-encoding", "identity").lower()
        if encoding != "identity":
            raise UpstreamError(ErrorKind.PROTOCOL, f"the upstream answered in the encoding {encoding[:20]!r} although identity was asked for", status=status)

    def _scrubbed(self, error: UpstreamError) -> UpstreamError:
        error.message = scrub(error.message, self._secrets)
        error.args = (error.message,)
        return error

    def _fault(self, error: Exception) -> UpstreamError:
        for kind, (error_kind, scope, dispatched, message) in _TRANSPORT_FAULTS.items():
            if isinstance(error, kind):
                if scope == "endpoint" and self._proxied and not dispatched:
                    scope = "outbound_proxy"
                return UpstreamError(error_kind, message, scope=scope, dispatched=dispatched)
        return UpstreamError(ErrorKind.INTERNAL, "the request to the upstream could not be made", dispatched=False)


_TRANSPORT_FAULTS: dict[type[Exception], tuple[ErrorKind, Scope, bool, str]] = {
    # Most specific first. Kind, scope, whether the upstream may have seen the request, message.
    httpx.ConnectTimeout: (ErrorKind.TIMEOUT, "endpoint", False, "no connection to the upstream within the time limit"),
    httpx.PoolTimeout: (ErrorKind.UNAVAILABLE, "request", False, "too many connections to the upstream are busy"),
    httpx.ReadTimeout: (ErrorKind.TIMEOUT, "request", True, "the upstream fell silent"),
    httpx.WriteTimeout: (ErrorKind.TIMEOUT, "request", True, "the upstream stopped reading the request"),
    httpx.ProxyError: (ErrorKind.UNAVAILABLE, "outbound_proxy", False, "the outbound proxy refused the connection"),
    httpx.ConnectError: (ErrorKind.UNAVAILABLE, "endpoint", False, "the upstream cannot be reached"),
    httpx.UnsupportedProtocol: (ErrorKind.INTERNAL, "request", False, "the upstream's address is not an http or https URL"),
    httpx.InvalidURL: (ErrorKind.INTERNAL, "request", False, "the upstream's address is not a valid URL"),
    httpx.RemoteProtocolError: (ErrorKind.PROTOCOL, "request", True, "the upstream broke off its answer"),
    httpx.NetworkError: (ErrorKind.UNAVAILABLE, "request", True, "the connection to the upstream broke"),
    httpx.TransportError: (ErrorKind.UNAVAILABLE, "request", True, "the connection to the upstream failed"),
    httpx.HTTPError: (ErrorKind.PROTOCOL, "request", True, "the exchange with the upstream failed"),
    TimeoutError: (ErrorKind.TIMEOUT, "request", True, "the upstream did not begin to answer within the time limit"),
    ValueError: (ErrorKind.INTERNAL, "request", False, "the request to the upstream could not be made"),
}


async def _raw(response: httpx.Response) -> AsyncIterator[bytes]:
    stream = response.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        raise TypeError("the transport gave a response without an asynchronous body")
    async for chunk in stream:
        yield chunk


async def _read(response: httpx.Response, cap: int, *, strict: bool) -> bytes:
    """The body up to ``cap`` bytes; beyond it an error when ``strict``, else the rest is left unread."""
    parts: list[bytes] = []
    size = 0
    async with aclosing(_raw(response)) as chunks:
        async for chunk in chunks:
            parts.append(chunk)
            size += len(chunk)
            if size > cap:
                if strict:
                    raise httpx.RemoteProtocolError("the answer is too large")
                break
    return b"".join(parts)[:cap]


_BY_STATUS: dict[int, tuple[ErrorKind, Scope]] = {
    400: (ErrorKind.INVALID_REQUEST, "request"),
    401: (ErrorKind.CREDENTIAL, "account"),
    402: (ErrorKind.QUOTA, "account"),
    403: (ErrorKind.CREDENTIAL, "request"),
    404: (ErrorKind.MODEL_NOT_FOUND, "request"),
    408: (ErrorKind.TIMEOUT, "request"),
    413: (ErrorKind.TOO_LARGE, "request"),
    422: (ErrorKind.INVALID_REQUEST, "request"),
    429: (ErrorKind.RATE_LIMIT, "model"),
    503: (ErrorKind.OVERLOADED, "request"),
    504: (ErrorKind.TIMEOUT, "request"),
    529: (ErrorKind.OVERLOADED, "request"),
}


def classify_status(failure: UpstreamFailure) -> UpstreamError:
    """Kind and scope by HTTP status alone: what stands when neither the provider nor its dialect knows better.

    401 speaks about the account, 429 about the account with this model; everything else about the request alone.
    """
    default = (ErrorKind.SERVER, "request") if failure.status >= 500 else (ErrorKind.INVALID_REQUEST, "request")
    kind, scope = _BY_STATUS.get(failure.status, default)
    return UpstreamError(
        kind,
        f"the upstream answered with status {failure.status}",
        scope=scope,
        retry_after=retry_after(failure.headers),
        status=failure.status,
    )
