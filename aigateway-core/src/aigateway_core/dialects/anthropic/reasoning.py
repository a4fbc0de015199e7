"""How much a model shall think: ``thinking`` and ``output_config.effort``, read and written."""

from __future__ import annotations

from typing import cast, get_args

import attrs

from aigateway_core.dialects.anthropic.profile import AnthropicProfile, ModelRule
from aigateway_core.dialects.checks import mapping, one_of, optional_count, optional_string, string
from aigateway_core.model import ChatRequest, Effort, JsonObject, Reasoning

LEAST_BUDGET = 1024
"""``thinking.budget_tokens`` below this is a 400 (platform.claude.com, "extended thinking")."""

_ROOM_FOR_ANSWER = 1024
"""What is left for the answer when a budget is made from an effort word under a tight ``max_tokens``."""

_EFFORTS: tuple[str, ...] = get_args(Effort)

_BUDGETS: dict[Effort, int] = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 24576,
    "xhigh": 32000,
    "max": 32000,
}


def effort_of(budget: int) -> Effort:
    """The effort word that a budget of thinking tokens amounts to (translation table, 1.4)."""
    for effort in ("minimal", "low", "medium", "high"):
        if budget <= _BUDGETS[effort]:
            return effort
    return "xhigh"


def read_effort(config: JsonObject, *path: str | int) -> Effort | None:
    """The ``effort`` of an ``output_config``."""
    value = config.get("effort")
    return None if value is None else cast("Effort", one_of(value, _EFFORTS, *path, "effort"))


def read_reasoning(body: JsonObject, effort: Effort | None) -> Reasoning | None:
    """What ``thinking`` and the effort word say together; an unknown kind of thinking leaves it to the server."""
    if body.get("thinking") is None:
        return None if effort is None else Reasoning(effort)
    thinking = mapping(body["thinking"], "thinking")
    kind = string(thinking.get("type"), "thinking", "type")
    shown = optional_string(thinking.get("display"), "thinking", "display") != "omitted"
    if kind == "disabled":
        return Reasoning("none", summary=shown)
    budget = optional_count(thinking.get("budget_tokens"), "thinking", "budget_tokens") if kind == "enabled" else None
    return Reasoning(effort, budget, shown)


@attrs.frozen
class Thinking:
    """What a request body says about thinking: the field, the effort word, and the output limit that fits them."""

    config: JsonObject | None
    effort: Effort | None
    max_tokens: int

    @property
    def manual(self) -> bool:
        """Whether thinking is on with a budget, under which this API has further rules."""
        return self.config is not None and self.config["type"] == "enabled"

    @property
    def on(self) -> bool:
        """Whether the model is asked to think, in whatever way."""
        return self.config is not None and self.config["type"] != "disabled"

    def off(self) -> Thinking:
        """The same without thinking."""
        return attrs.evolve(self, config={"type": "disabled"})


def plan_thinking(request: ChatRequest, rule: ModelRule, profile: AnthropicProfile) -> Thinking:
    """Effort or budget, whichever this model understands; a field it does not know is left out."""
    limit = request.max_tokens or profile.default_max_tokens
    wish = request.reasoning
    if wish is None or rule.thinking == "none":
        return Thinking(None, None, limit)
    if wish.effort == "none":
        return Thinking({"type": "disabled"}, None, limit)
    if rule.thinking == "adaptive":
        # Newer models keep their thinking to themselves unless asked (migration guide to Claude Opus 5).
        config = {"type": "adaptive", "display": "summarized" if wish.summary else "omitted"}
        effort = wish.effort or (None if wish.budget is None else effort_of(wish.budget))
        return Thinking(config, None if effort is None else rule.nearest_effort(effort), limit)
    return _with_budget(wish, request.max_tokens, profile.default_max_tokens)


def _with_budget(wish: Reasoning, max_tokens: int | None, default: int) -> Thinking:
    """Thinking tokens count towards the limit, so that a limit of the gateway's own is added to the budget."""
    budget = wish.budget if wish.effort is None else _BUDGETS[wish.effort]
    if budget is None:
        return Thinking(None, None, max_tokens or default)
    if max_tokens is not None:
        budget = min(budget, max_tokens - (1 if wish.effort is None else _ROOM_FOR_ANSWER))
    if budget < LEAST_BUDGET:
        return Thinking({"type": "disabled"}, None, max_tokens or default)
    config: JsonObject = {"type": "enabled", "budget_tokens": budget}
    if not wish.summary:
        config["display"] = "omitted"
    return Thinking(config, None, max_tokens or budget + default)
