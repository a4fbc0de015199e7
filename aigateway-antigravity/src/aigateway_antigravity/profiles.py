"""What the core's Gemini dialect has to know of the models here."""

from __future__ import annotations

import re
from functools import lru_cache

from aigateway_antigravity.models import Family, Model
from aigateway_antigravity.signatures import CLAUDE, GEMINI
from aigateway_core.plugin import GeminiModelRule, GeminiProfile

_ORIGINS: dict[Family, str] = {"gemini": GEMINI, "claude": CLAUDE, "gpt-oss": "gpt-oss"}
_BEFORE_3 = re.compile(r"gemini-[12](\D|$)")


@lru_cache(maxsize=256)
def profile_of(model: Model) -> GeminiProfile:
    """How requests for ``model`` are written.

    Schemas stay JSON Schema here, and are put into what this wire takes afterwards, at one place for translated and
    untranslated requests. Gemini's models since version 3, and those whose name tells no version, want a signature on
    the first call of a turn; Claude verifies each that it gets, so that it never gets a sentinel.
    """
    newer = model.family == "gemini" and not _BEFORE_3.match(model.id)
    rule = GeminiModelRule(
        pattern="*",
        thinking=model.thinking,
        levels=model.levels,
        budgets=model.budgets,
        stoppable=model.stoppable,
        signed_calls=newer,
        media_in_results=newer or model.family == "claude",
        json_with_tools=newer or model.family != "gemini",
    )
    profile = GeminiProfile(origin=_ORIGINS[model.family], json_schemas=True, models=(rule,))
    return profile if model.family == "gemini" else _without_sentinel(profile)


def _without_sentinel(profile: GeminiProfile) -> GeminiProfile:
    return GeminiProfile(origin=profile.origin, json_schemas=True, skip_signature=None, models=profile.models)
