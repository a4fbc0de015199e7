"""Wrong keys from one address: a 429 in the shape of the endpoint, and nobody else has to wait."""

from __future__ import annotations

from collections.abc import AsyncIterator

import attrs
import httpx
import pytest
from core.contract import check
from core.resources.conftest import ADMIN_KEY, Guarded

from aigateway_core.bootstrap import House, assemble, first_look
from aigateway_core.secret import Secret
from aigateway_core.settings import ServerSettings, Settings, SettingsError, load

pytestmark = pytest.mark.anyio
CLIENT_KEY = "c" * 40
PROXY = "10.0.0.9"


@pytest.fixture
async def house(settings: Settings) -> AsyncIterator[House]:
    assembly = assemble(
        attrs.evolve(
            settings,
            server=ServerSettings(trusted_proxies=(PROXY,)),
            keys=attrs.evolve(settings.keys, client=Secret(CLIENT_KEY)),
        )
    )
    await first_look(assembly)
    house = House(assembly)
    await house.start()
    yield house
    await house.stop()


def at(house: House, address: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(Guarded(house.app), client=(address, 4711))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", event_hooks={"response": [check]})


def shows(key: str, **more: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}", **more}


async def test_s_08_wrong_admin_keys_are_refused_after_five_whatever_the_sender_claims(house: House) -> None:
    async with at(house, "203.0.113.7") as guesser:
        statuses = []
        for number in range(30):
            headers = shows(f"wrong-{number}", **{"x-forwarded-for": f"198.51.100.{number}"})
            answer = await guesser.get("/api/v1/accounts", headers=headers)
            statuses.append(answer.status_code)
        assert statuses == [401] * 5 + [429] * 25
        assert 1 <= int(answer.headers["retry-after"]) <= 12
        assert answer.json()["error"]["code"] == "rate_limit"
        assert (await guesser.get("/api/v1/accounts", headers=shows(ADMIN_KEY))).status_code == 429
        assert (await guesser.get("/v1/models", headers=shows(CLIENT_KEY))).status_code == 200
        assert (await guesser.get("/ready", headers=shows("wrong", host="evil.test"))).json() == {"status": "ok"}
    async with at(house, "203.0.113.8") as owner:
        assert (await owner.get("/api/v1/accounts", headers=shows(ADMIN_KEY))).status_code == 200


async def test_a_key_that_works_goes_on_working_beside_one_that_does_not(house: House) -> None:
    async with at(house, "203.0.113.7") as office:
        assert (await office.get("/v1/models", headers=shows(CLIENT_KEY))).status_code == 200
        statuses = [(await office.get("/v1/models", headers=shows("revoked"))).status_code for _ in range(25)]
        assert statuses == [401] * 20 + [429] * 5
        assert (await office.get("/v1/models", headers=shows(CLIENT_KEY))).status_code == 200
        answer = await office.post("/v1/messages", headers=shows("revoked"), json={})
        assert (answer.status_code, answer.json()["error"]["type"]) == (429, "rate_limit_error")
        assert (await office.post("/v1/messages", json={})).status_code == 401


async def test_a_client_that_names_an_account_is_no_guesser_and_locks_nobody_out(house: House) -> None:
    question = {"model": "m-1", "messages": [{"role": "user", "content": "hello"}]}
    async with at(house, "203.0.113.7") as office:
        for _ in range(8):
            asked = shows(CLIENT_KEY, **{"x-aigateway-account": "a"})
            assert (await office.post("/v1/chat/completions", headers=asked, json=question)).status_code == 403
        assert (await office.get("/api/v1/accounts", headers=shows(ADMIN_KEY))).status_code == 200


async def test_s_08_a_good_client_key_beside_them_excuses_no_wrong_admin_keys(house: House) -> None:
    question = {"model": "m-1", "messages": [{"role": "user", "content": "hello"}]}
    statuses = []
    async with at(house, "203.0.113.7") as guesser:
        for number in range(8):
            asked = shows(CLIENT_KEY, **{"x-aigateway-account": "a", "x-api-key": f"wrong-{number}"})
            statuses.append((await guesser.post("/v1/chat/completions", headers=asked, json=question)).status_code)
    assert statuses == [403] * 5 + [429] * 3


async def test_s_08_behind_a_trusted_proxy_each_client_has_its_own_address(house: House) -> None:
    async with at(house, PROXY) as proxy:
        for _ in range(8):
            guess = await proxy.get("/api/v1/accounts", headers=shows("wrong", **{"x-forwarded-for": "203.0.113.7"}))
        assert guess.status_code == 429
        owner = shows(ADMIN_KEY, **{"x-forwarded-for": "203.0.113.7, 203.0.113.8"})
        assert (await proxy.get("/api/v1/accounts", headers=owner)).status_code == 200


def test_a_trusted_proxy_is_an_address_or_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIGATEWAY__SERVER__TRUSTED_PROXIES", '["10.0.0.0/8", "proxy.test", "10.0.0.1/8"]')
    with pytest.raises(SettingsError) as refused:
        load()
    assert [problem.partition(":")[0] for problem in refused.value.problems] == [
        "server.trusted_proxies[1]",
        "server.trusted_proxies[2]",
    ]
