"""What two requests say that is not the same, by the names that losses have."""

from __future__ import annotations

from base64 import b64decode
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs

from aigateway_core.dialects.arguments import parse_arguments
from aigateway_core.dialects.identifiers import legal_tool_name
from aigateway_core.dialects.lost_parts import parts_of
from aigateway_core.jsontext import dumps
from aigateway_core.model import (
    AudioPart,
    ChatRequest,
    DocumentPart,
    HostedTool,
    ImagePart,
    Message,
    Part,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
)

_APART = {"model", "messages", "tools", "tool_choice", "extra", "stream", "include_usage", "system"}
"""Fields that are looked at in their own way, and those of the call itself."""

_IMPLIED: dict[str, Any] = {"n": 1, "logprobs": False, "parallel_tool_calls": True}
"""What silence says."""


def differences(before: ChatRequest, after: ChatRequest) -> set[str]:
    """The names of what ``after`` does not say as ``before`` did."""
    return {*_fields(before, after), *_tools(before, after), *_parts(before, after), *before.extra}


def _fields(before: ChatRequest, after: ChatRequest) -> Iterator[str]:
    for field in attrs.fields(ChatRequest):
        said, heard = (_said(request, field.name) for request in (before, after))
        if field.name not in _APART and said != heard:
            yield field.name
    if _choice(before, after) != _choice(after, after):
        yield "tool_choice"
    if not _in_order(before.system, "\n\n".join(after.system)):
        yield "system"


def _said(request: ChatRequest, name: str) -> Any:
    value = getattr(request, name)
    forbidden = request.tool_choice is not None and request.tool_choice.mode == "none"
    if name == "parallel_tool_calls" and (forbidden or not request.tools):
        return True
    return _IMPLIED.get(name) if value is None else value


def _choice(request: ChatRequest, after: ChatRequest) -> ToolChoice | None:
    """The choice; None for one that says no more than silence, as any does where there are no tools."""
    choice = request.tool_choice
    if choice is None or choice == ToolChoice("auto") or (choice.mode == "none" and not after.tools):
        return None
    return attrs.evolve(choice, names=() if choice.mode == "none" else tuple(map(legal_tool_name, choice.names)))


def _tools(before: ChatRequest, after: ChatRequest) -> Iterator[str]:
    hosted = {tool.type for tool in after.tools if isinstance(tool, HostedTool)}
    allowed = before.tool_choice.names if before.tool_choice else ()
    yield from (
        f"tools.{tool.type}"
        for tool in before.tools
        if isinstance(tool, HostedTool) and tool.type not in hosted and tool.name in (allowed or {tool.name})
    )
    said, heard = ([tool for tool in request.tools if isinstance(tool, Tool)] for request in (before, after))
    if len(said) != len(heard):
        yield "tools"
        # A choice narrowed them; what became of the others counts all the same.
        names = {tool.name for tool in heard}
        said = [tool for tool in said if tool.name in names or legal_tool_name(tool.name) in names]
    if len(said) != len(heard):
        return
    for one, other in zip(said, heard, strict=True):
        yield from (
            f"tools.{name}"
            for name in ("name", "description", "parameters", "strict")
            if (getattr(one, name) or None) != (getattr(other, name) or None)
        )


def _parts(before: ChatRequest, after: ChatRequest) -> Iterator[str]:
    said, heard = list(parts_of(before.messages)), list(parts_of(after.messages))
    kept = before.messages
    if _loses_last_word(before, after):
        yield "messages.prefill"
        kept = _without_last_word(kept)
    if not _in_order(_texts(kept), _all_text(heard)):
        yield "messages.text"
    for kind, name in ((ThinkingPart, "thinking"), (AudioPart, "audio")):
        if _counted(said, kind) != _counted(heard, kind):
            yield f"messages.{name}"
    for kind, name, hint in ((ImagePart, "image", "detail"), (DocumentPart, "document", "title")):
        yield from (f"messages.{name}{suffix}" for suffix in _attachments(said, heard, kind))
        arrived = {_content(part) for part in heard if isinstance(part, kind)}
        if _hints((part for part in said if _content(part) in arrived), kind, hint) - _hints(heard, kind, hint):
            yield f"messages.{name}.{hint}"
    everything = _all_text(heard) + "".join(after.system)
    if any(message.text.strip() not in everything for message in before.messages if message.role == "system"):
        yield "messages.text"
    if _late(before) != _late(after):
        yield "messages.system"
    yield from (f"messages.tool_call.{name}" for name in _calls_apart(said, heard))
    for name in ("call_id", "is_error"):
        if _results(said, name) != _results(heard, name):
            yield f"messages.tool_result.{name}"
    if (_attached(said) - _attached(heard)) & {_content(part) for part in heard}:
        yield "messages.tool_result.content"


