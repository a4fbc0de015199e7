"""The credential of an account that logged in, and how its age is read."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from aigateway_core.plugin import Secret

ASSUMED_LIFETIME = 3600.0
"""Seconds that a token lives when its provider does not say so in a number."""


def fit_for_a_header(token: str) -> bool:
    """Whether an HTTP header can carry this token."""
    return bool(token) and token.isascii() and token.isprintable() and " " not in token


def _fit(_: Any, attribute: attrs.Attribute[Secret | None], secret: Secret | None) -> None:
    if secret is not None and not fit_for_a_header(secret.reveal()):
        message = "is empty, or has spaces or characters that no HTTP header can carry"
        raise ValueError(message, attribute)


@attrs.frozen(kw_only=True)
class OAuthCredential:
    """``auth_data`` of an account that logged in.

    ``client_id`` is the client that the tokens were issued to, when that is not the configured one. ``expires_at`` is
    an ISO 8601 time, or seconds or milliseconds since 1970. Where it cannot be read, ``timestamp`` (likewise), when the
    token was given out, and ``expires_in`` (seconds) tell it; a token whose end nothing tells counts as ended.
    """

    access_token: Secret | None = attrs.field(default=None, validator=_fit)
    refresh_token: Secret | None = None
    token_url: str | None = None
    client_id: str | None = None
    client_secret: Secret | None = None
    expires_at: Any = None
    expires_in: Any = None
    timestamp: Any = None
    token_type: str = "Bearer"  # noqa: S105 - a scheme

    def __attrs_post_init__(self) -> None:
        if not self.access_token and not self.refresh_token:
            raise ValueError("has neither access_token nor refresh_token; to get them: aigateway-core login PROVIDER")


def end_of(credential: OAuthCredential) -> datetime | None:
    """When its access token ends; None when nothing tells."""
    told = moment(credential.expires_at)
    given_out, lifetime = moment(credential.timestamp), _number(credential.expires_in)
    if told is not None or given_out is None or lifetime is None:
        return told
    return end_of_life(lifetime, given_out)


def moment(expires_at: Any) -> datetime | None:
    """The time that ``expires_at`` tells, however it is written; None when it tells none."""
    seconds = _number(expires_at)
    if seconds is not None:
        seconds = seconds / 1000 if seconds > 1e11 else seconds
    else:
        try:
            found = datetime.fromisoformat(str(expires_at))
        except ValueError:
            return None
        seconds = found.replace(tzinfo=found.tzinfo or UTC).timestamp()
    return datetime.fromtimestamp(min(max(seconds, 0.0), 4e9), UTC)


def end_of_life(expires_in: Any, asked_at: datetime) -> datetime:
    """When a token ends that was asked for then. What is no number counts as an hour, and nothing lives for ever."""
    seconds = _number(expires_in)
    return asked_at + timedelta(seconds=min(max(ASSUMED_LIFETIME if seconds is None else seconds, 0.0), 4e8))


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
