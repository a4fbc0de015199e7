"""The body of ``generateContent`` into a canonical request."""

from __future__ import annotations

from typing import Any

from aigateway_core.dialects.checks import (
    Path,
    mapping,
    missing,
    optional_boolean,
    optional_count,
    optional_integer,
    optional_mapping,
    optional_number,
    optional_string,
    refuse,
    sequence,
    string,
)
from aigateway_core.dialects.gemini.content_reader import ContentReader
from aigateway_core.dialects.gemini.keys import elements, field, spellings
from aigateway_core.dialects.gemini.reasoning import read_reasoning
from aigateway_core.dialects.gemini.schemas import json_schema
from aigateway_core.dialects.gemini.tools import read_tool_choice, read_tools
from aigateway_core.errors import InvalidRequestError, UnsupportedFeatureError
from aigateway_core.model import ChatRequest, JsonObject, ResponseFormat

_CONFIG = "generationConfig"
_JSON = "application/json"

_KNOWN = spellings("model", "stream", "contents", "systemInstruction", "tools", "toolConfig", _CONFIG)
_KNOWN_CHOOSING = spellings("functionCallingConfig")
_KNOWN_CONFIG = spellings(
    *("maxOutputTokens", "temperature", "topP", "topK", "stopSequences", "presencePenalty", "frequencyPenalty"),
    *("seed", "candidateCount", "responseLogprobs", "logprobs", "responseMimeType", "responseSchema"),
    *("responseJsonSchema", "thinkingConfig", "responseModalities"),
)


def read_contents(body: JsonObject) -> list[tuple[Any, Path]]:
    """The contents with their paths, of which there must be one at least."""
    if "contents" not in body:
        missing("contents")
    contents = elements(body["contents"], "contents")
    if not contents:
        raise InvalidRequestError("at least one content is required", path="contents")
    return contents


def read_request(body: JsonObject, *, model: str, stream: bool, origin: str) -> ChatRequest:
    """The request that ``body`` spells. Raises :class:`InvalidRequestError` with the path of the first thing wrong.

    Raises :class:`UnsupportedFeatureError` for what only Google could honour, and what cannot be left out.
    """
    _refuse_cached(body)
    reader = ContentReader(origin)
    for content, path in read_contents(body):
        reader.read(content, path)
    config = optional_mapping(field(body, _CONFIG), _CONFIG) or {}
    return ChatRequest(
        model=model,
        stream=stream,
        messages=reader.turns(),
        system=_system(field(body, "systemInstruction")),
        tools=read_tools(body.get("tools")),
        tool_choice=read_tool_choice(field(body, "toolConfig")),
        max_tokens=optional_count(field(config, "maxOutputTokens"), _CONFIG, "maxOutputTokens"),
        temperature=_number(config, "temperature"),
        top_p=_number(config, "topP"),
        top_k=_integer(config, "topK"),
        stop=_stop(field(config, "stopSequences")),
        presence_penalty=_number(config, "presencePenalty"),
        frequency_penalty=_number(config, "frequencyPenalty"),
        seed=_integer(config, "seed"),
        n=_integer(config, "candidateCount"),
        logprobs=optional_boolean(field(config, "responseLogprobs"), _CONFIG, "responseLogprobs"),
        top_logprobs=_integer(config, "logprobs"),
        reasoning=read_reasoning(field(config, "thinkingConfig")),
        response_format=_response_format(config),
        audio_output=_audio_output(config),
        extra=_extra(body, config) | reader.unread,
    )


def _refuse_cached(body: JsonObject) -> None:
    """A part of the prompt that lies in one account of Google's: without it the question would be another one."""
    if field(body, "cachedContent") is not None:
        raise UnsupportedFeatureError("cached content can be used with Google's own models alone", path="cachedContent")


def _extra(body: JsonObject, config: JsonObject) -> JsonObject:
    extra = {name: value for name, value in body.items() if name not in _KNOWN and value is not None}
    unknown = {name: value for name, value in config.items() if name not in _KNOWN_CONFIG and value is not None}
    choosing = field(body, "toolConfig") or {}
    beside = {name: value for name, value in choosing.items() if name not in _KNOWN_CHOOSING and value is not None}
    return (
        extra
        | {f"{_CONFIG}.{name}": value for name, value in unknown.items()}
        | {f"toolConfig.{name}": value for name, value in beside.items()}
    )


def _integer(config: JsonObject, name: str) -> int | None:
    value = optional_integer(field(config, name), _CONFIG, name)
    if value is not None and abs(value) >= 2**63:
        raise InvalidRequestError("the number is too large", path=f"{_CONFIG}.{name}")
    return value


def _number(config: JsonObject, name: str) -> float | None:
    return optional_number(field(config, name), _CONFIG, name)


def _system(value: Any) -> tuple[str, ...]:
    """The texts of the system instruction; SDKs let users write it as plain text, and some send it so."""
    if value is None:
        return ()
    if type(value) is str:
        return (value,) if value else ()
    given = mapping(value, "systemInstruction").get("parts")
    parts = [] if given is None else elements(given, "systemInstruction", "parts")
    texts = (optional_string(mapping(part, *path).get("text"), *path, "text") for part, path in parts)
    return tuple(text for text in texts if text)


def _stop(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    path = (_CONFIG, "stopSequences")
    texts = (string(text, *path, index) for index, text in enumerate(sequence(value, *path)))
    return tuple(text for text in texts if text)


def _response_format(config: JsonObject) -> ResponseFormat | None:
    """JSON as output, with a schema in either of its two fields; their types come in upper case (case 140)."""
    kind = optional_string(field(config, "responseMimeType"), _CONFIG, "responseMimeType")
    if kind is not None and not kind.startswith(_JSON) and kind != "text/x.enum":
        return None
    for name in ("responseJsonSchema", "responseSchema"):
        if (given := field(config, name)) is not None:
            schema = json_schema(mapping(given, _CONFIG, name))
            title = schema.get("title")
            return ResponseFormat("json_schema", title if type(title) is str else None, schema)
    return ResponseFormat("json_object") if kind is not None and kind.startswith(_JSON) else None


def _audio_output(config: JsonObject) -> JsonObject | None:
    """The sound that is asked for. Pictures are refused: the canonical form has no place for them in an answer."""
    path = (_CONFIG, "responseModalities")
    if (given := field(config, "responseModalities")) is None:
        return None
    words = [string(word, *path, index).upper() for index, word in enumerate(sequence(given, *path))]
    if "IMAGE" in words:
        raise UnsupportedFeatureError("pictures as output are not supported for this model", path=".".join(path))
    unknown = next((word for word in words if word not in ("TEXT", "AUDIO", "MODALITY_UNSPECIFIED")), None)
    if unknown is not None:
        refuse("TEXT, AUDIO or IMAGE", unknown, *path)
    return {"responseModalities": words} if "AUDIO" in words else None
