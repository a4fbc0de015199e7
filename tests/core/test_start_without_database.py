"""A start while the database is away: the gateway listens, says so, lets nobody in, and serves once it answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
from core.resources.conftest import Guarded

from aigateway_core import bootstrap
from aigateway_core.bootstrap import FirstLook, House, assemble
from aigateway_core.cli.admin_key import kept_later
from aigateway_core.errors import ConfigurationError, UnavailableError
from aigateway_core.secret import Secret
from aigateway_core.settings import (
    DatabaseSettings,
    KeySettings,
    PluginsSettings,
    ProviderSettings,
    ServerSettings,
    Settings,
)
from aigateway_core.storage import Storage

pytestmark = pytest.mark.anyio
CLIENT_KEY, ADMIN_KEY = "client-key-of-this-start", "admin-key-of-this-start"
ASKED = {"model": "m-1", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    vendor = {"base_url": "http://127.0.0.1:9/v1", "models": ["m-1"]}
    return Settings(
        database=DatabaseSettings(path=tmp_path / "aigateway.db"),
        keys=KeySettings(client=Secret(CLIENT_KEY), admin=Secret(ADMIN_KEY)),
        plugins=PluginsSettings(allowed=frozenset()),
        providers={"acme": ProviderSettings(kind="openai-compatible", api_key=Secret("k" * 20), options=vendor)},
    )


class Away:
    """Stands before the opening of the storage: raises ``failure`` while there is one."""

    def __init__(self) -> None:
        self.failure: Exception | None = UnavailableError("the database mysql://10.1.2.3:3306/x does not answer")
        self.tries = 0

    async def open(self, settings: Settings) -> Storage:
        self.tries += 1
        if self.failure is not None:
            raise self.failure
        return await OPEN(settings)


OPEN = bootstrap.open_storage
Ask = Callable[..., httpx.Response]


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Away:
    found = Away()
    monkeypatch.setattr(bootstrap, "open_storage", found.open)
    monkeypatch.setattr(bootstrap, "_SECONDS_BETWEEN_OPENINGS", 0.02)
    return found


@pytest.fixture
async def client(settings: Settings, away: Away) -> AsyncIterator[httpx.AsyncClient]:
    house = House(assemble(settings))
    await house.start()
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(Guarded(house.app)), base_url="http://localhost"
    ) as http:
        yield http
    await house.stop()


def bearing(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def ready(http: httpx.AsyncClient) -> None:
    async with asyncio.timeout(10):
        while (await http.get("/ready")).status_code != 200:  # noqa: ASYNC110 - as a balancer does
            await asyncio.sleep(0.01)


async def test_it_lives_and_is_not_ready(client: httpx.AsyncClient) -> None:
    health, standing = await client.get("/health"), await client.get("/ready")
    assert (health.status_code, standing.status_code, standing.json()["status"]) == (200, 503, "starting")


@pytest.mark.parametrize("key", [CLIENT_KEY, "gwcli_abcdefgh_" + "x" * 43, ""], ids=["known", "unknown", "none"])
async def test_no_client_is_let_in_or_turned_away_for_good(client: httpx.AsyncClient, key: str) -> None:
    answer = await client.post("/v1/chat/completions", json=ASKED, headers=bearing(key) if key else {})
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["error"]["message"] == "the gateway is starting: its database does not answer yet"
    assert "10.1.2.3" not in answer.text


async def test_an_admin_is_known_by_the_environments_key_and_can_change_nothing_yet(client: httpx.AsyncClient) -> None:
    by_environment = await client.get("/api/v1/accounts", headers=bearing(ADMIN_KEY))
    by_another = await client.get("/api/v1/accounts", headers=bearing("gwadm_abcdefgh_" + "x" * 43))
    assert (by_environment.status_code, by_another.status_code) == (503, 503)


async def test_it_serves_by_itself_once_the_database_answers(client: httpx.AsyncClient, away: Away) -> None:
    async with asyncio.timeout(10):
        while away.tries < 3:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    away.failure = None
    await ready(client)
    listed = await client.get("/v1/models", headers=bearing(CLIENT_KEY))
    assert [model["id"] for model in listed.json()["data"]] == ["m-1"]
    refused = await client.get("/v1/models", headers=bearing("another key"))
    assert refused.status_code == 401
    assert (await client.get("/api/v1/accounts", headers=bearing(ADMIN_KEY))).status_code == 200


async def test_what_is_wrong_beyond_being_away_is_said_once_and_tried_again(
    client: httpx.AsyncClient, away: Away, caplog: pytest.LogCaptureFixture
) -> None:
    away.failure = ConfigurationError("the master key does not fit this database")
    tries = away.tries
    async with asyncio.timeout(10):
        while away.tries < tries + 4:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    assert caplog.text.count("the master key does not fit") == 1
    away.failure = None
    await ready(client)


async def test_a_start_that_never_sees_the_database_ends_well(settings: Settings, away: Away) -> None:
    house = House(assemble(settings))
    await house.start()
    await asyncio.sleep(0.1)
    await house.stop()
    assert away.tries > 1


async def test_the_admin_key_of_a_late_first_start_is_kept_in_a_file(
    settings: Settings, away: Away, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keyless = Settings(
        database=settings.database,
        plugins=settings.plugins,
        server=ServerSettings(host="127.0.0.1"),
        keys=KeySettings(),
    )
    house = House(assemble(keyless), keep=kept_later(keyless))
    await house.start()
    away.failure = None
    transport = httpx.ASGITransport(Guarded(house.app))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        await ready(http)
        key = (tmp_path / "admin-key").read_text().strip()
        assert (await http.get("/api/v1/accounts", headers=bearing(key))).status_code == 200
    await house.stop()
    assert "the admin key is in" in caplog.text
    assert key not in caplog.text


async def test_what_can_be_said_blindly(settings: Settings) -> None:
    look = bootstrap.blind_look(assemble(settings))
    assert look == FirstLook(admin_key=None, clients_need_a_key=True, ready=frozenset({"acme"}), is_blind=True)
