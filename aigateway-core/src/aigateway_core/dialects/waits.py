"""How long to wait, as upstreams write it: in a header, in a message, or as a duration by itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

LONGEST_WAIT = 7 * 86400.0
"""Seconds. Quotas may last a week; a wait beyond that is taken for a mistake."""

_LONGEST_TEXT = 40
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_NUMBER = re.compile(r"[ \t]*[+-]?[0-9]+(?:\.[0-9]*)?[ \t]*")
_TOLD = re.compile(r"(?:retry in|resets? (?:in|after)|try again in) ((?:\d+(?:\.\d+)?(?:ms|h|m|s))+)", re.IGNORECASE)


def wait_in(message: str) -> float | None:
    """Seconds from "Please try again in 1.5s", which OpenAI and Google, and others after them, write into the text."""
    return None if (found := _TOLD.search(message)) is None else duration(found[1])


def duration(value: Any) -> float | None:
    """Seconds of ``3.2s``, ``71h15m27.79s`` or ``{"seconds": 3, "nanos": 5}``, at most a week; None for anything else.

    An object leaves out what is zero, as everything does that was a protobuf message.
    """
    if type(value) is dict:
        value = f"{value.get('seconds') or 0}s" + _nanoseconds(value.get("nanos")) if value else None
    if type(value) is not str or len(value) > _LONGEST_TEXT:
        return None
    pieces = list(_DURATION.finditer(value))
    if not pieces or "".join(piece[0] for piece in pieces) != value:
        return None
    return min(sum(float(piece[1]) * _SECONDS[piece[2].lower()] for piece in pieces), LONGEST_WAIT)


def _nanoseconds(value: Any) -> str:
    return f"{value / 1e6:.6f}ms" if type(value) is int and 0 < value < 1_000_000_000 else ""


def until(moment: Any) -> float | None:
    """Seconds from now to ``2026-08-25T09:15:27Z``, at most a week, and none at all once it is past."""
    if type(moment) is not str or len(moment) > _LONGEST_TEXT:
        return None
    try:
        when = datetime.fromisoformat(moment)
    except ValueError:
        return None
    return min(max(_seconds_to(when), 0.0), LONGEST_WAIT)


def retry_after(headers: Mapping[str, str], *, most: float = 3600.0) -> float | None:
    """Seconds to wait: ``retry-after-ms`` or ``retry-after`` (seconds or an HTTP date), held within 0 and ``most``.

    None when neither is there, or both are junk.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        seconds: float | None = milliseconds / 1000
    else:
        value = headers.get("retry-after", "")
        seconds = _number(value)
        if seconds is None:
            seconds = _to_date(value)
    return None if seconds is None else min(max(seconds, 0.0), most)


def _number(value: str) -> float | None:
    return float(value) if _NUMBER.fullmatch(value) else None


def _to_date(date: str) -> float | None:
    try:
        return _seconds_to(parsedate_to_datetime(date))
    except ValueError:
        return None


def _seconds_to(when: datetime) -> float:
    # "-0000" says UTC of an unknown place, which the parser of dates gives without a zone.
    return (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
