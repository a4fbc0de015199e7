"""No address that is not public is connected to, however it is written and whatever a name resolves to."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, TypeAlias

import httpx
import pytest
from outbound_proxies import HttpProxy, Socks5Proxy
from scripted_upstream import ScriptedUpstream, whole

from aigateway_core.addresses import Destinations
from aigateway_core.engine import DirectTransport
from aigateway_core.engine.proxied import AiohttpTransport
from aigateway_core.faults import AddressRefusedError

pytestmark = pytest.mark.anyio

HOSTS = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "0",
    "0.0.0.0",
    "127.0.0.1.",
    "127.0.0.1..",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "127。0。0。1",
    "１２７.0.0.1",
    "①②⑦.0.0.1",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[::7f00:1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::1]",
    "[fec0::1]",
    "[fe80::1]",
    "[fe80::1%25lo]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "169.254.169.254",
    "100.64.0.1",
    "10.0.0.1",
    "192.168.0.1",
    "172.16.0.1",
    "198.18.0.1",
    "192.0.0.8",
    "224.0.0.1",
    "255.255.255.255",
]


@pytest.fixture(autouse=True)
def connections(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Where a socket was connected to, by anybody, through the event loop."""
    asked: list[Any] = []
    connect = socket.socket.connect

    def record(self: socket.socket, address: Any) -> None:
        asked.append(address)
        connect(self, address)

    monkeypatch.setattr("socket.socket.connect", record)
    return asked


Engine: TypeAlias = type[AiohttpTransport] | type[DirectTransport]


@pytest.fixture(params=[AiohttpTransport, DirectTransport], ids=["aiohttp", "direct"])
def kind(request: pytest.FixtureRequest) -> Engine:
    engine_kind: Engine = request.param
    return engine_kind


@pytest.fixture
async def guarded(kind: Engine) -> AsyncIterator[httpx.AsyncBaseTransport]:
    transport = kind()
    yield transport
    await transport.aclose()


def request_to(host: str, port: int = 80) -> httpx.Request:
    timeout = {"connect": 2.0, "read": 2.0}
    return httpx.Request("POST", f"http://{host}:{port}/v1", content=b"{}", extensions={"timeout": timeout})


@pytest.mark.parametrize("host", HOSTS)
async def test_s_17_it_is_refused_before_anything_is_sent(
    host: str, guarded: httpx.AsyncBaseTransport, connections: list[Any]
) -> None:
    async with ScriptedUpstream() as upstream:
        try:
            request = request_to(host, upstream.port)
        except httpx.InvalidURL:
            return  # so odd that no request can be made of it
        with pytest.raises(httpx.ConnectError):
            await guarded.handle_async_request(request)
        assert upstream.opened == 0
    assert connections == []


@pytest.mark.parametrize(
    "url",
    [
        "http://a@127.0.0.1/",
        "http://api.test\\@127.0.0.1/",
        "http://127.0.0.1#@api.test/",
        "http://127.0.0.1\\.api.test/",
    ],
)
async def test_s_17_an_address_hidden_in_a_url_is_refused(
    url: str, guarded: httpx.AsyncBaseTransport, connections: list[Any]
) -> None:
    try:
        request = httpx.Request("GET", url, extensions={"timeout": {"connect": 2.0}})
    except httpx.InvalidURL:
        return
    with pytest.raises(httpx.TransportError):
        await guarded.handle_async_request(request)
    assert connections == []


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Make the system's resolver give these answers, one after the other, the last one for ever."""
    asked: list[str] = []
    coming = list(answers)

    def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        asked.append(host)
        addresses = coming.pop(0) if len(coming) > 1 else coming[0]
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (ip, port, 0, 0))
            if ":" in ip
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port))
            for ip in addresses
        ]

    monkeypatch.setattr("socket.getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize(
    "answer",
    [
        ["127.0.0.1"],
        ["10.0.0.1"],
        ["8.8.8.8", "127.0.0.1"],
        ["127.0.0.1", "8.8.8.8"],
        ["2606:4700::1", "::1"],
        ["::ffff:7f00:1"],
    ],
)
async def test_s_18_a_name_that_leads_inside_is_refused(
    answer: list[str], guarded: httpx.AsyncBaseTransport, connections: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, answer)
    with pytest.raises(AddressRefusedError):
        await guarded.handle_async_request(request_to("rebound.test"))
    assert connections == []


