"""Answers and streams of the Gemini dialect, read and written and relayed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import httpx
import orjson
import pytest
from core.dialects.gemini_samples import (
    ANSWER,
    ARRAY,
    GEMINI,
    REFUSAL,
    REQUEST,
    STREAM,
    check_answer,
    chunk,
    chunks_of,
    decoded,
    encoded,
    read,
    wire,
)
from google import genai
from google.genai import errors as genai_errors
from google.genai import types

from aigateway_core.errors import ErrorKind, UpstreamError
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
    fold,
    unfold,
)
from aigateway_core.model import (
    ChatResponse,
    FinishReason,
    JsonObject,
    Reasoning,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    Usage,
)

STOPPED = chunk({"text": ""}, finish="STOP")
CALL = {"functionCall": {"name": "w", "args": {"a": 1}}}
START = StreamStart("r1", "m")


def shown(*events: StreamEvent) -> list[list[JsonObject]]:
    """The parts of each chunk that the client receives."""
    items = chunks_of(encoded(GEMINI, [START, *events, StreamFinish("stop")]))
    return [item["candidates"][0]["content"]["parts"] for item in items[:-1]]


# -- from an upstream


def test_a_stream_is_read_piece_by_piece() -> None:
    start, *events, finish = decoded([wire(STREAM)])
    assert start == StreamStart("r1", "gemini-upstream")
    assert isinstance(events[5], ToolCallStart)
    assert events == [
        ThinkingDelta("hm", "gemini"),
        TextDelta("hel"),
        TextDelta("lo"),
        SignatureDelta("c2ln", "gemini"),
        RedactedThinking("c2lnMg==", "gemini"),
        ToolCallStart(0, events[5].id, "w"),
        ToolCallDelta(0, '{"a":1}'),
        UsageUpdate(Usage(input_tokens=29, output_tokens=212, cache_read_tokens=9, reasoning_tokens=202)),
    ]
    assert finish == StreamFinish("tool_calls")


def test_a_whole_answer_is_read_as_its_stream_would_be() -> None:
    whole = GEMINI.decode_response(ANSWER, REQUEST)
    assert whole.parts == (
        ThinkingPart("hm", origin="gemini"),
        TextPart("hi"),
        ThinkingPart("", "c2ln", "gemini"),
        ThinkingPart("", origin="gemini", redacted="c2lnMg=="),
        ToolCallPart("c1", "w", '{"a":1}'),
    )
    assert read(wire([ANSWER])) == whole


def test_calls_without_ids_get_their_own_which_stay_the_same() -> None:
    first, second = read(wire([chunk(CALL), chunk(CALL), STOPPED])).parts
    assert isinstance(first, ToolCallPart)
    assert isinstance(second, ToolCallPart)
    assert first.id != second.id
    assert read(wire([chunk(CALL, CALL), STOPPED])).parts == (first, second)


def test_a_signature_behind_thoughts_belongs_to_them() -> None:
    pieces = [chunk({"text": "hm", "thought": True}), chunk({"text": "", "thoughtSignature": "c2ln"}), STOPPED]
    assert read(wire(pieces)).parts == (ThinkingPart("hm", "c2ln", "gemini"),)


def test_snake_case_is_read_in_answers_too() -> None:
    part = {"function_call": {"name": "w", "id": "a"}, "thought_signature": "c2ln"}
    body = {
        "candidates": [{"content": {"parts": [part]}, "finish_reason": "MAX_TOKENS"}],
        "usage_metadata": {"prompt_token_count": 3},
        "model_version": "v",
        "response_id": "r",
    }
    answer = GEMINI.decode_response(body, REQUEST)
    assert (answer.id, answer.model, answer.finish_reason) == ("r", "v", "length")
    assert answer.parts == (ThinkingPart("", origin="gemini", redacted="c2ln"), ToolCallPart("a", "w", "{}"))
    assert answer.usage == Usage(input_tokens=3)


@pytest.mark.parametrize(
    ("word", "parts", "expected"),
    [
        ("STOP", [{"text": "x"}], "stop"),
        ("STOP", [CALL], "tool_calls"),
        ("OTHER", [CALL], "tool_calls"),
        ("OTHER", [{"text": "x"}], "stop"),
        ("FINISH_REASON_UNSPECIFIED", [{"text": "x"}], "stop"),
        ("SOMETHING_NEW", [{"text": "x"}], "stop"),
        ("MAX_TOKENS", [{"text": "x"}], "length"),
        ("MALFORMED_FUNCTION_CALL", [CALL], "tool_calls"),
        *(
            (word, [], "content_filter")
            for word in (
                "SAFETY",
                "RECITATION",
                "BLOCKLIST",
                "PROHIBITED_CONTENT",
                "SPII",
                "MODEL_ARMOR",
                "IMAGE_SAFETY",
            )
        ),
    ],
)
def test_why_the_model_stopped_is_read(word: str, parts: list[JsonObject], expected: FinishReason) -> None:
    body = chunk(*parts, finish=word)
    assert GEMINI.decode_response(body, REQUEST).finish_reason == expected
    assert read(wire([chunk(*parts), chunk(finish=word)])).finish_reason == expected


@pytest.mark.parametrize("word", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MISSING_THOUGHT_SIGNATURE"])
def test_an_action_that_failed_is_never_a_clean_end(word: str) -> None:
    pieces = [chunk({"text": "I shall call w"}), {"candidates": [{"content": {}, "finishReason": word}]}]
    with pytest.raises(UpstreamError, match=word) as caught:
        read(wire(pieces))
    assert (caught.value.kind, caught.value.retryable) == (ErrorKind.SERVER, True)


def test_an_empty_answer_of_a_model_that_stopped_is_one() -> None:
    assert read(wire([STOPPED])).parts == ()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"candidates": []},
        {"candidates": {}},
        {"candidates": [5]},
        {"candidates": [{"content": {"parts": [{"text": 5}]}, "finishReason": "STOP"}]},
        {"candidates": [{"content": {"parts": [{"functionCall": {}}]}, "finishReason": "STOP"}]},
        {"candidates": [{"content": {}, "finishReason": "OTHER"}]},
        {"candidates": [{"content": {"parts": [{"text": "x"}]}}], "usageMetadata": {"promptTokenCount": "many"}},
    ],
)
def test_what_is_no_answer_is_the_upstreams_fault(body: JsonObject) -> None:
    with pytest.raises(UpstreamError):
        GEMINI.decode_response(body, REQUEST)


def test_a_stream_without_a_reason_for_its_end_was_cut() -> None:
    with pytest.raises(UpstreamError, match="cut before its end"):
        read(wire(STREAM[:-1]))
    with pytest.raises(UpstreamError, match="cut before its end"):
        read(b"")


def test_usage_may_follow_the_finish_and_the_last_one_counts() -> None:
    late = {"usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 25}}
    early = chunk({"text": "x"}, usageMetadata={"promptTokenCount": 1, "candidatesTokenCount": 10})
    *_, usage, finish = decoded([wire([early, STOPPED, late])])
    assert usage == UsageUpdate(Usage(input_tokens=1, output_tokens=25))
    assert finish == StreamFinish("stop")


@pytest.mark.parametrize("error", [REFUSAL, [REFUSAL]])
def test_an_error_inside_a_stream_is_raised_with_its_kind(error: Any) -> None:
    with pytest.raises(UpstreamError, match="exhausted your capacity") as caught:
        read(wire([STREAM[1], error]))
    assert (caught.value.kind, caught.value.retry_after) == (ErrorKind.RATE_LIMIT, 3.2)


def test_an_error_that_came_as_200_is_judged_by_whom_the_provider_names() -> None:
    def classify(_: object) -> UpstreamError:
        return UpstreamError(ErrorKind.QUOTA, "mine")

    with pytest.raises(UpstreamError, match="mine"):
        GEMINI.decode_response(REFUSAL, REQUEST, classify)


# -- to a client


def test_an_answer_is_written() -> None:
    whole = GEMINI.decode_response(ANSWER, REQUEST)
    assert GEMINI.encode_response(whole, REQUEST) == {**ANSWER, "modelVersion": "mine"}


@pytest.mark.parametrize("wish", [None, Reasoning("high", summary=False)])
def test_thoughts_are_shown_to_whom_asks_for_them_alone(wish: Reasoning | None) -> None:
    request = attrs.evolve(REQUEST, reasoning=wish)
    response = ChatResponse(id="r", model="m", parts=(ThinkingPart("hm", origin="gemini"), TextPart("ok")))
    parts = GEMINI.encode_response(response, request)["candidates"][0]["content"]["parts"]
    assert parts == [{"text": "ok"}]
    assert b"hm" not in encoded(GEMINI, unfold(response), request)


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("stop", "STOP"),
        ("stop_sequence", "STOP"),
        ("tool_calls", "STOP"),
        ("pause", "STOP"),
        ("length", "MAX_TOKENS"),
        ("context_window", "MAX_TOKENS"),
        ("content_filter", "SAFETY"),
    ],
)
def test_why_the_model_stopped_is_written(reason: FinishReason, word: str) -> None:
    response = ChatResponse(id="r", model="m", parts=(TextPart("ok"),), finish_reason=reason)
    body = GEMINI.encode_response(response, REQUEST)
    check_answer(body)
    assert body["candidates"][0]["finishReason"] == word
    assert chunks_of(encoded(GEMINI, unfold(response)))[-1]["candidates"][0]["finishReason"] == word


def test_an_answer_without_parts_has_an_empty_text() -> None:
    body = GEMINI.encode_response(ChatResponse(id="", model="m"), REQUEST)
    assert check_answer(body).text == ""
    assert body["responseId"]
    assert body["usageMetadata"]["promptTokenCount"] > 0


def test_arguments_wait_until_they_are_complete_and_what_follows_waits_with_them() -> None:
    encoder = GEMINI.stream_encoder(REQUEST)
    written = [
        encoder.encode(event)
        for event in (
            START,
            ToolCallStart(0, "a", "w"),
            ToolCallDelta(0, '{"x":{"y":1}'),
            TextDelta("so"),
            ToolCallDelta(0, "}"),
        )
    ]
    assert written[:4] == [b"", b"", b"", b""]
    parts = chunks_of(written[4])[0]["candidates"][0]["content"]["parts"]
    assert parts == [{"functionCall": {"id": "a", "name": "w", "args": {"x": {"y": 1}}}}, {"text": "so"}]


def test_calls_that_come_interleaved_leave_one_after_the_other() -> None:
    sent = shown(
        ToolCallStart(0, "a", "w"),
        ToolCallStart(1, "b", "v"),
        ToolCallDelta(1, "{}"),
        ToolCallDelta(0, '{"x":1}'),
    )
    assert sent == [
        [
            {"functionCall": {"id": "a", "name": "w", "args": {"x": 1}}},
            {"functionCall": {"id": "b", "name": "v", "args": {}}},
        ]
    ]


def test_a_call_without_arguments_leaves_with_the_end() -> None:
    assert shown(ToolCallStart(0, "a", "w")) == [[{"functionCall": {"id": "a", "name": "w", "args": {}}}]]


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_a_call_that_was_cut_off_with_the_answer_is_left_out(reason: FinishReason) -> None:
    events = [START, TextDelta("so"), ToolCallStart(0, "a", "w"), ToolCallDelta(0, '{"x":'), StreamFinish(reason)]
    assert b"functionCall" not in encoded(GEMINI, events)
    body = GEMINI.encode_response(fold(events), REQUEST)
    assert body["candidates"][0]["content"]["parts"] == [{"text": "so"}]


def test_a_call_that_is_cut_off_in_a_whole_answer_is_an_error() -> None:
    events = [START, ToolCallStart(0, "a", "w"), ToolCallDelta(0, '{"x":'), StreamFinish("tool_calls")]
    with pytest.raises(UpstreamError, match="broke off the arguments"):
        encoded(GEMINI, events)
    with pytest.raises(UpstreamError, match="broke off the arguments"):
        GEMINI.encode_response(fold(events), REQUEST)


def test_the_last_chunk_has_the_finish_and_the_usage_that_came_after_it() -> None:
    usage = Usage(input_tokens=3, output_tokens=7, reasoning_tokens=2)
    last = chunks_of(encoded(GEMINI, [START, TextDelta("x"), StreamFinish("stop"), UsageUpdate(usage)]))[-1]
    assert last["candidates"][0]["finishReason"] == "STOP"
    assert last["usageMetadata"] == {
        "promptTokenCount": 3,
        "candidatesTokenCount": 5,
        "thoughtsTokenCount": 2,
        "totalTokenCount": 10,
    }


def test_without_usage_the_last_chunk_has_an_estimate() -> None:
    last = chunks_of(encoded(GEMINI, [START, TextDelta("hello there"), StreamFinish("stop")]))[-1]
    assert last["usageMetadata"]["candidatesTokenCount"] > 0


def test_what_comes_after_the_finish_is_ignored() -> None:
    events = [START, StreamFinish("stop"), TextDelta("late")]
    assert b"late" not in encoded(GEMINI, events)


def test_thinking_of_others_is_sealed_when_it_ends() -> None:
    sent = shown(ThinkingDelta("h", "glm"), ThinkingDelta("m", "glm"), TextDelta("ok"))
    assert [list(map(set, parts)) for parts in sent] == [
        [{"text", "thought"}],
        [{"text", "thought"}],
        [{"text", "thought", "thoughtSignature"}, {"text"}],
    ]
    contents = [{"role": "model", "parts": [part]} for parts in sent for part in parts]
    turn = GEMINI.decode_request({"model": "m", "contents": [{"parts": [{"text": "hi"}]}, *contents]}).messages[1]
    assert turn.parts == (ThinkingPart("hm", origin="glm"), TextPart("ok"))


# -- the official SDK


def asked_by_the_sdk(stream: bytes) -> Iterator[types.GenerateContentResponse]:
    """The stream as Google's SDK hands it to its user."""
    answer = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=stream)
    http = httpx.Client(transport=httpx.MockTransport(lambda _: answer))
    options = types.HttpOptions(base_url="http://gateway.test", httpx_client=http)
    with genai.Client(api_key="key", http_options=options) as client:
        yield from client.models.generate_content_stream(model="mine", contents="hi")


