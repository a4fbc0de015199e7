"""How much a model shall think: ``thinkingConfig``, read and written."""

from __future__ import annotations

from typing import Any, cast

from aigateway_core.dialects.checks import (
    one_of,
    optional_boolean,
    optional_integer,
    optional_mapping,
    path_text,
)
from aigateway_core.dialects.gemini.keys import field
from aigateway_core.dialects.gemini.profile import ModelRule
from aigateway_core.errors import InvalidRequestError
from aigateway_core.model import Effort, JsonObject, Reasoning

_PATH = ("generationConfig", "thinkingConfig")
_DYNAMIC = -1
_MOST_TOKENS = 2**31 - 1
_UNSAID = "thinking_level_unspecified"
_LEVELS = ("minimal", "low", "medium", "high", "xhigh", _UNSAID)

_BUDGETS: dict[Effort, int] = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 24576,
    "xhigh": 32768,
    "max": 32768,
}


def read_reasoning(value: Any) -> Reasoning | None:
    """The wish in a ``thinkingConfig``. Thoughts are shown to who asks for them, and to nobody else."""
    config = optional_mapping(value, *_PATH)
    if config is None:
        return None
    shown = bool(optional_boolean(field(config, "includeThoughts"), *_PATH, "includeThoughts"))
    budget = optional_integer(field(config, "thinkingBudget"), *_PATH, "thinkingBudget")
    if (effort := _level(field(config, "thinkingLevel"))) is not None:
        return Reasoning(effort, summary=shown)
    if budget == 0:
        return Reasoning("none", summary=shown)
    if budget is not None and not _DYNAMIC <= budget <= _MOST_TOKENS:
        raise InvalidRequestError(
            f"expected an integer from {_DYNAMIC} to {_MOST_TOKENS}", path=path_text((*_PATH, "thinkingBudget"))
        )
    return Reasoning(budget=None if budget == _DYNAMIC else budget, summary=shown)


def _level(value: Any) -> Effort | None:
    if value is None:
        return None
    word = value.lower() if type(value) is str else value
    level = one_of(word, _LEVELS, *_PATH, "thinkingLevel")
    return None if level == _UNSAID else cast("Effort", level)


def write_reasoning(wish: Reasoning | None, rule: ModelRule) -> JsonObject | None:
    """The ``thinkingConfig`` for a model: a level or a budget, whichever it understands, never both."""
    if wish is None or rule.thinking == "none":
        return None
    config: JsonObject = {"includeThoughts": wish.summary and wish.effort != "none"}
    if rule.thinking == "level":
        effort = wish.effort or (None if wish.budget is None else _effort_of(wish.budget))
        if effort is not None:
            config["thinkingLevel"] = rule.nearest_level(effort).upper()
    elif (budget := _budget(wish, rule)) is not None:
        config["thinkingBudget"] = budget
    return config


def _effort_of(budget: int) -> Effort:
    """The effort word that a budget of thinking tokens amounts to (translation table, 1.4)."""
    return next((effort for effort, most in _BUDGETS.items() if budget <= most), "xhigh")


def _budget(wish: Reasoning, rule: ModelRule) -> int | None:
    least, most = rule.budgets
    if wish.effort == "none":
        return 0 if rule.stoppable else least
    budget = wish.budget if wish.effort is None else _BUDGETS[wish.effort]
    return None if budget is None else min(max(budget, least), most)
