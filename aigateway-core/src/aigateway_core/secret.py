"""A string that cannot be printed, and the scrubbing of such strings from foreign text."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from typing import NoReturn

MASK = "***"

_LOOKS_SECRET = re.compile(
    r"(?i:bearer)\s+[A-Za-z0-9._~+/=-]{8,}"
    r"|\b(?:sk|pk|rk)-[A-Za-z0-9_-]{8,}"
    r"|\bAIza[A-Za-z0-9_-]{20,}"
    r"|\bya29\.[A-Za-z0-9_.-]{10,}"
    r"|\bgw(?:adm|cli)_[A-Za-z0-9_-]{8,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
)


class Secret:
    """Holds a credential. ``repr``, ``str``, ``format`` and logging show a mask; :meth:`reveal` gives the value."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself: for the wire and the vault only."""
        return self._value

    @property
    def last4(self) -> str:
        """The last four characters, for showing which secret is set; empty when the secret is too short to show any."""
        return self._value[-4:] if len(self._value) >= 12 else ""

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")


def scrub(text: str, secrets: Iterable[Secret] = ()) -> str:
    """``text`` without the given secrets and without anything that has the shape of a credential."""
    for secret in secrets:
        value = secret.reveal()
        if len(value) >= 4:
            text = text.replace(value, MASK)
    return _LOOKS_SECRET.sub(MASK, text)
