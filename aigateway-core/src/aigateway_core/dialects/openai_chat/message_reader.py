"""The messages of a Chat Completions request, read into turns of the canonical form.

Shapes: the types ``ChatCompletionMessageParam`` of OpenAI's SDK; besides them the fields ``reasoning_content`` and
``reasoning`` on assistant messages, which compatible servers hand out and clients send back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from aigateway_core.dialects.checks import (
    mapping,
    missing,
    one_of,
    optional_mapping,
    optional_string,
    path_text,
    refuse,
    sequence,
    string,
)
from aigateway_core.dialects.identifiers import synthetic_tool_id
from aigateway_core.dialects.openai_chat.calls import brought_back
from aigateway_core.dialects.openai_facts import read_data_url
from aigateway_core.dialects.turns import latest
from aigateway_core.errors import InvalidRequestError
from aigateway_core.jsontext import dumps
from aigateway_core.model import (
    AudioPart,
    DocumentPart,
    ImagePart,
    JsonObject,
    Message,
    Part,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
)

_PartReader: TypeAlias = Callable[..., Part]


_PASSED_OVER = ("name", "audio")
"""What messages have beside their content that no other vendor has a place for: who speaks, and a sound by its id."""


class MessageReader:
    """Takes the messages one by one; :meth:`turns` gives them in normal form.

    ``unread`` has the first field of each kind that was passed over, by ``messages.`` and its name.
    """

    def __init__(self) -> None:
        self.unread: JsonObject = {}
        self.system: list[str] = []
        self._turns: list[Message] = []
        self._calls: dict[str, int] = {}
        self._answers: dict[int, list[ToolResultPart]] = {}
        self._functions: dict[str, str] = {}

    def read(self, value: Any, position: int) -> None:
        """Take in the message at ``position``. Raises :class:`InvalidRequestError`."""
        message = mapping(value, "messages", position)
        role = one_of(_required(message, "role", "messages", position), tuple(_ROLES), "messages", position, "role")
        _ROLES[role](self, message, position)
        for name in _PASSED_OVER:
            if name in message and role in _SPEAKERS and message[name]:
                self.unread.setdefault(f"messages.{name}", message[name])

    def turns(self) -> tuple[Message, ...]:
        """The turns, each result directly after the call that it answers."""
        turns: list[Message] = []
        for position, turn in enumerate(self._turns):
            _append(turns, turn)
            if answers := self._answers.get(position):
                _append(turns, Message("tool", latest(turn.parts, answers)))
        return tuple(turns)

    def read_system(self, message: JsonObject, position: int) -> None:
        """System or developer text: leading texts stand apart from the turns."""
        texts = [part.text for part in _content(message, position, _TEXT_ONLY) if isinstance(part, TextPart)]
        if not self._turns:
            self.system.extend(texts)
        elif texts:
            self._turns.append(Message("system", tuple(map(TextPart, texts))))

    def read_user(self, message: JsonObject, position: int) -> None:
        """What the user said."""
        self._turns.append(Message("user", _content(message, position, _USER_PARTS)))

    def read_assistant(self, message: JsonObject, position: int) -> None:
        """What the model said, and the calls it made."""
        parts: list[Part] = []
        if message.get("content") is not None:
            parts.extend(_content(message, position, _ASSISTANT_PARTS))
        if refusal := optional_string(message.get("refusal"), "messages", position, "refusal"):
            parts.append(TextPart(refusal))
        parts += _images(message, position)
        parts += _brought_back(message, "messages", position)
        parts += _tool_calls(message, position)
        if message.get("function_call") is not None:
            parts.append(self._function_call(message["function_call"], position))
        self._calls |= {part.id: len(self._turns) for part in parts if isinstance(part, ToolCallPart)}
        self._turns.append(Message("assistant", (*_thinking(message, position, parts), *parts)))

    def _function_call(self, value: Any, position: int) -> ToolCallPart:
        """A call in the old form, which had no ids: one is made up, the same on every turn."""
        call = _function(value, "messages", position, "function_call")
        call_id = synthetic_tool_id(call[0], position)
        self._functions[call[0]] = call_id
        return ToolCallPart(call_id, *call)

    def read_tool(self, message: JsonObject, position: int) -> None:
        """The answer to a call; one without an id answers nothing and is left out (case 127)."""
        call_id = string(_required(message, "tool_call_id", "messages", position), "messages", position, "tool_call_id")
        if call_id:
            self._answer(call_id, message, position)

    def read_function(self, message: JsonObject, position: int) -> None:
        """The answer to a call in the old form, told by the function's name."""
        name = string(_required(message, "name", "messages", position), "messages", position, "name")
        self._answer(self._functions.get(name) or synthetic_tool_id(name, position), message, position)

    def _answer(self, call_id: str, message: JsonObject, position: int) -> None:
        content = () if message.get("content", "") is None else _content(message, position, _TOOL_PARTS)
        result = ToolResultPart(
            call_id, tuple(part for part in content if isinstance(part, TextPart | ImagePart | DocumentPart))
        )
        if (turn := self._calls.get(call_id)) is None:
            self._turns.append(Message("tool", (result,)))
        else:
            self._answers.setdefault(turn, []).append(result)


