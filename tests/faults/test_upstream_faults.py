"""What upstreams do wrong, against a real gateway over sockets; ids are those of the catalogue of faults."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from core.gateway_house import ANTHROPIC_WHOLE, WHOLE
from faults.watched_gateway import WatchedGateway
from scripted_upstream import Script, ScriptedUpstream, cut, raw, reset, sse, stall, whole

pytestmark = pytest.mark.anyio

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"


def _chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields}, separators=(',', ':'))}\n\n".encode()


_BEGUN = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None}
STREAM = {
    CHAT: [
        _chunk({"role": "assistant", "content": "hel"}),
        _chunk({"content": "lo"}),
        _chunk({}, "stop"),
        b"data: [DONE]\n\n",
    ],
    MESSAGES: [
        _event("message_start", message={**_BEGUN, "usage": {"input_tokens": 3, "output_tokens": 1}})
        + _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        + _event("content_block_delta", index=0, delta={"type": "text_delta", "text": "hel"}),
        _event("content_block_delta", index=0, delta={"type": "text_delta", "text": "lo"}),
        _event("content_block_stop", index=0)
        + _event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 2}),
        _event("message_stop"),
    ],
}
WHOLES: dict[str, dict[str, Any]] = {CHAT: WHOLE, MESSAGES: ANTHROPIC_WHOLE}
FAILED = {
    CHAT: b'data: {"error":{"message":"overloaded","type":"server_error","code":"overloaded"}}\n\n',
    MESSAGES: _event("error", error={"type": "overloaded_error", "message": "overloaded"}),
}
LIMITED = b'{"type":"error","error":{"message":"slow down, please","type":"rate_limit_error","code":429}}'
LAST_WORD = {CHAT: b"[DONE]", MESSAGES: b"message_stop"}
ERROR = {CHAT: b'"error"', MESSAGES: b"event: error"}

in_each_dialect = pytest.mark.parametrize("path", [CHAT, MESSAGES], ids=["chat", "messages"])
whole_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.fixture(scope="module")
async def gateway(
    upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[WatchedGateway]:
    """A gateway with four accounts at each of two vendors, which are the same server."""
    providers = {
        "chat": {"kind": "openai-compatible", "base_url": f"{upstream.url}/v1", "models": ["chat-*"]},
        "messages": {"kind": "anthropic-compatible", "base_url": upstream.url, "models": ["messages-*"]},
    }
    limits = {"first_byte_timeout": 0.6, "idle_timeout": 0.6, "total_timeout": 2.0, "max_response_bytes": 1 << 20}
    # Each case by itself: what many failures in a row come to is tried in test_outages_of_vendors.py.
    limits |= {"retry_budget": 3, "breaker_failures": 0}
    config = {"providers": providers, "upstream": {**limits, "patience": 0}}
    async with WatchedGateway(upstream, config, tmp_path_factory.mktemp("faults"), secrets=("sk-fault-",)) as made:
        for provider in providers:
            for number in range(4):
                await asyncio.to_thread(made.add_account, provider, f"sk-fault-{provider}-{number}")
        yield made


@pytest.fixture(autouse=True)
def forgotten(upstream: ScriptedUpstream) -> None:
    upstream.requests.clear()


async def ask(gateway: WatchedGateway, path: str, name: str, *, stream: bool) -> httpx.Response:
    body = {
        "model": f"{path.rpartition('/')[2] if path == MESSAGES else 'chat'}-{name}",
        "max_tokens": 9,
        "stream": stream,
        "messages": [{"role": "user", "content": "hi"}],
    }
    async with gateway.client() as client:
        return await client.post(path, json=body)


async def row_of(gateway: WatchedGateway, answer: httpx.Response) -> dict[str, Any]:
    return await asyncio.to_thread(gateway.row, answer.headers["x-request-id"])


def assert_refused(path: str, answer: httpx.Response) -> None:
    """A 5xx in the client's own shape."""
    assert answer.status_code >= 500
    told = answer.json()
    assert ("type" in told) == (path == MESSAGES)
    assert len(told["error"]["message"]) > 10


