"""The laws that hold for every request, answer and stream that the Messages API can express."""

from __future__ import annotations

import functools
from typing import Any, cast

import attrs
import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message as SdkMessage
from anthropic.types import ParsedMessage, RawMessageStreamEvent
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from core.dialects.message_stream import assembled
from core.dialects.strategies import (
    BASE64,
    IDENTIFIERS,
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
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from aigateway_core.dialects.anthropic import Anthropic
from aigateway_core.dialects.dialect import decode_events
from aigateway_core.dialects.sse import SseParser
from aigateway_core.events import CONTENT_EVENTS, Fold, StreamEvent, fold, unfold
from aigateway_core.jsontext import dumps, loads_object
from aigateway_core.model import (
    ChatRequest,
    ChatResponse,
    DocumentPart,
    FinishReason,
    ImagePart,
    JsonObject,
    Message,
    Reasoning,
    ResponseFormat,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
)

fast = settings(max_examples=60, deadline=None)

DIALECT = Anthropic()
NEWEST = "claude-opus-5"
"""A model that takes turns of system text and JSON schemas, and no sampling fields."""
SAMPLING = "claude-sonnet-4-5"

SIGNATURES = st.from_regex(r"[A-Za-z0-9+/]{4,20}={0,2}", fullmatch=True)
SIGNED = st.builds(ThinkingPart, TEXTS, SIGNATURES, st.just("anthropic"))
REDACTED = st.builds(ThinkingPart, st.just(""), origin=st.just("anthropic"), redacted=SIGNATURES)
OWN = SIGNED | st.builds(ThinkingPart, st.just(""), SIGNATURES, st.just("anthropic")) | REDACTED
FOREIGN = st.builds(ThinkingPart, TEXTS, st.none() | SIGNATURES, st.sampled_from([None, "glm", "openai-responses"]))

ADDRESSES = TEXTS.map(lambda text: "https://example.com/" + text)
IMAGES = (
    st.builds(ImagePart, media_type=st.sampled_from(["image/png", "image/jpeg"]), data=BASE64)
    | st.builds(ImagePart, url=ADDRESSES)
    | st.builds(ImagePart, file_id=IDENTIFIERS)
)
TITLES = st.none() | TEXTS
DOCUMENTS = (
    st.builds(DocumentPart, media_type=st.just("application/pdf"), data=BASE64, title=TITLES)
    | st.builds(DocumentPart, media_type=st.just("text/plain"), text=TEXTS, title=TITLES)
    | st.builds(DocumentPart, url=ADDRESSES, title=TITLES)
    | st.builds(DocumentPart, file_id=IDENTIFIERS, title=TITLES)
)
SHOWN = st.lists(TEXT_PARTS | IMAGES | DOCUMENTS, min_size=1, max_size=3).map(tuple)

FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "max_tokens": st.integers(1, 100_000),
    "stop": st.lists(TEXTS, min_size=1, max_size=4).map(tuple),
    "user": st.text(min_size=1, max_size=64),
    "service_tier": st.sampled_from(["auto", "standard_only"]),
    "stream": st.booleans(),
}
NEWEST_FIELDS = FIELDS | {
    "reasoning": st.builds(Reasoning, st.sampled_from(["low", "medium", "high", "xhigh", "max"]), summary=st.booleans())
    | st.just(Reasoning("none")),
    "response_format": response_formats(described=False),
}
NUMBERS = st.floats(0, 1, allow_nan=False)
SAMPLING_FIELDS = FIELDS | {"temperature": NUMBERS, "top_k": st.integers(1, 500)}


def all_requests(fields: dict[str, st.SearchStrategy[Any]], model: str, **turns: Any) -> st.SearchStrategy[ChatRequest]:
    drawn = requests(
        messages=conversations(user=SHOWN, result=st.just(()) | SHOWN, failures=True, **turns),
        system=st.lists(TEXTS, max_size=2).map(tuple),
        fields=fields,
        offered=tools(strict=True),
    )
    return drawn.map(lambda request: expressible(attrs.evolve(request, model=model)))


def expressible(request: ChatRequest) -> ChatRequest:
    """The request in the form that this API can hold, in ways that change nothing of what it says."""
    messages = with_own_ids(in_legal_places(request.messages))
    choice = request.tool_choice
    return attrs.evolve(
        request,
        messages=messages,
        # The limit is required, false is what strict is anyway, and parallel calls are a part of the choice.
        max_tokens=request.max_tokens or 9,
        tools=tuple(attrs.evolve(tool, strict=tool.strict or None) for tool in request.tools if isinstance(tool, Tool)),
        parallel_tool_calls=request.parallel_tool_calls if choice and choice.mode != "none" else None,
        response_format=closed(request.response_format),
    )


