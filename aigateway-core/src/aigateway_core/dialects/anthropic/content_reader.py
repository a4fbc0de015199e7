"""Turns and content blocks of a request body into canonical messages.

Types that are wrong are refused with their path; kinds of blocks that are not known are passed over, since new ones
appear with every version of this API (case 45). :mod:`aigateway_core.dialects.anthropic.unread` names them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import attrs

from aigateway_core.dialects.anthropic.reasoning import read_effort
from aigateway_core.dialects.checks import (
    Path,
    mapping,
    missing,
    one_of,
    optional_boolean,
    optional_mapping,
    optional_string,
    refuse,
    sequence,
    string,
)
from aigateway_core.dialects.media_types import registered
from aigateway_core.dialects.signatures import redacted_from_client, thinking_from_client
from aigateway_core.errors import InvalidRequestError
from aigateway_core.jsontext import dumps
from aigateway_core.model import (
    DocumentPart,
    Effort,
    ImagePart,
    JsonObject,
    Message,
    Part,
    Role,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

Content: TypeAlias = TextPart | ImagePart | DocumentPart

BILLING_HEADER = "x-anthropic-billing-header:"
"""Claude Code's first system block: an account of itself for Anthropic alone, different with every request (case 3)."""


_BEGINNINGS = {"/9j/": "image/jpeg", "iVBOR": "image/png", "R0lGOD": "image/gif", "UklGR": "image/webp"}
"""How the data of pictures begins in base64."""


@attrs.frozen
class Conversation:
    """The turns of a body: leading system texts, messages, and the effort that the last system turn asks for."""

    system: tuple[str, ...]
    messages: tuple[Message, ...]
    effort: Effort | None


def read_system(value: Any) -> tuple[str, ...]:
    """The texts of the top-level ``system``: a string, or blocks of which only text counts."""
    if value is None:
        return ()
    texts = _texts(value, ("system",))
    return tuple(text for text in texts if not text.startswith(BILLING_HEADER))


def read_conversation(value: Any, origin: str) -> Conversation:
    """The ``messages`` of a body; thinking signed by this vendor gets ``origin``."""
    turns = sequence(value, "messages")
    if not turns:
        raise InvalidRequestError("at least one message is required", path="messages")
    leading: list[str] = []
    messages = _Messages()
    effort: Effort | None = None
    for index, item in enumerate(turns):
        path: Path = ("messages", index)
        turn = mapping(item, *path)
        role = one_of(turn.get("role"), ("user", "assistant", "system"), *path, "role")
        if role == "user":
            _add_user(messages, turn, path)
        elif role == "assistant":
            messages.add("assistant", _assistant_parts(_content(turn, path), origin, (*path, "content")))
        else:
            effort = _turn_effort(turn, path) or effort
            texts = _texts(_content(turn, path), (*path, "content"))
            if messages.any:
                messages.add("system", map(TextPart, texts))
            else:
                leading += texts
    if not messages.any:
        raise InvalidRequestError("no message has any content", path="messages")
    return Conversation(tuple(leading), messages.finished(), effort)


class _Messages:
    """Collects messages. Each is touched once: a client may send a hundred thousand."""

    def __init__(self) -> None:
        self._messages: list[tuple[Role, list[Part]]] = []
        self._results_at = 0

    @property
    def any(self) -> bool:
        """Whether there is a message yet."""
        return bool(self._messages)

    def add(self, role: Role, parts: Iterable[Part]) -> None:
        """Append what is not empty; assistant turns in a row are one to this API, whose calls share their results."""
        added = list(parts)
        if role == "assistant" and self._messages and self._messages[-1][0] == "assistant":
            self._messages[-1][1].extend(added)
        elif added:
            self._messages.append((role, added))
            if role == "assistant":
                self._results_at = len(self._messages)

    def place(self, results: Iterable[Part]) -> None:
        """Put results directly behind the calls they answer, even when they are spread over several user turns."""
        at = self._results_at
        if at and self._messages[at - 1][0] == "tool":
            self._messages[at - 1][1].extend(results)
        else:
            at = at or len(self._messages)
            self._messages.insert(at, ("tool", list(results)))
            self._results_at = at + 1

    def finished(self) -> tuple[Message, ...]:
        """All of them."""
        return tuple(Message(role, tuple(parts)) for role, parts in self._messages)


def _content(turn: JsonObject, path: Path) -> Any:
    if "content" not in turn:
        missing(*path, "content")
    return turn["content"]


def _turn_effort(turn: JsonObject, path: Path) -> Effort | None:
    config = optional_mapping(turn.get("output_config"), *path, "output_config") or {}
    return read_effort(config, *path, "output_config")


def _texts(value: Any, path: Path) -> list[str]:
    if isinstance(value, str):
        return [value] if value else []
    texts = [string(block.get("text"), *at, "text") for kind, block, at in _blocks(value, path) if kind == "text"]
    return [text for text in texts if text]


def _blocks(value: Any, path: Path) -> Iterator[tuple[str, JsonObject, Path]]:
    """Kind, block and path of each block; a bare string among them stands for a text block."""
    for index, item in enumerate(sequence(value, *path)):
        at = (*path, index)
        if isinstance(item, str):
            yield "text", {"text": item}, at
            continue
        block = mapping(item, *at)
        yield string(block.get("type"), *at, "type"), block, at


# -- user turns


def _add_user(messages: _Messages, turn: JsonObject, path: Path) -> None:
    """One user turn becomes the results in it, as a message of their own, and then the rest (case 8)."""
    value = _content(turn, path)
    path = (*path, "content")
    if isinstance(value, str):
        messages.add("user", [TextPart(value)] if value else [])
        return
    results: list[Part] = []
    rest: list[Part] = []
    for kind, block, at in _blocks(value, path):
        if kind == "tool_result":
            results.append(_tool_result(block, at))
        else:
            rest += _shown(kind, block, at)
    if results:
        messages.place(results)
    messages.add("user", rest)


