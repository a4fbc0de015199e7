"""What a Claude behind this wire insists on, in a canonical request: whose thinking stands in it, and how it may go on.

Anthropic's own rules hold, though the request is one of Gemini's shape: Google writes it as Anthropic's messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import attrs

from aigateway_antigravity.generation import planned
from aigateway_antigravity.models import Asked
from aigateway_antigravity.signatures import CLAUDE, to_wire
from aigateway_core.plugin import ChatRequest, Message, Part, TextPart, ThinkingPart, ToolCallPart

BETWEEN_CALLS = (
    "You can think between your tool calls as well: look at what a tool answered and weigh it before you decide on the "
    "next step."
)
"""Told to a Claude that thinks and has tools, which otherwise thinks before its first call alone."""

MUST_CALL = "Answer by calling one of your tools, not with text alone."
"""Told to Claude where the client insists on a call, which no field here does."""


def for_claude(request: ChatRequest, asked: Asked) -> ChatRequest:
    """The request as Claude takes it. Where thinking had to be dropped, or is missing, it does not think."""
    messages = tuple(map(_claudes_turn, request.messages))
    thinks = thoughts(messages) == thoughts(request.messages) and _may_think(messages)
    plan = _with_choice(planned(attrs.evolve(request, messages=messages), asked, thinking=thinks))
    plan = attrs.evolve(plan, stop=tuple(text for text in plan.stop if text.strip()))
    if plan.reasoning is None or not plan.tools or BETWEEN_CALLS in plan.system:
        return plan
    return attrs.evolve(plan, system=(*plan.system, BETWEEN_CALLS))


def thoughts(messages: Iterable[Message]) -> int:
    """How many parts of thinking there are."""
    return sum(isinstance(part, ThinkingPart) for message in messages for part in message.parts)


def _claudes_turn(message: Message) -> Message:
    """With the thinking that Claude signed itself, in this wire's signatures, and without texts of white space."""
    return attrs.evolve(message, parts=tuple(_claudes_parts(message.parts)))


def _claudes_parts(parts: Sequence[Part]) -> Iterator[Part]:
    for part in parts:
        match part:
            case ThinkingPart(text, str(signature), origin, None) if origin == CLAUDE and text.strip():
                if (wired := to_wire(signature)) is not None:
                    yield attrs.evolve(part, signature=wired)
            case ThinkingPart():
                pass
            case TextPart(text) if not text.strip():
                pass
            case _:
                yield part


def _may_think(messages: Sequence[Message]) -> bool:
    """Whether the turn that the answer continues begins with thinking, if it calls tools: Claude insists on that."""
    turns = list(messages)
    while turns and turns[-1].role == "assistant" and not _calls(turns[-1]):
        # The beginning of an answer, which is not sent.
        turns.pop()
    last = next((turn for turn in reversed(turns) if turn.role == "assistant" and turn.parts), None)
    return last is None or not _calls(last) or any(isinstance(part, ThinkingPart) for part in last.parts)


def _calls(message: Message) -> bool:
    return any(isinstance(part, ToolCallPart) for part in message.parts)


def _with_choice(request: ChatRequest) -> ChatRequest:
    """Claude has one mode here: what it must not call is not declared, and that it must call is said in words."""
    choice = request.tool_choice
    if choice is None:
        return request
    names = choice.names if any(tool.name in choice.names for tool in request.tools) else ()
    kept = [tool for tool in request.tools if choice.mode != "none" and (not names or tool.name in names)]
    must = (MUST_CALL,) if kept and choice.mode == "required" and MUST_CALL not in request.system else ()
    return attrs.evolve(request, tools=tuple(kept), tool_choice=None, system=(*request.system, *must))
