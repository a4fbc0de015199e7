"""What ``generateContent`` can express, as strategies, and what it changes."""

from __future__ import annotations

from typing import Any, cast

import attrs
from core.dialects.gemini_samples import (
    GEMINI,
    GENERATE_REQUEST,
    NEWEST,
    OLDER,
    check_answer,
    check_request,
    chunks_of,
)
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

from aigateway_core.errors import ErrorKind
from aigateway_core.model import (
    AudioPart,
    ChatRequest,
    ChatResponse,
    DocumentPart,
    FinishReason,
    ImagePart,
    JsonObject,
    Message,
    Part,
    Reasoning,
    ResponseFormat,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
)

SIGNATURES = BASE64.map("U0lH".__add__)
SIGNED = st.builds(ThinkingPart, TEXTS, SIGNATURES, st.just("gemini"))
SHOWN = st.builds(ThinkingPart, TEXTS, origin=st.just("gemini"))
FOREIGN = st.builds(ThinkingPart, TEXTS, st.none() | SIGNATURES, st.sampled_from(["glm", "anthropic"])) | st.builds(
    ThinkingPart, st.just(""), origin=st.just("anthropic"), redacted=SIGNATURES
)

ADDRESSES = IDENTIFIERS.map(lambda name: "https://example.com/" + name)
IMAGES = st.builds(ImagePart, media_type=st.sampled_from(["image/png", "image/jpeg"]), data=BASE64) | st.builds(
    ImagePart, media_type=st.just("image/png"), url=ADDRESSES
)
DOCUMENTS = st.builds(DocumentPart, media_type=st.sampled_from(["application/pdf", "video/mp4"]), data=BASE64) | (
    st.builds(DocumentPart, media_type=st.just("application/pdf"), file_id=IDENTIFIERS.map("files/".__add__))
)
SAID = st.lists(
    TEXT_PARTS | IMAGES | DOCUMENTS | st.builds(AudioPart, BASE64, st.sampled_from(["wav", "mp3"])),
    min_size=1,
    max_size=3,
).map(tuple)
RESULTS = st.just(()) | TEXT_PARTS.map(lambda part: (part,)) | st.tuples(TEXT_PARTS, IMAGES | DOCUMENTS)

NUMBERS = st.floats(0, 2, allow_nan=False)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "max_tokens": st.integers(1, 100_000),
    "temperature": NUMBERS,
    "top_p": NUMBERS,
    "top_k": st.integers(1, 500),
    "presence_penalty": NUMBERS,
    "frequency_penalty": NUMBERS,
    "seed": st.integers(0, 2**31 - 1),
    "stop": st.lists(TEXTS, min_size=1, max_size=5).map(tuple),
    "response_format": st.just(ResponseFormat("json_object")) | response_formats(described=False),
}
LEVELS = FIELDS | {
    "reasoning": st.builds(Reasoning, st.sampled_from(["minimal", "low", "medium", "high"]), summary=st.booleans())
    | st.builds(Reasoning, summary=st.booleans())
}
BUDGETS = FIELDS | {
    "reasoning": st.builds(Reasoning, budget=st.integers(1, 24576), summary=st.booleans())
    | st.just(Reasoning("none", summary=False))
}


def all_requests(fields: dict[str, st.SearchStrategy[Any]], model: str, **turns: Any) -> st.SearchStrategy[ChatRequest]:
    drawn = requests(
        messages=conversations(user=SAID, result=RESULTS, failures=True, **turns).map(with_own_ids),
        system=st.lists(TEXTS, max_size=2).map(tuple),
        fields=fields,
        offered=tools(),
        several=True,
    )
    return drawn.map(lambda request: attrs.evolve(request, model=model, parallel_tool_calls=None))


def with_own_ids(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Ids that no other turn uses, and a signature before the first call of each turn."""

    def renamed(part: Part, turn: int) -> list[Part]:
        if isinstance(part, ToolCallPart):
            return [attrs.evolve(part, id=f"{part.id}-{turn}")]
        return [attrs.evolve(part, call_id=f"{part.call_id}-{turn}") if isinstance(part, ToolResultPart) else part]

    turns = [sum(earlier.role == "assistant" for earlier in messages[: place + 1]) for place in range(len(messages))]
    return tuple(
        Message(message.role, signed(tuple(new for part in message.parts for new in renamed(part, turn))))
        for message, turn in zip(messages, turns, strict=True)
    )


def signed(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    first = next((place for place, part in enumerate(parts) if isinstance(part, ToolCallPart)), None)
    if first is None:
        return parts
    return (*parts[:first], ThinkingPart("", origin="gemini", redacted="U0lHTkVE"), *parts[first:])


REASONS: st.SearchStrategy[FinishReason] = st.sampled_from(
    cast("list[FinishReason]", ["stop", "length", "content_filter"])
)


def answers(thinking: st.SearchStrategy[ThinkingPart]) -> st.SearchStrategy[ChatResponse]:
    drawn = responses(ids=IDENTIFIERS, thinking=thinking, reasons=REASONS, interleaved=True)
    return drawn.map(expressible)


def expressible(response: ChatResponse) -> ChatResponse:
    """An answer with signed calls, and without the count that this API does not have."""
    usage = None if response.usage is None else attrs.evolve(response.usage, cache_write_tokens=0)
    return attrs.evolve(response, parts=signed(response.parts), usage=usage, model="mine")


def check_chunks(stream: bytes) -> None:
    """Every chunk, by the official SDK, which knows no other fields."""
    for item in chunks_of(stream):
        check_answer(item)


def _settled(body: JsonObject) -> JsonObject:
    """Neighbouring texts of the model's turns are one text to this API: two turns in a row are one, in two parts."""
    contents = [
        {**content, "parts": _joined(content["parts"])} if content["role"] == "model" else content
        for content in body["contents"]
    ]
    return {**body, "contents": contents}


def _joined(parts: list[JsonObject]) -> list[JsonObject]:
    joined: list[JsonObject] = []
    for part in parts:
        if part.keys() == {"text"} and joined and joined[-1].keys() == {"text"}:
            joined[-1] = {"text": joined[-1]["text"] + part["text"]}
        else:
            joined.append(part)
    return joined


SUBJECT = Subject(
    name="gemini",
    dialect=GEMINI,
    models=(NEWEST, OLDER, "gemini-2.0-flash"),
    requests=all_requests(LEVELS, NEWEST, thinking=SIGNED),
    answers=answers(SIGNED | SHOWN),
    check_request=check_request,
    check_answer=check_answer,
    check_stream=check_chunks,
    sample=GENERATE_REQUEST,
    last_word=b'"finishReason"',
    kinds={
        **KINDS,
        ErrorKind.CONTEXT_LENGTH: ErrorKind.INVALID_REQUEST,
        ErrorKind.CONTENT_FILTER: ErrorKind.INVALID_REQUEST,
        ErrorKind.TOO_LARGE: ErrorKind.INVALID_REQUEST,
        ErrorKind.METHOD_NOT_ALLOWED: ErrorKind.UNSUPPORTED,
        ErrorKind.CONFLICT: ErrorKind.SERVER,
        ErrorKind.QUOTA: ErrorKind.RATE_LIMIT,
    },
    settled=_settled,
)
