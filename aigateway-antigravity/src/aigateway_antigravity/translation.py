"""A canonical request into the inner ``request`` for a model behind Cloud Code, and what it loses on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from aigateway_antigravity.contents import alternating, as_answered, in_order
from aigateway_antigravity.fields import renamed
from aigateway_antigravity.generation import image_config, planned, told
from aigateway_antigravity.models import Asked, Model
from aigateway_antigravity.profiles import profile_of
from aigateway_antigravity.searching import search_body, search_tool, unsearched
from aigateway_antigravity.shape import shaped
from aigateway_antigravity.signatures import CLAUDE, ThoughtMemory, to_wire
from aigateway_core.plugin import (
    ChatRequest,
    Gemini,
    HostedTool,
    JsonObject,
    Losses,
    Message,
    Part,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
)

BETWEEN_CALLS = (
    "You can think between your tool calls as well: look at what a tool answered and weigh it before you decide on the "
    "next step."
)
"""Told to a Claude that thinks and has tools, which otherwise thinks before its first call alone."""

MUST_CALL = "Answer by calling one of your tools, not with text alone."
"""Told to Claude where the client insists on a call, which no field here does."""

_COMPARED = (
    *("max_tokens", "temperature", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty"),
    "response_format",
)


def body_of(request: ChatRequest, asked: Asked, memory: ThoughtMemory, session: str) -> JsonObject:
    """The inner ``request``. Thinking that the client could not carry comes out of ``memory``."""
    ready = adapted(request, asked, memory, session)
    body = Gemini(profile_of(asked.model)).encode_request(attrs.evolve(ready, model=asked.model.id))
    as_answered(body["contents"])
    body["contents"] = alternating(body["contents"])
    if asked.model.family == "claude":
        body["contents"] = [{**turn, "parts": in_order(turn["parts"])} for turn in body["contents"]]
    _generation(body, request, ready, asked.model)
    return shaped(body, asked)


def search_body_of(request: ChatRequest, asked: Asked) -> JsonObject:
    """The inner ``request`` of a search of the web (:func:`~aigateway_antigravity.searching.kind_of`).

    The conversation goes without tools: what they were called for and answered is told in words.
    """
    tool = search_tool(request)
    if tool is None:
        raise ValueError("this request does more than search the web")
    plain = attrs.evolve(
        request, model=asked.model.id, tools=(), tool_choice=None, messages=tuple(_words(request.messages))
    )
    body = shaped(Gemini(profile_of(asked.model)).encode_request(plain), asked, thinking=False)
    return search_body(body["contents"], request.system, tool)


def native_body(body: JsonObject, asked: Asked) -> JsonObject:
    """The inner ``request`` of a client of Gemini's own API: its body, without what this wire refuses."""
    return shaped(body, asked)


def losses(request: ChatRequest, asked: Asked, *, searches: bool = False) -> Losses:
    """What of ``request`` does not reach the model, and what it must be refused for.

    What a :class:`ThoughtMemory` may bring back is not counted as lost thinking where the client lost it itself.
    """
    ready = adapted(request, asked, ThoughtMemory(), "")
    known = Gemini(profile_of(asked.model)).losses(attrs.evolve(request, model=asked.model.id))
    dropped = [*known.dropped, *_left_out(request, ready, asked.model)]
    tool = search_tool(request)
    if searches and tool is not None:
        dropped = [name for name in dropped if name not in (f"tools.{tool.type}", "tool_choice")]
        dropped += unsearched(tool)
    if asked.model.makes_images:
        dropped = [name for name in dropped if name not in ("size", "image_config")]
    return Losses(dropped=tuple(dict.fromkeys(dropped)), refused=known.refused)


def without_thinking(request: ChatRequest, memory: ThoughtMemory, session: str) -> ChatRequest:
    """The request once more, after its signatures were refused: without thinking in it, and without asking for any."""
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, ToolCallPart):
                memory.forget(session, part.id)
    messages = tuple(_without(message, ThinkingPart) for message in request.messages)
    return attrs.evolve(request, messages=messages, reasoning=None)


# -- the canonical request, as this model can be asked


def adapted(request: ChatRequest, asked: Asked, memory: ThoughtMemory, session: str) -> ChatRequest:
    """The request without what this model would refuse, before it is written."""
    model = asked.model
    request = _with_user(request)
    if model.makes_images:
        request = _painting(request)
    origin = profile_of(model).origin
    messages = tuple(
        memory.restored(session, message, origin) if message.role == "assistant" else message
        for message in request.messages
    )
    ready = attrs.evolve(request, messages=messages, tools=_own_tools(request, model))
    if model.family != "claude":
        return planned(ready, asked)
    return _for_claude(ready, asked)


