"""The strategy ``oauth`` against an identity provider on a real socket."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import attrs
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigateway_core.builtin.oauth import OAuthCredential, OAuthOptions, OAuthStrategy
from aigateway_core.builtin.oauth.answers import claims, read_tokens, refusal
from aigateway_core.builtin.oauth.credential import end_of_life, moment
from aigateway_core.engine.proxied import AiohttpTransport
from aigateway_core.errors import ErrorKind, LoginNeededError, UpstreamError, UpstreamFailure
from aigateway_core.plugin import Account, AuthStrategy, Grant, Login, Secret, Upstream
from aigateway_core.structuring import StructuringError, structure
from aigateway_core.testing import AuthStrategyConformance, FakeIdentityProvider, TokenAnswer

BACK = "http://127.0.0.1:51121/callback"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class TestOAuth(AuthStrategyConformance):
    @pytest.fixture
    def strategy(self) -> AuthStrategy:
        options = {"authorize_url": "https://idp.test/a", "token_url": "https://idp.test/t", "client_id": "c"}
        return OAuthStrategy(structure(options, OAuthOptions))

    @pytest.fixture
    def credential(self) -> object:
        return OAuthCredential(access_token=Secret("at-0123456789"), refresh_token=Secret("rt-0123456789"))


@pytest.fixture
def idp(fake_identity_provider: FakeIdentityProvider) -> FakeIdentityProvider:
    return fake_identity_provider


@pytest.fixture
def made(idp: FakeIdentityProvider) -> Callable[..., OAuthStrategy]:
    return lambda **more: OAuthStrategy(structure({**idp.auth_options, **more}, OAuthOptions))


@pytest.fixture
async def upstream() -> AsyncIterator[Callable[[OAuthStrategy], Upstream]]:
    transport = AiohttpTransport(trusted=True)
    yield lambda strategy: Upstream(transport, classify=strategy.classify_error)
    await transport.aclose()


@pytest.fixture
def renewed(
    idp: FakeIdentityProvider, made: Callable[..., OAuthStrategy], upstream: Callable[[OAuthStrategy], Upstream]
) -> Callable[..., Any]:
    async def renew(auth_data: dict[str, Any] | None = None, **more: Any) -> Grant:
        strategy = made(**more)
        credential = structure(idp.tokens() if auth_data is None else auth_data, OAuthCredential)
        return await strategy.renew(Account(id="a", provider_id="p", credential=credential), upstream(strategy))

    return renew


@pytest.fixture
def logged_in(
    idp: FakeIdentityProvider, made: Callable[..., OAuthStrategy], upstream: Callable[[OAuthStrategy], Upstream]
) -> Callable[..., Any]:
    async def log_in(**more: Any) -> Login:
        strategy = made(**more)
        begun = strategy.begin_login(BACK)
        code = dict(parse_qsl(urlsplit(idp.consent(begun.url)).query))["code"]
        return await strategy.finish_login(begun, code, upstream(strategy))

    return log_in


# -- login


def test_the_address_to_open_says_what_it_has_to(made: Callable[..., OAuthStrategy], idp: FakeIdentityProvider) -> None:
    strategy = made(authorize_parameters={"access_type": "offline", "prompt": "consent"})
    one, two = strategy.begin_login(BACK), strategy.begin_login(BACK)
    query = parse_qs(urlsplit(one.url).query)
    assert query["access_type"] == ["offline"]
    assert query["prompt"] == ["consent"]
    assert query["scope"] == ["openid email"]
    assert query["redirect_uri"] == [BACK]
    assert query["state"] == [one.state.reveal()]
    assert one.verifier.reveal() not in one.url
    assert (one.state, one.verifier) != (two.state, two.verifier)
    assert idp.client_secret not in one.url
    assert one.state.reveal() not in repr(one)


@pytest.mark.parametrize("how", [{}, {"request_format": "json"}, {"client_authentication": "header"}])
@pytest.mark.anyio
async def test_a_code_becomes_tokens_and_an_identity(
    logged_in: Callable[..., Any], idp: FakeIdentityProvider, how: dict[str, str]
) -> None:
    login = await logged_in(**how)
    assert idp.accepts(login.auth_data["access_token"])
    assert login.auth_data["token_url"] == f"{idp.url}/token"
    assert login.identity == "user@example.com"
    assert timedelta(minutes=59) < login.expires_at - datetime.now(UTC) < timedelta(minutes=61)
    assert structure(login.auth_data, OAuthCredential).refresh_token is not None
    assert login.auth_data["access_token"] not in repr(login)


@pytest.mark.anyio
async def test_who_it_is_may_be_asked_for(logged_in: Callable[..., Any], idp: FakeIdentityProvider) -> None:
    assert (await logged_in(identity_claim="id")).identity == "1129"
    assert (await logged_in(identity_claim="nothing", userinfo_url=f"{idp.url}/userinfo")).identity == ""


@pytest.mark.anyio
async def test_a_plugin_adds_a_step_with_a_signed_way_out(
    logged_in: Callable[..., Any], idp: FakeIdentityProvider
) -> None:
    async def discover(login: Login, upstream: Upstream) -> Login:
        found = (await upstream.get(f"{idp.url}/userinfo")).json()
        return attrs.evolve(login, metadata={"project": f"project-of-{found['email']}"})

    assert (await logged_in(after_login=discover)).metadata == {"project": "project-of-user@example.com"}


@pytest.mark.anyio
async def test_a_login_without_a_refresh_token_is_none_unless_that_is_meant(
    logged_in: Callable[..., Any], idp: FakeIdentityProvider
) -> None:
    idp.answer(TokenAnswer(body={"access_token": "at-only", "expires_in": 60}))
    with pytest.raises(UpstreamError, match="gave no refresh token"):
        await logged_in()
    idp.answer(TokenAnswer(body={"access_token": "at-only", "expires_in": 60}))
    login = await logged_in(needs_refresh_token=False, userinfo_url=None)
    assert "refresh_token" not in login.auth_data


@pytest.mark.anyio
async def test_s_21_a_code_is_good_once_and_for_its_own_verifier(
    made: Callable[..., OAuthStrategy], upstream: Callable[[OAuthStrategy], Upstream]
) -> None:
    with FakeIdentityProvider() as strict:
        strategy = made(**strict.auth_options)
        begun = strategy.begin_login(BACK)
        code = dict(parse_qsl(urlsplit(strict.consent(begun.url)).query))["code"]
        with pytest.raises(LoginNeededError):
            await strategy.finish_login(strategy.begin_login(BACK), code, upstream(strategy))
        assert strict.violations == ["code_verifier does not fit the login that was begun"]
        with pytest.raises(LoginNeededError):
            await strategy.finish_login(begun, code, upstream(strategy))


@pytest.mark.parametrize("said", [{"aud": "another"}, {"aud": ["another"]}, {"aud": "fake-client", "iss": "https://x"}])
@pytest.mark.anyio
async def test_an_id_token_for_somebody_else_is_refused(
    said: dict[str, Any], logged_in: Callable[..., Any], idp: FakeIdentityProvider
) -> None:
    told = json.dumps({**said, "email": "evil@example.com"}).encode()
    token = f"e30.{base64.urlsafe_b64encode(told).decode()}.e30"
    idp.answer(TokenAnswer(body={"access_token": "at-x", "refresh_token": "rt-x", "id_token": token}))
    with pytest.raises(UpstreamError, match="for somebody else"):
        await logged_in(issuer=idp.url)


# -- renewal


@pytest.mark.anyio
async def test_a_rotated_refresh_token_replaces_the_old_one(
    renewed: Callable[..., Any], idp: FakeIdentityProvider
) -> None:
    before = idp.tokens()
    grant = await renewed(before)
    assert idp.accepts(grant.auth_data["access_token"])
    assert grant.auth_data["refresh_token"] != before["refresh_token"]
    assert idp.accepts((await renewed(grant.auth_data)).auth_data["access_token"])


@pytest.mark.anyio
async def test_without_rotation_the_old_one_stays(renewed: Callable[..., Any], idp: FakeIdentityProvider) -> None:
    idp.rotates = False
    before = idp.tokens()
    grant = await renewed({**before, "client_secret": idp.client_secret})
    assert grant.auth_data["refresh_token"] == before["refresh_token"]
    assert grant.auth_data["client_secret"] == idp.client_secret


SHAPES: list[tuple[int, Any, type[UpstreamError], ErrorKind]] = [
    (400, {"error": "invalid_grant"}, LoginNeededError, ErrorKind.CREDENTIAL),
    (400, {"error": " Invalid_Grant ", "error_description": "x"}, LoginNeededError, ErrorKind.CREDENTIAL),
    (401, {"error": "invalid_grant"}, LoginNeededError, ErrorKind.CREDENTIAL),
    (200, {"error": "invalid_grant"}, LoginNeededError, ErrorKind.CREDENTIAL),
    (400, {"error": {"code": "invalid_grant", "message": "x"}}, LoginNeededError, ErrorKind.CREDENTIAL),
    (401, {"error": {"code": 401, "status": "UNAUTHENTICATED"}}, UpstreamError, ErrorKind.CREDENTIAL),
    (401, {"error": "invalid_client"}, UpstreamError, ErrorKind.CREDENTIAL),
    (400, {"error": "unauthorized_client"}, UpstreamError, ErrorKind.CREDENTIAL),
    (
        400,
        {"error": "invalid_request", "error_description": "client_secret is missing"},
        UpstreamError,
        ErrorKind.CREDENTIAL,
    ),
    (429, {"error": "slow_down"}, UpstreamError, ErrorKind.UNAVAILABLE),
    (503, b"<html>later</html>", UpstreamError, ErrorKind.UNAVAILABLE),
    (500, {"error": "server_error"}, UpstreamError, ErrorKind.UNAVAILABLE),
    (200, b"not json", UpstreamError, ErrorKind.PROTOCOL),
    (200, {"access_token": ""}, UpstreamError, ErrorKind.PROTOCOL),
    (200, {"access_token": "a b\r\nx: y"}, UpstreamError, ErrorKind.PROTOCOL),
    (200, {"access_token": 5}, UpstreamError, ErrorKind.PROTOCOL),
    (200, [], UpstreamError, ErrorKind.PROTOCOL),
]


@pytest.mark.parametrize(("status", "body", "error", "kind"), SHAPES)
@pytest.mark.anyio
async def test_every_shape_of_refusal_is_told_apart(
    status: int,
    body: Any,
    error: type[UpstreamError],
    kind: ErrorKind,
    renewed: Callable[..., Any],
    idp: FakeIdentityProvider,
) -> None:
    before = idp.tokens()
    idp.answer(TokenAnswer(status=status, body=body if isinstance(body, bytes | dict) else b"[]"))
    with pytest.raises(UpstreamError) as caught:
        await renewed(before)
    assert type(caught.value) is error
    assert caught.value.kind is kind
    assert before["refresh_token"] not in str(caught.value)


@pytest.mark.anyio
async def test_s_15_the_providers_own_words_are_not_passed_on(
    renewed: Callable[..., Any], idp: FakeIdentityProvider
) -> None:
    before = idp.tokens()
    for body in (f"{before['refresh_token']} is bad", {"error": before["refresh_token"], "error_description": "x"}):
        idp.answer(TokenAnswer(status=400, body=body.encode() if isinstance(body, str) else body))
        with pytest.raises(UpstreamError) as caught:
            await renewed(before)
        assert before["refresh_token"] not in f"{caught.value} {caught.value.code}"


@pytest.mark.parametrize(
    "auth_data", [{"access_token": "at-1"}, {"refresh_token": "rt-1", "token_url": "http://169.254.169.254/token"}]
)
@pytest.mark.anyio
async def test_nothing_is_sent_without_a_refresh_token_or_to_another_address(
    auth_data: dict[str, Any], renewed: Callable[..., Any], idp: FakeIdentityProvider
) -> None:
    with pytest.raises(UpstreamError) as caught:
        await renewed(auth_data)
    assert isinstance(caught.value, LoginNeededError) == ("access_token" in auth_data)
    assert idp.token_requests == []


# -- the credential


@pytest.mark.parametrize("auth_data", [{}, {"expires_at": 5}, {"access_token": "a b"}, {"access_token": ""}])
def test_a_credential_without_a_usable_token_is_refused(auth_data: dict[str, Any]) -> None:
    with pytest.raises(StructuringError):
        structure(auth_data, OAuthCredential)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-01-01T00:00:00Z", NOW),
        ("2026-01-01T01:00:00+01:00", NOW),
        ("2026-01-01T00:00:00", NOW),
        (NOW.timestamp(), NOW),
        (int(NOW.timestamp() * 1000), NOW),
        (str(int(NOW.timestamp())), NOW),
        ("9999-12-31T23:59:59-08:00", datetime.fromtimestamp(4e9, UTC)),
        ("9999-12-31T23:59:59", datetime.fromtimestamp(4e9, UTC)),
        ("0001-01-01T00:00:00+14:00", datetime.fromtimestamp(0, UTC)),
        ("soon", None),
        (None, None),
        (True, None),
        (float("nan"), None),
    ],
)
def test_the_end_of_a_token_is_read_however_it_is_written(written: Any, expected: datetime | None) -> None:
    assert moment(written) == expected


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [(3599, 3599), ("3600", 3600), ("abc", 3600), (None, 3600), (0, 0), (-5, 0), (1e300, 4e8)],
)
def test_a_lifetime_is_read_with_patience(expires_in: Any, seconds: float) -> None:
    assert end_of_life(expires_in, NOW) == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("told", "end"),
    [
        ({"timestamp": NOW.timestamp() * 1000, "expires_in": "3600"}, NOW + timedelta(hours=1)),
        ({"timestamp": str(int(NOW.timestamp())), "expires_in": 60}, NOW + timedelta(minutes=1)),
        ({"expires_at": NOW, "timestamp": NOW.timestamp(), "expires_in": 60}, NOW),
        ({"expires_at": "soon", "timestamp": NOW.timestamp(), "expires_in": 60}, NOW + timedelta(minutes=1)),
        ({"timestamp": NOW.timestamp()}, datetime(1970, 1, 1, tzinfo=UTC)),
        ({"timestamp": NOW.timestamp(), "expires_in": "abc"}, datetime(1970, 1, 1, tzinfo=UTC)),
        ({"expires_in": 3600}, datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_token_that_says_when_it_was_given_out_ends_after_its_lifetime(
    made: Callable[..., OAuthStrategy], told: dict[str, Any], end: datetime
) -> None:
    assert made().expires_at(OAuthCredential(access_token=Secret("at"), **told)) == end


def test_a_token_whose_end_is_not_known_has_ended(made: Callable[..., OAuthStrategy]) -> None:
    assert made().expires_at(OAuthCredential(access_token=Secret("at"))) < NOW
    assert made().expires_at(OAuthCredential(refresh_token=Secret("rt"))) < NOW


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = st.sampled_from(["access_token", "refresh_token", "expires_in", "token_type", "id_token", "error", "x"])


@given(st.dictionaries(FIELDS, JSON), st.integers(100, 599))
def test_no_answer_raises_anything_but_an_upstream_error(answer: dict[str, Any], status: int) -> None:
    body = json.dumps(answer).encode()
    try:
        tokens = read_tokens(body, NOW)
    except UpstreamError:
        pass
    else:
        claims(tokens.id_token)
        assert tokens.expires_at >= NOW
    assert refusal(UpstreamFailure(status, {}, body)).message


@pytest.mark.anyio
async def test_the_token_type_is_the_scheme(made: Callable[..., OAuthStrategy]) -> None:
    for said, scheme in (("bearer", "Bearer"), ("DPoP", "DPoP")):
        credential = OAuthCredential(access_token=Secret("at-1"), token_type=said)
        auth = made().auth(Account(id="a", provider_id="p", credential=credential))
        async with aclosing(auth.async_auth_flow(httpx.Request("GET", "https://x.test/"))) as flow:
            assert (await anext(flow)).headers["authorization"] == f"{scheme} at-1"


@pytest.mark.parametrize(
    "options",
    [
        {"authorize_url": "ftp://x"},
        {"token_url": ""},
        {"client_id": ""},
        {"redirect_path": "x"},
        {"scope": ["a"]},
        {"redirect_host": "evil.test"},
        {"after_login": "os.system"},
    ],
)
def test_wrong_options_are_refused_with_their_names(options: dict[str, Any], idp: FakeIdentityProvider) -> None:
    with pytest.raises(StructuringError, match=next(iter(options))):
        structure({**idp.auth_options, **options}, OAuthOptions)


# -- signing


def test_a_request_that_is_signed_again_has_the_body_that_is_made_for_it(made: Callable[..., OAuthStrategy]) -> None:
    strategy = made(sends_again=lambda body: body + b", again")
    accounts = [
        Account(id="a", provider_id="p", credential=OAuthCredential(access_token=Secret(token)))
        for token in ("old-0123456789", "new-0123456789")
    ]
    request = httpx.Request("POST", "https://vendor.test/", content=b"once", headers={"x-mine": "1"})
    [first] = strategy.auth(accounts[0]).auth_flow(request)
    assert (first.content, first.headers["authorization"]) == (b"once", "Bearer old-0123456789")
    [second] = strategy.auth(accounts[1]).auth_flow(request)
    assert (second.content, second.headers["authorization"]) == (b"once, again", "Bearer new-0123456789")
    assert (second.method, second.url, second.headers["x-mine"]) == ("POST", request.url, "1")
    assert second.headers["content-length"] == str(len(b"once, again"))


def test_a_request_that_is_signed_again_is_the_same_where_nobody_asks_for_more(
    made: Callable[..., OAuthStrategy],
) -> None:
    auth = made().auth(Account(id="a", provider_id="p", credential=OAuthCredential(access_token=Secret("t" * 12))))
    request = httpx.Request("POST", "https://vendor.test/", content=b"once")
    assert [*auth.auth_flow(request), *auth.auth_flow(request)] == [request, request]
