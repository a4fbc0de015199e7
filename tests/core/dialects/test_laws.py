"""The laws that hold of every dialect: what it can express comes back as it was, in whatever pieces it comes.

What lies outside is named by ``losses()`` and stands on a list (``test_losses.py``); what holds between two dialects is
in ``test_cross_dialect_laws.py``, what holds of one alone in the ``test_*_laws.py`` that bears its name.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import attrs
import pytest
from core.dialects import wide
from core.dialects.damage import damaged
from core.dialects.profiles import budget
from core.dialects.strategies import SIZES, pieces_of, streams
from core.dialects.subject import Subject, asking, decoded, encoded, over_the_wire, received
from core.dialects.subjects import SUBJECTS
from hypothesis import given
from hypothesis import strategies as st

from aigateway_core.dialects.sse import ServerSentEvent, SseParser
from aigateway_core.errors import (
    ErrorKind,
    InvalidRequestError,
    UnsupportedFeatureError,
    UpstreamError,
    UpstreamFailure,
)
from aigateway_core.events import StreamEvent, fold, unfold
from aigateway_core.jsontext import dumps
from aigateway_core.model import ChatRequest, ChatResponse, TextPart, ThinkingPart, ToolCallPart, Usage

REFUSED = (InvalidRequestError, UnsupportedFeatureError)


def drawn_events(subject: Subject, data: st.DataObject) -> list[StreamEvent]:
    return data.draw(streams(subject.answers, interleaved_calls=True))


# -- requests


@SUBJECTS
@budget(60)
@given(st.data())
def test_a_request_comes_back_as_it_was(subject: Subject, data: st.DataObject) -> None:
    request = data.draw(subject.requests)
    body = over_the_wire(subject.dialect.encode_request(request))
    subject.check_request(body)
    came = received(subject.dialect, body, request.model)
    # Whether to stream stands in Gemini's URL; chat's clients say whether they want to see the usage.
    assert attrs.evolve(came, stream=request.stream, include_usage=request.include_usage) == request
    assert subject.dialect.losses(request).dropped == ()


@SUBJECTS
@budget(100)
@given(st.data())
def test_what_is_written_is_written_the_same_again(subject: Subject, data: st.DataObject) -> None:
    request = data.draw(wide.requests(st.sampled_from(subject.models)))
    once = over_the_wire(subject.dialect.encode_request(request))
    again = subject.dialect.encode_request(received(subject.dialect, once, request.model))
    assert subject.settled(over_the_wire(again)) == subject.settled(once)


@SUBJECTS
@budget(100)
@given(st.data())
def test_what_a_client_wrote_settles_once_it_was_read(subject: Subject, data: st.DataObject) -> None:
    body = data.draw(damaged(subject.sample) | st.just(subject.sample))
    with suppress(*REFUSED):
        request = received(subject.dialect, body, "m")
        once = over_the_wire(subject.dialect.encode_request(request))
        again = subject.dialect.encode_request(received(subject.dialect, once, request.model))
        assert subject.settled(over_the_wire(again)) == subject.settled(once)


# -- answers


@SUBJECTS
@budget(60)
@given(st.data())
def test_an_answer_comes_back_as_it_was(subject: Subject, data: st.DataObject) -> None:
    answer = data.draw(subject.answers)
    body = over_the_wire(subject.dialect.encode_response(answer, asking(answer)))
    subject.check_answer(body)
    assert subject.dialect.decode_response(body, asking(answer)) == answer


@SUBJECTS
@budget(60)
@given(st.data())
def test_a_stream_comes_back_as_it_was_whatever_its_pieces(subject: Subject, data: st.DataObject) -> None:
    events = drawn_events(subject, data)
    answer = fold(events)
    stream = encoded(subject.dialect, events, asking(answer))
    subject.check_stream(stream)
    at_once = decoded(subject.dialect, [stream], asking(answer))
    assert fold(at_once) == answer
    windows = stream.replace(b"\n", b"\r\n")
    cut = data.draw(st.integers(0, len(stream)))
    for pieces in (
        pieces_of(stream, data.draw(SIZES)),
        pieces_of(stream, [1]),
        [stream[:cut], stream[cut:]],
        [windows],
        pieces_of(windows, [1]),
        [b"\xef\xbb\xbf" + stream],
    ):
        assert decoded(subject.dialect, pieces, asking(answer)) == at_once


@SUBJECTS
@budget(60)
@given(st.data())
def test_a_whole_answer_is_the_fold_of_its_stream(subject: Subject, data: st.DataObject) -> None:
    events = drawn_events(subject, data)
    request = asking(fold(events))
    streamed = fold(decoded(subject.dialect, [encoded(subject.dialect, events, request)], request))
    body = over_the_wire(subject.dialect.encode_response(fold(events), request))
    assert streamed == subject.dialect.decode_response(body, request)


# -- the native path


def tapped(subject: Subject, pieces: Iterable[bytes], *, usage: bool = True) -> Any:
    """What a tap relays and has seen."""
    body = {"model": "mine", "stream": True, "stream_options": {"include_usage": usage}}
    tap = subject.dialect.stream_tap(body, "mine")
    relayed = b"".join([*[tap.feed(piece) for piece in pieces], tap.end()])
    return relayed, tap.error, tap.usage, tap.finish_reason, tap.committed, tap.ended


@SUBJECTS
@budget(60)
@given(st.data())
def test_the_pieces_of_a_native_stream_change_nothing(subject: Subject, data: st.DataObject) -> None:
    events = drawn_events(subject, data)
    answer = fold(events)
    stream = encoded(subject.dialect, events, attrs.evolve(asking(answer), model="upstream-model"))
    at_once = tapped(subject, [stream])
    assert at_once[1:4] == (None, answer.usage, answer.finish_reason)
    assert at_once[0] == stream.replace(b'"upstream-model"', b'"mine"')
    for sizes in (data.draw(SIZES), [1]):
        assert tapped(subject, pieces_of(stream, sizes)) == at_once


@SUBJECTS
@budget(60)
@given(st.data())
def test_a_stream_that_is_cut_anywhere_is_never_taken_for_a_whole_one(subject: Subject, data: st.DataObject) -> None:
    answer = data.draw(subject.answers)
    stream = encoded(subject.dialect, unfold(answer), asking(answer))
    end = stream.rfind(subject.last_word)
    cut = stream[: data.draw(st.integers(0, end if end > 0 else len(stream) - 3))]
    assert tapped(subject, [cut])[1] is not None
    with pytest.raises(UpstreamError):
        decoded(subject.dialect, [cut], asking(answer))


def parsed(pieces: Iterable[bytes]) -> list[ServerSentEvent]:
    parser = SseParser()
    return [*[event for piece in pieces for event in parser.feed(piece)], *parser.flush()]


# -- every boundary of one stream, one after the other

SPOKEN = ChatResponse(
    id="resp_1",
    model="m",
    parts=(
        TextPart("e\u0301 \U0001f469\u200d\U0001f680\r\n\u2028"),
        ToolCallPart("call_1", "look", '{"where":"\U0001f600","deep":[{"a":null}]}'),
    ),
    finish_reason="tool_calls",
    usage=Usage(input_tokens=9, output_tokens=5, cache_read_tokens=2, reasoning_tokens=1),
)


@SUBJECTS
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_a_stream_may_be_cut_at_every_byte(subject: Subject, line_end: bytes) -> None:
    answer = SPOKEN
    stream = encoded(subject.dialect, unfold(answer), asking(answer)).replace(b"\n", line_end)
    at_once = decoded(subject.dialect, [stream], asking(answer))
    told = fold(at_once)
    assert [part for part in told.parts if not isinstance(part, ThinkingPart)] == list(answer.parts)
    assert told.usage == answer.usage
    # A decoder is fed events, so that the pieces are the parser's concern alone.
    events = parsed([stream])
    for cut in range(1, len(stream)):
        assert parsed([stream[:cut], stream[cut:]]) == events


@SUBJECTS
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_a_native_stream_may_be_cut_at_every_byte(subject: Subject, line_end: bytes) -> None:
    stream = encoded(subject.dialect, unfold(SPOKEN), asking(SPOKEN)).replace(b"\n", line_end)
    at_once = tapped(subject, [stream])
    assert at_once[1:4] == (None, SPOKEN.usage, SPOKEN.finish_reason)
    for cut in range(1, len(stream)):
        assert tapped(subject, [stream[:cut], stream[cut:]]) == at_once


# -- errors

MESSAGES = st.text(st.sampled_from("abc \u00e9\U0001f600"), min_size=1, max_size=20).filter(
    lambda text: text.strip() == text
)
WAITS = st.none() | st.integers(1, 3600)


@SUBJECTS
@budget(60)
@given(st.sampled_from(ErrorKind), MESSAGES, WAITS)
def test_an_error_comes_back_as_it_was(subject: Subject, kind: ErrorKind, message: str, wait: int | None) -> None:
    reply = subject.dialect.encode_error(UpstreamError(kind, message, retry_after=wait), "req_1")
    headers = {name.lower(): value for name, value in reply.headers.items()}
    back = subject.dialect.decode_error(UpstreamFailure(reply.status, headers, dumps(reply.body)))
    assert back.kind == subject.kinds.get(kind, kind)
    assert message in back.message
    assert back.retry_after == wait


@SUBJECTS
@budget(len(ErrorKind))
@given(st.sampled_from(ErrorKind))
def test_an_error_within_a_stream_ends_it_and_comes_with_its_words(subject: Subject, kind: ErrorKind) -> None:
    request = ChatRequest(model="m", stream=True)
    last = subject.dialect.encode_stream_error(UpstreamError(kind, "no more"), "req_1")
    with pytest.raises(UpstreamError, match="no more"):
        decoded(subject.dialect, [last], request)
    error = tapped(subject, [last])[1]
    assert error is not None
    assert "no more" in error.message
