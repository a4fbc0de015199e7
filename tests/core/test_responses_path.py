"""The request path for clients of Responses: passed on where the provider has that API, translated where it has not."""

from __future__ import annotations

import json

import pytest
from core.gateway_house import CHAT, WHOLE, House, Script, house, openai_like, reply, streamed

from aigateway_core.dialects.openai_chat import OpenAIChat
from aigateway_core.dialects.openai_responses import OpenAIResponses
from aigateway_core.dialects.openai_responses.errors import PreviousResponseError
from aigateway_core.plugin import OpenAICompatibleConfig, OpenAICompatibleProvider, Provider, UpstreamError
from aigateway_core.testing import openai_responses_vendor

pytestmark = pytest.mark.anyio

RESPONSES = OpenAIResponses()
VENDOR = openai_responses_vendor()
STATEFUL = {
    "model": "m",
    "input": [{"role": "user", "content": "and then?"}, {"type": "item_of_tomorrow", "x": [1]}],
    "previous_response_id": "resp_0",
    "store": True,
    "include": ["reasoning.encrypted_content", "web_search_call.results"],
    "tools": [{"type": "web_search", "search_context_size": "low"}, {"type": "tool_of_tomorrow"}],
    "x_tomorrow": {"kept": True},
}


def provider(**models: str) -> Provider:
    """A provider with both APIs, whose own name for the client's ``m`` is ``m``."""
    config = OpenAICompatibleConfig(base_url="http://vendor.test/v1", models=("m",), wires=("chat", "responses"))
    return OpenAICompatibleProvider(config)


def answer(**fields: object) -> dict[str, object]:
    return {**json.loads(VENDOR.text), **fields}


async def test_a_whole_request_passes_with_all_that_it_holds() -> None:
    home = house("a", provider(), a=[reply(answer(x_vendor={"kept": True}, output=[{"type": "web_search_call"}]))])
    told = await home.whole({**STATEFUL, "model": "acme/m"}, RESPONSES)
    assert home.script.seen == [("a", STATEFUL)]
    assert (told["model"], told["x_vendor"], told["output"]) == (
        "acme/m",
        {"kept": True},
        [{"type": "web_search_call"}],
    )
    record = await home.record()
    assert (record.native, record.input_tokens, record.output_tokens) == (True, 9, 4)


async def test_a_stream_passes_under_the_clients_name_for_the_model() -> None:
    own = b'event: response.web_search_call.searching\ndata: {"type":"response.web_search_call.searching"}\n\n'
    home = house("a", provider(), a=[streamed(*VENDOR.text_stream[:2], own, *VENDOR.text_stream[2:])])
    told = await home.stream({**STATEFUL, "model": "acme/m"}, RESPONSES)
    assert home.script.seen == [("a", {**STATEFUL, "stream": True})]
    assert own in told
    payloads = [json.loads(line[6:]) for line in told.splitlines() if line.startswith(b"data: ")]
    assert {payload["response"]["model"] for payload in payloads if "response" in payload} == {"acme/m"}
    assert (await home.record()).finish_reason == "stop"


async def test_a_vendor_that_does_not_know_the_stored_response_says_so_itself() -> None:
    """Case 123, natively: the vendor's own words, and nobody else is asked."""
    error = {"message": "Previous response with id 'resp_0' not found.", "code": "previous_response_not_found"}
    refusal = reply({"error": {**error, "type": "invalid_request_error", "param": "previous_response_id"}})
    refusal.status_code = 400
    home = house("ab", provider(), a=[refusal], b=[refusal])
    with pytest.raises(UpstreamError) as caught:
        await home.ask(STATEFUL, RESPONSES)
    told = RESPONSES.encode_error(caught.value, "req-1")
    assert (told.status, told.body["error"]["code"]) == (400, "previous_response_not_found")
    assert len(home.script.seen) == 1


async def test_a_stored_response_is_unknown_where_the_request_has_to_be_translated() -> None:
    """Case 123, translated."""
    home = house("a", openai_like(), a=[reply(WHOLE)])
    with pytest.raises(PreviousResponseError):
        await home.ask(STATEFUL, RESPONSES)
    assert home.script.seen == []


async def test_one_provider_serves_both_kinds_of_clients_natively() -> None:
    home = House(Script(a=[reply(WHOLE), reply(answer())]), provider(), "a")
    assert "choices" in await home.whole(CHAT, OpenAIChat())
    assert "output" in await home.whole({"model": "m", "input": "hi"}, RESPONSES)
    assert [list(body) for _, body in home.script.seen] == [["model", "messages"], ["model", "input"]]
    await home.recorder.aclose()
    assert [record.native for record in home.sink.records] == [True, True]


@pytest.mark.parametrize("name", [{"prompt_cache_key": "k"}, {"conversation": {"id": "conv_1"}}, {"conversation": "c"}])
async def test_a_conversation_that_has_a_name_stays_with_the_account_that_knows_it(name: dict[str, object]) -> None:
    home = house("abc", provider(), **{each: [reply(answer())] for each in "abc"})
    for _ in range(4):
        await home.whole({"model": "m", "input": "hi", "previous_response_id": "resp_0", **name}, RESPONSES)
    assert len({account for account, _ in home.script.seen}) == 1
