"""How stored things are shown: as plain JSON values, their secrets masked; and how a body from outside is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from aigateway_core.errors import InvalidEntityError
from aigateway_core.secret import MASK, Secret
from aigateway_core.structuring import StructuringError, structure

BodyT = TypeVar("BodyT")


def structured(body: Mapping[str, Any], shape: type[BodyT]) -> BodyT:
    """``body`` as an instance of an attrs class. Raises :class:`InvalidEntityError` with every problem."""
    try:
        return structure(dict(body), shape)
    except StructuringError as error:
        raise InvalidEntityError(list(map(str, error.problems))) from error


def page(data: Sequence[Any], total: int, limit: int, offset: int) -> dict[str, Any]:
    """A part of a list; ``total`` counts all of it."""
    return {"data": list(data), "total": total, "limit": limit, "offset": offset}


def masked(fields: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Of each field that it is set, and its last four characters where that gives nothing away."""
    if fields is None:
        return None
    return {name: _set(value) for name, value in fields.items()}


def _set(value: Any) -> dict[str, Any]:
    secret = value if isinstance(value, Secret) else Secret(value if isinstance(value, str) else "")
    return {"set": value not in (None, ""), "last4": secret.last4}


def masked_url(url: str | None) -> str | None:
    """The URL without its password, which is as much a secret as any."""
    if url is None:
        return None
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    netloc = f"{parts.username}:{MASK}@{host}" if parts.username else host
    return urlunsplit((parts.scheme, netloc, parts.path, "", ""))


def iso(value: datetime | None) -> str | None:
    """A time as RFC 3339 has it."""
    return None if value is None else value.isoformat().replace("+00:00", "Z")
