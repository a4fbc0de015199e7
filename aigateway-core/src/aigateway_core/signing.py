"""Credentials that are one header and nothing else: requests are signed with them without a flow being driven."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Generator

import httpx
from typing_extensions import override

from aigateway_core.secret import Secret


class PlainAuth(httpx.Auth):
    """A flow that may come down to one header. As a flow it does what any :class:`httpx.Auth` does."""

    @abstractmethod
    def plain(self) -> HeaderAuth | None:
        """The header that signs now; None where the flow has to be driven."""

    @abstractmethod
    async def replacement(self, refused: HeaderAuth) -> HeaderAuth | None:
        """Another one than the one that an upstream has just refused with status 401; None when there is none."""


_SIGNED = "aigateway.signed"
"""Marks a request of httpx's that has been signed: whoever signs it again sends it once more."""


class HeaderAuth(PlainAuth):
    """Puts one header on every request. It is the same for all, so that many requests may use it at a time.

    ``sends_again`` makes the body of a request that was refused with another header, and goes out with this one.
    """

    def __init__(
        self, name: str, prefix: str, secret: Secret, sends_again: Callable[[bytes], bytes] | None = None
    ) -> None:
        self.name = name.lower()
        self._prefix = prefix
        self._secret = secret
        self._sends_again = sends_again

    def value(self) -> str:
        """The header, for the wire only."""
        return self._prefix + self._secret.reveal()

    def again(self, content: bytes | None) -> bytes | None:
        """What goes out with this header, of what was refused with another."""
        return content if self._sends_again is None or content is None else self._sends_again(content)

    @override
    def plain(self) -> HeaderAuth:
        return self

    @override
    async def replacement(self, refused: HeaderAuth) -> None:
        return None

    @override
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self._sends_again is not None:
            if _SIGNED in request.extensions:
                request = _with_body(request, self._sends_again(request.content))
            request.extensions[_SIGNED] = True
        request.headers[self.name] = self.value()
        yield request


def _with_body(request: httpx.Request, body: bytes) -> httpx.Request:
    """The same request with another body; its length is told anew."""
    headers = httpx.Headers(request.headers)
    headers.pop("content-length", None)
    return httpx.Request(request.method, request.url, headers=headers, content=body, extensions=request.extensions)