_ROLES: dict[str, Callable[[MessageReader, JsonObject, int], None]] = {
    "system": MessageReader.read_system,
    "developer": MessageReader.read_system,
    "user": MessageReader.read_user,
    "assistant": MessageReader.read_assistant,
    "tool": MessageReader.read_tool,
    "function": MessageReader.read_function,
}


_SPEAKERS = frozenset({"system", "developer", "user", "assistant"})
"""Roles of those who may have a name; that of a tool is the function's, which its call has too."""


def _append(turns: list[Message], turn: Message) -> None:
    if turn.role == "tool" and turns and turns[-1].role == "tool":
        turns[-1] = Message("tool", turns[-1].parts + turn.parts)
    else:
        turns.append(turn)


def _required(owner: JsonObject, name: str, *path: str | int) -> Any:
    if name not in owner:
        missing(*path, name)
    return owner[name]


def _content(message: JsonObject, position: int, readers: Mapping[str, _PartReader]) -> tuple[Part, ...]:
    value = _required(message, "content", "messages", position)
    if type(value) is str:
        return (TextPart(value),) if value else ()
    if type(value) is not list:
        refuse("a string or an array of parts", value, "messages", position, "content")
    parts: list[Part] = []
    for index, raw in enumerate(value):
        path = ("messages", position, "content", index)
        part = mapping(raw, *path)
        kind = one_of(_required(part, "type", *path), tuple(readers), *path, "type")
        read = readers[kind](part, *path)
        if not isinstance(read, TextPart) or read.text:
            parts.append(read)
    return tuple(parts)


def _text(part: JsonObject, *path: str | int) -> Part:
    return TextPart(string(_required(part, "text", *path), *path, "text"))


def _refusal(part: JsonObject, *path: str | int) -> Part:
    return TextPart(string(_required(part, "refusal", *path), *path, "refusal"))


def _image(part: JsonObject, *path: str | int) -> Part:
    value = _required(part, "image_url", *path)
    if type(value) is str:
        value = {"url": value}
    image = mapping(value, *path, "image_url")
    url = string(_required(image, "url", *path, "image_url"), *path, "image_url", "url")
    detail = optional_string(image.get("detail"), *path, "image_url", "detail")
    if (inline := read_data_url(url)) is None:
        return ImagePart(url=url, detail=detail)
    return ImagePart(media_type=inline[0], data=inline[1], detail=detail)


def _audio(part: JsonObject, *path: str | int) -> Part:
    audio = mapping(_required(part, "input_audio", *path), *path, "input_audio")
    path = (*path, "input_audio")
    return AudioPart(
        string(_required(audio, "data", *path), *path, "data"),
        string(_required(audio, "format", *path), *path, "format"),
    )


