"""What GLM's chat endpoint refuses, with its own error codes, after its documentation and its SDK."""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import Any

import attrs
from e2e.fakes import chat_rules
from e2e.fakes.vendor import JsonObject, Problem


@attrs.frozen(kw_only=True)
class Model:
    """What a model can do; ``thinks`` tells when: always, unless it is switched off, or when it is switched on."""

    max_tokens: int = 131_072
    thinks: str = "on request"
    efforts: tuple[str, ...] = ()
    sees: bool = False
    schemas: bool = False


_ALL_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

MODELS = {
    "glm-5.3": Model(thinks="always", efforts=("low", "high", "max"), schemas=True),
    "glm-5.3-flash": Model(thinks="always", efforts=("low", "high", "max"), sees=True, schemas=True),
    "glm-5.2": Model(thinks="by default", efforts=_ALL_EFFORTS, schemas=True),
    "glm-5": Model(thinks="by default"),
    "glm-4.7": Model(thinks="by default"),
    "glm-4.6": Model(),
    "glm-4.6v": Model(max_tokens=32_768, sees=True),
    "glm-4.5-air": Model(max_tokens=98_304),
}

_FIELDS: dict[str, type | tuple[type, ...]] = {
    "model": str,
    "messages": list,
    "stream": bool,
    "stream_options": dict,
    "max_tokens": int,
    "temperature": (int, float),
    "top_p": (int, float),
    "do_sample": bool,
    "stop": list,
    "tools": list,
    "tool_choice": (str, dict),
    "tool_stream": bool,
    "thinking": dict,
    "reasoning_effort": str,
    "response_format": dict,
    "seed": int,
    "request_id": str,
    "user_id": str,
    "meta": dict,
    "sensitive_word_check": dict,
    "watermark_enabled": bool,
}
_MESSAGE_FIELDS = {
    "system": {"role", "content"},
    "user": {"role", "content"},
    "assistant": {"role", "content", "reasoning_content", "tool_calls"},
    "tool": {"role", "content", "tool_call_id"},
}
_ILLEGAL = "The messages parameter is illegal. Please check the documentation."


def problems(body: JsonObject, scripted: Set[str]) -> Iterator[Problem]:
    """Everything that is wrong with ``body``; models in ``scripted`` are known too, and are like glm-4.6."""
    typed = list(_types(body))
    yield from typed
    if typed:
        return
    model = MODELS.get(body["model"], Model() if body["model"] in scripted else None)
    if model is None:
        yield Problem("Unknown Model, please check the model code.", where="model", code="1211")
        return
    for rule in (_messages, _sampling, _limits, _tools, _thinking, _format):
        yield from rule(body, model)


def _types(body: JsonObject) -> Iterator[Problem]:
    for name in ("model", "messages"):
        if name not in body:
            yield Problem(f"Missing parameter: {name}", where=name, code="1213")
    for name, value in body.items():
        if name not in _FIELDS:
            yield _parameter(name, "is not part of the API")
        elif not isinstance(value, _FIELDS[name]) or (isinstance(value, bool) and _FIELDS[name] is not bool):
            yield Problem(f"Field {name} has an illegal type", where=name, code="1214")


def _parameter(where: str, why: str) -> Problem:
    return Problem(f"Invalid API parameter, please check the documentation: {where} {why}", where=where, code="1210")


def _messages(body: JsonObject, model: Model) -> Iterator[Problem]:
    messages = body["messages"]
    shape = [
        problem
        for number, message in enumerate(messages)
        for problem in _message(message, f"messages[{number}]", model)
    ]
    yield from shape
    if not any(message.get("role") == "user" for message in messages):
        yield Problem(_ILLEGAL, where="messages", code="1214")
    if not shape:
        for found in (*chat_rules.tool_calls(messages), *chat_rules.pairing(messages)):
            yield Problem(found.message, where=found.where, code="1214")


