"""The laws that hold for every request, answer and stream that Chat Completions can express."""

from __future__ import annotations

from typing import Any

import attrs
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
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from aigateway_core.dialects.dialect import decode_events
from aigateway_core.dialects.openai_chat import OpenAIChat, OpenAIChatProfile
from aigateway_core.dialects.sse import SseParser
from aigateway_core.events import Fold, StreamEvent, fold
from aigateway_core.jsontext import dumps, loads_object
from aigateway_core.model import (
    AudioPart,
    ChatRequest,
    ChatResponse,
    DocumentPart,
    FinishReason,
    ImagePart,
    JsonObject,
    Message,
    Reasoning,
    ResponseFormat,
    ThinkingPart,
)

fast = settings(max_examples=60, deadline=None)

OPENAI = OpenAIChat()
THINKER = OpenAIChat(
    OpenAIChatProfile(origin="thinker", reasoning_field="reasoning_content", images_in_tool_results=True)
)

ADDRESSES = TEXTS.map(lambda text: "https://example.com/" + text)
IMAGES = st.builds(
    ImagePart, media_type=st.just("image/png"), data=BASE64, detail=st.none() | st.just("low")
) | st.builds(ImagePart, url=ADDRESSES, detail=st.none() | st.just("high"))
DOCUMENTS = st.builds(DocumentPart, media_type=st.just("application/pdf"), data=BASE64, title=TEXTS) | st.builds(
    DocumentPart, file_id=IDENTIFIERS, title=st.none() | TEXTS
)
ATTACHMENTS = IMAGES | DOCUMENTS | st.builds(AudioPart, BASE64, st.sampled_from(["wav", "mp3"]))
SPOKEN = TEXT_PARTS.map(lambda part: (part,))
MIXED = st.tuples(ATTACHMENTS, st.lists(TEXT_PARTS | ATTACHMENTS, max_size=3)).map(lambda pair: (pair[0], *pair[1]))

NUMBERS = st.floats(0, 2, allow_nan=False)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "max_tokens": st.integers(1, 100_000),
    "temperature": NUMBERS,
    "top_p": NUMBERS,
    "presence_penalty": NUMBERS,
    "frequency_penalty": NUMBERS,
    "seed": st.integers(0, 2**40),
    "n": st.integers(1, 3),
    "logprobs": st.booleans(),
    "top_logprobs": st.integers(0, 20),
    "logit_bias": st.dictionaries(IDENTIFIERS, st.integers(-100, 100), max_size=2),
    "stop": st.lists(TEXTS, min_size=1, max_size=4).map(tuple),
    "reasoning": st.builds(
        Reasoning, effort=st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh", "max"])
    ),
    "verbosity": st.sampled_from(["low", "medium", "high"]),
    "response_format": st.just(ResponseFormat("json_object")) | response_formats(described=True),
    "audio_output": st.just({"voice": "alloy", "format": "wav"}),
    "user": st.text(min_size=1, max_size=64),
    "metadata": st.dictionaries(IDENTIFIERS, TEXTS, max_size=2),
    "service_tier": st.sampled_from(["auto", "default", "flex", "priority"]),
}


def all_requests(messages: st.SearchStrategy[tuple[Message, ...]]) -> st.SearchStrategy[ChatRequest]:
    return requests(
        messages=messages,
        system=st.just(()) | TEXTS.map(lambda text: (text,)),
        fields=FIELDS,
        offered=tools(strict=True),
        several=True,
    )


def all_responses(origin: str) -> st.SearchStrategy[ChatResponse]:
    reasons: list[FinishReason] = ["stop", "length", "content_filter"]
    return responses(
        ids=IDENTIFIERS.map(lambda tail: "chatcmpl-" + tail),
        thinking=st.builds(ThinkingPart, TEXTS, origin=st.just(origin)),
        reasons=st.sampled_from(reasons),
    )


PLAIN_TURNS = conversations(user=SPOKEN | MIXED, result=st.just(()) | SPOKEN, late_system=True)
RICH_TURNS = conversations(
    user=SPOKEN | MIXED,
    result=st.just(()) | SPOKEN | st.tuples(TEXT_PARTS, IMAGES),
    thinking=st.builds(ThinkingPart, TEXTS),
)


def over_the_wire(body: JsonObject) -> JsonObject:
    return loads_object(dumps(body))


