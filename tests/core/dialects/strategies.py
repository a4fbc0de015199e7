"""Values in canonical normal form, for the round-trip laws of the dialects.

What a dialect cannot express is left out by its own tests: they say which parts and which fields to draw.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import attrs
from hypothesis import strategies as st

from aigateway_core.events import (
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    unfold,
)
from aigateway_core.jsontext import dumps
from aigateway_core.model import (
    ChatRequest,
    ChatResponse,
    FinishReason,
    Message,
    Part,
    ResponseFormat,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
    Usage,
)

LETTERS = st.characters(exclude_categories=["Cs"]) | st.sampled_from('\U0001f600\u0301\u200d\u00e9\r\n\t "\\{}')
"""Astral characters, combining ones, joiners, line ends and what JSON escapes, more often than chance has it."""

TEXTS = st.text(LETTERS, min_size=1, max_size=30).filter(lambda text: bool(text.strip()))
"""Texts with something in them: every dialect refuses or drops blank ones somewhere."""

IDENTIFIERS = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,30}", fullmatch=True)
CALL_IDS = IDENTIFIERS | st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{35}", fullmatch=True)
"""Some nearly as long as the shortest limit that a dialect has, with room for the number of a turn."""
BASE64 = st.binary(min_size=1, max_size=12).map(lambda data: base64.b64encode(data).decode())
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS


_NESTED: st.SearchStrategy[Any] = st.recursive(
    SCALARS | st.just(""),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS | st.just(""), inner, max_size=3),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(TEXTS | st.just(""), _NESTED, max_size=3).map(lambda value: dumps(value).decode())
"""JSON texts of objects, as compact as a dialect writes them that carries objects."""

TEXT_PARTS = st.builds(TextPart, TEXTS)

_LEAVES: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "string", "enum": ["a", "b"]}]
)
_SCHEMAS: st.SearchStrategy[dict[str, Any]] = st.recursive(
    _LEAVES,
    lambda inner: (
        st.builds(
            lambda properties: {"type": "object", "properties": properties},
            st.dictionaries(IDENTIFIERS, inner, max_size=3),
        )
        | st.builds(lambda items: {"type": "array", "items": items}, inner)
    ),
    max_leaves=4,
)
SCHEMAS = st.dictionaries(IDENTIFIERS, _SCHEMAS, max_size=3).map(
    lambda properties: {"type": "object", "properties": properties}
)


def tools(*, strict: bool = False) -> st.SearchStrategy[tuple[Tool, ...]]:
    """Tools with names of their own; ``strict`` where the dialect knows that switch."""
    one = st.builds(
        Tool,
        name=IDENTIFIERS,
        description=st.none() | TEXTS,
        parameters=SCHEMAS,
        strict=st.none() | st.booleans() if strict else st.none(),
    )
    return st.lists(one.map(_kept), max_size=3, unique_by=lambda tool: tool.name).map(tuple)


def _kept(tool: Tool) -> Tool:
    """A strict tool has a schema that every vendor takes as a strict one."""
    return attrs.evolve(tool, parameters=closed(tool.parameters)) if tool.strict else tool


def closed(schema: Any) -> Any:
    """The schema with every key of its objects required, and no other one allowed."""
    if not isinstance(schema, dict):
        return schema
    if "items" in schema:
        return {**schema, "items": closed(schema["items"])}
    if schema.get("type") != "object":
        return schema
    inner = {name: closed(node) for name, node in schema.get("properties", {}).items()}
    return {**schema, "properties": inner, "required": list(inner), "additionalProperties": False}


def tool_choices(offered: tuple[Tool, ...], *, several: bool) -> st.SearchStrategy[ToolChoice]:
    """Choices among ``offered`` tools; ``several`` where the dialect can narrow them to more than one."""
    names = st.sampled_from([tool.name for tool in offered])
    plain = st.sampled_from([ToolChoice("auto"), ToolChoice("required"), ToolChoice("none")])
    named = names.map(lambda name: ToolChoice("required", (name,)))
    if not several:
        return plain | named
    narrowed = st.lists(names, min_size=1, unique=True).map(tuple)
    return plain | named | st.builds(ToolChoice, st.sampled_from(["auto", "required"]), narrowed)


def response_formats(*, described: bool) -> st.SearchStrategy[ResponseFormat]:
    """JSON Schemas as output; ``described`` where the dialect has name, strictness and description besides."""
    if not described:
        return st.builds(ResponseFormat, st.just("json_schema"), schema=SCHEMAS)
    return st.builds(
        ResponseFormat,
        st.just("json_schema"),
        name=IDENTIFIERS,
        schema=st.none() | SCHEMAS,
        strict=st.none() | st.booleans(),
        description=st.none() | TEXTS,
    )


def calls(identifiers: st.SearchStrategy[str] = CALL_IDS) -> st.SearchStrategy[list[ToolCallPart]]:
    """One call or several, with ids of their own."""
    one = st.builds(ToolCallPart, id=identifiers, name=IDENTIFIERS, arguments=ARGUMENTS)
    return st.lists(one, min_size=1, max_size=3, unique_by=lambda call: call.id)


@st.composite
def conversations(
    draw: st.DrawFn,
    *,
    user: st.SearchStrategy[tuple[Part, ...]],
    result: st.SearchStrategy[tuple[Any, ...]],
    thinking: st.SearchStrategy[ThinkingPart] | None = None,
    late_system: bool = False,
    failures: bool = False,
) -> tuple[Message, ...]:
    """Turns that begin with the user's; every call has its result directly after it, in the order of the calls."""
    turns = [Message("user", draw(user))]
    for _ in range(draw(st.integers(0, 3))):
        thought: list[Part] = [draw(thinking)] if thinking is not None and draw(st.booleans()) else []
        spoken: list[Part] = [draw(TEXT_PARTS)] if draw(st.booleans()) else []
        called = draw(st.just([]) | calls())
        if not (spoken or called):
            spoken = [draw(TEXT_PARTS)]
        turns.append(Message("assistant", (*thought, *spoken, *called)))
        if called:
            failed = st.booleans() if failures else st.just(False)
            turns.append(Message("tool", tuple(ToolResultPart(call.id, draw(result), draw(failed)) for call in called)))
        if late_system and draw(st.booleans()):
            turns.append(Message("system", (draw(TEXT_PARTS),)))
        turns.append(Message("user", draw(user)))
    return tuple(turns)


