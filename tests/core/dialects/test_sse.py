"""Server-sent events: whatever the chunks and the line ends are, the same events come out."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aigateway_core.dialects.sse import (
    MAX_EVENT_BYTES,
    BlockSplitter,
    ServerSentEvent,
    SseParser,
    format_event,
    parse_block,
    parted,
)
from aigateway_core.errors import ErrorKind, UpstreamError

RICH = (
    ": hello\n\n"
    'event: message_start\ndata: {"text":"Grüße, 世界 🎈"}\n\n'
    "data: first\ndata: second\n\n"
    "id: 7\nretry: 100\ndata:no space\n\n"
    ": OPENROUTER PROCESSING\n\n"
    "event:ping\n\n"
    "data: [DONE]\n\n"
).encode()

RICH_EVENTS = [
    ServerSentEvent("message_start", '{"text":"Grüße, 世界 🎈"}'.encode()),
    ServerSentEvent("", b"first\nsecond"),
    ServerSentEvent("", b"no space"),
    ServerSentEvent("ping", b""),
    ServerSentEvent("", b"[DONE]"),
]

LINE_TEXT = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12)


def parsed(*chunks: bytes) -> list[ServerSentEvent]:
    """The events in these chunks, what is left at the end included."""
    parser = SseParser()
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    return events + parser.flush()


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """``data`` in pieces, cut at these places."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@st.composite
def event_streams(draw: st.DrawFn) -> bytes:
    """Byte streams with every kind of line and line end, well formed or not."""
    lines = st.one_of(
        LINE_TEXT.map(lambda text: "data: " + text),
        LINE_TEXT.map(lambda text: "data:" + text),
        LINE_TEXT.map(lambda text: "event: " + text),
        LINE_TEXT.map(lambda text: ":" + text),
        LINE_TEXT.map(lambda text: "id: " + text),
        st.just("data"),
        st.just(""),
        LINE_TEXT,
    )
    ends: st.SearchStrategy[str] = st.sampled_from(["\n", "\r\n", "\r", "\n\n", "\r\n\r\n", "\r\r"])
    text = "".join(draw(lines) + draw(ends) for _ in range(draw(st.integers(0, 8))))
    mark: bytes = draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    last: str = draw(lines)
    return mark + text.encode() + last.encode()


@pytest.mark.parametrize("place", range(len(RICH) + 1))
def test_a_cut_at_any_byte_changes_nothing(place: int) -> None:
    assert parsed(RICH[:place], RICH[place:]) == RICH_EVENTS


def test_bytes_that_come_one_by_one_give_the_same_events() -> None:
    assert parsed(*(bytes([byte]) for byte in RICH)) == RICH_EVENTS


@pytest.mark.parametrize("end", [b"\r\n", b"\r"], ids=["crlf", "cr"])
def test_other_line_ends_give_the_same_events(end: bytes) -> None:
    stream = RICH.replace(b"\n", end)
    assert parsed(stream) == RICH_EVENTS
    assert parsed(*(bytes([byte]) for byte in stream)) == RICH_EVENTS


@given(event_streams(), st.lists(st.integers(0, 400), max_size=8))
@example(b"data: a\r\n\r\ndata: b\r\n\r\n", [8, 9, 10])
@example(b"data: a\r\r\ndata: b\n\n", [8, 9])
@example(b"\xef\xbb\xbfdata: a\n\n", [1, 2])
@example(b"\xef\xbb", [1])
def test_any_stream_gives_the_same_events_in_any_chunks(stream: bytes, places: list[int]) -> None:
    assert parsed(*cut(stream, places)) == parsed(stream)


@given(event_streams(), st.lists(st.integers(0, 400), max_size=8))
def test_the_splitter_loses_and_doubles_nothing(stream: bytes, places: list[int]) -> None:
    splitter = BlockSplitter()
    relayed = b"".join(splitter.feed(chunk) for chunk in cut(stream, places)) + splitter.flush()
    expected = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert relayed == expected


@given(event_streams(), st.lists(st.integers(0, 400), max_size=8))
def test_the_splitter_hands_out_whole_events_alone(stream: bytes, places: list[int]) -> None:
    splitter = BlockSplitter()
    for chunk in cut(stream, places):
        blocks = splitter.feed(chunk)
        assert blocks == b"" or blocks.endswith(b"\n\n")


@given(st.lists(st.tuples(LINE_TEXT.map(str.strip), LINE_TEXT.map(str.encode)), max_size=5))
def test_what_is_written_is_read_back(events: list[tuple[str, bytes]]) -> None:
    stream = b"".join(format_event(data, name or None) for name, data in events)
    assert parsed(stream) == [ServerSentEvent(name, data) for name, data in events]


def test_an_event_is_given_out_as_soon_as_its_blank_line_is_there() -> None:
    parser = SseParser()
    assert parser.feed(b"data: a\n") == []
    assert parser.feed(b"\n") == [ServerSentEvent("", b"a")]


def test_a_blank_line_of_carriage_returns_needs_no_further_byte() -> None:
    parser = SseParser()
    assert parser.feed(b"data: a\r\n\r") == [ServerSentEvent("", b"a")]
    assert parser.feed(b"\ndata: b\n\n") == [ServerSentEvent("", b"b")]


