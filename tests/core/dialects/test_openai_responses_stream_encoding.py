"""The events that a Responses client receives, and the whole answers that say the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from aigateway_core.dialects.openai_responses import OpenAIResponses
from aigateway_core.dialects.signatures import unseal_part
from aigateway_core.dialects.sse import SseParser
from aigateway_core.errors import ErrorKind, GatewayError, UpstreamError
from aigateway_core.events import (
    RedactedThinking,
    SignatureDelta,
    StreamEvent,
    StreamFinish,
    StreamStart,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageUpdate,
)
from aigateway_core.model import (
    ChatRequest,
    ChatResponse,
    FinishReason,
    JsonObject,
    Message,
    Reasoning,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    Usage,
)

DIALECT = OpenAIResponses()
EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
REQUEST = ChatRequest(model="mine", stream=True, messages=(Message("user", (TextPart("hi"),)),))
HIDING = ChatRequest(model="mine", stream=True, messages=REQUEST.messages, reasoning=Reasoning("low", summary=False))
PATCHING = DIALECT.decode_request({"model": "m", "input": "hi", "tools": [{"type": "custom", "name": "patch"}]})
START = StreamStart("msg_1", "up")


def parsed(wire: bytes) -> list[JsonObject]:
    events = SseParser().feed(wire)
    for event in events:
        EVENTS.validate_json(event.data, strict=True)
    return [json.loads(event.data) for event in events]


def encoded(*events: StreamEvent, request: ChatRequest = REQUEST) -> list[JsonObject]:
    encoder = DIALECT.stream_encoder(request)
    return parsed(b"".join([encoder.encode(event) for event in (START, *events)] + [encoder.end()]))


def kinds(events: list[JsonObject]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def output(*events: StreamEvent, request: ChatRequest = REQUEST) -> list[JsonObject]:
    return list(encoded(*events, request=request)[-1]["response"]["output"])


def test_the_response_object_is_complete_from_the_beginning() -> None:
    created, in_progress, completed = encoded(StreamFinish("stop"))
    for event in (created, in_progress, completed):
        Response.model_validate(event["response"], strict=True)
    first = created["response"]
    assert (first["id"], first["model"], first["status"], first["output"]) == ("resp_msg_1", "mine", "in_progress", [])
    assert (completed["response"]["status"], completed["response"]["incomplete_details"]) == ("completed", None)


def test_what_was_asked_for_is_told_again() -> None:
    request = DIALECT.decode_request(
        {
            "model": "m",
            "input": "hi",
            "tools": [{"type": "function", "name": "w", "parameters": {"type": "object", "properties": {}}}],
            "tool_choice": "required",
            "parallel_tool_calls": False,
            "temperature": 0.5,
            "max_output_tokens": 9,
            "reasoning": {"effort": "low", "summary": "auto"},
            "text": {"format": {"type": "json_object"}},
            "metadata": {"a": "b"},
        }
    )
    told = DIALECT.encode_response(ChatResponse(id="resp_1", model="up"), request)
    assert [tool["name"] for tool in told["tools"]] == ["w"]
    names = ("tool_choice", "parallel_tool_calls", "temperature", "max_output_tokens", "reasoning", "text", "metadata")
    assert [told[name] for name in names] == [
        "required",
        False,
        0.5,
        9,
        {"effort": "low", "summary": "auto"},
        {"format": {"type": "json_object"}},
        {"a": "b"},
    ]


def test_the_order_of_reasoning_text_and_a_call() -> None:
    events = encoded(
        ThinkingDelta("h", "glm"),
        ThinkingDelta("m", "glm"),
        TextDelta("ok"),
        ToolCallStart(0, "call_a", "w"),
        ToolCallDelta(0, '{"a":'),
        ToolCallDelta(0, "1}"),
        StreamFinish("tool_calls"),
        UsageUpdate(Usage(input_tokens=3, output_tokens=2)),
    )
    assert kinds(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[-1]["response"]["usage"]["total_tokens"] == 5


def test_calls_whose_arguments_are_mixed_keep_apart() -> None:
    told = output(
        ToolCallStart(0, "a", "w"),
        ToolCallStart(1, "b", "x"),
        ToolCallDelta(1, "{"),
        ToolCallDelta(0, '{"n":0}'),
        TextDelta("late"),
        ToolCallDelta(1, "}"),
        StreamFinish("tool_calls"),
    )
    assert [(item["type"], item.get("call_id"), item.get("arguments")) for item in told] == [
        ("function_call", "a", '{"n":0}'),
        ("function_call", "b", "{}"),
        ("message", None, None),
    ]


def test_thinking_comes_back_as_it_was() -> None:
    told = output(
        ThinkingDelta("a", "anthropic"),
        SignatureDelta("sig", "anthropic"),
        RedactedThinking("sealed", "anthropic"),
        SignatureDelta("rs_1|enc", "openai-responses"),
        TextDelta("ok"),
        StreamFinish("stop"),
    )
    assert [unseal_part(item["encrypted_content"]) for item in told[:-1]] == [
        ThinkingPart("a", "sig", "anthropic"),
        ThinkingPart("", origin="anthropic", redacted="sealed"),
        ThinkingPart("", "rs_1|enc", "openai-responses"),
    ]
    assert [item["summary"] for item in told[:-1]] == [[{"type": "summary_text", "text": "a"}], [], []]


def test_thinking_that_is_not_to_be_seen_is_kept_all_the_same() -> None:
    events = encoded(ThinkingDelta("a", "glm"), TextDelta("ok"), StreamFinish("stop"), request=HIDING)
    assert not any("summary" in kind for kind in kinds(events))
    item = events[-1]["response"]["output"][0]
    assert item["summary"] == []
    assert unseal_part(item["encrypted_content"]) == ThinkingPart("a", origin="glm")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (['{"in', 'put":"a\\nb"}'], "a\nb"),
        (["*** Begin"], "*** Begin"),
        (['{"patch":"a"}'], "a"),
        (['"a"'], "a"),
        (['{"a":1,"b":2}'], '{"a":1,"b":2}'),
        (["{}"], ""),
        ([], ""),
    ],
)
def test_free_text_is_taken_out_of_the_arguments(arguments: list[str], text: str) -> None:
    deltas = [ToolCallDelta(0, piece) for piece in arguments]
    events = encoded(ToolCallStart(0, "a", "patch"), *deltas, StreamFinish("tool_calls"), request=PATCHING)
    told = "".join(event["delta"] for event in events if event["type"] == "response.custom_tool_call_input.delta")
    assert told == text == events[-1]["response"]["output"][0]["input"]


def test_free_text_that_was_broken_off_in_a_whole_answer_is_an_error() -> None:
    encoder = DIALECT.stream_encoder(PATCHING)
    for event in (START, ToolCallStart(0, "a", "patch"), ToolCallDelta(0, '{"input":"*** Beg')):
        encoder.encode(event)
    with pytest.raises(UpstreamError, match="broke off"):
        encoder.encode(StreamFinish("tool_calls"))
    broken = ChatResponse(id="r", model="m", parts=(ToolCallPart("a", "patch", '{"input":"*** Beg'),))
    with pytest.raises(UpstreamError, match="broke off"):
        DIALECT.encode_response(broken, PATCHING)


@pytest.mark.parametrize(
    ("reason", "status", "details"),
    [
        ("stop", "completed", None),
        ("stop_sequence", "completed", None),
        ("tool_calls", "completed", None),
        ("pause", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("context_window", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
    ],
)
def test_how_an_answer_ends(reason: FinishReason, status: str, details: Any) -> None:
    last = encoded(TextDelta("hi"), StreamFinish(reason))[-1]
    assert last["type"] == f"response.{status}"
    assert (last["response"]["status"], last["response"]["incomplete_details"]) == (status, details)
    assert last["response"]["output"][0]["status"] == status


def test_a_whole_call_before_the_limit_is_a_call() -> None:
    told = output(
        ToolCallStart(0, "a", "w"),
        ToolCallDelta(0, "{}"),
        ToolCallStart(1, "b", "w"),
        ToolCallDelta(1, '{"n'),
        StreamFinish("length"),
    )
    assert [(item["call_id"], item["status"]) for item in told] == [("a", "completed"), ("b", "incomplete")]


def test_what_comes_after_the_finish_is_ignored_but_for_the_usage() -> None:
    events = encoded(StreamFinish("stop"), TextDelta("late"), UsageUpdate(Usage(input_tokens=7)))
    assert kinds(events) == ["created", "in_progress", "completed"]
    assert events[-1]["response"]["usage"]["input_tokens"] == 7


def test_an_answer_without_a_finish_has_no_end() -> None:
    encoder = DIALECT.stream_encoder(REQUEST)
    encoder.encode(TextDelta("hi"))
    with pytest.raises(UpstreamError, match="cut"):
        encoder.end()


def test_ids_differ_between_answers_and_are_the_same_for_the_same_one() -> None:
    def ids(start: str) -> list[str]:
        body = DIALECT.encode_response(ChatResponse(id=start, model="m", parts=(TextPart("hi"),)), REQUEST)
        return [body["id"], body["output"][0]["id"]]

    assert ids("a") == ids("a")
    assert not set(ids("a")) & set(ids("b"))
    assert ids("")[0].startswith("resp_")


# -- failures within


def failed(error: GatewayError, *events: StreamEvent) -> list[JsonObject]:
    encoder = DIALECT.stream_encoder(REQUEST)
    wire = b"".join(encoder.encode(event) for event in events)
    return [json.loads(event.data) for event in SseParser().feed(wire + (encoder.fail(error, "req_1") or b""))]


def test_a_failure_fits_what_was_sent_before() -> None:
    error = UpstreamError(ErrorKind.SERVER, "broken")
    events = failed(error, START, TextDelta("a"), ToolCallStart(0, "c", "w"), ToolCallDelta(0, "{}"))
    first, last = events[0], events[-1]
    assert last["type"] == "response.failed"
    assert last["sequence_number"] == len(events) - 1
    assert last["response"]["id"] == first["response"]["id"]
    assert last["response"]["status"] == "failed"
    assert last["response"]["error"] == {"code": "server_error", "message": "broken"}
    assert [item["type"] for item in last["response"]["output"]] == ["message"]
    EVENTS.validate_python(last, strict=True)


def test_a_failure_before_anything_was_sent_begins_the_response_first() -> None:
    assert kinds(failed(UpstreamError(ErrorKind.SERVER, "broken"))) == ["created", "in_progress", "failed"]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UpstreamError(ErrorKind.CONTEXT_LENGTH, "too long"), "context_length_exceeded", "too long"),
        (UpstreamError(ErrorKind.QUOTA, "spent"), "insufficient_quota", "spent"),
        (UpstreamError(ErrorKind.OVERLOADED, "busy"), "server_is_overloaded", "busy"),
        (UpstreamError(ErrorKind.RATE_LIMIT, "slow down"), "rate_limit_exceeded", "slow down"),
        (
            UpstreamError(ErrorKind.RATE_LIMIT, "slow down.", retry_after=1.5),
            "rate_limit_exceeded",
            "slow down. Please try again in 1.500s.",
        ),
        (
            UpstreamError(ErrorKind.RATE_LIMIT, "please try again in 2s", retry_after=2),
            "rate_limit_exceeded",
            "please try again in 2s",
        ),
        (UpstreamError(ErrorKind.CONTENT_FILTER, "no"), "invalid_prompt", "no"),
        (UpstreamError(ErrorKind.CREDENTIAL, "login"), "server_error", "login"),
        (GatewayError("internal error"), "server_error", "internal error"),
    ],
)
def test_failures_have_codes_that_codex_acts_on(error: GatewayError, code: str, message: str) -> None:
    expected = {"code": code, "message": message}
    assert failed(error, START)[-1]["response"]["error"] == expected
    (event,) = SseParser().feed(DIALECT.encode_stream_error(error, "req_1"))
    told = json.loads(event.data)
    assert (event.event, told["type"]) == ("response.failed", "response.failed")
    assert told["response"]["error"] == expected
    assert told["response"]["id"] == "resp_req_1"
