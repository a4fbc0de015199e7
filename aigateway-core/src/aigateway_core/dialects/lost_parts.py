"""Which parts and tools a request would lose on its way, by the names that :class:`Losses` has for them."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence

from aigateway_core.model import (
    AudioPart,
    ChatRequest,
    DocumentPart,
    HostedTool,
    ImagePart,
    Message,
    Part,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
)

_NAMES: dict[type[Part], str] = {
    ThinkingPart: "messages.thinking",
    ImagePart: "messages.image",
    DocumentPart: "messages.document",
    AudioPart: "messages.audio",
}


def parts_of(messages: Iterable[Message]) -> Iterator[Part]:
    """Every part of the messages, followed by those that stand inside of it."""
    for message in messages:
        for part in message.parts:
            yield part
            if isinstance(part, ToolResultPart):
                yield from part.content


def lost_parts(messages: Iterable[Message], is_lost: Callable[[Part], bool]) -> list[str]:
    """The kinds of attachments and thinking of which ``is_lost`` holds for one at least, each once."""
    kinds = (_NAMES[type(part)] for part in parts_of(messages) if type(part) in _NAMES and is_lost(part))
    return list(dict.fromkeys(kinds))


def lost_last_words(messages: Sequence[Message], unseen: Container[str] = ()) -> list[str]:
    """The thinking in the model's turns at the end, where such turns do not go out.

    ``unseen`` are the roles whose messages go to another place, and so end nothing.
    """
    dropped: list[Message] = []
    for message in reversed(messages):
        if message.role in unseen:
            continue
        if message.role != "assistant" or any(isinstance(part, ToolCallPart) for part in message.parts):
            break
        dropped.append(message)
    return lost_parts(dropped, lambda part: isinstance(part, ThinkingPart))


def lost_pictures(messages: Iterable[Message]) -> list[str]:
    """The pictures of earlier answers, where only what a user shows may hold some."""
    turns = (message for message in messages if message.role == "assistant")
    shown = any(isinstance(part, ImagePart) for turn in turns for part in turn.parts)
    return [_NAMES[ImagePart]] if shown else []


def lost_hints(messages: Iterable[Message], *, detail: bool = False, title: bool = False) -> list[str]:
    """What parts say besides their content, where a dialect cannot repeat it."""
    found: list[str] = []
    for part in parts_of(messages):
        if detail and isinstance(part, ImagePart) and part.detail not in (None, "auto"):
            found.append("messages.image.detail")
        elif title and isinstance(part, DocumentPart) and part.title is not None and part.text is None:
            found.append("messages.document.title")
    return list(dict.fromkeys(found))


def lost_tools(request: ChatRequest, is_foreign: Callable[[HostedTool], bool]) -> list[str]:
    """The tools that some other vendor runs; those that the client's own choice excludes are no loss."""
    allowed = request.tool_choice.names if request.tool_choice else ()
    foreign = (tool for tool in request.tools if isinstance(tool, HostedTool) and is_foreign(tool))
    return [f"tools.{tool.type}" for tool in foreign if not allowed or tool.name in allowed]
