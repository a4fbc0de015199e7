"""What differs between vendors that speak the Messages API, and between their models: facts, as data.

The defaults are Anthropic's own. Sources: platform.claude.com, pages "versioning", "extended thinking", "adaptive
thinking", "effort", "structured outputs", "mid-conversation system messages" and the migration guides up to Claude
Opus 5.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal

import attrs

from aigateway_core.model import Effort

_TO_MAX: tuple[Effort, ...] = ("low", "medium", "high", "xhigh", "max")


@attrs.frozen(kw_only=True)
class ModelRule:
    """What the models take whose names fit ``pattern``, a shell pattern.

    ``thinking``: ``adaptive`` models decide themselves how long they think and are steered by an effort word out of
    ``efforts``; ``budget`` models are told a number of tokens; ``none`` cannot think. ``sampling`` is false where
    ``temperature``, ``top_p`` and ``top_k`` are a 400. ``system_turns`` says that a turn of role ``system`` may stand
    between the others, ``structured_output`` that ``output_config.format`` is understood, ``prefill`` that the last
    turn may be the beginning of the answer.
    """

    pattern: str
    thinking: Literal["adaptive", "budget", "none"]
    efforts: tuple[Effort, ...] = _TO_MAX
    sampling: bool = True
    system_turns: bool = False
    structured_output: bool = True
    prefill: bool = True

    def nearest_effort(self, effort: Effort) -> Effort:
        """``effort``, or the strongest known one below it, or the weakest."""
        order: tuple[Effort, ...] = ("none", "minimal", *_TO_MAX)
        below = [known for known in self.efforts if order.index(known) <= order.index(effort)]
        return below[-1] if below else self.efforts[0]


ANTHROPIC_MODELS = (
    ModelRule(pattern="claude-3-7*", thinking="budget", structured_output=False),
    ModelRule(pattern="claude-3*", thinking="none", structured_output=False),
    ModelRule(pattern="claude-*-4-0*", thinking="budget", structured_output=False),
    ModelRule(pattern="claude-*-4-20*", thinking="budget", structured_output=False),
    ModelRule(pattern="claude-*-4-[15]*", thinking="budget"),
    ModelRule(pattern="claude-*-4-6*", thinking="adaptive", efforts=("low", "medium", "high", "max"), prefill=False),
    ModelRule(pattern="claude-*-4-7*", thinking="adaptive", sampling=False, prefill=False),
    ModelRule(pattern="claude-sonnet-5*", thinking="adaptive", sampling=False, prefill=False),
    ModelRule(pattern="claude-*", thinking="adaptive", sampling=False, prefill=False, system_turns=True),
    # Whoever else offers this API took it over in its older form.
    ModelRule(pattern="*", thinking="budget", structured_output=False),
)
"""The first rule that fits counts; a model newer than this table is treated like the newest known one."""


@attrs.frozen(kw_only=True)
class AnthropicProfile:
    """The vendor's facts.

    ``origin`` names the maker of thinking signatures: only blocks of that origin are sent back to it. ``version`` is
    the value of the ``anthropic-version`` header; ``2023-06-01`` still takes sampling parameters where the model
    does. ``default_max_tokens`` is sent where a client gave no limit, since this API insists on one.
    """

    origin: str = "anthropic"
    version: str = "2023-06-01"
    default_max_tokens: int = 8192
    models: tuple[ModelRule, ...] = ANTHROPIC_MODELS

    def rule(self, model: str) -> ModelRule:
        """The rule for this model."""
        fitting = (rule for rule in self.models if fnmatchcase(model, rule.pattern))
        return next(fitting, ANTHROPIC_MODELS[-1])