def _message(message: JsonObject, where: str, model: Model) -> Iterator[Problem]:
    role = message.get("role")
    if role not in _MESSAGE_FIELDS:
        yield Problem(f"Role {role!r} is unknown", where=f"{where}.role", code="1214")
        return
    for name, value in message.items():
        if name not in _MESSAGE_FIELDS[role] and value is not None:
            yield _parameter(f"{where}.{name}", "is not part of the API")
    content = message.get("content")
    if isinstance(content, list) and content and role == "user":
        for part in content:
            yield from _part(part, where, model)
        if not any(part.get("type") == "text" and part["text"] for part in content):
            yield _parameter(where, "has no text beside its pictures")
    elif not isinstance(content, str):
        yield Problem("Content must be text", where=f"{where}.content", code="1214")
    elif not content and not message.get("tool_calls") and role != "tool":
        yield Problem("Content is empty", where=f"{where}.content", code="1214")
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        yield Problem("Missing parameter: tool_call_id", where=where, code="1213")


def _part(part: JsonObject, where: str, model: Model) -> Iterator[Problem]:
    match part.get("type"):
        case "text":
            if not part.get("text"):
                yield _parameter(where, "has an empty text")
        case "image_url" if model.sees:
            for problem in chat_rules.picture(part["image_url"]["url"], where):
                yield _parameter(where, problem.message)
        case kind:
            yield _parameter(where, f"of type {kind} is not for this model")


def _sampling(body: JsonObject, model: Model) -> Iterator[Problem]:
    for name in ("temperature", "top_p"):
        if name in body and not 0 < body[name] <= 1:
            yield _parameter(name, "must be above 0 and at most 1")
    if len(body.get("stop", [""])) != 1 or not all(isinstance(one, str) for one in body.get("stop", [])):
        yield _parameter("stop", "must be a list of one string")


def _limits(body: JsonObject, model: Model) -> Iterator[Problem]:
    if not 1 <= body.get("max_tokens", 1) <= model.max_tokens:
        yield _parameter("max_tokens", f"is not in [1,{model.max_tokens}]")
    if not 6 <= len(body.get("user_id", "unnamed")) <= 128:
        yield _parameter("user_id", "must have 6 to 128 characters")


def _tools(body: JsonObject, model: Model) -> Iterator[Problem]:
    tools = body.get("tools")
    if tools == []:
        yield _parameter("tools", "is empty")
    if "tool_choice" in body and (not tools or body["tool_choice"] != "auto"):
        yield _parameter("tool_choice", "can only be auto, and only with tools")
    if body.get("tool_stream") and not body.get("stream"):
        yield _parameter("tool_stream", "needs stream")
    for number, tool in enumerate(tools or []):
        yield from _tool(tool, f"tools[{number}]")


def _tool(tool: JsonObject, where: str) -> Iterator[Problem]:
    kind = tool.get("type")
    if kind not in ("function", "web_search", "retrieval", "mcp"):
        yield _parameter(where, f"has the unknown type {kind}")
    if kind == "function":
        function: Any = tool.get("function", {})
        if not chat_rules.NAME.fullmatch(function.get("name", "")):
            yield _parameter(f"{where}.function.name", "must match [A-Za-z0-9_-]{1,64}")
        for name in function.keys() - {"name", "description", "parameters"}:
            yield _parameter(f"{where}.function.{name}", "is not part of the API")


def _thinking(body: JsonObject, model: Model) -> Iterator[Problem]:
    thinking = body.get("thinking", {"type": "enabled"})
    if thinking.get("type") not in ("enabled", "disabled") or thinking.keys() - {"type", "clear_thinking"}:
        yield _parameter("thinking", "must be {type: enabled | disabled, clear_thinking?}")
    if thinking.get("type") == "disabled" and model.thinks == "always":
        yield _parameter("thinking", "cannot be disabled for this model")
    effort = body.get("reasoning_effort")
    if effort is not None and effort not in model.efforts:
        yield _parameter("reasoning_effort", f"{effort} is not for this model")


def _format(body: JsonObject, model: Model) -> Iterator[Problem]:
    kind = body.get("response_format", {"type": "text"}).get("type")
    if kind not in ("text", "json_object") and not (kind == "json_schema" and model.schemas):
        yield _parameter("response_format", f"{kind} is not for this model")
