"""The laws that hold between the dialects: whatever comes in, from whichever side, and however it is cut."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from itertools import product
from typing import Any

import attrs
import pytest
from core.dialects.anthropic_values import with_own_ids
from core.dialects.damage import JSON, OBJECTS, damaged
from core.dialects.gemini_samples import GEMINI, GENERATE_REQUEST
from core.dialects.message_stream import assembled
from core.dialects.profiles import budget
from core.dialects.response_samples import RESPONSE, RESPONSE_STREAM, RESPONSES_REQUEST
from core.dialects.samples import (
    CHAT_REQUEST,
    CHAT_STREAM,
    COMPLETION,
    FAILURE,
    MESSAGE,
    MESSAGE_STREAM,
    MESSAGES_REQUEST,
)
from core.dialects.sheet import relay, sse, undated
from core.dialects.strategies import (
    BASE64,
    IDENTIFIERS,
    SIZES,
    TEXT_PARTS,
    TEXTS,
    conversations,
    pieces_of,
    requests,
    responses,
    streams,
    tools,
)
from core.dialects.subject import received
from hypothesis import example, given
from hypothesis import strategies as st

from aigateway_core.dialects.anthropic import Anthropic
from aigateway_core.dialects.dialect import Dialect, Losses, decode_events
from aigateway_core.dialects.estimate import input_tokens
from aigateway_core.dialects.openai_chat import OpenAIChat, OpenAIChatProfile
from aigateway_core.dialects.openai_responses import OpenAIResponses
from aigateway_core.dialects.sse import SseParser
from aigateway_core.errors import (
    ErrorKind,
    InvalidRequestError,
    UnsupportedFeatureError,
    UpstreamError,
    UpstreamFailure,
)
from aigateway_core.events import StreamEvent, fold
from aigateway_core.jsontext import dumps, loads_object
from aigateway_core.model import (
    ChatRequest,
    ChatResponse,
    FinishReason,
    ImagePart,
    JsonObject,
    Message,
    Reasoning,
    ThinkingPart,
    Tool,
    ToolCallPart,
    Usage,
)

ANTHROPIC = Anthropic()
CHAT = OpenAIChat(OpenAIChatProfile(origin="thinker", reasoning_field="reasoning_content"))
RESPONSES = OpenAIResponses()
EVERY: tuple[Dialect, ...] = (ANTHROPIC, CHAT, RESPONSES, GEMINI)
DIALECTS = pytest.mark.parametrize("dialect", EVERY, ids=lambda dialect: dialect.name)
PAIRS = pytest.mark.parametrize(
    ("upstream", "client"),
    [
        pytest.param(upstream, client, id=f"{upstream.name}_to_{client.name}")
        for upstream, client in product(EVERY, repeat=2)
    ],
)

fast = budget(25)
often = budget(60)

REQUEST = ChatRequest(model="m", reasoning=Reasoning(), stream=True, include_usage=True)
REASONS: dict[str, list[FinishReason]] = {
    "anthropic": ["stop", "stop_sequence", "length", "content_filter", "context_window", "pause"],
    "openai-chat": ["stop", "length", "content_filter"],
    "openai-responses": ["stop", "length", "content_filter"],
    "gemini": ["stop", "length", "content_filter"],
}
THINKING = {
    "anthropic": st.builds(ThinkingPart, TEXTS, IDENTIFIERS, st.just("anthropic"))
    | st.builds(ThinkingPart, st.just(""), origin=st.just("anthropic"), redacted=IDENTIFIERS),
    "openai-chat": st.builds(ThinkingPart, TEXTS, origin=st.just("thinker")),
    "openai-responses": st.builds(ThinkingPart, TEXTS, IDENTIFIERS, st.just("openai-responses")),
    "gemini": st.builds(ThinkingPart, TEXTS, origin=st.just("gemini")),
}
IDS = {
    "anthropic": IDENTIFIERS.map("msg_".__add__),
    "openai-chat": IDENTIFIERS.map("chatcmpl-".__add__),
    "openai-responses": IDENTIFIERS.map("resp_".__add__),
    "gemini": IDENTIFIERS,
}


def answers(dialect: Dialect) -> st.SearchStrategy[ChatResponse]:
    """Answers that this dialect can express in any order of the parts, but for Chat, which has one part of each kind.

    Counts are not 0: in a Messages stream the first event holds an estimate, which a 0 in the last does not replace.
    """
    drawn = responses(
        ids=IDS[dialect.name],
        thinking=THINKING[dialect.name],
        reasons=st.sampled_from(REASONS[dialect.name]),
        interleaved=dialect is not CHAT,
    )
    return drawn.map(_counted)


def _counted(answer: ChatResponse) -> ChatResponse:
    usage = answer.usage or Usage()
    more = attrs.evolve(usage, input_tokens=usage.input_tokens + 1, output_tokens=usage.output_tokens + 1)
    # Gemini has no count of what was written to a cache.
    return attrs.evolve(answer, usage=attrs.evolve(more, cache_write_tokens=0))


def streamed(dialect: Dialect, events: Iterable[StreamEvent]) -> bytes:
    encoder = dialect.stream_encoder(REQUEST)
    return b"".join(encoder.encode(event) for event in events) + encoder.end()


def read(dialect: Dialect, wire: bytes) -> ChatResponse:
    parser = SseParser()
    return fold(decode_events(dialect.stream_decoder(REQUEST), [*parser.feed(wire), *parser.flush()]))


def over_the_wire(body: JsonObject) -> JsonObject:
    return loads_object(dumps(body))


def gist(answer: ChatResponse) -> Any:
    """What an answer says, whatever the order of its parts: a whole Chat answer has no order between their kinds."""
    thinking = "".join(part.text for part in answer.parts if isinstance(part, ThinkingPart))
    calls = [part for part in answer.parts if isinstance(part, ToolCallPart)]
    return thinking, answer.text, calls, answer.id, answer.finish_reason, answer.usage


# -- nothing is lost


@DIALECTS
@fast
@given(st.data())
def test_a_stream_and_a_whole_answer_come_back_as_they_were(dialect: Dialect, data: st.DataObject) -> None:
    events = data.draw(streams(answers(dialect), interleaved_calls=True))
    whole = attrs.evolve(fold(events), model="m")
    assert attrs.evolve(read(dialect, streamed(dialect, events)), model="m") == whole
    assert dialect.decode_response(over_the_wire(dialect.encode_response(whole, REQUEST)), REQUEST) == whole


@PAIRS
@fast
@given(st.data())
def test_a_translated_stream_tells_what_the_translated_whole_answer_tells(
    upstream: Dialect, client: Dialect, data: st.DataObject
) -> None:
    events = data.draw(streams(answers(upstream), interleaved_calls=True))
    whole = upstream.decode_response(over_the_wire(upstream.encode_response(fold(events), REQUEST)), REQUEST)
    expected = client.decode_response(over_the_wire(client.encode_response(whole, REQUEST)), REQUEST)
    wire = streamed(upstream, events)
    received = relay(upstream, client, REQUEST, pieces_of(wire, data.draw(SIZES)))
    assert received.error is None
    assert gist(read(client, received.wire)) == gist(expected)
    assert undated(received.wire) == undated(relay(upstream, client, REQUEST, [wire]).wire)
    if client is ANTHROPIC:
        told = assembled(received.wire)
        body = over_the_wire(client.encode_response(whole, REQUEST))
        assert {name: told[name] for name in ("content", "stop_reason", "usage", "id", "model")} == {
            name: body[name] for name in ("content", "stop_reason", "usage", "id", "model")
        }


@PAIRS
@fast
@given(st.data())
def test_a_stream_that_is_cut_anywhere_is_an_error_or_whole(
    upstream: Dialect, client: Dialect, data: st.DataObject
) -> None:
    wire = streamed(upstream, data.draw(streams(answers(upstream))))
    received = relay(upstream, client, REQUEST, [wire[: data.draw(st.integers(0, len(wire)))]])
    if received.error is None:
        whole = read(client, relay(upstream, client, REQUEST, [wire]).wire)
        assert attrs.evolve(read(client, received.wire), usage=None) == attrs.evolve(whole, usage=None)


# -- what both can express arrives

COMMON_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "max_tokens": st.integers(16, 100_000),
    "temperature": st.floats(0, 1, allow_nan=False),
    "stream": st.booleans(),
}
PICTURES = st.builds(ImagePart, st.sampled_from(["image/png", "image/jpeg"]), BASE64)
COMMON = requests(
    messages=conversations(
        # Chat's text beside text is one text, and a picture in a result follows it: neither is said in the same way.
        user=st.tuples(TEXT_PARTS) | st.tuples(PICTURES, TEXT_PARTS) | st.tuples(TEXT_PARTS, PICTURES),
        result=st.tuples(TEXT_PARTS),
    ),
    system=st.just(()) | st.tuples(TEXTS),
    fields=COMMON_FIELDS,
    offered=tools(),
)


def common(request: ChatRequest) -> ChatRequest:
    """A request to a model that takes a temperature, with ids of their own, and a choice that all have a word for."""
    chosen = request.tool_choice
    return attrs.evolve(
        request,
        model="claude-sonnet-4-5",
        messages=with_own_ids(request.messages),
        parallel_tool_calls=None,
        tool_choice=chosen if request.tools else None,
        max_tokens=request.max_tokens or 64,
    )


def plain(request: ChatRequest) -> ChatRequest:
    """The request without what a dialect adds: signatures for Gemini, a strictness of false, and ways to stream."""
    turns = (
        Message(turn.role, tuple(part for part in turn.parts if not isinstance(part, ThinkingPart)))
        for turn in request.messages
    )
    tools = (attrs.evolve(tool, strict=tool.strict or None) for tool in request.tools if isinstance(tool, Tool))
    return attrs.evolve(
        request, messages=tuple(turns), tools=tuple(tools), stream=False, include_usage=False, reasoning=None
    )


@PAIRS
@fast
@given(COMMON.map(common))
def test_what_both_dialects_can_express_arrives(upstream: Dialect, client: Dialect, request: ChatRequest) -> None:
    asked = received(client, client.encode_request(request), request.model)
    assert plain(asked) == plain(request)
    assert upstream.losses(asked) == Losses()
    assert plain(received(upstream, upstream.encode_request(asked), request.model)) == plain(request)


@PAIRS
@fast
@given(st.sampled_from(ErrorKind), st.none() | st.integers(1, 3600))
def test_an_upstreams_refusal_is_told_in_the_clients_own_way(
    upstream: Dialect, client: Dialect, kind: ErrorKind, wait: int | None
) -> None:
    refusal = upstream.encode_error(UpstreamError(kind, "too bad", retry_after=wait), "req_1")
    headers = {name.lower(): value for name, value in refusal.headers.items()}
    error = upstream.decode_error(UpstreamFailure(refusal.status, headers, dumps(refusal.body)))
    told = client.encode_error(error, "req_2")
    expected = client.encode_error(UpstreamError(error.kind, "too bad", retry_after=wait), "req_2")
    assert (told.status, told.headers) == (expected.status, expected.headers)
    assert b"too bad" in dumps(told.body)
    # An upstream that refuses a key or a request is no success, and its fault is never the client's key.
    assert told.status >= 400
    assert told.status != 401


# -- nothing falls

REQUESTS = OBJECTS | st.one_of(map(damaged, (GENERATE_REQUEST, MESSAGES_REQUEST, CHAT_REQUEST, RESPONSES_REQUEST)))


@often
@given(REQUESTS)
@example(MESSAGES_REQUEST)
@example(CHAT_REQUEST)
@example(RESPONSES_REQUEST)
def test_any_object_is_a_request_or_an_invalid_one(body: JsonObject) -> None:
    for client in EVERY:
        request = None
        with suppress(InvalidRequestError, UnsupportedFeatureError):
            request = client.decode_request(body)
        if request is None:
            continue
        assert input_tokens(request) > 0
        for upstream in (*EVERY, OpenAIChat()):
            with suppress(InvalidRequestError):
                assert set(attrs.asdict(upstream.losses(request))) == {"dropped", "refused"}
                dumps(upstream.encode_request(request))


@often
@given(REQUESTS)
def test_any_object_can_be_looked_at_and_relayed_natively(body: JsonObject) -> None:
    for dialect in EVERY:
        with suppress(InvalidRequestError, UnsupportedFeatureError):
            peeked = dialect.peek(body)
            assert peeked.model == body["model"]
            relayed = dialect.native_request(body, "upstream-model")
            # Gemini's endpoint has the model in its URL.
            assert relayed.get("model") == (None if dialect is GEMINI else "upstream-model")
            dumps(relayed)


ANSWERS = damaged(MESSAGE) | damaged(COMPLETION) | damaged(RESPONSE) | damaged(FAILURE) | OBJECTS


@often
@given(ANSWERS)
@example(MESSAGE)
@example(COMPLETION)
@example(RESPONSE)
def test_any_object_is_an_answer_or_an_upstream_error(body: JsonObject) -> None:
    for upstream in EVERY:
        with suppress(UpstreamError):
            upstream.native_response(dumps(body), "mine")
        response = None
        with suppress(UpstreamError):
            response = upstream.decode_response(body, REQUEST)
        if response is None:
            continue
        for client in EVERY:
            with suppress(UpstreamError):
                dumps(client.encode_response(response, REQUEST))


@DIALECTS
@often
@given(st.binary(max_size=60) | JSON.map(dumps))
def test_any_bytes_are_a_native_answer_or_an_upstream_error(dialect: Dialect, body: bytes) -> None:
    with suppress(UpstreamError):
        assert dialect.native_response(body, "mine").body


@DIALECTS
@often
@given(
    st.sampled_from([200, 400, 401, 403, 404, 413, 429, 500, 502, 503, 529]) | st.integers(200, 599),
    st.binary(max_size=60) | (JSON | damaged(FAILURE) | damaged([FAILURE])).map(dumps),
    st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms", "content-type"]), st.text(max_size=8)),
)
def test_any_refusal_can_be_told_to_any_client(
    dialect: Dialect, status: int, body: bytes, headers: dict[str, str]
) -> None:
    error = dialect.decode_error(UpstreamFailure(status, headers, body))
    assert error.message
    assert len(error.message) < 3000
    for client in EVERY:
        reply = client.encode_error(error, "req_1")
        assert 400 <= reply.status < 600
        dumps(reply.body)
        assert client.encode_stream_error(error, "req_1")


ENDS = st.sampled_from([b"", b"data: [DONE]\n\n", b"data: {", b": bye\n\n", b"event: error\ndata: boom\n\n"])
STREAMS = st.builds(
    bytes.__add__,
    (damaged(CHAT_STREAM) | damaged(MESSAGE_STREAM) | damaged(RESPONSE_STREAM) | st.lists(JSON, max_size=3)).map(
        lambda items: b"".join(
            sse([item]) if isinstance(item, dict) else b"data: " + dumps(item) + b"\n\n" for item in items
        )
    ),
    ENDS,
)


@often
@given(STREAMS | st.binary(max_size=60), SIZES)
def test_any_bytes_are_a_stream_or_an_upstream_error(wire: bytes, sizes: list[int]) -> None:
    for upstream in EVERY:
        for client in EVERY:
            received = relay(upstream, client, REQUEST, [wire])
            in_pieces = relay(upstream, client, REQUEST, pieces_of(wire, sizes))
            assert undated(in_pieces.wire) == undated(received.wire)
            if received.error is None:
                read(client, received.wire)


@DIALECTS
@often
@given(STREAMS | st.binary(max_size=60), SIZES, st.booleans())
def test_any_bytes_pass_a_tap_the_same_in_any_pieces(
    dialect: Dialect, wire: bytes, sizes: list[int], asked: bool
) -> None:
    body = {"stream": True, "stream_options": {"include_usage": asked}}
    seen = []
    for pieces in ([wire], pieces_of(wire, sizes), pieces_of(wire, [1])):
        tap = dialect.stream_tap(body, "mine")
        relayed = b"".join([tap.feed(piece) for piece in pieces] + [tap.end()])
        told = None if tap.error is None else tap.error.message
        seen.append((SseParser().feed(relayed), told, tap.usage, tap.finish_reason, tap.committed))
    assert seen[0] == seen[1] == seen[2]
