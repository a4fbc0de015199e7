"""A client that leaves takes its upstream call along, and any number of them leave nothing behind."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from typing import Any, Literal

import attrs
import httpx
import pytest
from e2e.fakes.vendor import Exchange, Script
from e2e.gateway_process import CLIENT_KEY, GatewayProcess
from e2e.house import Vendors

pytestmark = pytest.mark.anyio

CROWD = 1_500
AT_ONCE = 60


@attrs.frozen(kw_only=True)
class Visit:
    """A client that leaves early: in the middle of a stream, or before the first byte of its answer."""

    path: str
    model: str
    when: Literal["mid-stream", "before a stream", "before a whole answer"]


VISITS = [
    Visit(path=path, model=model.format(when.replace(" ", "-")), when=when)
    for path in ("/v1/chat/completions", "/v1/messages")
    for model in ("gpt-{}", "claude-{}")
    for when in ("mid-stream", "before a stream", "before a whole answer")
]


@pytest.fixture(autouse=True)
def endless_answers(vendors: Vendors) -> None:
    for visit in VISITS:
        for vendor in (vendors.openai, vendors.acme):
            script = Script(after=5, end="silence") if visit.when == "mid-stream" else Script(mute=True)
            vendor.script(script, model=visit.model)


async def enter(gateway: GatewayProcess, visit: Visit, text: str = "one two three") -> asyncio.StreamWriter:
    """Ask, and wait for the beginning of the answer if there is one to wait for."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    stream = visit.when != "before a whole answer"
    body: dict[str, Any] = {"model": visit.model, "max_tokens": 50, "stream": stream}
    content = json.dumps({**body, "messages": [{"role": "user", "content": text}]}).encode()
    head = (
        f"POST {visit.path} HTTP/1.1\r\nhost: 127.0.0.1:{gateway.port}\r\nauthorization: Bearer {CLIENT_KEY}\r\n"
        f"anthropic-version: 2023-06-01\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    writer.write(head.encode() + content)
    await writer.drain()
    if visit.when == "mid-stream":
        async with asyncio.timeout(30):
            await reader.readuntil(b"echo:")
    return writer


async def begun(vendors: Vendors, visit: Visit, seen: int) -> Exchange:
    """The exchange that this visit caused."""
    async with asyncio.timeout(10):
        while True:
            found = [*vendors.openai.asked(model=visit.model), *vendors.acme.asked(model=visit.model)]
            if len(found) > seen and found[-1].begun.is_set():
                return found[-1]
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("visit", VISITS, ids=lambda visit: f"{visit.path}-{visit.model}")
async def test_case_101_c_01_c_02_c_03_the_upstream_call_ends_when_its_client_leaves(
    visit: Visit, gateway: GatewayProcess, vendors: Vendors
) -> None:
    seen = len(vendors.openai.asked(model=visit.model)) + len(vendors.acme.asked(model=visit.model))
    mark = gateway.mark()
    writer = await enter(gateway, visit)
    exchange = await begun(vendors, visit, seen)
    assert not exchange.left.wait(0.2)
    writer.transport.abort()
    assert await asyncio.to_thread(exchange.left.wait, 1.0), (
        "the upstream call outlived its client by more than a second"
    )
    [row] = gateway.rows(mark, 1)
    assert row["outcome"] == "client_gone"
    assert row["status_code"] == (200 if visit.when == "mid-stream" else 499)
    assert len(row["attempts"]) == 1


@pytest.mark.timeout(240)
async def test_c_05_fifteen_hundred_clients_that_leave_change_nothing(
    gateway: GatewayProcess, vendors: Vendors
) -> None:
    mark, gate = gateway.mark(), asyncio.Semaphore(AT_ONCE)
    before = await fifty_ordinary_requests(gateway)
    mark = gateway.rows(mark, 50)[-1]["seq"]
    first = len(vendors.openai.exchanges), len(vendors.acme.exchanges)

    async def leave(number: int) -> None:
        async with gate:
            writer = await enter(gateway, VISITS[number % len(VISITS)], f"number {number}")
            await asyncio.sleep(number % 5 / 20)
            writer.transport.abort()

    await asyncio.gather(*(leave(number) for number in range(CROWD)))
    open_calls = [*vendors.openai.exchanges[first[0] :], *vendors.acme.exchanges[first[1] :]]
    assert len(open_calls) >= CROWD // 3
    for exchange in open_calls:
        assert await asyncio.to_thread(exchange.left.wait, 20), "an upstream call outlived its client"
    after = await fifty_ordinary_requests(gateway)
    assert after < 5 * before + 2
    rows = gateway.rows(mark, await _settled(gateway, mark))
    outcomes = Counter(row["outcome"] for row in rows)
    assert outcomes["ok"] == 50
    assert outcomes["client_gone"] == len(rows) - 50
    assert sum(row["status_code"] == 200 for row in rows if row["outcome"] == "client_gone") == CROWD // 3


async def fifty_ordinary_requests(gateway: GatewayProcess) -> float:
    """Seconds that they take, ten at a time; each is answered as ever."""
    began = time.monotonic()
    gate = asyncio.Semaphore(10)
    async with httpx.AsyncClient(base_url=gateway.url, trust_env=False, timeout=30) as client:

        async def ask(number: int) -> None:
            body = {"model": "gpt-4o", "messages": [{"role": "user", "content": f"number {number}"}]}
            async with gate:
                response = await client.post(
                    "/v1/chat/completions", json=body, headers={"authorization": f"Bearer {CLIENT_KEY}"}
                )
            assert response.json()["choices"][0]["message"]["content"] == f"echo: number {number} [turn 1]"

        await asyncio.gather(*(ask(number) for number in range(50)))
    return time.monotonic() - began


async def _settled(gateway: GatewayProcess, mark: int) -> int:
    """How many rows there are once no more are coming."""
    count = -1
    while (now := len(gateway.rows_so_far(mark))) != count:
        count = now
        await asyncio.sleep(0.5)
    return count
