"""``generationConfig``: how much a model thinks and says, and in which form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs

from aigateway_antigravity.fields import renamed
from aigateway_antigravity.models import Asked, Model
from aigateway_antigravity.schemas import response_schema
from aigateway_core.plugin import ChatRequest, Effort, JsonObject, Reasoning

CLAUDE_MOST_OUTPUT = 64_000
_LEAST_BUDGET = 1024
_ROOM_FOR_ANSWER = 1024
"""What is left for the answer where the budget is the gateway's own idea."""

_LEAST_TOP_P = 0.95
"""Under thinking Claude takes ``top_p`` from here on, and neither ``temperature`` nor ``top_k``."""

_BUDGETS: Mapping[Effort, int] = {
    "minimal": 1024,
    "low": 1024,
    "medium": 8192,
    "high": 24_576,
    "xhigh": 32_768,
    "max": 64_000,
}
"""What an effort word is worth to Claude, in tokens."""

_THOUGHT: Mapping[Effort, int] = {
    "none": 0,
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 24_576,
    "xhigh": 32_768,
    "max": 32_768,
}
"""How many tokens Gemini may spend on thinking alone; they count towards its output limit."""

_UNSAID: Effort = "medium"

_FIELDS = (
    *("maxOutputTokens", "temperature", "topP", "topK", "stopSequences", "seed", "candidateCount", "responseMimeType"),
    *("responseSchema", "responseJsonSchema", "responseModalities", "imageConfig", "thinkingConfig"),
    *("presencePenalty", "frequencyPenalty", "responseLogprobs", "mediaResolution", "speechConfig"),
)
_THINKING_FIELDS = ("includeThoughts", "thinkingBudget", "thinkingLevel")

_RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9")
_SIZE = re.compile(r"([0-9]{1,5})[xX]([0-9]{1,5})")


# -- of a canonical request


def planned(request: ChatRequest, asked: Asked, *, thinking: bool = True) -> ChatRequest:
    """The request with limits and sampling that this model takes; what is left out of it is None.

    ``thinking`` is false where the conversation does not allow it.
    """
    request = attrs.evolve(request, presence_penalty=None, frequency_penalty=None, reasoning=_wish(request, asked))
    if asked.model.family == "claude":
        return _claude(request, asked.model, thinking=thinking)
    if asked.model.max_output_tokens is None:
        # More than a model can write is a 400, and nobody knows how much that is.
        request = attrs.evolve(request, max_tokens=None)
    if asked.model.family == "gpt-oss":
        return attrs.evolve(request, reasoning=None, seed=None)
    return _gemini(request, asked.model)


def _wish(request: ChatRequest, asked: Asked) -> Reasoning | None:
    """How much to think: the model's name says it more clearly than a client's setting does."""
    shown = request.reasoning is None or request.reasoning.summary
    if asked.budget is not None or asked.effort is not None:
        return Reasoning(asked.effort, asked.budget, shown)
    return request.reasoning


def _claude(request: ChatRequest, model: Model, *, thinking: bool) -> ChatRequest:
    most = model.max_output_tokens or CLAUDE_MOST_OUTPUT
    limit = None if request.max_tokens is None else min(request.max_tokens, most)
    budget = _claudes_budget(request.reasoning, limit or most, model) if thinking else None
    request = attrs.evolve(request, seed=None, max_tokens=limit)
    if budget is None or request.reasoning is None:
        top_p = request.top_p if request.temperature is None else None
        temperature = None if request.temperature is None else min(request.temperature, 1)
        return attrs.evolve(request, reasoning=None, temperature=temperature, top_p=top_p)
    top_p = request.top_p if request.top_p is not None and request.top_p >= _LEAST_TOP_P else None
    wish = Reasoning(budget=budget, summary=request.reasoning.summary)
    return attrs.evolve(request, max_tokens=limit or most, reasoning=wish, temperature=None, top_k=None, top_p=top_p)


def _claudes_budget(wish: Reasoning | None, limit: int, model: Model) -> int | None:
    """Tokens to think with, fewer than ``limit``; None for no thinking, as where too few are left for it."""
    if wish is None or wish.effort == "none" or model.thinking == "none":
        return None
    least, most = model.budgets
    given = wish.budget if wish.effort is None else None
    budget = _BUDGETS[wish.effort or "high"] if given is None else given
    room = _ROOM_FOR_ANSWER if given is None else 1
    budget = min(max(budget, least), most, limit - room)
    return budget if budget >= _LEAST_BUDGET else None


