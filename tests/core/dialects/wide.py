"""Requests with all that the canonical form can say, whatever a dialect makes of it."""

from __future__ import annotations

import json
from typing import Any

from core.dialects.strategies import BASE64, IDENTIFIERS, LETTERS, SCHEMAS
from hypothesis import strategies as st

from aigateway_core.model import (
    AudioPart,
    ChatRequest,
    DocumentPart,
    HostedTool,
    ImagePart,
    Message,
    Part,
    Reasoning,
    ResponseFormat,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
)

WORDS = st.text(LETTERS, min_size=1, max_size=24).filter(lambda text: bool(text.strip()))
NAMES = IDENTIFIERS | st.text(LETTERS, min_size=1, max_size=20) | IDENTIFIERS.map(lambda name: name * 9)
"""Names and ids, among them some that no vendor takes and some that are too long for most."""
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | WORDS | st.just(""),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=5,
)
ARGUMENTS = st.dictionaries(WORDS | st.just(""), VALUES, max_size=3).map(json.dumps) | st.sampled_from(["", " ", "{}"])
ORIGINS = st.sampled_from(["anthropic", "openai-responses", "gemini", "glm", None])
SIGNATURES = BASE64.map("U0lH".__add__)
OF_RESPONSES = st.builds("rs_{}|{}".format, IDENTIFIERS, IDENTIFIERS)


def _thinking(origin: str | None, signatures: st.SearchStrategy[str]) -> st.SearchStrategy[ThinkingPart]:
    return (
        st.builds(ThinkingPart, WORDS, st.none() | signatures, st.just(origin))
        | st.builds(ThinkingPart, st.just(""), signatures, st.just(origin))
        | st.builds(ThinkingPart, st.just(""), origin=st.just(origin), redacted=signatures)
    )


THINKING = ORIGINS.flatmap(
    lambda origin: _thinking(origin, OF_RESPONSES if origin == "openai-responses" else SIGNATURES)
)
ADDRESSES = IDENTIFIERS.map("https://example.com/".__add__)
IMAGE_TYPES = st.sampled_from(["image/png", "image/jpeg", "image/webp", None])
DETAILS = st.none() | st.sampled_from(["auto", "low", "high", "original"])
IMAGES = (
    st.builds(ImagePart, IMAGE_TYPES.filter(bool), BASE64, detail=DETAILS)
    | st.builds(ImagePart, IMAGE_TYPES, url=ADDRESSES, detail=DETAILS)
    | st.builds(ImagePart, IMAGE_TYPES, file_id=IDENTIFIERS, detail=DETAILS)
)
TITLES = st.none() | WORDS
DOCUMENT_TYPES = st.sampled_from(["application/pdf", "text/csv", "video/mp4", None])
DOCUMENTS = (
    st.builds(DocumentPart, DOCUMENT_TYPES.filter(bool), BASE64, title=TITLES)
    | st.builds(DocumentPart, st.just("text/plain"), text=WORDS, title=TITLES)
    | st.builds(DocumentPart, DOCUMENT_TYPES, url=ADDRESSES, title=TITLES)
    | st.builds(DocumentPart, DOCUMENT_TYPES, file_id=IDENTIFIERS, title=TITLES)
)
AUDIO = st.builds(AudioPart, BASE64, st.sampled_from(["wav", "mp3"]))
TEXTS = st.builds(TextPart, WORDS)
SHOWN: st.SearchStrategy[tuple[Part, ...]] = st.lists(TEXTS | IMAGES | DOCUMENTS | AUDIO, min_size=1, max_size=3).map(
    tuple
)
RESULTS: st.SearchStrategy[tuple[Any, ...]] = st.lists(TEXTS | IMAGES | DOCUMENTS, max_size=3).map(tuple)

