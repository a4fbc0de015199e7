"""Signed keys: a key that reads ``id.secret`` is not sent itself, but a token that its secret signs.

Source: the authentication of the vendor's own SDK. An HS256 JSON Web Token (RFC 7515, 7519) with times in milliseconds.
"""

from __future__ import annotations

import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Generator
from typing import Any

import attrs
import httpx
from typing_extensions import override

from aigateway_core.plugin import Account, Secret

LIFE = 210.0
"""Seconds that a token is good for, as the SDK has it."""

KEPT = 180.0
"""Seconds after which a new one is made: clocks differ, and a request takes its time."""


def sign(key: str, now: float) -> str:
    """The token for ``id.secret`` at ``now``, in seconds since 1970."""
    identifier, _, secret = key.partition(".")
    made = round(now * 1000)
    header = _encoded({"alg": "HS256", "sign_type": "SIGN"})
    payload = _encoded({"api_key": identifier, "exp": made + round(LIFE * 1000), "timestamp": made})
    signature = hmac.digest(secret.encode(), f"{header}.{payload}".encode(), "sha256")
    return f"{header}.{payload}.{_base64(signature)}"


def _encoded(value: dict[str, Any]) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _base64(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def _of_two_parts(_: Any, attribute: attrs.Attribute[Secret], secret: Secret) -> None:
    identifier, dot, rest = secret.reveal().partition(".")
    if not (identifier and dot and rest and "." not in rest) or not secret.reveal().isascii():
        message = "is no key that can be signed with: those read id.secret, with one dot"
        raise ValueError(message, attribute)


@attrs.frozen(kw_only=True)
class GLMKey:
    """``auth_data`` of an account, as for plain bearer tokens: ``{"token": "id.secret"}``."""

    token: Secret = attrs.field(validator=_of_two_parts)


@attrs.frozen
class SigningOptions:
    """There is nothing to choose."""


class _Signing(httpx.Auth):
    """Signs with one key. A token serves many requests; one that was kept and is refused is made anew, once."""

    def __init__(self, key: Secret, clock: Callable[[], float]) -> None:
        self._key = key
        self._clock = clock
        self._made = float("-inf")
        self._token = ""

    @override
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        was_kept = self._is_good()
        if not was_kept:
            self._renew()
        used = self._token
        request.headers["authorization"] = f"Bearer {used}"
        response = yield request
        if response.status_code == 401 and was_kept:
            # A clock was set meanwhile, perhaps (code 1003). Of the requests that find out, the first makes the token.
            if self._token == used:
                self._renew()
            request.headers["authorization"] = f"Bearer {self._token}"
            yield request

    def _is_good(self) -> bool:
        return 0 <= self._clock() - self._made < KEPT

    def _renew(self) -> None:
        self._made = self._clock()
        self._token = sign(self._key.reveal(), self._made)


class SigningStrategy:
    """``glm_jwt``: see the module."""

    credential = GLMKey

    def __init__(self, _: SigningOptions, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    def auth(self, account: Account) -> httpx.Auth:
        """The flow that signs with this account's key."""
        credential: GLMKey = account.credential
        return _Signing(credential.token, self._clock)