def _texts(messages: Iterable[Message]) -> list[str]:
    """What was said by anybody but the system, whose texts may go to another place."""
    turns = [message for message in messages if message.role != "system"]
    return [part.text.strip() for part in parts_of(turns) if isinstance(part, TextPart)]


def _loses_last_word(before: ChatRequest, after: ChatRequest) -> bool:
    """Whether what the model was to go on with did not arrive.

    A short word may occur elsewhere: that the model says nothing besides is what tells that it is gone.
    """
    kept = _without_last_word(before.messages)
    if _models_words(kept) == _models_words(after.messages) != _models_words(before.messages):
        return True
    heard = _all_text(parts_of(after.messages))
    return not _in_order(_texts(before.messages), heard) and _in_order(_texts(kept), heard)


def _models_words(messages: Iterable[Message]) -> str:
    return "".join(message.text for message in messages if message.role == "assistant")


def _without_last_word(messages: Sequence[Message]) -> Sequence[Message]:
    while messages and messages[-1].role in ("assistant", "system"):
        messages = messages[:-1]
    return messages


def _late(request: ChatRequest) -> list[str]:
    return [message.role for message in request.messages if message.role == "system"]


def _counted(parts: Iterable[Any], kind: type[Any]) -> Counter[bytes]:
    return Counter(dumps(attrs.asdict(part)) for part in parts if isinstance(part, kind))


def _attachments(said: list[Part], heard: list[Part], kind: type[Any]) -> Iterator[str]:
    """Why attachments differ: they are gone, or what a document says arrives as text."""
    texts = _all_text(heard) + "".join(part.text or "" for part in heard if isinstance(part, DocumentPart))
    arrived = {_content(part) for part in heard if isinstance(part, kind)}
    for part in said:
        if isinstance(part, kind) and _content(part) not in arrived:
            told = _told(part)
            yield ".as_text" if told and told.strip() and told.strip() in texts else ""


def _told(part: Any) -> str | None:
    """What a document says, or where it is to be found."""
    return (part.text or part.url or _decoded(part)) if isinstance(part, DocumentPart) else None


def _decoded(part: Any) -> str | None:
    if part.data is None or not (part.media_type or "").startswith("text/"):
        return None
    return b64decode(part.data).decode("utf-8", "replace")


def _content(part: Any) -> tuple[Any, ...]:
    """What makes an attachment the one it is; its type only where no server could tell it."""
    data = getattr(part, "data", None)
    media_type = getattr(part, "media_type", None) if data else None
    return type(part), data, media_type, *(getattr(part, name, None) for name in ("url", "file_id", "text"))


def _hints(parts: Iterable[Any], kind: type[Any], hint: str) -> Counter[str]:
    found = (getattr(part, hint) for part in parts if isinstance(part, kind))
    return Counter(value for value in found if value is not None and value != "auto")


def _calls_apart(said: list[Part], heard: list[Part]) -> Iterator[str]:
    one, other = ([part for part in parts if isinstance(part, ToolCallPart)] for parts in (said, heard))
    if len(one) != len(other):
        yield "number"
    for call, same in zip(one, other, strict=False):
        if parse_arguments(call.arguments) != parse_arguments(same.arguments):
            yield "arguments"
        yield from (name for name in ("id", "name") if getattr(call, name) != getattr(same, name))


def _attached(parts: Iterable[Part]) -> set[Any]:
    """What stands inside of results besides text."""
    results = (part for part in parts if isinstance(part, ToolResultPart))
    return {_content(part) for result in results for part in result.content if not isinstance(part, TextPart)}


def _results(parts: Iterable[Any], field: str) -> list[Any]:
    return sorted(getattr(part, field) for part in parts if isinstance(part, ToolResultPart))


def _all_text(parts: Iterable[Any]) -> str:
    return "\n\n".join(part.text for part in parts if isinstance(part, TextPart))


def _in_order(pieces: Iterable[str], text: str) -> bool:
    place = 0
    for piece in pieces:
        if (found := text.find(piece, place)) < 0:
            return False
        place = found + len(piece)
    return True
