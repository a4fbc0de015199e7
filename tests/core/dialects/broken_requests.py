"""Whole requests with one thing wrong, everywhere one thing can be wrong, and where an error says that it is."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from core.dialects.gemini_samples import GENERATE_REQUEST
from core.dialects.response_samples import RESPONSES_REQUEST
from core.dialects.samples import CHAT_REQUEST, MESSAGES_REQUEST

from aigateway_core.dialects.gemini.keys import spellings
from aigateway_core.model import JsonObject

Place: TypeAlias = tuple[str | int, ...]

_SAMPLING: JsonObject = {"temperature": 0.5, "top_p": 0.5, "service_tier": "auto"}
_PICTURE = {"type": "base64", "media_type": "image/png", "data": "aW1n"}
_PDF = {"type": "base64", "media_type": "application/pdf", "data": "cGRm"}
_RESULT: JsonObject = {
    "type": "tool_result",
    "tool_use_id": "toolu_2",
    "content": [
        {"type": "image", "source": _PICTURE},
        {"type": "document", "source": _PDF, "context": "c", "citations": {"enabled": True}},
        {"type": "tool_reference", "tool_name": "w"},
    ],
}
_CODE = [
    {"executableCode": {"language": "PYTHON", "code": "1"}},
    {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
    {"functionCall": {"id": "c3", "name": "w", "args": {"a": [{"b": None}]}}},
]
_SEEN = {"inlineData": {"mimeType": "image/png", "data": "aW1n", "displayName": "d"}}

FULL: dict[str, JsonObject] = {
    "anthropic": {
        **MESSAGES_REQUEST,
        **_SAMPLING,
        "messages": [
            *MESSAGES_REQUEST["messages"],
            {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_2", "name": "w", "input": {}}]},
            {"role": "user", "content": [_RESULT]},
        ],
        "inference_geo": "eu",
    },
    "openai-chat": {
        **CHAT_REQUEST,
        **_SAMPLING,
        "max_tokens": 9,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.1,
        "seed": 1,
        "n": 1,
        "logprobs": False,
        "parallel_tool_calls": True,
        "verbosity": "low",
        "store": False,
        "safety_identifier": "u",
        "prompt_cache_key": "k",
    },
    "openai-responses": {
        **RESPONSES_REQUEST,
        **_SAMPLING,
        "truncation": "disabled",
        "background": False,
        "stream_options": {"include_obfuscation": False},
        "max_tool_calls": 3,
        "safety_identifier": "u",
        "prompt_cache_key": "k",
    },
    "gemini": {
        **GENERATE_REQUEST,
        "contents": [
            *GENERATE_REQUEST["contents"],
            {"role": "model", "parts": _CODE},
            {
                "role": "user",
                "parts": [{"functionResponse": {"id": "c3", "name": "w", "response": {"x": 1}, "parts": [_SEEN]}}],
            },
        ],
        "generationConfig": {
            **GENERATE_REQUEST["generationConfig"],
            "topP": 0.5,
            "seed": 1,
            "candidateCount": 1,
            "presencePenalty": 0.1,
            "frequencyPenalty": 0.1,
            "responseLogprobs": False,
        },
        "labels": {"a": "b"},
    },
}
"""A good request in each dialect, with something of everything."""

WRONG: dict[str, Any] = {
    "null": None,
    "a number": 7,
    "a fraction": -0.5,
    "a huge number": 1e308,
    "a large integer": 2**63 - 1,
    "the largest integer": 2**64 - 1,
    "a string": "x",
    "nothing": "",
    "a list": ["x"],
    "an empty list": [],
    "a list of lists": [[1]],
    "an object": {"x": 1},
    "an empty object": {},
    "a boolean": True,
}
"""What is put into the place of each value in turn."""

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def places(node: Any, at: Place = ()) -> Iterator[Place]:
    """The way to every value in ``node``, but for ``node`` itself."""
    keys: Any = node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in keys:
        yield (*at, key)
        yield from places(node[key], (*at, key))


def replaced(body: JsonObject, place: Place, value: Any) -> JsonObject:
    """``body`` with ``value`` at ``place``."""
    changed = copy.deepcopy(body)
    holder = _at(changed, place[:-1])
    holder[place[-1]] = copy.deepcopy(value)
    return changed


def without(body: JsonObject, place: Place) -> JsonObject:
    """``body`` without what is at ``place``."""
    changed = copy.deepcopy(body)
    del _at(changed, place[:-1])[place[-1]]
    return changed


def steps(path: str) -> Place:
    """``messages[2].role`` as the steps that it names."""
    return tuple(int(found[2]) if found[2] else found[1] for found in _STEP.finditer(path))


def leads_somewhere(body: JsonObject, place: Place) -> bool:
    """Whether there is something at ``place``, or else an object that has no such field."""
    node: Any = body
    for number, step in enumerate(place):
        named = _named(node, step)
        if named is None:
            return isinstance(node, dict) and isinstance(step, str) and number == len(place) - 1
        node = node[named]
    return True


def is_about(place: Place, changed: Place) -> bool:
    """Whether ``place`` is where the change was, around it or in it, or is one of its neighbours."""
    alike = sum(1 for _ in _common(place, changed))
    return alike >= min(len(place), len(changed) - 1)


def _common(one: Place, other: Place) -> Iterator[str | int]:
    for left, right in zip(one, other, strict=False):
        if left != right and not (isinstance(left, str) and isinstance(right, str) and right in spellings(left)):
            return
        yield left


def _named(node: Any, step: str | int) -> str | int | None:
    """The step as it is spelt in ``node``: Gemini's names have two spellings."""
    if isinstance(step, int):
        return step if isinstance(node, list) and step < len(node) else None
    names = (step, *spellings(step))
    return next((name for name in names if isinstance(node, dict) and name in node), None)


def _at(node: Any, place: Place) -> Any:
    for step in place:
        node = node[step]
    return node
