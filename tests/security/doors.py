"""A gateway with keys of every kind, and its routes as falcon has them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import falcon.inspect
import httpx
from core.guarded import Guarded

from aigateway_core.bootstrap import House, assemble, first_look, open_storage
from aigateway_core.secret import Secret
from aigateway_core.settings import (
    DatabaseSettings,
    PluginsSettings,
    ProviderSettings,
    RecordingSettings,
    SecuritySettings,
    ServerSettings,
    Settings,
)
from aigateway_core.storage import SYSTEM

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
CONFIG_KEY = "key-in-the-file-0001"

_PARAMETERS = {"account_id": "nobody", "proxy_id": "999999", "key_id": "nobody01", "provider_id": "acme"}


@attrs.frozen
class Keys:
    """One of each kind; only ``client`` and ``admin`` open anything."""

    client: str
    admin: str
    expired_client: str
    revoked_client: str
    expired_admin: str
    revoked_admin: str


@attrs.frozen
class Door:
    """A gateway that runs, and its keys."""

    house: House
    keys: Keys
    settings: Settings

    @asynccontextmanager
    async def client(self, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
        """Asks it in-process, with these headers."""
        transport = httpx.ASGITransport(Guarded(self.house.app))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
            yield client

    async def raw(self, method: str, path: str, *headers: tuple[bytes, bytes], query: bytes = b"") -> tuple[int, bytes]:
        """Status and body of what it answers to a path and headers that no client library would send."""
        said: dict[str, Any] = {"body": b""}

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            said["status"] = message.get("status", said.get("status"))
            said["body"] += message.get("body", b"")

        await Guarded(self.house.app)(
            {
                "type": "http",
                "asgi": {"version": "3.0", "spec_version": "2.3"},
                "http_version": "1.1",
                "method": method,
                "scheme": "http",
                "path": path,
                "raw_path": path.encode("utf-8", "surrogateescape"),
                "query_string": query,
                "headers": [(b"host", b"localhost"), *headers],
                "client": ("127.0.0.1", 4711),
                "server": ("127.0.0.1", 8088),
            },
            receive,
            send,
        )
        return said["status"], said["body"]

    def routes(self) -> dict[str, frozenset[str]]:
        """Each route of the app with the methods that it answers."""
        found = falcon.inspect.inspect_app(self.house.app).routes
        return {route.path: frozenset(each.method for each in route.methods if not each.internal) for route in found}


def settings_in(folder: Path, host: str = "0.0.0.0") -> Settings:
    """Two providers without any network behind them; wrong keys are refused without end, so that each can be seen."""
    nowhere = {"base_url": "http://127.0.0.1:9", "models": ["m-1"]}
    return Settings(
        server=ServerSettings(host=host),
        database=DatabaseSettings(path=folder / "gateway.db"),
        plugins=PluginsSettings(allowed=frozenset()),
        recording=RecordingSettings(flush_interval=0.01),
        security=SecuritySettings(wrong_admin_keys_per_minute=0, wrong_client_keys_per_minute=0),
        providers={
            "acme": ProviderSettings(kind="openai-compatible", options=nowhere),
            "config-only": ProviderSettings(
                kind="anthropic-compatible", api_key=Secret(CONFIG_KEY), options={**nowhere, "models": ["m-2"]}
            ),
        },
    )


async def made_keys(settings: Settings) -> Keys:
    """Keys of every kind, in the database."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    async with await open_storage(settings) as storage:

        async def made(role: str, expires_at: datetime | None = None, *, revoked: bool = False) -> str:
            stored, key = await storage.keys.create(role, "test", SYSTEM, expires_at=expires_at)  # type: ignore[arg-type]
            if revoked:
                await storage.keys.revoke(stored.id, SYSTEM)
            return key.reveal()

        return Keys(
            client=await made("client"),
            admin=await made("admin"),
            expired_client=await made("client", past),
            revoked_client=await made("client", revoked=True),
            expired_admin=await made("admin", past),
            revoked_admin=await made("admin", revoked=True),
        )


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Door]:
    """A gateway with these settings and with keys of every kind."""
    keys = await made_keys(settings)
    assembly = assemble(settings)
    await first_look(assembly)
    house = House(assembly)
    await house.start()
    try:
        yield Door(house, keys, settings)
    finally:
        await house.stop()


def filled(path: str, values: Mapping[str, str] = _PARAMETERS) -> str:
    """A route's path with something for each of its parameters."""
    return re.sub(r"\{(\w+)[^}]*\}", lambda found: values.get(found[1], "m-1"), path)


def cells(routes: Mapping[str, frozenset[str]]) -> Iterator[tuple[str, str]]:
    """Each route with each of its methods."""
    for path, methods in sorted(routes.items()):
        yield from ((path, method) for method in sorted(methods))
