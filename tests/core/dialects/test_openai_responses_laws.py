"""What holds of the Responses API alone, beside the laws of every dialect (``test_laws.py``)."""

from __future__ import annotations

import json

from core.dialects.damage import JSON, OBJECTS, damaged
from core.dialects.openai_responses_values import ANY_THINKING, DIALECT, EVENTS, REQUESTS, answers
from core.dialects.profiles import budget
from core.dialects.response_samples import RESPONSE, RESPONSE_STREAM, RESPONSES_REQUEST
from core.dialects.sheet import relay, sse
from core.dialects.strategies import (
    SIZES,
    pieces_of,
    streams,
)
from core.dialects.subject import over_the_wire
from hypothesis import example, given
from hypothesis import strategies as st
from openai.types.responses import Response

from aigateway_core.dialects.dialect import decode_events
from aigateway_core.dialects.sse import SseParser
from aigateway_core.errors import InvalidRequestError, UnsupportedFeatureError, UpstreamError
from aigateway_core.events import StreamEvent, fold
from aigateway_core.jsontext import dumps
from aigateway_core.model import (
    ChatRequest,
    ChatResponse,
    JsonObject,
)

fast = budget(60)
often = budget(100)


def encoded(events: list[StreamEvent], request: ChatRequest) -> bytes:
    encoder = DIALECT.stream_encoder(request)
    return b"".join([encoder.encode(event) for event in events] + [encoder.end()])


def read(wire: list[bytes], request: ChatRequest) -> ChatResponse:
    parser = SseParser()
    events = [event for piece in wire for event in parser.feed(piece)] + parser.flush()
    return fold(decode_events(DIALECT.stream_decoder(request), events))


@fast
@given(REQUESTS, answers())
def test_every_answer_is_what_the_vendors_types_ask_for(request: ChatRequest, response: ChatResponse) -> None:
    Response.model_validate(over_the_wire(DIALECT.encode_response(response, request)), strict=True)


@fast
@given(streams(answers(ANY_THINKING), interleaved_calls=True), SIZES)
def test_a_stream_is_the_whole_answer_in_any_pieces(events: list[StreamEvent], sizes: list[int]) -> None:
    response = fold(events)
    request = ChatRequest(model=response.model, stream=True)
    wire = encoded(events, request)
    assert read([wire], request) == read(pieces_of(wire, sizes), request) == read(pieces_of(wire, [1]), request)
    assert read([wire], request) == response
    *_, closing = SseParser().feed(wire)
    whole, told = DIALECT.encode_response(response, request), json.loads(closing.data)["response"]
    dates = ("created_at", "completed_at")
    assert {k: v for k, v in told.items() if k not in dates} == {k: v for k, v in whole.items() if k not in dates}


@fast
@given(REQUESTS, streams(answers(ANY_THINKING), interleaved_calls=True))
def test_a_stream_is_what_the_vendors_types_and_its_grammar_ask_for(
    request: ChatRequest, events: list[StreamEvent]
) -> None:
    told = []
    for event in SseParser().feed(encoded(events, request)):
        EVENTS.validate_json(event.data, strict=True)
        told.append(json.loads(event.data))
        assert told[-1]["type"] == event.event
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    added = [event for event in told if event["type"] == "response.output_item.added"]
    done = {event["output_index"]: event["item"] for event in told if event["type"] == "response.output_item.done"}
    assert [event["output_index"] for event in added] == list(range(len(added))) == sorted(done)
    assert told[-1]["response"]["output"] == [done[index] for index in sorted(done)]
    for event in told:
        if "item_id" in event:
            assert event["item_id"] == done[event["output_index"]]["id"]


@often
@given(damaged(RESPONSES_REQUEST) | OBJECTS)
@example(RESPONSES_REQUEST)
def test_any_object_is_a_request_or_an_invalid_one(body: JsonObject) -> None:
    try:
        request = DIALECT.decode_request(body)
    except (InvalidRequestError, UnsupportedFeatureError):
        return
    dumps(DIALECT.encode_request(request))
    dumps(DIALECT.encode_response(ChatResponse(id="", model=""), request))
    dumps(DIALECT.native_request(body, "up"))
    DIALECT.losses(request)


@often
@given(damaged(RESPONSE) | OBJECTS)
@example(RESPONSE)
def test_any_object_is_an_answer_or_an_upstream_error(body: JsonObject) -> None:
    try:
        native = DIALECT.native_response(dumps(body), "mine")
    except UpstreamError:
        native = None
    try:
        response = DIALECT.decode_response(body, ChatRequest(model="m"))
    except UpstreamError:
        response = None
    assert (native is None) == (response is None)


STREAMS = (damaged(RESPONSE_STREAM) | st.lists(JSON, max_size=3)).map(
    lambda items: b"".join(
        sse([item]) if isinstance(item, dict) else b"data: " + dumps(item) + b"\n\n" for item in items
    )
)


@often
@given(STREAMS | st.binary(max_size=60), SIZES)
def test_any_bytes_are_a_stream_or_an_upstream_error(wire: bytes, sizes: list[int]) -> None:
    request = ChatRequest(model="m")
    seen = []
    for pieces in ([wire], pieces_of(wire, sizes), pieces_of(wire, [1])):
        tap = DIALECT.stream_tap({}, "mine")
        relayed = b"".join([tap.feed(piece) for piece in pieces] + [tap.end()])
        told = None if tap.error is None else tap.error.message
        seen.append((relayed, told, tap.usage, tap.finish_reason, tap.committed, tap.ended))
        received = relay(DIALECT, DIALECT, request, pieces)
        if received.error is None:
            read([received.wire], request)
    assert seen[0] == seen[1] == seen[2]
