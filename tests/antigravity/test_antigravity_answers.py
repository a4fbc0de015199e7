"""Whole answers of Cloud Code, and what becomes of its answers on their way through the gateway."""

from __future__ import annotations

import gzip
import json
import re
import time
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from cloud_code_answers import (
    CLAUDE,
    GEMINI,
    NATIVE,
    REQUEST,
    SHEET,
    STOPPED,
    USAGE,
    WIRE,
    body,
    call,
    chunks,
    enveloped,
    line,
    read,
    stream,
    text,
    thought,
    whole,
)
from cloud_code_refusals import CAPACITY, QUOTA, TERMS, VALIDATION, VALIDATION_URL, exhausted, info, refusal, retry
from core.gateway_house import CHAT, MESSAGES, Body, House, Script, streamed
from google.genai import types

from aigateway_antigravity.config import AntigravityConfig
from aigateway_antigravity.provider import AntigravityProvider
from aigateway_core.dialects.gemini import GeminiArray
from aigateway_core.errors import NoAccountError
from aigateway_core.plugin import (
    Anthropic,
    ChatResponse,
    ErrorKind,
    Gemini,
    GeminiCompatibleConfig,
    GeminiCompatibleProvider,
    ImagePart,
    JsonObject,
    ModelInfo,
    OpenAIChat,
    Secret,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    UpstreamError,
    Usage,
)
from aigateway_core.testing import FakeUpstream, Reply

pytestmark = pytest.mark.anyio

COUNTED = {
    "promptTokenCount": 1200,
    "cachedContentTokenCount": 1000,
    "candidatesTokenCount": 18,
    "thoughtsTokenCount": 42,
    "totalTokenCount": 1260,
}


def to_anthropic(answer: ChatResponse) -> JsonObject:
    return Anthropic().encode_response(answer, REQUEST)


def to_chat(answer: ChatResponse) -> JsonObject:
    return OpenAIChat().encode_response(answer, REQUEST)


# -- usage


def test_R13_each_api_counts_in_its_own_way() -> None:
    answer = whole(body(text("ok"), finish="STOP", usage=COUNTED))
    usage = to_anthropic(answer)["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"], usage["output_tokens"]) == (200, 1000, 60)
    counted = to_chat(answer)["usage"]
    assert (counted["prompt_tokens"], counted["completion_tokens"], counted["total_tokens"]) == (1200, 60, 1260)
    assert counted["prompt_tokens_details"]["cached_tokens"] == 1000
    assert counted["completion_tokens_details"]["reasoning_tokens"] == 42


def test_R14_more_cached_than_prompted_leaves_no_input() -> None:
    answer = whole(body(text("ok"), finish="STOP", usage={**COUNTED, "cachedContentTokenCount": 5000}))
    assert to_anthropic(answer)["usage"]["input_tokens"] == 0


def test_R15_what_was_not_counted_is_the_rest_of_the_total() -> None:
    counts = {"promptTokenCount": 100, "cachedContentTokenCount": 80, "thoughtsTokenCount": 10, "totalTokenCount": 130}
    assert whole(body(text("ok"), finish="STOP", usage=counts)).usage == Usage(
        input_tokens=100, output_tokens=30, cache_read_tokens=80, reasoning_tokens=10
    )


# -- parts


ONE = body(
    thought("Let me think", WIRE),
    text("Here it is."),
    call(path="."),
    finish="STOP",
    usage=USAGE,
    modelVersion="claude-opus-4-6-thinking",
    responseId="msg_vrtx_01A",
)


def test_R16_a_whole_answer_is_what_its_stream_is() -> None:
    assert whole(ONE) == read(ONE) == read(*SHEET)


@pytest.mark.parametrize("wrap", [enveloped, dict])
def test_R16_an_answer_may_come_without_its_envelope(wrap: Any) -> None:
    assert CLAUDE.decode_response(wrap(ONE), REQUEST) == read(*SHEET)


@pytest.mark.parametrize(
    ("piece", "reason"),
    [
        (body(text("x"), finish="STOP", usage=USAGE), "stop"),
        (body(text("x"), usage=USAGE), "stop"),
        (body(text("x"), finish="FINISH_REASON_UNSPECIFIED", usage=USAGE), "stop"),
        (body(text("x"), finish="OTHER"), "stop"),
        (body(text("x"), finish="MAX_TOKENS"), "length"),
        (body(call(path="."), finish="MAX_TOKENS"), "tool_calls"),
        (body(call(path="."), finish="OTHER"), "tool_calls"),
        (body(finish="SAFETY"), "content_filter"),
        ({"promptFeedback": {"blockReason": "OTHER"}}, "content_filter"),
        (body(text(""), finish="STOP", usage=USAGE), "stop"),
    ],
)
def test_R16_the_end_is_the_same_whole_and_streamed(piece: JsonObject, reason: str) -> None:
    assert whole(piece).finish_reason == read(piece).finish_reason == reason


