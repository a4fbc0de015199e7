"""The native path: a Responses client and a Responses upstream, and what changes between them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from core.dialects.response_samples import (
    BEGINNING,
    CALLED,
    ENDING,
    RESPONSE,
    RESPONSE_STREAM,
    SPOKEN,
    THOUGHT,
    USAGE,
    lifecycle,
    response,
)
from core.dialects.sheet import chunkings, sse

from aigateway_core.dialects.openai_responses import OpenAIResponses
from aigateway_core.dialects.openai_responses.tap import ResponsesStreamTap
from aigateway_core.dialects.signatures import seal_part
from aigateway_core.dialects.sse import SseParser
from aigateway_core.errors import ErrorKind, UpstreamError
from aigateway_core.jsontext import dumps
from aigateway_core.model import JsonObject, ThinkingPart, Usage

DIALECT = OpenAIResponses()
COUNTED = Usage(input_tokens=9, output_tokens=12, cache_read_tokens=1, cache_write_tokens=2, reasoning_tokens=3)
USER = {"role": "user", "content": "hi"}


def carried(part: ThinkingPart) -> JsonObject:
    return {"type": "reasoning", "id": "rs_gw", "summary": [], "encrypted_content": seal_part(part)}


# -- requests


def test_everything_passes_but_the_model() -> None:
    body = {"model": "mine", "input": [USER, {"type": "of_tomorrow"}], "store": True, "new": {"a": [1]}, "stream": True}
    assert DIALECT.native_request(body, "up") == body | {"model": "up"}
    assert body["model"] == "mine"


def test_reasoning_of_another_vendor_is_left_out() -> None:
    own = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}
    sent = DIALECT.native_request({"model": "m", "input": [USER, carried(ThinkingPart("hm", "s", "glm")), own]}, "up")
    assert sent["input"] == [USER, own]


def test_reasoning_that_the_gateway_carried_goes_back_to_its_maker() -> None:
    part = ThinkingPart("hm", "rs_1|gAAAA", "openai-responses")
    sent = DIALECT.native_request({"model": "m", "input": [USER, carried(part)]}, "up")
    assert sent["input"][1] == {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "hm"}],
        "encrypted_content": "gAAAA",
    }


# -- whole answers


def test_a_whole_answer_has_the_clients_name_for_the_model() -> None:
    answer = DIALECT.native_response(dumps(RESPONSE | {"new": 1}), "mine")
    assert json.loads(answer.body) == RESPONSE | {"model": "mine", "new": 1}
    assert (answer.usage, answer.finish_reason) == (COUNTED, "tool_calls")


def test_a_whole_answer_passes_as_it_came_where_nothing_has_to_change() -> None:
    body = json.dumps(response(), indent=1).encode()
    assert DIALECT.native_response(body, "up").body is body


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"{}",
        dumps({"error": {"message": "no", "code": "server_error"}}),
        dumps(response(status="failed", error={"code": "server_error", "message": "no"})),
        dumps(response(status="in_progress")),
    ],
)
def test_what_is_no_whole_answer(body: bytes) -> None:
    with pytest.raises(UpstreamError):
        DIALECT.native_response(body, "mine")


# -- streams


def passed(items: list[Any], model: str = "mine") -> tuple[bytes, ResponsesStreamTap]:
    """What is relayed, once it is sure that the pieces make no difference."""
    whole: bytes | None = None
    for pieces in ([sse(items)], *chunkings(sse(items))):
        tap = ResponsesStreamTap(model, DIALECT.decode_error)
        relayed = b"".join([tap.feed(piece) for piece in pieces] + [tap.end()])
        assert whole in (None, relayed)
        whole = relayed
    return whole or b"", tap


def renamed(items: list[JsonObject]) -> list[JsonObject]:
    return [item | {"response": item["response"] | {"model": "mine"}} if "response" in item else item for item in items]


def told(wire: bytes) -> list[JsonObject]:
    events = [(event.event, json.loads(event.data)) for event in SseParser().feed(wire)]
    assert all(name == body["type"] for name, body in events)
    return [body for _, body in events]


def test_a_stream_passes_under_the_clients_name_for_the_model() -> None:
    wire, tap = passed(RESPONSE_STREAM)
    assert told(wire) == renamed(RESPONSE_STREAM)
    assert (tap.error, tap.usage, tap.finish_reason) == (None, COUNTED, "tool_calls")
    assert tap.committed
    assert tap.ended


def test_a_stream_under_the_same_name_passes_byte_by_byte() -> None:
    wire, _ = passed(RESPONSE_STREAM, "up")
    assert wire == sse(RESPONSE_STREAM)


def test_the_beginning_is_no_commitment_and_an_item_is_one() -> None:
    tap = DIALECT.stream_tap({}, "mine")
    tap.feed(sse(BEGINNING))
    assert not tap.committed
    tap.feed(sse(THOUGHT[:1]))
    assert tap.committed


def test_a_text_that_speaks_of_responses_is_only_a_text() -> None:
    tricky = SPOKEN[2] | {"delta": '"response":{"model":"up"},"type":"error"'}
    items = [*BEGINNING, SPOKEN[0], tricky, ENDING]
    wire, tap = passed(items)
    assert told(wire) == renamed(items)
    assert tap.error is None


@pytest.mark.parametrize(
    ("last", "kind"),
    [
        ({"type": "error", "code": "server_is_overloaded", "message": "busy"}, ErrorKind.OVERLOADED),
        ({"type": "response.failed", "response": response(status="failed", error={"code": "x"})}, ErrorKind.SERVER),
        ({"type": "response.completed"}, ErrorKind.PROTOCOL),
        (b"event: error\ndata: gone\n\n", ErrorKind.SERVER),
        (b"data: {\n\n", None),
    ],
)
@pytest.mark.parametrize("before", [[], [*BEGINNING, *SPOKEN]], ids=["at_once", "within"])
def test_an_error_is_kept_and_not_relayed(before: list[Any], last: Any, kind: ErrorKind | None) -> None:
    wire, tap = passed([*before, last])
    assert tap.error is not None
    assert told(wire.replace(b"data: {\n\n", b"")) == renamed(before)
    if kind is not None:
        assert tap.error.kind is kind


def test_a_stream_that_is_cut_is_an_error() -> None:
    _, tap = passed(RESPONSE_STREAM[:-1])
    assert tap.error is not None
    assert tap.error.kind is ErrorKind.PROTOCOL
    assert not tap.ended


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_last_event_without_its_blank_line_counts(end: bytes) -> None:
    tap = DIALECT.stream_tap({}, "mine")
    wire = tap.feed(sse(RESPONSE_STREAM).rstrip(b"\n") + end) + tap.end()
    assert told(wire + b"\n\n") == renamed(RESPONSE_STREAM)
    assert tap.error is None


def test_an_incomplete_response_is_an_end() -> None:
    last = lifecycle("incomplete", status="incomplete", incomplete_details={"reason": "content_filter"}, usage=USAGE)
    _, tap = passed([*BEGINNING, *SPOKEN, last])
    assert (tap.error, tap.usage, tap.finish_reason) == (None, COUNTED, "content_filter")


def test_a_last_event_that_holds_no_output_is_an_end() -> None:
    last = {"type": "response.completed", "response": {"id": "resp_1"}}
    _, tap = passed([*BEGINNING, *SPOKEN, last])
    assert (tap.error, tap.finish_reason) == (None, "stop")


def test_a_failure_fits_the_stream_that_was_relayed() -> None:
    numbered = [item | {"sequence_number": number} for number, item in enumerate([*BEGINNING, *CALLED])]
    wire, tap = passed(numbered)
    assert tap.error is not None
    (failed,) = told(tap.fail(tap.error, "req_1") or b"")
    assert failed["type"] == "response.failed"
    assert failed["sequence_number"] == len(numbered)
    assert (failed["response"]["id"], failed["response"]["model"]) == ("resp_1", "mine")
    assert failed["response"]["error"]["code"] == "server_error"
    assert told(wire)[0]["response"]["id"] == "resp_1"


def test_a_failure_before_the_stream_is_nobodys_stream() -> None:
    tap = DIALECT.stream_tap({}, "mine")
    assert tap.fail(UpstreamError(ErrorKind.SERVER, "no"), "req_1") is None