NUMBERS = st.floats(0, 2, allow_nan=False)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "parallel_tool_calls": st.booleans(),
    "max_tokens": st.integers(1, 100_000),
    "temperature": NUMBERS,
    "top_p": st.floats(0, 1, allow_nan=False),
    "top_k": st.integers(1, 500),
    "stop": st.lists(WORDS | st.just(" "), min_size=1, max_size=7).map(tuple),
    "presence_penalty": NUMBERS,
    "frequency_penalty": NUMBERS,
    "seed": st.integers(0, 2**31),
    "logit_bias": st.dictionaries(IDENTIFIERS, st.integers(-100, 100), min_size=1, max_size=2),
    "reasoning": st.builds(
        Reasoning,
        st.none() | st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh", "max"]),
        st.none() | st.integers(1, 100_000),
        st.booleans(),
    ),
    "verbosity": st.sampled_from(["low", "medium", "high"]),
    "response_format": st.just(ResponseFormat("json_object"))
    | st.builds(
        ResponseFormat,
        st.just("json_schema"),
        st.none() | NAMES,
        st.none() | SCHEMAS,
        st.none() | st.booleans(),
        st.none() | WORDS,
    ),
    "user": st.text(LETTERS, min_size=1, max_size=300),
    "metadata": st.dictionaries(IDENTIFIERS, WORDS, min_size=1, max_size=2),
    "service_tier": st.sampled_from(["auto", "default", "standard_only", "flex", "priority", "ultrafast", "acme"]),
    "stream": st.booleans(),
    "extra": st.just({"x_own": 1}),
}
REFUSED_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "n": st.integers(1, 3),
    "logprobs": st.booleans(),
    "top_logprobs": st.integers(0, 20),
    "audio_output": st.just({"voice": "alloy", "format": "wav"}),
}

HOSTED = st.sampled_from(
    [
        HostedTool("web_search_20250305", "web_search", {"max_uses": 3}),
        HostedTool("web_search", "web_search"),
        HostedTool("googleSearch", "googleSearch"),
    ]
)
FUNCTIONS = st.builds(Tool, NAMES, st.none() | WORDS, SCHEMAS | st.just({}), st.none() | st.booleans())


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    """Turns as clients send them: several in a row, calls without results, a last word of the assistant's."""
    turns: list[Message] = []
    for place in range(draw(st.integers(1, 5))):
        # In normal form the first system texts are not among the turns.
        match draw(st.sampled_from(["user", "assistant", "calls", "system"] if turns else ["user", "calls"])):
            case "user":
                turns.append(Message("user", draw(SHOWN)))
            case "assistant":
                thought: list[Part] = draw(st.lists(THINKING, max_size=2))
                turns.append(Message("assistant", (*thought, draw(TEXTS))))
            case "calls":
                turns += draw(_rounds(place))
            case _:
                turns.append(Message("system", (draw(TEXTS),)))
    return tuple(turns)


@st.composite
def _rounds(draw: st.DrawFn, place: int) -> list[Message]:
    ids = draw(st.lists(NAMES.map(lambda name: f"{name}{place}"), min_size=1, max_size=3, unique=True))
    calls = [ToolCallPart(identifier, draw(NAMES), draw(ARGUMENTS)) for identifier in ids]
    before: list[Part] = draw(st.lists(THINKING, max_size=1)) + draw(st.lists(TEXTS, max_size=1))
    results = tuple(ToolResultPart(identifier, draw(RESULTS), draw(st.booleans())) for identifier in ids)
    return [Message("assistant", (*before, *calls)), Message("tool", results)]


@st.composite
def requests(draw: st.DrawFn, models: st.SearchStrategy[str], *, refused: bool = False) -> ChatRequest:
    """Any request to one of these models; ``refused``: with fields besides that most dialects refuse."""
    fields = FIELDS | (REFUSED_FIELDS if refused else {})
    names = draw(st.lists(st.sampled_from(sorted(fields)), max_size=6, unique=True))
    chosen: dict[str, Any] = {name: draw(fields[name]) for name in names}
    tools = draw(st.lists(FUNCTIONS | HOSTED, max_size=4, unique_by=lambda tool: tool.name))
    if tools and draw(st.booleans()):
        named = draw(st.lists(st.sampled_from([tool.name for tool in tools]), max_size=2, unique=True))
        mode = draw(st.sampled_from(["auto", "required", "none"]))
        chosen["tool_choice"] = ToolChoice(mode, () if mode == "none" else tuple(named))
    return ChatRequest(
        model=draw(models),
        messages=draw(conversations()),
        system=tuple(draw(st.lists(WORDS, max_size=2))),
        tools=tuple(tools),
        **chosen,
    )
