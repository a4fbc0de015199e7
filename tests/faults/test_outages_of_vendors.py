"""A vendor that is away, under load, and one that is the gateway itself: what is asked, and what clients are told."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from core.gateway_house import WHOLE
from e2e.gateway_process import CLIENT_KEY, GatewayProcess
from faults.watched_gateway import WatchedGateway
from scripted_upstream import ScriptedUpstream, whole

pytestmark = pytest.mark.anyio

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
WELL = whole(json.dumps(WHOLE).encode())
REQUESTS = 400


@pytest.fixture
async def gateway(upstream: ScriptedUpstream, tmp_path: Path) -> AsyncIterator[WatchedGateway]:
    """A gateway with three accounts at a vendor, and one at another vendor of the same kind on the same server."""
    kind = {"kind": "openai-compatible", "base_url": f"{upstream.url}/v1"}
    providers = {"acme": {**kind, "models": ["m-*"]}, "other": {**kind, "models": ["o-*"]}}
    async with WatchedGateway(
        upstream, {"providers": providers}, tmp_path, at_once=40, secrets=("sk-outage-",)
    ) as made:
        for number in range(3):
            await asyncio.to_thread(made.add_account, "acme", f"sk-outage-{number}")
        await asyncio.to_thread(made.add_account, "other", "sk-outage-other")
        upstream.requests.clear()
        yield made


@pytest.fixture
async def client(gateway: WatchedGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.client() as made:
        yield made


async def ask(client: httpx.AsyncClient, model: str = "m-1", path: str = CHAT) -> httpx.Response:
    body = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    return await client.post(path, json=body)


async def test_u_25_an_outage_is_answered_at_once_and_the_vendor_is_asked_little_more_than_the_clients_ask(
    gateway: WatchedGateway, client: httpx.AsyncClient, upstream: ScriptedUpstream
) -> None:
    upstream.play(whole(status=503))
    statuses: Counter[int] = Counter()
    limit = asyncio.Semaphore(20)

    async def one(path: str) -> None:
        async with limit:
            answer = await ask(client, path=path)
            statuses[answer.status_code] += 1
            assert "error" in answer.json()

    await asyncio.gather(*(one(path) for path in [CHAT, MESSAGES] * (REQUESTS // 2)))
    assert set(statuses) == {503, 529}, "each in its own dialect"
    assert len(upstream.requests) <= 1.2 * REQUESTS
    # Far fewer, in truth: once the breaker is open there is a probe now and then.
    assert len(upstream.requests) < REQUESTS / 2
    refused = await ask(client)
    assert refused.status_code == 503
    assert 1 <= int(refused.headers["retry-after"]) <= 30
    assert "asked again in" in refused.json()["error"]["message"]
    row = await asyncio.to_thread(gateway.row, refused.headers["x-request-id"])
    assert (row["outcome"], row["status_code"], row["attempts"]) == ("upstream_error", 503, [])


async def test_u_25_when_the_vendor_is_back_one_probe_opens_the_door_for_all(
    gateway: WatchedGateway, client: httpx.AsyncClient, upstream: ScriptedUpstream
) -> None:
    upstream.play(whole(status=503))
    for _ in range(6):
        await ask(client)
    upstream.play(WELL)
    answer = await ask(client)
    assert answer.status_code == 503
    assert (await ask(client, "o-1")).status_code == 200, "another vendor has nothing to do with it"
    assert (await ask(client, "m-2")).status_code == 200, "nor has another model"
    async with asyncio.timeout(15):
        while answer.status_code != 200:
            await asyncio.sleep(min(int(answer.headers["retry-after"]), 3))
            answer = await ask(client)
    assert [answer.status_code for answer in await asyncio.gather(*(ask(client) for _ in range(20)))] == [200] * 20
    assert "answers again" in gateway.output


async def test_u_31_a_request_that_goes_round_in_a_circle_is_stopped(tmp_path: Path) -> None:
    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", process.port)

        async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            with suppress(ConnectionError):
                while data := await source.read(65536):
                    target.write(data)
            target.close()

        await asyncio.gather(copy(reader, forth), copy(back, writer))

    async with await asyncio.start_server(pass_on, "127.0.0.1", 0) as door:
        address = f"http://127.0.0.1:{door.sockets[0].getsockname()[1]}/v1"
        section = {"kind": "openai-compatible", "base_url": address, "models": ["m-*"], "api_key": CLIENT_KEY}
        process = GatewayProcess({"plugins": {"allowed": []}, "providers": {"circle": section}}, tmp_path)
        await asyncio.to_thread(process.start)
        headers = {"authorization": f"Bearer {CLIENT_KEY}"}
        async with httpx.AsyncClient(base_url=process.url, headers=headers, trust_env=False, timeout=30) as client:
            answer = await ask(client)
        rows = await asyncio.to_thread(process.rows, 0, 2)
        assert await asyncio.to_thread(process.stop) == 0
        assert answer.status_code == 500
        assert "go round in a circle" in answer.json()["error"]["message"]
        assert [len(row["attempts"]) for row in rows] == [1, 1]
        assert rows[0]["attempts"][0]["status_code"] == 508
