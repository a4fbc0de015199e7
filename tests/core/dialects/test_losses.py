"""What a dialect loses or changes of a request is on its list, and what is on its list is so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import attrs
import pytest
from core.dialects import wide
from core.dialects.differences import differences
from core.dialects.profiles import budget
from core.dialects.sheet import GLM
from hypothesis import given
from hypothesis import strategies as st

from aigateway_core.dialects.anthropic import Anthropic
from aigateway_core.dialects.dialect import Change, Dialect, Loss
from aigateway_core.dialects.gemini import Gemini, GeminiProfile
from aigateway_core.dialects.openai_chat import OpenAIChat, OpenAIChatProfile
from aigateway_core.dialects.openai_facts import without
from aigateway_core.dialects.openai_responses import OpenAIResponses
from aigateway_core.errors import InvalidRequestError
from aigateway_core.jsontext import dumps, loads_object
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

PLAIN = OpenAIChat(
    OpenAIChatProfile(
        reasoning_field="reasoning_content",
        attachments=frozenset({"image"}),
        image_details=frozenset({"auto"}),
        efforts={"max": None},
        max_stop=1,
    )
)
"""A vendor of few gifts, whose turns have a field for thinking."""

MODELS: dict[Dialect, list[str]] = {
    Anthropic(): ["claude-opus-5", "claude-sonnet-4-5", "claude-3-5-haiku", "acme-1"],
    OpenAIChat(): ["gpt-5"],
    GLM: ["glm-4.6"],
    PLAIN: ["plain-1"],
    OpenAIResponses(): ["gpt-5", "gpt-4o"],
    Gemini(): ["gemini-4", "gemini-2.5-flash", "gemini-2.0-flash"],
    Gemini(GeminiProfile(json_schemas=False, late_system="instruction")): ["gemini-4"],
}
"""Each dialect, some with several vendors' profiles, and models that differ in what they take."""

DIALECTS = pytest.mark.parametrize("dialect", MODELS, ids=lambda dialect: f"{dialect.name}-{MODELS[dialect][0]}")


def arrived(dialect: Dialect, request: ChatRequest) -> ChatRequest:
    """The request as an upstream of this dialect reads it."""
    body = loads_object(dumps(dialect.encode_request(request)))
    # Gemini's endpoint has the model in its URL.
    return dialect.decode_request({"model": request.model, **body})


def may_change(dialect: Dialect, *effects: str) -> set[str]:
    return {change.name for change in dialect.changes if change.effect in effects}


@DIALECTS
@budget(100)
@given(st.data())
def test_every_difference_is_on_the_list_and_every_loss_a_difference(dialect: Dialect, data: st.DataObject) -> None:
    request = data.draw(wide.requests(st.sampled_from(MODELS[dialect])))
    losses = dialect.losses(request)
    if losses.refused:
        return
    after = arrived(dialect, request)
    found, named = differences(request, after), set(losses.dropped)
    if not after.tools:
        # Whether calls may be made side by side says nothing where none can be made.
        found.discard("parallel_tool_calls")
        named.discard("parallel_tool_calls")
    assert found - named <= may_change(dialect, "converted"), "changed in silence"
    assert named <= found, "named, but not lost"
    known = {*may_change(dialect, "dropped"), *dialect.cannot_express, *request.extra}
    assert {"tools.*" if name.startswith("tools.") and name not in known else name for name in named} <= known


# -- each entry, by an example

USER = Message("user", (TextPart("hi"),))
HOSTED = (HostedTool("web_search_20250305", "web_search"), HostedTool("googleSearch", "googleSearch"))
ODD = "an odd näme, and a very long one: " * 3
ANYTHING: dict[str, Any] = {"type": "object", "properties": {}}


def said(*parts: Part) -> dict[str, Any]:
    return {"messages": (Message("user", parts),)}


def thought(*parts: Part) -> dict[str, Any]:
    return {"messages": (USER, Message("assistant", (*parts, TextPart("so"))), USER)}


def called(call: ToolCallPart, *content: Any, failed: bool = False) -> dict[str, Any]:
    result = ToolResultPart(call.id, content, failed)
    return {"messages": (USER, Message("assistant", (call,)), Message("tool", (result,)))}


def asked(choice: ToolChoice, *tools: Tool | HostedTool) -> dict[str, Any]:
    return {"tool_choice": choice, "tools": tools}


