"""The content of messages and of tools' outputs, read and written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import orjson

from aigateway_core.dialects.checks import mapping, missing, one_of, optional_string, path_text, refuse, string
from aigateway_core.dialects.openai_facts import file_data, image_url, marked_failure, note, read_data_url
from aigateway_core.errors import InvalidRequestError
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

Shown: TypeAlias = TextPart | ImagePart | DocumentPart
_Reader: TypeAlias = Callable[..., Part]


def required(owner: JsonObject, name: str, *path: str | int) -> Any:
    """A field that has to be there."""
    if name not in owner:
        missing(*path, name)
    return owner[name]


# -- read


def _text(part: JsonObject, *path: str | int) -> Part:
    return TextPart(string(required(part, "text", *path), *path, "text"))


def _refusal(part: JsonObject, *path: str | int) -> Part:
    return TextPart(string(required(part, "refusal", *path), *path, "refusal"))


def _image(part: JsonObject, *path: str | int) -> ImagePart:
    detail = optional_string(part.get("detail"), *path, "detail")
    # The API's types ask for the field, and "auto" is what its absence means.
    detail = None if detail == "auto" else detail
    url = optional_string(part.get("image_url"), *path, "image_url")
    if url is None:
        if (file_id := optional_string(part.get("file_id"), *path, "file_id")) is None:
            raise InvalidRequestError("one of image_url and file_id is required", path=path_text(path))
        return ImagePart(file_id=file_id, detail=detail)
    if (inline := read_data_url(url)) is None:
        return ImagePart(url=url, detail=detail)
    return ImagePart(media_type=inline[0], data=inline[1], detail=detail)


def _file(part: JsonObject, *path: str | int) -> DocumentPart:
    title = optional_string(part.get("filename"), *path, "filename")
    if (data := optional_string(part.get("file_data"), *path, "file_data")) is not None:
        media_type, data = read_data_url(data) or ("application/pdf", data)
        return DocumentPart(media_type=media_type, data=data, title=title)
    url = optional_string(part.get("file_url"), *path, "file_url")
    file_id = optional_string(part.get("file_id"), *path, "file_id")
    if url is None and file_id is None:
        raise InvalidRequestError("one of file_data, file_url and file_id is required", path=path_text(path))
    return DocumentPart(url=url, file_id=file_id, title=title)


def _audio(part: JsonObject, *path: str | int) -> Part:
    path = (*path, "input_audio")
    audio = mapping(required(part, "input_audio", *path[:-1]), *path)
    return AudioPart(
        string(required(audio, "data", *path), *path, "data"),
        string(required(audio, "format", *path), *path, "format"),
    )


_TEXTS: dict[str, _Reader] = {"input_text": _text, "output_text": _text, "text": _text}
USER_PARTS: dict[str, _Reader] = {**_TEXTS, "input_image": _image, "input_file": _file, "input_audio": _audio}
ASSISTANT_PARTS: dict[str, _Reader] = {**_TEXTS, "refusal": _refusal}
_OUTPUT_PARTS: dict[str, _Reader] = {
    **_TEXTS,
    "input_image": _image,
    "input_file": _file,
    "computer_screenshot": _image,
}


def read_content(value: Any, readers: Mapping[str, _Reader], *path: str | int) -> tuple[Part, ...]:
    """A string, or parts of the kinds that ``readers`` know; empty texts leave no trace."""
    if type(value) is str:
        return (TextPart(value),) if value else ()
    if type(value) is not list:
        refuse("a string or an array of parts", value, *path)
    parts: list[Part] = []
    for index, raw in enumerate(value):
        at = (*path, index)
        part = mapping(raw, *at)
        kind = one_of(required(part, "type", *at), tuple(readers), *at, "type")
        read = readers[kind](part, *at)
        if not isinstance(read, TextPart) or read.text:
            parts.append(read)
    return tuple(parts)


def read_output(value: Any, *path: str | int) -> tuple[Shown, ...]:
    """What a tool answered: a string, or parts; a string that spells parts with a picture is taken for them."""
    if type(value) is str:
        return _shown(_spelled_parts(value) or read_content(value, {}, *path))
    return _shown(read_content(value, _OUTPUT_PARTS, *path))


def read_any_output(value: Any, *path: str | int) -> tuple[Shown, ...]:
    """What one of OpenAI's own tools answered at the client: a screenshot, text, or whatever it is as JSON."""
    if type(value) is str:
        return (TextPart(value),) if value else ()
    if type(value) is dict and value.get("type") == "computer_screenshot":
        return (_image(value, *path),)
    return () if value is None else (TextPart(dumps(value).decode()),)


def _spelled_parts(text: str) -> tuple[Part, ...]:
    """The parts that a string spells in JSON, if it does so flawlessly and a picture is among them (case 108)."""
    if "input_image" not in text or not text.lstrip().startswith("["):
        return ()
    try:
        parts = read_content(orjson.loads(text.encode("utf-8", "replace")), _OUTPUT_PARTS)
    except (orjson.JSONDecodeError, InvalidRequestError):
        return ()
    return parts if any(isinstance(part, ImagePart) for part in parts) else ()


def _shown(parts: Iterable[Part]) -> tuple[Shown, ...]:
    return tuple(part for part in parts if isinstance(part, Shown))


# -- write


def write_content(parts: Iterable[Part]) -> list[JsonObject]:
    """Parts of a user's message; of what has no place a note remains."""
    return [written for part in parts if (written := _part(part)) is not None]


def write_output(result: ToolResultPart) -> str | list[JsonObject]:
    """What a tool answered: a string where one text is all of it."""
    content = write_content(result.content)
    if result.is_error:
        text = content.pop(0)["text"] if content and content[0]["type"] == "input_text" else ""
        content.insert(0, {"type": "input_text", "text": marked_failure(text)})
    if not content:
        return ""
    return content[0]["text"] if len(content) == 1 and content[0]["type"] == "input_text" else content


def _part(part: Part) -> JsonObject | None:
    match part:
        case ImagePart() if (image := _write_image(part)) is not None:
            return image
        case DocumentPart() if (file := _write_file(part)) is not None:
            return file
        case AudioPart(data, form):
            return {"type": "input_audio", "input_audio": {"data": data, "format": form}}
        case _:
            return {"type": "input_text", "text": text} if (text := note(part)) else None


def _write_image(part: ImagePart) -> JsonObject | None:
    detail = {"detail": part.detail or "auto"}
    if (url := image_url(part)) is not None:
        return {"type": "input_image", "image_url": url, **detail}
    return None if part.file_id is None else {"type": "input_image", "file_id": part.file_id, **detail}


def _write_file(part: DocumentPart) -> JsonObject | None:
    title = {"filename": part.title} if part.title else {}
    if part.data is not None:
        return {"type": "input_file", **file_data(part)}
    if part.url is not None:
        return {"type": "input_file", "file_url": part.url, **title}
    return None if part.file_id is None else {"type": "input_file", "file_id": part.file_id, **title}
