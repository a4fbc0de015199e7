"""Answers and failures of Cloud Code on their way through the provider and the gateway."""

from __future__ import annotations

import gzip
import json
import re
import time
from contextlib import AsyncExitStack
from typing import Any

import attrs
import httpx
import pytest
from cloud_code_answers import (
    CLAUDE,
    GEMINI,
    NATIVE,
    ONE,
    REQUEST,
    SHEET,
    USAGE,
    body,
    enveloped,
    line,
    read,
    stream,
    text,
)
from cloud_code_refusals import CAPACITY, QUOTA, TERMS, VALIDATION, VALIDATION_URL, exhausted, info, refusal, retry
from core.gateway_house import CHAT, MESSAGES, Body, House, Script, account, streamed

from aigateway_antigravity.config import AntigravityConfig
from aigateway_antigravity.provider import AntigravityProvider
from aigateway_core.dialects.gemini import GeminiArray
from aigateway_core.errors import NoAccountError
from aigateway_core.plugin import (
    Anthropic,
    ChatRequest,
    ErrorKind,
    Gemini,
    GeminiCompatibleConfig,
    GeminiCompatibleProvider,
    JsonObject,
    ModelInfo,
    OpenAIChat,
    Secret,
    StreamEvent,
    TextDelta,
    UpstreamError,
)
from aigateway_core.restraint import Restraint
from aigateway_core.snapshot import Snapshot
from aigateway_core.state import one_model
from aigateway_core.testing import FakeUpstream, Reply

pytestmark = pytest.mark.anyio

# -- from the provider


@pytest.mark.parametrize("content", [enveloped(ONE), [enveloped(ONE)], [enveloped(piece) for piece in SHEET]])
async def test_R16_a_host_that_answers_whole_is_read_once(content: Any) -> None:
    provider, request = provider_of(REQUEST.model)
    reply = Reply(json.dumps(content).encode(), headers={"content-type": "application/json"})
    upstream = FakeUpstream(reply, provider=provider)
    upstream.metadata = {"project": "of-mine-1"}
    assert (await provider.complete(request, upstream)).parts == read(*SHEET).parts


DAILY, PRODUCTION = "https://daily-cloudcode-pa.googleapis.com", "https://cloudcode-pa.googleapis.com"


def provider_of(model: str = "gemini-3-flash") -> tuple[AntigravityProvider, ChatRequest]:
    provider = AntigravityProvider(AntigravityConfig(oauth_client_id="id", oauth_client_secret=Secret("s" * 20)))
    return provider, attrs.evolve(REQUEST, model=model)


def at_both_hosts(*answers: httpx.Response | Exception, ambiguous: bool = True) -> House:
    """The provider itself behind a gateway, with one account."""
    it = House(Script(a=answers), provider_of()[0], "a", restraint=Restraint(ambiguous=ambiguous))
    it.snapshot.value = Snapshot(
        version=1, accounts={"acme": (attrs.evolve(account("a"), metadata={"project": "of-mine-1"}),)}
    )
    return it


def hosts_of(it: House) -> list[str]:
    """The hosts that were asked for an answer."""
    return [url.partition("/v1internal")[0] for url in it.script.urls if "enerateContent" in url]


ASKED = {**CHAT, "model": "gemini-3-flash"}


async def test_X23_the_other_host_is_asked_where_one_cannot_be_reached() -> None:
    it = at_both_hosts(httpx.ConnectError("refused"), well())
    assert "Here it is." in str(await it.whole(ASKED))
    assert hosts_of(it) == [DAILY, PRODUCTION]
    it = at_both_hosts(httpx.ConnectError("refused"), well())
    assert b"Here it is." in await it.stream(ASKED)
    assert hosts_of(it) == [DAILY, PRODUCTION]


async def test_X23_where_no_host_can_be_reached_the_client_is_told() -> None:
    it = at_both_hosts(httpx.ConnectError("refused"))
    with pytest.raises(UpstreamError) as caught:
        await it.whole(ASKED)
    assert hosts_of(it) == [DAILY, PRODUCTION]
    assert (caught.value.kind, caught.value.scope) == (ErrorKind.UNAVAILABLE, "endpoint")
    for client in (Anthropic(), OpenAIChat(), Gemini()):
        assert client.encode_error(caught.value, "req-1").status in (502, 503, 529)


