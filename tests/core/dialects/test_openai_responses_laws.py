"""The laws that hold for every request, answer and stream that the Responses API can express."""

from __future__ import annotations

import json
from typing import Any

import attrs
from core.dialects.damage import JSON, OBJECTS, damaged
from core.dialects.response_samples import RESPONSE, RESPONSE_STREAM, RESPONSES_REQUEST
from core.dialects.sheet import relay, sse
from core.dialects.strategies import (
    BASE64,
    IDENTIFIERS,
    SCHEMAS,
    SIZES,
    TEXT_PARTS,
    TEXTS,
    conversations,
    pieces_of,
    requests,
    response_formats,
    responses,
    streams,
    tools,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from aigateway_core.dialects.dialect import decode_events
from aigateway_core.dialects.openai_responses import OpenAIResponses
from aigateway_core.dialects.openai_responses.tools import joined_name, merged, read_tools
from aigateway_core.dialects.openai_tools import OpenAITool
from aigateway_core.dialects.sse import SseParser
from aigateway_core.errors import InvalidRequestError, UnsupportedFeatureError, UpstreamError
from aigateway_core.events import StreamEvent, fold
from aigateway_core.jsontext import dumps, loads_object
from aigateway_core.model import (
    AudioPart,
    ChatRequest,
    ChatResponse,
    DocumentPart,
    FinishReason,
    ImagePart,
    JsonObject,
    Reasoning,
    ResponseFormat,
    ThinkingPart,
    Tool,
    ToolCallPart,
)

DIALECT = OpenAIResponses()
EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)

fast = settings(max_examples=60, deadline=None)
often = settings(max_examples=100, deadline=None)

ADDRESSES = TEXTS.map(lambda text: "https://example.com/" + text)
DETAILS = st.none() | st.sampled_from(["low", "high", "original"])
IMAGES = (
    st.builds(ImagePart, media_type=st.just("image/png"), data=BASE64, detail=DETAILS)
    | st.builds(ImagePart, url=ADDRESSES, detail=DETAILS)
    | st.builds(ImagePart, file_id=IDENTIFIERS, detail=DETAILS)
)
DOCUMENTS = (
    st.builds(DocumentPart, media_type=st.just("application/pdf"), data=BASE64, title=TEXTS)
    | st.builds(DocumentPart, file_id=IDENTIFIERS, title=st.none() | TEXTS)
    | st.builds(DocumentPart, url=ADDRESSES, title=st.none() | TEXTS)
)
ATTACHMENTS = IMAGES | DOCUMENTS | st.builds(AudioPart, BASE64, st.sampled_from(["wav", "mp3"]))
SAID = st.lists(TEXT_PARTS | ATTACHMENTS, min_size=1, max_size=3).map(tuple)
RESULTS = st.lists(TEXT_PARTS | IMAGES | DOCUMENTS, max_size=3).map(tuple)
SIGNATURES = st.builds("rs_{}|{}".format, IDENTIFIERS, IDENTIFIERS)
THINKING = st.builds(ThinkingPart, st.just("") | TEXTS, SIGNATURES, st.just("openai-responses"))

NUMBERS = st.floats(0, 2, allow_nan=False)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "max_tokens": st.integers(16, 100_000),
    "temperature": NUMBERS,
    "top_p": NUMBERS,
    "reasoning": st.builds(
        Reasoning, effort=st.none() | st.sampled_from(["minimal", "low", "medium", "high", "xhigh", "max"])
    )
    | st.builds(Reasoning, effort=st.sampled_from(["none", "low"]), summary=st.just(False)),
    "verbosity": st.sampled_from(["low", "medium", "high"]),
    "response_format": st.just(ResponseFormat("json_object"))
    | response_formats(described=True).filter(lambda wanted: wanted.schema is not None),
    "user": st.text(min_size=1, max_size=64),
    "metadata": st.dictionaries(IDENTIFIERS, TEXTS, max_size=2),
    "service_tier": st.sampled_from(["auto", "default", "flex", "priority", "ultrafast"]),
}


@st.composite
def offered(draw: st.DrawFn) -> tuple[Tool, ...]:
    """Functions, free texts and namespaces; a tool's strictness is always told here."""
    plain = [attrs.evolve(tool, strict=bool(tool.strict)) for tool in draw(tools(strict=True))]
    groups = draw(st.lists(IDENTIFIERS, max_size=2, unique=True))
    special: list[Tool] = []
    for namespace in [None, *groups]:
        about = draw(st.none() | TEXTS)
        names = draw(st.lists(IDENTIFIERS, min_size=namespace is not None, max_size=2, unique=True))
        special += [draw(special_tools(namespace, about, own_name)) for own_name in names]
    unique = merged((*plain, *special))
    return tuple(tool for tool in unique if isinstance(tool, Tool))


