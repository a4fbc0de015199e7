"""What the laws ask of each dialect: see ``test_laws.py``.

A subject gives the requests and answers that its dialect can express, and names what it changes all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
from hypothesis import strategies as st

from aigateway_core.dialects.dialect import Dialect, decode_events
from aigateway_core.dialects.sse import SseParser
from aigateway_core.errors import ErrorKind
from aigateway_core.events import StreamEvent
from aigateway_core.jsontext import dumps, loads_object
from aigateway_core.model import ChatRequest, ChatResponse, JsonObject, Reasoning


@attrs.frozen(eq=False, kw_only=True)
class Subject:
    """One dialect, with one profile, before the laws."""

    name: str
    dialect: Dialect
    models: tuple[str, ...]
    """Models that differ in what they take; requests of any kind are written for all of them."""

    requests: st.SearchStrategy[ChatRequest]
    """Requests that come back as they were."""

    answers: st.SearchStrategy[ChatResponse]
    """Answers that come back as they were, whole and as streams."""

    check_request: Callable[[JsonObject], None]
    check_answer: Callable[[JsonObject], Any]
    check_stream: Callable[[bytes], None]
    """By the vendor's own types."""

    sample: JsonObject
    """The body of a request with something of everything."""

    last_word: bytes
    """Where the end of a stream begins: what is cut before it is never taken for whole."""

    kinds: Mapping[ErrorKind, ErrorKind]
    """Kinds of errors that this dialect's statuses and words do not tell from another one."""

    settled: Callable[[JsonObject], JsonObject] = lambda body: body
    """The body of a request, of the forms that say the same the one that stays."""


def over_the_wire(body: JsonObject) -> JsonObject:
    """What is left of a body after it was bytes."""
    return loads_object(dumps(body))


def received(dialect: Dialect, body: JsonObject, model: str) -> ChatRequest:
    """The request in a body; Gemini's endpoint has the model in its URL and adds it."""
    return dialect.decode_request({"model": model, **over_the_wire(body)})


def asking(answer: ChatResponse) -> ChatRequest:
    """A request that this answer may answer: under the same name for the model, with all that can be shown."""
    return ChatRequest(model=answer.model, reasoning=Reasoning(), stream=True, include_usage=True)


def encoded(dialect: Dialect, events: Iterable[StreamEvent], request: ChatRequest) -> bytes:
    """The bytes of a stream."""
    encoder = dialect.stream_encoder(request)
    return b"".join([*map(encoder.encode, events), encoder.end()])


def decoded(dialect: Dialect, pieces: Iterable[bytes], request: ChatRequest) -> list[StreamEvent]:
    """The events in the bytes of a stream."""
    parser = SseParser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    return decode_events(dialect.stream_decoder(request), [*events, *parser.flush()])


KINDS: Mapping[ErrorKind, ErrorKind] = {
    ErrorKind.UNSUPPORTED: ErrorKind.INVALID_REQUEST,
    ErrorKind.METHOD_NOT_ALLOWED: ErrorKind.INVALID_REQUEST,
    ErrorKind.NOT_FOUND: ErrorKind.MODEL_NOT_FOUND,
    ErrorKind.REQUEST_TIMEOUT: ErrorKind.TIMEOUT,
    # What an upstream says of a key it says of the account's, which its client is not told of.
    ErrorKind.UNAUTHORIZED: ErrorKind.CREDENTIAL,
    ErrorKind.FORBIDDEN: ErrorKind.CREDENTIAL,
    ErrorKind.CREDENTIAL: ErrorKind.SERVER,
    ErrorKind.BANNED: ErrorKind.SERVER,
    ErrorKind.UNAVAILABLE: ErrorKind.OVERLOADED,
    ErrorKind.PROTOCOL: ErrorKind.SERVER,
    ErrorKind.INTERNAL: ErrorKind.SERVER,
}
"""Kinds that no dialect has a status or a word of its own for, and what they come back as."""
