"""What GLM asks of the messages of a request that OpenAI does not."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from aigateway_core.plugin import JsonObject
from aigateway_glm.models import GLMModel

_FILLER = "."
"""Stands where GLM wants a word and there is none."""

_UNKNOWN_TO_GLM = ("name", "refusal", "annotations", "audio", "function_call")
"""Fields of OpenAI's messages that GLM does not have; OpenAI's clients send them back as they got them."""

_LONGEST_ID = 40
"""Of a tool call: OpenAI's limit, and what its copies were written for."""

_NOTES = {"image_url": "[image omitted]", "input_audio": "[audio omitted]", "file": "[document omitted]"}
"""What is left of a part that a model cannot read, by its type."""


def prepare_messages(messages: list[Any], model: GLMModel) -> list[Any]:
    """The messages as GLM takes them. What is no message at all is left for GLM to complain about."""
    if not all(isinstance(message, dict) for message in messages):
        return messages
    prepared = [_content(_with_short_ids(_named(message)), model) for message in messages]
    prepared = _with_one_system_text(prepared)
    if not any(message.get("role") == "user" for message in prepared):
        # Without any, code 1214: "messages parameter is illegal".
        prepared.append({"role": "user", "content": _FILLER})
    return prepared


def add_to_system(messages: list[Any], text: str) -> list[Any]:
    """``text`` as one more leading system message."""
    return [{"role": "system", "content": text}, *messages]


def _named(message: JsonObject) -> JsonObject:
    """With GLM's names: it has no ``developer``, and knows thinking as ``reasoning_content`` alone."""
    renamed = {name: value for name, value in message.items() if name not in _UNKNOWN_TO_GLM}
    if isinstance(refusal := message.get("refusal"), str) and not renamed.get("content"):
        renamed["content"] = refusal
    if renamed.get("role") == "developer":
        renamed["role"] = "system"
    if renamed.get("role") == "assistant" and isinstance(thinking := renamed.pop("reasoning", None), str):
        renamed.setdefault("reasoning_content", thinking)
    return renamed


def _with_short_ids(message: JsonObject) -> JsonObject:
    """An id that is too long gets a short one, always the same, so that calls and results still find each other."""
    if isinstance(message.get("tool_call_id"), str):
        message = {**message, "tool_call_id": _short(message["tool_call_id"])}
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return message
    return {**message, "tool_calls": [_call_with_short_id(call) for call in calls]}


def _call_with_short_id(call: Any) -> Any:
    return {**call, "id": _short(call["id"])} if isinstance(call, dict) and isinstance(call.get("id"), str) else call


def _short(identifier: str) -> str:
    if len(identifier) <= _LONGEST_ID:
        return identifier
    return f"call_{sha256(identifier.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def _content(message: JsonObject, model: GLMModel) -> JsonObject:
    """Content as GLM reads it: parts in user messages alone, everywhere else a text, and never nothing."""
    content = message.get("content")
    if message.get("role") == "assistant" and content in (None, "", []):
        return {**message, "content": "" if message.get("tool_calls") else _FILLER}
    if not isinstance(content, list):
        return message
    if message.get("role") != "user":
        text = _plain([_readable(part, model) for part in content])
        return message if text is None else {**message, "content": text}
    parts = [_readable(part, model) for part in content if not _is_empty(part)]
    if _pictures(parts) and not _words(parts):
        # A picture alone is refused right after tool results (code 1210), and never with a word beside it.
        parts.append({"type": "text", "text": _FILLER})
    return {**message, "content": parts}


def _readable(part: Any, model: GLMModel) -> Any:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind not in _NOTES or (kind == "image_url" and model.images):
        return part
    return {"type": "text", "text": _NOTES[kind]}


def _is_empty(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "text" and part.get("text") == ""


def _pictures(parts: list[Any]) -> bool:
    return any(isinstance(part, dict) and part.get("type") == "image_url" for part in parts)


def _words(parts: list[Any]) -> bool:
    return any(isinstance(part, dict) and str(part.get("text") or "").strip() for part in parts)


def _with_one_system_text(messages: list[JsonObject]) -> list[JsonObject]:
    """Leading system texts in one message; later ones told by the user, as a reminder."""
    begun = next((place for place, message in enumerate(messages) if message.get("role") != "system"), len(messages))
    head, rest = messages[:begun], messages[begun:]
    texts = [_plain(message.get("content")) for message in head]
    if len(head) > 1 and None not in texts:
        every = {name: value for message in reversed(head) for name, value in message.items()}
        head = [{**every, "content": "\n\n".join(text for text in texts if text)}]
    return head + [_reminder(message) if message.get("role") == "system" else message for message in rest]


def _reminder(message: JsonObject) -> JsonObject:
    text = _plain(message.get("content"))
    if text is None:
        return message
    return {**message, "role": "user", "content": f"<system-reminder>\n{text}\n</system-reminder>"}


def _plain(content: Any) -> str | None:
    """Content as one text; None when it holds anything else."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        return None
    texts = [part.get("text") for part in content if part.get("type") == "text"]
    whole = len(texts) == len(content) and all(isinstance(text, str) for text in texts)
    return "\n\n".join(map(str, texts)) if whole else None
