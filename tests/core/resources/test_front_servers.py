"""A front server on the same machine: whoever comes through it is no local program, and needs a key."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import attrs
import httpx
import pytest
from core.guarded import Guarded
from core.resources.conftest import ADMIN_KEY

from aigateway_core.bootstrap import House, assemble, first_look
from aigateway_core.errors import ConfigurationError
from aigateway_core.server.asgi import Receive, Scope, Send
from aigateway_core.settings import ServerSettings, Settings

pytestmark = pytest.mark.anyio

CLIENT_PATHS = ("/v1/models", "/v1beta/models", "/v1/models/m-1")
READER_PATHS = ("/metrics", "/openapi.json", "/docs")
STRANGER = "203.0.113.9"

SAID = [
    {"x-forwarded-for": STRANGER},
    {"forwarded": f"for={STRANGER}"},
    {"x-real-ip": STRANGER},
    {"x-forwarded-proto": "https"},
    {"X-Forwarded-Host": "gw.example.com"},
    {"via": "1.1 front"},
    {"cf-connecting-ip": STRANGER},
]


@contextmanager
def refused(*words: str) -> Iterator[None]:
    with pytest.raises(ConfigurationError) as caught:
        yield
    assert all(word in str(caught.value) for word in words)


async def statuses(client: httpx.AsyncClient, paths: tuple[str, ...], **headers: str) -> set[int]:
    return {(await client.get(path, headers=headers)).status_code for path in paths}


async def test_a_program_on_this_machine_is_asked_for_no_key(client: httpx.AsyncClient) -> None:
    assert await statuses(client, ("/v1/models", "/v1beta/models", *READER_PATHS)) == {200}


@pytest.mark.parametrize("said", SAID, ids=lambda said: next(iter(said)))
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8088"])
async def test_whoever_was_forwarded_needs_a_key_by_whatever_name_it_calls(
    client: httpx.AsyncClient, said: dict[str, str], host: str
) -> None:
    assert await statuses(client, (*CLIENT_PATHS, *READER_PATHS), host=host, **said) == {401}
    question = {"model": "m-1", "messages": [{"role": "user", "content": "hello"}]}
    answer = await client.post("/v1/chat/completions", json=question, headers={"host": host, **said})
    assert answer.status_code == 401
    assert (await client.get("/ready", headers={"host": host, **said})).json() == {"status": "ok"}


async def test_strangers_with_wrong_keys_shut_out_no_program_that_needs_none(client: httpx.AsyncClient) -> None:
    stranger = {"x-forwarded-for": STRANGER, "authorization": "Bearer wrong"}
    seen = [(await client.get("/v1/models", headers=stranger)).status_code for _ in range(70)]
    assert seen[-1] == 429
    assert (await client.get("/v1/models", headers={"authorization": "Bearer what-an-sdk-wants"})).status_code == 200
    assert (await client.get("/v1/models", headers=stranger)).status_code == 429


async def test_a_bare_nginx_tells_nothing_but_an_old_version_and_opens_nothing(house: House) -> None:
    async def old(scope: Scope, receive: Receive, send: Send) -> None:
        await Guarded(house.app)({**scope, "http_version": "1.0"}, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(old), base_url="http://127.0.0.1:8088") as nginx:
        assert await statuses(nginx, (*CLIENT_PATHS, *READER_PATHS)) == {401}
        assert (await nginx.get("/health")).status_code == 200
        assert await statuses(nginx, READER_PATHS, authorization=f"Bearer {ADMIN_KEY}") == {200}


@pytest.fixture
async def behind_a_proxy(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    server = ServerSettings(trusted_proxies=("127.0.0.1",), allowed_hosts=("gw.example.com", "127.0.0.1"))
    house = House(assemble(attrs.evolve(settings, server=server)))
    await house.start()
    transport = httpx.ASGITransport(Guarded(house.app))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8088") as client:
        yield client
    await house.stop()


@pytest.mark.parametrize("host", ["gw.example.com", "127.0.0.1:8088", "localhost"])
async def test_where_a_proxy_is_named_everybody_needs_a_key(behind_a_proxy: httpx.AsyncClient, host: str) -> None:
    assert await statuses(behind_a_proxy, (*CLIENT_PATHS, *READER_PATHS), host=host) == {401}
    assert (await behind_a_proxy.get("/ready", headers={"host": host})).json() == {"status": "ok"}
    assert await statuses(behind_a_proxy, READER_PATHS, host=host, authorization=f"Bearer {ADMIN_KEY}") == {200}


async def test_a_name_that_strangers_call_is_no_name_of_this_machines_own(settings: Settings) -> None:
    house = House(assemble(attrs.evolve(settings, server=ServerSettings(allowed_hosts=("gw.example.com",)))))
    await house.start()
    transport = httpx.ASGITransport(Guarded(house.app))
    async with httpx.AsyncClient(transport=transport, base_url="http://gw.example.com") as client:
        assert await statuses(client, ("/v1/models",)) == {403}
        assert await statuses(client, READER_PATHS) == {401}
    await house.stop()


async def test_behind_a_proxy_and_without_a_client_key_it_does_not_start(settings: Settings) -> None:
    server = ServerSettings(trusted_proxies=("127.0.0.1",))
    with refused("server.trusted_proxies", "no client key", "AIGATEWAY_CLIENT_KEY"):
        await first_look(assemble(attrs.evolve(settings, server=server)))
    look = await first_look(assemble(attrs.evolve(settings, server=attrs.evolve(server, client_auth="open"))))
    assert not look.clients_need_a_key
