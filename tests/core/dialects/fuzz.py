"""Damaged requests, answers, streams and refusals for everything that reads them: nothing falls, nothing hangs.

The ordinary tests try a little of it; ``tox -e fuzz`` goes on for ten minutes, ``tox -e fuzz -- --minutes 60`` for as
long as it is told. What falls is printed as an example, which belongs into ``test_fuzz.py``.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from core import foreign_bytes
from core.dialects.broken_requests import FULL, leads_somewhere, places, steps
from core.dialects.damage import JSON, OBJECTS, damaged, garbled, spliced, swollen
from core.dialects.gemini_samples import ANSWER, REFUSAL, STREAM
from core.dialects.response_samples import RESPONSE, RESPONSE_STREAM
from core.dialects.samples import CHAT_STREAM, COMPLETION, FAILURE, MESSAGE, MESSAGE_STREAM
from core.dialects.strategies import SIZES, pieces_of
from core.fuzz_target import Target
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from aigateway_core.dialects.anthropic import Anthropic
from aigateway_core.dialects.dialect import Dialect
from aigateway_core.dialects.estimate import input_tokens
from aigateway_core.dialects.gemini import Gemini, GeminiArray, GeminiProfile
from aigateway_core.dialects.openai_chat import OpenAIChat
from aigateway_core.dialects.openai_responses import OpenAIResponses
from aigateway_core.dialects.sse import ServerSentEvent, SseParser
from aigateway_core.errors import InvalidRequestError, UnsupportedFeatureError, UpstreamError, UpstreamFailure
from aigateway_core.events import StreamEvent, fold
from aigateway_core.jsontext import dumps, loads_object
from aigateway_core.model import ChatRequest, ChatResponse, JsonObject

LONGEST = timedelta(seconds=5)
"""How long one example may take, which takes milliseconds as a rule."""

HANGS = 60
"""After so many seconds with one example the run ends, and says where it hung."""

DIALECTS: tuple[Dialect, ...] = (Anthropic(), OpenAIChat(), OpenAIResponses(), Gemini())
WRITERS: tuple[Dialect, ...] = (*DIALECTS, Gemini(GeminiProfile(json_schemas=False)))
ARRAY = GeminiArray()
CLIENTS: tuple[Dialect, ...] = (*DIALECTS, ARRAY)

ANSWERS: dict[str, JsonObject] = {
    "anthropic": MESSAGE,
    "openai-chat": COMPLETION,
    "openai-responses": RESPONSE,
    "gemini": ANSWER,
}
STREAMS: dict[str, list[JsonObject]] = {
    "anthropic": MESSAGE_STREAM,
    "openai-chat": CHAT_STREAM,
    "openai-responses": RESPONSE_STREAM,
    "gemini": STREAM,
}
REFUSALS: list[Any] = [
    FAILURE,
    REFUSAL,
    [REFUSAL],
    {"error": {"message": "no", "type": "requests", "param": "messages", "code": "rate_limit_exceeded"}},
    {"error": "flat"},
    {"code": "1210", "message": "flat"},
]


def broken(whole: Any, others: Sequence[Any] = ()) -> st.SearchStrategy[Any]:
    """``whole``, and what may become of it."""
    return st.just(whole) | damaged(whole) | spliced(whole, others) | swollen(whole)


def wire_of(payloads: Sequence[Any]) -> bytes:
    """Payloads as the events of a stream, named as far as they say what they are."""
    return b"".join(_event(payload) for payload in payloads) + b"data: [DONE]\n\n"


def _event(payload: Any) -> bytes:
    kind = payload.get("type") if isinstance(payload, dict) else None
    named = f"event: {kind}\n".encode() if isinstance(kind, str) and kind.isprintable() else b""
    return named + b"data: " + dumps(payload) + b"\n\n"


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def check_request(dialect: Dialect, body: JsonObject) -> None:
    """It is a request that goes into a body for every upstream, or is refused with a place that is in it."""
    request = None
    refusals: list[InvalidRequestError | UnsupportedFeatureError] = []
    try:
        body = loads_object(dumps(body))
        dialect.peek(body)
        dumps(dialect.native_request(body, "upstream-model"))
        request = dialect.decode_request(body)
    except (InvalidRequestError, UnsupportedFeatureError) as error:
        refusals.append(error)
    if request is None:
        assert_placed(refusals[0], body)
        return
    assert input_tokens(request) > 0
    for upstream in WRITERS:
        with suppress(InvalidRequestError):
            upstream.losses(request)
            loads_object(dumps(upstream.encode_request(request)))


def assert_placed(refusal: InvalidRequestError | UnsupportedFeatureError, body: JsonObject) -> None:
    """The path leads somewhere, as far as it can be told from keys that hold no dots and brackets of their own."""
    plain = all(_PLAIN.fullmatch(step) for place in places(body) for step in place if isinstance(step, str))
    if plain and refusal.path:
        assert leads_somewhere(body, steps(refusal.path)), refusal


_PLAIN = re.compile(r"[\w -]+")


def check_answer(dialect: Dialect, raw: bytes) -> None:
    """It is an answer, for every client, or the upstream's mistake; relayed as it is, or the same."""
    with suppress(UpstreamError):
        loads_object(dialect.native_response(raw, "mine").body)
    with suppress(InvalidRequestError, UpstreamError):
        tell(dialect.decode_response(loads_object(raw), _request("mine")))


