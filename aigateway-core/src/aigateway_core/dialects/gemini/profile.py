"""What differs between vendors that speak ``generateContent``, and between their models: facts, as data.

Sources: ai.google.dev, pages "thinking", "thought signatures", "function calling", "structured output" and the models'
own pages.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal

import attrs

from aigateway_core.model import Effort

_ORDER: tuple[Effort, ...] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


@attrs.frozen(kw_only=True)
class ModelRule:
    """What the models take whose names fit ``pattern``, a shell pattern.

    ``thinking``: ``level`` models are told one of ``levels``, ``budget`` models a number of tokens within ``budgets``
    (and 0 where ``stoppable``), ``none`` cannot think. ``signed_calls``: a turn of the model whose first function call
    bears no signature is a 400. ``media_in_results``: a function response may hold pictures and documents.
    ``json_with_tools``: functions and JSON as output may be asked for in one request.
    """

    pattern: str
    thinking: Literal["level", "budget", "none"] = "level"
    levels: tuple[Effort, ...] = ("minimal", "low", "medium", "high")
    budgets: tuple[int, int] = (1, 24576)
    stoppable: bool = True
    signed_calls: bool = True
    media_in_results: bool = True
    json_with_tools: bool = True

    def nearest_level(self, effort: Effort) -> Effort:
        """``effort``, or the strongest known one below it, or the weakest."""
        below = [known for known in self.levels if _ORDER.index(known) <= _ORDER.index(effort)]
        return below[-1] if below else self.levels[0]


def _older(pattern: str, thinking: Literal["budget", "none"], budgets: tuple[int, int] = (1, 24576)) -> ModelRule:
    return ModelRule(
        pattern=pattern,
        thinking=thinking,
        budgets=budgets,
        stoppable="pro" not in pattern,
        signed_calls=False,
        media_in_results=False,
        json_with_tools=False,
    )


GEMINI_MODELS = (
    _older("gemma*", "none"),
    _older("gemini-1*", "none"),
    _older("gemini-2.0*", "none"),
    _older("gemini-2.5-pro*", "budget", (128, 32768)),
    _older("gemini-2.5-flash-lite*", "budget", (512, 24576)),
    _older("gemini-2*", "budget"),
    ModelRule(pattern="gemini-3-pro*", levels=("low", "high")),
    ModelRule(pattern="gemini-3*-pro*", levels=("low", "medium", "high")),
    ModelRule(pattern="*"),
)
"""The first rule that fits counts; a model newer than this table is treated like the newest known one."""

SKIP_SIGNATURE = "skip_thought_signature_validator"
"""What a call bears that another vendor made, or whose signature was lost (ai.google.dev, "thought signatures")."""

SCHEMA_KEYWORDS = frozenset(
    {
        *("type", "format", "title", "description", "nullable", "enum", "items", "properties", "required", "anyOf"),
        *("minItems", "maxItems", "minProperties", "maxProperties", "minLength", "maxLength", "pattern"),
        *("minimum", "maximum"),
    }
)
"""The keywords of the classic ``Schema`` message that say something about values (ai.google.dev, API reference)."""


@attrs.frozen(kw_only=True)
class GeminiProfile:
    """The vendor's facts; the defaults are those of the Gemini API itself."""

    origin: str = "gemini"
    """Names the maker of thought signatures: only parts of that origin are sent back to it."""

    json_schemas: bool = True
    """Whether schemas go as JSON Schema (``parametersJsonSchema``, ``responseJsonSchema``) or as the classic
    ``parameters`` and ``responseSchema``, which are a subset of OpenAPI's."""

    schema_keywords: frozenset[str] = SCHEMA_KEYWORDS
    """What a classic schema may hold; every other keyword is a 400. Without ``anyOf`` the best branch is taken."""

    skip_signature: str | None = SKIP_SIGNATURE
    """Stands on the first call of a turn that has no signature of this maker. None: such calls go bare."""

    late_system: Literal["reminder", "instruction"] = "reminder"
    """A system text in mid-conversation: user text in ``<system-reminder>`` tags at its place, or one more part of
    ``systemInstruction``, which changes the beginning of the prompt and so spoils the vendor's cache."""

    max_stop: int = 5
    """How many stop texts are taken; the rest is left out."""

    models: tuple[ModelRule, ...] = GEMINI_MODELS

    def rule(self, model: str) -> ModelRule:
        """The rule for this model."""
        name = model.rpartition("/")[2]
        return next((rule for rule in self.models if fnmatchcase(name, rule.pattern)), GEMINI_MODELS[-1])


def resource_name(model: str) -> str:
    """The name of a model as this API has it: ``gemini-3-pro`` is short for ``models/gemini-3-pro``."""
    return model if model.startswith(("models/", "tunedModels/")) else f"models/{model}"
