"""Canonical messages into the turns of a request body."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Iterator, Sequence

from aigateway_core.dialects.anthropic.profile import ModelRule
from aigateway_core.dialects.arguments import told_arguments
from aigateway_core.dialects.identifiers import legal_tool_id, legal_tool_name
from aigateway_core.dialects.turns import paired
from aigateway_core.errors import InvalidRequestError
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

MOST_ID = 64
"""The longest tool id that is passed on as it is; this API names no limit, only an alphabet."""

PLACEHOLDER_TEXT = "."
"""What a turn says that exists only because the API wants a user turn there."""

_DEFAULT_IMAGE_TYPE = "image/png"
_DEFAULT_DOCUMENT_TYPE = "application/pdf"


def write_turns(messages: Sequence[Message], rule: ModelRule, origin: str) -> list[JsonObject]:
    """The ``messages`` of a body: never empty, no turn empty, results first in the user turn behind their calls."""
    writer = _TurnWriter(rule, origin)
    ordered = paired(messages)
    for message, before_answer in zip(ordered, _before_answers(ordered), strict=True):
        writer.add(message, before_answer=before_answer)
    return writer.finished()


def _before_answers(messages: Sequence[Message]) -> list[bool]:
    """Of each message, whether an answer is next to it, or nothing at all; system messages do not count."""
    told: list[bool] = []
    before_answer = True
    for message in reversed(messages):
        told.append(before_answer)
        if message.role != "system":
            before_answer = message.role == "assistant"
    return told[::-1]


def starts_with_thinking(turns: Sequence[JsonObject]) -> bool:
    """Whether manual thinking may be on: the turn that the answer continues has to begin with thinking.

    That is the last assistant turn if it calls tools or nothing follows it. Models with adaptive thinking do not ask
    for this (platform.claude.com, "adaptive thinking", validation changes).
    """
    last = next((turn for turn in reversed(turns) if turn["role"] == "assistant"), None)
    if last is None or (last is not turns[-1] and all(block["type"] != "tool_use" for block in last["content"])):
        return True
    return last["content"][0]["type"] in ("thinking", "redacted_thinking")


def loses_prefill(messages: Sequence[Message], rule: ModelRule) -> bool:
    """Whether the conversation ends with the beginning of an answer, which the newer models do not go on with.

    "This model does not support assistant message prefill. The conversation must end with a user message."
    """
    last = messages[-1] if messages else None
    return not rule.prefill and last is not None and last.role == "assistant" and bool(last.text.strip())


def is_unwritten(part: Part, origin: str) -> bool:
    """Whether nothing is left of this part but a note, or nothing at all."""
    match part:
        case ThinkingPart():
            return part.origin != origin or not _thinking(part)
        case DocumentPart():
            return _document_source(part) is None
        case _:
            return isinstance(part, AudioPart)


class _TurnWriter:
    """Collects turns; ``_joins`` says that the next user message belongs to the user turn before it."""

    def __init__(self, rule: ModelRule, origin: str) -> None:
        self._rule = rule
        self._origin = origin
        self._turns: list[JsonObject] = []
        self._joins = False

    def add(self, message: Message, *, before_answer: bool) -> None:
        match message.role:
            case "assistant":
                self._turn("assistant", self._assistant_blocks(message.parts), join=False)
            case "tool":
                self._turn(
                    "user", [_result(part) for part in message.parts if isinstance(part, ToolResultPart)], join=False
                )
                self._joins = True
            case "user":
                self._turn("user", list(_shown(message.parts)), join=self._joins)
            case "system":
                texts = [part.text for part in message.parts if isinstance(part, TextPart) and part.text.strip()]
                self._system(texts, before_answer=before_answer)

    def finished(self) -> list[JsonObject]:
        while not self._rule.prefill and self._turns and self._turns[-1]["role"] == "assistant":
            self._turns.pop()
        if not self._turns:
            return [{"role": "user", "content": [_text(PLACEHOLDER_TEXT)]}]
        last = self._turns[-1]
        block = last["content"][-1]
        if last["role"] == "assistant" and block["type"] == "text":
            # A prefilled answer that ends in white space is a 400.
            block["text"] = block["text"].rstrip()
        return self._turns

    def _turn(self, role: str, blocks: list[JsonObject], *, join: bool) -> None:
        if not blocks:
            return
        if join and self._turns and self._turns[-1]["role"] == role:
            self._turns[-1]["content"] += blocks
        else:
            self._turns.append({"role": role, "content": blocks})
        self._joins = False

    def _system(self, texts: list[str], *, before_answer: bool) -> None:
        """In place where model and position allow it, else a reminder inside the user turn beside it.

        A system turn has to follow a user turn and stand last or before an assistant turn (platform.claude.com,
        "mid-conversation system messages").
        """
        if not texts:
            return
        role = self._turns[-1]["role"] if self._turns else None
        if self._rule.system_turns and before_answer and role in ("user", "system"):
            self._turn("system", list(map(_text, texts)), join=role == "system")
            return
        reminder = "\n\n".join(texts)
        self._turn("user", [_text(f"<system-reminder>\n{reminder}\n</system-reminder>")], join=role == "user")
        self._joins = True

    def _assistant_blocks(self, parts: Iterable[Part]) -> list[JsonObject]:
        blocks: list[JsonObject] = []
        for part in parts:
            match part:
                case TextPart(text) if text.strip():
                    blocks.append(_text(text))
                case ImagePart():
                    blocks.append(_text("[image omitted]"))
                case ThinkingPart() if part.origin == self._origin:
                    blocks += _thinking(part)
                case ToolCallPart():
                    blocks.append(_tool_use(part))
                case _:
                    pass
        return blocks


def _text(text: str) -> JsonObject:
    return {"type": "text", "text": text}


def _thinking(part: ThinkingPart) -> list[JsonObject]:
    if part.redacted is not None:
        return [{"type": "redacted_thinking", "data": part.redacted}]
    return [{"type": "thinking", "thinking": part.text, "signature": part.signature}] if part.signature else []


def _tool_use(part: ToolCallPart) -> JsonObject:
    return {
        "type": "tool_use",
        "id": legal_tool_id(part.id, MOST_ID),
        "name": legal_tool_name(part.name),
        "input": told_arguments(part.arguments),
    }


def _result(part: ToolResultPart) -> JsonObject:
    result: JsonObject = {"type": "tool_result", "tool_use_id": legal_tool_id(part.call_id, MOST_ID)}
    if content := list(_shown(part.content)):
        result["content"] = content
    if part.is_error:
        result["is_error"] = True
    return result


def _shown(parts: Iterable[Part]) -> Iterator[JsonObject]:
    """Blocks of a user turn or a result; text without a visible character is a 400 and left out."""
    for part in parts:
        match part:
            case TextPart(text) if text.strip():
                yield _text(text)
            case ImagePart():
                yield {"type": "image", "source": _image_source(part)}
            case DocumentPart():
                yield _document(part)
            case AudioPart():
                yield _text("[audio omitted]")
            case _:
                pass


def _image_source(part: ImagePart) -> JsonObject:
    if part.data is not None:
        return {"type": "base64", "media_type": part.media_type or _DEFAULT_IMAGE_TYPE, "data": part.data}
    if part.url is not None:
        return {"type": "url", "url": part.url}
    return {"type": "file", "file_id": part.file_id}


def _document(part: DocumentPart) -> JsonObject:
    source = _document_source(part)
    if source is None:
        return _text(f"[document omitted: {part.title or part.media_type}]")
    title = {"title": part.title} if part.title else {}
    return {"type": "document", "source": source, **title}


def _document_source(part: DocumentPart) -> JsonObject | None:
    """None for inline data that is neither a PDF nor text: this API takes nothing else."""
    if part.text is not None:
        return {"type": "text", "media_type": "text/plain", "data": part.text}
    if part.url is not None:
        return {"type": "url", "url": part.url}
    if part.data is None:
        return {"type": "file", "file_id": part.file_id}
    media_type = part.media_type or _DEFAULT_DOCUMENT_TYPE
    if media_type.startswith("text/"):
        return {"type": "text", "media_type": "text/plain", "data": _decoded(part.data)}
    if media_type == _DEFAULT_DOCUMENT_TYPE:
        return {"type": "base64", "media_type": media_type, "data": part.data}
    return None


def _decoded(data: str) -> str:
    try:
        return b64decode(data, validate=True).decode("utf-8", "replace")
    except ValueError:
        raise InvalidRequestError("the data of a document is not valid base64") from None
