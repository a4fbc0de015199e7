"""The native exchange: what of a client's body goes out as it came."""

from __future__ import annotations

import json

import httpx
import pytest

from aigateway_core.dialects.openai_chat import OpenAIChat
from aigateway_core.exchange import NativeExchange
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
