"""What OpenAI's two chat APIs, Chat Completions and Responses, have in common: small facts, as data and functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

import attrs

from aigateway_core.dialects.checks import MOST_TOKENS
from aigateway_core.dialects.dialect import Change, Loss
from aigateway_core.dialects.identifiers import digest, legal_tool_name
from aigateway_core.dialects.media_types import registered
from aigateway_core.model import (
    AudioPart,
    ChatRequest,
    DocumentPart,
    Effort,
    HostedTool,
    ImagePart,
    Part,
    Reasoning,
    ResponseFormat,
    TextPart,
    Tool,
    Usage,
)

EFFORTS: tuple[Effort, ...] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""The words for how much a model shall think (the type ``ReasoningEffort`` of OpenAI's SDK)."""

SERVICE_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})
"""OpenAI's words; other vendors have other ones under the same name, which it would refuse."""

_EFFORT_OF_BUDGET: tuple[tuple[int, Effort], ...] = (
    (0, "none"),
    (1024, "minimal"),
    (2048, "low"),
    (8192, "medium"),
    (24576, "high"),
)
"""Up to so many tokens of thinking, this word; ``xhigh`` beyond."""

UNSAID: Mapping[str, Any] = {
    field.name: field.default
    for field in attrs.fields(ChatRequest)
    if field.default is None or field.default is False or field.default == ()
}
"""The fields of a request that a client may leave out, and their value when it did."""


def are_fields(_profile: object, _attribute: object, losses: Mapping[str, Loss]) -> None:
    """An attrs validator: every key of a profile's ``cannot_express`` is a field that a client may leave out."""
    if unknown := sorted(losses.keys() - UNSAID.keys()):
        raise ValueError(
            f"cannot_express: {', '.join(unknown)} cannot be left out of a ChatRequest, or is no field of it"
        )


def without(request: ChatRequest, fields: Mapping[str, Loss]) -> ChatRequest:
    """The request as if its client had said nothing of these fields."""
    unsaid: dict[str, Any] = {name: UNSAID[name] for name in fields}
    return attrs.evolve(request, **unsaid) if unsaid else request


def answer_seed(response_id: str, request: ChatRequest) -> str:
    """What ids that an upstream forgot are made from: the same for the same turn, another one for the next.

    The id of the answer alone would not do: servers that forget the ids of calls often give every answer the same one.
    """
    last = request.messages[-1] if request.messages else None
    return digest(response_id, request.model, len(request.messages), last.text[-500:] if last else "")


def effort_word(reasoning: Reasoning, words: Mapping[Effort, str | None]) -> str | None:
    """The word for this much thinking, in a vendor's own ``words``; None where it is left to the vendor."""
    effort = reasoning.effort
    if effort is None and reasoning.budget is not None and reasoning.budget >= 0:
        effort = next((word for most, word in _EFFORT_OF_BUDGET if reasoning.budget <= most), "xhigh")
    return None if effort is None else words.get(effort, effort)


