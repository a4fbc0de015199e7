"""Between values and columns: times are UTC without a zone in the database, JSON is text, and text has a width."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from aigateway_core.errors import InvalidRequestError, StaleChangeError

_SURROGATE = re.compile("[\ud800-\udfff]")


def now() -> datetime:
    """The time, as storage means it."""
    return datetime.now(UTC)


def to_naive(when: datetime) -> datetime:
    """UTC without its zone. Raises :class:`ValueError` for a time whose zone nobody knows.

    Pony would store the wall clock of an aware time and drop its offset, and so would the drivers.
    """
    if when.tzinfo is None:
        raise ValueError("a time without a zone cannot be stored: which moment it means is not known")
    return when.astimezone(UTC).replace(tzinfo=None)


def to_column(when: datetime | None) -> datetime | None:
    """For an entity's attribute."""
    return None if when is None else to_naive(when)


def to_text(when: datetime) -> str:
    """For raw SQL: the form in which Pony writes times to SQLite, and which MySQL reads as well."""
    if when.tzinfo is UTC:
        return when.isoformat(" ", "microseconds").removesuffix("+00:00")
    return to_naive(when).isoformat(" ", "microseconds")


def from_column(value: datetime | str) -> datetime:
    """The time that a column holds; SQLite gives raw columns as text."""
    naive = datetime.fromisoformat(value) if isinstance(value, str) else value
    return naive.replace(tzinfo=UTC)


def from_optional(value: datetime | str | None) -> datetime | None:
    """As :func:`from_column`, for a column that may be empty."""
    return None if value is None else from_column(value)


def later(before: datetime) -> datetime:
    """The time of a change: later than the one before even when the clock is not, since it tells the states apart."""
    return max(to_naive(now()), before + timedelta(microseconds=1))


def refuse_stale(row: Any, expected: datetime | None) -> None:
    """Go on if the row was last changed when the caller thinks. Raises :class:`StaleChangeError`."""
    if expected is not None and from_column(row.updated_at or row.created_at) != expected:
        raise StaleChangeError("it was changed meanwhile: read it again, then repeat the change")


def to_json(value: Mapping[str, Any] | tuple[Any, ...]) -> str:
    """JSON text."""
    return orjson.dumps(dict(value) if isinstance(value, Mapping) else list(value)).decode()


def from_json(text: str) -> Any:
    """What JSON text spells."""
    return orjson.loads(text)


def checked(text: str, path: str, width: int) -> str:
    """``text``, if a column of this width can hold it the same on every engine; else :class:`InvalidRequestError`."""
    if len(text) > width:
        raise InvalidRequestError(f"at most {width} characters", path=path)
    if not storable(text, width):
        raise InvalidRequestError("must be text without NUL characters and broken surrogates", path=path)
    return text


def clipped(text: str | None, width: int) -> str | None:
    """``text`` made to fit: for the log, where one odd row must not stop the others."""
    if text is None:
        return None
    return text[:width].replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def storable(text: str, width: int) -> bool:
    """Whether a column of this width can hold ``text``; what it cannot hold is in no row either."""
    return len(text) <= width and "\0" not in text and not _SURROGATE.search(text)
