"""What the Responses API can express, as strategies, and what it changes."""

from __future__ import annotations

from typing import Any

import attrs
from core.dialects.response_samples import RESPONSES_REQUEST
from core.dialects.strategies import (
    BASE64,
    IDENTIFIERS,
    SCHEMAS,
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
from openai.types.responses import Response, ResponseInputParam, ResponseStreamEvent
from pydantic import TypeAdapter

from aigateway_core.dialects.openai_responses import OpenAIResponses
from aigateway_core.dialects.openai_responses.tools import joined_name, merged, read_tools
from aigateway_core.dialects.openai_tools import OpenAITool
from aigateway_core.dialects.sse import SseParser
from aigateway_core.errors import ErrorKind
from aigateway_core.jsontext import dumps
from aigateway_core.model import (
    AudioPart,
    ChatRequest,
    ChatResponse,
    DocumentPart,
    FinishReason,
    ImagePart,
    JsonObject,
    Reasoning,
    ResponseFormat,
    ThinkingPart,
    Tool,
    ToolCallPart,
)

DIALECT = OpenAIResponses()
EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
INPUT: TypeAdapter[Any] = TypeAdapter(ResponseInputParam)


ADDRESSES = TEXTS.map(lambda text: "https://example.com/" + text)
DETAILS = st.none() | st.sampled_from(["low", "high", "original"])
IMAGES = (
    st.builds(ImagePart, media_type=st.just("image/png"), data=BASE64, detail=DETAILS)
    | st.builds(ImagePart, url=ADDRESSES, detail=DETAILS)
    | st.builds(ImagePart, file_id=IDENTIFIERS, detail=DETAILS)
)
DOCUMENTS = (
    st.builds(DocumentPart, media_type=st.just("application/pdf"), data=BASE64, title=TEXTS)
    | st.builds(DocumentPart, file_id=IDENTIFIERS, title=st.none() | TEXTS)
    | st.builds(DocumentPart, url=ADDRESSES, title=st.none() | TEXTS)
)
ATTACHMENTS = IMAGES | DOCUMENTS | st.builds(AudioPart, BASE64, st.sampled_from(["wav", "mp3"]))
SAID = st.lists(TEXT_PARTS | ATTACHMENTS, min_size=1, max_size=3).map(tuple)
RESULTS = st.lists(TEXT_PARTS | IMAGES | DOCUMENTS, max_size=3).map(tuple)
SIGNATURES = st.builds("rs_{}|{}".format, IDENTIFIERS, IDENTIFIERS)
THINKING = st.builds(ThinkingPart, st.just("") | TEXTS, SIGNATURES, st.just("openai-responses"))

NUMBERS = st.floats(0, 2, allow_nan=False)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "max_tokens": st.integers(16, 100_000),
    "temperature": NUMBERS,
    "top_p": NUMBERS,
    "reasoning": st.builds(
        Reasoning, effort=st.none() | st.sampled_from(["minimal", "low", "medium", "high", "xhigh", "max"])
    )
    | st.builds(Reasoning, effort=st.sampled_from(["none", "low"]), summary=st.just(False)),
    "verbosity": st.sampled_from(["low", "medium", "high"]),
    "response_format": st.just(ResponseFormat("json_object"))
    | response_formats(described=True).filter(lambda wanted: wanted.schema is not None),
    "user": st.text(min_size=1, max_size=64),
    "metadata": st.dictionaries(IDENTIFIERS, TEXTS, max_size=2),
    "service_tier": st.sampled_from(["auto", "default", "flex", "priority", "ultrafast"]),
}


