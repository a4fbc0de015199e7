"""The same account asked once more: at another host, or in another form."""

from __future__ import annotations

from collections.abc import AsyncIterator

import attrs
import httpx
import pytest
from core.gateway_house import (
    ANTHROPIC,
    CHAT,
    MESSAGES,
    WHOLE,
    House,
    Script,
    Signs,
    anthropic_like,
    openai_like,
    refused,
    reply,
)

from aigateway_core import checkup
from aigateway_core.dialects.signatures import seal_part
from aigateway_core.errors import ErrorKind, GatewayError, UpstreamError, UpstreamFailure
from aigateway_core.events import StreamEvent
from aigateway_core.model import ChatRequest, ChatResponse, JsonObject, ModelInfo, TextPart, ThinkingPart
from aigateway_core.plugin import Endpoint, OpenAIChat, Upstream
from aigateway_core.restraint import Restraint

pytestmark = pytest.mark.anyio

HOSTS = ("http://one.test/v1", "http://two.test/v1")


class TwoHosts:
    """Speaks Chat Completions at two hosts, with the account's name around the body."""

    models = (ModelInfo(id="m"),)
    model_patterns = ()

    def endpoint(self, dialect: str, operation: str, model: str) -> Endpoint | None:
        second = Endpoint(HOSTS[1], OpenAIChat())
        here = Endpoint(HOSTS[0], OpenAIChat(), enclose=self.enclose, mend=self.without_top_p, fallback=second)
        return here if dialect == "openai-chat" else None

    def classify_error(self, failure: UpstreamFailure) -> UpstreamError:
        error = OpenAIChat().decode_error(failure)
        if error.kind is ErrorKind.MODEL_NOT_FOUND:
            error.scope = "model"  # which models there are is another matter for each account
        return error

    async def enclose(self, body: JsonObject, upstream: Upstream) -> JsonObject:
        return {"for": upstream.account_id, "inside": body}

    def without_top_p(self, body: JsonObject, error: UpstreamError) -> JsonObject | None:
        if "top_p" not in error.message:
            return None
        return {name: value for name, value in body.items() if name != "top_p"}

    async def complete(self, request: ChatRequest, upstream: Upstream) -> ChatResponse:
        body = {"model": request.model, "effort": request.reasoning.effort if request.reasoning else None}
        await upstream.post(HOSTS[0], json=body)
        return ChatResponse(id="r", model=request.model, parts=(TextPart("whole"),))

    async def stream(self, request: ChatRequest, upstream: Upstream) -> AsyncIterator[StreamEvent]:
        raise AssertionError("not asked here")
        yield

    def mend(self, request: ChatRequest, error: UpstreamError) -> ChatRequest | None:
        return attrs.evolve(request, reasoning=None) if "thinking" in error.message else None


def home(accounts: str = "ab", **answers: list[httpx.Response | Exception]) -> House:
    return House(Script(**answers), TwoHosts(), accounts)


def missing() -> httpx.Response:
    return httpx.Response(404, json={"error": {"message": "no m", "type": "x", "code": "model_not_found"}})


def complains(message: str) -> httpx.Response:
    return httpx.Response(400, json={"error": {"message": message, "type": "invalid_request_error"}})


async def test_what_depends_on_the_account_is_written_for_each_attempt() -> None:
    both = home(a=[refused(429)], b=[reply(WHOLE)])
    await both.ask(CHAT)
    assert [(name, body["for"]) for name, body in both.script.seen] == [("a", "a"), ("b", "b")]
    assert both.script.seen[0][1]["inside"] == {**CHAT, "model": "m"}


@pytest.mark.parametrize("status", [500, 503, 404])
async def test_another_host_is_asked_with_the_same_account(status: int) -> None:
    both = home(a=[refused(status), reply(WHOLE)], b=[reply(WHOLE)])
    await both.ask(CHAT)
    assert both.script.urls == list(HOSTS)
    assert [name for name, _ in both.script.seen] == ["a", "a"]


async def test_another_host_is_asked_when_the_first_cannot_be_reached() -> None:
    both = home("a", a=[httpx.ConnectError("no route"), reply(WHOLE)])
    await both.ask(CHAT)
    assert both.script.urls == list(HOSTS)


@pytest.mark.parametrize("status", [400, 401, 403, 429])
async def test_what_speaks_of_the_account_or_the_request_is_asked_of_no_other_host(status: int) -> None:
    one = home("a", a=[refused(status), reply(WHOLE)])
    with pytest.raises(GatewayError):
        await one.ask(CHAT)
    assert one.script.urls == [HOSTS[0]]


