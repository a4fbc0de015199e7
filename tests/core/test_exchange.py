"""The native exchange: what of a client's body goes out as it came, and that no stream keeps its connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine

import httpx
import pytest
from typing_extensions import override

from aigateway_core.dialects.openai_chat import OpenAIChat
from aigateway_core.errors import UpstreamError
from aigateway_core.exchange import NativeExchange, Stream
from aigateway_core.jsontext import loads_object
from aigateway_core.model import JsonObject
from aigateway_core.plugin import Endpoint, OpenAICompatibleConfig, OpenAICompatibleProvider, Upstream

pytestmark = pytest.mark.anyio

DIALECT = OpenAIChat()
ANSWER = {"model": "m-1", "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "hi"}}]}
# Spaces, an escape, and numbers that we would write otherwise.
CONTENT = b'{ "messages": [{"role":"user","content":"\\u00e9"}],\n "n": 1.50, "seed": 1e99, "model": "m"} '


async def sent(content: bytes, model: str, endpoint: Endpoint | None = None) -> bytes:
    seen: list[bytes] = []

    def vendor(request: httpx.Request) -> httpx.Response:
        seen.append(request.content)
        return httpx.Response(200, json=ANSWER)

    exchange = NativeExchange(
        endpoint or Endpoint("http://vendor.test/", DIALECT),
        DIALECT,
        loads_object(content),
        model,
        client_model="m",
        classify=None,
        content=content,
    )
    await exchange.complete(Upstream(httpx.MockTransport(vendor)))
    return seen[0]


async def test_a_body_in_which_nothing_changes_goes_out_to_the_byte() -> None:
    assert await sent(CONTENT, "m") == CONTENT


async def test_a_compatible_provider_without_a_touch_of_its_own_leaves_the_body_as_it_came() -> None:
    provider = OpenAICompatibleProvider(OpenAICompatibleConfig(base_url="http://vendor.test/v1"))
    assert await sent(CONTENT, "m", provider.endpoint("openai-chat", "chat", "m")) == CONTENT


async def test_another_name_for_the_model_is_all_that_differs() -> None:
    before, after = loads_object(CONTENT), json.loads(await sent(CONTENT, "other"))
    assert after == {**before, "model": "other"}


async def test_a_stream_is_asked_to_count_unless_it_is_already() -> None:
    body = {"model": "m", "messages": [], "stream": True}
    plain, counted = (
        json.dumps({**body, **more}).encode() for more in ({}, {"stream_options": {"include_usage": True, "x": 1}})
    )
    assert json.loads(await sent(plain, "m")) == {**body, "stream_options": {"include_usage": True}}
    assert await sent(counted, "m") == counted


async def test_what_a_vendors_last_touch_changes_deep_inside_is_sent() -> None:
    def touch(body: JsonObject) -> JsonObject:
        body["messages"][0]["content"] = "changed"
        return body

    after = json.loads(await sent(CONTENT, "m", Endpoint("http://vendor.test/", DIALECT, prepare=touch)))
    assert after["messages"] == [{"role": "user", "content": "changed"}]


class Body(httpx.AsyncByteStream):
    """A body that tells whether it was closed; ``lasts`` is for one whose end never comes."""

    def __init__(self, *chunks: bytes, lasts: bool = False) -> None:
        self._chunks = chunks
        self._lasts = lasts
        self.closed = False

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk
        if self._lasts:
            await asyncio.Event().wait()

    @override
    async def aclose(self) -> None:
        self.closed = True


def opening(body: Body, kind: str = "text/event-stream") -> Coroutine[None, None, Stream]:
    vendor = httpx.MockTransport(lambda _: httpx.Response(200, headers={"content-type": kind}, stream=body))
    asked: JsonObject = {"model": "m", "messages": [], "stream": True}
    exchange = NativeExchange(Endpoint("http://vendor.test/", DIALECT), DIALECT, asked, "m", "m", None)
    return exchange.open(Upstream(vendor))


SAID = b'data: {"model":"m","choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (Body(b'data: {"error":{"message":"no"}}\n\n'), "text/event-stream"),
        (Body(b": nothing\n\n"), "text/event-stream"),
        (Body(b"data: {\n\n"), "text/event-stream"),
        (Body(b"{}"), "application/json"),
        (Body(*[b": nothing" * 100_000 + b"\n\n"] * 20, lasts=True), "text/event-stream"),
    ],
    ids=["an error", "cut", "no JSON", "no answer", "much, but nothing"],
)
async def test_a_stream_that_fails_before_its_first_content_lets_go_of_its_connection(body: Body, kind: str) -> None:
    with pytest.raises(UpstreamError):
        await opening(body, kind)
    assert body.closed


async def test_a_stream_that_is_given_up_before_its_first_content_lets_go_of_its_connection() -> None:
    body = Body(lasts=True)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await opening(body)
    assert body.closed


async def test_a_stream_holds_its_connection_until_it_is_closed_taken_or_not() -> None:
    body = Body(SAID, lasts=True)
    stream = await opening(body)
    assert not body.closed
    await stream.close()
    assert body.closed
    ends = Body(SAID, b"data: [DONE]\n\n")
    stream = await opening(ends)
    assert b"".join([chunk async for chunk in stream.chunks]) == SAID + b"data: [DONE]\n\n"
    await stream.close()
    assert ends.closed