@st.composite
def requests(
    draw: st.DrawFn,
    *,
    messages: st.SearchStrategy[tuple[Message, ...]],
    system: st.SearchStrategy[tuple[str, ...]],
    fields: Mapping[str, st.SearchStrategy[Any]],
    offered: st.SearchStrategy[tuple[Tool, ...]],
    several: bool = False,
) -> ChatRequest:
    """Requests; each of ``fields`` is set in some of them, and tools come with a choice in some."""
    chosen = draw(st.fixed_dictionaries({}, optional=dict(fields)))
    if given := draw(offered):
        chosen["tools"] = given
        chosen["tool_choice"] = draw(st.none() | tool_choices(given, several=several))
        chosen["parallel_tool_calls"] = draw(st.none() | st.booleans())
    return ChatRequest(model=draw(IDENTIFIERS), messages=draw(messages), system=draw(system), **chosen)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Counts that do not contradict each other."""
    read, written, fresh = (draw(st.integers(0, 10_000)) for _ in range(3))
    output = draw(st.integers(0, 10_000))
    return Usage(
        input_tokens=read + written + fresh,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=draw(st.integers(0, output)),
    )


@st.composite
def responses(
    draw: st.DrawFn,
    *,
    ids: st.SearchStrategy[str],
    thinking: st.SearchStrategy[ThinkingPart],
    call_ids: st.SearchStrategy[str] = CALL_IDS,
    reasons: st.SearchStrategy[FinishReason],
    interleaved: bool = False,
) -> ChatResponse:
    """Answers: thinking, text and calls in this order, or, when ``interleaved``, in several rounds of it.

    ``reasons`` are those for an answer without calls; one with calls ends because of them, or was cut.
    """
    parts: list[Part] = []
    for _ in range(draw(st.integers(1, 3)) if interleaved else 1):
        parts += [draw(thinking)] if draw(st.booleans()) else []
        text = draw(st.none() | TEXT_PARTS)
        if text is not None and not (parts and isinstance(parts[-1], TextPart)):
            parts.append(text)
        parts += draw(st.just([]) | calls(call_ids))
    seen = [part for part in parts if isinstance(part, ToolCallPart)]
    unique = len({call.id for call in seen}) == len(seen)
    parts = [part for part in parts if unique or not isinstance(part, ToolCallPart)]
    with_calls = unique and bool(seen)
    return ChatResponse(
        id=draw(ids),
        model=draw(IDENTIFIERS),
        parts=tuple(_separated(parts)),
        finish_reason=draw(st.sampled_from(["tool_calls", "length"]) if with_calls else reasons),
        usage=draw(usages()),
    )


def _separated(parts: list[Part]) -> list[Part]:
    """Normal form: no two texts side by side, and no two thinking parts that a signature does not separate."""
    kept: list[Part] = []
    for part in parts:
        last = kept[-1] if kept else None
        unsigned = isinstance(last, ThinkingPart) and last.signature is None and last.redacted is None
        if (isinstance(part, TextPart) and isinstance(last, TextPart)) or (isinstance(part, ThinkingPart) and unsigned):
            continue
        kept.append(part)
    return kept


@st.composite
def streams(
    draw: st.DrawFn, whole: st.SearchStrategy[ChatResponse], *, interleaved_calls: bool = False
) -> list[StreamEvent]:
    """The events of an answer, its texts in pieces; the fragments of neighbouring calls mixed when asked for."""
    start, *events = unfold(draw(whole))
    pieces = [piece for event in events for piece in _pieces(draw, event)]
    if interleaved_calls:
        pieces = _interleaved(draw, pieces)
    return [start, *pieces]


def _pieces(draw: st.DrawFn, event: StreamEvent) -> list[StreamEvent]:
    match event:
        case TextDelta(text):
            return [TextDelta(piece) for piece in _cut(draw, text)]
        case ThinkingDelta(text, origin):
            return [ThinkingDelta(piece, origin) for piece in _cut(draw, text)]
        case ToolCallDelta(index, arguments):
            return [ToolCallDelta(index, piece) for piece in _cut(draw, arguments)]
        case _:
            return [event]


def _cut(draw: st.DrawFn, text: str) -> list[str]:
    size = draw(st.integers(1, max(len(text), 1)))
    return [text[start : start + size] for start in range(0, len(text), size)]


def _interleaved(draw: st.DrawFn, events: list[StreamEvent]) -> list[StreamEvent]:
    """All fragments of all calls taken from the front of a call chosen each time; everything else keeps its place."""
    queues: dict[int, list[StreamEvent]] = {}
    for event in events:
        if isinstance(event, ToolCallDelta):
            queues.setdefault(event.index, []).append(event)
    last_start = max((place for place, event in enumerate(events) if isinstance(event, ToolCallStart)), default=-1)
    before = [event for event in events[: last_start + 1] if not isinstance(event, ToolCallDelta)]
    after = [event for event in events[last_start + 1 :] if not isinstance(event, ToolCallDelta)]
    mixed: list[StreamEvent] = []
    while queues:
        index = draw(st.sampled_from(sorted(queues)))
        mixed.append(queues[index].pop(0))
        if not queues[index]:
            del queues[index]
    return [*before, *mixed, *after]


def pieces_of(stream: bytes, sizes: list[int]) -> list[bytes]:
    """The bytes cut into pieces of these sizes, over and over."""
    pieces, start, turn = [], 0, 0
    while start < len(stream):
        size = sizes[turn % len(sizes)]
        pieces.append(stream[start : start + size])
        start, turn = start + size, turn + 1
    return pieces


SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=5)
