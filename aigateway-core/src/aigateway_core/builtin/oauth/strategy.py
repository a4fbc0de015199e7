"""The strategy ``oauth``: builds addresses and token requests, and reads the answers."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import quote_plus, urlencode, urlsplit, urlunsplit

import attrs
import httpx

from aigateway_core.builtin.oauth.answers import Tokens, claims, read_tokens, refusal
from aigateway_core.builtin.oauth.credential import OAuthCredential, end_of
from aigateway_core.builtin.oauth.options import OAuthOptions
from aigateway_core.plugin import (
    Account,
    BegunLogin,
    ErrorKind,
    Grant,
    JsonObject,
    Login,
    LoginNeededError,
    Redirect,
    Secret,
    Upstream,
    UpstreamError,
    UpstreamFailure,
    loads_upstream,
)
from aigateway_core.plugin.auth import HeaderAuth

_ENDED = datetime(1970, 1, 1, tzinfo=UTC)


class OAuthStrategy:
    """OAuth 2.0 with one identity provider."""

    credential = OAuthCredential

    def __init__(self, options: OAuthOptions) -> None:
        self._options = options
        self.redirect = Redirect(
            host=options.redirect_host, path=options.redirect_path, ports=tuple(options.redirect_ports)
        )

    def auth(self, account: Account) -> httpx.Auth:
        """The access token of this account. Raises :class:`ValueError` when it has none."""
        credential: OAuthCredential = account.credential
        if credential.access_token is None:
            raise ValueError("the account has no access token")
        return _token_auth(credential.token_type, credential.access_token, self._options.sends_again)

    def classify_error(self, failure: UpstreamFailure) -> UpstreamError:
        """What a refusal of the token endpoint means."""
        return refusal(failure)

    # -- renewal

    def expires_at(self, credential: OAuthCredential) -> datetime | None:
        """When the access token ends: at once when there is none, or its end cannot be read."""
        if credential.access_token is None:
            return _ENDED
        return end_of(credential) or _ENDED

    async def renew(self, account: Account, upstream: Upstream) -> Grant:
        """RFC 6749 §6. The old refresh token stays unless a new one comes with the answer."""
        held: OAuthCredential = account.credential
        if held.refresh_token is None:
            raise LoginNeededError("the account has no refresh token, and its access token has ended")
        if held.token_url not in (None, self._options.token_url):
            message = "the account's token_url is not that of its provider: log in again, or correct it"
            raise UpstreamError(ErrorKind.CREDENTIAL, message, scope="account", dispatched=False)
        asked = {"grant_type": "refresh_token", "refresh_token": held.refresh_token.reveal()}
        tokens = await self._ask(upstream, asked, held)
        kept = attrs.evolve(held, refresh_token=Secret(tokens.refresh_token or held.refresh_token.reveal()))
        return Grant(auth_data=self._auth_data(tokens, kept), expires_at=tokens.expires_at)

    # -- login

    def begin_login(self, redirect_uri: str) -> BegunLogin:
        """RFC 6749 §4.1.1 with RFC 7636 §4.3."""
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        query = {
            **self._options.authorize_parameters,
            "response_type": "code",
            "client_id": self._options.client_id,
            "redirect_uri": redirect_uri,
            **({"scope": " ".join(self._options.scopes)} if self._options.scopes else {}),
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        url = _with_query(self._options.authorize_url, query)
        return BegunLogin(
            url=url,
            state=Secret(state),
            redirect_uri=redirect_uri,
            verifier=Secret(verifier),
            issuer=self._options.issuer,
        )

    async def finish_login(self, login: BegunLogin, code: str, upstream: Upstream) -> Login:
        """RFC 6749 §4.1.3, then who it is, then the plugin's own step."""
        asked = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": login.redirect_uri,
            "code_verifier": login.verifier.reveal(),
        }
        tokens = await self._ask(upstream, asked, None)
        if tokens.refresh_token is None and self._options.needs_refresh_token:
            message = (
                "the identity provider gave no refresh token: remove this gateway's access there, then log in again"
            )
            raise UpstreamError(ErrorKind.CREDENTIAL, message, scope="account")
        refresh = Secret(tokens.refresh_token) if tokens.refresh_token else None
        held = OAuthCredential(access_token=Secret(tokens.access_token), refresh_token=refresh)
        signed = upstream.signed(
            _token_auth(tokens.token_type, Secret(tokens.access_token)), *filter(None, (held.access_token, refresh))
        )
        found = Login(
            auth_data=self._auth_data(tokens, held),
            expires_at=tokens.expires_at,
            identity=await self._identity(tokens, signed),
        )
        return found if self._options.after_login is None else await self._options.after_login(found, signed)

    async def _identity(self, tokens: Tokens, upstream: Upstream) -> str:
        said = claims(tokens.id_token)
        if said:
            self._check(said)
        if not said.get(self._options.identity_claim) and self._options.userinfo_url:
            said = loads_upstream((await upstream.get(self._options.userinfo_url)).content)
        identity = said.get(self._options.identity_claim, "")
        return str(identity)[:200] if isinstance(identity, str | int) else ""

    def _check(self, said: JsonObject) -> None:
        """OpenID Connect Core 1.0 §3.1.3.7, 2. and 3."""
        audience = said.get("aud")
        meant = audience if isinstance(audience, list) else [audience]
        if self._options.client_id not in meant or self._options.issuer not in (None, said.get("iss")):
            raise UpstreamError(ErrorKind.PROTOCOL, "the identity provider's answer is for somebody else")

    # -- the token endpoint

    async def _ask(self, upstream: Upstream, asked: Mapping[str, str], held: OAuthCredential | None) -> Tokens:
        options, asked_at = self._options, datetime.now(UTC)
        client_id, secret = self._client(held)
        headers = {"accept": "application/json"}
        body = {**options.token_parameters, **asked}
        if options.client_authentication == "header" and secret is not None:
            headers["authorization"] = _basic(client_id, secret)
        else:
            body |= {"client_id": client_id, **({"client_secret": secret.reveal()} if secret else {})}
        unseen = [Secret(value) for name, value in body.items() if name not in ("grant_type", "client_id")]
        quiet = upstream.signed(None, *unseen)
        if options.request_format == "json":
            answer = await quiet.post(options.token_url, json=body, headers=headers)
        else:
            headers["content-type"] = "application/x-www-form-urlencoded"
            answer = await quiet.post(options.token_url, content=urlencode(body).encode(), headers=headers)
        return read_tokens(answer.content, asked_at)

    def _client(self, held: OAuthCredential | None) -> tuple[str, Secret | None]:
        """The client that the tokens belong to."""
        if held is None or held.client_id in (None, self._options.client_id):
            return self._options.client_id, (held.client_secret if held else None) or self._options.client_secret
        return str(held.client_id), held.client_secret

    def _auth_data(self, tokens: Tokens, held: OAuthCredential) -> JsonObject:
        data = {
            "access_token": tokens.access_token,
            "refresh_token": held.refresh_token.reveal() if held.refresh_token else None,
            "token_url": self._options.token_url,
            "client_id": self._client(held)[0],
            "client_secret": held.client_secret.reveal() if held.client_secret else None,
            "expires_at": tokens.expires_at.isoformat(),
            "expires_in": tokens.expires_in if isinstance(tokens.expires_in, int | float) else None,
            "token_type": tokens.token_type,
        }
        return {name: value for name, value in data.items() if value is not None}


def _token_auth(token_type: str, token: Secret, sends_again: Callable[[bytes], bytes] | None = None) -> httpx.Auth:
    # RFC 6750 spells the scheme so; providers spell the type as they like.
    prefix = "Bearer " if token_type.lower() == "bearer" else f"{token_type} "
    return HeaderAuth("authorization", prefix, token, sends_again)


def _basic(client_id: str, secret: Secret) -> str:
    """RFC 6749 §2.3.1: each half is form-encoded first."""
    pair = f"{quote_plus(client_id)}:{quote_plus(secret.reveal())}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def _with_query(url: str, query: Mapping[str, str]) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, urlencode(query))))))
