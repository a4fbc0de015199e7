"""What the tests by the numbered cases share: how a case is written down, and how a stream is run through."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import attrs
import pytest
from typing_extensions import override

from aigateway_core.dialects.anthropic import Anthropic
from aigateway_core.dialects.dialect import Dialect, Loss
from aigateway_core.dialects.openai_chat import OpenAIChat, OpenAIChatProfile
from aigateway_core.dialects.sse import SseParser
from aigateway_core.errors import ErrorKind, UpstreamError
from aigateway_core.events import CONTENT_EVENTS
from aigateway_core.jsontext import dumps
from aigateway_core.model import ChatRequest, JsonObject

ANTHROPIC = Anthropic()
OPENAI = OpenAIChat()
GLM = OpenAIChat(
    OpenAIChatProfile(
        origin="glm",
        late_system="reminder",
        max_tokens_field="max_tokens",
        user_field="user_id",
        user_length=(6, 128),
        max_stop=1,
        tool_choices=frozenset({"auto"}),
        reasoning_field="reasoning_content",
        empty_content="",
        attachments=frozenset(),
        json_schema=False,
        needs_user_message=True,
        finish_reasons={
            "sensitive": "content_filter",
            "model_context_window_exceeded": "context_window",
            "network_error": "error",
        },
        error_codes={
            "1113": (ErrorKind.QUOTA, "account"),
            "1210": (ErrorKind.INVALID_REQUEST, "request"),
            "1261": (ErrorKind.CONTEXT_LENGTH, "request"),
            "1301": (ErrorKind.CONTENT_FILTER, "request"),
            "1302": (ErrorKind.RATE_LIMIT, "model"),
            "1305": (ErrorKind.OVERLOADED, "model"),
        },
        cannot_express={"parallel_tool_calls": Loss("dropped", "GLM's API has no such field")},
    )
)
"""What GLM spells differently, for the cases that name it; its own distribution has the full table and tests of it."""

HI = {"role": "user", "content": "hi"}


class Matcher:
    """Stands in literal data where the sheet leaves something open: equal to whatever it accepts."""

    __hash__ = None  # type: ignore[assignment]

    def accepts(self, value: Any) -> bool:
        """Whether the sheet allows this value."""
        raise AssertionError(self, value)

    @override
    def __eq__(self, other: object) -> bool:
        return self.accepts(other)


@attrs.frozen(eq=False)
class Matching(Matcher):
    """A string that the pattern fits as a whole."""

    pattern: str

    @override
    def accepts(self, value: Any) -> bool:
        return isinstance(value, str) and re.fullmatch(self.pattern, value, re.DOTALL) is not None


@attrs.frozen(eq=False)
class JsonText(Matcher):
    """A string that spells this value in JSON."""

    value: Any

    @override
    def accepts(self, value: Any) -> bool:
        return isinstance(value, str) and bool(json.loads(value) == self.value)


@attrs.frozen(eq=False)
class Including(Matcher):
    """An object that holds at least these fields."""

    fields: JsonObject

    @override
    def accepts(self, value: Any) -> bool:
        return isinstance(value, dict) and all(
            value.get(name, MISSING) == wanted for name, wanted in self.fields.items()
        )


class InOrder(Matcher):
    """Text in which these pieces stand apart in this order: a string, or an array of text parts."""

    def __init__(self, *pieces: str) -> None:
        self.pieces = pieces

    @override
    def accepts(self, value: Any) -> bool:
        if isinstance(value, list):
            value = "\n".join(part["text"] for part in value if part["type"] == "text")
        return (
            isinstance(value, str)
            and re.search(r"\W.*?".join(map(re.escape, self.pieces)), value, re.DOTALL) is not None
        )

    @override
    def __repr__(self) -> str:
        return f"InOrder{self.pieces}"


class AnyOf(Matcher):
    """One of several forms."""

    def __init__(self, *forms: Any) -> None:
        self.forms = forms

    @override
    def accepts(self, value: Any) -> bool:
        return any(value == form for form in self.forms)

    @override
    def __repr__(self) -> str:
        return f"AnyOf{self.forms}"


class Missing:
    """Stands for the value of a field that is not there."""

    @override
    def __repr__(self) -> str:
        return "MISSING"


MISSING = Missing()


def case(number: int, title: str, *values: Any) -> Any:
    """One case of the sheet, with its number in the name of its test."""
    return pytest.param(*values, id=f"case_{number:03}_{title}")


def picked(body: JsonObject, expected: JsonObject) -> JsonObject:
    """The fields of ``body`` that the sheet speaks of."""
    return {name: body.get(name, MISSING) for name in expected}


def sse(items: Iterable[Any]) -> bytes:
    """A stream of bytes: objects become ``data`` lines (named ones where they have a type), text stands as it is."""
    stream = b""
    for item in items:
        match item:
            case bytes():
                stream += item
            case str():
                stream += item.encode()
            case {"type": name}:
                stream += b"event: " + str(name).encode() + b"\ndata: " + dumps(item) + b"\n\n"
            case _:
                stream += b"data: " + dumps(item) + b"\n\n"
    return stream


@attrs.frozen
class Relayed:
    """What a client received of a stream, and the error that ended it, if one did."""

    wire: bytes
    error: UpstreamError | None
    committed: bool


def relay(upstream: Dialect, client: Dialect, request: ChatRequest, pieces: Iterable[bytes]) -> Relayed:
    """A stream on its way from an upstream of one dialect to a client of another."""
    parser, decoder, encoder = SseParser(), upstream.stream_decoder(request), client.stream_encoder(request)
    wire, committed = b"", False

    def batches() -> Iterator[Any]:
        for piece in pieces:
            for event in parser.feed(piece):
                yield decoder.feed(event)
        for event in parser.flush():
            yield decoder.feed(event)
        yield decoder.end()

    try:
        for batch in batches():
            for event in batch:
                committed = committed or isinstance(event, CONTENT_EVENTS)
                wire += encoder.encode(event)
        wire += encoder.end()
    except UpstreamError as error:
        return Relayed(wire + client.encode_stream_error(error, "req_1"), error, committed)
    return Relayed(wire, None, committed)


def undated(wire: bytes) -> bytes:
    """The bytes without the time at which they were made."""
    return re.sub(rb'"(created|created_at|completed_at)":\d+', rb'"\1":0', wire)


def chunkings(stream: bytes) -> Iterator[list[bytes]]:
    """The same bytes in other pieces: one by one, in small ones of several sizes, and cut once in the middle."""
    for size in (1, 2, 3, 7, 64):
        yield [stream[start : start + size] for start in range(0, len(stream), size)]
    yield [stream[: len(stream) // 2], stream[len(stream) // 2 :]]


def relay_in_any_pieces(upstream: Dialect, client: Dialect, request: ChatRequest, stream: bytes) -> Relayed:
    """As :func:`relay`, once it is sure that the pieces make no difference."""
    whole = relay(upstream, client, request, [stream])
    for pieces in chunkings(stream):
        assert undated(relay(upstream, client, request, pieces).wire) == undated(whole.wire)
    return whole
