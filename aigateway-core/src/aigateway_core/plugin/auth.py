"""What an auth strategy is, and what one may do besides: renew tokens, and log in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import attrs
import httpx

from aigateway_core.model import JsonObject
from aigateway_core.records import Account
from aigateway_core.secret import Secret
from aigateway_core.signing import HeaderAuth as HeaderAuth
from aigateway_core.upstream import Upstream

ConfigT = TypeVar("ConfigT")


class AuthStrategy(Protocol):
    """A way to authenticate at an upstream.

    ``credential`` is the attrs class that an account's ``auth_data`` is structured into; its secret fields are of type
    :class:`~aigateway_core.secret.Secret`.
    """

    @property
    def credential(self) -> type[Any]:
        """The attrs class of a credential."""

    def auth(self, account: Account) -> httpx.Auth:
        """The auth flow for requests of this account: built once, and used by many requests at a time."""


@attrs.frozen(kw_only=True)
class Grant:
    """What a renewal brought: the whole of the new ``auth_data``, and when its token ends, if that is known."""

    auth_data: JsonObject = attrs.field(repr=False)
    expires_at: datetime | None = None


@runtime_checkable
class RenewsTokens(Protocol):
    """A strategy whose credentials end by themselves and can be renewed.

    The gateway decides when, sees to it that a credential is renewed once however many requests and processes wait for
    it, stores what came of it before it is used, and asks for another renewal when the upstream answers 401. The flows
    of :meth:`AuthStrategy.auth` only sign.
    """

    def expires_at(self, credential: Any) -> datetime | None:
        """When this credential ends; None when nobody knows, so that only a 401 tells."""

    async def renew(self, account: Account, upstream: Upstream) -> Grant:
        """A new credential for this account, asked for once.

        ``upstream`` is the account's own way out, unsigned; refusals are judged by the strategy's ``classify_error``,
        if it has one. Raises :class:`LoginNeededError` when it is certain that nothing but a new login helps, and any
        other :class:`UpstreamError` when it may work later.
        """


@attrs.frozen(kw_only=True)
class Redirect:
    """Where a browser brings the answer of a login on the machine that began it.

    ``ports`` are tried in order, then any free one; ``host`` is ``127.0.0.1``, ``localhost`` or ``[::1]``.
    """

    host: str = "127.0.0.1"
    path: str = "/callback"
    ports: tuple[int, ...] = ()


@attrs.frozen(kw_only=True)
class BegunLogin:
    """A login that waits for its answer: ``url`` is what to open in a browser.

    ``state`` comes back with the answer and tells whose it is; ``verifier`` proves that who answers has begun it
    (PKCE, RFC 7636). Both are kept by the gateway and good for one use. An answer that names an issuer must name this
    ``issuer``, when there is one (RFC 9207): it could be another provider's.
    """

    url: str = attrs.field(repr=False)
    state: Secret
    redirect_uri: str
    verifier: Secret
    issuer: str | None = None


@attrs.frozen(kw_only=True)
class Login:
    """What a login brought.

    ``identity`` tells accounts of a provider apart, an e-mail address for example: a login of one that is there already
    renews that one. ``metadata`` is stored with the account, and is what ``Upstream.metadata`` shows.
    """

    auth_data: JsonObject = attrs.field(repr=False)
    expires_at: datetime | None = None
    identity: str = ""
    metadata: Mapping[str, Any] = attrs.field(factory=dict)


@runtime_checkable
class LogsIn(Protocol):
    """A strategy whose accounts come from a login in a browser."""

    @property
    def redirect(self) -> Redirect:
        """Where the command line waits for the answer."""

    def begin_login(self, redirect_uri: str) -> BegunLogin:
        """A login whose answer goes to this address. Asks nobody."""

    async def finish_login(self, login: BegunLogin, code: str, upstream: Upstream) -> Login:
        """Turn the code that came back into a credential.

        ``upstream`` is the way out that the account will use. Raises :class:`UpstreamError`.
        """


@attrs.frozen(kw_only=True)
class AuthStrategySpec(Generic[ConfigT]):
    """An auth strategy as a plugin offers it; ``config`` is structured from the provider's ``auth_options``."""

    name: str
    config: type[ConfigT]
    build: Callable[[ConfigT], AuthStrategy]
