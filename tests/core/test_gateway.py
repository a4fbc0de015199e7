"""The request path over a scripted transport: routing, failover, the commit point, endings and records."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import httpx
import pytest
from core.gateway_house import (
    ANTHROPIC,
    ANTHROPIC_WHOLE,
    CHAT,
    MESSAGES,
    OPENAI,
    STREAM,
    WHOLE,
    Body,
    anthropic_like,
    house,
    refused,
    reply,
    streamed,
)

from aigateway_core.answers import StreamAnswer
from aigateway_core.dialects.dialect import Dialect
from aigateway_core.errors import (
    ErrorKind,
    GatewayError,
    InvalidRequestError,
    NoAccountError,
    UnknownModelError,
    UnsupportedFeatureError,
    UpstreamError,
)
from aigateway_core.plugin import OpenAICompatibleConfig, OpenAICompatibleProvider

pytestmark = pytest.mark.anyio


# -- answers


async def test_a_native_answer_keeps_what_the_gateway_does_not_know_and_names_the_model_as_asked() -> None:
    it = house("a", a=[reply(WHOLE)])
    answer = await it.whole({**CHAT, "x_unknown": [1]})
    assert answer == {**WHOLE, "model": "m"}
    assert it.script.seen == [("a", {**CHAT, "x_unknown": [1]})]
    record = await it.record()
    assert record.native
    assert (record.outcome, record.input_tokens, record.output_tokens, record.finish_reason) == ("ok", 3, 2, "stop")


async def test_another_dialect_is_translated() -> None:
    it = house("a", a=[reply(WHOLE)])
    answer = await it.whole(MESSAGES, ANTHROPIC)
    assert answer["type"] == "message"
    assert answer["model"] == "m"
    assert answer["content"] == [{"type": "text", "text": "hello"}]
    record = await it.record()
    assert (record.native, record.dialect, record.input_tokens, record.finish_reason) == (False, "anthropic", 3, "stop")


async def test_a_native_stream_is_relayed_and_read_in_passing() -> None:
    it = house("a", a=[streamed(*STREAM)])
    got = await it.stream({**CHAT, "stream_options": {"include_usage": True}})
    assert got == b"".join(STREAM).replace(b"m-2026", b"m")
    record = await it.record()
    assert (record.outcome, record.streamed, record.native, record.output_tokens) == ("ok", True, True, 2)
    assert record.time_to_first_byte_ms is not None


async def test_usage_that_the_client_did_not_ask_for_is_kept_from_it_and_logged() -> None:
    it = house("a", a=[streamed(*STREAM)])
    got = await it.stream(CHAT)
    assert b'"usage":{' not in got
    assert it.script.seen[0][1]["stream_options"] == {"include_usage": True}
    assert (await it.record()).output_tokens == 2


async def test_a_stream_is_translated() -> None:
    it = house("a", a=[streamed(*STREAM)])
    got = await it.stream(MESSAGES, ANTHROPIC)
    assert got.startswith(b"event: message_start\n")
    assert got.rstrip().endswith(b'{"type":"message_stop"}')
    assert b"hel" in got
    record = await it.record()
    assert (record.outcome, record.finish_reason, record.output_tokens) == ("ok", "stop", 2)


async def test_a_stream_without_usage_is_logged_with_an_estimate() -> None:
    it = house("a", a=[streamed(*STREAM[:4], STREAM[5])])
    await it.stream(MESSAGES, ANTHROPIC)
    record = await it.record()
    assert record.usage_source == "estimate"
    assert record.output_tokens


@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC], ids=["native", "translated"])
async def test_case_170_an_upstream_that_does_not_stream_is_streamed_to_the_client(dialect: Dialect) -> None:
    it = house("a", a=[reply(WHOLE)])
    got = await it.stream(MESSAGES, dialect)
    assert b"hello" in got
    assert got.rstrip().endswith(b"[DONE]" if dialect is OPENAI else b'{"type":"message_stop"}')
    assert (await it.record()).output_tokens == 2


async def test_fields_that_get_lost_on_the_way_are_named_in_a_header() -> None:
    it = house("a", provider=anthropic_like(), a=[reply(ANTHROPIC_WHOLE)])
    answer = await it.ask({**CHAT, "seed": 7, "x_own": 1})
    assert set(answer.headers["x-aigateway-dropped"].split(", ")) == {"seed", "x_own"}


async def test_a_field_that_changes_the_answer_and_cannot_be_honoured_is_refused_before_any_call() -> None:
    it = house("a", provider=anthropic_like(), a=[reply(ANTHROPIC_WHOLE)])
    with pytest.raises(UnsupportedFeatureError, match="n"):
        await it.ask({**CHAT, "n": 2})
    assert it.script.seen == []
    assert (await it.record()).outcome == "invalid_request"


# -- failover


async def test_the_client_sees_only_good_answers_while_one_account_is_good() -> None:
    it = house("abc", a=[refused(401)], b=[refused(429)], c=[reply(WHOLE)])
    for _ in range(6):
        assert (await it.whole(CHAT))["model"] == "m"
    await it.recorder.aclose()
    assert {record.outcome for record in it.sink.records} == {"ok"}
    assert {record.account_id for record in it.sink.records} == {"c"}
    tried = [[(each.account_id, each.error_kind) for each in record.attempts] for record in it.sink.records]
    assert tried[0] == [("a", "credential"), ("b", "rate_limit"), ("c", None)]
    assert tried[1:] == [[("c", None)]] * 5
    assert sum(map(len, tried)) == len(it.script.seen)


async def test_case_159_a_stream_that_fails_before_its_first_content_moves_on_unnoticed() -> None:
    error = b'data: {"error":{"message":"overloaded","code":"server_is_overloaded"}}\n\n'
    it = house("ab", a=[streamed(STREAM[0], error)], b=[streamed(*STREAM)])
    assert b"overloaded" not in await it.stream(CHAT)
    record = await it.record()
    assert [each.error_kind for each in record.attempts] == ["overloaded", None]


async def test_a_stream_cut_before_its_first_content_moves_on_too() -> None:
    it = house("ab", a=[streamed(STREAM[0])], b=[streamed(*STREAM)])
    assert b"[DONE]" in await it.stream(CHAT)


@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC], ids=["native", "translated"])
async def test_case_159_a_failure_after_the_first_content_is_told_in_band_and_never_tried_again(
    dialect: Dialect,
) -> None:
    broken = streamed(*STREAM[:3], httpx.RemoteProtocolError("peer closed connection"))
    it = house("ab", a=[broken], b=[streamed(*STREAM)])
    got = await it.stream(MESSAGES, dialect)
    assert b"hel" in got
    assert b"[DONE]" not in got
    assert b"message_stop" not in got
    assert b"error" in got
    assert len(it.script.seen) == 1
    record = await it.record()
    assert (record.outcome, record.error_kind, record.status_code) == ("truncated", "protocol", 200)


@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC], ids=["native", "translated"])
async def test_a_cut_stream_is_never_dressed_up_as_a_clean_end(dialect: Dialect) -> None:
    it = house("a", a=[streamed(*STREAM[:3])])
    got = await it.stream(MESSAGES, dialect)
    assert b"[DONE]" not in got
    assert b"message_stop" not in got
    assert b"error" in got
    assert (await it.record()).outcome == "truncated"


async def test_a_bad_request_is_not_tried_on_another_account_and_costs_nobody_anything() -> None:
    it = house("ab", a=[refused(400)], b=[reply(WHOLE)])
    with pytest.raises(UpstreamError) as caught:
        await it.ask(CHAT)
    assert caught.value.kind is ErrorKind.INVALID_REQUEST
    assert len(it.script.seen) == 1
    assert (await it.whole(CHAT))["model"] == "m"
    assert [name for name, _ in it.script.seen] == ["a", "b"]


async def test_no_more_accounts_are_tried_than_the_setting_allows() -> None:
    it = house("abcde", **{name: [refused(500)] for name in "abcde"})
    with pytest.raises(UpstreamError):
        await it.ask(CHAT)
    assert len(it.script.seen) == 3
    assert len((await it.record()).attempts) == 3


async def test_case_148_when_every_account_is_limited_the_client_is_told_when_to_come_back() -> None:
    it = house("ab", a=[refused(429, **{"retry-after": "30"})], b=[refused(429, **{"retry-after": "7"})])
    with pytest.raises(GatewayError) as first:
        await it.ask(CHAT)
    assert first.value.kind is ErrorKind.RATE_LIMIT
    with pytest.raises(NoAccountError) as second:
        await it.ask(CHAT)
    assert second.value.retry_after is not None
    assert 5 <= second.value.retry_after <= 7
    assert len(it.script.seen) == 2


async def test_an_upstream_that_cannot_be_reached_is_an_upstream_error_without_dispatch() -> None:
    it = house("a", a=[httpx.ConnectError("refused")])
    with pytest.raises(UpstreamError) as caught:
        await it.ask(CHAT)
    assert caught.value.kind is ErrorKind.UNAVAILABLE
    record = await it.record()
    assert (record.outcome, record.attempts[0].dispatched) == ("upstream_error", False)


async def test_an_error_that_echoes_a_secret_reaches_nobody_with_it() -> None:
    echo = httpx.Response(
        400, json={"error": {"message": "bad key secret-of-a-12345", "type": "invalid_request_error"}}
    )
    it = house("a", a=[echo])
    it.recorder.vendor_messages = True
    with pytest.raises(UpstreamError) as caught:
        await it.ask(CHAT)
    assert "secret-of-a" not in caught.value.message
    stored = str((await it.record()).error)
    assert "bad key" in stored
    assert "secret-of-a" not in stored


async def test_a_provider_that_raises_something_of_its_own_is_an_internal_error_and_is_not_retried(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(OpenAICompatibleProvider):
        def endpoint(self, dialect: str, operation: str, model: str) -> None:
            return None

        async def complete(self, request, upstream):  # type: ignore[no-untyped-def]
            raise ZeroDivisionError("at home")

    it = house(
        "ab", provider=Broken(OpenAICompatibleConfig(base_url="http://vendor.test/v1", models=("m",))), a=[reply(WHOLE)]
    )
    with pytest.raises(UpstreamError, match="failed inside the gateway") as caught:
        await it.ask(CHAT)
    assert caught.value.kind is ErrorKind.INTERNAL
    assert len((await it.record()).attempts) == 1


# -- refusals


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{", InvalidRequestError),
        (b"", InvalidRequestError),
        (b"[1]", InvalidRequestError),
        ({"messages": []}, InvalidRequestError),
        ({"model": 5, "messages": []}, InvalidRequestError),
        ({"model": "m", "messages": [], "stream": "yes"}, InvalidRequestError),
        ({**CHAT, "model": "nobody"}, UnknownModelError),
    ],
)
async def test_what_the_caller_has_to_mend_is_refused_and_recorded(body: object, kind: type[GatewayError]) -> None:
    it = house("a", a=[reply(WHOLE)])
    with pytest.raises(kind):
        await it.ask(body)
    assert it.script.seen == []
    record = await it.record()
    assert record.outcome == "invalid_request"
    assert record.status_code in {400, 404}


async def test_a_provider_without_account_says_so() -> None:
    it = house("", a=[])
    with pytest.raises(NoAccountError, match="accounts add acme"):
        await it.ask(CHAT)
    assert (await it.record()).outcome == "gateway_error"


# -- clients that leave


async def test_a_client_that_leaves_before_the_answer_ends_the_call_and_is_recorded() -> None:
    it = house("a", a=[streamed(*STREAM, wait=60)])
    task = asyncio.create_task(it.stream(CHAT))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    record = await it.record()
    assert (record.outcome, record.status_code) == ("client_gone", 499)
    assert [(each.error_kind, each.dispatched) for each in record.attempts] == [("client_gone", True)]


@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC], ids=["native", "translated"])
async def test_case_101_a_client_that_leaves_in_the_middle_closes_the_upstream(dialect: Dialect) -> None:
    response = streamed(*STREAM)
    it = house("a", a=[response])
    async with AsyncExitStack() as exits:
        answer = await it.ask({**MESSAGES, "stream": True}, dialect, exits)
        assert isinstance(answer, StreamAnswer)
        await anext(aiter(answer))
    body = response.stream
    assert isinstance(body, Body)
    assert body.closed
    assert (await it.record()).outcome == "client_gone"


async def test_a_stream_that_nobody_ever_read_is_closed_and_recorded() -> None:
    response = streamed(*STREAM)
    it = house("a", a=[response])
    async with AsyncExitStack() as exits:
        await it.ask({**CHAT, "stream": True}, OPENAI, exits)
    body = response.stream
    assert isinstance(body, Body)
    assert body.closed
    assert (await it.record()).outcome == "client_gone"


@pytest.mark.parametrize("number", [1, 7])
async def test_every_call_is_recorded_once(number: int) -> None:
    it = house("ab", a=[reply(WHOLE)], b=[refused(500)])
    results = await asyncio.gather(*(it.ask(CHAT) for _ in range(number)), return_exceptions=True)
    assert not any(isinstance(each, Exception) for each in results)
    await it.recorder.aclose()
    assert len(it.sink.records) == number
    assert sum(len(record.attempts) for record in it.sink.records) == len(it.script.seen)


# -- headers


async def test_headers_that_are_part_of_the_dialect_reach_a_vendor_of_the_same_dialect() -> None:
    it = house("a", provider=anthropic_like(), a=[reply(ANTHROPIC_WHOLE)])
    said = {"anthropic-beta": "context-1m-2025-08-07", "anthropic-version": "2026-10-21", "x-own": "kept at home"}
    await it.ask(MESSAGES, ANTHROPIC, header=said.get)
    sent = it.script.headers[0]
    assert sent["anthropic-beta"] == "context-1m-2025-08-07"
    assert sent["anthropic-version"] == "2026-10-21"
    assert "x-own" not in sent


async def test_a_translated_request_carries_the_providers_headers_alone() -> None:
    it = house("a", provider=anthropic_like(), a=[reply(ANTHROPIC_WHOLE)])
    await it.ask(CHAT)
    assert it.script.headers[0]["anthropic-version"] == "2023-06-01"
    assert "anthropic-beta" not in it.script.headers[0]
