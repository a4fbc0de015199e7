"""How this API reads JSON: names in camel case or in snake case, and an object for an array of one."""

from __future__ import annotations

import functools
import re
from typing import Any

from aigateway_core.dialects.checks import Path, sequence
from aigateway_core.model import JsonObject

_HUMP = re.compile(r"(?<=[a-z0-9])[A-Z]")


@functools.cache
def snake(name: str) -> str:
    """``inline_data`` for ``inlineData``."""
    return _HUMP.sub(lambda letter: "_" + letter[0].lower(), name)


def field(owner: JsonObject, name: str) -> Any:
    """The value of the field ``name`` (in camel case) under either spelling; None when it is not there."""
    value = owner.get(name)
    return owner.get(snake(name)) if value is None else value


def spellings(*names: str) -> frozenset[str]:
    """These names in both spellings."""
    return frozenset(names) | frozenset(map(snake, names))


def elements(value: Any, *path: str | int) -> list[tuple[Any, Path]]:
    """What the array at ``path`` holds, each with its own path; a single object may stand without its array."""
    if type(value) is dict:
        return [(value, path)]
    return [(each, (*path, place)) for place, each in enumerate(sequence(value, *path))]
