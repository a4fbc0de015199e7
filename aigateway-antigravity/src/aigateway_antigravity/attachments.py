"""Attachments that a model cannot read: a note stands for them, where Google's upstream would refuse the request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from aigateway_antigravity.models import Family
from aigateway_core.plugin import AudioPart, DocumentPart, ImagePart, Message, Part, TextPart, ToolResultPart

_NOTES: dict[type, str] = {ImagePart: "image", DocumentPart: "document", AudioPart: "audio"}
_CLAUDES_IMAGES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})
_CLAUDES_DOCUMENTS = frozenset({"application/pdf"})


def readable(message: Message, family: Family) -> Message:
    """The message with notes in place of what models of this family cannot read; Gemini reads them all."""
    if family == "gemini":
        return message
    return attrs.evolve(message, parts=tuple(_with_note(part, family) for part in message.parts))


def unread(messages: Sequence[Message], family: Family) -> Iterator[str]:
    """The kinds of attachments that are left out, by the names that losses have."""
    for message in messages:
        for part in message.parts:
            for one in (part, *(part.content if isinstance(part, ToolResultPart) else ())):
                if not _reads(one, family):
                    yield f"messages.{_NOTES[type(one)]}"


def _with_note(part: Part, family: Family) -> Part:
    if isinstance(part, ToolResultPart):
        content = tuple(one if _reads(one, family) else _note(one) for one in part.content)
        return attrs.evolve(part, content=content)
    return part if _reads(part, family) else _note(part)


def _note(part: Part) -> TextPart:
    return TextPart(f"[{_NOTES[type(part)]} omitted]")


def _reads(part: Part, family: Family) -> bool:
    """Claude reads pictures and PDF (platform.claude.com, "vision" and "PDF support"); GPT-OSS reads text alone."""
    if family == "gemini" or type(part) not in _NOTES or (isinstance(part, DocumentPart) and part.text is not None):
        return True
    if family == "gpt-oss":
        return False
    match part:
        case ImagePart(media_type=str(kind), data=str()):
            return kind.lower() in _CLAUDES_IMAGES
        case DocumentPart(media_type=str(kind), data=str()):
            return kind.lower() in _CLAUDES_DOCUMENTS
        case _:
            return not isinstance(part, AudioPart)