def tell(response: ChatResponse) -> None:
    """Every client can be told this."""
    for client in CLIENTS:
        with suppress(UpstreamError):
            dumps(client.encode_response(response, _request("mine")))


def check_stream(dialect: Dialect, given: tuple[bytes, list[int]]) -> None:
    """The same events in whatever pieces, which can be told to every client; or the upstream's mistake."""
    wire, sizes = given
    told = [_decoded(dialect, pieces) for pieces in ([wire], pieces_of(wire, sizes))]
    assert told[0] == told[1]
    events, error = told[0]
    if error is None:
        with suppress(UpstreamError):
            tell(fold(events))
    for client in CLIENTS:
        encoder = client.stream_encoder(_request("mine"))
        with suppress(UpstreamError):
            for event in events:
                encoder.encode(event)
            if error is None:
                encoder.end()


def _decoded(dialect: Dialect, pieces: Sequence[bytes]) -> tuple[list[StreamEvent], str | None]:
    decoder = dialect.stream_decoder(_request("mine"))
    events: list[StreamEvent] = []
    try:
        for event in _parsed(pieces):
            events += decoder.feed(event)
        events += decoder.end()
    except UpstreamError as error:
        return events, error.message
    return events, None


def _parsed(pieces: Sequence[bytes]) -> Iterator[ServerSentEvent]:
    parser = SseParser()
    for piece in pieces:
        yield from parser.feed(piece)
    yield from parser.flush()


def check_tap(dialect: Dialect, given: tuple[bytes, list[int]]) -> None:
    """The same passes in whatever pieces."""
    wire, sizes = given
    assert _tapped(dialect, [wire]) == _tapped(dialect, pieces_of(wire, sizes))


def _tapped(dialect: Dialect, pieces: Sequence[bytes]) -> tuple[Any, ...]:
    tap = dialect.stream_tap({"stream": True, "stream_options": {"include_usage": True}}, "mine")
    relayed = b"".join([tap.feed(piece) for piece in pieces] + [tap.end()])
    told = None if tap.error is None else tap.error.message
    return (list(_parsed([relayed])), told, tap.usage, tap.finish_reason, tap.committed, tap.ended)


def check_refusal(dialect: Dialect, given: tuple[int, dict[str, str], bytes]) -> None:
    """It can be told to every client, before a stream and within."""
    error = dialect.decode_error(UpstreamFailure(*given))
    assert 0 < len(error.message) < 3000
    for client in CLIENTS:
        reply = client.encode_error(error, "req_1")
        assert 400 <= reply.status < 600
        assert all(value.isprintable() for value in reply.headers.values())
        dumps(reply.body)
        assert client.encode_stream_error(error, "req_1")


def check_events(given: tuple[bytes, list[int]]) -> None:
    """The same events in whatever pieces."""
    wire, sizes = given
    assert list(_parsed([wire])) == list(_parsed(pieces_of(wire, sizes)))