def test_several_events_in_one_chunk_come_out_at_once() -> None:
    assert len(SseParser().feed(b"data: a\n\ndata: b\n\ndata: c\n\ndata: d")) == 3


def test_an_empty_chunk_is_nothing() -> None:
    parser = SseParser()
    assert parser.feed(b"") == []
    assert parser.feed(b"data: a\r") == []
    assert parser.feed(b"") == []
    assert parser.feed(b"\n\r\n") == [ServerSentEvent("", b"a")]


def test_only_the_first_byte_order_mark_is_dropped() -> None:
    assert parsed(b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n") == [ServerSentEvent("", b"a")]


def test_a_byte_order_mark_within_the_data_stays() -> None:
    assert parsed(b"data: \xef\xbb\xbfa\n\n") == [ServerSentEvent("", b"\xef\xbb\xbfa")]


@pytest.mark.parametrize(
    ("block", "event"),
    [
        (b"data: a", ServerSentEvent("", b"a")),
        (b"data:a", ServerSentEvent("", b"a")),
        (b"data:  a ", ServerSentEvent("", b" a ")),
        (b"data:", ServerSentEvent("", b"")),
        (b"data", ServerSentEvent("", b"")),
        (b"data: a\ndata\ndata: b", ServerSentEvent("", b"a\n\nb")),
        (b"data: a: b", ServerSentEvent("", b"a: b")),
        (b"event: x\nevent: y\ndata: a", ServerSentEvent("y", b"a")),
        (b"data: a\nevent: late", ServerSentEvent("late", b"a")),
        (b"event:x", ServerSentEvent("x", b"")),
        (b"dataset: a\nevents: b\n data: c", None),
        (b": comment\n:\nid: 1\nretry: 5", None),
        (b'{"error": {\n  "code": 503}}\n', ServerSentEvent("", b'{"error": {\n  "code": 503}}')),
        (b'\n[{"error": {}}]', ServerSentEvent("", b'[{"error": {}}]')),
        (b"", None),
    ],
)
def test_a_block_is_read_as_the_standard_says(block: bytes, event: ServerSentEvent | None) -> None:
    assert parse_block(block) == event


def test_an_event_name_that_is_no_utf8_does_not_break_the_reading() -> None:
    assert parse_block(b"event: \xff\ndata: a") == ServerSentEvent("\N{REPLACEMENT CHARACTER}", b"a")


def test_line_separators_of_unicode_are_no_line_ends() -> None:
    data = "a\u2028b\u2029c\x85d\x0be".encode()
    assert parsed(b"data: " + data + b"\n\n") == [ServerSentEvent("", data)]


def test_the_last_event_is_given_out_at_the_end_even_without_its_blank_line() -> None:
    parser = SseParser()
    assert parser.feed(b"data: a\n\ndata: b") == [ServerSentEvent("", b"a")]
    assert parser.flush() == [ServerSentEvent("", b"b")]
    assert parser.flush() == []


def test_an_event_without_an_end_is_refused_before_it_fills_the_memory() -> None:
    parser = SseParser()
    chunk = b"data: " + b"x" * (1 << 20)
    for _ in range(15):
        assert parser.feed(chunk) == []
    with pytest.raises(UpstreamError) as caught:
        parser.feed(chunk)
    assert caught.value.kind is ErrorKind.PROTOCOL


def test_an_endless_rest_behind_a_finished_event_is_refused_too() -> None:
    parser = SseParser()
    parser.feed(b"data: a\n\ndata: ")
    parser.feed(b"x" * (MAX_EVENT_BYTES - 6))
    with pytest.raises(UpstreamError):
        parser.feed(b"x")


def test_a_large_event_in_small_chunks_costs_no_more_than_its_size() -> None:
    parser = SseParser()
    begun = time.process_time()
    for _ in range(MAX_EVENT_BYTES // 1024 - 1):
        parser.feed(b"x" * 1024)
    assert time.process_time() - begun < 5, "copying what is there for each chunk would take over 20 s"


def test_an_event_is_formatted_with_its_name_first() -> None:
    assert format_event(b"{}", "ping") == b"event: ping\ndata: {}\n\n"
    assert format_event(b"[DONE]") == b"data: [DONE]\n\n"


@given(
    st.lists(st.sampled_from([b"\n", b"\n\n", b"data: x\n\n", b"event: a\ndata: " + b"y" * 40 + b"\n\n"]), max_size=30)
)
def test_events_are_parted_at_their_ends_until_each_is_alone(pieces: list[bytes]) -> None:
    blocks = b"".join(pieces)

    def single(part: bytes) -> list[bytes]:
        parts = parted(part)
        if parts is None:
            return [part]
        assert all(parts), "no part is empty, so that it comes to an end"
        assert parts[0].endswith(b"\n\n")
        return [*single(parts[0]), *single(parts[1])]

    found = single(blocks)
    assert b"".join(found) == blocks
    assert all(b"\n\n" not in one[:-2] for one in found)


def test_very_many_events_beside_a_large_one_are_parted_in_few_steps() -> None:
    def depth(part: bytes) -> int:
        parts = parted(part)
        return 0 if parts is None else 1 + max(map(depth, parts))

    assert depth(b":\n\n" * 3_000 + b"data: " + b"x" * 100_000 + b"\n\n" + b":\n\n" * 3_000) < 200
