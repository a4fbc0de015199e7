"""Auth strategies for vendors that hand out a key or a token, and for those that ask for nothing."""

from __future__ import annotations

from typing import Any

import attrs
import httpx

from aigateway_core.builtin.oauth import OAuthOptions, OAuthStrategy
from aigateway_core.plugin import Account, AuthStrategySpec, Secret, hookimpl
from aigateway_core.plugin.auth import HeaderAuth

_LONGEST = 8192
"""Characters: most servers take no longer header, and signed tokens stay well below."""


def _fit_for_a_header(_: Any, attribute: attrs.Attribute[Secret], secret: Secret) -> None:
    value = secret.reveal()
    if not 0 < len(value) <= _LONGEST or not value.isascii() or not value.isprintable() or " " in value:
        message = f"is empty, longer than {_LONGEST}, or has spaces or characters that no HTTP header can carry"
        raise ValueError(message, attribute)


@attrs.frozen(kw_only=True)
class ApiKeyCredential:
    """``auth_data`` of an account with an API key."""

    api_key: Secret = attrs.field(validator=_fit_for_a_header)


@attrs.frozen(kw_only=True)
class BearerCredential:
    """``auth_data`` of an account with a bearer token."""

    token: Secret = attrs.field(validator=_fit_for_a_header)


@attrs.frozen
class NoCredential:
    """``auth_data`` of an account that needs none: an empty object."""


@attrs.frozen(kw_only=True)
class ApiKeyOptions:
    """The header that carries the key, and what stands before the key in it."""

    header: str = "authorization"
    prefix: str = "Bearer "


@attrs.frozen
class NoOptions:
    """The strategy has nothing to choose."""


class ApiKeyStrategy:
    """An API key in a header."""

    credential = ApiKeyCredential

    def __init__(self, options: ApiKeyOptions) -> None:
        self._options = options

    def auth(self, account: Account) -> httpx.Auth:
        """The key of this account, in the vendor's header."""
        credential: ApiKeyCredential = account.credential
        return HeaderAuth(self._options.header, self._options.prefix, credential.api_key)


class BearerStrategy:
    """A bearer token, as RFC 6750 §2.1 puts it."""

    credential = BearerCredential

    def __init__(self, _: NoOptions) -> None:
        pass

    def auth(self, account: Account) -> httpx.Auth:
        """The token of this account."""
        credential: BearerCredential = account.credential
        return HeaderAuth("authorization", "Bearer ", credential.token)


class NoAuthStrategy:
    """Nothing: for local servers that ask for no key."""

    credential = NoCredential

    def __init__(self, _: NoOptions) -> None:
        pass

    def auth(self, account: Account) -> httpx.Auth:  # noqa: ARG002 - the Protocol's signature
        """A flow that leaves the request as it is."""
        return httpx.Auth()


@hookimpl
def aigateway_register_auth_strategies() -> tuple[AuthStrategySpec[Any], ...]:
    """Offer ``api_key``, ``bearer``, ``oauth`` and ``none``."""
    return (
        AuthStrategySpec(name="api_key", config=ApiKeyOptions, build=ApiKeyStrategy),
        AuthStrategySpec(name="bearer", config=NoOptions, build=BearerStrategy),
        AuthStrategySpec(name="oauth", config=OAuthOptions, build=OAuthStrategy),
        AuthStrategySpec(name="none", config=NoOptions, build=NoAuthStrategy),
    )