def test_the_official_sdk_reads_a_stream_with_all_that_keeps_it_alive() -> None:
    events = [START, ThinkingDelta("hm", "glm"), TextDelta("hel"), TextDelta("lo"), ToolCallStart(0, "a", "w")]
    encoder = GEMINI.stream_encoder(REQUEST)
    stream = b"".join(GEMINI.keepalive + encoder.encode(event) for event in [*events, StreamFinish("tool_calls")])
    chunks = list(asked_by_the_sdk(stream + GEMINI.keepalive + encoder.end()))
    parts = [part for item in chunks for part in (item.parts or ())]
    assert "".join(part.text for part in parts if part.text and not part.thought) == "hello"
    assert [part.function_call.name for part in parts if part.function_call] == ["w"]
    assert chunks[-1].candidates is not None
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP
    assert chunks[-1].usage_metadata is not None


def test_the_official_sdk_raises_an_error_inside_a_stream() -> None:
    encoder = GEMINI.stream_encoder(REQUEST)
    stream = encoder.encode(START) + encoder.encode(TextDelta("hel"))
    stream += GEMINI.encode_stream_error(UpstreamError(ErrorKind.OVERLOADED, "busy"), "req_1")
    chunks = asked_by_the_sdk(stream)
    assert next(chunks).text == "hel"
    with pytest.raises(genai_errors.ServerError, match="busy") as caught:
        next(chunks)
    assert caught.value.code == 503


