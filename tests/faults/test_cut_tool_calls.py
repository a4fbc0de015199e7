"""Calls of tools that are cut off, and accounts that are not there, against a real gateway over sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from core.gateway_house import ANTHROPIC_WHOLE, WHOLE
from faults.watched_gateway import WatchedGateway
from ports import free_port
from scripted_upstream import ScriptedUpstream, cut, raw, sse, whole

pytestmark = pytest.mark.anyio

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
KEY = "sk-cut-account"
BROKEN = '{"city": "Par'
TOOLS = {
    CHAT: [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}],
    MESSAGES: [{"name": "weather", "input_schema": {"type": "object"}}],
}


def _chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields}, separators=(',', ':'))}\n\n".encode()


CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": BROKEN}}
BEGUN = {**ANTHROPIC_WHOLE, "content": [], "stop_reason": None}
STREAMS = {
    "chat": [_chunk({"role": "assistant", "content": None, "tool_calls": [{"index": 0, **CALL}]})],
    "messages": [
        _event("message_start", message=BEGUN)
        + _event(
            "content_block_start",
            index=0,
            content_block={"type": "tool_use", "id": "t", "name": "weather", "input": {}},
        )
        + _event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": BROKEN}),
    ],
}
LIMIT_REACHED = {
    "chat": [_chunk({}, "length"), b"data: [DONE]\n\n"],
    "messages": [
        _event("content_block_stop", index=0),
        _event("message_delta", delta={"stop_reason": "max_tokens", "stop_sequence": None}, usage={"output_tokens": 2}),
        _event("message_stop"),
    ],
}
WHOLES = {
    "chat": json.dumps(
        {
            **WHOLE,
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "length",
                    "message": {"role": "assistant", "content": None, "tool_calls": [CALL]},
                }
            ],
        }
    ),
    "messages": json.dumps(
        {
            **ANTHROPIC_WHOLE,
            "content": [{"type": "tool_use", "id": "t", "name": "weather", "input": {"city": "Par"}}],
            "stop_reason": "max_tokens",
        }
    ),
}
LAST_WORD = {CHAT: "[DONE]", MESSAGES: "message_stop"}
LIMIT = {CHAT: '"finish_reason":"length"', MESSAGES: '"stop_reason":"max_tokens"'}


@pytest.fixture(scope="module")
async def gateway(
    upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[WatchedGateway]:
    """A gateway with an account at each of two vendors, which are the same server, and at one that is not there."""
    section = {"api_key": KEY, "base_url": f"{upstream.url}/v1", "kind": "openai-compatible"}
    providers = {
        "chat": {**section, "models": ["chat"]},
        "messages": {**section, "kind": "anthropic-compatible", "base_url": upstream.url, "models": ["messages"]},
        "gone": {**section, "base_url": f"http://127.0.0.1:{free_port()}/v1", "models": ["gone"]},
    }
    config = {"providers": providers, "upstream": {"breaker_failures": 0, "patience": 0}}
    async with WatchedGateway(upstream, config, tmp_path_factory.mktemp("cut"), at_once=2, secrets=(KEY,)) as made:
        targets = [{"provider": "gone", "model": "gone"}, {"provider": "chat", "model": "chat"}]
        await asyncio.to_thread(made.admin, "POST", "/model-mappings", {"alias": "either", "targets": targets})
        yield made


async def ask(gateway: WatchedGateway, path: str, model: str, *, stream: bool) -> httpx.Response:
    body = {"model": model, "max_tokens": 9, "stream": stream, "messages": [{"role": "user", "content": "hi"}]}
    async with gateway.client() as client:
        return await client.post(path, json={**body, "tools": TOOLS[path]})


in_every_pair = pytest.mark.parametrize(
    ("path", "vendor"), [(path, vendor) for path in (CHAT, MESSAGES) for vendor in STREAMS]
)


@in_every_pair
async def test_u_19_a_stream_that_is_cut_within_a_call_tells_what_came_and_an_error(
    path: str, vendor: str, gateway: WatchedGateway, upstream: ScriptedUpstream
) -> None:
    upstream.play(sse(*STREAMS[vendor], then=cut))
    answer = await ask(gateway, path, vendor, stream=True)
    assert json.dumps(BROKEN) in answer.text
    assert '"error"' in answer.text.split(json.dumps(BROKEN))[1]
    assert LAST_WORD[path] not in answer.text


@in_every_pair
async def test_u_19_a_call_that_the_limit_of_tokens_cut_is_told_as_far_as_it_came_and_why(
    path: str, vendor: str, gateway: WatchedGateway, upstream: ScriptedUpstream
) -> None:
    upstream.play(sse(*STREAMS[vendor], *LIMIT_REACHED[vendor]))
    answer = await ask(gateway, path, vendor, stream=True)
    assert json.dumps(BROKEN) in answer.text
    assert LIMIT[path] in answer.text.replace(": ", ":")
    assert LAST_WORD[path] in answer.text


@in_every_pair
async def test_u_19_a_whole_answer_that_ends_within_a_call_is_none(
    path: str, vendor: str, gateway: WatchedGateway, upstream: ScriptedUpstream
) -> None:
    body, _, _ = WHOLES[vendor].partition("Par")
    upstream.play(raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + body.encode(), then=cut))
    answer = await ask(gateway, path, vendor, stream=False)
    assert answer.status_code == 502
    assert "Par" not in answer.text


async def test_u_19_a_whole_answer_whose_call_the_limit_cut_never_tells_it_as_whole(
    gateway: WatchedGateway, upstream: ScriptedUpstream
) -> None:
    upstream.play(whole(WHOLES["chat"].encode()))
    relayed = (await ask(gateway, CHAT, "chat", stream=False)).json()["choices"][0]
    (call,) = relayed["message"]["tool_calls"]
    assert (call["function"]["arguments"], relayed["finish_reason"]) == (BROKEN, "length")
    # What wants an object cannot hold half of one: the call is left out, and the reason says why.
    translated = (await ask(gateway, MESSAGES, "chat", stream=False)).json()
    assert (translated["content"], translated["stop_reason"]) == ([], "max_tokens")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_u_01_where_nobody_listens_the_next_account_answers(
    path: str, stream: bool, gateway: WatchedGateway, upstream: ScriptedUpstream
) -> None:
    upstream.play(whole(json.dumps(WHOLE).encode()))
    took = []
    for model in ("either", "chat"):
        answer = await ask(gateway, path, model, stream=stream)
        assert answer.status_code == 200
        assert "hello" in answer.text
        took.append(answer.elapsed.total_seconds())
    rows = await gateway.settled()
    first, second = rows[0]["attempts"]
    assert (first["provider_id"], first["dispatched"], second["provider_id"]) == ("gone", False, "chat")
    assert [len(row["attempts"]) for row in rows] == [2, 1]
    # 50 ms are what it may cost; the rest is for a machine that has other things to do.
    assert took[0] < took[1] + 0.05 + 0.5


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_u_30_a_key_of_idempotency_keeps_no_answer_and_refuses_no_request(
    path: str, gateway: WatchedGateway, upstream: ScriptedUpstream
) -> None:
    vendor, told = ("chat", WHOLE) if path == CHAT else ("messages", ANTHROPIC_WHOLE)
    upstream.requests.clear()
    upstream.play(whole(json.dumps(told).encode(), delay=0.1))
    async with gateway.client() as client:
        client.headers["idempotency-key"] = "the-same"

        async def say(word: str) -> httpx.Response:
            body = {"model": vendor, "max_tokens": 9, "messages": [{"role": "user", "content": word}]}
            return await client.post(path, json=body)

        answers = [*await asyncio.gather(say("one"), say("one")), await say("one"), await say("another")]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert len(upstream.requests) == 4