@pytest.mark.parametrize("status", [404, 500, 503, 529])
async def test_X10_X20_the_other_host_is_asked_before_another_account(status: int) -> None:
    it = at_both_hosts(refused(status, refusal(status, "")), well())
    assert "Here it is." in str(await it.whole(ASKED))
    record = await it.record()
    assert [(attempt.status_code, attempt.dispatched) for attempt in record.attempts] == [(status, True), (200, True)]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_what_a_host_may_have_done_already_is_asked_of_no_other_where_that_is_forbidden(stream: bool) -> None:
    it = at_both_hosts(httpx.ReadError("reset"), well(), ambiguous=False)
    with pytest.raises(UpstreamError):
        await it.ask({**ASKED, "stream": stream})
    assert hosts_of(it) == [DAILY]
    assert len((await it.record()).attempts) == 1


@pytest.mark.parametrize(("status", "details"), [(429, [info("QUOTA_EXHAUSTED")]), (429, []), (403, []), (400, [])])
async def test_X6_no_other_host_is_asked_for_what_the_account_or_the_request_did(
    status: int, details: list[JsonObject]
) -> None:
    word = {429: "RESOURCE_EXHAUSTED", 403: "PERMISSION_DENIED"}.get(status, "INVALID_ARGUMENT")
    it = at_both_hosts(refused(status, refusal(status, word, "no", *details)), well())
    with pytest.raises(UpstreamError):
        await it.whole(ASKED)
    assert hosts_of(it) == [DAILY]


async def test_X24_no_other_host_is_asked_after_the_first_words() -> None:
    provider, request = provider_of()
    words = b"data: " + json.dumps(refusal(503, "UNAVAILABLE", CAPACITY)).encode() + b"\n\n"
    upstream = FakeUpstream(Reply([line(body(text("half of"))), words]), provider=provider)
    upstream.metadata = {"project": "of-mine-1"}
    received: list[StreamEvent] = []

    async def receive() -> None:
        async for event in provider.stream(request, upstream):
            received.append(event)  # noqa: PERF401 - kept although the stream breaks off

    with pytest.raises(UpstreamError) as caught:
        await receive()
    assert caught.value.kind is ErrorKind.OVERLOADED
    assert TextDelta("half of") in received
    assert len(upstream.requests) == 1


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
    assert not gateway.state.rests("a")


async def test_R26_a_refusal_within_the_stream_goes_to_another_account() -> None:
    words = json.dumps(refusal(429, "RESOURCE_EXHAUSTED", "no", info("RATE_LIMIT_EXCEEDED"), retry("40s"))).encode()
    for client, question in ((Anthropic(), MESSAGES), (Gemini(), NATIVE_CHAT)):
        gateway = house(dialect=GEMINI, a=[streamed(b"data: " + words + b"\n\n")], b=[well()])
        received = await gateway.stream(question, client)
        assert b"Here it is." in received
        assert [account for account, _ in gateway.script.seen] == ["a", "b"]
        assert gateway.state.cooldown("a", one_model("m")) is not None


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
    assert not gateway.state.rests("a")
    alone = house(a=[streamed(b"")])
    with pytest.raises(UpstreamError, match="empty answer"):
        await alone.stream(MESSAGES, Anthropic())


async def test_R23_a_call_that_went_wrong_goes_to_another_account() -> None:
    wrong = {"candidates": [{"content": {}, "finishReason": "MALFORMED_FUNCTION_CALL"}], "usageMetadata": USAGE}
    gateway = house(a=[streamed(line(wrong))], b=[well()])
    assert b"Here it is." in await gateway.stream(MESSAGES, Anthropic())
    assert not gateway.state.rests("a")


async def test_R20_an_empty_answer_that_was_counted_costs_nothing() -> None:
    gateway = house(a=[streamed(line(body(text(""), finish="STOP", usage={"promptTokenCount": 9})))])
    assert b'"stop_reason":"end_turn"' in await gateway.stream(MESSAGES, Anthropic())
    assert not gateway.state.rests("a")


