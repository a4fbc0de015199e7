"""How connections end, over TLS and from a server in a thread: the loop that reads is not the one that writes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from certificates import client_context, server_context
from core.state.state_contract import eventually
from outbound_proxies import HttpProxy, Socks5Proxy
from threaded_servers import serving

from aigateway_core.addresses import Destinations
from aigateway_core.engine import DirectTransport
from aigateway_core.engine.proxied import AiohttpTransport

pytestmark = pytest.mark.anyio

LOOPBACK = Destinations.allowing(["127.0.0.1"])
TIMEOUT = {"connect": 5.0, "first_byte": 20.0, "read": 5.0}
SIZES = (650_000, 800_000, 950_000, 1_100_000, 1_250_000, 1_400_000)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The loop that the gateway runs on: it ends TLS otherwise than asyncio's own."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    return server_context(tmp_path / "tls")


@pytest.fixture(params=["direct", "aiohttp", "aiohttp through an http proxy", "aiohttp through a socks5 proxy"])
async def transport(
    request: pytest.FixtureRequest, tls: ssl.SSLContext, tmp_path: Path
) -> AsyncIterator[DirectTransport | AiohttpTransport]:
    trusted = client_context(tmp_path / "tls")
    async with HttpProxy() if "http proxy" in request.param else Socks5Proxy() as proxy:
        through = proxy.url if "through" in request.param else None
        made = (
            DirectTransport(LOOPBACK, ssl_context=trusted)
            if request.param == "direct"
            else AiohttpTransport(LOOPBACK, proxy=through, ssl_context=trusted)
        )
        yield made
        await made.aclose()


def asked(scheme: str, port: int, path: str = "", content: bytes = b"") -> httpx.Request:
    url = f"{scheme}://127.0.0.1:{port}/{path}"
    return httpx.Request("POST", url, content=content, extensions={"timeout": TIMEOUT})


@pytest.mark.parametrize("framed", [True, False], ids=["with a length", "until it closes"])
@pytest.mark.parametrize("farewell", [True, False], ids=["close_notify", "only closed"])
async def test_an_answer_is_whole_though_its_connection_closes_right_after_it(
    transport: DirectTransport | AiohttpTransport, tls: ssl.SSLContext, framed: bool, farewell: bool
) -> None:
    def answer(connection: socket.socket) -> None:
        with tls.wrap_socket(connection, server_side=True) as secure:
            size = int(secure.recv(65536).split(b" ")[1][1:])
            length = f"content-length: {size}\r\n" if framed else ""
            secure.sendall(f"HTTP/1.1 200 OK\r\nconnection: close\r\n{length}\r\n".encode() + b"x" * size)
            secure.setblocking(False)
            with contextlib.suppress(OSError, ValueError):
                secure.unwrap() if farewell else None  # the peer's own farewell is not waited for
            secure.shutdown(socket.SHUT_WR)
            secure.settimeout(2)
            while secure.recv(65536):  # what is closed with something unread is reset
                pass

    with serving(answer) as port:
        for size in SIZES:
            response = await transport.handle_async_request(asked("https", port, str(size)))
            assert isinstance(response.stream, httpx.AsyncByteStream)
            got = 0
            async for chunk in response.stream:
                got += len(chunk)
                await asyncio.sleep(0.05)
            await response.aclose()
            assert got == size


@pytest.mark.parametrize("size", [2, 20_000_000])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_u_20_a_request_that_is_given_up_before_its_answer_takes_its_connection_along(
    transport: DirectTransport | AiohttpTransport, tls: ssl.SSLContext, scheme: str, size: int
) -> None:
    begun, looked = threading.Event(), threading.Event()

    def read_no_more(connection: socket.socket) -> None:
        with tls.wrap_socket(connection, server_side=True) if scheme == "https" else connection as read:
            read.recv(65536)
            begun.set()
            looked.wait(10)

    with serving(read_no_more) as port:
        task = asyncio.create_task(transport.handle_async_request(asked(scheme, port, content=b"x" * size)))
        assert await asyncio.to_thread(begun.wait, 5)
        before = open_files()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        try:
            await eventually(lambda: open_files() < before)  # a proxy's end with ours
        finally:
            looked.set()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