def _for_claude(request: ChatRequest, asked: Asked) -> ChatRequest:
    messages = tuple(map(_claudes_turn, request.messages))
    kept = attrs.evolve(request, messages=messages)
    plan = planned(kept, asked, thinking=not _lost_thinking(request, kept) and _may_think(messages))
    plan = _with_choice(plan)
    if plan.reasoning is None or not plan.tools or BETWEEN_CALLS in plan.system:
        return plan
    return attrs.evolve(plan, system=(*plan.system, BETWEEN_CALLS))


def _with_user(request: ChatRequest) -> ChatRequest:
    """Where nothing but system text was sent, that is what the user says."""
    if request.messages or not request.system:
        return request
    return attrs.evolve(request, system=(), messages=(Message("user", tuple(map(TextPart, request.system))),))


def _painting(request: ChatRequest) -> ChatRequest:
    """Models that make pictures know no tools and no system text: that is said by the user."""
    said = (Message("user", tuple(map(TextPart, request.system))),) if request.system else ()
    return attrs.evolve(
        request, system=(), messages=(*said, *request.messages), tools=(), tool_choice=None, response_format=None
    )


def _own_tools(request: ChatRequest, model: Model) -> tuple[Tool | HostedTool, ...]:
    """The functions; tools that the vendor runs go to Gemini's models, and only where there are no functions."""
    functions = tuple(tool for tool in request.tools if isinstance(tool, Tool))
    return functions if functions or model.family != "gemini" else request.tools


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


def _lost_thinking(request: ChatRequest, kept: ChatRequest) -> bool:
    """Whether any thinking had to be dropped: Claude might then find a turn that does not begin with it."""
    return _thoughts(request) > _thoughts(kept)


def _thoughts(request: ChatRequest) -> int:
    return sum(isinstance(part, ThinkingPart) for message in request.messages for part in message.parts)


def _may_think(messages: Sequence[Message]) -> bool:
    """Whether the turn that the answer continues begins with thinking, if it calls tools: Claude insists on that."""
    last = next((message for message in reversed(messages) if message.role == "assistant" and message.parts), None)
    if last is None or not any(isinstance(part, ToolCallPart) for part in last.parts):
        return True
    return any(isinstance(part, ThinkingPart) for part in last.parts)


def _with_choice(request: ChatRequest) -> ChatRequest:
    """Claude has one mode here: what it must not call is not declared, and that it must call is said in words."""
    choice = request.tool_choice
    if choice is None:
        return request
    names = choice.names if any(tool.name in choice.names for tool in request.tools) else ()
    kept = [tool for tool in request.tools if choice.mode != "none" and (not names or tool.name in names)]
    must = (MUST_CALL,) if kept and choice.mode == "required" and MUST_CALL not in request.system else ()
    return attrs.evolve(request, tools=tuple(kept), tool_choice=None, system=(*request.system, *must))


def _without(message: Message, kind: type) -> Message:
    return attrs.evolve(message, parts=tuple(part for part in message.parts if not isinstance(part, kind)))


def _words(messages: Sequence[Message]) -> Iterator[Message]:
    """What user and model said, without tools and attachments."""
    for message in messages:
        texts = tuple(part for part in message.parts if isinstance(part, TextPart))
        if texts and message.role in ("user", "assistant"):
            yield Message(message.role, texts)


# -- what the core's dialect has no words for


def _generation(body: JsonObject, request: ChatRequest, ready: ChatRequest, model: Model) -> None:
    config = body.setdefault("generationConfig", {})
    if thinking := told(ready.reasoning, model):
        config["thinkingConfig"] = thinking
    if not model.makes_images:
        return
    own = request.extra.get("generationConfig.imageConfig") or _image_config(request.extra.get("image_config"))
    if image := own or image_config(request.extra.get("size")):
        config["imageConfig"] = image


def _image_config(given: object) -> JsonObject | None:
    """``image_config`` as clients of OpenAI's API write it."""
    if not isinstance(given, dict):
        return None
    return renamed({str(name): value for name, value in given.items()}, ("aspectRatio", "imageSize"))


def _left_out(request: ChatRequest, ready: ChatRequest, model: Model) -> Iterator[str]:
    for name in _COMPARED:
        if getattr(request, name) is not None and getattr(ready, name) is None:
            yield name
    if request.tools and model.makes_images:
        yield "tools"
    choice = request.tool_choice
    if choice is not None and choice.mode == "required" and ready.tool_choice is None:
        yield "tool_choice"
    wish = request.reasoning
    if wish is not None and (wish.effort or wish.budget) not in (None, "none") and ready.reasoning is None:
        yield "reasoning"
