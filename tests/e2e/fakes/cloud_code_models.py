"""The models that a fake Cloud Code has: whose they are, how much they think, and which quota they draw on."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

import attrs

Family: TypeAlias = Literal["gemini", "claude", "gpt-oss"]

_OWN = re.compile(r"-m\d+$")
_LOW_TO_HIGH = ("low", "medium", "high")
_MINIMAL_TO_HIGH = ("minimal", *_LOW_TO_HIGH)


@attrs.frozen(kw_only=True)
class CloudModel:
    """``levels`` and ``budgets`` (least and most tokens) are what it can be told of thinking; None: it cannot think."""

    title: str
    family: Family = "gemini"
    quota_group: str = "gemini-flash"
    context: int = 1_048_576
    most_output: int = 65_536
    levels: tuple[str, ...] = ()
    budgets: tuple[int, int] | None = (1, 65_535)
    searches: bool = False
    draws: bool = False


def _claude(title: str) -> CloudModel:
    return CloudModel(
        title=title,
        family="claude",
        quota_group="claude",
        context=200_000,
        most_output=64_000,
        budgets=(1024, 64_000),
    )


def _pro(title: str) -> CloudModel:
    return CloudModel(title=title, quota_group="gemini-pro", most_output=65_535, levels=_LOW_TO_HIGH)


MODELS: dict[str, CloudModel] = {
    "claude-opus-4-6-thinking": _claude("Claude Opus 4.6 (Thinking)"),
    "claude-sonnet-4-6": _claude("Claude Sonnet 4.6 (Thinking)"),
    "gemini-pro-agent": _pro("Gemini 3.1 Pro (High)"),
    "gemini-3.1-pro-low": _pro("Gemini 3.1 Pro (Low)"),
    "gemini-3.8-flash-tiered": CloudModel(title="Gemini 3.8 Flash", levels=_MINIMAL_TO_HIGH),
    "gemini-3.7-flash-high": CloudModel(title="Gemini 3.7 Flash", levels=_MINIMAL_TO_HIGH),
    "gemini-3.6-flash-high": CloudModel(title="Gemini 3.6 Flash", levels=_MINIMAL_TO_HIGH),
    "gemini-3-flash-agent": CloudModel(title="Gemini 3.5 Flash (High)", levels=_MINIMAL_TO_HIGH, budgets=(128, 32_768)),
    "gemini-3.5-flash-low": CloudModel(title="Gemini 3.5 Flash (Medium)", most_output=65_535, levels=_LOW_TO_HIGH),
    "gemini-3.5-flash-extra-low": CloudModel(title="Gemini 3.5 Flash (Low)", most_output=65_535, levels=_LOW_TO_HIGH),
    "gemini-3-flash": CloudModel(title="Gemini 3 Flash", levels=_MINIMAL_TO_HIGH, budgets=(128, 32_768)),
    "gemini-3.1-flash-lite": CloudModel(
        title="Gemini 3.1 Flash Lite", most_output=65_535, levels=_MINIMAL_TO_HIGH, budgets=(0, 65_535), searches=True
    ),
    "gemini-3.1-flash-image": CloudModel(
        title="Gemini 3.1 Flash Image",
        quota_group="gemini-flash-image",
        levels=("minimal", "high"),
        budgets=(128, 32_768),
        draws=True,
    ),
    "gpt-oss-120b-medium": CloudModel(
        title="GPT-OSS 120B (Medium)",
        family="gpt-oss",
        quota_group="gpt-oss",
        context=114_000,
        most_output=32_768,
        budgets=None,
    ),
}
"""By the name on the wire: as much of it as was known in August 2026."""

RETIRED = {"claude-opus-4-5-thinking": "claude-opus-4-6-thinking", "gemini-3-pro-high": "gemini-pro-agent"}
"""What ``fetchAvailableModels`` tells of names that are no longer served."""

_STRANGERS = {
    "gemini": CloudModel(title="A Gemini", levels=_MINIMAL_TO_HIGH),
    "claude": _claude("A Claude"),
    "gpt-oss": CloudModel(title="A GPT-OSS", family="gpt-oss", quota_group="gpt-oss", budgets=None),
}


def known(name: str) -> CloudModel | None:
    """The model of this name; ``-m1``, ``-m2``… behind it makes one more of its kind, for a test of its own."""
    return MODELS.get(name) or MODELS.get(_OWN.sub("", name))


def model(name: str) -> CloudModel:
    """The same, and for a name that nobody knows a model of the family that it says."""
    stranger = next((one for prefix, one in _STRANGERS.items() if name.startswith(prefix)), _STRANGERS["gemini"])
    return known(name) or stranger