def test_R28_an_answer_of_a_call_alone_has_no_text() -> None:
    answer = whole(body(call(path="."), finish="STOP", usage=USAGE))
    assert [part["type"] for part in to_anthropic(answer)["content"]] == ["tool_use"]
    [choice] = to_chat(answer)["choices"]
    assert choice["message"]["content"] is None
    assert [made["function"]["name"] for made in choice["message"]["tool_calls"]] == ["list_files"]
    assert choice["finish_reason"] == "tool_calls"


def test_R29_a_whole_answer_is_put_together_from_its_stream() -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "aW1n"}}
    answer = read(
        body(thought("hm"), usage={**USAGE, "candidatesTokenCount": 1}),
        body(thought(", so", WIRE)),
        body(text("a"), text("b")),
        body(text("c")),
        body(picture),
        body(call(call_id="x", path="1")),
        body(call(call_id="y", path="2")),
        STOPPED,
    )
    assert answer.parts == (
        ThinkingPart("hm, so", NATIVE, "anthropic"),
        TextPart("abc"),
        ImagePart("image/png", "aW1n"),
        ToolCallPart("x", "list_files", '{"path":"1"}'),
        ToolCallPart("y", "list_files", '{"path":"2"}'),
    )
    assert answer.usage == Usage(input_tokens=90, output_tokens=42, reasoning_tokens=12)


def test_R30_a_picture_reaches_a_client_of_chat_completions() -> None:
    parts = [
        {"inlineData": {"data": "aW1n"}},
        {"inline_data": {"mime_type": "image/jpeg", "data": "anBn"}},
        {"inlineData": {"mimeType": "image/png", "data": ""}},
    ]
    piece = body(*parts, finish="STOP", usage=USAGE)
    [choice] = to_chat(whole(piece))["choices"]
    urls = [image["image_url"]["url"] for image in choice["message"]["images"]]
    assert urls == ["data:image/png;base64,aW1n", "data:image/jpeg;base64,anBn"]
    deltas = [item["choices"][0]["delta"] for item in chunks(piece) if item["choices"]]
    assert [image["image_url"]["url"] for delta in deltas for image in delta.get("images", ())] == urls


def test_R31_the_version_gate_is_known_in_a_whole_answer_too() -> None:
    refused = body(text("This version of Antigravity is no longer supported. Please update."), finish="STOP")
    for answer in (
        lambda: whole(refused),
        lambda: GEMINI.native_response(json.dumps(enveloped(refused)).encode(), "m"),
    ):
        with pytest.raises(UpstreamError) as caught:
            answer()
        assert (caught.value.kind, caught.value.retryable) == (ErrorKind.UNSUPPORTED, False)
        assert "providers.antigravity.user_agent" in caught.value.message


# -- the native path


@pytest.mark.parametrize("wrap", [enveloped, dict, lambda piece: [enveloped(piece)]])
def test_a_native_answer_loses_its_envelope_and_its_name_for_the_model(wrap: Any) -> None:
    answer = GEMINI.native_response(json.dumps(wrap(ONE)).encode(), "mine")
    assert json.loads(answer.body) == {**ONE, "modelVersion": "mine"}
    assert (answer.usage, answer.finish_reason) == (
        Usage(input_tokens=90, output_tokens=42, reasoning_tokens=12),
        "tool_calls",
    )
    types.GenerateContentResponse.model_validate(json.loads(answer.body))


def test_R27_a_native_answer_that_is_a_refusal_is_none() -> None:
    for wrapped in (VALIDATION, [VALIDATION]):
        with pytest.raises(UpstreamError) as caught:
            GEMINI.native_response(json.dumps(wrapped).encode(), "mine")
        assert caught.value.remedy == VALIDATION_URL
    with pytest.raises(UpstreamError):
        GEMINI.native_response(b"{junk", "mine")


# -- from the provider


@pytest.mark.parametrize("content", [enveloped(ONE), [enveloped(ONE)], [enveloped(piece) for piece in SHEET]])
async def test_R16_a_host_that_answers_whole_is_read_once(content: Any) -> None:
    provider = AntigravityProvider(AntigravityConfig(oauth_client_id="id", oauth_client_secret=Secret("s" * 20)))
    reply = Reply(json.dumps(content).encode(), headers={"content-type": "application/json"})
    upstream = FakeUpstream(reply, provider=provider)
    upstream.metadata = {"project": "of-mine-1"}
    assert (await provider.complete(REQUEST, upstream)).parts == read(*SHEET).parts


# -- through the gateway


