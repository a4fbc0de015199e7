"""What a request loses on its way to a model behind Cloud Code."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from aigateway_antigravity.attachments import unread
from aigateway_antigravity.claude import thoughts
from aigateway_antigravity.models import Asked, Model
from aigateway_antigravity.profiles import profile_of
from aigateway_antigravity.searching import search_tool, unsearched
from aigateway_antigravity.signatures import ThoughtMemory
from aigateway_antigravity.translation import adapted, restored
from aigateway_core.plugin import ChatRequest, Gemini, Losses, Reasoning, ToolChoice

_COMPARED = (
    *("max_tokens", "temperature", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty"),
    "response_format",
)
_SIZES = ("size", "image_config", "generationConfig.imageConfig")
"""What models that make pictures are told of them, and no field of a canonical request."""


def losses(
    request: ChatRequest,
    asked: Asked,
    *,
    searches: bool = False,
    memory: ThoughtMemory | None = None,
    session: str = "",
) -> Losses:
    """What of ``request`` does not reach the model, and what it must be refused for.

    ``searches``: it is sent as a search of the web. What ``memory`` brings back is not lost.
    """
    memory = memory or ThoughtMemory()
    whole = restored(request, asked.model, memory, session)
    ready = adapted(request, asked, memory, session)
    known = Gemini(profile_of(asked.model)).losses(attrs.evolve(whole, model=asked.model.id))
    dropped = [*known.dropped, *_left_out(whole, ready, asked.model)]
    if searches:
        dropped = list(_unsearched(request, dropped))
    elif asked.model.makes_images:
        dropped = [name for name in dropped if name not in _SIZES]
    return Losses(dropped=tuple(dict.fromkeys(dropped)), refused=known.refused)


def _left_out(whole: ChatRequest, ready: ChatRequest, model: Model) -> Iterator[str]:
    """What the provider itself leaves out, before the core's dialect writes the rest."""
    for name in _COMPARED:
        if getattr(whole, name) is not None and getattr(ready, name) is None:
            yield name
    if model.family == "claude" and thoughts(ready.messages) < thoughts(whole.messages):
        yield "messages.thinking"
    yield from unread(whole.messages, model.family)
    if len(ready.stop) < len(whole.stop):
        yield "stop"
    if whole.tools and model.makes_images:
        yield "tools"
    if _insists(whole.tool_choice) and ready.tool_choice is None:
        yield "tool_choice"
    if _wants_thinking(whole.reasoning) and ready.reasoning is None:
        yield "reasoning"


def _unsearched(request: ChatRequest, dropped: list[str]) -> Iterator[str]:
    """A search is told what was said, and which pages count: nothing of how to answer."""
    tool = search_tool(request)
    mine = () if tool is None else (f"tools.{tool.type}", "tool_choice")
    yield from (name for name in dropped if name not in mine)
    yield from (name for name in _COMPARED if getattr(request, name) is not None)
    if request.stop:
        yield "stop"
    if _wants_thinking(request.reasoning):
        yield "reasoning"
    if tool is not None:
        yield from unsearched(tool)


def _insists(choice: ToolChoice | None) -> bool:
    return choice is not None and choice.mode == "required"


def _wants_thinking(wish: Reasoning | None) -> bool:
    return wish is not None and (wish.effort or wish.budget) not in (None, "none")
