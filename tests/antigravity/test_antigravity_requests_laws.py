"""Whatever a client asks, what goes out is within the rules of the fake Cloud Code, which are as strict as Google's."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from antigravity_clients import claudes, find, sent
from core.dialects.profiles import budget
from core.dialects.strategies import (
    ARGUMENTS,
    BASE64,
    IDENTIFIERS,
    TEXT_PARTS,
    TEXTS,
    conversations,
    requests,
    response_formats,
    tools,
)
from e2e.fakes.cloud_code_rules import CloudCodeRules
from hypothesis import given
from hypothesis import strategies as st

from aigateway_antigravity.envelope import enclosed
from aigateway_core.plugin import (
    ChatRequest,
    ImagePart,
    Message,
    Reasoning,
    ResponseFormat,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
)

PROJECT = "example-proj-1a2b3"
MODELS = (
    *("claude-opus-4-6-thinking", "claude-sonnet-4-6"),
    *("gemini-3-flash", "gemini-pro-agent", "gemini-3.1-flash-lite", "gemini-3.5-flash-low"),
    "gpt-oss-120b-medium",
)

OWN = "own"
"""The maker of thinking that the model in question signed itself, until a test puts it in its place."""

OTHERS = "other"
"""The same of a model of the other family."""

EFFORTS: tuple[Any, ...] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
BLANKS = st.sampled_from([TextPart(""), TextPart(" "), TextPart("\n\n")])
PICTURES = st.builds(ImagePart, media_type=st.sampled_from(["image/png", "image/jpeg"]), data=BASE64)
SAID = st.lists(TEXT_PARTS | TEXT_PARTS | PICTURES | BLANKS, min_size=1, max_size=3).map(tuple)
RESULTS = st.just(()) | TEXT_PARTS.map(lambda part: (part,)) | st.tuples(TEXT_PARTS, PICTURES)
THINKING = (
    st.builds(ThinkingPart, TEXTS, st.just("…"), st.sampled_from([OWN, OTHERS]))
    | st.builds(ThinkingPart, TEXTS, st.none(), st.sampled_from(["anthropic", "gemini"]))
    | st.builds(ThinkingPart, TEXTS, st.none() | BASE64, st.sampled_from(["glm", "openai", "anthropic"]))
    | st.builds(ThinkingPart, st.just(""), origin=st.just("anthropic"), redacted=BASE64)
)
REASONING = st.builds(Reasoning, effort=st.sampled_from(EFFORTS)) | st.builds(
    Reasoning, budget=st.sampled_from([-1, 0, 1, 500, 1023, 1024, 8192, 32_000, 64_000, 200_000])
)
NUMBERS = st.floats(0, 1, allow_nan=False)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "max_tokens": st.sampled_from([1, 100, 1024, 1025, 4096, 64_000, 65_536, 200_000]),
    "temperature": NUMBERS,
    "top_p": NUMBERS,
    "top_k": st.integers(1, 500),
    "presence_penalty": NUMBERS,
    "frequency_penalty": NUMBERS,
    "seed": st.integers(0, 2**31 - 1),
    "stop": st.lists(TEXTS, min_size=1, max_size=5).map(tuple),
    "response_format": st.just(ResponseFormat("json_object")) | response_formats(described=False),
    "reasoning": REASONING,
}
ODD_NAMES = st.sampled_from(["my tool", "my_tool", "9lives", "a.b", "日本", "x" * 90])


def _odd(offered: tuple[Tool, ...], names: list[str]) -> tuple[Tool, ...]:
    """Some of the tools under names that this wire does not take."""
    return tuple(attrs.evolve(tool, name=name) for tool, name in zip(offered, names, strict=False)) + offered


OFFERED = tools() | st.builds(_odd, tools(), st.lists(ODD_NAMES, max_size=3, unique=True))
REQUESTS = requests(
    messages=conversations(user=SAID, result=RESULTS, thinking=THINKING, late_system=True, failures=True),
    system=st.lists(TEXTS, max_size=2).map(tuple),
    fields=FIELDS,
    offered=OFFERED,
    several=True,
)


def problems(request: ChatRequest, model: str) -> list[str]:
    """What the fake has to say of what goes out."""
    rules = CloudCodeRules()
    body = sent(_signed(request, model, rules), model)
    wire = find(model).model.id
    envelope = enclosed(body, model=wire, project=PROJECT, session="-1")
    return [f"{one.where or ''}: {one.message}" for one in rules.problems(envelope, PROJECT, set())]


def _signed(request: ChatRequest, model: str, rules: CloudCodeRules) -> ChatRequest:
    """With signatures that the server in question gave out, where the model's own are meant."""
    messages = tuple(
        attrs.evolve(message, parts=tuple(_own(part, model, rules) for part in message.parts))
        for message in request.messages
    )
    return attrs.evolve(request, messages=messages)


def _own(part: Any, model: str, rules: CloudCodeRules) -> Any:
    if not isinstance(part, ThinkingPart) or part.origin not in (OWN, OTHERS):
        return part
    if model.startswith("claude") != (part.origin == OWN):
        return attrs.evolve(part, origin="gemini", signature=rules.signatures.issue("text", ""))
    native = claudes(f"{len(rules.claude.issued)}")
    rules.claude.issued[native] = part.text
    return attrs.evolve(part, origin="anthropic", signature=native)


@pytest.mark.parametrize("model", MODELS)
def test_what_goes_out_is_within_the_rules(model: str) -> None:
    @budget(60)
    @given(REQUESTS)
    def law(request: ChatRequest) -> None:
        assert problems(request, model) == []

    law()


PAIRS = st.lists(st.tuples(IDENTIFIERS, IDENTIFIERS, ARGUMENTS), max_size=3, unique_by=lambda call: call[0])


@st.composite
def disordered(draw: st.DrawFn) -> tuple[Message, ...]:
    """Conversations as damaged clients send them: calls and results that do not fit, turns of one role in a row."""
    turns = []
    for _ in range(draw(st.integers(1, 5))):
        match draw(st.sampled_from(["user", "assistant", "tool"])):
            case "user":
                turns.append(Message("user", draw(SAID)))
            case "assistant":
                called = [ToolCallPart(*call) for call in draw(PAIRS)]
                turns.append(Message("assistant", (*draw(st.lists(TEXT_PARTS | THINKING, max_size=2)), *called)))
            case _:
                answered = tuple(ToolResultPart(identity, draw(RESULTS)) for identity, *_ in draw(PAIRS))
                turns.append(Message("tool", answered))
    return tuple(turns)


@pytest.mark.parametrize("model", ["claude-opus-4-6-thinking", "gemini-3-flash"])
def test_a_damaged_conversation_is_mended(model: str) -> None:
    @budget(60)
    @given(disordered(), st.none() | REASONING)
    def law(messages: tuple[Message, ...], reasoning: Reasoning | None) -> None:
        opened = (Message("user", (TextPart("hi"),)), *messages, Message("user", (TextPart("go on"),)))
        request = ChatRequest(model=model, messages=opened, reasoning=reasoning, max_tokens=30_000)
        assert problems(request, model) == []

    law()
