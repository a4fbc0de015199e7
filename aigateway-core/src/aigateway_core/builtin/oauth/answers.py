"""What identity providers answer: tokens, refusals in their several shapes, and who somebody is."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import datetime
from typing import Any

import attrs

from aigateway_core.builtin.oauth.credential import end_of_life, fit_for_a_header
from aigateway_core.plugin import (
    ErrorKind,
    JsonObject,
    LoginNeededError,
    UpstreamError,
    UpstreamFailure,
    classify_status,
    loads_upstream,
    retry_after,
)


@attrs.frozen(kw_only=True)
class Tokens:
    """What a token endpoint gave out."""

    access_token: str = attrs.field(repr=False)
    refresh_token: str | None = attrs.field(repr=False)
    token_type: str
    expires_in: Any
    expires_at: datetime
    id_token: str | None = attrs.field(repr=False)


def read_tokens(body: bytes, asked_at: datetime) -> Tokens:
    """RFC 6749 §5.1. Raises :class:`UpstreamError` for anything that holds no usable token."""
    answer = loads_upstream(body)
    if "error" in answer:
        # Some say so with a status of 200.
        raise refusal(UpstreamFailure(200, {}, body))
    token = answer.get("access_token")
    if not isinstance(token, str) or not fit_for_a_header(token):
        raise UpstreamError(ErrorKind.PROTOCOL, "the token endpoint's answer holds no access token")
    kind = answer.get("token_type")
    return Tokens(
        access_token=token,
        refresh_token=_text(answer.get("refresh_token")),
        token_type=kind if isinstance(kind, str) and fit_for_a_header(kind) else "Bearer",
        expires_in=answer.get("expires_in"),
        expires_at=end_of_life(answer.get("expires_in"), asked_at),
        id_token=_text(answer.get("id_token")),
    )


_OVER = {"invalid_grant"}
"""The refresh token or the code is dead. RFC 6749 §5.2."""

_CLIENT = {"invalid_client", "unauthorized_client"}
"""The provider does not accept our client: that is the configuration's fault, and no account shall pay for it."""

_A_CODE = re.compile(r"[a-z_]{3,40}")
"""What a code looks like. Anything else is not repeated: servers put what they were sent into their answers."""

_LATER = {"temporarily_unavailable", "server_error", "slow_down"}


def refusal(failure: UpstreamFailure) -> UpstreamError:
    """What a refusal of the token endpoint means. The provider's own words are not passed on: they may hold tokens."""
    code = _code(failure.body)
    if code in _OVER:
        return LoginNeededError(f"the identity provider has ended the login ({code})", status=failure.status, code=code)
    if code in _CLIENT:
        message = f"the identity provider does not accept the client id or secret ({code})"
        return _of_account(ErrorKind.CREDENTIAL, message, failure, code)
    if failure.status == 429 or failure.status >= 500 or code in _LATER:
        message = f"the identity provider cannot answer now ({code or failure.status})"
        return _of_account(ErrorKind.UNAVAILABLE, message, failure, code)
    if code is None:
        return classify_status(failure)
    message = f"the identity provider refused ({code})"
    return _of_account(ErrorKind.CREDENTIAL, message, failure, code)


def _of_account(kind: ErrorKind, message: str, failure: UpstreamFailure, code: str | None) -> UpstreamError:
    wait = retry_after(failure.headers)
    return UpstreamError(kind, message, scope="account", retry_after=wait, status=failure.status, code=code)


def _code(body: bytes) -> str | None:
    """RFC 6749 §5.2 has ``{"error": "code"}``; Google's other services have an object there, with ``status``."""
    try:
        error = loads_upstream(body).get("error")
    except UpstreamError:
        return None
    if isinstance(error, dict):
        error = error.get("status") or error.get("code") or error.get("type")
    said = error.strip().lower() if isinstance(error, str) else ""
    return said if _A_CODE.fullmatch(said) else None


def claims(id_token: str | None) -> JsonObject:
    """What an ``id_token`` says; nothing when it cannot be read.

    Its signature is not looked at: it came from the token endpoint itself (OpenID Connect Core 1.0 §3.1.3.7, 6.).
    """
    parts = (id_token or "").split(".")
    if len(parts) != 3:
        return {}
    try:
        return loads_upstream(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (UpstreamError, binascii.Error, ValueError):
        return {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