class Antigravity(GeminiCompatibleProvider):
    """The dialect behind a gateway: bodies go as they are written, which nobody here looks at."""

    known_models = (ModelInfo(id="m"),)

    def __init__(self, dialect: Gemini) -> None:
        self.dialect = dialect  # type: ignore[misc]
        super().__init__(GeminiCompatibleConfig(base_url="http://google.test"))


def house(*, dialect: Gemini = CLAUDE, **answers: list[httpx.Response | Exception]) -> House:
    return House(Script(**answers), Antigravity(dialect), "".join(answers))


def refused(status: int, content: object, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=content, headers=headers)


NATIVE_CHAT = {"model": "m", "contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
GATE = stream(body(text("Gemini 3 Pro is no longer available. Please switch to Gemini 3.1 Pro.")), body(finish="STOP"))


def well() -> httpx.Response:
    return streamed(*map(line, SHEET))


async def test_R1_the_stream_reaches_clients_through_the_gateway() -> None:
    received = await house(a=[well()]).stream(MESSAGES, Anthropic())
    assert b'"signature_delta","signature":"' + NATIVE.encode() in received
    assert received.rstrip().endswith(b'data: {"type":"message_stop"}')
    assert (await house(a=[well()]).stream(CHAT)).endswith(b"data: [DONE]\n\n")


async def test_a_native_client_may_have_its_stream_as_an_array() -> None:
    received = await house(dialect=GEMINI, a=[well()]).stream(NATIVE_CHAT, GeminiArray())
    pieces = json.loads(received)
    assert len(pieces) == len(SHEET)
    assert pieces[0]["modelVersion"] == "m"
    assert not any("traceId" in piece or "response" in piece for piece in pieces)


@pytest.mark.parametrize("client", [Anthropic(), OpenAIChat(), Gemini()])
async def test_R31_the_version_gate_is_told_and_no_other_account_is_asked(client: Any) -> None:
    gateway = house(dialect=GEMINI, a=[streamed(GATE)], b=[well()])
    with pytest.raises(UpstreamError, match=r"providers\.antigravity\.user_agent"):
        await gateway.stream(NATIVE_CHAT if isinstance(client, Gemini) else MESSAGES, client)
    assert len(gateway.script.seen) == 1
    assert not gateway.state.resting("m")


async def test_R26_a_refusal_within_the_stream_goes_to_another_account() -> None:
    words = json.dumps(refusal(429, "RESOURCE_EXHAUSTED", "no", info("RATE_LIMIT_EXCEEDED"), retry("40s"))).encode()
    for client, question in ((Anthropic(), MESSAGES), (Gemini(), NATIVE_CHAT)):
        gateway = house(dialect=GEMINI, a=[streamed(b"data: " + words + b"\n\n")], b=[well()])
        received = await gateway.stream(question, client)
        assert b"Here it is." in received
        assert [account for account, _ in gateway.script.seen] == ["a", "b"]
        assert gateway.state.cooldown("a", "m") is not None


async def test_X24_after_the_first_byte_no_other_account_is_asked() -> None:
    words = b"data: " + json.dumps(refusal(500, "INTERNAL")).encode() + b"\n\n"
    gateway = house(a=[streamed(line(SHEET[0]), words)], b=[well()])
    received = await gateway.stream(MESSAGES, Anthropic())
    assert b"event: error" in received
    assert b"message_stop" not in received
    assert [account for account, _ in gateway.script.seen] == ["a"]


async def test_R17_a_broken_connection_is_an_error_and_no_end() -> None:
    gateway = house(a=[streamed(line(SHEET[0]), line({"usageMetadata": USAGE}), httpx.ReadError("gone"))])
    received = await gateway.stream(MESSAGES, Anthropic())
    assert b"event: error" in received
    assert b"message_stop" not in received


async def test_R19_an_empty_answer_goes_to_another_account_and_costs_none() -> None:
    gateway = house(a=[streamed(b"")], b=[well()])
    assert b"Here it is." in await gateway.stream(MESSAGES, Anthropic())
    assert not gateway.state.resting("m")
    alone = house(a=[streamed(b"")])
    with pytest.raises(UpstreamError, match="empty answer"):
        await alone.stream(MESSAGES, Anthropic())


async def test_R23_a_call_that_went_wrong_goes_to_another_account() -> None:
    wrong = {"candidates": [{"content": {}, "finishReason": "MALFORMED_FUNCTION_CALL"}], "usageMetadata": USAGE}
    gateway = house(a=[streamed(line(wrong))], b=[well()])
    assert b"Here it is." in await gateway.stream(MESSAGES, Anthropic())
    assert not gateway.state.resting("m")


async def test_R20_an_empty_answer_that_was_counted_costs_nothing() -> None:
    gateway = house(a=[streamed(line(body(text(""), finish="STOP", usage={"promptTokenCount": 9})))])
    assert b'"stop_reason":"end_turn"' in await gateway.stream(MESSAGES, Anthropic())
    assert not gateway.state.resting("m")


@pytest.mark.parametrize("stream_it", [True, False])
async def test_R33_a_compressed_refusal_is_read(stream_it: bool) -> None:
    packed = gzip.compress(json.dumps(VALIDATION).encode())
    gateway = house(a=[httpx.Response(403, stream=Body([packed]), headers={"content-encoding": "gzip"})])
    with pytest.raises(UpstreamError, match="Verify your account"):
        await (gateway.stream(MESSAGES, Anthropic()) if stream_it else gateway.whole(MESSAGES, Anthropic()))
    cooldown = gateway.state.cooldown("a", "m")
    assert cooldown is not None
    assert (cooldown.status, cooldown.remedy) == ("disabled", VALIDATION_URL)


async def test_R35_a_client_that_leaves_closes_the_upstream_and_costs_nothing() -> None:
    answer = well()
    gateway = house(a=[answer])
    async with AsyncExitStack() as exits:
        streaming = await gateway.ask({**MESSAGES, "stream": True}, Anthropic(), exits)
        await anext(aiter(streaming))  # type: ignore[arg-type]
    assert isinstance(answer.stream, Body)
    assert answer.stream.closed
    assert not gateway.state.resting("m")
    assert (await gateway.record()).outcome == "client_gone"


async def test_X18_an_account_to_be_verified_is_put_out_of_use_and_another_serves() -> None:
    gateway = house(a=[refused(403, VALIDATION)], b=[well()])
    assert b"Here it is." in await gateway.stream(MESSAGES, Anthropic())
    cooldown = gateway.state.cooldown("a", "another-model")
    assert cooldown is not None
    assert (cooldown.status, cooldown.remedy, cooldown.passes) == ("disabled", VALIDATION_URL, False)


async def test_X20_a_model_that_one_account_lacks_is_asked_of_another() -> None:
    missing = refused(404, refusal(404, "NOT_FOUND", "Requested entity was not found."))
    gateway = house(a=[missing], b=[well()])
    assert b"Here it is." in await gateway.stream(MESSAGES, Anthropic())
    cooldown = gateway.state.cooldown("a", "m")
    assert cooldown is not None
    assert 3000 < cooldown.until - time.time() <= 3600
    assert gateway.state.cooldown("a", "another-model") is None
    alone = house(a=[missing])
    for _ in range(2):
        with pytest.raises((UpstreamError, NoAccountError)) as caught:
            await alone.stream(MESSAGES, Anthropic())
        assert caught.value.kind is ErrorKind.MODEL_NOT_FOUND


async def test_X19_a_ban_is_for_good_and_another_account_serves() -> None:
    gateway = house(a=[refused(403, refusal(403, "PERMISSION_DENIED", TERMS))], b=[well()])
    assert b"Here it is." in await gateway.stream(MESSAGES, Anthropic())
    cooldown = gateway.state.cooldown("a", "another-model")
    assert cooldown is not None
    assert (cooldown.status, cooldown.passes) == ("banned", False)


@pytest.mark.parametrize("said", ['Unknown name "const" at request.tools[0]', "prompt is too long: 9 > 8"])
async def test_X21_X22_what_the_client_has_to_mend_is_asked_once(said: str) -> None:
    gateway = house(a=[refused(400, refusal(400, "INVALID_ARGUMENT", said))], b=[well()])
    with pytest.raises(UpstreamError, match=re.escape(said)):
        await gateway.stream(MESSAGES, Anthropic())
    assert len(gateway.script.seen) == 1
    assert not gateway.state.resting("m")


async def test_X10_want_of_capacity_costs_no_account_anything() -> None:
    gateway = house(a=[refused(503, refusal(503, "UNAVAILABLE", CAPACITY))], b=[well()])
    assert b"Here it is." in await gateway.stream(MESSAGES, Anthropic())
    assert not gateway.state.resting("m")


async def test_X6_an_empty_quota_rests_until_it_is_back() -> None:
    gateway = house(a=[refused(429, refusal(429, "RESOURCE_EXHAUSTED", QUOTA))], b=[well()])
    assert b"Here it is." in await gateway.stream(MESSAGES, Anthropic())
    cooldown = gateway.state.cooldown("a", "m")
    assert cooldown is not None
    assert (cooldown.reason, exhausted(QUOTA).retry_after) == ("quota", 256527.0)


async def test_R32_claudes_words_reach_the_client() -> None:
    said = json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": "messages.1: no"}})
    gateway = house(a=[refused(400, refusal(400, "INVALID_ARGUMENT", said))], b=[well()])
    with pytest.raises(UpstreamError, match=r"^messages\.1: no$"):
        await gateway.stream(MESSAGES, Anthropic())
    assert len(gateway.script.seen) == 1
