"""What a tool answered: ``functionResponse``, read and written.

The key ``output`` holds it and ``error`` what went wrong; an object without either is the answer itself (types of
the google-genai SDK, FunctionResponse).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aigateway_core.dialects.checks import Path, mapping, optional_mapping, optional_string, sequence
from aigateway_core.dialects.gemini.keys import field
from aigateway_core.dialects.gemini.media import is_readable, read_file, read_inline, write_media
from aigateway_core.jsontext import dumps
from aigateway_core.model import (
    AudioPart,
    DocumentPart,
    ImagePart,
    JsonObject,
    Part,
    TextPart,
    ToolResultPart,
)

_ANSWERS = ("output", "result")

OMITTED_IMAGE = "[image omitted]"
"""What is left of a picture of a kind that the models do not read."""


def read_result(response: JsonObject, call_id: str, path: Path) -> ToolResultPart:
    """The answer in a ``functionResponse``: as text, and what is attached to it."""
    value = optional_mapping(response.get("response"), *path, "response") or {}
    failed = len(value) == 1 and "error" in value
    inner = next(iter(value.values())) if failed or (len(value) == 1 and value.keys() & set(_ANSWERS)) else value
    text = inner if type(inner) is str else dumps(inner).decode() if inner or inner in (0, False) else ""
    content = (TextPart(text),) if text else ()
    return ToolResultPart(call_id, (*content, *_attached(response, path)), failed)


def _attached(response: JsonObject, path: Path) -> list[TextPart | ImagePart | DocumentPart]:
    attached: list[TextPart | ImagePart | DocumentPart] = []
    parts = response.get("parts")
    for index, item in enumerate([] if parts is None else sequence(parts, *path, "parts")):
        place = (*path, "parts", index)
        seen = _media(mapping(item, *place), place)
        attached += [TextPart("[audio omitted]")] if isinstance(seen, AudioPart) else []
        attached += [seen] if isinstance(seen, (TextPart, ImagePart, DocumentPart)) else []
    return attached


def _media(part: JsonObject, path: Path) -> Part | None:
    if (blob := field(part, "inlineData")) is not None:
        return read_inline(blob, (*path, "inlineData"))
    if (file := field(part, "fileData")) is not None:
        return read_file(file, (*path, "fileData"))
    text = optional_string(part.get("text"), *path, "text")
    return TextPart(text) if text else None


def write_result(
    result: ToolResultPart, call_id: str, name: str, *, media: bool
) -> tuple[JsonObject, list[JsonObject]]:
    """The ``functionResponse`` part, and the attachments that cannot stand in it and have to follow it."""
    text = "\n".join(texts(part for part in result.content if not _is_attachment(part)))
    attached = [written for part in result.content if _is_attachment(part) and (written := _written(part))]
    response: dict[str, Any] = {
        "id": call_id,
        "name": name,
        "response": {"error" if result.is_error else "output": text},
    }
    if media and attached:
        response["parts"] = attached
        attached = []
    return {"functionResponse": response}, attached


def _is_attachment(part: Part) -> bool:
    if isinstance(part, ImagePart):
        return is_readable(part)
    return isinstance(part, DocumentPart) and part.text is None


def _written(part: TextPart | ImagePart | DocumentPart) -> JsonObject | None:
    return None if isinstance(part, TextPart) else write_media(part)


def document_text(part: Part) -> str:
    """The text of a text or of a document that is one, and the note of a picture that cannot be sent."""
    match part:
        case ImagePart() if not is_readable(part):
            return OMITTED_IMAGE
        case TextPart(text):
            return text
        case DocumentPart(text=str(text)):
            return f"[{part.title}]\n{text}" if part.title else text
        case _:
            return ""


def texts(parts: Iterable[Part]) -> list[str]:
    """The texts among the parts that say anything."""
    return [text for part in parts if (text := document_text(part))]