def _request(model: str) -> ChatRequest:
    return ChatRequest(model=model, stream=True)


def _of(dialect: Dialect) -> Iterator[Target]:
    name = dialect.name
    others = [body for other, body in FULL.items() if other != name]
    answers = [body for other, body in ANSWERS.items() if other != name]
    streams = [payloads for other, payloads in STREAMS.items() if other != name]
    bodies = broken(FULL[name], others) | OBJECTS
    raw = (broken(ANSWERS[name], answers) | damaged(FAILURE) | JSON).map(dumps)
    wires = (broken(STREAMS[name], streams).map(_listed) | st.lists(JSON, max_size=3)).map(wire_of)
    cut = st.tuples((wires | st.just(wire_of(STREAMS[name]))).flatmap(garbled) | st.binary(max_size=99), SIZES)
    refused = st.tuples(
        st.integers(200, 599),
        st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms", "content-type"]), st.text(max_size=20)),
        st.sampled_from(REFUSALS).flatmap(broken).map(dumps).flatmap(garbled) | st.binary(max_size=99),
    )
    yield Target(f"{name}: requests", bodies, lambda body: check_request(dialect, body))
    yield Target(f"{name}: answers", raw | raw.flatmap(garbled), lambda body: check_answer(dialect, body))
    yield Target(f"{name}: streams", cut, lambda given: check_stream(dialect, given))
    yield Target(f"{name}: taps", cut, lambda given: check_tap(dialect, given))
    yield Target(f"{name}: refusals", refused, lambda given: check_refusal(dialect, given))


TARGETS: tuple[Target, ...] = (
    *(target for dialect in DIALECTS for target in _of(dialect)),
    Target(
        "gemini as an array: taps", st.tuples(garbled(wire_of(STREAM)), SIZES), lambda it: check_tap(GeminiArray(), it)
    ),
    Target("events", st.tuples(garbled(wire_of(MESSAGE_STREAM)) | st.binary(max_size=200), SIZES), check_events),
    *foreign_bytes.TARGETS,
)


HARD = settings(
    max_examples=200,
    database=None,
    deadline=LONGEST,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
)
"""How hard a target is tried before it is the next one's turn."""


def run(target: Target, profile: settings, count: Callable[[], None] = lambda: None) -> None:
    """Try this target as hard as the profile says."""

    @profile
    @given(target.inputs)
    def attempt(value: Any) -> None:
        count()
        target.check(value)

    attempt()


class Run:
    """One long run: every target in turn until the time is over, and what has become of them."""

    def __init__(self) -> None:
        self.counted: collections.Counter[str] = collections.Counter()
        self.fallen: dict[str, str] = {}

    def until(self, end: float) -> None:
        """Go on until the clock shows ``end``, or nothing stands any more."""
        while time.monotonic() < end and len(self.fallen) < len(TARGETS):
            for target in TARGETS:
                if target.name not in self.fallen and time.monotonic() < end:
                    self._try(target)
        faulthandler.cancel_dump_traceback_later()

    def report(self) -> str:
        """What was tried how often, and what fell of what."""
        lines = [*self.fallen.values()]
        for target in TARGETS:
            end = "FELL" if target.name in self.fallen else "stood"
            lines.append(f"{target.name:<28} {self.counted[target.name]:>9} examples  {end}")
        return "\n".join([*lines, f"{'together':<28} {self.counted.total():>9} examples, {len(self.fallen)} fell", ""])

    def _try(self, target: Target) -> None:
        def count() -> None:
            faulthandler.dump_traceback_later(HANGS, exit=True)
            self.counted[target.name] += 1

        try:
            run(target, HARD, count)
        except Exception:  # noqa: BLE001 - whatever it is: that is what is looked for
            self.fallen[target.name] = f"{target.name}\n{traceback.format_exc()}"


def main(arguments: Sequence[str] | None = None) -> int:
    """A run of so many ``--minutes``; 1 when something fell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    tried = Run()
    tried.until(time.monotonic() + 60 * parser.parse_args(arguments).minutes)
    sys.stdout.write(tried.report())
    return 1 if tried.fallen else 0


if __name__ == "__main__":
    sys.exit(main())
