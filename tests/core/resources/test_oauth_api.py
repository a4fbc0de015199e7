"""Logging in through the admin API, against an identity provider on a real socket."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs
import httpx
import pytest
from core.resources.logging_in import begin, with_logins
from outbound_proxies import HttpProxy

from aigateway_core.bootstrap import House, open_storage
from aigateway_core.builtin.oauth import OAuthOptions, OAuthStrategy
from aigateway_core.settings import Settings
from aigateway_core.storage import Storage
from aigateway_core.structuring import structure
from aigateway_core.testing import FakeIdentityProvider, TokenAnswer

pytestmark = pytest.mark.anyio


@pytest.fixture
def idp(fake_identity_provider: FakeIdentityProvider) -> FakeIdentityProvider:
    return fake_identity_provider


@pytest.fixture
def settings(settings: Settings, idp: FakeIdentityProvider) -> Settings:
    return with_logins(settings, idp)


@pytest.fixture
def log_in(admin: httpx.AsyncClient, client: httpx.AsyncClient, idp: FakeIdentityProvider) -> Callable[..., Any]:
    """Log in as a browser would: the callback needs no key. Gives the page and the account."""

    async def through(**body: Any) -> tuple[httpx.Response, dict[str, Any]]:
        back = idp.consent((await begin(admin, **body))["url"])
        page = await client.get(back)
        accounts = (await admin.get("/api/v1/accounts?provider_id=acme")).json()["data"]
        return page, accounts[-1] if accounts else {}

    return through


async def test_a_login_makes_an_account_that_is_used(log_in: Callable[..., Any], idp: FakeIdentityProvider) -> None:
    page, account = await log_in()
    assert page.status_code == 200
    assert "You are logged in" in page.text
    assert "user@example.com" in page.text
    assert (account["label"], account["status"]) == ("user@example.com", "active")
    assert account["auth_data"]["refresh_token"]["set"]
    assert account["metadata"] == {"identity": "user@example.com"}
    assert account["expires_at"] is not None
    assert not any(secret in f"{page.text} {account}" for secret in idp.secrets)


async def test_the_same_person_mends_the_account_and_another_makes_one(
    log_in: Callable[..., Any], house: House, admin: httpx.AsyncClient, idp: FakeIdentityProvider
) -> None:
    _, first = await log_in(label="mine")
    async with house_storage(house) as storage:
        await storage.tokens.need_login(first["id"], 0, "revoked")
    shown = (await admin.get(f"/api/v1/accounts/{first['id']}")).json()
    assert (shown["status"], shown["status_reason"]) == ("needs_login", "revoked")
    _, again = await log_in()
    assert (again["id"], again["label"], again["status"]) == (first["id"], "mine", "active")
    idp.identity = "somebody@example.com"
    _, other = await log_in()
    assert other["id"] != first["id"]


@asynccontextmanager
async def house_storage(house: House) -> AsyncIterator[Storage]:
    """A second look at the database of the house."""
    async with await open_storage(house._assembly.settings) as storage:
        yield storage


async def test_a_login_for_an_account_must_be_its_owners(
    log_in: Callable[..., Any], client: httpx.AsyncClient, idp: FakeIdentityProvider
) -> None:
    _, first = await log_in()
    idp.identity = "somebody@example.com"
    page, same = await log_in(account_id=first["id"])
    assert page.status_code == 400
    assert "somebody else logged in" in page.text
    assert same == first


async def test_s_21_an_answer_is_good_once_and_only_for_a_login_that_was_begun(
    admin: httpx.AsyncClient, client: httpx.AsyncClient, idp: FakeIdentityProvider
) -> None:
    back = idp.consent((await begin(admin))["url"])
    assert (await client.get(back)).status_code == 200
    asked = idp.exchanges
    for url in (
        back,
        "/api/v1/oauth/callback?code=4/abc&state=never-issued",
        "/api/v1/oauth/callback?code=4/abc",
        "/api/v1/oauth/callback?state=x",
        "/api/v1/oauth/callback",
        "/api/v1/oauth/callback?code=a&code=b&state=%00",
    ):
        page = await client.get(url)
        assert page.status_code == 400, url
        assert page.headers["content-type"].startswith("text/html")
    assert idp.exchanges == asked
    assert (await admin.get("/api/v1/accounts?provider_id=acme")).json()["total"] == 1


async def test_s_21_a_refusal_is_told_without_what_it_was_told_in(
    admin: httpx.AsyncClient, client: httpx.AsyncClient, idp: FakeIdentityProvider
) -> None:
    page = await client.get(idp.refuse_consent((await begin(admin))["url"]))
    assert page.status_code == 400
    assert "access_denied" in page.text
    assert "<b>no</b>" not in page.text
    begun = await begin(admin)
    page = await client.get("/api/v1/oauth/callback", params={"state": begun["state"], "error": "<script>x</script>"})
    assert "<script>" not in page.text
    assert idp.token_requests == []


async def test_s_21_the_page_runs_nothing_and_tells_nobody(log_in: Callable[..., Any]) -> None:
    page, _ = await log_in()
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    assert "<script" not in page.text


@pytest.mark.parametrize("with_url", [True, False])
async def test_a_pasted_address_finishes_a_login_too(
    with_url: bool, admin: httpx.AsyncClient, idp: FakeIdentityProvider
) -> None:
    begun = await begin(admin, redirect_uri="http://localhost:51121/oauth-callback")
    assert begun["redirect_uri"] == "http://localhost:51121/oauth-callback"
    back = idp.consent(begun["url"])
    query = dict(parse_qsl(urlsplit(back).query))
    answer = await admin.post("/api/v1/oauth/acme/complete", json={"url": f" {back} "} if with_url else query)
    assert answer.status_code == 200, answer.text
    assert answer.json()["label"] == "user@example.com"
    assert (await admin.post("/api/v1/oauth/acme/complete", json=query)).status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"url": "short"}, 400),
        ({"url": "http://localhost/?code=abcdefghijkl"}, 400),
        ({"url": 5}, 400),
        ({"code": "abcdefghijkl"}, 400),
        ({"code": "abcdefghijkl", "state": "never"}, 404),
        ({"url": "http://x/?code=1&state=2", "more": "x"}, 400),
    ],
)
async def test_what_answers_no_login_is_refused(admin: httpx.AsyncClient, body: dict[str, Any], status: int) -> None:
    assert (await admin.post("/api/v1/oauth/acme/complete", json=body)).status_code == status


async def test_s_21_an_answer_belongs_to_the_provider_it_was_begun_for(
    admin: httpx.AsyncClient, idp: FakeIdentityProvider
) -> None:
    back = idp.consent((await begin(admin, "other"))["url"])
    answer = await admin.post("/api/v1/oauth/acme/complete", json={"url": back})
    assert answer.status_code == 404
    assert idp.token_requests == []


@pytest.mark.parametrize(
    ("provider", "body", "status", "told"),
    [
        ("nobody", {}, 404, "there is no provider"),
        ("config-only", {}, 409, "has no login"),
        ("acme", {"label": 5}, 422, "label"),
        ("acme", {"lable": "x"}, 422, "lable"),
        ("acme", {"redirect_uri": "javascript:alert(1)"}, 422, "redirect_uri"),
        ("acme", {"redirect_uri": "http://[::1/cb"}, 422, "redirect_uri"),
        ("acme", {"proxy_url": "ftp://x"}, 422, "proxy_url"),
        ("acme", {"proxy_url": "http://10.0.0.1:3128"}, 422, "allow_private_hosts"),
        ("acme", {"account_id": "nobody"}, 404, "nobody"),
    ],
)
async def test_what_cannot_be_begun_says_why(
    admin: httpx.AsyncClient, provider: str, body: dict[str, Any], status: int, told: str
) -> None:
    answer = await admin.post(f"/api/v1/oauth/{provider}/start", json=body)
    assert answer.status_code == status, answer.text
    assert told in answer.text


async def test_a_risk_has_to_be_accepted_first(house: House, admin: httpx.AsyncClient) -> None:
    logins = house.administration().logins
    logins._providers["acme"] = attrs.evolve(logins._providers["acme"], risk="its terms forbid this")
    answer = await admin.post("/api/v1/oauth/acme/start", json={})
    assert answer.status_code == 409
    assert "its terms forbid this" in answer.text
    assert (await begin(admin, accept_risk=True))["risk"] == "its terms forbid this"


async def test_the_exchange_takes_the_accounts_way_out_or_none(
    log_in: Callable[..., Any], admin: httpx.AsyncClient, idp: FakeIdentityProvider
) -> None:
    page, account = await log_in(proxy_url="http://127.0.0.1:9")
    assert page.status_code == 400
    assert "outbound proxy" in page.text
    assert account == {}
    assert idp.token_requests == []


async def test_a_login_that_makes_no_account_keeps_no_place_at_an_outbound_proxy(
    log_in: Callable[..., Any], admin: httpx.AsyncClient, idp: FakeIdentityProvider
) -> None:
    async def places() -> int:
        return int((await admin.get("/api/v1/proxies")).json()["data"][0]["current_accounts"])

    async with HttpProxy() as proxy:
        assert (await admin.post("/api/v1/proxies", json={"url": proxy.url})).status_code == 201
        idp.answer(TokenAnswer(status=400, body={"error": "invalid_grant"}))
        assert ((await log_in())[1], await places()) == ({}, 0)
        _, first = await log_in()
        assert await places() == 1
        _, again = await log_in()
        assert (again["id"], await places()) == (first["id"], 1)


async def test_a_login_that_fails_at_the_provider_stores_nothing(
    log_in: Callable[..., Any], idp: FakeIdentityProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for answer in (
        TokenAnswer(status=500),
        TokenAnswer(body={"access_token": "at-canary-only"}),
        TokenAnswer(status=400, body={"error": "invalid_grant", "error_description": "code-canary"}),
    ):
        idp.answer(answer)
        page, account = await log_in()
        assert page.status_code == 400
        assert account == {}
        assert "canary" not in page.text
    assert not any(secret in own_log(caplog) for secret in idp.secrets)


def own_log(caplog: pytest.LogCaptureFixture) -> str:
    """What the gateway logged: the browser of the tests writes down every address."""
    return "".join(record.getMessage() for record in caplog.records if record.name.startswith("aigateway"))


def stored_in(folder: Path) -> str:
    """Every file but the key's."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".key").decode(
        "latin-1"
    )


