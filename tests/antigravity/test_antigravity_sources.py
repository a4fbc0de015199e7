"""The pages that an answer of a search rests on reach clients that know nothing of Google's own fields."""

from __future__ import annotations

from typing import Any

import pytest
from cloud_code_answers import GEMINI, REQUEST, USAGE, body, enveloped

from aigateway_antigravity.sources import Sources
from aigateway_core.plugin import (
    ChatResponse,
    JsonObject,
    ServerSentEvent,
    StreamEvent,
    StreamFinish,
    TextDelta,
    dumps,
    fold,
)

PAGES = [{"web": {"uri": "https://a.example/1", "title": "python.org"}}, {"web": {"uri": "https://b.example/[2]"}}]
LISTED = "\n\nSources:\n- [python.org](https://a.example/1)\n- [https://b.example/[2]](https://b.example/[2])"


def grounded(piece: JsonObject, *chunks: Any) -> JsonObject:
    piece["candidates"][0]["groundingMetadata"] = {"groundingChunks": list(chunks), "webSearchQueries": ["x"]}
    return piece


def events_of(*pieces: JsonObject) -> list[StreamEvent]:
    decoder = GEMINI.stream_decoder(REQUEST)
    fed = [one for piece in pieces for one in decoder.feed(ServerSentEvent("", dumps(enveloped(piece))))]
    return [*fed, *decoder.end()]


def test_pages_are_listed_once_behind_the_answer_and_before_its_end() -> None:
    first = grounded(body({"text": "3.15"}), PAGES[0])
    last = grounded(body({"text": " is new."}, finish="STOP", usage=USAGE), *PAGES)
    events = events_of(first, last)
    assert fold(events).text == f"3.15 is new.{LISTED}"
    places = {type(event): place for place, event in enumerate(events)}
    assert places[TextDelta] < places[StreamFinish] == len(events) - 1


def test_a_whole_answer_has_them_too() -> None:
    answer: ChatResponse = GEMINI.decode_response(
        enveloped(grounded(body({"text": "new."}, finish="STOP", usage=USAGE), *PAGES)), REQUEST
    )
    assert answer.text == f"new.{LISTED}"


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([], id="none"),
        pytest.param([{"web": {"title": "no address"}}, {"web": 5}, 5, None], id="of other shapes"),
        pytest.param([{"web": {"uri": "javascript:alert(1)", "title": "x"}}], id="no page"),
    ],
)
def test_what_is_no_page_is_not_listed(chunks: list[Any]) -> None:
    assert fold(events_of(grounded(body({"text": "a"}, finish="STOP", usage=USAGE), *chunks))).text == "a"


def test_nothing_is_put_behind_a_call() -> None:
    call = {"functionCall": {"name": "list_files", "args": {}}}
    answer = fold(events_of(grounded(body({"text": "a"}, call, finish="STOP", usage=USAGE), *PAGES)))
    assert answer.text == "a"


def test_a_title_cannot_break_out_of_its_link() -> None:
    sources = Sources()
    page = {"uri": "https://a.example/(x) y", "title": "a](https://evil)\n[b"}
    sources.see(grounded(body({"text": "a"}), {"web": page}))
    assert sources.text == "\n\nSources:\n- [a)(https://evil) (b](https://a.example/%28x%29%20y)"
