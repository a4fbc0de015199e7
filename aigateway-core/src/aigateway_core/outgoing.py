"""A request on its way to an upstream, signed: from plain words to the head of its answer.

There are two ways. One credential is one header, and an engine of our own takes the request in plain words: that is
what nearly every call is, and it costs little. The other is that of :mod:`httpx`: an auth flow sees each answer and may
ask for another request, and a transport takes a request of httpx's.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from contextlib import aclosing
from functools import lru_cache
from typing import Any

import attrs
import httpx

from aigateway_core.bodies import collect, refuse_encoding
from aigateway_core.errors import ErrorKind, UpstreamError
from aigateway_core.faults import NOT_SENT
from aigateway_core.jsontext import dumps
from aigateway_core.relaying import agent
from aigateway_core.replies import Ask, HttpxReply, Reply
from aigateway_core.signing import HeaderAuth, PlainAuth

_UNAUTHORIZED = 401  # as an enumeration's member it is looked up by a function each time


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


class Outgoing:
    """What is asked. The names of ``headers`` are in lower case."""

    __slots__ = ("content", "headers", "method", "url")

    def __init__(
        self, method: str, url: str, json: Any, content: bytes | None, headers: Mapping[str, str] | None
    ) -> None:
        self.method = method
        self.url = url
        self.content = dumps(json) if content is None and json is not None else content
        self.headers = {"accept": "*/*", "accept-encoding": "identity", "user-agent": agent.get()}
        if self.content is not None:
            self.headers["content-type"] = "application/json"
        if headers:
            self.headers.update({name.lower(): value for name, value in headers.items()})

    def request(self) -> httpx.Request:
        """The same for httpx. Raises :class:`httpx.InvalidURL` and :class:`httpx.LocalProtocolError`."""
        try:
            return httpx.Request(self.method, _parsed(self.url), content=self.content, headers=self.headers)
        except ValueError:
            raise httpx.LocalProtocolError("a header that no request can carry") from None


class Sender:
    """One way out, with one credential. ``proxied``: an outbound proxy stands between.

    ``sent`` holds whether the vendor may have seen anything so far; several may share one.
    """

    __slots__ = ("_auth", "_limits", "_proxied", "_transport", "sent")

    def __init__(
        self, transport: httpx.AsyncBaseTransport, auth: httpx.Auth | None, limits: Limits, *, proxied: bool
    ) -> None:
        self._transport = transport
        self._auth = auth
        self._limits = limits
        self._proxied = proxied
        self.sent = [False]

    async def send(self, asked: Outgoing, deadline: float) -> Reply:
        """The head of the answer. Raises :class:`UpstreamError`, what a transport may raise, :class:`TimeoutError`."""
        ask: Ask | None = getattr(self._transport, "ask", None)
        if ask is not None:
            if self._auth is None or type(self._auth) is httpx.Auth:
                return await self._plainly(ask, asked, None, deadline)
            if isinstance(self._auth, PlainAuth) and (header := self._auth.plain()) is not None:
                reply = await self._plainly(ask, asked, header, deadline)
                if reply.status != _UNAUTHORIZED:
                    return reply
                return await self._once_more(ask, asked, self._auth, header, reply, deadline)
        async with asyncio.timeout_at(deadline):
            return HttpxReply(await self._driven(asked.request()), self._limits.idle)

    # -- in plain words

    async def _once_more(
        self, ask: Ask, asked: Outgoing, auth: PlainAuth, refused: HeaderAuth, reply: Reply, deadline: float
    ) -> Reply:
        """With another header, if there is another when the upstream refuses one."""
        other: HeaderAuth | None = None
        try:
            async with asyncio.timeout_at(deadline):
                other = await auth.replacement(refused)
        except BaseException:
            await reply.aclose()
            raise
        if other is None:
            return reply
        await reply.aclose()
        asked.content = other.again(asked.content)
        return await self._plainly(ask, asked, other, deadline)

    async def _plainly(self, ask: Ask, asked: Outgoing, signed: HeaderAuth | None, deadline: float) -> Reply:
        limits, before = self._limits, self.sent[0]
        unique: tuple[tuple[str, str], ...] = ()
        if signed is not None:
            asked.headers.pop(signed.name, None)
            unique = ((signed.name, signed.value()),)
        if "authorization" in asked.headers:  # whoever signs by himself does it there: a client at a token endpoint
            unique = (*unique, ("authorization", asked.headers.pop("authorization")))
        self.sent[0] = True
        try:
            return await ask(
                asked.method,
                asked.url,
                asked.headers,
                unique,
                asked.content or b"",
                connect=limits.connect,
                first_byte=limits.first_byte,
                idle=limits.idle,
                until=deadline,
            )
        except (httpx.ConnectTimeout, httpx.ReadTimeout) as error:
            if asyncio.get_running_loop().time() >= deadline:
                raise TimeoutError from None
            if isinstance(error, httpx.ReadTimeout):
                raise _late() from None
            raise
        except asyncio.CancelledError as error:
            self.sent[0] = before or _may_be_seen(error)
            raise

    # -- as httpx has it

    async def _driven(self, request: httpx.Request) -> httpx.Response:
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
        limits = self._limits
        request.extensions.setdefault(
            "timeout",
            {
                "connect": limits.connect,
                "first_byte": limits.first_byte,
                "read": limits.idle,
                "write": limits.idle,
                "pool": limits.connect,
            },
        )
        before, self.sent[0] = self.sent[0], True
        try:
            # The engine keeps both deadlines; this one is for headers that dribble in, and bodies that nobody takes.
            async with asyncio.timeout(limits.connect + limits.first_byte):
                response = await self._transport.handle_async_request(request)
        except (TimeoutError, httpx.ReadTimeout):
            raise _late() from None
        except asyncio.CancelledError as error:
            self.sent[0] = before or _may_be_seen(error)
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
        reply = HttpxReply(response, self._limits.idle)
        refuse_encoding(reply)
        body = await collect(reply, math.inf, self._limits.max_response_bytes)
        await reply.aclose()
        return httpx.Response(response.status_code, headers=response.headers, content=body)


@lru_cache(maxsize=1024)
def _parsed(url: str) -> httpx.URL:
    """The address, taken apart once: vendors are asked at few of them, and over and over again."""
    return httpx.URL(url)


def _may_be_seen(error: asyncio.CancelledError) -> bool:
    return NOT_SENT not in getattr(error, "__notes__", ())


def _late() -> UpstreamError:
    return UpstreamError(ErrorKind.TIMEOUT, "the upstream did not begin to answer within the time limit")
