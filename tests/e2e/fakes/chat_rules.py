"""Rules that hold for the messages of every vendor with an OpenAI-like wire, beyond what types can say."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any

from e2e.fakes.vendor import JsonObject, Problem

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
MAX_ID = 40

_DATA_URL = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,(.+)", re.DOTALL)


def parts(message: JsonObject) -> list[JsonObject]:
    """The content as a list of parts, whatever form it has."""
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return content or []


def text(message: JsonObject) -> str:
    """The text of a message."""
    return "".join(part["text"] for part in parts(message) if part["type"] == "text")


def pairing(messages: list[JsonObject]) -> Iterator[Problem]:
    """Every tool call is answered by exactly one tool message directly after it, and no tool message is left over."""
    open_ids: list[str] = []
    for number, message in enumerate(messages):
        where = f"messages.[{number}].role"
        if message["role"] == "tool":
            if message["tool_call_id"] not in open_ids:
                yield Problem(
                    "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
                    where=where,
                )
            else:
                open_ids.remove(message["tool_call_id"])
            continue
        yield from _unanswered(open_ids, where)
        open_ids = [call["id"] for call in message.get("tool_calls") or []]
    yield from _unanswered(open_ids, f"messages.[{len(messages)}].role")


def tool_calls(messages: list[JsonObject]) -> Iterator[Problem]:
    """Ids and names within their limits, and no id twice in one message."""
    for number, message in enumerate(messages):
        calls = message.get("tool_calls")
        where = f"messages[{number}].tool_calls"
        if calls == []:
            yield Problem(
                "Invalid array: empty array. Expected an array with minimum length 1.",
                where=where,
                code="empty_array",
            )
        ids = [call["id"] for call in calls or []]
        if len(set(ids)) < len(ids):
            yield Problem("Duplicate tool call ids.", where=where, code="invalid_value")
        for position, call in enumerate(calls or []):
            yield from _identifier(call["id"], f"{where}[{position}].id")
            if call["type"] == "function" and not NAME.fullmatch(call["function"]["name"]):
                yield Problem(
                    "Invalid name: string does not match pattern.",
                    where=f"{where}[{position}].function.name",
                    code="invalid_value",
                )
        if message["role"] == "tool":
            yield from _identifier(message["tool_call_id"], f"messages[{number}].tool_call_id")


def content(messages: list[JsonObject]) -> Iterator[Problem]:
    """No empty parts, pictures that a server can open, and content where nothing else is said."""
    for number, message in enumerate(messages):
        where = f"messages[{number}].content"
        value = message.get("content")
        if value == []:
            yield Problem(f"Invalid '{where}': empty array.", where=where, code="empty_array")
        if (
            value is None
            and message["role"] == "assistant"
            and not message.get("tool_calls")
            and not message.get("refusal")
        ):
            yield Problem("Invalid value for 'content': expected a string, got null.", where=where)
        for position, part in enumerate(value if isinstance(value, list) else []):
            yield from _part(part, f"{where}[{position}]")


def schema(node: Any, where: str) -> Iterator[Problem]:
    """Objects of a tool's schema say what they hold; the reports are in the form that OpenAI gives them."""
    if not isinstance(node, dict):
        return
    if node.get("type") == "object" and not isinstance(node.get("properties"), dict):
        yield Problem(
            "Invalid schema for function: object schema missing properties.",
            where=where,
            code="invalid_function_parameters",
        )
    properties = node.get("properties")
    children = dict(properties) if isinstance(properties, dict) else {}
    for name, child in {**children, "items": node.get("items")}.items():
        yield from schema(child, f"{where}.{name}")


def picture(url: str, where: str) -> Iterator[Problem]:
    """A picture comes inline in base64, or from an https address."""
    if url.startswith("https://"):
        return
    inline = _DATA_URL.fullmatch(url)
    if inline is None or not is_base64(inline[1]):
        yield Problem(
            "Invalid image URL: expected https or a base64 data URL of a supported type.",
            where=where,
            code="invalid_image_url",
        )


def is_base64(value: str) -> bool:
    """Whether ``value`` is base64, complete and without line breaks."""
    try:
        return bool(base64.b64decode(value, validate=True))
    except (binascii.Error, ValueError):
        return False


def _unanswered(ids: list[str], where: str) -> Iterator[Problem]:
    if ids:
        message = (
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(ids)}"
        )
        yield Problem(message, where=where)


def _identifier(value: str, where: str) -> Iterator[Problem]:
    if not value:
        yield Problem(f"Invalid '{where}': empty string.", where=where, code="invalid_value")
    if len(value) > MAX_ID:
        message = f"Invalid '{where}': string too long, {len(value)} characters. Expected at most {MAX_ID}."
        yield Problem(message, where=where, code="string_above_max_length")


def _part(part: JsonObject, where: str) -> Iterator[Problem]:
    if part["type"] == "text" and not part["text"]:
        yield Problem(f"Invalid '{where}.text': empty string.", where=where, code="invalid_value")
    if part["type"] == "image_url":
        yield from picture(part["image_url"]["url"], f"{where}.image_url.url")
    if part["type"] == "input_audio" and not is_base64(part["input_audio"]["data"]):
        yield Problem("Invalid base64.", where=where, code="invalid_base64")
