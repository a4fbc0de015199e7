"""What an upstream's Responses answer says, streamed and whole, whatever the server makes of the format."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs
import pytest
from core.dialects.response_samples import (
    BEGINNING,
    CALL,
    CALLED,
    CUSTOM,
    ENDING,
    REASONING,
    RESPONSE,
    RESPONSE_STREAM,
    SPOKEN,
    TEXT,
    THOUGHT,
    WRITTEN,
    at,
    lifecycle,
    response,
)
from core.dialects.sheet import sse

from aigateway_core.dialects.dialect import decode_events
from aigateway_core.dialects.openai_responses import OpenAIResponses
from aigateway_core.dialects.sse import SseParser
from aigateway_core.errors import ErrorKind, UpstreamError, UpstreamFailure
from aigateway_core.events import StreamEvent, fold
from aigateway_core.model import (
    ChatRequest,
    ChatResponse,
    FinishReason,
    JsonObject,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    Usage,
)

DIALECT = OpenAIResponses()
REQUEST = DIALECT.decode_request(
    {
        "model": "m",
        "input": "hi",
        "tools": [
            {"type": "custom", "name": "patch"},
            {"type": "namespace", "name": "gh", "tools": [{"type": "function", "name": "get"}]},
        ],
    }
)
SAID = (ThinkingPart("hm", "rs_1|gAAAA", "openai-responses"), TextPart("hi"))
CALLS = (ToolCallPart("call_1", "w", '{"a":1}'), ToolCallPart("call_2", "patch", '{"input":"text"}'))
WHOLE = ChatResponse(
    id="resp_1",
    model="up",
    parts=SAID + CALLS,
    finish_reason="tool_calls",
    usage=Usage(input_tokens=9, output_tokens=12, cache_read_tokens=1, cache_write_tokens=2, reasoning_tokens=3),
)


def decoded(items: Iterable[Any], request: ChatRequest = REQUEST) -> list[StreamEvent]:
    parser = SseParser()
    return decode_events(DIALECT.stream_decoder(request), [*parser.feed(sse(items)), *parser.flush()])


def parts(*items: Any) -> tuple[Any, ...]:
    return fold(decoded(items)).parts


def test_a_stream_and_a_whole_answer_say_the_same() -> None:
    assert fold(decoded(RESPONSE_STREAM)) == WHOLE
    assert DIALECT.decode_response(RESPONSE, REQUEST) == WHOLE


def done_alone() -> list[JsonObject]:
    return [event for event in RESPONSE_STREAM if event["type"] == "response.output_item.done"]


@pytest.mark.parametrize(
    "items",
    [
        [*done_alone(), ENDING],
        [ENDING],
        [BEGINNING[0], *done_alone(), lifecycle("completed", status="completed", usage=RESPONSE["usage"])],
        [event for event in RESPONSE_STREAM if not event["type"].endswith(".delta")],
        [event for event in RESPONSE_STREAM if not event["type"].endswith((".added", "_progress", ".created"))],
        [{k: v for k, v in event.items() if k != "item_id"} for event in RESPONSE_STREAM],
        [event | {"of_tomorrow": 1} for event in RESPONSE_STREAM] + [{"type": "response.of_tomorrow"}],
        [*RESPONSE_STREAM, b"data: [DONE]\n\n"],
        [*RESPONSE_STREAM, *SPOKEN, {"type": "error", "message": "late"}],
    ],
    ids=[
        "items_alone",
        "the_end_alone",
        "an_end_without_output",
        "no_deltas",
        "nothing_is_announced",
        "no_item_ids",
        "unknown_fields_and_events",
        "done",
        "something_after_the_end",
    ],
)
def test_servers_say_it_in_their_own_ways(items: list[Any]) -> None:
    answer = fold(decoded(items))
    assert (answer.parts, answer.finish_reason, answer.usage) == (WHOLE.parts, WHOLE.finish_reason, WHOLE.usage)


def test_a_proof_that_comes_too_late_is_left_out() -> None:
    answer = fold(decoded(event for event in RESPONSE_STREAM if event["type"] != "response.output_item.done"))
    assert answer.parts == (ThinkingPart("hm", origin="openai-responses"), *WHOLE.parts[1:])


def test_names_are_restored_from_their_namespace() -> None:
    call = CALL | {"name": "get", "namespace": "gh"}
    assert parts(lifecycle("completed", status="completed", output=[call])) == (
        ToolCallPart("call_1", "gh__get", '{"a":1}'),
    )


def test_several_summaries_are_paragraphs_of_one_thought() -> None:
    summaries = [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]
    item = REASONING | {"summary": summaries}
    delta = "reasoning_summary_text.delta"
    streamed = [at(0, delta, item_id="rs_1", summary_index=number, delta=text) for number, text in enumerate("ab")]
    expected = (ThinkingPart("a\n\nb", "rs_1|gAAAA", "openai-responses"),)
    end = lifecycle("completed", status="completed", output=[item])
    assert parts(end) == parts(THOUGHT[0], *streamed, end) == expected


def test_reasoning_in_plain_text() -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}
    streamed = at(0, "reasoning_text.delta", item_id="rs_1", content_index=0, delta="hm")
    end = lifecycle("completed", status="completed", output=[item])
    assert parts(end) == parts(streamed, end) == (ThinkingPart("hm", origin="openai-responses"),)


def test_reasoning_items_in_a_row_without_a_proof_are_one_thought() -> None:
    items = [{"type": "reasoning", "id": f"rs_{n}", "summary": [{"type": "summary_text", "text": n}]} for n in "ab"]
    assert parts(lifecycle("completed", status="completed", output=items)) == (
        ThinkingPart("a\n\nb", origin="openai-responses"),
    )


def test_a_refusal_is_text_and_the_reason_of_the_end() -> None:
    message = TEXT | {"content": [{"type": "refusal", "refusal": "no"}]}
    delta = at(0, "refusal.delta", item_id="msg_1", content_index=0, delta="no")
    end = lifecycle("completed", status="completed", output=[message])
    for items in ([end], [delta, end]):
        answer = fold(decoded(items))
        assert (answer.text, answer.finish_reason) == ("no", "content_filter")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"status": "completed", "output": [TEXT]}, "stop"),
        ({"status": "completed", "output": [TEXT, CALL]}, "tool_calls"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter"),
        ({"status": "incomplete", "incomplete_details": {"reason": "of_tomorrow"}}, "length"),
        ({"status": "incomplete", "incomplete_details": None}, "length"),
    ],
)
def test_why_it_stopped(fields: JsonObject, reason: FinishReason) -> None:
    body = response(**fields)
    assert DIALECT.decode_response(body, REQUEST).finish_reason == reason
    assert fold(decoded([{"type": f"response.{fields['status']}", "response": body}])).finish_reason == reason


def test_an_incomplete_event_says_so_where_its_response_does_not() -> None:
    assert fold(decoded([{"type": "response.incomplete", "response": {"output": [TEXT]}}])).finish_reason == "length"


def test_a_free_text_that_was_cut_does_not_look_whole() -> None:
    (call,) = parts(*WRITTEN[:2], lifecycle("incomplete", status="incomplete"))
    assert call == ToolCallPart("call_2", "patch", '{"input":"te')


def test_a_free_text_whose_item_never_came() -> None:
    (call,) = parts(*WRITTEN[:3], lifecycle("completed", status="completed"))
    assert call == ToolCallPart("call_2", "patch", '{"input":"text"}')


def test_ids_and_names_that_a_server_forgot_are_made_up() -> None:
    bare = {"type": "function_call", "arguments": "{}"}
    events = [{"type": "response.completed", "response": {"output": [bare, bare]}}]
    answer = fold(decoded(events))
    first, second = answer.parts
    assert isinstance(first, ToolCallPart)
    assert isinstance(second, ToolCallPart)
    assert (first.name, second.name, answer.model) == ("tool_0", "tool_1", "m")
    assert first.id != second.id
    assert answer.id.startswith("resp_")
    assert fold(decoded(events)) == answer


# -- errors


@pytest.mark.parametrize("length", range(1, len(RESPONSE_STREAM)))
def test_a_stream_without_its_last_event_was_cut(length: int) -> None:
    with pytest.raises(UpstreamError) as caught:
        decoded(RESPONSE_STREAM[:length])
    assert caught.value.kind is ErrorKind.PROTOCOL


def broken(code: str, message: str = "boom") -> JsonObject:
    return response(status="failed", error={"code": code, "message": message})


@pytest.mark.parametrize(
    ("code", "kind", "scope"),
    [
        ("server_error", ErrorKind.SERVER, "request"),
        ("rate_limit_exceeded", ErrorKind.RATE_LIMIT, "model"),
        ("insufficient_quota", ErrorKind.QUOTA, "account"),
        ("context_length_exceeded", ErrorKind.CONTEXT_LENGTH, "request"),
        ("server_is_overloaded", ErrorKind.OVERLOADED, "request"),
        ("invalid_prompt", ErrorKind.INVALID_REQUEST, "request"),
        ("image_too_large", ErrorKind.INVALID_REQUEST, "request"),
        ("bio_policy", ErrorKind.CONTENT_FILTER, "request"),
        ("vector_store_timeout", ErrorKind.TIMEOUT, "request"),
        ("of_tomorrow", ErrorKind.SERVER, "request"),
    ],
)
def test_failures_within(code: str, kind: ErrorKind, scope: str) -> None:
    told: list[Callable[[], Any]] = [
        lambda: decoded([*BEGINNING, {"type": "response.failed", "response": broken(code)}]),
        lambda: decoded([*BEGINNING, {"type": "error", "code": code, "message": "boom", "param": None}]),
        lambda: decoded([*BEGINNING, {"error": {"code": code, "message": "boom"}}]),
        lambda: DIALECT.decode_response(broken(code), REQUEST),
    ]
    for way in told:
        with pytest.raises(UpstreamError) as caught:
            way()
        assert (caught.value.kind, caught.value.scope, caught.value.message) == (kind, scope, "boom")


def test_the_wait_is_read_out_of_a_failure() -> None:
    failed = {"type": "response.failed", "response": broken("rate_limit_exceeded", "Please try again in 1.5s.")}
    with pytest.raises(UpstreamError) as caught:
        decoded([failed])
    assert caught.value.retry_after == 1.5


def test_a_provider_judges_failures_itself() -> None:
    def classify(failure: UpstreamFailure) -> UpstreamError:
        return UpstreamError(ErrorKind.QUOTA, failure.body.decode())

    decoder = DIALECT.stream_decoder(REQUEST, classify)
    with pytest.raises(UpstreamError, match="boom") as caught:
        decode_events(decoder, SseParser().feed(sse([{"type": "response.failed", "response": broken("x")}])))
    assert caught.value.kind is ErrorKind.QUOTA
    with pytest.raises(UpstreamError, match="boom"):
        DIALECT.decode_response(broken("x"), REQUEST, classify)


@pytest.mark.parametrize(
    "items",
    [
        [{"type": "response.cancelled", "response": response(status="cancelled")}],
        [{"type": "response.failed"}],
        [{"type": "response.completed"}],
        [b"data: {\n\n"],
        [b"data: 1\n\n"],
        [b"event: error\ndata: gone\n\n"],
        [b"event: error\n\n"],
    ],
)
def test_what_is_no_answer(items: list[Any]) -> None:
    with pytest.raises(UpstreamError):
        decoded(items)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"error": "boom"},
        {"message": "boom"},
        {"output": None},
        {"output": [], "status": "queued"},
        {"output": [], "status": "in_progress"},
        {"output": [], "status": "cancelled"},
        {"object": "response", "status": "failed", "error": None},
    ],
)
def test_what_is_no_whole_answer(body: JsonObject) -> None:
    with pytest.raises(UpstreamError):
        DIALECT.decode_response(body, REQUEST)


def test_an_answer_is_taken_by_what_is_in_it() -> None:
    odd: list[Any] = [None, 1, {}, {"type": "message", "content": None}, {"type": "of_tomorrow"}, CALL | {"id": None}]
    answer = DIALECT.decode_response({"output": [*odd, CUSTOM], "usage": {"input_tokens": "many"}}, REQUEST)
    assert answer.parts == CALLS
    assert answer.usage is None


def test_shortened_calls_keep_their_order() -> None:
    items = [*BEGINNING, CALLED[0], WRITTEN[0], *WRITTEN[1:], *CALLED[1:], ENDING]
    answer = fold(decoded(items))
    assert [part for part in answer.parts if isinstance(part, ToolCallPart)] == list(CALLS)
    assert attrs.evolve(answer, parts=()) == attrs.evolve(WHOLE, parts=())


@pytest.mark.parametrize("count", [2.0**64, 2**63, -1])
def test_counts_that_cannot_be_are_held_within_bounds(count: float) -> None:
    usage = DIALECT.decode_response(response(usage={"input_tokens": count, "output_tokens": count}), REQUEST).usage
    assert usage is not None
    assert 0 <= usage.input_tokens == usage.output_tokens <= 2**53
