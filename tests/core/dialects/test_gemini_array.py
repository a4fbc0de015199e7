"""A native stream for a client that asked for one JSON array: the vendor's events, in another form."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import orjson
import pytest
from core.dialects.gemini_samples import ARRAY, GEMINI, STREAM, chunks_of, wire
from hypothesis import given
from hypothesis import strategies as st

from aigateway_core.dialects.dialect import StreamTap


def relayed(tap: StreamTap, pieces: list[bytes]) -> bytes:
    return b"".join(map(tap.feed, pieces)) + tap.end()


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[begin:end] for begin, end in pairwise(edges)]


@given(st.lists(st.sampled_from(STREAM[:-1]), max_size=8), st.lists(st.integers(0, 1 << 16), max_size=12))
def test_an_array_holds_what_the_events_hold_whatever_the_chunks_are(chunks: list[Any], cuts: list[int]) -> None:
    data = b": comment\n\n" + wire([*chunks, STREAM[-1]])
    events, array = GEMINI.stream_tap({}, "mine"), GEMINI.stream_tap({}, "mine")
    reframed = ARRAY.reframe(array)
    expected = chunks_of(relayed(events, [data]))
    assert orjson.loads(relayed(reframed, pieces_of(data, cuts))) == expected
    told = [(tap.committed, tap.ended, tap.error, tap.usage, tap.finish_reason) for tap in (events, array, reframed)]
    assert told[0] == told[1] == told[2]


def test_each_element_goes_out_as_soon_as_its_event_is_there() -> None:
    tap = ARRAY.reframe(GEMINI.stream_tap({}, "mine"))
    first = tap.feed(wire(STREAM[:1]))
    assert first.startswith(b"[")
    assert orjson.loads(first[1:])["modelVersion"] == "mine"
    assert tap.committed
    second = tap.feed(wire(STREAM[1:2]))
    assert second.startswith(b",")


@pytest.mark.parametrize("cut", range(1, 4))
def test_an_array_that_was_cut_is_not_closed_as_if_it_were_whole(cut: int) -> None:
    tap = ARRAY.reframe(GEMINI.stream_tap({}, "mine"))
    sent = relayed(tap, [wire(STREAM[:cut])])
    assert tap.error is not None
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(sent)


def test_a_client_of_events_gets_the_vendors_tap_itself() -> None:
    tap = GEMINI.stream_tap({}, "mine")
    assert GEMINI.reframe(tap) is tap
