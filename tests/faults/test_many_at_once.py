"""Many clients at once, against a real gateway: what they ask for, how they leave, and what is left of them."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from faults.crowds import CROWD, Listener, each_his_own, end_well, endless, memory, quantile, question, request, until
from faults.watched_gateway import CHAT, WatchedGateway
from scripted_upstream import ScriptedUpstream, Wire, head_of, stall, whole

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

CAP = CROWD + 20 if CROWD < 1000 else 2 * CROWD
EVENTS = 10 if CROWD < 1000 else 20
EVERY = 0.2 if CROWD < 1000 else 0.5
KEY = "sk-crowd-account-1"
MESSAGES = "/v1/messages"
FIRST_WORDS = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant",'
    b'"model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":7,"output_tokens":1}}}\n\n'
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
    b'"content_block":{"type":"text","text":""}}\n\n'
)
WORD = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":"a"}}\n\n'
)
ANSWER = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"crowd","choices":[{"index":0,"finish_reason":"stop",'
    b'"message":{"role":"assistant","content":"hello"}}]}'
)


def providers(upstream: ScriptedUpstream) -> dict[str, Any]:
    crowd = {"kind": "openai-compatible", "base_url": f"{upstream.url}/v1", "models": ["crowd"]}
    messages = {"kind": "anthropic-compatible", "base_url": upstream.url, "models": ["messages"], "api_key": KEY}
    return {"crowd": crowd, "messages": messages}


@pytest.fixture(scope="module")
async def gateway(
    upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[WatchedGateway]:
    config = {"providers": providers(upstream), "server": {"max_concurrency": CAP, "drain_timeout": 1}}
    folder = tmp_path_factory.mktemp("crowd")
    async with WatchedGateway(upstream, config, folder, at_once=CAP, secrets=(KEY,)) as made:
        await asyncio.to_thread(made.add_account, "crowd", KEY)
        yield made


async def test_c_01_a_client_that_leaves_amid_a_stream_leaves_what_was_counted_in_the_log(
    gateway: WatchedGateway, upstream: ScriptedUpstream
) -> None:
    async def script(wire: Wire) -> None:
        await wire.send(head_of(content_type="text/event-stream", transfer_encoding="chunked"))
        await wire.chunk(FIRST_WORDS + 3 * WORD)
        await stall(wire)

    upstream.play(script)
    body = {"model": "messages", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    async with gateway.client() as client, client.stream("POST", MESSAGES, json=body) as answer:
        heard = ""
        async for text in answer.aiter_text():
            heard += text
            if heard.count("content_block_delta") >= 3:
                break
    await upstream.until(lambda: upstream.busy == 0, within=5)
    (row,) = await gateway.settled()
    assert (row["outcome"], row["status_code"], row["input_tokens"]) == ("client_gone", 200, 7)


async def test_c_05_clients_that_vanish_at_any_moment_leave_nothing_behind(
    gateway: WatchedGateway, upstream: ScriptedUpstream
) -> None:
    chance = random.Random(5)

    async def answer(wire: Wire) -> None:
        # An answer of the kind that was asked for: five of the other kind in a row would be a vendor that is down.
        streams = json.loads(wire.request.body)["stream"]
        fitting = [stall, endless, each_his_own(5, 0.02)] if streams else [stall, whole(ANSWER, delay=0.15)]
        await chance.choice(fitting)(wire)

    async def vanish(number: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(request(gateway, question(f"n{number}", stream=chance.random() < 0.7)))
        await asyncio.sleep(chance.uniform(0, 0.3))
        writer.transport.abort()

    upstream.play(answer)
    upstream.requests.clear()
    await asyncio.gather(*(vanish(number) for number in range(CROWD)))
    rows = await gateway.settled()
    # One that left before its request was read was never taken; a call that has reached the upstream has a row.
    assert len(upstream.requests) <= sum(len(row["attempts"]) for row in rows)
    assert CROWD // 10 < len(rows) <= CROWD
    assert any(row["outcome"] == "client_gone" for row in rows)
    upstream.play(whole(ANSWER))
    async with gateway.client() as client:
        client.headers["content-type"] = "application/json"
        body = question("afterwards", stream=False)
        answers = await asyncio.gather(*(client.post(CHAT, content=body) for _ in range(100)))
    assert [answer.status_code for answer in answers] == [200] * 100
    gateway.asked = len(rows) + len(answers)


async def test_c_06_c_07_of_many_streams_each_hears_every_event_of_its_own(
    gateway: WatchedGateway, upstream: ScriptedUpstream, capsys: pytest.CaptureFixture[str]
) -> None:
    upstream.play(each_his_own(EVENTS, EVERY))
    before, files = memory(gateway.pid), gateway.open_files()
    listeners = await asyncio.gather(*(Listener.ask(gateway, f"nonce-{number}") for number in range(CROWD)))
    streams = [asyncio.create_task(each.whole()) for each in listeners]
    await until(lambda: all(len(each.heard) > EVENTS // 2 for each in listeners))
    grown, opened = memory(gateway.pid) - before, gateway.open_files() - files
    await asyncio.gather(*streams)
    assert all(each.ended_well and each.heard == list(range(EVENTS)) for each in listeners)
    assert opened <= 2 * CROWD + 10
    delays = [delay for each in listeners for delay in each.delays]
    # The listeners, the upstream and the gateway share two cores: a quarter of a second for each of them.
    assert quantile(delays, 0.99) < 0.75
    # A hundred streams do not tell what one takes from what a gateway takes that has something to do.
    assert grown / CROWD < (400 if CROWD < 1000 else 200)
    if CROWD >= 1000:
        with capsys.disabled():
            print(  # noqa: T201 - figures for whoever measures
                f"\n{CROWD} streams: {grown / CROWD:.0f} KiB and {opened / CROWD:.2f} files each; "
                f"delay of an event p50 {quantile(delays, 0.5):.3f} s, p99 {quantile(delays, 0.99):.3f} s"
            )


async def test_c_08_beyond_the_cap_streams_are_refused_at_once_and_the_others_go_on(
    gateway: WatchedGateway, upstream: ScriptedUpstream
) -> None:
    released = asyncio.Event()

    async def end_when_released(wire: Wire) -> None:
        await released.wait()
        await end_well(wire)

    upstream.play(each_his_own(1, 0.0, then=end_when_released))
    admitted = await asyncio.gather(*(Listener.ask(gateway, f"in-{number}") for number in range(CAP)))
    streams = [asyncio.create_task(each.whole()) for each in admitted]
    await until(lambda: all(each.heard for each in admitted))
    began = time.monotonic()
    refused = await asyncio.gather(*(Listener.ask(gateway, f"out-{number}") for number in range(CAP // 4)))
    await asyncio.gather(*(each.whole() for each in refused))
    assert {each.status for each in refused} == {503}
    assert time.monotonic() - began < 10
    released.set()
    gateway.asked -= len(refused)
    await asyncio.gather(*streams)
    assert all(each.ended_well for each in admitted)


async def test_c_09_one_that_does_not_read_holds_up_nobody(gateway: WatchedGateway, upstream: ScriptedUpstream) -> None:
    async def flood(wire: Wire) -> None:
        if b"deaf" not in wire.request.body:
            await each_his_own(3, 0.0)(wire)
            return
        await wire.send(head_of(content_type="text/event-stream", transfer_encoding="chunked"))
        await wire.chunk(b'data: {"choices": [{"index": 0, "delta": {"content": "x"}}]}\n\n')
        for _ in range(100_000):
            await wire.chunk(b": " + b"x" * 4000 + b"\n\n" + b'data: {"choices": []}\n\n')

    upstream.play(flood)
    before = await hundred_streams(gateway, "before")
    deaf = await Listener.ask(gateway, "deaf")
    deaf.writer.transport.pause_reading()
    await until(lambda: upstream.busy == 1)
    await asyncio.sleep(0.5)
    beside = await hundred_streams(gateway, "beside")
    assert upstream.busy == 1
    assert beside < 5 * before + 2
    deaf.writer.transport.abort()


async def hundred_streams(gateway: WatchedGateway, name: str) -> float:
    """Seconds that they take, ten at a time."""
    began, gate = time.monotonic(), asyncio.Semaphore(10)

    async def one(number: int) -> None:
        async with gate:
            assert (await (await Listener.ask(gateway, f"{name}-{number}")).whole()).ended_well

    await asyncio.gather(*(one(number) for number in range(100)))
    return time.monotonic() - began


async def test_c_19_an_account_that_is_deleted_answers_what_it_has_begun_and_nothing_more(
    gateway: WatchedGateway, upstream: ScriptedUpstream
) -> None:
    (account,) = [each for each in gateway.admin("GET", "/accounts")["data"] if each["provider_id"] == "crowd"]
    upstream.play(each_his_own(10, 0.15))
    listeners = [await Listener.ask(gateway, f"used-{number}") for number in range(20)]
    streams = [asyncio.create_task(each.whole()) for each in listeners]
    await until(lambda: all(each.heard for each in listeners))
    await asyncio.to_thread(gateway.admin, "DELETE", f"/accounts/{account['id']}")
    upstream.requests.clear()
    async with gateway.client() as client:
        client.headers["content-type"] = "application/json"
        refused = await client.post(CHAT, content=question("late", stream=False))
        await asyncio.to_thread(gateway.add_account, "crowd", KEY + "-next")
        answered = await client.post(CHAT, content=question("next"))
    assert (refused.status_code, answered.status_code) == (503, 200)
    assert [seen.headers["authorization"] for seen in upstream.requests] == [f"Bearer {KEY}-next"]
    await asyncio.gather(*streams)
    assert all(each.ended_well for each in listeners)
    rows = await gateway.settled()
    assert sum(row["account_id"] == account["id"] and row["outcome"] == "ok" for row in rows) == len(listeners)
