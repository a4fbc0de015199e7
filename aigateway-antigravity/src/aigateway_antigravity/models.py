"""The models behind Cloud Code Assist, as data: what each is called there, what it takes, and which quota it draws on.

The table is that of August 2026; which of them an account has depends on its tier, so that configuration and the
account itself may add to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, TypeAlias

import attrs

from aigateway_core.plugin import Effort, ModelInfo

Family: TypeAlias = Literal["gemini", "claude", "gpt-oss"]
"""Whose model it is: their rules for signatures, thinking and calls differ."""


@attrs.frozen(kw_only=True)
class Model:
    """A model by the name it has there.

    ``context_window`` and ``max_output_tokens`` are in tokens, None where nobody knows. ``thinking``: it is told one of
    ``levels``, or a number of tokens within ``budgets``, or it cannot think. ``stoppable``: thinking can be switched
    off. ``makes_images``: it answers with pictures. Models of one ``quota_group`` share a quota.
    """

    id: str
    title: str
    family: Family
    quota_group: str
    context_window: int | None = 1_048_576
    max_output_tokens: int | None = 65_535
    thinking: Literal["level", "budget", "none"] = "level"
    levels: tuple[Effort, ...] = ("minimal", "low", "medium", "high")
    budgets: tuple[int, int] = (1, 65_535)
    stoppable: bool = False
    makes_images: bool = False

    def info(self, name: str | None = None) -> ModelInfo:
        """What the gateway tells of it, under its own name or another one."""
        can = {
            "tools": not self.makes_images,
            "images": self.family != "gpt-oss",
            "thinking": self.thinking != "none",
        }
        return ModelInfo(
            id=name or self.id,
            display_name=self.title,
            context_window=self.context_window,
            max_output_tokens=self.max_output_tokens,
            capabilities=frozenset(word for word, able in can.items() if able),
            quota_group=self.quota_group,
        )


@attrs.frozen(kw_only=True)
class Asked:
    """What a client's name for a model means: the model, and how much it is to think, if the name says so."""

    model: Model
    effort: Effort | None = None
    budget: int | None = None


_PRO: tuple[Effort, ...] = ("low", "medium", "high")


def _claude(name: str, title: str) -> Model:
    return Model(
        id=name,
        title=title,
        family="claude",
        quota_group="claude",
        context_window=200_000,
        max_output_tokens=64_000,
        thinking="budget",
        levels=(),
        budgets=(1024, 64_000),
        stoppable=True,
    )


def _pro(name: str, title: str) -> Model:
    return Model(id=name, title=title, family="gemini", quota_group="gemini-pro", levels=_PRO)


def _flash(name: str, title: str, output: int = 65_536) -> Model:
    return Model(id=name, title=title, family="gemini", quota_group="gemini-flash", max_output_tokens=output)


_OLDER_BUDGETS = (128, 32_768)

MODELS = (
    _claude("claude-opus-4-6-thinking", "Claude Opus 4.6 (Thinking)"),
    _claude("claude-sonnet-4-6", "Claude Sonnet 4.6 (Thinking)"),
    # What these are called says little: the agent is 3.1 Pro at its best, and 3.5 Flash "low" is its middle.
    _pro("gemini-pro-agent", "Gemini 3.1 Pro (High)"),
    _pro("gemini-3.1-pro-low", "Gemini 3.1 Pro (Low)"),
    _flash("gemini-3.7-flash-high", "Gemini 3.7 Flash"),
    _flash("gemini-3.6-flash-high", "Gemini 3.6 Flash"),
    attrs.evolve(_flash("gemini-3-flash-agent", "Gemini 3.5 Flash (High)"), budgets=_OLDER_BUDGETS),
    attrs.evolve(_flash("gemini-3.5-flash-low", "Gemini 3.5 Flash (Medium)", 65_535), levels=_PRO),
    attrs.evolve(_flash("gemini-3.5-flash-extra-low", "Gemini 3.5 Flash (Low)", 65_535), levels=_PRO),
    attrs.evolve(_flash("gemini-3-flash", "Gemini 3 Flash"), budgets=_OLDER_BUDGETS),
    attrs.evolve(_flash("gemini-3.1-flash-lite", "Gemini 3.1 Flash Lite", 65_535), stoppable=True),
    Model(
        id="gemini-3.1-flash-image",
        title="Gemini 3.1 Flash Image",
        family="gemini",
        quota_group="gemini-flash-image",
        context_window=None,
        max_output_tokens=None,
        levels=("minimal", "high"),
        budgets=_OLDER_BUDGETS,
        makes_images=True,
    ),
    Model(
        id="gpt-oss-120b-medium",
        title="GPT-OSS 120B (Medium)",
        family="gpt-oss",
        quota_group="gpt-oss",
        context_window=114_000,
        max_output_tokens=32_768,
        thinking="none",
        levels=(),
    ),
)
"""What is known without asking."""

ALIASES: Mapping[str, str] = {
    "claude-opus-4-6": "claude-opus-4-6-thinking",
    "gemini-claude-opus-4-6-thinking": "claude-opus-4-6-thinking",
    "gemini-claude-sonnet-4-6": "claude-sonnet-4-6",
    "gemini-3.1-pro": "gemini-3.1-pro-low",
    "gemini-3.1-pro-preview": "gemini-3.1-pro-low",
    "gemini-3.1-pro-high": "gemini-pro-agent",
    "gemini-3.7-flash": "gemini-3.7-flash-high",
    "gemini-3.6-flash": "gemini-3.6-flash-high",
    "gemini-3.5-flash": "gemini-3-flash-agent",
    "gemini-3.5-flash-high": "gemini-3-flash-agent",
    "gemini-3.5-flash-medium": "gemini-3.5-flash-low",
    "gemini-3-flash-preview": "gemini-3-flash",
    "gpt-oss-120b": "gpt-oss-120b-medium",
}
"""Other names, by which clients and other programs know these models: listed beside them."""

FORMER: Mapping[str, str] = {
    "gemini-3-pro": "gemini-3.1-pro-low",
    "gemini-3-pro-low": "gemini-3.1-pro-low",
    "gemini-3-pro-high": "gemini-pro-agent",
    "gemini-3.8-flash": "gemini-3.8-flash-tiered",
}
"""Names that are understood and not listed."""

PATTERNS = ("gemini-*", "claude-*", "gpt-oss-*", "antigravity-*")


def unlisted(name: str) -> Model:
    """A model that nobody has described, as far as its name tells. No limits are known."""
    if "claude" in name:
        model = _claude(name, name)
    elif "gpt" in name:
        model = attrs.evolve(MODELS[-1], id=name, title=name)
    else:
        model = _unlisted_gemini(name)
    return attrs.evolve(model, context_window=None, max_output_tokens=None)


def _unlisted_gemini(name: str) -> Model:
    kind = "pro" if "pro" in name.split("-") else "flash"
    group = f"gemini-{kind}{'-image' if 'image' in name else ''}" if name.startswith("gemini") else name
    model = Model(id=name, title=name, family="gemini", quota_group=group, makes_images="image" in name)
    # Levels came with Gemini 3.
    older = re.match(r"gemini-[12]\b", name)
    return attrs.evolve(model, thinking="budget", levels=(), budgets=(128, 24_576)) if older else model
