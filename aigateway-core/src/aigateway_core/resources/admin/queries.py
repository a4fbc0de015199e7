"""What the admin endpoints have in common: how an answer is sent, and how a query is read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import falcon
from falcon.asgi import Request, Response

from aigateway_core.errors import InvalidRequestError, StaleChangeError
from aigateway_core.jsontext import dumps

_MOST_DIGITS = 12

MOST = 200
"""Rows of a list at a time."""


def answer(resp: Response, value: object) -> None:
    """Send ``value`` as JSON that nobody keeps, and no browser takes for anything else."""
    resp.content_type = falcon.MEDIA_JSON
    resp.set_header("cache-control", "no-store")
    resp.set_header("x-content-type-options", "nosniff")
    resp.data = dumps(value)


def answer_one(resp: Response, entity: Mapping[str, Any]) -> None:
    """Send one thing, with an ``ETag`` that tells whether it has been changed: the time of its last change."""
    answer(resp, entity)
    if entity.get("updated_at"):
        resp.set_header("etag", f'"{entity["updated_at"]}"')


def expected(req: Request) -> datetime | None:
    """When the thing to be changed was last changed as far as its caller knows (``If-Match``); None: whenever.

    Raises :class:`StaleChangeError` for what is no ``ETag`` of ours: it fits nothing (RFC 9110, 13.1.1).
    """
    said = req.get_header("if-match")
    if said is None or said.strip() == "*":
        return None
    try:
        return datetime.fromisoformat(said.strip().strip('"'))
    except ValueError:
        raise StaleChangeError("If-Match: expected the ETag of an earlier answer") from None


def limit(req: Request) -> int:
    """How many rows at most."""
    return number(req, "limit", default=20, least=1, most=MOST)


def offset(req: Request) -> int:
    """How many rows are left out at the beginning."""
    return number(req, "offset", default=0, least=0, most=1 << 31)


def number(req: Request, name: str, *, default: int, least: int, most: int) -> int:
    """A whole number. Raises :class:`InvalidRequestError`."""
    said = req.get_param(name)
    if said is None:
        return default
    if not said.isascii() or not said.isdigit() or len(said) > _MOST_DIGITS or not least <= int(said) <= most:
        raise InvalidRequestError(f"expected a whole number from {least} to {most}", path=name)
    return int(said)


def boolean(req: Request, name: str) -> bool | None:
    """True or false, None when nothing was said. Raises :class:`InvalidRequestError`."""
    said = req.get_param(name)
    if said not in {None, "true", "false"}:
        raise InvalidRequestError("expected true or false", path=name)
    return None if said is None else said == "true"


def time(req: Request, name: str) -> datetime | None:
    """A moment as RFC 3339 has it, None when nothing was said. Raises :class:`InvalidRequestError`."""
    said = req.get_param(name)
    if said is None:
        return None
    try:
        # A plus that was not escaped has become a space.
        moment = datetime.fromisoformat(said.replace(" ", "+"))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidRequestError("expected a time like 2026-05-04T12:00:00Z", path=name) from None


def choice(req: Request, name: str, *choices: str) -> str | None:
    """One of these words, None when nothing was said. Raises :class:`InvalidRequestError`."""
    said = req.get_param(name)
    if said is not None and said not in choices:
        raise InvalidRequestError(f"expected one of {', '.join(choices)}", path=name)
    return said
