"""Names of fields: clients write them in camel or in snake case, and this wire takes one of them at a time."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any

from aigateway_core.plugin import JsonObject

_HUMP = re.compile(r"(?<=[a-z0-9])[A-Z]")


@functools.cache
def snake(name: str) -> str:
    """``tool_config`` for ``toolConfig``."""
    return _HUMP.sub(lambda letter: "_" + letter[0].lower(), name)


def renamed(given: Mapping[str, Any], names: Iterable[str]) -> JsonObject:
    """A copy in which the fields ``names`` stand in camel case; where both spellings are there, camel case wins."""
    copy = dict(given)
    for name in names:
        other = snake(name)
        if other != name and other in copy:
            value = copy.pop(other)
            if copy.get(name) is None:
                copy[name] = value
    return copy