@st.composite
def special_tools(draw: st.DrawFn, namespace: str | None, about: str | None, own_name: str) -> Tool:
    grammar = {"type": "grammar", "syntax": "lark", "definition": draw(TEXTS)}
    form = draw(st.none() | st.just({"type": "text"}) | st.just(grammar))
    definition: JsonObject
    if namespace is None or draw(st.booleans()):
        definition = {"type": "custom", "name": own_name} | ({} if form is None else {"format": form})
    else:
        definition = {"type": "function", "name": own_name, "strict": False, "parameters": draw(SCHEMAS)}
    if namespace is not None:
        group: JsonObject = {"type": "namespace", "name": namespace, "tools": [definition]}
        definition = group if about is None else group | {"description": about}
    (tool,) = read_tools([definition], "tools")
    assert isinstance(tool, OpenAITool)
    assert tool.name == joined_name(namespace, own_name)
    return tool


def is_plain(request: ChatRequest) -> bool:
    """Whether ids are unique, as vendors give them (others are numbered), and no call is that of a free text."""
    made = [part for turn in request.messages for part in turn.parts if isinstance(part, ToolCallPart)]
    custom = {tool.name for tool in request.tools if isinstance(tool, OpenAITool) and tool.custom}
    return len({call.id for call in made}) == len(made) and custom.isdisjoint(call.name for call in made)


REQUESTS = requests(
    messages=conversations(user=SAID, result=RESULTS, thinking=THINKING, late_system=True),
    system=st.just(()) | TEXTS.map(lambda text: (text,)),
    fields=FIELDS,
    offered=offered(),
    several=True,
).filter(is_plain)


def answers(thinking: st.SearchStrategy[ThinkingPart] = THINKING) -> st.SearchStrategy[ChatResponse]:
    reasons: list[FinishReason] = ["stop", "length", "content_filter"]
    return responses(
        ids=IDENTIFIERS.map("resp_".__add__),
        thinking=thinking,
        reasons=st.sampled_from(reasons),
        interleaved=True,
    )


ANY_THINKING = (
    THINKING
    | st.builds(ThinkingPart, TEXTS, IDENTIFIERS, st.just("openai-responses"))
    | st.builds(ThinkingPart, TEXTS, origin=st.just("openai-responses"))
    | st.builds(ThinkingPart, st.just(""), origin=st.sampled_from(["anthropic", "glm"]), redacted=IDENTIFIERS)
)


def over_the_wire(body: JsonObject) -> JsonObject:
    return loads_object(dumps(body))


def encoded(events: list[StreamEvent], request: ChatRequest) -> bytes:
    encoder = DIALECT.stream_encoder(request)
    return b"".join([encoder.encode(event) for event in events] + [encoder.end()])


def read(wire: list[bytes], request: ChatRequest) -> ChatResponse:
    parser = SseParser()
    events = [event for piece in wire for event in parser.feed(piece)] + parser.flush()
    return fold(decode_events(DIALECT.stream_decoder(request), events))


@fast
@given(REQUESTS, st.booleans())
def test_a_request_survives_the_wire(request: ChatRequest, stream: bool) -> None:
    request = attrs.evolve(request, stream=stream)
    assert DIALECT.decode_request(over_the_wire(DIALECT.encode_request(request))) == request


@fast
@given(REQUESTS)
def test_encoding_a_request_leaves_nothing_for_a_second_time(request: ChatRequest) -> None:
    once = DIALECT.encode_request(request)
    assert DIALECT.encode_request(DIALECT.decode_request(over_the_wire(once))) == once


@fast
@given(answers(ANY_THINKING))
def test_an_answer_survives_the_wire(response: ChatResponse) -> None:
    request = ChatRequest(model=response.model)
    body = over_the_wire(DIALECT.encode_response(response, request))
    Response.model_validate(body, strict=True)
    assert DIALECT.decode_response(body, request) == response


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


@fast
@given(streams(answers()), st.data())
def test_a_stream_that_is_cut_anywhere_is_an_error(events: list[StreamEvent], data: st.DataObject) -> None:
    request = ChatRequest(model="m")
    wire = encoded(events, request)
    # Only the blank line at its end is missing where clients forgive it.
    end = data.draw(st.integers(0, len(wire) - 3))
    assert relay(DIALECT, DIALECT, request, [wire[:end]]).error is not None


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