async def test_it_is_written_down_who_logged_in(log_in: Callable[..., Any], house: House) -> None:
    _, account = await log_in()
    async with house_storage(house) as storage:
        entry = (await storage.audit.list()).rows[0]
    assert (entry.action, entry.actor, entry.entity_id) == ("account.create", "environment", account["id"])


async def test_s_21_a_login_that_came_to_nothing_is_written_down(
    admin: httpx.AsyncClient, client: httpx.AsyncClient, house: House, idp: FakeIdentityProvider
) -> None:
    await client.get(idp.refuse_consent((await begin(admin))["url"]))
    await client.get("/api/v1/oauth/callback?code=4/abcdefghij&state=never")
    async with house_storage(house) as storage:
        first, *rest = (await storage.audit.list()).rows
    assert (first.action, first.actor, first.entity_id) == ("login.refuse", "environment", "acme")
    assert "access_denied" in str(first.detail)
    assert not any(entry.action == "login.refuse" for entry in rest)


async def test_s_21_an_answer_that_names_another_issuer_is_refused(
    admin: httpx.AsyncClient, client: httpx.AsyncClient, house: House, idp: FakeIdentityProvider
) -> None:
    logins = house.administration().logins
    entry = logins._providers["acme"]
    options = structure({**idp.auth_options, "issuer": idp.url}, OAuthOptions)
    logins._providers["acme"] = attrs.evolve(entry, strategy=OAuthStrategy(options))
    page = await client.get(idp.consent((await begin(admin))["url"]) + "&iss=https://evil.example")
    assert page.status_code == 400
    assert "another identity provider" in page.text
    assert idp.token_requests == []
    assert (await client.get(idp.consent((await begin(admin))["url"]) + f"&iss={idp.url}")).status_code == 200


