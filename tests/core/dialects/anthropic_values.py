"""What the Messages API can express, as strategies, and what it changes."""

from __future__ import annotations

import functools
from typing import Any, cast

import attrs
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message as SdkMessage
from anthropic.types import ParsedMessage, RawMessageStreamEvent
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from core.dialects.samples import MESSAGES_REQUEST
from core.dialects.strategies import (
    BASE64,
    IDENTIFIERS,
    TEXT_PARTS,
    TEXTS,
    conversations,
    requests,
    response_formats,
    responses,
    tools,
)
from core.dialects.subject import KINDS, Subject
from hypothesis import strategies as st
from pydantic import TypeAdapter

from aigateway_core.dialects.anthropic import Anthropic
from aigateway_core.dialects.sse import SseParser
from aigateway_core.errors import ErrorKind
from aigateway_core.model import (
    ChatRequest,
    ChatResponse,
    DocumentPart,
    FinishReason,
    ImagePart,
    JsonObject,
    Message,
    Reasoning,
    ResponseFormat,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
)

DIALECT = Anthropic()
NEWEST = "claude-opus-5"
"""A model that takes turns of system text and JSON schemas, and no sampling fields."""
SAMPLING = "claude-sonnet-4-5"

SIGNATURES = st.from_regex(r"[A-Za-z0-9+/]{4,20}={0,2}", fullmatch=True)
SIGNED = st.builds(ThinkingPart, TEXTS, SIGNATURES, st.just("anthropic"))
REDACTED = st.builds(ThinkingPart, st.just(""), origin=st.just("anthropic"), redacted=SIGNATURES)
OWN = SIGNED | st.builds(ThinkingPart, st.just(""), SIGNATURES, st.just("anthropic")) | REDACTED
FOREIGN = st.builds(ThinkingPart, TEXTS, st.none() | SIGNATURES, st.sampled_from([None, "glm", "openai-responses"]))

ADDRESSES = TEXTS.map(lambda text: "https://example.com/" + text)
IMAGES = (
    st.builds(ImagePart, media_type=st.sampled_from(["image/png", "image/jpeg"]), data=BASE64)
    | st.builds(ImagePart, url=ADDRESSES)
    | st.builds(ImagePart, file_id=IDENTIFIERS)
)
TITLES = st.none() | TEXTS
DOCUMENTS = (
    st.builds(DocumentPart, media_type=st.just("application/pdf"), data=BASE64, title=TITLES)
    | st.builds(DocumentPart, media_type=st.just("text/plain"), text=TEXTS, title=TITLES)
    | st.builds(DocumentPart, url=ADDRESSES, title=TITLES)
    | st.builds(DocumentPart, file_id=IDENTIFIERS, title=TITLES)
)
SHOWN = st.lists(TEXT_PARTS | IMAGES | DOCUMENTS, min_size=1, max_size=3).map(tuple)

FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "max_tokens": st.integers(1, 100_000),
    "stop": st.lists(TEXTS, min_size=1, max_size=4).map(tuple),
    "user": st.text(min_size=1, max_size=64),
    "service_tier": st.sampled_from(["auto", "standard_only"]),
    "stream": st.booleans(),
}
NEWEST_FIELDS = FIELDS | {
    "reasoning": st.builds(Reasoning, st.sampled_from(["low", "medium", "high", "xhigh", "max"]), summary=st.booleans())
    | st.just(Reasoning("none")),
    "response_format": response_formats(described=False),
}
NUMBERS = st.floats(0, 1, allow_nan=False)
SAMPLING_FIELDS = FIELDS | {"temperature": NUMBERS, "top_k": st.integers(1, 500)}


def all_requests(fields: dict[str, st.SearchStrategy[Any]], model: str, **turns: Any) -> st.SearchStrategy[ChatRequest]:
    drawn = requests(
        messages=conversations(user=SHOWN, result=st.just(()) | SHOWN, failures=True, **turns),
        system=st.lists(TEXTS, max_size=2).map(tuple),
        fields=fields,
        offered=tools(strict=True),
    )
    return drawn.map(lambda request: expressible(attrs.evolve(request, model=model)))