@st.composite
def offered(draw: st.DrawFn) -> tuple[Tool, ...]:
    """Functions, free texts and namespaces; a tool's strictness is always told here."""
    plain = [attrs.evolve(tool, strict=bool(tool.strict)) for tool in draw(tools(strict=True))]
    groups = draw(st.lists(IDENTIFIERS, max_size=2, unique=True))
    special: list[Tool] = []
    for namespace in [None, *groups]:
        about = draw(st.none() | TEXTS)
        names = draw(st.lists(IDENTIFIERS, min_size=namespace is not None, max_size=2, unique=True))
        special += [draw(special_tools(namespace, about, own_name)) for own_name in names]
    unique = merged((*plain, *special))
    return tuple(tool for tool in unique if isinstance(tool, Tool))


@st.composite
def special_tools(draw: st.DrawFn, namespace: str | None, about: str | None, own_name: str) -> Tool:
    grammar = {"type": "grammar", "syntax": "lark", "definition": draw(TEXTS)}
    form = draw(st.none() | st.just({"type": "text"}) | st.just(grammar))
    definition: JsonObject
    if namespace is None or draw(st.booleans()):
        definition = {"type": "custom", "name": own_name} | ({} if form is None else {"format": form})
    else:
        definition = {"type": "function", "name": own_name, "strict": False, "parameters": draw(SCHEMAS)}
    if namespace is not None:
        group: JsonObject = {"type": "namespace", "name": namespace, "tools": [definition]}
        definition = group if about is None else group | {"description": about}
    (tool,) = read_tools([definition], "tools")
    assert isinstance(tool, OpenAITool)
    assert tool.name == joined_name(namespace, own_name)
    return tool


def is_plain(request: ChatRequest) -> bool:
    """Whether ids are unique, as vendors give them (others are numbered), and no call is that of a free text."""
    made = [part for turn in request.messages for part in turn.parts if isinstance(part, ToolCallPart)]
    custom = {tool.name for tool in request.tools if isinstance(tool, OpenAITool) and tool.custom}
    return len({call.id for call in made}) == len(made) and custom.isdisjoint(call.name for call in made)


REQUESTS = requests(
    messages=conversations(user=SAID, result=RESULTS, thinking=THINKING, late_system=True),
    system=st.just(()) | TEXTS.map(lambda text: (text,)),
    fields=FIELDS,
    offered=offered(),
    several=True,
).filter(is_plain)


def answers(thinking: st.SearchStrategy[ThinkingPart] = THINKING) -> st.SearchStrategy[ChatResponse]:
    reasons: list[FinishReason] = ["stop", "length", "content_filter"]
    return responses(
        ids=IDENTIFIERS.map("resp_".__add__),
        thinking=thinking,
        reasons=st.sampled_from(reasons),
        interleaved=True,
    )


ANY_THINKING = (
    THINKING
    | st.builds(ThinkingPart, TEXTS, IDENTIFIERS, st.just("openai-responses"))
    | st.builds(ThinkingPart, TEXTS, origin=st.just("openai-responses"))
    | st.builds(ThinkingPart, st.just(""), origin=st.sampled_from(["anthropic", "glm"]), redacted=IDENTIFIERS)
)


def check_events(stream: bytes) -> None:
    """Hold every event against the official SDK's type."""
    for event in SseParser().feed(stream):
        assert EVENTS.validate_json(event.data, strict=True).type == event.event


def check_response(body: JsonObject) -> None:
    """A whole answer, by the official SDK."""
    Response.model_validate(body, strict=True)


def check_input(body: JsonObject) -> None:
    """A request, by the official SDK."""
    assert "instructions" not in body or body["instructions"]
    # The types of the SDK know sound in no input item, though the API takes it.
    told = [item for item in body["input"] if b"input_audio" not in dumps(item)]
    INPUT.validate_python(told)


SUBJECT = Subject(
    name="openai-responses",
    dialect=DIALECT,
    models=("gpt-5", "gpt-4o"),
    requests=REQUESTS,
    answers=answers(ANY_THINKING),
    check_request=check_input,
    check_answer=check_response,
    check_stream=check_events,
    sample=RESPONSES_REQUEST,
    last_word=b"event: response.completed",
    kinds={**KINDS, ErrorKind.CONFLICT: ErrorKind.INVALID_REQUEST},
)
