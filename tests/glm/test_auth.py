"""Keys that sign tokens, with the vendor's own arithmetic."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import aigateway_glm
from aigateway_core.plugin import Account, AuthStrategy, Secret
from aigateway_core.testing import AuthStrategyConformance
from aigateway_glm.auth import KEPT, LIFE, GLMKey, SigningOptions, SigningStrategy, sign

KEY = "abc123.s3cr3t"
NOW = 1_790_000_000.0
VECTOR = (
    "eyJhbGciOiJIUzI1NiIsInNpZ25fdHlwZSI6IlNJR04ifQ."
    "eyJhcGlfa2V5IjoiYWJjMTIzIiwiZXhwIjoxNzkwMDAwMjEwMDAwLCJ0aW1lc3RhbXAiOjE3OTAwMDAwMDAwMDB9."
    "ai-AJFJVNbyNFyZJzJ726N-fK303ppgiKl21fyqRYT8"
)
PART = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="."), min_size=1)


def opened(token: str) -> list[Any]:
    """Header and payload."""
    return [json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in token.split(".")[:2]]


def flow(clock: Callable[[], float], key: str = KEY) -> httpx.Auth:
    return SigningStrategy(SigningOptions(), clock).auth(
        Account(id="a", provider_id="glm", credential=GLMKey(token=Secret(key)))
    )


async def tokens(auth: httpx.Auth, *statuses: int) -> list[str]:
    """The tokens that one call sends, when it is answered with these statuses."""
    request = httpx.Request("POST", "https://vendor.test/")
    sent: list[str] = []
    async with aclosing(auth.async_auth_flow(request)) as calls:
        asked = await anext(calls)
        for status in statuses:
            sent.append(asked.headers["authorization"].removeprefix("Bearer "))
            try:
                asked = await calls.asend(httpx.Response(status))
            except StopAsyncIteration:
                return sent
    raise AssertionError("asked more often than it was answered")


class TestSigning(AuthStrategyConformance):
    @pytest.fixture
    def strategy(self) -> AuthStrategy:
        return SigningStrategy(SigningOptions())

    @pytest.fixture
    def credential(self) -> object:
        return GLMKey(token=Secret("0123456789abcdef.0123456789ABCDEF"))


def test_a_token_is_the_one_that_the_vendors_arithmetic_gives() -> None:
    assert sign(KEY, NOW) == VECTOR


@given(PART, PART, st.integers(0, 2**40))
def test_a_token_tells_the_id_alone_and_is_signed_with_the_secret(identifier: str, secret: str, now: int) -> None:
    token = sign(f"{identifier}.{secret}", now)
    assert opened(token) == [
        {"alg": "HS256", "sign_type": "SIGN"},
        {"api_key": identifier, "exp": (now + 210) * 1000, "timestamp": now * 1000},
    ]
    body, _, signature = token.rpartition(".")
    made = hmac.new(secret.encode(), body.encode(), hashlib.sha256).digest()
    assert base64.urlsafe_b64decode(signature + "=") == made


@pytest.mark.anyio
async def test_a_token_serves_until_shortly_before_it_ends() -> None:
    now = NOW
    auth = flow(lambda: now)
    [first] = await tokens(auth, 200)
    now += KEPT - 1
    assert await tokens(auth, 200) == [first]
    now += 1
    [second] = await tokens(auth, 200)
    assert (second != first, KEPT < LIFE) == (True, True)
    assert opened(second)[1]["timestamp"] == now * 1000


@pytest.mark.anyio
async def test_a_clock_that_was_set_back_makes_a_new_token() -> None:
    now = NOW
    auth = flow(lambda: now)
    await tokens(auth, 200)
    now -= 3600
    [token] = await tokens(auth, 200)
    assert opened(token)[1]["timestamp"] == now * 1000


@pytest.mark.anyio
async def test_a_token_that_was_kept_and_is_refused_is_made_anew_once() -> None:
    now = NOW
    auth = flow(lambda: now)
    assert await tokens(auth, 401) == [VECTOR]
    now += 60
    assert await tokens(auth, 401, 401) == [VECTOR, sign(KEY, now)]
    assert await tokens(auth, 200) == [sign(KEY, now)]


@pytest.mark.parametrize("key", ["", ".", "id.", ".secret", "plain", "a.b.c", "id.sécret"])
def test_a_key_that_cannot_sign_is_refused_and_not_quoted(key: str) -> None:
    with pytest.raises(ValueError, match=r"id\.secret") as caught:
        GLMKey(token=Secret(key))
    assert not key or len(key) < 3 or key not in str(caught.value.args[0]).replace("id.secret", "")


def test_it_is_offered_beside_the_plain_bearer_key() -> None:
    [strategy] = aigateway_glm.aigateway_register_auth_strategies()
    [provider] = aigateway_glm.aigateway_register_providers()
    assert (strategy.name, provider.auth) == ("glm_jwt", "bearer")
    assert strategy.build(strategy.config()).credential is GLMKey
