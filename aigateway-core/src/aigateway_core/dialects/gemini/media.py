"""Pictures, documents, sound and their like: ``inlineData`` and ``fileData``, read and written."""

from __future__ import annotations

from mimetypes import guess_type
from typing import Any
from urllib.parse import urlsplit

from aigateway_core.dialects.checks import Path, mapping, optional_string, string
from aigateway_core.dialects.gemini.keys import field
from aigateway_core.dialects.media_types import registered
from aigateway_core.model import AudioPart, DocumentPart, ImagePart, JsonObject, Part

_ALPHABET = str.maketrans("-_", "+/")
_SOUNDS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "vnd.wave": "wav"}
_OWN_STORE = "generativelanguage.googleapis.com"
_DEFAULT_IMAGE_TYPE = "image/png"
_READABLE_IMAGES = frozenset({_DEFAULT_IMAGE_TYPE, "image/jpeg", "image/webp", "image/heic", "image/heif"})
_DEFAULT_DOCUMENT_TYPE = "application/pdf"


def read_inline(value: Any, path: Path) -> Part | None:
    """The part that ``inlineData`` holds, told by its media type; None for one without data."""
    blob = mapping(value, *path)
    media_type = registered(optional_string(field(blob, "mimeType"), *path, "mimeType") or _DEFAULT_IMAGE_TYPE)
    data = _standard(string(field(blob, "data"), *path, "data"))
    if not data:
        return None
    family, _, kind = media_type.partition("/")
    if family == "image":
        return ImagePart(media_type, data)
    if family == "audio":
        sound = kind.partition(";")[0]
        return AudioPart(data, _SOUNDS.get(sound, sound))
    return DocumentPart(media_type, data, title=optional_string(field(blob, "displayName"), *path, "displayName"))


def _standard(data: str) -> str:
    """The data in the alphabet that everybody reads: Google's SDK for Python writes the one for URLs."""
    data = data.translate(_ALPHABET)
    return data + "=" * (-len(data) % 4)


def read_file(value: Any, path: Path) -> ImagePart | DocumentPart:
    """The part behind ``fileData``: an address that anybody can fetch, or something in Google's own store."""
    file = mapping(value, *path)
    uri = string(field(file, "fileUri"), *path, "fileUri")
    media_type = optional_string(field(file, "mimeType"), *path, "mimeType")
    place = {"url": uri} if _is_public(uri) else {"file_id": uri}
    if (media_type or _guessed(uri) or "").startswith("image/"):
        return ImagePart(registered(media_type) if media_type else None, **place)
    return DocumentPart(media_type, **place, title=optional_string(field(file, "displayName"), *path, "displayName"))


def _is_public(uri: str) -> bool:
    return uri.startswith(("http://", "https://")) and _OWN_STORE not in uri[:100]


def _guessed(uri: str) -> str | None:
    try:
        return guess_type(urlsplit(uri).path)[0]
    except ValueError:
        return None


def is_readable(part: ImagePart) -> bool:
    """Whether the models read this kind of picture; others (GIF) are a 400 (ai.google.dev, image understanding)."""
    return part.data is None or part.media_type is None or part.media_type.lower() in _READABLE_IMAGES


def write_media(part: ImagePart | DocumentPart | AudioPart) -> JsonObject | None:
    """The wire part; None for a document that is plain text, and for what neither data nor an address leads to."""
    match part:
        case AudioPart(data, kind):
            return _inline(f"audio/{kind}", data)
        case ImagePart():
            return _written(part, _DEFAULT_IMAGE_TYPE, "image/jpeg")
        case DocumentPart(text=None):
            return _written(part, _DEFAULT_DOCUMENT_TYPE, _DEFAULT_DOCUMENT_TYPE)
        case _:
            return None


def _written(part: ImagePart | DocumentPart, inline_type: str, file_type: str) -> JsonObject | None:
    if part.data is not None:
        return _inline(part.media_type or inline_type, part.data)
    uri = part.url if part.url is not None else part.file_id
    if uri is None:
        return None
    return {"fileData": {"mimeType": part.media_type or _guessed(uri) or file_type, "fileUri": uri}}


def _inline(media_type: str, data: str) -> JsonObject:
    return {"inlineData": {"mimeType": media_type, "data": data}}