def expressible(request: ChatRequest) -> ChatRequest:
    """The request in the form that this API can hold, in ways that change nothing of what it says."""
    messages = with_own_ids(in_legal_places(request.messages))
    choice = request.tool_choice
    return attrs.evolve(
        request,
        messages=messages,
        # The limit is required, false is what strict is anyway, and parallel calls are a part of the choice.
        max_tokens=request.max_tokens or 9,
        tools=tuple(map(strict_when_closed, request.tools)),
        parallel_tool_calls=request.parallel_tool_calls if choice and choice.mode != "none" else None,
        response_format=closed(request.response_format),
    )


def strict_when_closed(tool: Any) -> Any:
    if not tool.strict:
        return attrs.evolve(tool, strict=None)
    return attrs.evolve(tool, parameters=closed_schema(dict(tool.parameters)))


def in_legal_places(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """System turns moved behind the user turn that follows them, which is where this API takes them."""
    placed: list[Message] = []
    for message in messages:
        if message.role == "user" and placed and placed[-1].role == "system":
            placed.insert(-1, message)
        else:
            placed.append(message)
    return tuple(placed)


def with_own_ids(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    def renamed(part: Any, turn: int) -> Any:
        if isinstance(part, ToolCallPart):
            return attrs.evolve(part, id=f"{part.id}-{turn}")
        return attrs.evolve(part, call_id=f"{part.call_id}-{turn}") if isinstance(part, ToolResultPart) else part

    turns = [sum(earlier.role == "assistant" for earlier in messages[: place + 1]) for place in range(len(messages))]
    return tuple(
        Message(message.role, tuple(renamed(part, turn) for part in message.parts))
        for message, turn in zip(messages, turns, strict=True)
    )


def closed(wanted: ResponseFormat | None) -> ResponseFormat | None:
    return None if wanted is None else attrs.evolve(wanted, schema=closed_schema(dict(wanted.schema or {})))


def closed_schema(schema: JsonObject) -> JsonObject:
    """The schema as this API takes it: objects closed, and no limits."""
    schema = {name: value for name, value in schema.items() if name != "minimum"}
    inner = {name: closed_schema(node) for name, node in schema.get("properties", {}).items()}
    if "items" in schema:
        schema = {**schema, "items": closed_schema(schema["items"])}
    if schema.get("type") != "object":
        return schema
    return {**schema, "properties": inner, "additionalProperties": False}


def check_params(body: JsonObject) -> None:
    """Hold a body against the official SDK's type; sampling fields are gone from it, and good for older models."""
    typed = {name: value for name, value in body.items() if name not in ("temperature", "top_p", "top_k")}
    adapter(MessageCreateParamsStreaming if body.get("stream") else MessageCreateParamsNonStreaming).validate_python(
        typed
    )


@functools.cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


REASONS: st.SearchStrategy[FinishReason] = st.sampled_from(
    cast("list[FinishReason]", ["stop", "length", "content_filter", "context_window", "pause"])
)
REQUEST = ChatRequest(model="mine", messages=(Message("user", (TextPart("hi"),)),), stream=True)


def answers(thinking: st.SearchStrategy[ThinkingPart]) -> st.SearchStrategy[ChatResponse]:
    return responses(
        ids=IDENTIFIERS.map(lambda tail: "msg_" + tail), thinking=thinking, reasons=REASONS, interleaved=True
    )


def check_stream(stream: bytes) -> None:
    """Hold every event against the official SDK's type, and let that SDK put the message together."""
    snapshot: ParsedMessage[None] | None = None
    buffers: dict[int, bytes] = {}
    for event in SseParser().feed(stream):
        typed = adapter(RawMessageStreamEvent).validate_json(event.data, strict=True)
        assert typed.type == event.event
        snapshot = accumulate_event(event=typed, current_snapshot=snapshot, json_bufs=buffers)
    assert snapshot is not None
    assert_message(snapshot.to_dict())


def assert_message(body: JsonObject) -> None:
    """A whole message, by the official SDK."""
    SdkMessage.model_validate(body, strict=True)


SUBJECT = Subject(
    name="anthropic",
    dialect=DIALECT,
    models=(NEWEST, SAMPLING, "claude-3-5-haiku", "acme-1"),
    requests=all_requests(NEWEST_FIELDS, NEWEST, thinking=OWN, late_system=True)
    | all_requests(SAMPLING_FIELDS, SAMPLING),
    answers=answers(OWN),
    check_request=check_params,
    check_answer=assert_message,
    check_stream=check_stream,
    sample=MESSAGES_REQUEST,
    last_word=b"event: message_delta",
    kinds={**KINDS, ErrorKind.CONTENT_FILTER: ErrorKind.INVALID_REQUEST},
)
