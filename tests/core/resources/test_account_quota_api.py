"""What an account has left, as its provider tells it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import attrs
import httpx
import pytest
from scripted_upstream import ScriptedUpstream, whole

from aigateway_core.bootstrap import House
from aigateway_core.builtin.providers import _OpenAICompatible
from aigateway_core.plugin import ErrorKind, QuotaLeft, Upstream, UpstreamError
from aigateway_core.settings import SecuritySettings, Settings

pytestmark = pytest.mark.anyio
KEY = "sk-of-the-account-0001"
TOMORROW = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Told:
    """What the provider says next, and whom it was asked with."""

    def __init__(self) -> None:
        self.next: Sequence[QuotaLeft] | UpstreamError = ()
        self.asked: list[Upstream] = []


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def settings(settings: Settings, told: Told, monkeypatch: pytest.MonkeyPatch) -> Settings:
    async def quota(_: object, upstream: Upstream) -> Sequence[QuotaLeft]:
        told.asked.append(upstream)
        if isinstance(told.next, UpstreamError):
            raise told.next
        return told.next

    monkeypatch.setattr(_OpenAICompatible, "quota", quota, raising=False)
    return attrs.evolve(settings, security=SecuritySettings(allow_private_hosts=frozenset({"127.0.0.1"})))


@pytest.fixture
async def account(admin: httpx.AsyncClient) -> str:
    body = {"provider_id": "acme", "auth_data": {"api_key": KEY}, "metadata": {"project": "p-1"}}
    created = await admin.post("/api/v1/accounts", json=body)
    return str(created.json()["id"])


async def test_what_is_left_is_told_of_each_quota(admin: httpx.AsyncClient, account: str, told: Told) -> None:
    told.next = [
        QuotaLeft(model="m-1", quota_group="m", fraction=0.25, resets_at=TOMORROW),
        QuotaLeft(quota_group="all", fraction=7.0),
        QuotaLeft(model="m-2"),
    ]
    answer = await admin.get(f"/api/v1/accounts/{account}/quota")
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"] == [
        {"model": "m-1", "quota_group": "m", "fraction_left": 0.25, "resets_at": "2026-11-23T12:00:00+00:00"},
        {"model": None, "quota_group": "all", "fraction_left": 1.0, "resets_at": None},
        {"model": "m-2", "quota_group": None, "fraction_left": None, "resets_at": None},
    ]
    (upstream,) = told.asked
    assert (upstream.account_id, upstream.metadata) == (account, {"project": "p-1"})


async def test_it_is_asked_for_with_the_accounts_own_credential(
    admin: httpx.AsyncClient, account: str, told: Told, scripted_upstream: ScriptedUpstream
) -> None:
    scripted_upstream.play(whole(b"{}"))
    await admin.get(f"/api/v1/accounts/{account}/quota")
    await told.asked[0].get(f"{scripted_upstream.url}/quota")
    assert scripted_upstream.requests[0].headers["authorization"] == f"Bearer {KEY}"


async def test_a_refusal_is_told_and_held_against_nobody(
    admin: httpx.AsyncClient, account: str, told: Told, house: House
) -> None:
    told.next = UpstreamError(ErrorKind.BANNED, "no more", scope="account", remedy="write to them")
    answer = await admin.get(f"/api/v1/accounts/{account}/quota")
    assert answer.status_code == 502
    assert "no more" in answer.text
    assert (await admin.get(f"/api/v1/accounts/{account}")).json()["status"] == "active"


async def test_an_account_whose_provider_cannot_say_is_a_conflict(admin: httpx.AsyncClient) -> None:
    answer = await admin.get("/api/v1/accounts/config:config-only/quota")
    assert answer.status_code == 409
    assert "'config-only' does not tell" in answer.text
    assert (await admin.get("/api/v1/accounts/nobody/quota")).status_code == 404


async def test_it_asks_for_the_admin_key(client: httpx.AsyncClient, account: str) -> None:
    assert (await client.get(f"/api/v1/accounts/{account}/quota")).status_code == 401
