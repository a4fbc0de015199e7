"""The cattrs converter behind :func:`aigateway_core.structuring.structure`: a strict hook for every type asked for.

Two kinds of value may stand where the type asks for something else. Only the settings loader makes them, so that a
request can never reach the environment or the disk: :class:`EnvironmentText` and :class:`Reference`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import attrs
import yaml
from cattrs import Converter, IterableValidationError, IterableValidationNote
from cattrs.errors import CattrsError
from cattrs.gen import make_dict_structure_fn

from aigateway_core.paths import path
from aigateway_core.secret import Secret

_Hook = Callable[[Any, Any], Any]


class EnvironmentText(str):
    """The value of an environment variable: read as YAML wherever the type asks for anything but a string."""

    __slots__ = ("variable",)
    variable: str

    def __new__(cls, text: str, variable: str) -> EnvironmentText:
        """``text``, as it was found in ``variable``."""
        self = super().__new__(cls, text)
        self.variable = variable
        return self


class Reference(dict[str, Any]):
    """``{env: NAME}`` or ``{file: PATH}``: stands for ``text`` where the type asks for a string or a secret.

    It stays the mapping that it is everywhere else. ``text`` is None when nothing was found; ``trouble`` says why.
    """

    def __init__(self, written: Mapping[str, Any], text: str | None, trouble: str = "") -> None:
        super().__init__(written)
        self.text = text
        self.trouble = trouble


@attrs.frozen(kw_only=True)
class Range:
    """Bounds of a number, put on a field's type: ``Annotated[int, Range(at_least=1)]``."""

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None

    def check(self, value: float) -> None:
        """Raise :class:`ValueError` when ``value`` lies outside."""
        if self.at_least is not None and value < self.at_least:
            raise ValueError(f"must be at least {self.at_least}, got {value}")
        if self.above is not None and value <= self.above:
            raise ValueError(f"must be more than {self.above}, got {value}")
        if self.at_most is not None and value > self.at_most:
            raise ValueError(f"must be at most {self.at_most}, got {value}")


def strict_converter() -> Converter:
    """A new converter that coerces nothing and refuses unknown keys."""
    converter = Converter(forbid_extra_keys=True)
    for kind, hook in _PLAIN.items():
        converter.register_structure_hook(kind, hook)
    for applies, factory in _FACTORIES:
        converter.register_structure_hook_factory(applies, _bound(factory, converter))
    return converter


def _bound(factory: Callable[[Any, Converter], _Hook], converter: Converter) -> Callable[[Any], _Hook]:
    return lambda kind: factory(kind, converter)


def _wrong(expected: str, value: Any) -> TypeError:
    return TypeError(f"expected {expected}, got {_shown(value)}")


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _read(value: Any) -> Any:
    """What an environment variable says, where no string is asked for."""
    if not isinstance(value, EnvironmentText):
        return value
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        raise ValueError("is not readable as a YAML value") from None


# -- plain values


def _string(value: Any, kind: Any) -> Any:
    if _is_enum(kind):
        return _of_enum(kind, None)(value, kind)
    if isinstance(value, Reference):
        return _referred(value)
    if not isinstance(value, str):
        raise _wrong("a string", value)
    return str(value)


def _referred(value: Reference) -> str:
    if value.text is None:
        raise ValueError(value.trouble)
    return value.text


def _secret(value: Any, _: Any) -> Secret:
    if isinstance(value, Secret):
        return value
    if isinstance(value, Reference):
        return Secret(_referred(value))
    if not isinstance(value, str):
        # The value stays out of the message: to YAML, an unquoted secret of digits alone is a number.
        raise TypeError("expected a string: a secret is written in quotes, or as {env: NAME} or {file: PATH}")
    return Secret(str(value))


def _integer(value: Any, kind: Any) -> Any:
    if _is_enum(kind):
        return _of_enum(kind, None)(value, kind)
    found = _read(value)
    if type(found) is not int:
        raise _wrong("an integer", found)
    return found


def _number(value: Any, _: Any) -> float:
    found = _read(value)
    if type(found) not in (int, float) or not math.isfinite(found):
        raise _wrong("a number", found)
    return float(found)


def _boolean(value: Any, _: Any) -> bool:
    found = _read(value)
    if type(found) is not bool:
        raise _wrong("true or false", found)
    return found


def _instant(value: Any, _: Any) -> datetime:
    found = _read(value)
    if isinstance(found, str):
        try:
            found = datetime.fromisoformat(found)
        except ValueError:
            raise _wrong("a date and time as in ISO 8601", found) from None
    if not isinstance(found, datetime):
        raise _wrong("a date and time as in ISO 8601", found)
    if found.tzinfo is None:
        raise ValueError("a date and time needs its offset from UTC, as in 2026-01-02T03:04:05Z")
    return found.astimezone(UTC)


def _duration(value: Any, kind: Any) -> timedelta:
    return timedelta(seconds=_number(value, kind))


# -- choices


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Enum)


