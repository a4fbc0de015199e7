"""Accounts that log in, with real gateways that share a database, an identity provider and a vendor that asks it."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from e2e.fakes.openai import OpenAIWire
from e2e.fakes.server import FakeVendor
from e2e.fakes.tokens import Accepted
from e2e.gateway_process import CLIENT_KEY, GatewayProcess
from services.private_servers import MariaDB, Redis

from aigateway_core.testing import FakeIdentityProvider, TokenAnswer

pytestmark = pytest.mark.anyio
MASTER_KEY = "bWFzdGVyLWtleS1vZi10aGUtZTJlLXRlc3RzLTMyYmI="
SHARED = [pytest.param("sqlite"), pytest.param("mariadb and redis", marks=pytest.mark.services)]


@pytest.fixture
def idp(fake_identity_provider: FakeIdentityProvider) -> FakeIdentityProvider:
    return fake_identity_provider


@pytest.fixture
def vendor(idp: FakeIdentityProvider) -> Iterator[FakeVendor]:
    vendor = FakeVendor(OpenAIWire(), [])
    vendor.keys = Accepted(idp)
    vendor.start()
    yield vendor
    vendor.stop()
    assert vendor.violations == []


@pytest.fixture
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """What several gateways share, as their configuration says it."""
    if request.param == "sqlite":
        yield {"database": {"engine": "sqlite", "path": str(tmp_path / "shared.db")}}
        return
    server: MariaDB = request.getfixturevalue("mariadb")
    redis: Redis = request.getfixturevalue("own_redis")
    with server.database() as name:
        account = {"host": server.host, "port": server.port, "user": server.user, "password": server.password}
        yield {
            "database": {"engine": "mysql", "database": name, **account},
            "redis": {"enabled": True, "url": redis.url},
        }


@pytest.fixture
def two(
    shared: dict[str, Any], idp: FakeIdentityProvider, vendor: FakeVendor, tmp_path: Path
) -> Iterator[tuple[GatewayProcess, GatewayProcess]]:
    """Two gateways on one database."""
    acme = {
        "kind": "openai-compatible",
        "base_url": f"{vendor.url}/v1",
        "models": ["gpt-4o"],
        "auth_strategy": "oauth",
        "auth_options": idp.auth_options,
    }
    # Nobody waits for a resting account here, so that it can be seen.
    impatient = {"upstream": {"patience": 0}}
    config = {**shared, **impatient, "providers": {"acme": acme}, "plugins": {"allowed": []}}
    environment = {"AIGATEWAY_MASTER_KEY": MASTER_KEY}
    gateways = [GatewayProcess(config, tmp_path / name, environment=environment) for name in ("one", "two")]
    with ExitStack() as stopped:
        for gateway in gateways:
            gateway.start()
            stopped.callback(gateway.stop)
        yield gateways[0], gateways[1]
    for gateway in gateways:
        assert "Traceback" not in gateway.output
        assert not any(secret in gateway.output for secret in idp.secrets)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=400)
    headers = {"authorization": f"Bearer {CLIENT_KEY}"}
    async with httpx.AsyncClient(limits=limits, headers=headers, timeout=60, trust_env=False) as client:
        yield client


async def ask(http: httpx.AsyncClient, gateway: GatewayProcess, **more: Any) -> httpx.Response:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}], **more}
    return await http.post(f"{gateway.url}/v1/chat/completions", json=body)


def add(gateway: GatewayProcess, auth_data: dict[str, Any], label: str = "") -> str:
    body = {"provider_id": "acme", "label": label, "auth_data": auth_data}
    return str(gateway.admin("POST", "/accounts", body)["id"])


def ended(idp: FakeIdentityProvider) -> dict[str, Any]:
    lifetime, idp.lifetime = idp.lifetime, 0.0
    tokens = idp.tokens()
    idp.lifetime = lifetime
    return tokens


async def known(gateway: GatewayProcess, http: httpx.AsyncClient) -> None:
    """Return once this gateway has seen that there is an account."""
    deadline = time.monotonic() + 15
    while not (await http.get(f"{gateway.url}/v1/models")).json()["data"]:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("shared", SHARED, indirect=True)
async def test_c_10_two_hundred_requests_with_an_ended_token_cost_one_renewal(
    two: tuple[GatewayProcess, GatewayProcess], idp: FakeIdentityProvider, http: httpx.AsyncClient
) -> None:
    add(two[0], ended(idp))
    await asyncio.gather(*(known(gateway, http) for gateway in two))
    idp.delay = 0.5
    answers = await asyncio.gather(*(ask(http, gateway, stream=n % 2 == 0) for gateway in two for n in range(100)))
    assert [answer.status_code for answer in answers] == [200] * 200
    assert all("hello" in answer.text for answer in answers)
    assert idp.refreshes == 1


@pytest.mark.parametrize("shared", SHARED[1:], indirect=True)
@pytest.mark.parametrize("frozen", [False, True], ids=["killed", "frozen"])
async def test_c_12_two_gateways_whose_redis_is_away_renew_once(
    two: tuple[GatewayProcess, GatewayProcess],
    idp: FakeIdentityProvider,
    http: httpx.AsyncClient,
    own_redis: Redis,
    frozen: bool,
) -> None:
    account = add(two[0], ended(idp))
    await asyncio.gather(*(known(gateway, http) for gateway in two))
    (own_redis.freeze if frozen else own_redis.kill)()
    idp.delay = 0.5
    answers = await asyncio.gather(*(ask(http, gateway) for gateway in two for _ in range(50)))
    assert [answer.status_code for answer in answers] == [200] * 100
    assert (idp.refreshes, idp.reuses) == (1, 0)
    assert two[1].admin("GET", f"/accounts/{account}")["status"] == "active"


@pytest.mark.parametrize("shared", SHARED, indirect=True)
async def test_a_token_that_ends_before_its_time_is_renewed_once_and_the_calls_repeated(
    two: tuple[GatewayProcess, GatewayProcess], idp: FakeIdentityProvider, http: httpx.AsyncClient
) -> None:
    add(two[0], idp.tokens())
    await asyncio.gather(*(known(gateway, http) for gateway in two))
    assert (await ask(http, two[0])).status_code == 200
    idp.revoke_access()
    answers = await asyncio.gather(*(ask(http, gateway) for gateway in two for _ in range(20)))
    assert [answer.status_code for answer in answers] == [200] * 40
    assert idp.refreshes == 1


@pytest.mark.parametrize("shared", SHARED[:1], indirect=True)
async def test_a_dead_login_is_shown_and_the_other_account_serves(
    two: tuple[GatewayProcess, GatewayProcess], idp: FakeIdentityProvider, http: httpx.AsyncClient
) -> None:
    dead = add(two[0], ended(idp), "dead")
    idp.revoke()
    add(two[0], idp.tokens(), "well")
    await asyncio.gather(*(known(gateway, http) for gateway in two))
    answers = await asyncio.gather(*(ask(http, gateway) for gateway in two for _ in range(10)))
    assert [answer.status_code for answer in answers] == [200] * 20
    shown = two[1].admin("GET", f"/accounts/{dead}")
    assert (shown["status"], shown["status_reason"]) == (
        "needs_login",
        "the identity provider has ended the login (invalid_grant)",
    )
    assert idp.refreshes <= 2
    # The mark is read within a second, and with it the rest that the failure has cost: neither may outlive the login.
    await asyncio.sleep(1.5)
    begun = two[0].admin("POST", "/oauth/acme/start", {"account_id": dead})
    page = await http.get(idp.consent(begun["url"]), headers={"authorization": ""})
    assert page.status_code == 200, page.text
    assert two[0].admin("GET", f"/accounts/{dead}")["status"] == "active"


@pytest.mark.parametrize("shared", SHARED[:1], indirect=True)
async def test_c_11_a_provider_that_fails_once_costs_a_pause_and_not_the_account(
    two: tuple[GatewayProcess, GatewayProcess], idp: FakeIdentityProvider, http: httpx.AsyncClient
) -> None:
    account = add(two[0], ended(idp))
    await known(two[0], http)
    idp.answer(TokenAnswer(status=503))
    refused = await ask(http, two[0])
    assert refused.status_code in {429, 502, 503}
    assert int(refused.headers["retry-after"]) >= 1
    shown = two[0].admin("GET", f"/accounts/{account}")
    assert shown["status"] == "cooling"
    deadline = time.monotonic() + 15
    while (await ask(http, two[0])).status_code != 200:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)
    assert idp.refreshes == 2


@pytest.mark.parametrize("shared", SHARED[:1], indirect=True)
async def test_p_11_gateways_that_were_stopped_past_the_end_of_a_token_renew_it_once(
    two: tuple[GatewayProcess, GatewayProcess], idp: FakeIdentityProvider, http: httpx.AsyncClient
) -> None:
    idp.lifetime = 4.0
    tokens = idp.tokens()
    idp.lifetime = 3600.0
    add(two[0], tokens)
    await asyncio.gather(*(known(gateway, http) for gateway in two))
    for number in (signal.SIGSTOP, signal.SIGCONT):
        for gateway in two:
            gateway.signal(number)
        await asyncio.sleep(4.5 if number is signal.SIGSTOP else 0)
    answers = await asyncio.gather(*(ask(http, gateway) for gateway in two for _ in range(50)))
    assert [answer.status_code for answer in answers] == [200] * 100
    assert idp.refreshes == 1


@pytest.mark.parametrize("shared", SHARED, indirect=True)
async def test_p_07_a_gateway_that_is_killed_while_it_renews_costs_no_account(
    two: tuple[GatewayProcess, GatewayProcess], idp: FakeIdentityProvider, http: httpx.AsyncClient
) -> None:
    idp.grace = 120
    account = add(two[0], ended(idp))
    await asyncio.gather(*(known(gateway, http) for gateway in two))
    idp.gate = threading.Event()
    asked = asyncio.create_task(ask(http, two[0]))
    deadline = time.monotonic() + 15
    while not idp.refreshes:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    two[0].kill()
    idp.gate.set()
    with pytest.raises(httpx.HTTPError):
        await asked
    # The other one waits for as long as the dead one could still have been alive.
    deadline = time.monotonic() + 60
    while (await ask(http, two[1])).status_code != 200:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.5)
    assert two[1].admin("GET", f"/accounts/{account}")["status"] == "active"
    assert (idp.refreshes, idp.reuses) == (2, 0)