@pytest.mark.parametrize("stream_it", [True, False])
async def test_R33_a_compressed_refusal_is_read(stream_it: bool) -> None:
    packed = gzip.compress(json.dumps(VALIDATION).encode())
    gateway = house(a=[httpx.Response(403, stream=Body([packed]), headers={"content-encoding": "gzip"})])
    with pytest.raises(UpstreamError, match="Verify your account"):
        await (gateway.stream(MESSAGES, Anthropic()) if stream_it else gateway.whole(MESSAGES, Anthropic()))
    cooldown = gateway.state.cooldown("a", one_model("m"))
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
    assert not gateway.state.rests("a")
    assert (await gateway.record()).outcome == "client_gone"


async def test_X18_an_account_to_be_verified_is_put_out_of_use_and_another_serves() -> None:
    gateway = house(a=[refused(403, VALIDATION)], b=[well()])
    assert b"Here it is." in await gateway.stream(MESSAGES, Anthropic())
    cooldown = gateway.state.cooldown("a", one_model("another-model"))
    assert cooldown is not None
    assert (cooldown.status, cooldown.remedy, cooldown.passes) == ("disabled", VALIDATION_URL, False)


async def test_X20_a_model_that_one_account_lacks_is_asked_of_another() -> None:
    missing = refused(404, refusal(404, "NOT_FOUND", "Requested entity was not found."))
    gateway = house(a=[missing], b=[well()])
    assert b"Here it is." in await gateway.stream(MESSAGES, Anthropic())
    cooldown = gateway.state.cooldown("a", one_model("m"))
    assert cooldown is not None
    assert 3000 < cooldown.until - time.time() <= 3600
    assert gateway.state.cooldown("a", one_model("another-model")) is None
    alone = house(a=[missing])
    for _ in range(2):
        with pytest.raises((UpstreamError, NoAccountError)) as caught:
            await alone.stream(MESSAGES, Anthropic())
        assert caught.value.kind is ErrorKind.MODEL_NOT_FOUND


async def test_X19_a_ban_is_for_good_and_another_account_serves() -> None:
    gateway = house(a=[refused(403, refusal(403, "PERMISSION_DENIED", TERMS))], b=[well()])
    assert b"Here it is." in await gateway.stream(MESSAGES, Anthropic())
    cooldown = gateway.state.cooldown("a", one_model("another-model"))
    assert cooldown is not None
    assert (cooldown.status, cooldown.passes) == ("banned", False)


@pytest.mark.parametrize("said", ['Unknown name "const" at request.tools[0]', "prompt is too long: 9 > 8"])
async def test_X21_X22_what_the_client_has_to_mend_is_asked_once(said: str) -> None:
    gateway = house(a=[refused(400, refusal(400, "INVALID_ARGUMENT", said))], b=[well()])
    with pytest.raises(UpstreamError, match=re.escape(said)):
        await gateway.stream(MESSAGES, Anthropic())
    assert len(gateway.script.seen) == 1
    assert not gateway.state.rests("a")


async def test_X10_want_of_capacity_costs_no_account_anything() -> None:
    gateway = house(a=[refused(503, refusal(503, "UNAVAILABLE", CAPACITY))], b=[well()])
    assert b"Here it is." in await gateway.stream(MESSAGES, Anthropic())
    assert not gateway.state.rests("a")


async def test_X6_an_empty_quota_rests_until_it_is_back() -> None:
    gateway = house(a=[refused(429, refusal(429, "RESOURCE_EXHAUSTED", QUOTA))], b=[well()])
    assert b"Here it is." in await gateway.stream(MESSAGES, Anthropic())
    cooldown = gateway.state.cooldown("a", one_model("m"))
    assert cooldown is not None
    assert (cooldown.reason, exhausted(QUOTA).retry_after) == ("quota", 256527.0)


async def test_R32_claudes_words_reach_the_client() -> None:
    said = json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": "messages.1: no"}})
    gateway = house(a=[refused(400, refusal(400, "INVALID_ARGUMENT", said))], b=[well()])
    with pytest.raises(UpstreamError, match=r"^messages\.1: no$"):
        await gateway.stream(MESSAGES, Anthropic())
    assert len(gateway.script.seen) == 1