def _of_enum(kind: type[Enum], _: Converter | None) -> _Hook:
    return _choice([(member.value, member) for member in kind])


def _of_literal(kind: Any, _: Converter) -> _Hook:
    return _choice([(word, word) for word in get_args(kind)])


def _choice(words: Sequence[tuple[Any, Any]]) -> _Hook:
    def choose(value: Any, _: Any) -> Any:
        for word, meant in words:
            found = value if isinstance(word, str) else _read(value)
            if found == word and isinstance(found, bool) == isinstance(word, bool):
                return meant
        raise _wrong(f"one of {', '.join(str(word) for word, _ in words)}", value)

    return choose


# -- collections and sections


def _is_sequence(kind: Any) -> bool:
    origin = get_origin(kind) or kind
    if origin is tuple:
        return len(get_args(kind)) == 2 and get_args(kind)[1] is Ellipsis
    if not isinstance(origin, type) or issubclass(origin, str | bytes | tuple):
        return False
    return issubclass(origin, Sequence | AbstractSet)


def _sequence(kind: Any, converter: Converter) -> _Hook:
    (element, *_) = get_args(kind) or (Any,)
    hook = converter.get_structure_hook(element)
    make = _maker(get_origin(kind) or kind)

    def structure_sequence(value: Any, _: Any) -> Any:
        found = _read(value)
        if isinstance(value, EnvironmentText) and isinstance(found, str):
            found = [part.strip() for part in value.split(",")]
        if not isinstance(found, list | tuple):
            raise _wrong("a list", found)
        return make(_each(enumerate(found), hook, element, kind))

    return structure_sequence


def _maker(origin: type) -> Callable[[list[Any]], Any]:
    if origin in (list, set):
        return origin
    return frozenset if issubclass(origin, AbstractSet) else tuple


def _is_mapping(kind: Any) -> bool:
    origin = get_origin(kind) or kind
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _mapping(kind: Any, converter: Converter) -> _Hook:
    _, element = get_args(kind) or (str, Any)
    hook = converter.get_structure_hook(element)

    def structure_mapping(value: Any, _: Any) -> dict[str, Any]:
        found = _read(value)
        if not isinstance(found, Mapping):
            raise _wrong("a mapping", found)
        for key in found:
            if not isinstance(key, str):
                raise _wrong("a string as key", key)
        return dict(zip(found, _each(found.items(), hook, element, kind), strict=True))

    return structure_mapping


def _each(items: Iterable[tuple[str | int, Any]], hook: _Hook, element: Any, kind: Any) -> list[Any]:
    results: list[Any] = []
    errors: list[Exception] = []
    for key, value in items:
        try:
            results.append(hook(value, element))
        except (CattrsError, ValueError, TypeError) as error:
            error.add_note(IterableValidationNote(f"at {key}", key, element))
            errors.append(error)
    if errors:
        raise IterableValidationError("in a collection", errors, kind)
    return results


def _section(kind: Any, converter: Converter) -> _Hook:
    fill = make_dict_structure_fn(kind, converter, _cattrs_forbid_extra_keys=True)

    def structure_section(value: Any, asked: Any) -> Any:
        found = _read(value)
        if not isinstance(found, Mapping):
            raise _wrong("a mapping", found)
        return fill(found, asked)

    return structure_section


def _is_function(kind: Any) -> bool:
    return get_origin(kind) is Callable


def _function(_: Any, __: Converter) -> _Hook:
    def structure_function(value: Any, _: Any) -> Any:
        # Only code can say one: no file and no request has any.
        if not callable(value):
            raise _wrong("a function", value)
        return value

    return structure_function


def _is_annotated(kind: Any) -> bool:
    return bool(get_origin(kind) == Annotated)


def _annotated(kind: Any, converter: Converter) -> _Hook:
    inner, *notes = get_args(kind)
    hook = converter.get_structure_hook(inner)
    ranges = [note for note in notes if isinstance(note, Range)]

    def structure_annotated(value: Any, _: Any) -> Any:
        found = hook(value, inner)
        for allowed in ranges:
            allowed.check(found)
        return found

    return structure_annotated


def _is_literal(kind: Any) -> bool:
    return bool(get_origin(kind) == Literal)


_PLAIN: dict[type, _Hook] = {
    # cattrs asks these for subclasses too, so an enumeration of strings or integers arrives in _string or _integer.
    str: _string,
    int: _integer,
    float: _number,
    bool: _boolean,
    Secret: _secret,
    Path: lambda value, _: path(_string(value, str)),
    datetime: _instant,
    timedelta: _duration,
}

_FACTORIES: list[tuple[Callable[[Any], bool], Callable[[Any, Converter], _Hook]]] = [
    (_is_enum, _of_enum),
    (_is_literal, _of_literal),
    (_is_function, _function),
    (_is_sequence, _sequence),
    (_is_mapping, _mapping),
    (attrs.has, _section),
    (_is_annotated, _annotated),
]
