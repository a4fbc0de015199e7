"""Connections that are lost while they are opened, on both event loops, against both engines.

A socket that is closed twice is none of ours the second time: its number may be another connection's by then.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from threaded_servers import resetting

from aigateway_core.addresses import Destinations
from aigateway_core.engine import DirectTransport
from aigateway_core.engine.proxied import AiohttpTransport

pytestmark = pytest.mark.anyio

LOOPBACK = Destinations.allowing(["127.0.0.1"])


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
def port() -> Iterator[int]:
    with resetting() as port:
        yield port


@pytest.fixture(params=["direct", "aiohttp", "http proxy", "https proxy", "socks5 proxy"])
def transport(request: pytest.FixtureRequest, port: int) -> DirectTransport | AiohttpTransport:
    """One whose connections, or those of its outbound proxy, are all reset."""
    if request.param == "direct":
        return DirectTransport(LOOPBACK, trusted=True)
    scheme, _, proxied = request.param.partition(" ")
    return AiohttpTransport(LOOPBACK, trusted=True, proxy=f"{scheme}://127.0.0.1:{port}" if proxied else None)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_connection_that_is_reset_as_it_is_opened_is_closed_once(
    transport: DirectTransport | AiohttpTransport, port: int, scheme: str
) -> None:
    timeout = {"connect": 5.0, "first_byte": 5.0, "read": 5.0}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(40):
            request = httpx.Request("POST", f"{scheme}://127.0.0.1:{port}/", extensions={"timeout": timeout})
            with pytest.raises(httpx.TransportError):
                await transport.handle_async_request(request)
        await transport.aclose()
        gc.collect()
    # Python says so of a socket that it closes because nobody has, and knows nothing of what the loop has closed.
    assert [str(each.message) for each in told if issubclass(each.category, ResourceWarning)] == []
