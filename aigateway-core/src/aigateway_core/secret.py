"""A string that cannot be printed, and the scrubbing of such strings from foreign text."""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import Iterable
from typing import NoReturn
from urllib.parse import quote, quote_plus

from typing_extensions import override

MASK = "***"

# Every part that could be tried again and again on a long text has an upper bound, so that junk costs linear time.
_LOOKS_SECRET = re.compile(
    r"(?i:bearer)\s+[A-Za-z0-9._~+/=-]{8,}"
    r"|\b(?:sk|pk|rk)-[A-Za-z0-9_-]{8,}"
    r"|\bAIza[A-Za-z0-9_-]{20,}"
    r"|\bya29\.[A-Za-z0-9_.-]{10,}"
    r"|\bgw(?:adm|cli)_[A-Za-z0-9_-]{8,}"
    r"|\beyJ[A-Za-z0-9_-]{8,1024}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*"
    # User and password of a URL; a password may hold "/" and "@" unescaped, a port is none.
    r"|(?<=://)[^/\s:@]{0,256}:(?!\d{1,5}/)[^\s\"'<>]{1,256}(?=@)"
    r"|(?<=://)[^/\s:@]{1,256}(?=@)"
)

_IN_QUERY = re.compile(
    r"(?i)([?&](?:key|api[_-]?key|(?:access_|refresh_|id_)?token|code|(?:client_)?secret|password)=)[^&#\s\"'<>]+"
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

    @override
    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    @override
    def __str__(self) -> str:
        return MASK

    def __bool__(self) -> bool:
        return bool(self._value)

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(_octets(self._value), _octets(other._value))

    @override
    def __hash__(self) -> int:
        return hash(self._value)

    @override
    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")


class Scrubber:
    """:func:`scrub` for many texts: the forms of the given secrets are worked out once."""

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        forms = {form for secret in secrets if len(value := secret.reveal()) >= 4 for form in _forms(value)}
        # The longest first: where one secret begins another, nothing of the longer one may be left.
        self._forms = sorted(forms, key=lambda form: (-len(form), form))

    def __call__(self, text: str) -> str:
        """``text`` without the secrets."""
        for form in self._forms:
            text = text.replace(form, MASK)
        return _IN_QUERY.sub(rf"\1{MASK}", _LOOKS_SECRET.sub(MASK, text))


def scrub(text: str, secrets: Iterable[Secret] = ()) -> str:
    """``text`` without the given secrets and without anything that has the shape of a credential.

    Servers echo what they were sent: a given secret is found as it is, and as it stands in JSON, in a URL, in base64.
    """
    return Scrubber(secrets)(text)


def _forms(value: str) -> set[str]:
    octets = _octets(value)
    return {
        value,
        quote(octets, safe=""),
        quote_plus(octets),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        base64.b64encode(octets).decode().rstrip("="),
        base64.urlsafe_b64encode(octets).decode().rstrip("="),
    }


def _octets(value: str) -> bytes:
    # What comes from the environment may hold bytes that are no UTF-8, as lone surrogates.
    return value.encode("utf-8", "surrogatepass")
