"""A canonical request into the inner ``request`` for a model behind Cloud Code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from aigateway_antigravity.attachments import readable
from aigateway_antigravity.claude import for_claude
from aigateway_antigravity.contents import alternating, as_answered, in_order
from aigateway_antigravity.fields import renamed
from aigateway_antigravity.generation import image_config, planned, told
from aigateway_antigravity.models import Asked, Model
from aigateway_antigravity.profiles import profile_of
from aigateway_antigravity.searching import search_body, search_tool
from aigateway_antigravity.shape import shaped
from aigateway_antigravity.signatures import ThoughtMemory
from aigateway_core.plugin import (
    ChatRequest,
    Gemini,
    HostedTool,
    JsonObject,
    Message,
    Reasoning,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    dumps,
)

AS_JSON = "Answer with one JSON value and nothing else: no explanation, no Markdown."
"""Told to models of other makers than Google, where the client wants JSON."""


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

    Of the conversation it has what was said, without tools and attachments.
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
    """The inner ``request`` of a client of Gemini's own API: its body, without what this wire refuses.

    How much to think is what the name of the model says, if it says so.
    """
    request = shaped(body, asked)
    if asked.effort is None and asked.budget is None:
        return request
    config = request.get("generationConfig", {})
    shown = config.get("thinkingConfig", {}).get("includeThoughts") is True
    plain = ChatRequest(model=asked.model.id, reasoning=Reasoning(summary=shown))
    named = body_of(plain, asked, ThoughtMemory(), "").get("generationConfig", {})
    return request | {"generationConfig": config | named}


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
    messages = tuple(readable(message, model.family) for message in request.messages)
    request = attrs.evolve(request, messages=messages, tools=_own_tools(request, model))
    ready = restored(request, model, memory, session)
    if model.family != "gemini":
        ready = _with_format(ready)
    return for_claude(ready, asked) if model.family == "claude" else planned(ready, asked)


def restored(request: ChatRequest, model: Model, memory: ThoughtMemory, session: str) -> ChatRequest:
    """The request with the thinking that its client could not carry, as far as it is known."""
    origin = profile_of(model).origin
    messages = (
        memory.restored(session, message, origin) if message.role == "assistant" else message
        for message in request.messages
    )
    return attrs.evolve(request, messages=tuple(messages))


def _with_format(request: ChatRequest) -> ChatRequest:
    """Whether models that are not Google's are held to a format by its fields, nobody says: they are told in words."""
    wanted = request.response_format
    if wanted is None:
        return request
    schema = "" if wanted.schema is None else f" It must fit this JSON Schema:\n{dumps(dict(wanted.schema)).decode()}"
    return attrs.evolve(request, system=(*request.system, AS_JSON + schema))


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
