"""A real gateway before an upstream that misbehaves once its answer is complete, over sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from faults.watched_gateway import WatchedGateway
from scripted_upstream import Script, ScriptedUpstream, cut, reset, sse, stall

pytestmark = pytest.mark.anyio


def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def event(kind: str, **fields: Any) -> bytes:
    data = json.dumps({"type": kind, **fields}, separators=(",", ":"))
    return f"event: {kind}\ndata: {data}\n\n".encode()


DONE = b"data: [DONE]\n\n"
CHAT = [chunk({"role": "assistant", "content": "hel"}), chunk({"content": "lo"}), chunk({}, "stop"), DONE]
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None}
MESSAGES = [
    event("message_start", message={**MESSAGE, "usage": {"input_tokens": 3, "output_tokens": 1}}),
    event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    event("content_block_delta", index=0, delta={"type": "text_delta", "text": "hello"}),
    event("content_block_stop", index=0),
    event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 2}),
    event("message_stop"),
]
VENDORS = {"chat": ("m-chat", CHAT), "messages": ("m-messages", MESSAGES)}
CLIENTS = {
    "/v1/chat/completions": (DONE, b'"error"'),
    "/v1/messages": (b'data: {"type":"message_stop"}\n\n', b"event: error"),
}


def in_every_pair(test: Any) -> Any:
    return pytest.mark.parametrize("path", CLIENTS)(pytest.mark.parametrize("vendor", VENDORS)(test))


@pytest.fixture(scope="module")
async def gateway(
    upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[WatchedGateway]:
    """A gateway before two vendors that are the same server."""
    key = {"api_key": "sk-faults-key-1"}
    chat = {**key, "kind": "openai-compatible", "base_url": f"{upstream.url}/v1", "models": ["m-chat"]}
    messages = {**key, "kind": "anthropic-compatible", "base_url": upstream.url, "models": ["m-messages"]}
    config = {"providers": {"a": chat, "b": messages}}
    folder = tmp_path_factory.mktemp("last-word")
    async with WatchedGateway(upstream, config, folder, secrets=("sk-faults-key-1",)) as made:
        yield made


async def ask(gateway: WatchedGateway, path: str, model: str) -> bytes:
    body = {"model": model, "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    async with gateway.client() as client:
        return (await client.post(path, json=body)).content


@in_every_pair
async def test_a_connection_that_breaks_or_lingers_after_the_last_word_takes_nothing_from_the_answer(
    vendor: str, path: str, gateway: WatchedGateway, upstream: ScriptedUpstream
) -> None:
    model, events = VENDORS[vendor]
    endings: list[Script] = [reset, cut, stall]
    for ending in endings:
        upstream.play(sse(*events, then=ending))
        answer = await ask(gateway, path, model)
        last_word, error = CLIENTS[path]
        assert answer.endswith(last_word)
        assert error not in answer
    rows = await gateway.settled()
    assert len(rows) == len(endings)
    assert {(row["outcome"], row["finish_reason"], len(row["attempts"])) for row in rows} == {("ok", "stop", 1)}
    await upstream.quiet(within=10)


@in_every_pair
async def test_a_connection_that_ends_well_is_used_again(
    vendor: str, path: str, gateway: WatchedGateway, upstream: ScriptedUpstream
) -> None:
    model, events = VENDORS[vendor]
    opened = upstream.opened
    upstream.play(sse(*events, every=0.002))
    for _ in range(5):
        assert (await ask(gateway, path, model)).endswith(CLIENTS[path][0])
    assert upstream.opened == opened + 1
