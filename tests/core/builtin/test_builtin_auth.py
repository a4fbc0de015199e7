"""The built-in auth strategies, driven as the core drives them: over requests."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from aigateway_core.builtin.auth import (
    ApiKeyCredential,
    ApiKeyOptions,
    BearerCredential,
    NoCredential,
    aigateway_register_auth_strategies,
)
from aigateway_core.plugin import Account, AuthStrategySpec, Upstream
from aigateway_core.structuring import StructuringError, structure

pytestmark = pytest.mark.anyio

SPECS: dict[str, AuthStrategySpec[Any]] = {spec.name: spec for spec in aigateway_register_auth_strategies()}


async def headers_sent(
    strategy: str, auth_data: dict[str, Any], options: dict[str, Any] | None = None
) -> httpx.Headers:
    """What an upstream receives from an account with this ``auth_data``."""
    spec = SPECS[strategy]
    built = spec.build(structure(options or {}, spec.config))
    account = Account(id="a", provider_id="p", credential=structure(auth_data, built.credential))
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, stream=httpx.ByteStream(b"ok"))

    await Upstream(httpx.MockTransport(answer), built.auth(account)).post("http://vendor.test/", json={})
    (request,) = seen
    return request.headers


async def test_an_api_key_goes_into_the_authorization_header() -> None:
    sent = await headers_sent("api_key", {"api_key": "k-1"})
    assert sent["authorization"] == "Bearer k-1"


async def test_an_api_key_goes_into_the_vendors_own_header() -> None:
    sent = await headers_sent("api_key", {"api_key": "k-1"}, {"header": "x-api-key", "prefix": ""})
    assert sent["x-api-key"] == "k-1"
    assert "authorization" not in sent


async def test_a_token_goes_into_the_authorization_header() -> None:
    sent = await headers_sent("bearer", {"token": "t-1"})
    assert sent["authorization"] == "Bearer t-1"


async def test_none_sends_nothing() -> None:
    sent = await headers_sent("none", {})
    assert set(sent) == set(await headers_sent("api_key", {"api_key": "k"})) - {"authorization"}


@pytest.mark.parametrize("value", ["", "two words", "line\nbreak", "carriage\rreturn", "umläut", "\x00", "tab\t"])
def test_a_secret_that_no_header_can_carry_is_refused_and_not_quoted(value: str) -> None:
    for field, credential in (("api_key", ApiKeyCredential), ("token", BearerCredential)):
        with pytest.raises(StructuringError) as caught:
            structure({field: value}, credential, "auth_data")
        (problem,) = caught.value.problems
        assert str(problem) == (
            f"auth_data.{field}: is empty, longer than 8192, or has spaces or characters that no HTTP header can carry"
        )


def test_a_credential_has_no_other_fields() -> None:
    with pytest.raises(StructuringError, match=r"apikey: unknown key; did you mean 'api_key'\?"):
        structure({"apikey": "k"}, ApiKeyCredential)
    with pytest.raises(StructuringError, match="api_key: unknown key"):
        structure({"api_key": "k"}, NoCredential)


def test_no_secret_shows_in_what_is_built() -> None:
    spec = SPECS["api_key"]
    credential = structure({"api_key": "hunter2-hunter2"}, ApiKeyCredential)
    account = Account(id="a", provider_id="p", credential=credential)
    auth = spec.build(ApiKeyOptions()).auth(account)
    for thing in (credential, account, auth):
        assert "hunter2" not in repr(thing)
        assert "hunter2" not in str(thing)