def _file(part: JsonObject, *path: str | int) -> Part:
    file = mapping(_required(part, "file", *path), *path, "file")
    path = (*path, "file")
    title = optional_string(file.get("filename"), *path, "filename")
    if (file_id := optional_string(file.get("file_id"), *path, "file_id")) is not None:
        return DocumentPart(file_id=file_id, title=title)
    if "file_data" not in file:
        raise InvalidRequestError("one of file_id and file_data is required", path=path_text(path))
    data = string(file["file_data"], *path, "file_data")
    media_type, data = read_data_url(data) or ("application/pdf", data)
    return DocumentPart(media_type=media_type, data=data, title=title)


_TEXT_ONLY: dict[str, _PartReader] = {"text": _text}
_USER_PARTS: dict[str, _PartReader] = {"text": _text, "image_url": _image, "input_audio": _audio, "file": _file}
_ASSISTANT_PARTS: dict[str, _PartReader] = {"text": _text, "refusal": _refusal}
_TOOL_PARTS: dict[str, _PartReader] = {"text": _text, "image_url": _image, "file": _file}


def _thinking(message: JsonObject, position: int, parts: Iterable[Part]) -> list[Part]:
    """The thinking as it was shown, unless it is among ``parts`` with the signature that was brought back."""
    signed = [part.text for part in parts if isinstance(part, ThinkingPart) and part.text]
    for name in ("reasoning_content", "reasoning"):
        text = optional_string(message.get(name), "messages", position, name)
        if text and not text.isspace():
            return [] if any(known in text for known in signed) else [ThinkingPart(text)]
    return []


def _images(message: JsonObject, position: int) -> list[Part]:
    """Pictures that the model made, as its answer had them."""
    if (value := message.get("images")) is None:
        return []
    at = ("messages", position, "images")
    images = enumerate(sequence(value, *at))
    return [_image(mapping(image, *at, index), *at, index) for index, image in images]


def _brought_back(owner: JsonObject, *path: str | int, before_call: bool = False) -> list[Part]:
    """What the maker of the thinking wants back (:mod:`~aigateway_core.dialects.openai_chat.calls`)."""
    path = (*path, "extra_content")
    extra = optional_mapping(owner.get("extra_content"), *path) or {}
    google = optional_mapping(extra.get("google"), *path, "google") or {}
    signature = optional_string(google.get("thought_signature"), *path, "google", "thought_signature")
    part = brought_back(signature, before_call=before_call) if signature else None
    return [] if part is None else [part]


def _tool_calls(message: JsonObject, position: int) -> list[Part]:
    if (value := message.get("tool_calls")) is None:
        return []
    read: list[Part] = []
    for index, raw in enumerate(sequence(value, "messages", position, "tool_calls")):
        path = ("messages", position, "tool_calls", index)
        call = mapping(raw, *path)
        read += [*_brought_back(call, *path, before_call=True), _tool_call(call, *path)]
    return read


def _tool_call(call: JsonObject, *path: str | int) -> ToolCallPart:
    call_id = string(_required(call, "id", *path), *path, "id")
    if one_of(call.get("type", "function"), ("function", "custom"), *path, "type") == "custom":
        custom = mapping(_required(call, "custom", *path), *path, "custom")
        given = string(custom.get("input", ""), *path, "custom", "input")
        name = string(_required(custom, "name", *path, "custom"), *path, "custom", "name")
        return ToolCallPart(call_id, name, dumps({"input": given}).decode())
    return ToolCallPart(call_id, *_function(_required(call, "function", *path), *path, "function"))


def _function(value: Any, *path: str | int) -> tuple[str, str]:
    """Name and arguments; an object in place of its JSON text is taken too, as some clients send it."""
    function = mapping(value, *path)
    name = string(_required(function, "name", *path), *path, "name")
    arguments = function.get("arguments")
    if type(arguments) is dict:
        return name, dumps(arguments).decode()
    text = optional_string(arguments, *path, "arguments")
    return name, text if text and not text.isspace() else "{}"