def _gemini(request: ChatRequest, model: Model) -> ChatRequest:
    if model.thinking == "none" or model.makes_images:
        return attrs.evolve(request, reasoning=None)
    if request.max_tokens is not None and request.max_tokens <= _thinks(request.reasoning, model):
        # Its thinking alone would use the limit up, and the answer would be empty.
        return attrs.evolve(request, max_tokens=None)
    return request


def _thinks(wish: Reasoning | None, model: Model) -> int:
    """Tokens that the model may think for, by this wish."""
    if wish is None or (wish.effort is None and wish.budget is None):
        return _THOUGHT[_UNSAID]
    if wish.effort is None:
        return wish.budget or 0
    return _THOUGHT["minimal" if wish.effort == "none" and not model.stoppable else wish.effort]


def told(wish: Reasoning | None, model: Model) -> JsonObject:
    """What the core's dialect leaves unsaid of thinking, for Gemini's models.

    A client that wants thinking and does not say how much leaves that to the model; one that wants none gets none where
    it can be switched off, though the model is one that is told levels.
    """
    if wish is None or model.family != "gemini" or model.thinking == "none" or model.makes_images:
        return {}
    if wish.effort is None and wish.budget is None:
        return {"includeThoughts": wish.summary, "thinkingBudget": -1}
    if wish.effort == "none" and model.stoppable:
        return {"includeThoughts": False, "thinkingBudget": 0}
    return {}


def image_config(size: Any) -> JsonObject | None:
    """``imageConfig`` for a picture of ``1024x1536``: the nearest ratio and size there is; None for no such size."""
    found = _SIZE.fullmatch(size) if isinstance(size, str) else None
    if found is None:
        return None
    width, height = int(found[1]), int(found[2])
    if not width or not height:
        return None
    ratio = min(_RATIOS, key=lambda known: abs(_quotient(known) - width / height))
    longest = max(width, height)
    return {"aspectRatio": ratio, "imageSize": "1K" if longest <= 1280 else "2K" if longest <= 2560 else "4K"}


def _quotient(ratio: str) -> float:
    width, height = map(int, ratio.split(":"))
    return width / height


# -- of a body


def generation_config(given: Mapping[str, Any], asked: Asked, *, thinking: bool = True) -> JsonObject:
    """The config as this model takes it, from a translated request or from a client of Gemini's own API."""
    model = asked.model
    config = renamed(given, _FIELDS)
    wish = config.pop("thinkingConfig", None)
    if thinking and isinstance(wish, dict) and (kept := _thinking_config(wish, model)):
        config["thinkingConfig"] = kept
    most = model.max_output_tokens or (CLAUDE_MOST_OUTPUT if model.family == "claude" else None)
    limit = config.get("maxOutputTokens")
    if most is None:
        config.pop("maxOutputTokens", None)
    elif type(limit) is int and limit > most:
        config["maxOutputTokens"] = most
    if model.makes_images:
        config.setdefault("candidateCount", 1)
    return _with_schema(config)


def _thinking_config(wish: JsonObject, model: Model) -> JsonObject:
    """One of level and budget: where both are there, the one that the model is told. Nothing if it cannot think."""
    if model.thinking == "none" or model.makes_images:
        return {}
    config = {name: value for name, value in renamed(wish, _THINKING_FIELDS).items() if value is not None}
    if "thinkingLevel" in config and "thinkingBudget" in config:
        del config["thinkingBudget" if model.thinking == "level" else "thinkingLevel"]
    level = config.get("thinkingLevel")
    if isinstance(level, str):
        config["thinkingLevel"] = level.strip().lower()
    if model.family == "claude" and "thinkingBudget" not in config:
        # Without a budget Claude does not think, but writes about it.
        return {}
    return config


def _with_schema(config: JsonObject) -> JsonObject:
    classic, schema = config.pop("responseSchema", None), config.pop("responseJsonSchema", None)
    if isinstance(schema := classic if schema is None else schema, Mapping):
        config["responseSchema"] = response_schema(schema)
    return config
