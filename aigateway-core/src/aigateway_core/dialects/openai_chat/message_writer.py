"""Turns of the canonical form, written as the messages of a Chat Completions request.

The order that the API insists on: an assistant message with tool calls is followed by one ``tool`` message for each
of them before any other role, else it answers 400. Whatever else stands there in the conversation waits until then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from aigateway_core.dialects.identifiers import legal_tool_id, legal_tool_name
from aigateway_core.dialects.openai_chat.profile import OpenAIChatProfile
from aigateway_core.dialects.openai_facts import file_data, image_url, marked_failure, note
from aigateway_core.dialects.turns import NO_RESULT, matched
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


def write_messages(system: Iterable[str], turns: Iterable[Message], profile: OpenAIChatProfile) -> list[JsonObject]:
    """The messages, system text first."""
    writer = _MessageWriter(profile)
    writer.system(system)
    for turn in turns:
        writer.turn(turn)
    return writer.finished()


def is_unwritten(part: Part, profile: OpenAIChatProfile) -> bool:
    """Whether nothing is left of this part but a note that it was there, or nothing at all."""
    match part:
        case ThinkingPart():
            return not profile.reasoning_field or not _thoughts((part,))
        case ImagePart():
            return "image" not in profile.attachments or image_url(part) is None
        case DocumentPart(text=None, url=None):
            return "document" not in profile.attachments or _file(part) is None
        case _:
            return isinstance(part, AudioPart) and "audio" not in profile.attachments


class _MessageWriter:
    def __init__(self, profile: OpenAIChatProfile) -> None:
        self._profile = profile
        self._parts = _PartWriter(profile)
        self._messages: list[JsonObject] = []
        self._pending: dict[str, str] = {}
        self._asked: frozenset[str] = frozenset()
        self._given: list[ToolResultPart] = []
        self._held: list[JsonObject] = []

    def system(self, texts: Iterable[str]) -> None:
        if text := "\n\n".join(text for text in texts if text):
            self._messages.append({"role": self._profile.system_role, "content": text})

    def turn(self, turn: Message) -> None:
        match turn.role:
            case "assistant":
                self._settle()
                self._assistant(turn)
            case "tool":
                self._results(turn)
            case "system":
                self._late_system(turn)
            case "user":
                self._user(turn.parts)

    def finished(self) -> list[JsonObject]:
        self._settle()
        needs_user = self._profile.needs_user_message or not self._messages
        if needs_user and not any(message["role"] == "user" for message in self._messages):
            self._messages.append({"role": "user", "content": "."})
        return self._messages

    def _assistant(self, turn: Message) -> None:
        calls = [part for part in turn.parts if isinstance(part, ToolCallPart)]
        texts = self._parts.texts(part for part in turn.parts if not isinstance(part, ToolCallPart | ThinkingPart))
        thinking = "\n\n".join(_thoughts(turn.parts)) if self._profile.reasoning_field else ""
        if not (calls or texts or thinking):
            return
        message: JsonObject = {"role": "assistant", "content": "\n\n".join(texts) or self._profile.empty_content}
        if self._profile.reasoning_field and thinking:
            message[self._profile.reasoning_field] = thinking
        if calls:
            self._pending = _written_ids(calls)
            self._asked = frozenset(self._pending.values())
            message["tool_calls"] = [_tool_call(call, name) for call, name in zip(calls, self._pending, strict=True)]
        elif message["content"] is None:
            message["content"] = ""
        self._messages.append(message)

    def _late_system(self, turn: Message) -> None:
        text = "\n\n".join(self._parts.texts(turn.parts))
        if not text:
            return
        if self._profile.late_system == "in_place":
            self._put({"role": self._profile.system_role, "content": text})
        else:
            self._put({"role": "user", "content": f"<system-reminder>\n{text}\n</system-reminder>"})

    def _user(self, parts: Iterable[Part]) -> None:
        if content := self._parts.content(parts):
            self._put({"role": "user", "content": content})

    def _put(self, message: JsonObject) -> None:
        (self._held if self._pending else self._messages).append(message)

    def _results(self, turn: Message) -> None:
        for result in turn.parts:
            if not isinstance(result, ToolResultPart):
                continue
            if result.call_id in self._asked:
                self._given.append(result)
            else:
                self._orphan(result)

    def _orphan(self, result: ToolResultPart) -> None:
        """A result without its call would be refused as a ``tool`` message, so it is told as the user's words."""
        text = f"[tool result {result.call_id}] {self._parts.result_text(result)}".rstrip()
        self._user((TextPart(text), *self._parts.attached(result)))

    def _settle(self) -> None:
        """Write the results of the last calls, then the attachments that they could not hold, then what had to wait."""
        results = matched([*self._pending.values()], self._given)
        pending, self._pending = self._pending, {}
        self._asked, self._given = frozenset(), []
        held, self._held = self._held, []
        attachments: list[Part] = []
        for name, result in zip(pending, results, strict=True):
            content = NO_RESULT if result is None else self._parts.result_content(result)
            self._messages.append({"role": "tool", "tool_call_id": name, "content": content})
            if result is not None and (attached := self._parts.attached(result)):
                kind = "Image" if isinstance(attached[0], ImagePart) else "Document"
                attachments += (TextPart(f"{kind} from tool {name}:"), *attached)
        self._user(attachments)
        self._messages += held


