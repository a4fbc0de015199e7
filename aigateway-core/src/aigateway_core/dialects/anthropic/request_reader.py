"""The body of ``POST /v1/messages`` into a canonical request."""

from __future__ import annotations

from typing import Any

from aigateway_core.dialects.anthropic.content_reader import read_conversation, read_system
from aigateway_core.dialects.anthropic.reasoning import read_effort, read_reasoning
from aigateway_core.dialects.anthropic.tools import read_tool_choice, read_tools
from aigateway_core.dialects.anthropic.unread import unread
from aigateway_core.dialects.checks import (
    mapping,
    one_of,
    optional_boolean,
    optional_count,
    optional_integer,
    optional_mapping,
    optional_number,
    optional_string,
    sequence,
    string,
)
from aigateway_core.model import ChatRequest, JsonObject, ResponseFormat

_KNOWN = frozenset(
    {
        "model",
        "max_tokens",
        "messages",
        "system",
        "stream",
        "stop_sequences",
        "temperature",
        "top_p",
        "top_k",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "output_format",
        "metadata",
        "service_tier",
    }
)


def is_extra(name: str) -> bool:
    """Whether a field is none of those that every vendor's model can be asked for."""
    return name not in _KNOWN


def read_request(body: JsonObject, origin: str) -> ChatRequest:
    """The request that ``body`` spells. Raises :class:`InvalidRequestError` with the path of the first thing wrong."""
    config = optional_mapping(body.get("output_config"), "output_config") or {}
    conversation = read_conversation(body.get("messages"), origin)
    choice, parallel = read_tool_choice(body.get("tool_choice"))
    return ChatRequest(
        model=string(body.get("model"), "model"),
        messages=conversation.messages,
        system=read_system(body.get("system")) + conversation.system,
        tools=read_tools(body.get("tools")),
        tool_choice=choice,
        parallel_tool_calls=parallel,
        max_tokens=_max_tokens(body),
        temperature=optional_number(body.get("temperature"), "temperature"),
        top_p=optional_number(body.get("top_p"), "top_p"),
        top_k=_top_k(body["top_k"]) if "top_k" in body else None,
        stop=_stop(body.get("stop_sequences")),
        reasoning=read_reasoning(body, conversation.effort or read_effort(config, "output_config")),
        response_format=_response_format(body, config),
        user=_user(body.get("metadata")),
        service_tier=optional_string(body.get("service_tier"), "service_tier"),
        stream=bool(optional_boolean(body.get("stream"), "stream")),
        extra={key: value for key, value in body.items() if key not in _KNOWN} | unread(body["messages"]),
    )


def _top_k(value: Any) -> int | None:
    """From how many words one is chosen; 0 is from all of them (platform.claude.com, API reference)."""
    return optional_count(optional_integer(value, "top_k") or None, "top_k")


def _max_tokens(body: JsonObject) -> int | None:
    """The limit. Anthropic insists on one; here a missing one is left to the provider that answers.

    0 (fill the cache, answer nothing) means something to Anthropic alone.
    """
    return optional_count(body.get("max_tokens"), "max_tokens")


def _stop(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    return tuple(string(item, "stop_sequences", index) for index, item in enumerate(sequence(value, "stop_sequences")))


def _user(value: Any) -> str | None:
    metadata = optional_mapping(value, "metadata") or {}
    return optional_string(metadata.get("user_id"), "metadata", "user_id")


def _response_format(body: JsonObject, config: JsonObject) -> ResponseFormat | None:
    """``output_config.format`` or, from its beta time, ``output_format``; a schema's title names it (case 42)."""
    path: tuple[str, ...] = ("output_config", "format") if config.get("format") is not None else ("output_format",)
    value = config.get("format") or body.get("output_format")
    if value is None:
        return None
    wanted = mapping(value, *path)
    one_of(wanted.get("type"), ("json_schema",), *path, "type")
    schema = mapping(wanted.get("schema"), *path, "schema")
    title = schema.get("title")
    return ResponseFormat("json_schema", title if isinstance(title, str) else None, schema)