def healthy(path: str, *, stream: bool) -> Script:
    return sse(*STREAM[path]) if stream else whole(json.dumps(WHOLES[path]).encode())


BROKEN: dict[str, Script] = {
    "U_03 silence": stall,
    "U_03 a cut at once": cut,
    "U_07 one gzip in another": whole(b"\x1f\x8b" * 500, content_encoding="gzip, gzip"),
    "U_07 junk": whole(b"x", content_encoding="junk"),
    "U_08 a head without end": raw(b"HTTP/1.1 200 OK\r\n", *[b"X: " + b"y" * 15_000 + b"\r\n"] * 40, then=stall),
    "U_08 a large answer": whole(b'{"x": "' + b"y" * (2 << 20) + b'"}'),
    "U_11 nothing": whole(b""),
    "U_11 null": whole(b"null"),
    "U_11 a page": whole(b"<html>4711</html>", content_type="text/html"),
    "U_11 half of it": raw(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"choices": [', then=cut),
    "U_13 wrong types": whole(b'{"choices": 5, "content": 5, "usage": "x"}'),
    "U_24 an error": whole(b'{"error": {"message": "number 4711 failed", "type": "server_error"}}', 500),
    "U_38 a redirect": whole(status=302, location="http://127.0.0.1:1/"),
}


@in_each_dialect
@whole_and_streamed
@pytest.mark.parametrize("name", BROKEN)
async def test_u_24_what_is_no_answer_is_tried_three_times_and_told_as_such(
    path: str, stream: bool, name: str, gateway: WatchedGateway, upstream: ScriptedUpstream
) -> None:
    upstream.play(BROKEN[name])
    began = time.monotonic()
    answer = await ask(gateway, path, "broken", stream=stream)
    assert_refused(path, answer)
    row = await row_of(gateway, answer)
    assert (row["outcome"], row["status_code"]) == ("upstream_error", answer.status_code)
    assert 1 <= len(row["attempts"]) == len(upstream.requests) <= 3
    assert time.monotonic() - began < 8
    if "silence" in name:
        await upstream.quiet()


@in_each_dialect
@whole_and_streamed
async def test_u_03_u_10_u_18_the_next_account_answers_and_the_client_sees_nothing_else(
    path: str, stream: bool, gateway: WatchedGateway, upstream: ScriptedUpstream
) -> None:
    failing: list[Script] = [stall, raw(b"HTTP/1.1 2", then=cut), whole(status=503), whole(status=429, retry_after="1")]
    failing.append(whole(LIMITED))
    if stream:
        failing += [sse(FAILED[path]), sse(then=cut)]
    for number, failure in enumerate(failing):
        upstream.play(failure, healthy(path, stream=stream))
        answer = await ask(gateway, path, f"next-{number}", stream=stream)
        assert answer.status_code == 200, number
        assert ERROR[path] not in answer.content
        assert b"lo" in answer.content
        row = await row_of(gateway, answer)
        assert (row["outcome"], len(row["attempts"])) == ("ok", 2)


AMID: dict[str, Script] = {"U_17 reset": reset, "U_16 a cut": cut, "U_04 silence": stall}


@in_each_dialect
@pytest.mark.parametrize("name", [*AMID, "U_16 an end without the last word", "U_15 an error"])
async def test_u_28_what_breaks_amid_a_stream_is_told_in_band_and_never_tried_again(
    path: str, name: str, gateway: WatchedGateway, upstream: ScriptedUpstream
) -> None:
    begun = STREAM[path][:2]
    if name.startswith("U_15"):
        upstream.play(sse(*begun, FAILED[path], every=0.1, then=cut))
    else:
        upstream.play(sse(*begun, then=AMID.get(name)))
    answer = await ask(gateway, path, "amid", stream=True)
    assert (answer.status_code, len(upstream.requests)) == (200, 1)
    assert ERROR[path] in answer.content
    assert LAST_WORD[path] not in answer.content
    row = await row_of(gateway, answer)
    assert row["outcome"] in {"truncated", "upstream_error"}


@in_each_dialect
async def test_u_05_a_stream_that_trickles_for_ever_ends_with_the_total(
    path: str, gateway: WatchedGateway, upstream: ScriptedUpstream
) -> None:
    upstream.play(sse(*STREAM[path][:2], *[b": \n\n"] * 40, every=0.2))
    began = time.monotonic()
    answer = await ask(gateway, path, "trickles", stream=True)
    assert 1.5 < time.monotonic() - began < 5
    assert ERROR[path] in answer.content
    assert LAST_WORD[path] not in answer.content


@in_each_dialect
async def test_u_08_a_line_without_end_is_given_up(
    path: str, gateway: WatchedGateway, upstream: ScriptedUpstream
) -> None:
    upstream.play(sse(STREAM[path][0], b"data: ", *[b"x" * 65_536] * 288))
    answer = await ask(gateway, path, "long-line", stream=True)
    assert ERROR[path] in answer.content
    assert len(answer.content) < 1 << 20


@in_each_dialect
@whole_and_streamed
async def test_u_14_a_mistake_of_the_client_keeps_its_status_and_words_and_is_not_tried_again(
    path: str, stream: bool, gateway: WatchedGateway, upstream: ScriptedUpstream
) -> None:
    told = {"type": "error", "error": {"type": "invalid_request_error", "message": "temperature is too high"}}
    upstream.play(whole(json.dumps(told).encode(), 400))
    answer = await ask(gateway, path, "mistake", stream=stream)
    assert (answer.status_code, len(upstream.requests)) == (400, 1)
    assert "temperature is too high" in answer.text


@in_each_dialect
@whole_and_streamed
async def test_u_09_u_37_nothing_compressed_is_asked_for_and_no_header_of_the_upstream_passes(
    path: str, stream: bool, gateway: WatchedGateway, upstream: ScriptedUpstream
) -> None:
    foreign = {
        "set_cookie": "a=4711",
        "location": "http://x/4711",
        "server": "s4711",
        "x_ratelimit_remaining": "4711",
        "x_foreign": "4711",
    }
    upstream.play(whole(json.dumps(WHOLES[path]).encode(), **foreign))
    for _ in range(2):
        answer = await ask(gateway, path, "headers", stream=stream)
        assert answer.status_code == 200
        assert "4711" not in str(answer.headers.multi_items())
    assert all(seen.headers["accept-encoding"] == "identity" for seen in upstream.requests)
    assert not any("cookie" in seen.headers for seen in upstream.requests)


@in_each_dialect
async def test_u_20_u_21_each_event_is_passed_on_as_it_comes(
    path: str, gateway: WatchedGateway, upstream: ScriptedUpstream
) -> None:
    upstream.play(sse(*STREAM[path], every=0.25))
    body = {
        "model": "messages-slow" if path == MESSAGES else "chat-slow",
        "max_tokens": 9,
        "stream": True,
        "messages": [{"role": "user", "content": "hi"}],
    }
    async with (
        gateway.client() as client,
        client.stream("POST", path, json=body) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["x-accel-buffering"] == "no"
        assert "content-length" not in answer.headers
        came = [time.monotonic() async for _ in answer.aiter_raw()]
    assert len(came) >= 3
    assert came[-1] - came[0] > 0.4


@in_each_dialect
@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_u_12_an_answer_without_text_that_says_why_is_an_answer(
    path: str, reason: str, gateway: WatchedGateway, upstream: ScriptedUpstream
) -> None:
    said: dict[str, Any] = json.loads(json.dumps(WHOLES[path]))
    if path == CHAT:
        said["choices"][0] |= {"finish_reason": reason, "message": {"role": "assistant", "content": ""}}
    else:
        said |= {"content": [], "stop_reason": "max_tokens" if reason == "length" else "refusal"}
    upstream.play(whole(json.dumps(said).encode()))
    answer = await ask(gateway, path, "empty", stream=False)
    assert (answer.status_code, len(upstream.requests)) == (200, 1)
    assert answer.json() == said | {"model": answer.json()["model"]}
