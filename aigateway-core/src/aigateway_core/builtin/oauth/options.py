"""What differs from one identity provider to the next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

import attrs

from aigateway_core.plugin import Login, Secret, Upstream


def _an_address(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and not value.startswith(("https://", "http://")):
        message = "expected an https or http URL"
        raise ValueError(message, attribute)


def _given(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    if not value:
        message = "is empty"
        raise ValueError(message, attribute)


def _a_path(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    if not value.startswith("/"):
        message = "expected a path that begins with /"
        raise ValueError(message, attribute)


@attrs.frozen(kw_only=True)
class OAuthOptions:
    """How to log in at one identity provider.

    ``authorize_parameters`` and ``token_parameters`` are sent besides the standard ones. ``request_format`` is that
    of the token endpoint; ``client_authentication`` says whether client id and secret stand in the body or
    in a header. ``identity_claim`` is looked for in the ``id_token``, then at ``userinfo_url``. ``issuer``, when given,
    must be what the provider says of itself. ``after_login`` may look up what else an account needs: it gets the login
    and the account's way out, signed with the new token, and returns the login, with more ``metadata`` for example.
    ``sends_again`` makes the body of a request that goes out once more, with a new token, since the old one was
    refused; without it, it is the same body.
    """

    authorize_url: str = attrs.field(validator=_an_address)
    token_url: str = attrs.field(validator=_an_address)
    client_id: str = attrs.field(validator=_given)
    client_secret: Secret | None = None
    scopes: tuple[str, ...] = ()
    authorize_parameters: Mapping[str, str] = attrs.field(factory=dict)
    token_parameters: Mapping[str, str] = attrs.field(factory=dict)
    request_format: Literal["form", "json"] = "form"
    client_authentication: Literal["body", "header"] = "body"
    needs_refresh_token: bool = True
    issuer: str | None = None
    userinfo_url: str | None = attrs.field(default=None, validator=_an_address)
    identity_claim: str = "email"
    redirect_host: Literal["127.0.0.1", "localhost", "[::1]"] = "127.0.0.1"
    redirect_path: str = attrs.field(default="/callback", validator=_a_path)
    redirect_ports: tuple[int, ...] = ()
    after_login: Callable[[Login, Upstream], Awaitable[Login]] | None = None
    sends_again: Callable[[bytes], bytes] | None = None
