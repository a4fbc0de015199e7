"""Gemini's clients before a vendor that speaks their API: nothing is translated, in either form of a stream."""

from __future__ import annotations

import json
from typing import Any

import pytest
from core.gateway_house import House, Script, house, reply, streamed

from aigateway_core.dialects.dialect import Dialect
from aigateway_core.dialects.gemini import Gemini, GeminiArray
from aigateway_core.dialects.sse import SseParser
from aigateway_core.errors import ErrorKind, UpstreamError
from aigateway_core.plugin import GeminiCompatibleConfig, GeminiCompatibleProvider
from aigateway_core.testing import gemini_vendor

pytestmark = pytest.mark.anyio

SSE, ARRAY = Gemini(), GeminiArray()
ASKED = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "model": "m", "x_new": {"kept": True}}
VENDOR = gemini_vendor()
ERROR = {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}


def gemini(*answers: Any) -> House:
    config = GeminiCompatibleConfig(base_url="http://vendor.test", models=("m",))
    return house("a", GeminiCompatibleProvider(config), a=answers)


def elements(dialect: Dialect, stream: bytes) -> list[Any]:
    if dialect is ARRAY:
        parsed: list[Any] = json.loads(stream)
        return parsed
    return [json.loads(event.data) for event in SseParser().feed(stream)]


def text_of(chunks: list[Any]) -> str:
    parts = [part for each in chunks for part in each["candidates"][0]["content"]["parts"]]
    return "".join(part["text"] for part in parts)


async def test_a_whole_answer_is_relayed_from_the_models_own_url() -> None:
    asked = gemini(reply({**json.loads(VENDOR.text), "x_vendor": 1}))
    answer = await asked.whole({**ASKED, "stream": False}, SSE)
    assert answer["x_vendor"] == 1
    assert answer["modelVersion"] == "m"
    assert asked.script.urls == ["http://vendor.test/v1beta/models/m:generateContent"]
    assert asked.script.seen == [("a", {"contents": ASKED["contents"], "x_new": {"kept": True}})]
    record = await asked.record()
    assert (record.native, record.input_tokens, record.output_tokens) == (True, 9, 4)


@pytest.mark.parametrize("dialect", [SSE, ARRAY], ids=["sse", "array"])
@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_a_stream_is_asked_for_as_events_and_relayed_in_the_form_that_the_client_reads(
    dialect: Dialect, size: int
) -> None:
    sent = b"".join(VENDOR.text_stream)
    asked = gemini(streamed(*(sent[at : at + size] for at in range(0, len(sent), size))))
    chunks = elements(dialect, await asked.stream(ASKED, dialect))
    assert text_of(chunks) == "Hello there"
    assert {chunk["modelVersion"] for chunk in chunks} == {"m"}
    assert asked.script.urls == ["http://vendor.test/v1beta/models/m:streamGenerateContent?alt=sse"]
    record = await asked.record()
    assert (record.native, record.outcome, record.finish_reason, record.output_tokens) == (True, "ok", "stop", 4)


async def test_a_stream_that_breaks_off_is_still_a_readable_array_with_the_error_as_its_last_element() -> None:
    bare = json.dumps(ERROR, indent=2).encode()
    *chunks, last = elements(ARRAY, await gemini(streamed(VENDOR.text_stream[0], bare)).stream(ASKED, ARRAY))
    assert text_of(chunks) == "Hello "
    assert (last["error"]["status"], last["error"]["message"]) == ("UNAVAILABLE", "busy")


@pytest.mark.parametrize("dialect", [SSE, ARRAY], ids=["sse", "array"])
async def test_a_vendor_that_does_not_stream_is_made_to(dialect: Dialect) -> None:
    chunks = elements(dialect, await gemini(reply(json.loads(VENDOR.text))).stream(ASKED, dialect))
    assert "Hello there" in json.dumps(chunks)


async def test_an_error_before_any_content_moves_on_to_another_account() -> None:
    config = GeminiCompatibleConfig(base_url="http://vendor.test", models=("m",))
    broken = streamed(json.dumps(ERROR).encode())
    asked = House(Script(a=[broken], b=[streamed(*VENDOR.text_stream)]), GeminiCompatibleProvider(config), "ab")
    assert text_of(elements(SSE, await asked.stream(ASKED, SSE))) == "Hello there"


async def test_one_account_with_a_bare_error_is_an_error() -> None:
    with pytest.raises(UpstreamError) as caught:
        await gemini(streamed(json.dumps(ERROR).encode())).stream(ASKED, ARRAY)
    assert caught.value.kind is ErrorKind.OVERLOADED
