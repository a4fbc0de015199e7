"""The provider as a whole: which host is asked and for what, and what is asked again."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import attrs
import httpx
import pytest
from cloud_code_streams import enveloped

from aigateway_antigravity import AntigravityConfig, AntigravityProvider
from aigateway_core.plugin import (
    ChatRequest,
    ChatResponse,
    ErrorKind,
    JsonObject,
    Message,
    Reasoning,
    Secret,
    StreamEvent,
    StreamFinish,
    TextDelta,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    UpstreamError,
    UpstreamFailure,
    fold,
)
from aigateway_core.testing import FakeUpstream, Reply, gemini_vendor

pytestmark = pytest.mark.anyio

HOSTS = ("https://daily.test", "https://prod.test")
PROJECT = "example-proj-1a2b3"
ANSWER = enveloped(gemini_vendor().text_stream)
GEMINI, CLAUDE = "gemini-3-flash", "claude-sonnet-4-6"
CLOCK = Tool("clock", "Tells the time.", {"type": "object", "properties": {"zone": {"type": "string"}}})


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def provider() -> AntigravityProvider:
    return AntigravityProvider(
        AntigravityConfig(
            oauth_client_id="client", oauth_client_secret=Secret("s"), user_agent="tests/1.0", base_urls=HOSTS
        )
    )


def upstream(provider: AntigravityProvider, *replies: Reply | Exception) -> FakeUpstream:
    made = FakeUpstream(*replies, provider=provider)
    made.metadata = {"project": PROJECT}
    return made


def question(model: str = GEMINI, **more: Any) -> ChatRequest:
    return ChatRequest(model=model, messages=(Message("user", (TextPart("hello"),)),), **more)


def piece(*parts: JsonObject, finish: str | None = "STOP", tokens: int = 5) -> bytes:
    candidate: JsonObject = {"content": {"role": "model", "parts": list(parts)}, "finishReason": finish}
    if finish is None:
        del candidate["finishReason"]
    usage = {"promptTokenCount": 3, "candidatesTokenCount": tokens, "totalTokenCount": 3 + tokens}
    body = {"response": {"candidates": [candidate], "usageMetadata": usage}, "traceId": "t"}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def refusal(status: int, message: str, reason: str | None = None, word: str = "INVALID_ARGUMENT") -> Reply:
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}] if reason else []
    error = {"code": status, "message": message, "status": word, "details": details}
    return Reply(json.dumps({"error": error}).encode(), status=status)


FULL = refusal(503, "No capacity available for model", "MODEL_CAPACITY_EXHAUSTED", "UNAVAILABLE")


def hosts_of(asked: FakeUpstream) -> list[str]:
    return [request.url.host for request in asked.requests]


def bodies_of(asked: FakeUpstream) -> list[JsonObject]:
    return [json.loads(request.content) for request in asked.requests]


async def complete(provider: AntigravityProvider, request: ChatRequest, asked: FakeUpstream) -> ChatResponse:
    """As the gateway does: what the provider can mend is asked again."""
    while True:
        try:
            return await provider.complete(request, asked)
        except UpstreamError as error:
            mended = provider.mend(request, error)
            if mended is None:
                raise
            request = mended


async def test_e1_a_question_goes_out_in_an_envelope(provider: AntigravityProvider) -> None:
    asked = upstream(provider, Reply(ANSWER))
    answer = await provider.complete(question(), asked)
    [request] = asked.requests
    assert str(request.url) == "https://daily.test/v1internal:streamGenerateContent?alt=sse"
    assert (request.headers["user-agent"], request.headers["accept"]) == ("tests/1.0", "text/event-stream")
    [body] = bodies_of(asked)
    assert (body["project"], body["model"], body["requestType"]) == (PROJECT, GEMINI, "agent")
    assert body["request"]["sessionId"] == "-3238736544897475342"
    assert answer.parts == (TextPart("Hello there"),)


@pytest.mark.parametrize("failure", [FULL, httpx.ConnectError("refused"), Reply(b"", status=500)])
async def test_x10_x23_the_other_host_is_asked_when_the_first_cannot_answer(
    failure: Reply | Exception, provider: AntigravityProvider
) -> None:
    asked = upstream(provider, failure, Reply(ANSWER))
    await complete(provider, question(), asked)
    assert hosts_of(asked)[-1] == "prod.test"
    ids = [body["requestId"] for body in bodies_of(asked)]
    assert len(set(ids)) == len(ids)


async def test_x23_when_both_fail_the_last_failure_is_told(provider: AntigravityProvider) -> None:
    asked = upstream(provider, httpx.ConnectError("refused"))
    with pytest.raises(UpstreamError) as caught:
        await complete(provider, question(), asked)
    assert hosts_of(asked) == ["daily.test", "prod.test"]
    assert (caught.value.kind, caught.value.scope) == (ErrorKind.UNAVAILABLE, "endpoint")


async def test_x6_a_quota_that_is_used_up_is_asked_of_no_other_host(provider: AntigravityProvider) -> None:
    asked = upstream(provider, refusal(429, "Individual quota reached.", "QUOTA_EXHAUSTED", "RESOURCE_EXHAUSTED"))
    with pytest.raises(UpstreamError) as caught:
        await complete(provider, question(CLAUDE), asked)
    assert (hosts_of(asked), caught.value.scope) == (["daily.test"], "quota_group")


async def test_x24_after_the_first_words_no_other_host_is_asked(provider: AntigravityProvider) -> None:
    asked = upstream(provider, Reply([piece({"text": "Hel"}, finish=None)], ending="break"), Reply(ANSWER))
    events = provider.stream(question(), asked)
    seen: list[StreamEvent] = []

    async def read() -> None:
        while True:
            seen.append(await anext(events))

    with pytest.raises(UpstreamError):
        await read()
    assert TextDelta("Hel") in seen
    assert hosts_of(asked) == ["daily.test"]


async def test_p10_without_a_project_nothing_is_asked_of_a_model(provider: AntigravityProvider) -> None:
    asked = FakeUpstream(
        Reply(b'{"allowedTiers": [], "ineligibleTiers": [{"reasonMessage": "no"}]}'), provider=provider
    )
    with pytest.raises(UpstreamError) as caught:
        await provider.complete(question(), asked)
    assert caught.value.dispatched is False
    assert all("generate" not in str(request.url) for request in asked.requests)


def error_of(reply: Reply) -> UpstreamError:
    provider = AntigravityProvider(AntigravityConfig(oauth_client_id="c", oauth_client_secret=Secret("s")))
    return provider.classify_error(UpstreamFailure(reply.status, {}, b"".join(reply.body)))


HISTORY = (
    Message("user", (TextPart("what time is it?"),)),
    Message("assistant", (ThinkingPart("hm", "Eabc", "anthropic"), ToolCallPart("toolu_1", "clock", "{}"))),
    Message("tool", (ToolResultPart("toolu_1", (TextPart("noon"),)),)),
)


async def test_g18_a_refused_signature_is_asked_once_more_without_thinking(provider: AntigravityProvider) -> None:
    request = ChatRequest(model=CLAUDE, messages=HISTORY, tools=(CLOCK,), reasoning=Reasoning("high"), max_tokens=32000)
    mended = provider.mend(request, error_of(refusal(400, "messages.1: Invalid `signature` in `thinking` block")))
    assert mended is not None
    assert mended.reasoning is None
    assert not any(isinstance(part, ThinkingPart) for message in mended.messages for part in message.parts)
    asked = upstream(provider, Reply(ANSWER))
    await provider.complete(mended, asked)
    [body] = bodies_of(asked)
    assert "thinkingConfig" not in body["request"].get("generationConfig", {})


@pytest.mark.parametrize(
    "stream",
    [
        [b'data: {"response": {"candidates": []}, "traceId": "t"}\n\n'],
        [piece(finish="MALFORMED_FUNCTION_CALL", tokens=0)],
    ],
    ids=["R19 no candidates", "R23 a malformed call"],
)
async def test_r19_r23_what_the_model_failed_at_is_asked_once_more(
    stream: Sequence[bytes], provider: AntigravityProvider
) -> None:
    asked = upstream(provider, Reply(stream))
    request = question()
    with pytest.raises(UpstreamError) as caught:
        await provider.complete(request, asked)
    assert provider.mend(request, caught.value) is request
    assert hosts_of(asked) == ["daily.test"]


async def test_x21_any_other_refusal_is_the_clients(provider: AntigravityProvider) -> None:
    error = error_of(refusal(400, 'Invalid JSON payload received. Unknown name "optional": Cannot find field.'))
    assert provider.mend(question(), error) is None


async def test_n6_what_only_the_upstream_was_told_is_not_told_to_the_client(provider: AntigravityProvider) -> None:
    call = {"functionCall": {"id": "toolu_vrtx_1", "name": "clock", "args": {"zone": "UTC", "_": True}}}
    asked = upstream(provider, Reply([piece(call)]))
    answer = await provider.complete(question(CLAUDE, tools=(CLOCK,)), asked)
    assert answer.parts == (ToolCallPart("toolu_vrtx_1", "clock", '{"zone":"UTC"}'),)
    assert answer.finish_reason == "tool_calls"


async def test_s33_n6_a_tool_without_parameters_gets_none_either(provider: AntigravityProvider) -> None:
    call = {"functionCall": {"id": "toolu_vrtx_1", "name": "now", "args": {"reason": "to know the time"}}}
    asked = upstream(provider, Reply([piece(call)]))
    answer = await provider.complete(question(CLAUDE, tools=(Tool("now", "Tells the time.", {}),)), asked)
    assert answer.parts == (ToolCallPart("toolu_vrtx_1", "now", "{}"),)


async def test_g17_a_client_that_drops_signatures_gets_them_restored(provider: AntigravityProvider) -> None:
    call = {"functionCall": {"id": "fc1", "name": "clock", "args": {}}, "thoughtSignature": "c2lnbmVk"}
    first = question(tools=(CLOCK,))
    answer = await provider.complete(first, upstream(provider, Reply([piece(call)])))
    [made] = [part for part in answer.parts if isinstance(part, ToolCallPart)]
    turns = (
        *first.messages,
        Message("assistant", (made,)),
        Message("tool", (ToolResultPart(made.id, (TextPart("noon"),)),)),
    )
    asked = upstream(provider, Reply(ANSWER))
    await provider.complete(attrs.evolve(first, messages=turns), asked)
    [_, model, _] = bodies_of(asked)[0]["request"]["contents"]
    assert [part["thoughtSignature"] for part in model["parts"]] == ["c2lnbmVk"]


async def test_g17_thinking_is_restored_to_its_own_conversation_alone(provider: AntigravityProvider) -> None:
    def call(signature: str) -> JsonObject:
        return {"functionCall": {"id": "fc1", "name": "clock", "args": {}}, "thoughtSignature": signature}

    first = {name: question(tools=(CLOCK,), conversation=name) for name in ("anns", "bobs")}
    for name, request in first.items():
        mine = "YW5ucw==" if name == "anns" else "Ym9icw=="
        await provider.complete(request, upstream(provider, Reply([piece(call(mine))])))
    turns = (
        Message("assistant", (ToolCallPart("fc1", "clock", "{}"),)),
        Message("tool", (ToolResultPart("fc1", (TextPart("noon"),)),)),
    )
    seen = {}
    for name, request in first.items():
        asked = upstream(provider, Reply(ANSWER))
        await provider.complete(attrs.evolve(request, messages=(*request.messages, *turns)), asked)
        [_, model, _] = bodies_of(asked)[0]["request"]["contents"]
        seen[name] = model["parts"][0]["thoughtSignature"]
    assert seen == {"anns": "YW5ucw==", "bobs": "Ym9icw=="}


async def test_calls_of_two_answers_without_any_id_have_different_ones(provider: AntigravityProvider) -> None:
    called = {"functionCall": {"name": "clock", "args": {}}}
    made = [
        await provider.complete(question(tools=(CLOCK,)), upstream(provider, Reply([piece(called)]))) for _ in range(2)
    ]
    first, second = (part.id for answer in made for part in answer.parts if isinstance(part, ToolCallPart))
    assert first != second


async def test_x27_every_turn_of_a_conversation_has_the_same_session(provider: AntigravityProvider) -> None:
    request, asked = question(), upstream(provider, Reply(ANSWER))
    for turn in range(5):
        answer = await provider.complete(request, asked)
        more = (Message("assistant", answer.parts), Message("user", (TextPart(f"and {turn}?"),)))
        request = attrs.evolve(request, messages=(*request.messages, *more))
    sessions = {body["request"]["sessionId"] for body in bodies_of(asked) if "request" in body}
    assert sessions == {"-3238736544897475342"}


async def test_r16_streamed_and_whole_are_the_same_answer(provider: AntigravityProvider) -> None:
    thought = {"text": "Let me see", "thought": True, "thoughtSignature": "c2ln"}
    stream = [piece(thought, finish=None), piece({"text": "Hi"}, tokens=9)]
    whole = await provider.complete(question(), upstream(provider, Reply(stream)))
    async with aclosing(provider.stream(question(stream=True), upstream(provider, Reply(stream)))) as events:
        folded = fold([event async for event in events])
    assert attrs.evolve(folded, id="") == attrs.evolve(whole, id="")


async def test_a_reader_that_leaves_closes_the_answer(provider: AntigravityProvider) -> None:
    asked = upstream(provider, Reply(ANSWER[:1], ending="silence"))
    events: AsyncGenerator[StreamEvent, None] = provider.stream(question(), asked)
    async for event in events:
        if isinstance(event, TextDelta | StreamFinish):
            break
    await events.aclose()
    assert asked.open_answers == 0


def test_only_geminis_clients_of_geminis_models_are_passed_on_untranslated(provider: AntigravityProvider) -> None:
    native = provider.endpoint("gemini", "chat", GEMINI)
    assert native is not None
    assert native.url == "https://daily.test/v1internal:generateContent"
    assert native.fallback is not None
    assert native.fallback.stream_url == "https://prod.test/v1internal:streamGenerateContent?alt=sse"
    for dialect, operation, model in (
        ("gemini", "chat", CLAUDE),
        ("anthropic", "chat", GEMINI),
        ("gemini", "count_tokens", GEMINI),
    ):
        assert provider.endpoint(dialect, operation, model) is None
