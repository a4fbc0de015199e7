"""Type checks on parsed JSON that say where the wrong value stands.

The path is given as separate steps (``"messages", 2, "role"``) and put together only when something is wrong, so that a
good request pays for none of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias, TypeVar

from aigateway_core.errors import ErrorKind, InvalidRequestError, UpstreamError
from aigateway_core.model import JsonObject

T = TypeVar("T")

Path: TypeAlias = tuple[str | int, ...]
"""Where a value stands: the names of fields and the positions in arrays that lead to it."""

_NAMES: dict[type, str] = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "a boolean",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


def path_text(steps: Path) -> str:
    """``messages[2].role`` for ``("messages", 2, "role")``."""
    text = ""
    for step in steps:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


def refuse(expected: str, value: Any, *path: str | int) -> NoReturn:
    """Raise :class:`InvalidRequestError`: ``expected`` something else at ``path``."""
    raise InvalidRequestError(
        f"expected {expected}, got {_NAMES.get(type(value), type(value).__name__)}", path=path_text(path)
    )


def missing(*path: str | int) -> NoReturn:
    """Raise :class:`InvalidRequestError`: a required field is not there."""
    raise InvalidRequestError("this field is required", path=path_text(path))


def string(value: Any, *path: str | int) -> str:
    """``value``, which must be a string."""
    if type(value) is str:
        return value
    refuse("a string", value, *path)


def optional_string(value: Any, *path: str | int) -> str | None:
    """``value``, which must be a string or null."""
    return None if value is None else string(value, *path)


_EXACT = 2**53
"""Up to here a float is the integer that was written; JSON readers turn longer integers into floats."""


def integer(value: Any, *path: str | int) -> int:
    """``value``, which must be an integer (``5.0`` is one, ``true`` and ``1e300`` are not)."""
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    refuse("an integer", value, *path)


def optional_integer(value: Any, *path: str | int) -> int | None:
    """``value``, which must be an integer or null."""
    return None if value is None else integer(value, *path)


_MOST = 2**31 - 1
"""No number of tokens is larger; one beyond it is a mistake, and one beyond 64 bits could not be written again."""


def count(value: Any, *path: str | int) -> int:
    """``value``, which must be an integer from 1 to 2**31 - 1: a limit in tokens, say."""
    number = integer(value, *path)
    if 1 <= number <= _MOST:
        return number
    raise InvalidRequestError(f"expected an integer from 1 to {_MOST}", path=path_text(path))


def optional_count(value: Any, *path: str | int) -> int | None:
    """``value``, which must be null or as :func:`count` wants it."""
    return None if value is None else count(value, *path)


MOST_TOKENS = 2**53
"""No vendor has counted more: what says so is a counter that fell below zero, and beyond 64 bits is no JSON of ours."""


def optional_tokens(value: Any, *path: str | int) -> int | None:
    """What a vendor says it counted, null or an integer, held between 0 and :data:`MOST_TOKENS`."""
    if type(value) is float and abs(value) > _EXACT:
        return MOST_TOKENS if value > 0 else 0
    number = optional_integer(value, *path)
    return None if number is None else min(max(number, 0), MOST_TOKENS)


def optional_number(value: Any, *path: str | int) -> float | None:
    """``value``, which must be a number or null."""
    if value is None or type(value) is float:
        return value
    if type(value) is int:
        return value
    refuse("a number", value, *path)


def optional_boolean(value: Any, *path: str | int) -> bool | None:
    """``value``, which must be a boolean or null."""
    if value is None or type(value) is bool:
        return value
    refuse("a boolean", value, *path)


def mapping(value: Any, *path: str | int) -> JsonObject:
    """``value``, which must be an object."""
    if type(value) is dict:
        return value
    refuse("an object", value, *path)


def optional_mapping(value: Any, *path: str | int) -> JsonObject | None:
    """``value``, which must be an object or null."""
    return None if value is None else mapping(value, *path)


def sequence(value: Any, *path: str | int) -> list[Any]:
    """``value``, which must be an array."""
    if type(value) is list:
        return value
    refuse("an array", value, *path)


def one_of(value: Any, allowed: tuple[str, ...], *path: str | int) -> str:
    """``value``, which must be one of these strings."""
    if type(value) is str and value in allowed:
        return value
    if type(value) is str:
        raise InvalidRequestError(f"expected one of {', '.join(allowed)}, got {value[:60]!r}", path=path_text(path))
    refuse(f"one of {', '.join(allowed)}", value, *path)


def from_upstream(read: Callable[[], T]) -> T:
    """The result of ``read``. Wrong types in what it reads are the upstream's fault, not the caller's (U-13)."""
    try:
        return read()
    except InvalidRequestError as error:
        raise UpstreamError(ErrorKind.PROTOCOL, f"the upstream's answer is malformed: {error.message}") from error
