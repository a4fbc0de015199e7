"""The public surface as text: what ``aigateway_core.plugin`` and ``aigateway_core.testing`` export, with signatures.

To accept a change on purpose: python tests/core/plugin/public_api.py > tests/core/plugin/public_api.txt
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator, Set
from enum import Enum
from functools import cached_property
from types import ModuleType
from typing import Any

import aigateway_core.plugin
import aigateway_core.testing

PUBLIC = (aigateway_core.plugin, aigateway_core.testing)


def describe(module: ModuleType) -> Iterator[str]:
    """One line for each name, and one for each public member of a class."""
    for name in sorted(module.__all__):
        yield from _entry(f"{module.__name__}.{name}", getattr(module, name))


def _entry(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, type):
        yield from _class(name, value)
    elif inspect.isfunction(value):
        yield f"{name}{_signature(value)}"
    else:
        yield f"{name}: {value!r}" if _is_plain(value) else f"{name}: {type(value).__name__}"


def _is_plain(value: Any) -> bool:
    """Aliases of types, whose text says all there is."""
    return typing.get_origin(value) is not None


def _class(name: str, value: type) -> Iterator[str]:
    if issubclass(value, Enum):
        yield f"{name}: {', '.join(f'{member.name}={member.value!r}' for member in value)}"
        return
    yield name if getattr(value, "_is_protocol", False) or inspect.isabstract(value) else f"{name}{_signature(value)}"
    for member, found in sorted(_members(value).items()):
        yield f"    {member}{found}"


def _members(value: type) -> dict[str, str]:
    """Methods, properties and class attributes that a user sees, those of our own base classes included."""
    members: dict[str, str] = {}
    for owner in value.__mro__:
        if not owner.__module__.startswith("aigateway_core"):
            continue
        for name, annotation in inspect.get_annotations(owner).items():
            if not name.startswith("_") and "ClassVar" in str(annotation):
                members.setdefault(name, f": {annotation}")
        for name, member in vars(owner).items():
            if not name.startswith("_") and (text := _member(member)):
                members.setdefault(name, text)
    return members


def _member(member: Any) -> str:
    if isinstance(member, property):
        return f": {inspect.get_annotations(member.fget).get('return')}" if member.fget else ""
    if isinstance(member, cached_property):
        return f": {inspect.get_annotations(member.func).get('return')}"
    if isinstance(member, classmethod | staticmethod):
        return _signature(member.__func__)
    return _signature(member) if inspect.isfunction(member) else ""


def _signature(value: Callable[..., Any]) -> str:
    signature = inspect.signature(value)
    parameters = [
        parameter if parameter.default is parameter.empty else parameter.replace(default=_Default(parameter.default))
        for parameter in signature.parameters.values()
    ]
    return str(signature.replace(parameters=parameters))


class _Default:
    """A default value, written the same in every run."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __repr__(self) -> str:
        return _stable(self._value)


def _stable(value: Any) -> str:
    if isinstance(value, Set):
        text = "{" + ", ".join(sorted(map(_stable, value))) + "}"
    elif isinstance(value, tuple):
        text = "(" + ", ".join(map(_stable, value)) + ("," if len(value) == 1 else "") + ")"
    else:
        text = repr(value)
    return text if " at 0x" not in text and len(text) < 100 else type(value).__name__


def text() -> str:
    """All of it."""
    return "".join(f"{line}\n" for module in PUBLIC for line in describe(module))


if __name__ == "__main__":
    print(text(), end="")  # noqa: T201 - what the command is there for