# -- errors inside a stream


def test_an_error_is_told_to_readers_of_events_and_to_googles_sdks() -> None:
    told = GEMINI.encode_stream_error(UpstreamError(ErrorKind.OVERLOADED, "busy"), "req_1")
    error = {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}
    event, bare = told.split(b"\n\n")
    assert orjson.loads(event.removeprefix(b"data: ")) == error
    assert orjson.loads(bare) == error


# -- the native path


def test_a_native_stream_becomes_an_array_for_who_did_not_ask_for_events() -> None:
    tap = ARRAY.stream_tap({}, "mine")
    relayed = tap.feed(wire(STREAM)) + tap.end()
    assert orjson.loads(relayed) == [{**item, "modelVersion": "mine"} for item in STREAM]


def test_an_error_in_a_native_stream_is_kept_back() -> None:
    tap = GEMINI.stream_tap({}, "mine")
    relayed = tap.feed(wire([STREAM[1], REFUSAL, STREAM[2]])) + tap.end()
    assert chunks_of(relayed) == [{**STREAM[1], "modelVersion": "mine"}]
    assert tap.error is not None
    assert (tap.error.kind, tap.committed) == (ErrorKind.RATE_LIMIT, True)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_bare_error_breaks_a_native_stream_off(wrapped: bool) -> None:
    tap = GEMINI.stream_tap({}, "mine")
    bare = orjson.dumps([REFUSAL] if wrapped else REFUSAL, option=orjson.OPT_INDENT_2)
    tap.feed(wire([STREAM[1]]) + bare)
    tap.end()
    assert tap.error is not None
    assert tap.error.kind is ErrorKind.RATE_LIMIT


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_bare_error_breaks_a_translated_stream_off(wrapped: bool) -> None:
    bare = orjson.dumps([REFUSAL] if wrapped else REFUSAL, option=orjson.OPT_INDENT_2)
    with pytest.raises(UpstreamError) as caught:
        decoded([wire([STREAM[1]]), bare])
    assert (caught.value.kind, caught.value.retry_after) == (ErrorKind.RATE_LIMIT, 3.2)