def in_legal_places(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """System turns moved behind the user turn that follows them, which is where this API takes them."""
    placed: list[Message] = []
    for message in messages:
        if message.role == "user" and placed and placed[-1].role == "system":
            placed.insert(-1, message)
        else:
            placed.append(message)
    return tuple(placed)


def with_own_ids(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    def renamed(part: Any, turn: int) -> Any:
        if isinstance(part, ToolCallPart):
            return attrs.evolve(part, id=f"{part.id}-{turn}")
        return attrs.evolve(part, call_id=f"{part.call_id}-{turn}") if isinstance(part, ToolResultPart) else part

    turns = [sum(earlier.role == "assistant" for earlier in messages[: place + 1]) for place in range(len(messages))]
    return tuple(
        Message(message.role, tuple(renamed(part, turn) for part in message.parts))
        for message, turn in zip(messages, turns, strict=True)
    )


def closed(wanted: ResponseFormat | None) -> ResponseFormat | None:
    return None if wanted is None else attrs.evolve(wanted, schema=closed_schema(dict(wanted.schema or {})))


def closed_schema(schema: JsonObject) -> JsonObject:
    inner = {name: closed_schema(node) for name, node in schema.get("properties", {}).items()}
    if "items" in schema:
        schema = {**schema, "items": closed_schema(schema["items"])}
    if schema.get("type") != "object":
        return schema
    return {**schema, "properties": inner, "additionalProperties": False}


def over_the_wire(body: JsonObject) -> JsonObject:
    """What is left of a body after it was bytes."""
    return loads_object(dumps(body))


def check_params(body: JsonObject) -> None:
    """Hold a body against the official SDK's type; sampling fields are gone from it, and good for older models."""
    typed = {name: value for name, value in body.items() if name not in ("temperature", "top_p", "top_k")}
    adapter(MessageCreateParamsStreaming if body.get("stream") else MessageCreateParamsNonStreaming).validate_python(
        typed
    )


@functools.cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


# -- requests


@fast
@given(all_requests(NEWEST_FIELDS, NEWEST, thinking=OWN, late_system=True) | all_requests(SAMPLING_FIELDS, SAMPLING))
def test_a_request_comes_back_as_it_was(request: ChatRequest) -> None:
    body = over_the_wire(DIALECT.encode_request(request))
    check_params(body)
    assert DIALECT.decode_request(body) == request
    assert DIALECT.losses(request).refused == ()


@fast
@given(all_requests(NEWEST_FIELDS, NEWEST, thinking=OWN | FOREIGN, late_system=True))
def test_what_is_written_is_written_the_same_again(request: ChatRequest) -> None:
    once = DIALECT.decode_request(over_the_wire(DIALECT.encode_request(request)))
    again = DIALECT.decode_request(over_the_wire(DIALECT.encode_request(once)))
    assert again == once


@fast
@given(all_requests(NEWEST_FIELDS, "some-other-model", thinking=OWN | FOREIGN, late_system=True))
def test_any_model_gets_turns_that_the_api_takes(request: ChatRequest) -> None:
    body = over_the_wire(DIALECT.encode_request(request))
    check_params(body)
    waiting: list[str] = []
    for turn in body["messages"]:
        assert turn["role"] in ("user", "assistant")
        kinds = [block["type"] for block in turn["content"]]
        answered = [block["tool_use_id"] for block in turn["content"] if block["type"] == "tool_result"]
        assert answered == waiting
        assert kinds[: len(answered)] == ["tool_result"] * len(answered)
        waiting = [block["id"] for block in turn["content"] if block["type"] == "tool_use"]
    assert waiting == []


# -- answers

REASONS: st.SearchStrategy[FinishReason] = st.sampled_from(
    cast("list[FinishReason]", ["stop", "length", "content_filter", "context_window", "pause"])
)
REQUEST = ChatRequest(model="mine", messages=(Message("user", (TextPart("hi"),)),), stream=True)


def answers(thinking: st.SearchStrategy[ThinkingPart]) -> st.SearchStrategy[ChatResponse]:
    return responses(
        ids=IDENTIFIERS.map(lambda tail: "msg_" + tail), thinking=thinking, reasons=REASONS, interleaved=True
    )


def seen(response: ChatResponse) -> ChatResponse:
    """The answer as it is when the client asks under its own name for the model."""
    return attrs.evolve(response, model=REQUEST.model)


@fast
@given(answers(OWN))
def test_an_answer_comes_back_as_it_was(response: ChatResponse) -> None:
    body = DIALECT.encode_response(response, REQUEST)
    SdkMessage.model_validate(body, strict=True)
    assert DIALECT.decode_response(over_the_wire(body), REQUEST) == seen(response)


@fast
@given(answers(OWN | FOREIGN), st.booleans())
def test_an_answer_that_becomes_history_is_what_it_was(response: ChatResponse, omitted: bool) -> None:
    request = attrs.evolve(REQUEST, reasoning=Reasoning("high", summary=not omitted))
    content = over_the_wire(DIALECT.encode_response(response, request))["content"]
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": content}]
    history = DIALECT.decode_request({"model": "m", "max_tokens": 9, "messages": turns})
    parts = history.messages[1].parts if len(history.messages) > 1 else ()
    hidden = omitted and any(isinstance(part, ThinkingPart) and part.origin == "anthropic" for part in response.parts)
    if not hidden:
        assert parts == response.parts
    else:
        # Anthropic's own signature is all that its maker needs; the text is gone by the client's wish.
        assert [type(part) for part in parts] == [type(part) for part in response.parts]


# -- streams

STREAMS = streams(answers(OWN))


def encoded(events: list[StreamEvent], request: ChatRequest = REQUEST) -> bytes:
    encoder = DIALECT.stream_encoder(request)
    return b"".join(map(encoder.encode, events)) + encoder.end()


def decoded(pieces: list[bytes], request: ChatRequest = REQUEST) -> list[StreamEvent]:
    parser = SseParser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    return decode_events(DIALECT.stream_decoder(request), [*events, *parser.flush()])


@fast
@given(STREAMS, SIZES)
def test_a_stream_comes_back_as_it_was_whatever_its_pieces(events: list[StreamEvent], sizes: list[int]) -> None:
    wire = encoded(events)
    at_once = decoded([wire])
    assert fold(at_once) == seen(fold(events))
    assert decoded(pieces_of(wire, sizes)) == at_once
    assert decoded(pieces_of(wire, [1])) == at_once


@fast
@given(STREAMS)
def test_every_event_is_one_of_the_official_sdk_which_puts_them_together_again(events: list[StreamEvent]) -> None:
    snapshot: ParsedMessage[None] | None = None
    buffers: dict[int, bytes] = {}
    for event in SseParser().feed(encoded(events)):
        typed = adapter(RawMessageStreamEvent).validate_json(event.data, strict=True)
        assert typed.type == event.event
        snapshot = accumulate_event(event=typed, current_snapshot=snapshot, json_bufs=buffers)
    assert snapshot is not None
    assert DIALECT.decode_response(snapshot.to_dict(), REQUEST) == seen(fold(events))


@fast
@given(streams(answers(OWN | FOREIGN)))
def test_a_whole_answer_is_the_fold_of_its_stream(events: list[StreamEvent]) -> None:
    message = assembled(encoded(events))
    whole = over_the_wire(DIALECT.encode_response(fold(events), REQUEST))
    # The stream tells a count of its own beside each; the whole answer leaves none out either.
    assert message == whole


@fast
@given(streams(answers(FOREIGN), interleaved_calls=True))
def test_interleaved_calls_are_told_one_after_the_other(events: list[StreamEvent]) -> None:
    message = assembled(encoded(events))
    whole = DIALECT.encode_response(fold(events), REQUEST)
    calls = [block for block in message["content"] if block["type"] == "tool_use"]
    assert calls == [block for block in whole["content"] if block["type"] == "tool_use"]
    assert message["stop_reason"] == whole["stop_reason"]


@fast
@given(STREAMS)
def test_nothing_is_held_back_that_could_be_told(events: list[StreamEvent]) -> None:
    encoder = DIALECT.stream_encoder(REQUEST)
    silent = [event for event in events if isinstance(event, CONTENT_EVENTS) and not encoder.encode(event)]
    # Only a signature waits, for the block it closes to be followed by another.
    assert all(type(event).__name__ == "SignatureDelta" for event in silent)


@fast
@given(STREAMS, SIZES)
def test_the_pieces_of_a_native_stream_change_nothing(events: list[StreamEvent], sizes: list[int]) -> None:
    wire = encoded(events, attrs.evolve(REQUEST, model="upstream-model"))
    whole = fold(events)
    relayed = []
    for pieces in ([wire], pieces_of(wire, sizes), pieces_of(wire, [1])):
        tap = DIALECT.stream_tap({"model": "mine"}, "mine")
        relayed.append(b"".join([tap.feed(piece) for piece in pieces] + [tap.end()]))
        assert (tap.error, tap.usage) == (None, whole.usage)
        assert tap.finish_reason == whole.finish_reason
        assert tap.committed is bool(whole.parts)
    assert relayed[0] == relayed[1] == relayed[2] == wire.replace(b'"upstream-model"', b'"mine"', 1)


@fast
@given(STREAMS, st.data())
def test_a_stream_that_is_cut_anywhere_is_never_taken_for_a_whole_one(
    events: list[StreamEvent], data: st.DataObject
) -> None:
    wire = encoded(events)
    last = wire.rindex(b"event: message_delta")
    cut = wire[: data.draw(st.integers(0, last))]
    tap = DIALECT.stream_tap({"model": "mine"}, "mine")
    tap.feed(cut)
    tap.end()
    assert tap.error is not None
    with pytest.raises(Exception, match=r"cut before its end|not a JSON object"):
        decoded([cut])


@fast
@given(answers(OWN))
def test_an_answer_and_its_stream_are_read_alike(response: ChatResponse) -> None:
    state = Fold()
    for event in decoded([encoded(list(unfold(response)))]):
        state.feed(event)
    body = over_the_wire(DIALECT.encode_response(response, REQUEST))
    assert state.response() == DIALECT.decode_response(body, REQUEST)