async def test_tokens_are_renewed_when_asked(
    log_in: Callable[..., Any], admin: httpx.AsyncClient, idp: FakeIdentityProvider
) -> None:
    _, account = await log_in()
    renewed = await admin.post(f"/api/v1/accounts/{account['id']}/refresh")
    assert renewed.status_code == 200, renewed.text
    assert renewed.json()["auth_data"]["refresh_token"] != account["auth_data"]["refresh_token"]
    assert idp.refreshes == 1
    idp.revoke()
    refused = await admin.post(f"/api/v1/accounts/{account['id']}/refresh")
    assert (refused.status_code, refused.json()["error"]["code"]) == (502, "credential")
    shown = (await admin.get(f"/api/v1/accounts/{account['id']}")).json()
    assert shown["status"] == "needs_login"
    assert "invalid_grant" in shown["status_reason"]


async def test_what_has_no_tokens_cannot_be_renewed(admin: httpx.AsyncClient) -> None:
    assert (await admin.post("/api/v1/accounts/config:config-only/refresh")).status_code == 409
    assert (await admin.post("/api/v1/accounts/nobody/refresh")).status_code == 404


async def test_an_account_is_tested_and_not_punished(
    log_in: Callable[..., Any], admin: httpx.AsyncClient, house: House
) -> None:
    _, account = await log_in()
    told = (await admin.post(f"/api/v1/accounts/{account['id']}/test", json={"model": "m-9"})).json()
    assert (told["ok"], told["model"], told["error"]["kind"]) == (False, "m-9", "unavailable")
    assert (await admin.get(f"/api/v1/accounts/{account['id']}")).json()["status"] == "active"
    assert (await admin.post("/api/v1/accounts/config:config-only/test")).json()["model"] == "m-2"
    assert (await admin.post(f"/api/v1/accounts/{account['id']}/test", json={"model": 5})).status_code == 400
    assert (await admin.post("/api/v1/accounts/nobody/test")).status_code == 404


@pytest.mark.parametrize("path", ["oauth/acme/start", "oauth/acme/complete", "accounts/x/refresh", "accounts/x/test"])
async def test_only_the_callback_is_open(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.post(f"/api/v1/{path}", json={})).status_code == 401


async def test_no_token_is_in_the_database_or_the_log(
    log_in: Callable[..., Any],
    admin: httpx.AsyncClient,
    house: House,
    idp: FakeIdentityProvider,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    _, account = await log_in()
    await begin(admin)
    await admin.post(f"/api/v1/accounts/{account['id']}/refresh")
    await house.stop()
    shown = stored_in(tmp_path) + own_log(caplog)
    assert not any(secret in shown for secret in idp.secrets)
