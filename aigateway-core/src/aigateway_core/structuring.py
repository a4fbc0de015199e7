"""Untyped data into attrs classes: strictly, and with every problem named at once.

What comes from outside (the configuration, a plugin's section of it, the body of an admin request) is YAML or JSON.
Here it becomes an instance of an attrs class. Nothing is coerced (``"8088"`` is no number, ``1`` is no boolean),
unknown keys are refused, and a :class:`StructuringError` lists all that is wrong, each with its path.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import attrs
from cattrs import ClassValidationError, Converter, ForbiddenExtraKeysError, IterableValidationError
from typing_extensions import override

from aigateway_core.converter import EnvironmentText, strict_converter
from aigateway_core.secret import scrub

T = TypeVar("T")


@attrs.frozen
class Problem:
    """One thing to mend.

    ``path`` says where (``server.port``, ``models[2]``; empty for the whole), ``source`` which file or environment
    variable said it, when that is known.
    """

    path: str
    message: str
    source: str | None = None

    @override
    def __str__(self) -> str:
        return ": ".join(part for part in (self.source, self.path, self.message) if part)


class StructuringError(ValueError):
    """The data does not fit. ``problems`` has all that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)


def structure(value: Any, kind: type[T], path: str = "") -> T:
    """``value`` as an instance of ``kind``; ``path`` is put before the path of every problem.

    Raises :class:`StructuringError`; and cattrs's own ``StructureHandlerNotFoundError`` when ``kind`` itself has a
    field of a type that cannot be read.
    """
    try:
        return _converter().structure(value, kind)
    except (ClassValidationError, IterableValidationError, ValueError, TypeError) as error:
        found = _flattened(error, ())
        raise StructuringError(
            [Problem(_joined(path, place), message, _variable(value, place)) for place, message in found]
        ) from error


def each(path: str, texts: Iterable[str], trouble_with: Callable[[str], str | None]) -> list[Problem]:
    """What is wrong with the entries of the list at ``path``: what ``trouble_with`` says of it, None for nothing."""
    found = ((number, trouble_with(text)) for number, text in enumerate(texts))
    return [Problem(f"{path}[{number}]", trouble) for number, trouble in found if trouble is not None]


def near(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?``, or nothing when no known word is near."""
    found = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean '{found[0]}'?" if found else ""


@cache
def _converter() -> Converter:
    return strict_converter()


_Place = tuple[str | int, ...]


def _flattened(error: BaseException, place: _Place) -> list[tuple[_Place, str]]:
    """Where and what, for every leaf of cattrs's tree of exceptions."""
    if isinstance(error, ForbiddenExtraKeysError):
        known = [field.name for field in attrs.fields(error.cl)]
        strange = sorted(map(str, error.extra_fields))
        return [((*place, key), f"unknown key{near(key, known)}") for key in strange]
    if not isinstance(error, ClassValidationError | IterableValidationError):
        return [((*place, *_attribute(error)), _message(error))]
    inner: list[tuple[Exception, _Place]]
    if isinstance(error, ClassValidationError):
        named, whole = error.group_exceptions()
        inner = [(each, (*place, note.name)) for each, note in named]
    else:
        counted, whole = error.group_exceptions()
        inner = [(each, (*place, note.index)) for each, note in counted]
    inner += [(each, place) for each in whole]
    return [found for each, where in inner for found in _flattened(each, where)]


def _attribute(error: BaseException) -> tuple[str, ...]:
    """The field that an attrs validator refused: attrs puts it second among the exception's arguments."""
    return tuple(argument.name for argument in error.args[1:2] if isinstance(argument, attrs.Attribute))


def _message(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return "is missing"
    text = str(error.args[0]) if error.args else type(error).__name__
    return scrub(" ".join(text.split()))


def _joined(path: str, place: _Place) -> str:
    for element in place:
        path += f"[{element}]" if isinstance(element, int) else f".{element}" if path else element
    return path


def _variable(value: Any, place: _Place) -> str | None:
    """The environment variable that said what is wrong, if it was one."""
    for element in place:
        if isinstance(value, Mapping):
            value = value.get(element)
        elif isinstance(value, list) and isinstance(element, int):
            value = value[element]
        else:
            break
    return value.variable if isinstance(value, EnvironmentText) else None
