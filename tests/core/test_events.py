"""Folding the events of a stream into a whole answer, and unfolding it again."""

from __future__ import annotations

import json

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigateway_core.events import (
    CONTENT_EVENTS,
    Fold,
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
from aigateway_core.model import AudioPart, ChatResponse, ImagePart, Part, TextPart, ThinkingPart, ToolCallPart, Usage

START = StreamStart("r-1", "m")
STOP = StreamFinish("stop")

names = st.text(min_size=1, max_size=8)
words = st.text(max_size=10)
origins = st.none() | st.sampled_from(["anthropic", "glm"])
counts = st.integers(0, 10**9)
usages = st.builds(
    Usage,
    input_tokens=counts,
    output_tokens=counts,
    cache_read_tokens=counts,
    cache_write_tokens=counts,
    reasoning_tokens=counts,
    estimated=st.booleans(),
)
arguments = st.dictionaries(words, words, max_size=2).map(json.dumps)
calls = st.builds(ToolCallPart, id=names, name=names, arguments=arguments)
parts: st.SearchStrategy[Part] = st.one_of(
    st.builds(TextPart, text=st.text(min_size=1, max_size=10)),
    st.builds(ThinkingPart, text=st.text(min_size=1, max_size=10), signature=st.none() | names, origin=origins),
    st.builds(ThinkingPart, text=st.just(""), signature=names, origin=origins),
    st.builds(ThinkingPart, text=st.just(""), origin=origins, redacted=words),
    calls,
)


def normal(found: list[Part]) -> tuple[Part, ...]:
    """These parts without the neighbours that the normal form would have made one."""
    kept: list[Part] = []
    for part in found:
        last = kept[-1] if kept else None
        if isinstance(part, TextPart) and isinstance(last, TextPart):
            continue
        unsigned = isinstance(last, ThinkingPart) and last.signature is None and last.redacted is None
        if unsigned and isinstance(part, ThinkingPart) and part.redacted is None:
            continue
        kept.append(part)
    return tuple(kept)


responses = st.builds(
    ChatResponse,
    id=words,
    model=words,
    parts=st.lists(parts, max_size=6).map(normal),
    finish_reason=st.sampled_from(
        ["stop", "stop_sequence", "length", "tool_calls", "content_filter", "context_window", "pause"]
    ),
    stop_sequence=st.none() | words,
    usage=st.none() | usages,
)


def shredded(event: StreamEvent) -> list[StreamEvent]:
    """The same event letter by letter, where it can be."""
    match event:
        case TextDelta(text) | ThinkingDelta(text) if len(text) > 1:
            return [attrs.evolve(event, text=letter) for letter in text]
        case ToolCallDelta(index, arguments) if len(arguments) > 1:
            return [ToolCallDelta(index, letter) for letter in arguments]
        case _:
            return [event]


@given(responses)
def test_unfolding_and_folding_gives_the_answer_back(response: ChatResponse) -> None:
    assert fold(unfold(response)) == response


@given(responses)
def test_smaller_deltas_fold_to_the_same_answer(response: ChatResponse) -> None:
    assert fold(piece for event in unfold(response) for piece in shredded(event)) == response


@given(responses)
def test_a_stream_starts_and_finishes_once(response: ChatResponse) -> None:
    events = list(unfold(response))
    assert isinstance(events[0], StreamStart)
    assert isinstance(events[-1], StreamFinish)
    assert sum(isinstance(event, StreamStart | StreamFinish) for event in events) == 2


@given(responses)
def test_calls_are_numbered_from_zero_in_their_order(response: ChatResponse) -> None:
    started = [event.index for event in unfold(response) if isinstance(event, ToolCallStart)]
    assert started == list(range(len(started)))


@given(st.lists(calls, min_size=2, max_size=4), st.randoms(use_true_random=False))
def test_interleaved_arguments_find_their_calls(found: list[ToolCallPart], random: object) -> None:
    starts: list[StreamEvent] = [ToolCallStart(n, call.id, call.name) for n, call in enumerate(found)]
    letters = [[ToolCallDelta(n, letter) for letter in call.arguments] for n, call in enumerate(found)]
    mixed: list[StreamEvent] = []
    while any(letters):
        column = random.choice([rest for rest in letters if rest])  # type: ignore[attr-defined]
        mixed.append(column.pop(0))
    assert fold([START, *starts, *mixed, StreamFinish("tool_calls")]).parts == tuple(found)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([TextDelta("a"), TextDelta(""), TextDelta("b")], [TextPart("ab")], id="text_is_one_part"),
        pytest.param([TextDelta("")], [], id="empty_text_is_no_part"),
        pytest.param(
            [ThinkingDelta("a", "glm"), ThinkingDelta("b", "glm"), TextDelta("c")],
            [ThinkingPart("ab", origin="glm"), TextPart("c")],
            id="thinking_is_one_part",
        ),
        pytest.param(
            [ThinkingDelta("a"), SignatureDelta("s", "anthropic"), ThinkingDelta("b")],
            [ThinkingPart("a", "s", "anthropic"), ThinkingPart("b")],
            id="a_signature_closes_the_thinking",
        ),
        pytest.param(
            [TextDelta("a"), SignatureDelta("s")],
            [TextPart("a"), ThinkingPart("", "s")],
            id="a_signature_alone_is_a_thinking_part",
        ),
        pytest.param(
            [ThinkingDelta("a"), SignatureDelta("s"), SignatureDelta("t")],
            [ThinkingPart("a", "s"), ThinkingPart("", "t")],
            id="a_second_signature_signs_nothing_before_it",
        ),
        pytest.param(
            [ThinkingDelta("a"), RedactedThinking("x", "anthropic"), ThinkingDelta("b")],
            [ThinkingPart("a"), ThinkingPart("", origin="anthropic", redacted="x"), ThinkingPart("b")],
            id="redacted_thinking_stands_alone",
        ),
        pytest.param(
            [TextDelta("a"), ToolCallStart(0, "c", "f"), TextDelta("b"), ToolCallDelta(0, "{}"), TextDelta("c")],
            [TextPart("a"), ToolCallPart("c", "f", "{}"), TextPart("bc")],
            id="a_call_stands_where_it_began",
        ),
        pytest.param(
            [ToolCallStart(0, "c", "f")],
            [ToolCallPart("c", "f", "{}")],
            id="no_arguments_are_an_empty_object",
        ),
        pytest.param(
            [ToolCallStart(0, "c", "f"), ToolCallDelta(0, " \n")],
            [ToolCallPart("c", "f", "{}")],
            id="blank_arguments_are_an_empty_object",
        ),
        pytest.param(
            [ToolCallStart(0, "c", "f"), ToolCallDelta(0, '{"a" : 1}')],
            [ToolCallPart("c", "f", '{"a" : 1}')],
            id="arguments_are_not_rewritten",
        ),
    ],
)
def test_deltas_fold_to_parts(events: list[StreamEvent], expected: list[Part]) -> None:
    assert fold([START, *events, STOP]).parts == tuple(expected)