class _PartWriter:
    """Parts as content: a plain string wherever it is text alone, since many servers know nothing else."""

    def __init__(self, profile: OpenAIChatProfile) -> None:
        self._attachments = profile.attachments
        self._details = profile.image_details
        self._images_in_results = profile.images_in_tool_results and "image" in profile.attachments

    def content(self, parts: Iterable[Part]) -> str | list[JsonObject]:
        """The content of a user message; empty when nothing is left of it."""
        blocks = [block for part in parts if (block := self._block(part)) is not None]
        if all(block["type"] == "text" for block in blocks):
            return "\n\n".join(block["text"] for block in blocks)
        return blocks

    def texts(self, parts: Iterable[Part]) -> list[str]:
        """What can be said in text, attachments by a note."""
        return [text for part in parts if (text := note(part))]

    def result_text(self, result: ToolResultPart) -> str:
        """A tool's answer as text; failures are marked, because the ``tool`` role has no field for it."""
        text = "\n".join(self.texts(part for part in result.content if not self._attachable(part)))
        return marked_failure(text) if result.is_error else text

    def result_content(self, result: ToolResultPart) -> str | list[JsonObject]:
        """The content of a ``tool`` message."""
        images = [part for part in result.content if isinstance(part, ImagePart) and self._attachable(part)]
        if not (images and self._images_in_results):
            return self.result_text(result)
        return self.content_blocks(self.result_text(result), images)

    def content_blocks(self, text: str, images: Iterable[ImagePart]) -> list[JsonObject]:
        """Text and pictures as an array."""
        blocks = [block for image in images if (block := self._block(image)) is not None]
        return [{"type": "text", "text": text}, *blocks] if text else blocks

    def attached(self, result: ToolResultPart) -> list[Part]:
        """The attachments of a tool result that need a user message to carry them."""
        return [part for part in result.content if self._attachable(part) and not self._stays(part)]

    def _attachable(self, part: Part) -> bool:
        return (isinstance(part, ImagePart) and "image" in self._attachments and part.file_id is None) or (
            isinstance(part, DocumentPart) and "document" in self._attachments and _file(part) is not None
        )

    def _stays(self, part: Part) -> bool:
        return isinstance(part, ImagePart) and self._images_in_results

    def _block(self, part: Part) -> JsonObject | None:
        block: JsonObject | None = None
        if isinstance(part, ImagePart) and "image" in self._attachments:
            block = self._image(part)
        elif isinstance(part, DocumentPart) and "document" in self._attachments:
            block = _file(part)
        elif isinstance(part, AudioPart) and "audio" in self._attachments:
            block = {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}
        if block is None and (text := note(part)):
            block = {"type": "text", "text": text}
        return block

    def _image(self, part: ImagePart) -> JsonObject | None:
        """A picture by address or inline. OpenAI's chat has no place for pictures by file id."""
        if (url := image_url(part)) is None:
            return None
        image: JsonObject = {"url": url}
        if part.detail is not None:
            image["detail"] = part.detail if part.detail in self._details else "high"
        return {"type": "image_url", "image_url": image}


def _file(part: DocumentPart) -> JsonObject | None:
    """A document inline or by file id; None for one that is text, or that only an address leads to."""
    if part.data is not None:
        return {"type": "file", "file": file_data(part)}
    if part.file_id is not None:
        return {"type": "file", "file": {"file_id": part.file_id} | ({"filename": part.title} if part.title else {})}
    return None


def _thoughts(parts: Iterable[Part]) -> list[str]:
    return [part.text for part in parts if isinstance(part, ThinkingPart) and part.text and not part.text.isspace()]


def _written_ids(calls: Iterable[ToolCallPart]) -> dict[str, str]:
    """The id that each call goes out with, and the one that it came with: those of one message must be different."""
    written: dict[str, str] = {}
    uses: Counter[str] = Counter()
    for call in calls:
        name = legal_tool_id(call.id)
        while name in written:
            uses[call.id] += 1
            name = legal_tool_id(f"{call.id}-{uses[call.id] + 1}")
        written[name] = call.id
    return written


def _tool_call(call: ToolCallPart, name: str) -> JsonObject:
    arguments = call.arguments if call.arguments and not call.arguments.isspace() else "{}"
    function = {"name": legal_tool_name(call.name), "arguments": arguments}
    return {"id": name, "type": "function", "function": function}