async def test_a_body_that_was_mended_may_still_move_to_another_host() -> None:
    one = home("a", a=[complains("no top_p"), refused(503), reply(WHOLE)])
    await one.ask({**CHAT, "top_p": 0.5})
    assert one.script.urls == [HOSTS[0], HOSTS[0], HOSTS[1]]


async def test_there_is_an_end_to_the_hosts() -> None:
    both = home(a=[refused(500)], b=[refused(500)])
    with pytest.raises(GatewayError):
        await both.ask(CHAT)
    assert both.script.urls == [HOSTS[0], HOSTS[1], HOSTS[1]]


async def test_the_next_account_is_asked_at_the_first_host_for_a_model_that_the_last_one_did_not_have() -> None:
    both = home(a=[missing(), missing()], b=[reply(WHOLE)])
    await both.ask(CHAT)
    assert both.script.urls == [HOSTS[0], HOSTS[1], HOSTS[0]]


async def test_trouble_with_an_account_s_login_moves_its_request_to_no_other_host() -> None:
    away = UpstreamError(ErrorKind.UNAVAILABLE, "the identity provider is away", scope="account")
    assert not away.is_the_hosts


async def test_a_native_body_is_mended_once() -> None:
    one = home("a", a=[complains("no top_p"), complains("no top_p")])
    with pytest.raises(GatewayError) as caught:
        await one.ask({**CHAT, "top_p": 0.5})
    assert caught.value.message == "no top_p"
    assert ["top_p" in body["inside"] for _, body in one.script.seen] == [True, False]  # type: ignore[operator]


async def test_a_translated_request_is_mended_once_by_its_provider() -> None:
    thinking = {**MESSAGES, "max_tokens": 4096, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    one = home("a", a=[complains("Invalid `signature` in `thinking` block"), reply({})])
    answer = await one.ask(thinking, ANTHROPIC)
    assert b"whole" in answer.body
    assert len(one.script.seen) == 2
    record = await one.record()
    assert [attempt.error_kind for attempt in record.attempts] == [ErrorKind.INVALID_REQUEST, None]


async def test_a_provider_that_cannot_mend_is_not_asked_twice() -> None:
    one = House(Script(a=[complains("thinking"), reply(WHOLE)]), openai_like(), "a")
    with pytest.raises(GatewayError):
        await one.ask(CHAT)
    assert len(one.script.seen) == 1


@attrs.frozen(kw_only=True)
class Elsewhere(ChatRequest):
    passed: int


class Wanders(TwoHosts):
    """Translates; a request that a host could not answer goes to the next one, of ``hosts``."""

    def __init__(self, hosts: int) -> None:
        self._hosts = hosts

    def endpoint(self, dialect: str, operation: str, model: str) -> Endpoint | None:
        return None

    async def complete(self, request: ChatRequest, upstream: Upstream) -> ChatResponse:
        await upstream.post(f"http://{_passed(request)}.test/v1", json={})
        return ChatResponse(id="r", model=request.model, parts=(TextPart("whole"),))

    def mend(self, request: ChatRequest, error: UpstreamError) -> ChatRequest | None:
        if not error.is_the_hosts:
            return attrs.evolve(request, top_p=None) if "top_p" in error.message else None
        passed = _passed(request) + 1
        fields = {field.name: getattr(request, field.name) for field in attrs.fields(ChatRequest)}
        return Elsewhere(**fields, passed=passed) if passed < self._hosts else None


def _passed(request: ChatRequest) -> int:
    return request.passed if isinstance(request, Elsewhere) else 0


def numbers_of(it: House) -> list[int]:
    return [int(httpx.URL(url).host.partition(".")[0]) for url in it.script.urls]


async def test_a_translated_request_goes_from_host_to_host_and_each_is_written_down() -> None:
    one = House(Script(a=[refused(503), complains("no top_p"), refused(503), reply({})]), Wanders(3), "a")
    await one.ask(CHAT)
    assert numbers_of(one) == [0, 1, 1, 2]
    assert [attempt.status_code for attempt in (await one.record()).attempts] == [503, 400, 503, 200]


async def test_another_account_begins_a_translated_request_at_the_first_host_that_is_there() -> None:
    both = House(Script(a=[missing(), missing()], b=[reply({})]), Wanders(2), "ab")
    await both.ask(CHAT)
    assert numbers_of(both) == [0, 1, 0]
    away = House(Script(a=[refused(503), missing()], b=[reply({})]), Wanders(2), "ab")
    await away.ask(CHAT)
    assert numbers_of(away) == [0, 1, 1]


async def test_a_translated_request_that_is_sent_in_a_circle_comes_to_its_end() -> None:
    one = House(Script(a=[refused(503)]), Wanders(1000), "a")
    with pytest.raises(GatewayError):
        await one.ask(CHAT)
    assert len(numbers_of(one)) == 9


async def test_a_translated_request_whose_answer_was_lost_moves_to_no_host_where_that_is_forbidden() -> None:
    script = Script(a=[httpx.ReadError("reset"), reply({})])
    one = House(script, Wanders(2), "a", restraint=Restraint(ambiguous=False))
    with pytest.raises(GatewayError):
        await one.ask(CHAT)
    assert numbers_of(one) == [0]


async def test_the_test_of_an_account_asks_the_other_host_too() -> None:
    one = House(Script(a=[refused(503), reply({})]), Wanders(2), "a")
    upstream = Upstream(one.script, Signs("a"), classify=one.entry.classify)
    await checkup._answer(one.entry, ChatRequest(model="m", messages=()), upstream)
    assert numbers_of(one) == [0, 1]
    lost = House(Script(a=[refused(503)]), Wanders(2), "a")
    with pytest.raises(UpstreamError):
        await checkup._answer(lost.entry, ChatRequest(model="m", messages=()), Upstream(lost.script, Signs("a")))


# -- thinking whose proof a vendor of Anthropic's API refuses

SIGNED = {"type": "thinking", "thinking": "hm", "signature": "EqQBCkgIBxABGAIiQDanother"}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "whole"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 2},
}
REFUSED = "messages.1.content.0: Invalid `signature` in `thinking` block"
THOUGHT: JsonObject = {
    "model": "m",
    "max_tokens": 4096,
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [SIGNED, {"type": "text", "text": "yes"}]},
        {"role": "user", "content": "and now?"},
    ],
}


