"""Names of fields: this API writes them in camel case, and reads them in snake case just as well."""

from __future__ import annotations

import functools
import re
from typing import Any

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
