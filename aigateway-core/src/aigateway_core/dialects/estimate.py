"""Rough token counts, for when an upstream never says what a call used and a client's dialect demands a number.

Four bytes of UTF-8 to a token: near the truth for English and code, and for Chinese or Japanese (three bytes to a
character) as well. Attachments count a flat sum, since what they cost depends on the vendor. Good enough to show,
never good enough to bill: whoever uses these marks the :class:`~aigateway_core.model.Usage` as ``estimated``.
"""

from __future__ import annotations

from collections.abc import Iterable

from aigateway_core.events import GeneratedImage, StreamEvent, TextDelta, ThinkingDelta, ToolCallDelta, ToolCallStart
from aigateway_core.jsontext import dumps
from aigateway_core.model import (
    AudioPart,
    ChatRequest,
    ChatResponse,
    DocumentPart,
    ImagePart,
    Part,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    Usage,
)

_BYTES_PER_TOKEN = 4
_BYTES_PER_MESSAGE = 16
"""What marks the role and the ends of a message, in bytes."""

_BYTES_PER_ATTACHMENT = 4000


def text_tokens(text: str) -> int:
    """About how many tokens ``text`` is: 0 only for no text at all."""
    return _tokens(_size(text))


def input_tokens(request: ChatRequest) -> int:
    """About how many tokens the prompt of ``request`` is: system, messages, tools; at least 1."""
    size = sum(_size(text) + _BYTES_PER_MESSAGE for text in request.system)
    size += sum(_parts_size(message.parts) + _BYTES_PER_MESSAGE for message in request.messages)
    size += sum(_tool_size(tool) for tool in request.tools if isinstance(tool, Tool))
    return max(_tokens(size), 1)


def usage_of(request: ChatRequest, response: ChatResponse) -> Usage:
    """What ``response`` to ``request`` may have used; ``estimated``."""
    thinking = _tokens(sum(_part_size(part) for part in response.parts if isinstance(part, ThinkingPart)))
    rest = _tokens(sum(_part_size(part) for part in response.parts if not isinstance(part, ThinkingPart)))
    return _usage(request, thinking, rest)


class OutputMeter:
    """Adds up what a stream produces, for :meth:`usage` at its end."""

    __slots__ = ("_rest", "_thinking")

    def __init__(self) -> None:
        self._thinking = 0
        self._rest = 0

    def feed(self, event: StreamEvent) -> None:
        """Count one event; those without text count nothing."""
        if type(event) is TextDelta:  # as nearly every event is
            self._rest += _size(event.text)
            return
        match event:
            case ThinkingDelta(text):
                self._thinking += _size(text)
            case GeneratedImage():
                self._rest += _BYTES_PER_ATTACHMENT
            case ToolCallStart(_, _, name):
                self._rest += _size(name)
            case ToolCallDelta(_, arguments):
                self._rest += _size(arguments)
            case _:
                pass

    def usage(self, request: ChatRequest) -> Usage:
        """What the stream so far may have used; ``estimated``."""
        return _usage(request, _tokens(self._thinking), _tokens(self._rest))


def _usage(request: ChatRequest, thinking: int, rest: int) -> Usage:
    return Usage(
        input_tokens=input_tokens(request), output_tokens=thinking + rest, reasoning_tokens=thinking, estimated=True
    )


def _tokens(size: int) -> int:
    return -(-size // _BYTES_PER_TOKEN)


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _parts_size(parts: Iterable[Part]) -> int:
    return sum(map(_part_size, parts))


def _part_size(part: Part) -> int:
    match part:
        case TextPart(text) | ThinkingPart(text):
            return _size(text)
        case ToolCallPart(_, name, arguments):
            return _size(name) + _size(arguments)
        case ToolResultPart(_, content):
            return _parts_size(content)
        case DocumentPart(text=str(text)):
            return _size(text)
        case ImagePart() | DocumentPart() | AudioPart():
            return _BYTES_PER_ATTACHMENT


def _tool_size(tool: Tool) -> int:
    return _size(tool.name) + _size(tool.description or "") + len(dumps(dict(tool.parameters)))
