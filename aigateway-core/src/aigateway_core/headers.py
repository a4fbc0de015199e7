"""Headers that the gateway puts on its own account on an answer."""

from __future__ import annotations

import re
from collections.abc import Iterable

DROPPED = "x-aigateway-dropped"
"""Names the fields of a request that its provider could not be told."""

ESTIMATE = "x-aigateway-estimate"
"""``true`` on a count of tokens that nobody counted."""

_NAME = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}")
_MOST_NAMES = 20


def listed(names: Iterable[str]) -> str:
    """Names of fields, each once, as the value of a header. Clients choose some: not every one can stand there."""
    every = list(dict.fromkeys(names))
    shown = [name for name in every if _NAME.fullmatch(name)][:_MOST_NAMES]
    hidden = len(every) - len(shown)
    return ", ".join([*shown, f"and {hidden} more"] if hidden else shown)
