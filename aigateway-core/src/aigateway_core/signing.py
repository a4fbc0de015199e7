"""Credentials that are one header and nothing else: requests are signed with them without a flow being driven."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator

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


class HeaderAuth(PlainAuth):
    """Puts one header on every request. It is the same for all, so that many requests may use it at a time."""

    def __init__(self, name: str, prefix: str, secret: Secret) -> None:
        self.name = name.lower()
        self._prefix = prefix
        self._secret = secret

    def value(self) -> str:
        """The header, for the wire only."""
        return self._prefix + self._secret.reveal()

    @override
    def plain(self) -> HeaderAuth:
        return self

    @override
    async def replacement(self, refused: HeaderAuth) -> None:
        return None

    @override
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers[self.name] = self.value()
        yield request
