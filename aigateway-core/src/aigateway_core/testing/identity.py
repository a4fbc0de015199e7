"""An identity provider on a real socket, that refuses what a strict one refuses and remembers what it saw."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

import attrs

from aigateway_core.testing.token_answers import Listener, TokenAnswer


@attrs.define(kw_only=True)
class _Family:
    """The tokens that came of one login: if one of them is used twice, all of them are revoked (RFC 9700 §4.14.2)."""

    identity: str
    refresh_token: str
    spent: dict[str, float] = attrs.field(factory=dict)
    access: set[str] = attrs.field(factory=set)
    revoked: bool = False


class FakeIdentityProvider:
    """Gives out tokens by authorization code with PKCE (S256), and renews them.

    ``rotates``: each renewal brings a new refresh token, and the old one is spent; one that is used again within
    ``grace`` seconds still works, later it revokes all tokens of that login. ``lifetime`` is in seconds, and may be
    changed at any time, as ``identity`` (who logs in next), ``delay`` (before each token answer) and ``gate`` (an event
    that token answers wait for) may.
    """

    def __init__(
        self,
        *,
        client_id: str = "fake-client",
        client_secret: str = "fake-client-secret",  # noqa: S107 - that of a fake
        rotates: bool = True,
        grace: float = 0.0,
        lifetime: float = 3600.0,
        identity: str = "user@example.com",
    ) -> None:
        self.client_id = client_id
        self.client_secret = client_secret
        self.rotates = rotates
        self.grace = grace
        self.lifetime = lifetime
        self.identity = identity
        self.delay = 0.0
        self.gate: threading.Event | None = None
        self.violations: list[str] = []
        self.reuses = 0
        self.token_requests: list[dict[str, str]] = []
        self._answers: list[TokenAnswer] = []
        self._codes: dict[str, dict[str, str]] = {}
        self._families: list[_Family] = []
        self._ends: dict[str, float] = {}
        self._lock = threading.Lock()
        self._listener: Listener | None = None

    # -- its life

    def start(self) -> FakeIdentityProvider:
        """Listen on a free loopback port."""
        self._listener = Listener(self.respond)
        return self

    def stop(self) -> None:
        """End it."""
        if self._listener is not None:
            self._listener.close()

    def __enter__(self) -> FakeIdentityProvider:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it is."""
        assert self._listener is not None, "the identity provider was not started"
        return self._listener.url

    @property
    def auth_options(self) -> dict[str, Any]:
        """Options for the strategy ``oauth``."""
        return {
            "authorize_url": f"{self.url}/authorize",
            "token_url": f"{self.url}/token",
            "userinfo_url": f"{self.url}/userinfo",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "scopes": ["openid", "email"],
        }

    # -- what people do

    def consent(self, authorize_url: str) -> str:
        """What a browser is sent back to when somebody opens this address, logs in and agrees."""
        return self._redirect(authorize_url, lambda asked: {"code": self._code(asked)})

    def refuse_consent(self, authorize_url: str) -> str:
        """The same for somebody who does not agree."""
        return self._redirect(authorize_url, lambda _: {"error": "access_denied", "error_description": "<b>no</b>"})

    def tokens(self) -> dict[str, Any]:
        """``auth_data`` of somebody who has logged in already."""
        with self._lock:
            family = _Family(identity=self.identity, refresh_token=_token("rt"))
            self._families.append(family)
            answer = self._grant(family)
        return {
            "access_token": answer["access_token"],
            "refresh_token": family.refresh_token,
            "expires_at": time.time() + self.lifetime,
            "expires_in": self.lifetime,
        }

    # -- what a test orders and asks

    def answer(self, *answers: TokenAnswer) -> None:
        """Give these answers to the next token requests, one each."""
        self._answers.extend(answers)

    def revoke_access(self) -> None:
        """End every access token before its time."""
        self._ends.clear()

    def revoke(self) -> None:
        """End every login."""
        self._ends.clear()
        for family in self._families:
            family.revoked = True

    def accepts(self, access_token: str) -> bool:
        """Whether this access token is good now: for the fake vendor beside."""
        return time.monotonic() < self._ends.get(access_token, 0.0)

    def identity_of(self, access_token: str) -> str | None:
        """Who has logged in with this access token; None when it is not good now."""
        if not self.accepts(access_token):
            return None
        return next((family.identity for family in self._families if access_token in family.access), None)

    @property
    def refreshes(self) -> int:
        """How many renewals were asked for, whatever was answered."""
        return sum(asked.get("grant_type") == "refresh_token" for asked in self.token_requests)

    @property
    def exchanges(self) -> int:
        """How many codes were brought, whatever was answered."""
        return sum(asked.get("grant_type") == "authorization_code" for asked in self.token_requests)

    @property
    def secrets(self) -> set[str]:
        """Every token, code and secret that it ever gave out or was shown: none of them may show anywhere."""
        shown = {value for asked in self.token_requests for value in asked.values() if len(value) > 20}
        family = {each for one in self._families for each in (one.refresh_token, *one.spent, *one.access)}
        return {*shown, *family, *self._codes, self.client_secret} - {f"{self.url}/callback"}

    # -- how it works

    def _redirect(self, authorize_url: str, answer: Any) -> str:
        parts = urlsplit(authorize_url)
        asked = dict(parse_qsl(parts.query))
        problems = [
            name
            for name, good in {
                "address": authorize_url.startswith(f"{self.url}/authorize?"),
                "response_type": asked.get("response_type") == "code",
                "client_id": asked.get("client_id") == self.client_id,
                "redirect_uri": urlsplit(asked.get("redirect_uri", "")).hostname in {"127.0.0.1", "localhost", "::1"},
                "state": len(asked.get("state", "")) >= 22,
                "code_challenge": len(asked.get("code_challenge", "")) == 43,
                "code_challenge_method": asked.get("code_challenge_method") == "S256",
            }.items()
            if not good
        ]
        if problems:
            raise AssertionError(f"the login is begun wrongly: {', '.join(problems)}")
        return asked["redirect_uri"] + "?" + urlencode({**answer(asked), "state": asked["state"]})

    def _code(self, asked: dict[str, str]) -> str:
        code = _token("4/code")
        self._codes[code] = {**asked, "identity": self.identity}
        return code

    def respond(self, path: str, headers: Mapping[str, str], body: bytes) -> TokenAnswer:
        """The answer to one request: for its server."""
        if path == "/userinfo":
            return self._userinfo(headers)
        if path != "/token":
            return TokenAnswer(status=404)
        asked = self._read(headers, body)
        with self._lock:
            self.token_requests.append(asked)
            ordered = self._answers.pop(0) if self._answers else None
            usual = self._token_answer(asked) if ordered is None or ordered.spends else None
        if self.gate is not None:
            self.gate.wait(60)
        time.sleep(self.delay + (ordered.delay if ordered else 0))
        return ordered or usual or TokenAnswer(status=500)

    def _read(self, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        kind = headers.get("content-type", "")
        if kind == "application/json":
            asked: dict[str, str] = json.loads(body)
        elif kind == "application/x-www-form-urlencoded":
            asked = dict(parse_qsl(body.decode(), strict_parsing=True))
        else:
            self.violations.append(f"content-type {kind!r}")
            asked = {}
        scheme, _, pair = headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            name, _, secret = base64.b64decode(pair).decode().partition(":")
            asked |= {"client_id": unquote_plus(name), "client_secret": unquote_plus(secret)}
        return asked

    def _token_answer(self, asked: dict[str, str]) -> TokenAnswer:
        if (asked.get("client_id"), asked.get("client_secret")) != (self.client_id, self.client_secret):
            return _refused("invalid_client", 401)
        if asked.get("grant_type") == "authorization_code":
            return self._exchange(asked)
        if asked.get("grant_type") == "refresh_token":
            return self._renew(asked.get("refresh_token", ""))
        self.violations.append(f"grant_type {asked.get('grant_type')!r}")
        return _refused("unsupported_grant_type")

    def _exchange(self, asked: dict[str, str]) -> TokenAnswer:
        begun = self._codes.pop(asked.get("code", ""), None)
        verifier = hashlib.sha256(asked.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).decode().rstrip("=")
        if begun is None:
            return _refused("invalid_grant")
        for name, good in {
            "code_verifier": begun["code_challenge"] == challenge,
            "redirect_uri": begun["redirect_uri"] == asked.get("redirect_uri"),
        }.items():
            if not good:
                self.violations.append(f"{name} does not fit the login that was begun")
                return _refused("invalid_grant")
        family = _Family(identity=begun["identity"], refresh_token=_token("rt"))
        self._families.append(family)
        answer = self._grant(family)
        return TokenAnswer(body={**answer, "refresh_token": family.refresh_token, "id_token": self._id_token(family)})

    def _renew(self, refresh_token: str) -> TokenAnswer:
        for family in self._families:
            if family.revoked or refresh_token not in (family.refresh_token, *family.spent):
                continue
            spent_at = family.spent.get(refresh_token)
            if spent_at is not None and time.monotonic() - spent_at > self.grace:
                self.reuses += 1
                family.revoked = True
                for token in family.access:
                    self._ends.pop(token, None)
                break
            if self.rotates:
                if spent_at is None:
                    family.spent[refresh_token] = time.monotonic()
                else:
                    # The answer was lost: what it held was never used.
                    family.spent[family.refresh_token] = time.monotonic()
                family.refresh_token = _token("rt")
            answer = self._grant(family)
            return TokenAnswer(body={**answer, **({"refresh_token": family.refresh_token} if self.rotates else {})})
        return _refused("invalid_grant")

    def _grant(self, family: _Family) -> dict[str, Any]:
        token = _token("at")
        family.access.add(token)
        self._ends[token] = time.monotonic() + self.lifetime
        return {"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime, "scope": "openid email"}

    def _userinfo(self, headers: Mapping[str, str]) -> TokenAnswer:
        token = headers.get("authorization", "").removeprefix("Bearer ")
        identity = self.identity_of(token)
        if identity is None:
            return _refused("invalid_token", 401)
        return TokenAnswer(body={"id": "1129", "email": identity})

    def _id_token(self, family: _Family) -> str:
        said = {"iss": self.url, "aud": self.client_id, "email": family.identity, "exp": int(time.time()) + 3600}
        return ".".join(_segment(part) for part in ({"alg": "RS256"}, said, {"signature": "none"}))


def _refused(error: str, status: int = 400) -> TokenAnswer:
    return TokenAnswer(status=status, body={"error": error, "error_description": "Token has been expired or revoked."})


def _token(kind: str) -> str:
    return f"{kind}-{secrets.token_urlsafe(24)}"


def _segment(part: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(dict(part)).encode()).decode().rstrip("=")
