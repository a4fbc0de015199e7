"""What every auth strategy has to keep, as tests to inherit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import attrs
import httpx
import pytest

from aigateway_core.plugin import Account, AuthStrategy, Secret


class AuthStrategyConformance:
    """Subclass it, give the fixtures ``strategy`` and ``credential`` (a filled one), and get the tests.

    The credential must be good as it stands: signing with it may need no call to anybody.
    """

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def anyio_backend(self) -> str:
        """The gateway runs on asyncio."""
        return "asyncio"

    @pytest.fixture
    def account(self, credential: object) -> Account:
        """An account that holds the credential."""
        return Account(id="account-1", provider_id="provider-1", credential=credential)

    def test_the_credential_is_of_the_declared_class(self, strategy: AuthStrategy, credential: object) -> None:
        assert attrs.has(strategy.credential)
        assert isinstance(credential, strategy.credential)

    async def test_a_request_is_signed_and_otherwise_left_alone(self, strategy: AuthStrategy, account: Account) -> None:
        request = await _signed(strategy.auth(account))
        bare = _request()
        assert (dict(request.headers), request.url) != (dict(bare.headers), bare.url), (
            "nothing was added to the request"
        )
        assert (request.method, request.content, request.url.host) == (bare.method, bare.content, bare.url.host)

    async def test_one_flow_signs_many_requests_the_same(self, strategy: AuthStrategy, account: Account) -> None:
        auth = strategy.auth(account)
        first, second = await _signed(auth), await _signed(auth)
        assert first.headers.keys() == second.headers.keys()

    async def test_no_secret_shows(self, strategy: AuthStrategy, account: Account, credential: object) -> None:
        auth = strategy.auth(account)
        await _signed(auth)
        shown = " ".join(repr(value) for value in (strategy, account, credential, auth))
        assert not any(secret.reveal() in shown for secret in _secrets(credential))


def _request() -> httpx.Request:
    return httpx.Request(
        "POST", "https://vendor.test/v1/chat", content=b"{}", headers={"content-type": "application/json"}
    )


async def _signed(auth: httpx.Auth) -> httpx.Request:
    async with aclosing(auth.async_auth_flow(_request())) as flow:
        return await anext(flow)


def _secrets(value: Any) -> Iterator[Secret]:
    if isinstance(value, Secret):
        yield value
    elif attrs.has(type(value)):
        for field in attrs.fields(type(value)):
            yield from _secrets(getattr(value, field.name))
