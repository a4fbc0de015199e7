"""The laws that hold for every request, answer and stream that ``generateContent`` can express."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, cast

import attrs
import orjson
import pytest
from core.dialects.damage import JSON, OBJECTS, damaged
from core.dialects.gemini_samples import (
    ANSWER,
    ARRAY,
    CLASSIC,
    GEMINI,
    GENERATE_REQUEST,
    NEWEST,
    OLDER,
    REFUSAL,
    REQUEST,
    STREAM,
    check_answer,
    check_request,
    chunks_of,
    decoded,
    encoded,
    over_the_wire,
    read,
    wire,
    with_model,
)
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
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aigateway_core.dialects.anthropic import Anthropic
from aigateway_core.dialects.dialect import Dialect
from aigateway_core.dialects.openai_chat import OpenAIChat
from aigateway_core.dialects.sse import SseParser
from aigateway_core.errors import InvalidRequestError, UnsupportedFeatureError, UpstreamError, UpstreamFailure
from aigateway_core.events import StreamEvent, fold
from aigateway_core.jsontext import dumps
from aigateway_core.model import (
    AudioPart,
    ChatRequest,
    ChatResponse,
    DocumentPart,
    FinishReason,
    ImagePart,
    JsonObject,
    Message,
    Part,
    Reasoning,
    ResponseFormat,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
)

fast = settings(max_examples=60, deadline=None)
often = settings(max_examples=100, deadline=None)

SIGNATURES = BASE64.map("U0lH".__add__)
SIGNED = st.builds(ThinkingPart, TEXTS, SIGNATURES, st.just("gemini"))
SHOWN = st.builds(ThinkingPart, TEXTS, origin=st.just("gemini"))
FOREIGN = st.builds(ThinkingPart, TEXTS, st.none() | SIGNATURES, st.sampled_from(["glm", "anthropic"])) | st.builds(
    ThinkingPart, st.just(""), origin=st.just("anthropic"), redacted=SIGNATURES
)

ADDRESSES = IDENTIFIERS.map(lambda name: "https://example.com/" + name)
IMAGES = st.builds(ImagePart, media_type=st.sampled_from(["image/png", "image/jpeg"]), data=BASE64) | st.builds(
    ImagePart, media_type=st.just("image/png"), url=ADDRESSES
)
DOCUMENTS = st.builds(DocumentPart, media_type=st.sampled_from(["application/pdf", "video/mp4"]), data=BASE64) | (
    st.builds(DocumentPart, media_type=st.just("application/pdf"), file_id=IDENTIFIERS.map("files/".__add__))
)
SAID = st.lists(
    TEXT_PARTS | IMAGES | DOCUMENTS | st.builds(AudioPart, BASE64, st.sampled_from(["wav", "mp3"])),
    min_size=1,
    max_size=3,
).map(tuple)
RESULTS = st.just(()) | TEXT_PARTS.map(lambda part: (part,)) | st.tuples(TEXT_PARTS, IMAGES | DOCUMENTS)

NUMBERS = st.floats(0, 2, allow_nan=False)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "max_tokens": st.integers(1, 100_000),
    "temperature": NUMBERS,
    "top_p": NUMBERS,
    "top_k": st.integers(1, 500),
    "presence_penalty": NUMBERS,
    "frequency_penalty": NUMBERS,
    "seed": st.integers(0, 2**31),
    "stop": st.lists(TEXTS, min_size=1, max_size=5).map(tuple),
    "response_format": st.just(ResponseFormat("json_object")) | response_formats(described=False),
}
LEVELS = FIELDS | {
    "reasoning": st.builds(Reasoning, st.sampled_from(["minimal", "low", "medium", "high"]), summary=st.booleans())
    | st.builds(Reasoning, summary=st.booleans())
}
BUDGETS = FIELDS | {
    "reasoning": st.builds(Reasoning, budget=st.integers(1, 24576), summary=st.booleans())
    | st.just(Reasoning("none", summary=False))
}


def all_requests(fields: dict[str, st.SearchStrategy[Any]], model: str, **turns: Any) -> st.SearchStrategy[ChatRequest]:
    drawn = requests(
        messages=conversations(user=SAID, result=RESULTS, failures=True, **turns).map(with_own_ids),
        system=st.lists(TEXTS, max_size=2).map(tuple),
        fields=fields,
        offered=tools(),
        several=True,
    )
    return drawn.map(lambda request: attrs.evolve(request, model=model, parallel_tool_calls=None))


def with_own_ids(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Ids that no other turn uses, and a signature before the first call of each turn."""

    def renamed(part: Part, turn: int) -> list[Part]:
        if isinstance(part, ToolCallPart):
            return [attrs.evolve(part, id=f"{part.id}-{turn}")]
        return [attrs.evolve(part, call_id=f"{part.call_id}-{turn}") if isinstance(part, ToolResultPart) else part]

    turns = [sum(earlier.role == "assistant" for earlier in messages[: place + 1]) for place in range(len(messages))]
    return tuple(
        Message(message.role, signed(tuple(new for part in message.parts for new in renamed(part, turn))))
        for message, turn in zip(messages, turns, strict=True)
    )


