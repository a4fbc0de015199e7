"""Embeddings on the request path: relayed to who offers them, refused in the name of who does not."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from typing import Any

import pytest
from core.gateway_house import ANY, Events, House, Script, anthropic_like, openai_like, refused, reply

from aigateway_core.dialects.openai_chat import OpenAIEmbeddings
from aigateway_core.errors import ErrorKind, UnsupportedFeatureError, UpstreamError
from aigateway_core.exchange import Whole
from aigateway_core.gateway import Incoming
from aigateway_core.model import JsonObject
from aigateway_core.plugin import Provider
from aigateway_core.records import Caller
from aigateway_core.state import one_model

pytestmark = pytest.mark.anyio

DIALECT = OpenAIEmbeddings()
ASKED: JsonObject = {"model": "acme/m", "input": ["a", "b"], "encoding_format": "base64", "x_new": {"kept": 1}}
ANSWER: JsonObject = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": "AACAPw=="}],
    "model": "m-2026",
    "usage": {"prompt_tokens": 8, "total_tokens": 8},
}


async def embed(house: House, body: JsonObject = ASKED) -> Any:
    async def read() -> bytes:
        return json.dumps(body).encode()

    incoming = Incoming(DIALECT, Caller(id="-", role="client"), "req-1", read(), AsyncExitStack, operation="embeddings")
    answer = await house.gateway.answer(incoming)
    assert isinstance(answer, Whole)
    return json.loads(answer.body)


async def test_a_request_is_relayed_and_the_model_renamed_both_ways() -> None:
    house = House(Script(a=[reply(ANSWER)]), openai_like(), "a")
    assert await embed(house) == {**ANSWER, "model": "acme/m"}
    assert house.script.urls == ["http://vendor.test/v1/embeddings"]
    assert house.script.seen == [("a", {**ASKED, "model": "m"})]
    record = await house.record()
    assert (record.operation, record.outcome, record.native, record.streamed) == ("embeddings", "ok", True, False)
    assert (record.input_tokens, record.output_tokens, record.usage_source) == (8, 0, "upstream")
    assert (record.model, record.upstream_model) == ("acme/m", "m")


async def test_stream_in_the_body_streams_nothing() -> None:
    assert await embed(House(Script(a=[reply(ANSWER)]), openai_like(), "a"), {**ASKED, "stream": True})


async def test_another_account_is_tried_and_the_failed_one_rests() -> None:
    house = House(Script(a=[refused(429)], b=[reply(ANSWER)]), openai_like(), "ab")
    for _ in range(3):
        assert (await embed(house))["data"]
    assert [name for name, _ in house.script.seen].count("a") == 1
    assert house.state.cooldown("a", one_model("m")) is not None


async def test_the_vendors_refusal_is_told() -> None:
    with pytest.raises(UpstreamError) as caught:
        await embed(House(Script(a=[refused(404)]), openai_like(), "a"))
    assert caught.value.kind is ErrorKind.MODEL_NOT_FOUND


@pytest.mark.parametrize("provider", [anthropic_like(), Events()], ids=["anthropic", "of its own"])
async def test_a_provider_without_embeddings_is_named_before_anybody_is_asked(provider: Provider) -> None:
    house = House(Script(**ANY), provider, "a")
    with pytest.raises(UnsupportedFeatureError, match="provider 'acme' offers no embeddings"):
        await embed(house)
    assert house.script.seen == []
    assert (await house.record()).outcome == "invalid_request"
