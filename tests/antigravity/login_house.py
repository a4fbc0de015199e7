"""A gateway whose accounts log in with Google: the identity provider and Cloud Code are fakes on real sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs
import httpx
from core.guarded import Guarded
from e2e.fakes.cloud_code import USER_AGENT, FakeCloudCode
from e2e.fakes.cloud_code_accounts import CloudAccount
from e2e.fakes.vendor import Exchange, Refusal, Script

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
from aigateway_core.structuring import structure
from aigateway_core.testing import FakeIdentityProvider

EMAIL = "user@example.com"


MODEL = "gemini-3-flash"
ADMIN_KEY = "admin-key-of-these-tests-0123456789"


@attrs.frozen(eq=False)
class Google:
    """The identity provider, and Cloud Code, which knows its tokens."""

    idp: FakeIdentityProvider
    cloud: FakeCloudCode

    @property
    def questions(self) -> list[Exchange]:
        """What was asked of :data:`MODEL`."""
        return self.cloud.asked(model=MODEL)

    def has(self, email: str = EMAIL, **more: Any) -> CloudAccount:
        """Let Google know this account; with a project, unless it says otherwise."""
        return self.cloud.add(CloudAccount(email=email, **{"project": "proj-1", **more}))

    def section(self, **more: Any) -> dict[str, Any]:
        """``providers.antigravity`` of the configuration."""
        return {
            "oauth_client_id": self.idp.client_id,
            "oauth_client_secret": self.idp.client_secret,
            "user_agent": USER_AGENT,
            "authorize_url": f"{self.idp.url}/authorize",
            "token_url": f"{self.idp.url}/token",
            "userinfo_url": f"{self.idp.url}/userinfo",
            "base_urls": [self.cloud.url],
            "discovery_urls": [self.cloud.url],
            **more,
        }

    def options(self, **more: Any) -> dict[str, Any]:
        """What the plugin tells the core's ``oauth``; it polls without taking its time."""
        config = structure(self.section(**more), AntigravityConfig)
        return dict(options(config, Projects(config, interval=0.01)))


class LoginHouse:
    """The gateway, with the calls that its operator and its clients make."""

    def __init__(self, house: House, settings: Settings, admin: httpx.AsyncClient, there: Google) -> None:
        self.house = house
        self.admin = admin
        self._settings = settings
        self._google = there

    async def begin(self, **body: Any) -> dict[str, Any]:
        answer = await self.admin.post("/api/v1/oauth/antigravity/start", json={"accept_risk": True, **body})
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
        known = {"metadata": {"project": "proj-1"}}
        body = {"provider_id": "antigravity", "label": label, "auth_data": auth_data, **known, **more}
        made = await self.admin.post("/api/v1/accounts", json=body)
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    async def ask(self, model: str = MODEL, **more: Any) -> httpx.Response:
        """A client's question."""
        body = {"model": model, "messages": [{"role": "user", "content": "hello"}], **more}
        return await self.send("POST", "/v1/chat/completions", json=body)

    async def send(self, method: str, url: str, **more: Any) -> httpx.Response:
        """A request of a client's."""
        transport = httpx.ASGITransport(Guarded(self.house.app))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client:
            return await client.request(method, url, **more)

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
        options=there.section(**options), auth_options={"after_login": there.options(**options)["after_login"]}
    )
    settings = Settings(
        database=DatabaseSettings(path=folder / "gateway.db"),
        keys=KeySettings(admin=Secret(ADMIN_KEY)),
        plugins=PluginsSettings(allowed=frozenset({"antigravity"})),
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


def answering(body: dict[str, Any]) -> Script:
    """An answer in place of the usual one."""
    return Script(refusal=Refusal(status=200, body=json.dumps(body).encode()))


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))