def _shown(kind: str, block: JsonObject, path: Path) -> list[Content]:
    """The parts behind a block that a user, or a tool, shows to the model; none for a kind that is not known."""
    reader = SHOWN.get(kind)
    return reader(block, path) if reader else []


def _text(block: JsonObject, path: Path) -> list[Content]:
    text = string(block.get("text"), *path, "text")
    return [TextPart(text)] if text else []


def _image(block: JsonObject, path: Path) -> list[Content]:
    path = (*path, "source")
    source = mapping(block.get("source"), *path)
    kind = one_of(source.get("type"), ("base64", "url", "file"), *path, "type")
    if kind == "url":
        return [ImagePart(url=string(source.get("url"), *path, "url"))]
    if kind == "file":
        return [ImagePart(file_id=string(source.get("file_id"), *path, "file_id"))]
    data = string(source.get("data"), *path, "data")
    media_type = registered(optional_string(source.get("media_type"), *path, "media_type") or _image_type(data))
    return [ImagePart(media_type=media_type, data=data)] if data else []


def _image_type(data: str) -> str:
    """The type of a picture that its client forgot to name, by how its data begins."""
    known = (kind for beginning, kind in _BEGINNINGS.items() if data.startswith(beginning))
    return next(known, "image/png")


def _media_type(source: JsonObject, path: Path) -> str:
    return string(source.get("media_type"), *path, "media_type")


def _document(block: JsonObject, path: Path) -> list[Content]:
    """A document; its ``context``, which the model is meant to read along, comes first as text."""
    title = optional_string(block.get("title"), *path, "title")
    context = optional_string(block.get("context"), *path, "context")
    document = _document_source(mapping(block.get("source"), *path, "source"), title, (*path, "source"))
    return [TextPart(context), document] if context else [document]


def _document_source(source: JsonObject, title: str | None, path: Path) -> DocumentPart:
    kind = one_of(source.get("type"), ("base64", "text", "content", "url", "file"), *path, "type")
    if kind == "url":
        return DocumentPart(url=string(source.get("url"), *path, "url"), title=title)
    if kind == "file":
        return DocumentPart(file_id=string(source.get("file_id"), *path, "file_id"), title=title)
    if kind == "content":
        return DocumentPart(
            "text/plain", text="\n".join(_texts(source.get("content"), (*path, "content"))), title=title
        )
    data = string(source.get("data"), *path, "data")
    if kind == "text":
        return DocumentPart("text/plain", text=data, title=title)
    return DocumentPart(_media_type(source, path), data, title=title)


def _search_result(block: JsonObject, path: Path) -> list[Content]:
    title = optional_string(block.get("title"), *path, "title")
    source = optional_string(block.get("source"), *path, "source")
    body = "\n".join(_texts(block.get("content"), (*path, "content")))
    return [TextPart("\n".join(line for line in (title, source, body) if line))]


def _tool_reference(block: JsonObject, path: Path) -> list[Content]:
    return [TextPart(f"The tool {string(block.get('tool_name'), *path, 'tool_name')} can be called now.")]


SHOWN: dict[str, Callable[[JsonObject, Path], list[Content]]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
    "tool_reference": _tool_reference,
}


def _tool_result(block: JsonObject, path: Path) -> ToolResultPart:
    call_id = string(block.get("tool_use_id"), *path, "tool_use_id")
    failed = optional_boolean(block.get("is_error"), *path, "is_error")
    return ToolResultPart(call_id, tuple(_result_content(block.get("content"), (*path, "content"))), bool(failed))


def _result_content(value: Any, path: Path) -> list[Content]:
    """Cases 13 to 20: a string, blocks, nothing, a single block, or an object that is the result itself."""
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [TextPart(value)]
    if isinstance(value, dict):
        kind = value.get("type")
        if isinstance(kind, str) and kind in SHOWN:
            return _shown(kind, value, path)
        return [TextPart(dumps(value).decode())]
    if not isinstance(value, list):
        refuse("a string or an array", value, *path)
    return [part for kind, block, at in _blocks(value, path) for part in _shown(kind, block, at)]


# -- assistant turns


def _assistant_parts(value: Any, origin: str, path: Path) -> Iterator[Part]:
    if isinstance(value, str):
        if value:
            yield TextPart(value)
        return
    for kind, block, at in _blocks(value, path):
        match kind:
            case "text":
                yield from _text(block, at)
            case "tool_use":
                yield _tool_use(block, at)
            case "thinking" | "redacted_thinking":
                yield from _thinking(kind, block, origin, at)


def _thinking(kind: str, block: JsonObject, origin: str, path: Path) -> Iterator[Part]:
    if kind == "thinking":
        text = optional_string(block.get("thinking"), *path, "thinking") or ""
        signature = optional_string(block.get("signature"), *path, "signature") or ""
        part = thinking_from_client(text, signature, origin)
    else:
        part = redacted_from_client(string(block.get("data"), *path, "data"), origin)
    if part is not None:
        yield part


def _tool_use(block: JsonObject, path: Path) -> ToolCallPart:
    return ToolCallPart(
        string(block.get("id"), *path, "id"),
        string(block.get("name"), *path, "name"),
        _arguments(block.get("input")),
    )


def _arguments(given: Any) -> str:
    """An object. What agents put in its place is taken too: its JSON text, or some other value as the one argument."""
    if isinstance(given, str) and given.lstrip().startswith("{"):
        return given
    return dumps(given or {} if isinstance(given, dict | None) or given == "" else {"value": given}).decode()
