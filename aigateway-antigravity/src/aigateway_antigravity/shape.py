"""A body of Gemini's shape into the inner ``request`` of the envelope: the last passes before it is sent.

Both kinds of bodies come by here: those that the core's dialect wrote, and those of Gemini's own clients, which mean
what they say and lose nothing but what this wire refuses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aigateway_antigravity.contents import fitting_contents
from aigateway_antigravity.declarations import declared
from aigateway_antigravity.fields import renamed
from aigateway_antigravity.generation import generation_config
from aigateway_antigravity.models import Asked
from aigateway_antigravity.profiles import profile_of
from aigateway_core.plugin import JsonObject

_FIELDS = (
    *("systemInstruction", "toolConfig", "generationConfig", "safetySettings", "cachedContent", "sessionId"),
    "contents",
)
_NOT_SENT = ("model", "stream", "safetySettings", "cache_control", "cacheControl", "store")
"""``safetySettings`` are Cloud Code's own; the others belong elsewhere, or to other vendors."""


def shaped(body: JsonObject, asked: Asked, *, thinking: bool = True) -> JsonObject:
    """The inner ``request``. ``thinking`` false: no thoughts in it, and none asked for."""
    request = {name: value for name, value in renamed(body, _FIELDS).items() if name not in _NOT_SENT}
    family = asked.model.family
    given = request.get("contents")
    listed = given if isinstance(given, list) else [given]
    signed = profile_of(asked.model).rule(asked.model.id).signed_calls
    request["contents"] = fitting_contents(listed, family, signed=signed, thinking=thinking)
    passes: dict[str, Any] = {
        "systemInstruction": _system(request.pop("systemInstruction", None)),
        "tools": _tools(request.pop("tools", None), asked),
        "generationConfig": generation_config(
            _mapping(request.pop("generationConfig", None)), asked, thinking=thinking
        ),
    }
    passes["toolConfig"] = _tool_config(request.pop("toolConfig", None), passes["tools"], asked)
    return request | {name: value for name, value in passes.items() if value}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _system(given: Any) -> JsonObject | None:
    """The instruction as an object with parts, never as text alone; texts that say nothing are left out."""
    if isinstance(given, str):
        given = {"parts": [{"text": given}]}
    parts = _mapping(given).get("parts")
    listed: Sequence[Any] = [parts] if isinstance(parts, Mapping) else parts if isinstance(parts, list) else []
    kept = [
        {name: value for name, value in part.items() if name not in _NOT_SENT}
        for part in listed
        if isinstance(part, Mapping) and not _is_blank(part.get("text"))
    ]
    return {**given, "role": "user", "parts": kept} if kept else None


def _is_blank(text: Any) -> bool:
    return isinstance(text, str) and not text.strip()


def _tools(given: Any, asked: Asked) -> list[JsonObject]:
    """The tools; a search is a 400 beside functions, which weigh more: they are what the client can run."""
    tools = declared(given, claude=asked.model.family == "claude") if isinstance(given, list) and given else []
    return [tool for tool in tools if "googleSearch" not in tool] if _has_functions(tools) else tools


def _has_functions(tools: Sequence[JsonObject]) -> bool:
    return any("functionDeclarations" in entry for entry in tools)


def _tool_config(given: Any, tools: Sequence[JsonObject], asked: Asked) -> Any:
    """The choice among the functions. Claude's arguments are held to their schemas in this one mode alone."""
    if asked.model.family == "claude":
        return {"functionCallingConfig": {"mode": "VALIDATED"}} if _has_functions(tools) else None
    if not isinstance(given, Mapping):
        return given
    config = renamed(given, ("functionCallingConfig", "retrievalConfig"))
    calling = config.get("functionCallingConfig")
    if isinstance(calling, Mapping):
        config["functionCallingConfig"] = renamed(calling, ("allowedFunctionNames",))
    return config