@fast
@given(all_requests(PLAIN_TURNS), st.booleans())
def test_a_request_survives_the_wire(request: ChatRequest, stream: bool) -> None:
    request = attrs.evolve(request, stream=stream, include_usage=stream)
    assert OPENAI.decode_request(over_the_wire(OPENAI.encode_request(request))) == request


@fast
@given(all_requests(RICH_TURNS))
def test_a_request_with_thinking_survives_where_a_vendor_takes_it(request: ChatRequest) -> None:
    assert THINKER.decode_request(over_the_wire(THINKER.encode_request(request))) == request


@fast
@given(all_requests(PLAIN_TURNS))
def test_encoding_a_request_leaves_nothing_for_a_second_time(request: ChatRequest) -> None:
    once = OPENAI.encode_request(request)
    assert OPENAI.encode_request(OPENAI.decode_request(over_the_wire(once))) == once


@fast
@given(all_responses("thinker"))
def test_an_answer_survives_the_wire(response: ChatResponse) -> None:
    request = ChatRequest(model=response.model)
    body = over_the_wire(THINKER.encode_response(response, request))
    ChatCompletion.model_validate(body, strict=True)
    assert THINKER.decode_response(body, request) == response


def encoded(dialect: OpenAIChat, events: list[StreamEvent], request: ChatRequest) -> bytes:
    encoder = dialect.stream_encoder(request)
    return b"".join([encoder.encode(event) for event in events] + [encoder.end()])


def decoded(dialect: OpenAIChat, pieces: list[bytes], request: ChatRequest) -> list[StreamEvent]:
    parser = SseParser()
    events = [event for piece in pieces for event in parser.feed(piece)] + parser.flush()
    return decode_events(dialect.stream_decoder(request), events)


STREAMS = streams(all_responses("thinker"), interleaved_calls=True)


@fast
@given(STREAMS, SIZES)
def test_a_stream_survives_the_wire_in_any_pieces(events: list[StreamEvent], sizes: list[int]) -> None:
    whole = fold(events)
    request = ChatRequest(model=whole.model, stream=True, include_usage=True)
    wire = encoded(THINKER, events, request)
    at_once = decoded(THINKER, [wire], request)
    assert fold(at_once) == whole
    assert decoded(THINKER, pieces_of(wire, sizes), request) == at_once


@fast
@given(STREAMS)
def test_every_chunk_is_one_of_the_official_sdk(events: list[StreamEvent]) -> None:
    request = ChatRequest(model="m", stream=True, include_usage=True)
    *chunks, done = SseParser().feed(encoded(THINKER, events, request))
    assert done.data == b"[DONE]"
    for chunk in chunks:
        ChatCompletionChunk.model_validate_json(chunk.data, strict=True)


@fast
@given(STREAMS)
def test_a_whole_answer_is_the_fold_of_its_stream(events: list[StreamEvent]) -> None:
    request = ChatRequest(model="m", stream=True, include_usage=True)
    state = Fold()
    for event in decoded(THINKER, [encoded(THINKER, events, request)], request):
        state.feed(event)
    body = THINKER.encode_response(fold(events), request)
    assert state.response() == THINKER.decode_response(over_the_wire(body), request)


@fast
@given(STREAMS, SIZES, st.booleans())
def test_the_pieces_of_a_native_stream_change_nothing(events: list[StreamEvent], sizes: list[int], asked: bool) -> None:
    whole = fold(events)
    wire = encoded(OPENAI, events, ChatRequest(model="upstream-model", stream=True, include_usage=True))
    body = {"model": "mine", "stream": True, "stream_options": {"include_usage": asked}}
    relayed = []
    for pieces in ([wire], pieces_of(wire, sizes), pieces_of(wire, [1])):
        tap = OPENAI.stream_tap(body, "mine")
        relayed.append(b"".join([tap.feed(piece) for piece in pieces] + [tap.end()]))
        assert (tap.error, tap.finish_reason, tap.usage) == (None, whole.finish_reason, whole.usage)
    assert relayed[0] == relayed[1] == relayed[2]
    # What the client sees is the same answer under its own name, without the chunk that it did not ask for.
    expected = wire.replace(b'"model":"upstream-model"', b'"model":"mine"')
    blocks = expected.split(b"\n\n")
    kept = [block for block in blocks if asked or b'"choices":[]' not in block]
    assert relayed[0] == b"\n\n".join(kept)
