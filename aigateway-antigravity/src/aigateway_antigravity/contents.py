"""``contents`` of Gemini's shape, as the models behind this wire take them.

What tools answered and were asked is never touched here: models copy what they see in their own history.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aigateway_antigravity.fields import renamed
from aigateway_antigravity.models import Family
from aigateway_antigravity.signatures import is_claudes
from aigateway_core.plugin import JsonObject

SENTINELS = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")
"""What stands for a signature that nobody has; Google knows both."""

_PACKED_SENTINELS = tuple(b64encode(word.encode()).decode().rstrip("=") for word in SENTINELS)
"""The same from SDKs that read signatures as bytes and write them in base64."""

_PLACEHOLDER = "."
"""What the user says where the API wants the user to begin: no text at all would be a 400 with Claude."""

_FIELDS = (
    *("thoughtSignature", "functionCall", "functionResponse", "inlineData", "fileData", "executableCode"),
    *("codeExecutionResult", "videoMetadata"),
)
_MEDIA = ("mimeType", "displayName", "fileUri")
_NOT_SENT = ("cache_control", "cacheControl")


def fitting_contents(
    contents: Sequence[Any], family: Family, *, signed: bool, thinking: bool = True
) -> list[JsonObject]:
    """The contents, without what this wire refuses.

    ``signed``: the first call of each of the model's turns needs a signature. ``thinking`` false: without thoughts, and
    without signatures.
    """
    turns = [_turn(content, family, thinking=thinking) for content in contents if isinstance(content, Mapping)]
    merged: list[JsonObject] = []
    for turn in turns:
        if not turn["parts"]:
            continue
        if merged and merged[-1]["role"] == turn["role"] == "model":
            merged[-1]["parts"] += turn["parts"]
        else:
            merged.append(turn)
    while merged and merged[-1]["role"] == "model":
        merged.pop()
    if not merged or merged[0]["role"] == "model":
        merged.insert(0, {"role": "user", "parts": [{"text": _PLACEHOLDER}]})
    for turn in merged:
        if turn["role"] == "model" and signed:
            _sign_first_call(turn["parts"])
    return merged


def _turn(content: Mapping[str, Any], family: Family, *, thinking: bool) -> JsonObject:
    role = content.get("role") or "user"
    given = content.get("parts")
    listed = [given] if isinstance(given, Mapping) else given if isinstance(given, list) else []
    parts = (_part(part, family) for part in listed if isinstance(part, Mapping))
    if role != "model":
        parts = (_unsigned(part) for part in parts)
    elif not thinking:
        parts = (_unsigned(part) for part in parts if not part.get("thought"))
    others = {name: value for name, value in content.items() if name not in ("parts", *_NOT_SENT)}
    return {**others, "role": role, "parts": [part for part in parts if _says_something(part, family)]}


def _part(given: Mapping[str, Any], family: Family) -> JsonObject:
    part = {name: value for name, value in renamed(given, _FIELDS).items() if name not in _NOT_SENT}
    for name in ("inlineData", "fileData"):
        if isinstance(media := part.get(name), Mapping):
            part[name] = renamed(media, _MEDIA)
    call = part.get("functionCall")
    if isinstance(call, Mapping):
        call = renamed(call, ("thoughtSignature",))
        inner = call.pop("thoughtSignature", None)
        part["functionCall"] = call
        if inner is not None:
            part.setdefault("thoughtSignature", inner)
    if family == "gemini" and not _is_geminis(part.get("thoughtSignature")):
        part.pop("thoughtSignature", None)
    return part


def _unsigned(part: JsonObject) -> JsonObject:
    return {name: value for name, value in part.items() if name != "thoughtSignature"}


def _is_geminis(signature: Any) -> bool:
    """Whether this may be a signature of Gemini's, and not one that stands for none."""
    if not isinstance(signature, str) or not signature or is_claudes(signature):
        return False
    return signature not in SENTINELS and signature.rstrip("=") not in _PACKED_SENTINELS


def _says_something(part: JsonObject, family: Family) -> bool:
    """Whether this is more than an empty text, which is a 400; one of Gemini's may be there for its signature."""
    if part.keys() - {"text", "thought", "thoughtSignature"}:
        return True
    text = part.get("text")
    if family == "claude" and isinstance(text, str):
        # Anthropic: text must be more than white space.
        return bool(text.strip())
    return bool(text) or bool(part.get("thoughtSignature"))


def _sign_first_call(parts: Iterable[JsonObject]) -> None:
    first = next((part for part in parts if "functionCall" in part), None)
    if first is not None:
        first.setdefault("thoughtSignature", SENTINELS[0])


# -- of translated requests alone


def as_answered(contents: Iterable[JsonObject]) -> None:
    """Name what a tool answered ``result``, as everybody does who speaks this protocol."""
    for content in contents:
        for part in content["parts"]:
            response = part.get("functionResponse", {}).get("response")
            if isinstance(response, dict) and response.keys() == {"output"}:
                response["result"] = response.pop("output")


def alternating(contents: Iterable[JsonObject]) -> list[JsonObject]:
    """Neighbouring turns of one side as one: what a tool answered first, then what the user says to it."""
    merged: list[JsonObject] = []
    for content in contents:
        if merged and merged[-1]["role"] == content["role"]:
            merged[-1] = {**content, "parts": [*merged[-1]["parts"], *content["parts"]]}
        else:
            merged.append(content)
    return merged


def in_order(parts: Iterable[JsonObject]) -> list[JsonObject]:
    """A turn of Claude's in the order that it insists on: thoughts, what it said, its calls."""
    return sorted(parts, key=lambda part: 0 if part.get("thought") else 2 if "functionCall" in part else 1)