CALL = ToolCallPart("c1", "f", "{}")
FUNCTIONS = (Tool("f", parameters=ANYTHING), Tool("g", parameters=ANYTHING))
PICTURE = ImagePart("image/png", "AAAA")
EXAMPLES: list[dict[str, Any]] = [
    {},
    {"temperature": 1.5},
    {"temperature": 0.5, "top_p": 0.5, "top_k": 3},
    {"reasoning": Reasoning("high"), "temperature": 0.5, "top_p": 0.5, "top_k": 3},
    {"max_tokens": 9},
    {"stop": (" ", *"abcdef")},
    *({name: 1} for name in ("top_k", "seed", "presence_penalty", "frequency_penalty", "top_logprobs")),
    {"seed": 2**40 + 7},
    {"n": 2},
    {"logprobs": True},
    {"logit_bias": {"7": 1}},
    {"verbosity": "low"},
    {"user": "u" * 300},
    {"user": "u"},
    {"metadata": {"a": "b"}},
    {"service_tier": "default"},
    {"service_tier": "acme"},
    {"audio_output": {"voice": "alloy", "format": "wav"}},
    {"reasoning": Reasoning("max")},
    {"reasoning": Reasoning("high")},
    {"reasoning": Reasoning(budget=3000, summary=False)},
    {"response_format": ResponseFormat("json_object")},
    {"response_format": ResponseFormat("json_object"), "tools": FUNCTIONS},
    {"response_format": ResponseFormat("json_schema", schema=ANYTHING, description="d")},
    {"tools": FUNCTIONS, "parallel_tool_calls": False},
    {"tools": (Tool("f", strict=True),)},
    {"tools": (Tool("f", parameters={"type": "object", "properties": {"a": {"type": "string"}}}, strict=True),)},
    {"tools": (Tool(ODD, parameters=ANYTHING),)},
    {"tools": (HostedTool("code_interpreter", "code_interpreter"), *HOSTED)},
    asked(ToolChoice("required", ("web_search",)), FUNCTIONS[0], HostedTool("file_search_acme", "web_search")),
    asked(ToolChoice("auto", ("f",)), *FUNCTIONS),
    asked(ToolChoice("required", ("f", "g")), *FUNCTIONS, Tool("h", parameters=ANYTHING)),
    asked(ToolChoice("required", ("f", "web_search_acme")), *FUNCTIONS, HostedTool("acme", "web_search_acme")),
    {"messages": (USER, Message("system", (TextPart("mind"),)), USER)},
    {"messages": (USER, Message("assistant", (TextPart("Once upon"),)))},
    thought(ThinkingPart("hm", "U0lH", "elsewhere")),
    said(AudioPart("AAAA", "wav")),
    {"messages": (USER, Message("assistant", (TextPart("here"), PICTURE)), USER)},
    said(DocumentPart("video/mp4", "AAAA")),
    said(DocumentPart("text/plain", "aGVsbG8=")),
    said(DocumentPart(text="hello")),
    said(DocumentPart("application/pdf", "AAAA", title="t")),
    said(attrs.evolve(PICTURE, detail="low")),
    said(ImagePart(file_id="file-1")),
    said(ImagePart("image/gif", "AAAA")),
    called(attrs.evolve(CALL, id=ODD, name=ODD)),
    called(attrs.evolve(CALL, arguments='{"a":'), TextPart("no JSON"), failed=True),
    called(CALL, TextPart("no"), failed=True),
    called(CALL, PICTURE),
    called(CALL, DocumentPart("application/pdf", "AAAA", title="t")),
]


@cache
def seen(name: str) -> set[tuple[str, str]]:
    """Names and effects of all that happens to the examples in this dialect, whatever the vendor and the model."""
    return {
        happening
        for dialect, models in MODELS.items()
        if dialect.name == name
        for model in models
        for example in EXAMPLES
        for happening in happenings(dialect, ChatRequest(**{"model": model, "messages": (USER,), **example}))
    }


def happenings(dialect: Dialect, request: ChatRequest) -> Iterator[tuple[str, str]]:
    losses = dialect.losses(request)
    yield from ((name, "refused") for name in losses.refused)
    if losses.refused:
        return
    found = differences(request, arrived(dialect, request))
    for name in found:
        yield name, "dropped" if name in losses.dropped else "converted"
        if name in losses.dropped and name.startswith("tools."):
            yield "tools.*", "dropped"


ENTRIES = pytest.mark.parametrize(
    ("name", "entry"),
    [
        pytest.param(dialect.name, entry, id=f"{dialect.name}-{entry.name}-{entry.effect}")
        for dialect in (Anthropic(), OpenAIChat(), OpenAIResponses(), Gemini())
        for entry in (
            *dialect.changes,
            *(Change(field, loss.effect, "always", loss.source) for field, loss in dialect.cannot_express.items()),
        )
    ],
)


@ENTRIES
def test_every_entry_of_the_list_is_so(name: str, entry: Change) -> None:
    assert (entry.name, entry.effect) in seen(name)
    assert entry.when
    assert entry.source


@DIALECTS
def test_a_field_that_cannot_be_expressed_leaves_no_trace(dialect: Dialect) -> None:
    for model in MODELS[dialect]:
        for example in EXAMPLES:
            request = ChatRequest(**{"model": model, "messages": (USER,), **example})
            lost: dict[str, Loss] = {
                name: loss for name, loss in dialect.cannot_express.items() if loss.effect == "dropped"
            }
            assert dialect.encode_request(request) == dialect.encode_request(without(request, lost))


def test_what_cannot_be_written_at_all_is_an_invalid_request() -> None:
    broken = ChatRequest(model="acme-1", reasoning=Reasoning("high"), **said(DocumentPart("text/plain", "no base64")))
    with pytest.raises(InvalidRequestError, match="not valid base64"):
        Anthropic().losses(broken)
    assert json.loads(dumps(OpenAIChat().encode_request(broken)))["model"] == "acme-1"