def types_sent(body: dict[str, object]) -> list[list[str]]:
    turns: list[dict[str, object]] = body["messages"]  # type: ignore[assignment]
    contents = (turn["content"] for turn in turns)
    return [[block["type"] for block in content] if isinstance(content, list) else ["text"] for content in contents]


@pytest.mark.parametrize("message", [REFUSED, "messages.1.content.0.thinking.signature: Field required"])
async def test_a_vendor_that_refuses_the_proof_of_thinking_is_asked_without_what_was_thought(message: str) -> None:
    one = House(Script(a=[complains(message), reply(MESSAGE)]), anthropic_like(), "a")
    answer = await one.whole(THOUGHT, ANTHROPIC)
    assert answer["content"] == MESSAGE["content"]
    (_, first), (_, second) = one.script.seen
    assert types_sent(first) == [["text"], ["thinking", "text"], ["text"]]
    assert types_sent(second) == [["text"], ["text"], ["text"]]
    assert second["thinking"] == THOUGHT["thinking"]


async def test_clients_of_other_apis_are_helped_the_same_way() -> None:
    extra = {"google": {"thought_signature": seal_part(ThinkingPart("hm", "EqQBCkg", "anthropic"))}}
    asked = {
        "model": "m",
        "reasoning_effort": "low",
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "yes", "extra_content": extra},
            {"role": "user", "content": "and now?"},
        ],
    }
    one = House(Script(a=[complains(REFUSED), reply(MESSAGE)]), anthropic_like(), "a")
    assert b"whole" in (await one.ask(asked)).body
    assert [types_sent(body)[1] for _, body in one.script.seen] == [["text", "thinking"], ["text"]]


async def test_another_complaint_or_nothing_thought_is_the_clients_to_hear() -> None:
    for message, body in (("max_tokens: too many", THOUGHT), (REFUSED, {**MESSAGES})):
        one = House(Script(a=[complains(message), reply(MESSAGE)]), anthropic_like(), "a")
        with pytest.raises(GatewayError):
            await one.ask(body, ANTHROPIC)
        assert len(one.script.seen) == 1


async def test_a_vendor_that_refuses_that_as_well_is_believed() -> None:
    one = House(Script(a=[complains(REFUSED)]), anthropic_like(), "a")
    with pytest.raises(GatewayError):
        await one.ask(THOUGHT, ANTHROPIC)
    assert len(one.script.seen) == 2
