"""A gateway whose accounts log in with Google: the identity provider and Cloud Code are fakes on real sockets.

What answers clients is an OpenAI-like fake behind the plugin's login: these tests are about accounts, not answers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs
import httpx
from core.resources.conftest import ADMIN_KEY, Guarded
from e2e.fakes.cloud_code import FakeCloudCode
from e2e.fakes.cloud_code_accounts import CloudAccount
from e2e.fakes.openai import OpenAIWire
from e2e.fakes.server import FakeVendor

from aigateway_antigravity.config import AntigravityConfig
from aigateway_antigravity.login import options
from aigateway_antigravity.project import Projects
from aigateway_core.bootstrap import House, assemble, first_look, open_storage
from aigateway_core.plugin import Secret
from aigateway_core.settings import (
    DatabaseSettings,
    KeySettings,
    PluginsSettings,
    ProviderSettings,
    RecordingSettings,
    SecuritySettings,
    Settings,
)
from aigateway_core.storage import Storage
from aigateway_core.testing import FakeIdentityProvider

EMAIL = "user@example.com"


class Accepted(set[str]):
    """The tokens that are good at the identity provider now, as the keys that a vendor knows."""

    def __init__(self, idp: FakeIdentityProvider) -> None:
        super().__init__()
        self._idp = idp

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._idp.accepts(key)


@attrs.frozen(eq=False)
class Google:
    """The identity provider, Cloud Code, and the vendor behind the accounts."""

    idp: FakeIdentityProvider
    cloud: FakeCloudCode
    vendor: FakeVendor

    def start(self) -> None:
        for each in (self.cloud, self.vendor):
            each.start()

    def stop(self) -> None:
        for each in (self.cloud, self.vendor):
            each.stop()

    def has(self, email: str = EMAIL, **more: Any) -> CloudAccount:
        """Let Google know this account; with a project, unless it says otherwise."""
        return self.cloud.add(CloudAccount(email=email, **{"project": "proj-1", **more}))

    def config(self, **more: Any) -> AntigravityConfig:
        given = {
            "oauth_client_id": self.idp.client_id,
            "oauth_client_secret": Secret(self.idp.client_secret),
            "authorize_url": f"{self.idp.url}/authorize",
            "token_url": f"{self.idp.url}/token",
            "userinfo_url": f"{self.idp.url}/userinfo",
            "discovery_urls": (self.cloud.url,),
            **more,
        }
        return AntigravityConfig(**given)

    def options(self, **more: Any) -> dict[str, Any]:
        """What the plugin tells the core's ``oauth``; it polls without taking its time."""
        config = self.config(**more)
        return dict(options(config, Projects(config, interval=0.01)))


def google(idp: FakeIdentityProvider) -> Google:
    vendor = FakeVendor(OpenAIWire(), [])
    vendor.keys = Accepted(idp)
    return Google(idp, FakeCloudCode(idp), vendor)


class LoginHouse:
    """The gateway, with the calls that its operator and its clients make."""

    def __init__(self, house: House, settings: Settings, admin: httpx.AsyncClient, there: Google) -> None:
        self.house = house
        self.admin = admin
        self._settings = settings
        self._google = there

    async def begin(self, **body: Any) -> dict[str, Any]:
        answer = await self.admin.post("/api/v1/oauth/antigravity/start", json=body)
        assert answer.status_code == 200, answer.text
        begun: dict[str, Any] = answer.json()
        return begun

    async def answer(self, back: str) -> httpx.Response:
        """Bring the address that the browser ended at."""
        return await self.admin.post("/api/v1/oauth/antigravity/complete", json={"url": back})

    async def log_in(self, email: str = EMAIL, **body: Any) -> httpx.Response:
        self._google.idp.identity = email
        return await self.answer(self._google.idp.consent((await self.begin(**body))["url"]))

    async def accounts(self) -> dict[str, dict[str, Any]]:
        """By label."""
        listed = (await self.admin.get("/api/v1/accounts?provider_id=antigravity")).json()["data"]
        return {account["label"]: account for account in listed}

    async def add(self, label: str, auth_data: dict[str, Any], **more: Any) -> str:
        body = {"provider_id": "antigravity", "label": label, "auth_data": auth_data, **more}
        made = await self.admin.post("/api/v1/accounts", json=body)
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    async def ask(self) -> httpx.Response:
        body = {"model": "m-1", "messages": [{"role": "user", "content": "hello"}]}
        transport = httpx.ASGITransport(Guarded(self.house.app))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client:
            return await client.post("/v1/chat/completions", json=body)

    @asynccontextmanager
    async def storage(self) -> AsyncIterator[Storage]:
        """A second look at the database."""
        async with await open_storage(self._settings) as storage:
            yield storage

    async def auth_data(self, account_id: str) -> dict[str, Any]:
        """What is stored, secrets included."""
        async with self.storage() as storage:
            return dict((await storage.accounts.get(account_id)).auth_data or {})


@asynccontextmanager
async def login_house(there: Google, folder: Path, **options: Any) -> AsyncIterator[LoginHouse]:
    """Runs the gateway. ``options`` are settings of the plugin's section."""
    section = ProviderSettings(
        kind="openai-compatible",
        auth_strategy="oauth",
        auth_options=there.options(**options),
        options={"base_url": f"{there.vendor.url}/v1", "models": ["m-1"]},
    )
    settings = Settings(
        database=DatabaseSettings(path=folder / "gateway.db"),
        keys=KeySettings(admin=Secret(ADMIN_KEY)),
        plugins=PluginsSettings(allowed=frozenset()),
        recording=RecordingSettings(flush_interval=0.01),
        security=SecuritySettings(allow_private_hosts=frozenset({"127.0.0.1"})),
        providers={"antigravity": section},
    )
    async with AsyncExitStack() as exits:
        assembly = assemble(settings)
        await first_look(assembly)
        house = House(assembly)
        await house.start()
        exits.push_async_callback(house.stop)
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(Guarded(house.app)),
            base_url="http://localhost",
            headers={"authorization": f"Bearer {ADMIN_KEY}"},
            timeout=60,
        )
        await exits.enter_async_context(client)
        yield LoginHouse(house, settings, client, there)


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))
