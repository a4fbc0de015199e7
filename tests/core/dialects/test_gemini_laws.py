"""What holds of ``generateContent`` alone, beside the laws of every dialect (``test_laws.py``)."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import attrs
import orjson
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
    chunks_of,
    decoded,
    encoded,
    over_the_wire,
    read,
    wire,
)
from core.dialects.gemini_values import FOREIGN, LEVELS, SHOWN, SIGNED, all_requests, answers
from core.dialects.profiles import budget
from core.dialects.strategies import (
    SIZES,
    pieces_of,
    streams,
)
from hypothesis import example, given
from hypothesis import strategies as st

from aigateway_core.dialects.anthropic import Anthropic
from aigateway_core.dialects.dialect import Dialect
from aigateway_core.dialects.openai_chat import OpenAIChat
from aigateway_core.dialects.sse import SseParser
from aigateway_core.errors import InvalidRequestError, UnsupportedFeatureError, UpstreamError, UpstreamFailure
from aigateway_core.events import StreamEvent, fold
from aigateway_core.jsontext import dumps
from aigateway_core.model import (
    ChatRequest,
    ChatResponse,
    JsonObject,
    Reasoning,
    ToolCallPart,
)

fast = budget(60)
often = budget(100)

# -- requests


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