def signed(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    first = next((place for place, part in enumerate(parts) if isinstance(part, ToolCallPart)), None)
    if first is None:
        return parts
    return (*parts[:first], ThinkingPart("", origin="gemini", redacted="U0lHTkVE"), *parts[first:])


# -- requests


@fast
@given(all_requests(LEVELS, NEWEST, thinking=SIGNED))
def test_a_request_comes_back_as_it_was(request: ChatRequest) -> None:
    body = over_the_wire(GEMINI.encode_request(request))
    check_request(body)
    assert GEMINI.decode_request(with_model(body, request.model)) == request
    assert GEMINI.losses(request).refused == ()


@fast
@given(all_requests(BUDGETS, OLDER, thinking=SIGNED))
def test_a_request_to_an_older_model_says_the_same_again(request: ChatRequest) -> None:
    body = over_the_wire(GEMINI.encode_request(request))
    check_request(body)
    once = GEMINI.decode_request(with_model(body, request.model))
    assert GEMINI.encode_request(once) == body
    assert (once.reasoning, once.tools, once.response_format) == (
        request.reasoning,
        request.tools,
        request.response_format,
    )


@fast
@given(all_requests(LEVELS, NEWEST, thinking=SIGNED | SHOWN | FOREIGN, late_system=True))
def test_what_is_written_is_written_the_same_again(request: ChatRequest) -> None:
    for dialect in (GEMINI, CLASSIC):
        body = over_the_wire(dialect.encode_request(request))
        check_request(body)
        again = dialect.encode_request(dialect.decode_request(with_model(body, request.model)))
        assert over_the_wire(again) == body


@fast
@given(all_requests(LEVELS, NEWEST, thinking=SIGNED | FOREIGN, late_system=True), st.sampled_from([NEWEST, OLDER]))
def test_every_call_has_its_response_in_the_next_turn(request: ChatRequest, model: str) -> None:
    body = GEMINI.encode_request(attrs.evolve(request, model=model))
    waiting: list[Any] = []
    for content in body["contents"]:
        called = [part["functionCall"] for part in content["parts"] if "functionCall" in part]
        answers = [part["functionResponse"] for part in content["parts"] if "functionResponse" in part]
        assert [(answer["id"], answer["name"]) for answer in answers] == waiting
        waiting = [(call["id"], call["name"]) for call in called]
        if called and model == NEWEST:
            assert next(part for part in content["parts"] if "functionCall" in part)["thoughtSignature"]
    assert waiting == []
    assert body["contents"][0]["role"] == body["contents"][-1]["role"] == "user"


# -- answers

REASONS: st.SearchStrategy[FinishReason] = st.sampled_from(
    cast("list[FinishReason]", ["stop", "length", "content_filter"])
)


def answers(thinking: st.SearchStrategy[ThinkingPart]) -> st.SearchStrategy[ChatResponse]:
    drawn = responses(ids=IDENTIFIERS, thinking=thinking, reasons=REASONS, interleaved=True)
    return drawn.map(expressible)


def expressible(response: ChatResponse) -> ChatResponse:
    """An answer with signed calls, and without the count that this API does not have."""
    usage = None if response.usage is None else attrs.evolve(response.usage, cache_write_tokens=0)
    return attrs.evolve(response, parts=signed(response.parts), usage=usage, model="mine")


@fast
@given(answers(SIGNED | SHOWN))
def test_an_answer_comes_back_as_it_was(response: ChatResponse) -> None:
    body = over_the_wire(GEMINI.encode_response(response, REQUEST))
    check_answer(body)
    assert GEMINI.decode_response(body, REQUEST) == response


@fast
@given(answers(SIGNED | FOREIGN), st.booleans())
def test_an_answer_that_becomes_history_is_what_it_was(response: ChatResponse, shown: bool) -> None:
    request = attrs.evolve(REQUEST, reasoning=Reasoning(summary=shown))
    content = over_the_wire(GEMINI.encode_response(response, request))["candidates"][0]["content"]
    body = {"model": "m", "contents": [{"parts": [{"text": "hi"}]}, content, {"parts": [{"text": "go"}]}]}
    history = GEMINI.decode_request(body).messages
    parts = history[1].parts if len(history) == 3 else ()
    if shown or all(getattr(part, "origin", None) != "gemini" for part in response.parts):
        assert parts == response.parts
    else:
        # Of Gemini's own thoughts the signature is all that Gemini needs.
        assert [type(part) for part in parts] == [type(part) for part in response.parts]


STREAMS = streams(answers(SIGNED | SHOWN))


@fast
@given(STREAMS, SIZES)
def test_a_stream_comes_back_as_it_was_whatever_its_pieces(events: list[StreamEvent], sizes: list[int]) -> None:
    stream = encoded(GEMINI, events)
    at_once = decoded([stream])
    assert fold(at_once) == fold(events)
    assert decoded(pieces_of(stream, sizes)) == at_once
    assert decoded(pieces_of(stream, [1])) == at_once


@fast
@given(streams(answers(SIGNED | SHOWN | FOREIGN), interleaved_calls=True), st.booleans())
def test_a_whole_answer_is_the_fold_of_its_stream(events: list[StreamEvent], shown: bool) -> None:
    request = attrs.evolve(REQUEST, reasoning=Reasoning(summary=shown))
    body = over_the_wire(GEMINI.encode_response(fold(events), request))
    whole, streamed = GEMINI.decode_response(body, request), read(encoded(GEMINI, events, request), request)
    assert history_of(streamed_parts(encoded(GEMINI, events, request))) == history_of(
        body["candidates"][0]["content"]["parts"]
    )
    assert (streamed.text, streamed.finish_reason, streamed.usage) == (whole.text, whole.finish_reason, whole.usage)
    assert [part for part in streamed.parts if isinstance(part, ToolCallPart)] == [
        part for part in whole.parts if isinstance(part, ToolCallPart)
    ]


def streamed_parts(stream: bytes) -> list[JsonObject]:
    return [part for item in chunks_of(stream) for part in item["candidates"][0]["content"]["parts"]]


def history_of(parts: list[JsonObject]) -> list[Any]:
    """What the parts of an answer say when a client sends them back, chunk by chunk or as one."""
    contents = [{"parts": [{"text": "hi"}]}, *({"role": "model", "parts": [part]} for part in parts)]
    turns = GEMINI.decode_request({"model": "m", "contents": contents}).messages[1:]
    return [part for turn in turns for part in turn.parts]


@fast
@given(streams(answers(SIGNED | SHOWN | FOREIGN), interleaved_calls=True))
def test_every_chunk_is_one_of_the_official_sdk_in_either_framing(events: list[StreamEvent]) -> None:
    stream = encoded(GEMINI, events)
    for item in chunks_of(stream):
        check_answer(item)
    start, *chunks = orjson.loads(encoded(ARRAY, events))
    check_answer(start)
    assert chunks == chunks_of(stream)


@fast
@given(STREAMS, SIZES)
def test_the_pieces_of_a_native_stream_change_nothing(events: list[StreamEvent], sizes: list[int]) -> None:
    stream = encoded(GEMINI, events, attrs.evolve(REQUEST, model="upstream-model"))
    whole = fold(events)
    relayed = []
    for pieces in ([stream], pieces_of(stream, sizes), pieces_of(stream, [1])):
        tap = GEMINI.stream_tap({"model": "mine"}, "mine")
        relayed.append(b"".join([tap.feed(piece) for piece in pieces] + [tap.end()]))
        assert (tap.error, tap.usage, tap.finish_reason) == (None, whole.usage, whole.finish_reason)
        assert tap.committed
    assert relayed[0] == relayed[1] == relayed[2] == stream.replace(b'"upstream-model"', b'"mine"')
    tap = ARRAY.stream_tap({"model": "mine"}, "mine")
    assert orjson.loads(tap.feed(stream) + tap.end()) == chunks_of(relayed[0])


@fast
@given(STREAMS, st.data())
def test_a_stream_that_is_cut_anywhere_is_never_taken_for_a_whole_one(
    events: list[StreamEvent], data: st.DataObject
) -> None:
    stream = encoded(GEMINI, events)
    cut = stream[: data.draw(st.integers(0, stream.rindex(b'"finishReason"')))]
    tap = GEMINI.stream_tap({"model": "mine"}, "mine")
    tap.feed(cut)
    tap.end()
    assert tap.error is not None
    with pytest.raises(UpstreamError):
        decoded([cut])


# -- nothing falls

CLIENTS: list[Dialect] = [GEMINI, ARRAY, Anthropic(), OpenAIChat()]


@often
@given(damaged(GENERATE_REQUEST) | OBJECTS.map(lambda body: {"model": "m", "contents": [body], **body}))
@example(GENERATE_REQUEST)
def test_any_object_is_a_request_or_an_invalid_one(body: JsonObject) -> None:
    try:
        GEMINI.peek(body)
        dumps(GEMINI.native_request(body, "gemini-4"))
        request = GEMINI.decode_request(body)
    except (InvalidRequestError, UnsupportedFeatureError):
        return
    for upstream in (GEMINI, CLASSIC, Anthropic(), OpenAIChat()):
        assert set(attrs.asdict(upstream.losses(request))) == {"dropped", "refused"}
        try:
            written = upstream.encode_request(request)
        except InvalidRequestError:
            continue
        dumps(written)


@often
@given(damaged(ANSWER) | OBJECTS)
@example(ANSWER)
def test_any_object_is_an_answer_or_an_upstream_error(body: JsonObject) -> None:
    with suppress(UpstreamError):
        GEMINI.native_response(dumps(body), "mine")
    try:
        response = GEMINI.decode_response(body, REQUEST)
    except UpstreamError:
        return
    for client in CLIENTS:
        dumps(client.encode_response(response, REQUEST))


@often
@given(st.binary(max_size=60) | JSON.map(dumps) | damaged([ANSWER]).map(dumps))
def test_any_bytes_are_a_native_answer_or_an_upstream_error(body: bytes) -> None:
    with suppress(UpstreamError):
        assert GEMINI.native_response(body, "mine").body


@often
@given(
    st.sampled_from([200, 400, 401, 403, 404, 413, 429, 500, 503]) | st.integers(200, 599),
    st.binary(max_size=60) | (JSON | damaged(REFUSAL) | damaged([REFUSAL])).map(dumps),
)
def test_any_refusal_can_be_told_to_any_client(status: int, body: bytes) -> None:
    error = GEMINI.decode_error(UpstreamFailure(status, {}, body))
    assert 0 < len(error.message) < 3000
    for client in CLIENTS:
        reply = client.encode_error(error, "req_1")
        assert 400 <= reply.status < 600
        dumps(reply.body)
        assert client.encode_stream_error(error, "req_1")


WIRES = (damaged(STREAM) | st.lists(JSON, max_size=3)).map(wire) | st.binary(max_size=60)
ENDS = st.sampled_from(
    [b"", b"data: [DONE]\n\n", b"data: {", b'{"error":{"code":500}}', b"event: error\ndata: boom\n\n"]
)


@often
@given(st.builds(bytes.__add__, WIRES, ENDS), SIZES)
def test_any_bytes_are_a_stream_or_an_upstream_error(stream: bytes, sizes: list[int]) -> None:
    outcomes = []
    for pieces in ([stream], pieces_of(stream, sizes)):
        try:
            outcomes.append(encoded(GEMINI, decoded(pieces)))
        except UpstreamError as error:
            outcomes.append(error.message.encode())
    assert outcomes[0] == outcomes[1]


@often
@given(st.builds(bytes.__add__, WIRES, ENDS), SIZES)
def test_any_bytes_pass_a_tap_the_same_in_any_pieces(stream: bytes, sizes: list[int]) -> None:
    seen = []
    for pieces in ([stream], pieces_of(stream, sizes), pieces_of(stream, [1])):
        tap = GEMINI.stream_tap({}, "mine")
        relayed = b"".join([tap.feed(piece) for piece in pieces] + [tap.end()])
        told = None if tap.error is None else tap.error.message
        seen.append((SseParser().feed(relayed), told, tap.usage, tap.finish_reason, tap.committed))
    assert seen[0] == seen[1] == seen[2]
