"""The models behind Cloud Code Assist, as data: what each is called there, what it takes, and which quota it draws on.

The table is that of August 2026; which of them an account has depends on its tier, so that configuration and the account
itself may add to it.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from aigateway_core.plugin import Effort

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


@attrs.frozen(kw_only=True)
class Asked:
    """What a client's name for a model means: the model, and how much it is to think, if the name says so."""

    model: Model
    effort: Effort | None = None
    budget: int | None = None