def test_the_last_usage_counts() -> None:
    first, last = Usage(input_tokens=5), Usage(input_tokens=5, output_tokens=7)
    assert fold([START, UsageUpdate(first), TextDelta("a"), UsageUpdate(last), STOP]).usage == last


def test_a_fold_shows_what_it_has_seen_so_far() -> None:
    state = Fold()
    assert state.response() == ChatResponse(id="", model="")
    state.feed(START)
    state.feed(TextDelta("a"))
    assert state.response() == ChatResponse(id="r-1", model="m", parts=(TextPart("a"),))
    state.feed(StreamFinish("stop_sequence", "END"))
    assert state.finish == StreamFinish("stop_sequence", "END")
    assert state.response().stop_sequence == "END"


def test_a_stream_without_a_finish_can_be_told_from_a_whole_one() -> None:
    state = Fold()
    state.feed(START)
    state.feed(TextDelta("a"))
    assert state.finish is None


def test_parts_that_no_model_can_stream_are_left_out_of_a_stream() -> None:
    response = ChatResponse(id="r", model="m", parts=(AudioPart("AAAA", "wav"), TextPart("a")))
    assert fold(unfold(response)).parts == (TextPart("a"),)


def test_a_picture_is_told_whole_between_texts() -> None:
    picture = ImagePart("image/png", "AAAA")
    response = ChatResponse(id="r", model="m", parts=(TextPart("a"), picture, TextPart("b"), picture, picture))
    assert fold(unfold(response)).parts == response.parts


def test_the_commit_point_is_any_event_a_client_would_show_or_act_on() -> None:
    response = ChatResponse(
        id="r",
        model="m",
        parts=(
            ThinkingPart("a", "s"),
            ThinkingPart("", redacted="x"),
            TextPart("b"),
            ImagePart(),
            ToolCallPart("c", "f", "{}"),
        ),
        usage=Usage(),
    )
    others = {type(event) for event in unfold(response) if not isinstance(event, CONTENT_EVENTS)}
    assert others == {StreamStart, UsageUpdate, StreamFinish}


def test_no_secret_of_a_stream_shows_in_a_repr() -> None:
    thinking = ThinkingPart("", signature="hush", redacted="hush")
    assert "hush" not in repr([SignatureDelta("hush"), RedactedThinking("hush"), thinking])
