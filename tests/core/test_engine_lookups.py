"""Names that are slow to be found, or not at all for a moment: whoever asks for another one notices nothing."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from scripted_upstream import ScriptedUpstream, whole

from aigateway_core.engine import DirectTransport
from aigateway_core.engine.proxied import AiohttpTransport

pytestmark = pytest.mark.anyio

SLOW = 1.0
"""Seconds that the name server takes for a name, and a client does not wait."""


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each name was looked up. ``fast.test`` is here, ``slow.test`` as well but later, ``odd.test`` now and
    then."""
    asked: Counter[str] = Counter()
    system = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        asked[name] += 1
        if name == "slow.test":
            time.sleep(SLOW)
        if name == "odd.test" and asked[name] == 1:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return system("127.0.0.1" if name.endswith(".test") else host, *args, **kwargs)

    monkeypatch.setattr("socket.getaddrinfo", getaddrinfo)
    return asked


@pytest.fixture(params=[AiohttpTransport, DirectTransport], ids=["aiohttp", "direct"])
async def transport(request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncBaseTransport]:
    made = request.param(trusted=True)
    yield made
    await made.aclose()


async def ask(transport: httpx.AsyncBaseTransport, host: str, port: int, connect: float = 5.0) -> int:
    timeout = {"connect": connect, "first_byte": 5.0, "read": 5.0}
    request = httpx.Request("POST", f"http://{host}:{port}/", content=b"{}", extensions={"timeout": timeout})
    response = await transport.handle_async_request(request)
    await response.aclose()
    return response.status_code


async def test_u_02_a_slow_lookup_ends_with_the_deadline_and_holds_up_nobody(
    transport: httpx.AsyncBaseTransport, scripted_upstream: ScriptedUpstream, lookups: Counter[str]
) -> None:
    scripted_upstream.play(whole(b"{}"))
    slow = [asyncio.create_task(ask(transport, "slow.test", scripted_upstream.port, 0.2)) for _ in range(40)]
    await asyncio.sleep(0.05)
    began = time.monotonic()
    assert await ask(transport, "fast.test", scripted_upstream.port) == 200
    assert time.monotonic() - began < SLOW / 2
    outcomes = await asyncio.gather(*slow, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {httpx.ConnectTimeout}
    assert time.monotonic() - began < SLOW
    assert lookups["slow.test"] == 1, "all wait for the one lookup"
    await asyncio.sleep(SLOW)
    assert await ask(transport, "slow.test", scripted_upstream.port) == 200


async def test_u_02_a_name_that_is_not_found_for_a_moment_is_looked_up_again(
    transport: httpx.AsyncBaseTransport, scripted_upstream: ScriptedUpstream, lookups: Counter[str]
) -> None:
    scripted_upstream.play(whole(b"{}"))
    with pytest.raises(httpx.ConnectError):
        await ask(transport, "odd.test", scripted_upstream.port)
    assert scripted_upstream.requests == []
    assert await ask(transport, "odd.test", scripted_upstream.port) == 200
    assert lookups["odd.test"] == 2
