"""The fake identity provider is as strict as it says, since what passes it is taken for right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from aigateway_core.testing import FakeIdentityProvider, TokenAnswer


@pytest.fixture
def idp() -> Iterator[FakeIdentityProvider]:
    with FakeIdentityProvider() as provider:
        yield provider


def refresh(idp: FakeIdentityProvider, token: str, **more: str) -> httpx.Response:
    asked = {"client_id": idp.client_id, "client_secret": idp.client_secret, "grant_type": "refresh_token"}
    return httpx.post(f"{idp.url}/token", data={**asked, "refresh_token": token, **more}, trust_env=False)


def test_a_spent_refresh_token_revokes_all_of_its_login(idp: FakeIdentityProvider) -> None:
    old, other = idp.tokens(), idp.tokens()
    new = refresh(idp, old["refresh_token"]).json()
    assert idp.accepts(new["access_token"])
    assert refresh(idp, old["refresh_token"]).json()["error"] == "invalid_grant"
    assert idp.reuses == 1
    assert not idp.accepts(new["access_token"])
    assert refresh(idp, new["refresh_token"]).status_code == 400
    assert idp.accepts(other["access_token"])
    assert idp.refreshes == 3


def test_within_the_grace_a_spent_one_works_and_takes_the_place_of_its_successor(idp: FakeIdentityProvider) -> None:
    idp.grace = 30
    old = idp.tokens()
    lost, again = refresh(idp, old["refresh_token"]).json(), refresh(idp, old["refresh_token"]).json()
    assert len({old["refresh_token"], lost["refresh_token"], again["refresh_token"]}) == 3
    assert refresh(idp, again["refresh_token"]).status_code == 200
    assert idp.reuses == 0


def test_tokens_end_with_their_lifetime_or_when_told(idp: FakeIdentityProvider) -> None:
    kept = idp.tokens()
    idp.lifetime = 0
    assert not idp.accepts(idp.tokens()["access_token"])
    assert idp.accepts(kept["access_token"])
    idp.revoke_access()
    assert not idp.accepts(kept["access_token"])
    assert refresh(idp, kept["refresh_token"]).status_code == 200
    idp.revoke()
    assert refresh(idp, kept["refresh_token"]).status_code == 400


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"refresh_token": "rt-unknown"}, "invalid_grant"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_what_is_asked_wrongly_is_refused(idp: FakeIdentityProvider, more: dict[str, str], error: str) -> None:
    assert refresh(idp, idp.tokens()["refresh_token"], **more).json()["error"] == error


def test_an_ordered_answer_comes_once_and_may_have_its_effect_first(idp: FakeIdentityProvider) -> None:
    old = idp.tokens()
    idp.answer(TokenAnswer(status=502, body=b"<html>"), TokenAnswer(status=504, spends=True))
    assert refresh(idp, old["refresh_token"]).content == b"<html>"
    assert refresh(idp, old["refresh_token"]).status_code == 504
    assert refresh(idp, old["refresh_token"]).json()["error"] == "invalid_grant"
    assert idp.reuses == 1


@pytest.mark.parametrize(
    "change", [{"code_challenge_method": "plain"}, {"state": "short"}, {"redirect_uri": "https://x"}]
)
def test_a_login_that_is_begun_wrongly_fails_the_test(idp: FakeIdentityProvider, change: dict[str, Any]) -> None:
    right = {
        "response_type": "code",
        "client_id": idp.client_id,
        "redirect_uri": "http://127.0.0.1:1/cb",
        "state": "s" * 43,
        "code_challenge": "c" * 43,
        "code_challenge_method": "S256",
    }
    address = httpx.URL(f"{idp.url}/authorize", params={**right, **change})
    with pytest.raises(AssertionError, match=next(iter(change))):
        idp.consent(str(address))
    assert "code=" in idp.consent(str(httpx.URL(f"{idp.url}/authorize", params=right)))