def user_id(user: str, fewest: int, most: int) -> str:
    """``user``, or a hash of it where it has fewer or more characters than a vendor takes."""
    if fewest <= len(user) <= most:
        return user
    return "user-" + blake2b(user.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def schema_name(wanted: ResponseFormat) -> str:
    """The name of a JSON Schema, which OpenAI insists on: the client's, else the schema's title."""
    title = (wanted.schema or {}).get("title")
    return legal_tool_name(wanted.name or (title if type(title) is str and title else "structured_output"))


_NODES = (dict, list)
_NO_SCHEMAS = frozenset({"enum", "const", "default", "examples", "example", "required"})


def with_properties(schema: Any) -> Any:
    """The schema with ``properties`` on every node of type ``object``, which several servers insist on."""
    if isinstance(schema, list):
        return [with_properties(item) if isinstance(item, _NODES) else item for item in schema]
    nodes = {
        name: with_properties(value) if isinstance(value, _NODES) and name not in _NO_SCHEMAS else value
        for name, value in schema.items()
    }
    if nodes.get("type") == "object" and "properties" not in nodes:
        nodes["properties"] = {}
    return nodes


def function_schema(parameters: Mapping[str, Any]) -> Any:
    """The ``parameters`` of a function; one without any takes an empty object."""
    return with_properties(parameters) if parameters else {"type": "object", "properties": {}}


def may_be_strict(tool: Tool) -> bool:
    """Whether OpenAI takes this function as a strict one: no object of it leaves a key open, or out.

    Anthropic's strict tools may have optional properties, which are a 400 here (OpenAI, structured outputs, supported
    schemas).
    """
    return bool(tool.strict) and _all_is_required(function_schema(tool.parameters))


def _all_is_required(node: Any) -> bool:
    if isinstance(node, list):
        return all(map(_all_is_required, node))
    if not isinstance(node, Mapping):
        return True
    if isinstance(properties := node.get("properties"), Mapping):
        closed = node.get("additionalProperties") is False and set(node.get("required") or ()) == set(properties)
        if not (closed and all(map(_all_is_required, properties.values()))):
            return False
    return all(
        _all_is_required(value) for name, value in node.items() if name not in _NO_SCHEMAS and name != "properties"
    )


def loses_strictness(tools: Iterable[Tool | HostedTool]) -> bool:
    """Whether a function was to be strict, and cannot be here."""
    return any(isinstance(tool, Tool) and tool.strict and not may_be_strict(tool) for tool in tools)


STRICT_CHANGE = Change(
    "tools.strict",
    "dropped",
    "an object in the schema has optional properties, or any",
    "OpenAI, structured outputs, supported schemas",
)


def usage_in(value: Any, prompt: str, answer: str) -> Usage | None:
    """The tokens in a ``usage`` object, whose counts have these names; None where none can be read.

    The count of the prompt includes what was read from and written to the cache, that of the answer what was thought;
    counts that contradict that are capped, as servers are known to send them.
    """
    if type(value) is not dict:
        return None
    asked, produced = _count(value.get(prompt)), _count(value.get(answer))
    if asked is None and produced is None:
        return None
    asked, read, written, thought = asked or 0, 0, 0, 0
    if type(details := value.get(prompt + "_details")) is dict:
        read = min(_count(details.get("cached_tokens")) or 0, asked)
        written = min(_count(details.get("cache_write_tokens")) or 0, asked - read)
    if type(details := value.get(answer + "_details")) is dict:
        thought = _count(details.get("reasoning_tokens")) or 0
    return Usage(
        input_tokens=asked,
        output_tokens=produced or 0,
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=thought,
    )


def _count(value: Any) -> int | None:
    """A number of tokens as a server reports it; None for what is no count."""
    if type(value) is int and 0 <= value <= MOST_TOKENS:
        return value
    if type(value) is int or (type(value) is float and value.is_integer()):
        return min(max(int(value), 0), MOST_TOKENS)
    return None


def read_data_url(url: str) -> tuple[str, str] | None:
    """Media type and base64 text of a ``data:`` URL; None for any other address."""
    if not url.startswith("data:"):
        return None
    head, comma, data = url[5:].partition(",")
    media_type, *parameters = head.split(";")
    if not comma or "base64" not in parameters:
        return None
    return registered(media_type) or "application/octet-stream", data


def file_data(part: DocumentPart) -> dict[str, str]:
    """Name and ``data:`` URL of an inline document, as both APIs take it."""
    media_type = part.media_type or "application/pdf"
    name = part.title or ("document.pdf" if media_type == "application/pdf" else "document")
    return {"filename": name, "file_data": f"data:{media_type};base64,{part.data}"}


def image_url(part: ImagePart) -> str | None:
    """The address of a picture, a ``data:`` URL when it is inline; None where only a file id is known."""
    if part.data is not None:
        return f"data:{part.media_type or 'image/png'};base64,{part.data}"
    return part.url


def marked_failure(text: str) -> str:
    """The text of a tool's failure, which the APIs have no field for: it begins with the word."""
    if text[:5].lower() == "error":
        return text
    return f"Error: {text}" if text else "Error"


def note(part: Part) -> str:
    """The text of a part, or the note that remains of one that cannot be sent; empty for what leaves no trace."""
    match part:
        case TextPart(text):
            return text
        case DocumentPart(text=str(text)):
            return f"[{part.title}]\n{text}" if part.title else text
        case DocumentPart(url=str(url)):
            return f"[document {part.title}: {url}]" if part.title else f"[document: {url}]"
        case DocumentPart():
            return "[document omitted]"
        case ImagePart():
            return "[image omitted]"
        case AudioPart():
            return "[audio omitted]"
        case _:
            return ""