def test_a_native_stream_commits_with_its_first_content() -> None:
    tap = GEMINI.stream_tap({}, "mine")
    tap.feed(b": hello\n\n" + wire([chunk({"text": ""})]))
    assert not tap.committed
    tap.feed(wire([chunk({"text": "hm", "thought": True})]))
    assert tap.committed


def test_an_action_that_failed_at_once_may_be_tried_again() -> None:
    failed = {"candidates": [{"content": {}, "finishReason": "MALFORMED_FUNCTION_CALL"}]}
    tap = GEMINI.stream_tap({}, "mine")
    assert tap.feed(wire([failed])) == b""
    assert tap.error is not None
    assert tap.error.retryable
    later = GEMINI.stream_tap({}, "mine")
    # A client of this API knows what to make of it.
    assert later.feed(wire([STREAM[1], failed])).endswith(wire([failed]))
    assert later.error is None


def test_a_native_stream_that_was_cut_is_an_error() -> None:
    tap = GEMINI.stream_tap({}, "mine")
    tap.feed(wire(STREAM[:3]))
    tap.end()
    assert tap.error is not None
    assert tap.error.kind is ErrorKind.PROTOCOL


def test_a_native_stream_of_a_blocked_prompt_is_whole() -> None:
    tap = GEMINI.stream_tap({}, "mine")
    relayed = tap.feed(wire([{"promptFeedback": {"blockReason": "SAFETY"}}])) + tap.end()
    assert b"SAFETY" in relayed
    assert (tap.error, tap.finish_reason, tap.committed) == (None, "content_filter", True)