@pytest.mark.parametrize(
    "make",
    [
        AiohttpTransport,
        DirectTransport,
        partial(AiohttpTransport, proxy="http://rebound.test:80"),
        partial(AiohttpTransport, proxy="socks5://rebound.test:80"),
    ],
)
async def test_s_18_what_was_judged_is_what_is_connected_to(
    make: Callable[[], httpx.AsyncBaseTransport], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Any] = []

    async def sock_connect(self: object, sock: socket.socket, address: Any) -> None:
        tried.append(address)
        raise ConnectionRefusedError(111, "refused by the test")

    monkeypatch.setattr("asyncio.selector_events.BaseSelectorEventLoop.sock_connect", sock_connect)
    asked = resolving(monkeypatch, ["93.184.215.14"], ["127.0.0.1"])
    transport = make()
    with pytest.raises(httpx.TransportError):
        await transport.handle_async_request(request_to("rebound.test"))
    assert asked[0] == "rebound.test"
    assert tried == [("93.184.215.14", 80)]
    await transport.aclose()


async def test_a_private_place_can_be_allowed_and_no_other(kind: Engine, scripted_upstream: ScriptedUpstream) -> None:
    scripted_upstream.play(whole(b"ok"))
    port = scripted_upstream.port
    for entry in ("localhost", f"localhost:{port}"):
        transport = kind(Destinations.allowing([entry]))
        response = await transport.handle_async_request(request_to("localhost", port))
        assert response.status_code == 200
        await response.aclose()
        with pytest.raises(AddressRefusedError):
            await transport.handle_async_request(request_to("127.0.0.1", port))
        await transport.aclose()


async def test_an_allowed_address_allows_the_names_that_lead_to_it(
    kind: Engine, scripted_upstream: ScriptedUpstream
) -> None:
    transport = kind(Destinations.allowing([f"127.0.0.1:{scripted_upstream.port}"]))
    for host in ("127.0.0.1", "localhost"):
        response = await transport.handle_async_request(request_to(host, scripted_upstream.port))
        await response.aclose()
    with pytest.raises(AddressRefusedError):
        await transport.handle_async_request(request_to("127.0.0.1", scripted_upstream.port + 1))
    await transport.aclose()


async def test_what_the_operator_wrote_is_trusted(kind: Engine, scripted_upstream: ScriptedUpstream) -> None:
    transport = kind(trusted=True)
    response = await transport.handle_async_request(request_to("localhost", scripted_upstream.port))
    assert response.status_code == 200
    await response.aclose()
    await transport.aclose()


@pytest.mark.parametrize("kind", [HttpProxy, Socks5Proxy])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_s_17_a_proxy_at_a_private_address_is_refused(
    kind: type[HttpProxy | Socks5Proxy], host: str, connections: list[Any]
) -> None:
    async with kind() as proxy:
        transport = AiohttpTransport(trusted=True, proxy=proxy.url.replace("127.0.0.1", host))
        with pytest.raises(httpx.ProxyError):
            await transport.handle_async_request(request_to("vendor.test"))
        assert proxy.asked == []
        await transport.aclose()
    assert connections == []


@pytest.mark.parametrize("kind", [HttpProxy, Socks5Proxy])
@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "[::1]", "2130706433"])
async def test_s_17_an_address_is_judged_even_when_a_proxy_would_go_there(
    kind: type[HttpProxy | Socks5Proxy], host: str, connections: list[Any]
) -> None:
    async with kind() as proxy:
        allowed = Destinations.allowing([proxy.address])
        transport = AiohttpTransport(allowed, proxy=proxy.url)
        with pytest.raises(AddressRefusedError):
            await transport.handle_async_request(request_to(host))
        assert proxy.asked == []
        await transport.aclose()
    assert connections == []
