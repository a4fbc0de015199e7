"""The arguments of a tool call: JSON text in the canonical form, an object on some wires."""

from __future__ import annotations

import re

import orjson

from aigateway_core.errors import InvalidRequestError
from aigateway_core.jsontext import loads_arguments
from aigateway_core.model import JsonObject


def parse_arguments(text: str) -> JsonObject | None:
    """The object that ``text`` spells; None when it spells none because it is broken, or nested too deep.

    No text at all, and JSON that is not an object, stand for a call without arguments (case 56). Broken text is never
    mended: a call that was cut off must not be run as if it were whole (reliability, U-19).
    """
    content = text.encode("utf-8", "replace")
    if not content.strip():
        return {}
    try:
        return loads_arguments(content)
    except InvalidRequestError:
        return None if _is_broken(content) else {}


def told_arguments(text: str) -> JsonObject:
    """The arguments of a call that was made, for a vendor that wants an object: what is broken is told as it is.

    Agents answer a broken call with an error and go on, and the model has to see what it wrote. The key is Anthropic's
    (platform.claude.com, "fine-grained tool streaming", invalid JSON in responses).
    """
    arguments = parse_arguments(text)
    return {"INVALID_JSON": text} if arguments is None else arguments


def _is_broken(content: bytes) -> bool:
    """Whether this is no JSON, or an object that was refused for its depth."""
    try:
        return isinstance(orjson.loads(content), dict)
    except orjson.JSONDecodeError:
        return True


_OUTSIDE = re.compile(r'["{}]')
_INSIDE = re.compile(r'["\\]')


class GrowingArguments:
    """The JSON text of a call that arrives in fragments, and whether it is whole by now.

    Every fragment is looked at once, for the braces in it: only where the first of them is closed the text is parsed.
    To parse it at each fragment would take the square of its length.
    """

    __slots__ = ("_depth", "_escaped", "_fragments", "_quoted", "_whole")

    def __init__(self) -> None:
        self._fragments: list[str] = []
        self._depth = 0
        self._quoted = False
        self._escaped = False
        self._whole: bool | None = None

    def add(self, fragment: str) -> None:
        """Take in more of the text."""
        self._fragments.append(fragment)
        if self._whole is None:
            self._scan(fragment)
        elif fragment.strip():
            self._whole = False

    @property
    def text(self) -> str:
        """All of it so far."""
        return "".join(self._fragments)

    @property
    def complete(self) -> bool:
        """Whether it spells a whole object."""
        return self._whole is True

    @property
    def broken(self) -> bool:
        """Whether it could not be used, were it to end here."""
        return not self.complete and parse_arguments(self.text) is None

    def _scan(self, fragment: str) -> None:
        place = int(self._escaped and bool(fragment))
        self._escaped = self._escaped and not fragment
        while (found := (_INSIDE if self._quoted else _OUTSIDE).search(fragment, place)) is not None:
            place = found.end()
            match found.group():
                case '"':
                    self._quoted = not self._quoted
                case "\\":
                    self._escaped = place == len(fragment)
                    place += 1
                case "{":
                    self._depth += 1
                case _:
                    self._depth -= 1
                    if self._depth <= 0:
                        text = self.text
                        self._whole = text.lstrip().startswith("{") and parse_arguments(text) is not None
                        return
