"""GLM's error codes. The HTTP status says little: an empty balance, a locked account and a busy minute are all 429.

Source: the error code and rate limit pages of docs.bigmodel.cn and docs.z.ai (2026).
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal

import attrs

from aigateway_core.plugin import ErrorKind, Scope, UpstreamError, UpstreamFailure, retry_after

CHINA = timezone(timedelta(hours=8))
"""Times in messages, and the days that quotas are counted in, are China's."""

_LONGEST_WAIT = timedelta(days=30).total_seconds()
_MESSAGE_LENGTH = 500


@attrs.frozen
class Verdict:
    """What a code means. ``wait`` is in seconds, unless ``until`` tells it better.

    ``reset``: the time that the message names. ``midnight``: the end of the day in China.
    """

    kind: ErrorKind
    scope: Scope = "request"
    wait: float | None = None
    until: Literal["reset", "midnight"] | None = None


_INVALID = Verdict(ErrorKind.INVALID_REQUEST)
_LOCKED_OUT = Verdict(ErrorKind.CREDENTIAL, "account")
_BANNED = Verdict(ErrorKind.BANNED, "account")
_PASSING = Verdict(ErrorKind.SERVER)

VERDICTS: dict[str, Verdict] = {
    "500": _PASSING,
    "1000": _LOCKED_OUT,
    "1001": _LOCKED_OUT,
    "1002": _LOCKED_OUT,
    "1003": _LOCKED_OUT,
    "1004": _LOCKED_OUT,
    "1100": _PASSING,
    "1110": _LOCKED_OUT,  # not active
    "1111": _LOCKED_OUT,  # does not exist
    "1112": _BANNED,  # locked
    "1113": Verdict(ErrorKind.QUOTA, "account", wait=1800),  # no balance, or a plan's key on the general endpoint
    "1120": Verdict(ErrorKind.UNAVAILABLE, "account", wait=10),  # the account cannot be reached for now
    "1121": _BANNED,  # locked for violations
    "1200": _PASSING,
    "1210": _INVALID,
    "1211": Verdict(ErrorKind.MODEL_NOT_FOUND),
    "1212": _INVALID,
    "1213": _INVALID,
    "1214": _INVALID,
    "1215": _INVALID,
    "1220": Verdict(ErrorKind.CREDENTIAL, "model"),  # this account may not use this
    "1221": Verdict(ErrorKind.NOT_FOUND),
    "1222": Verdict(ErrorKind.NOT_FOUND),
    "1230": _PASSING,
    "1231": _INVALID,  # a request id that was used before
    "1234": _PASSING,
    "1261": Verdict(ErrorKind.CONTEXT_LENGTH),
    "1300": Verdict(ErrorKind.CONTENT_FILTER),
    "1301": Verdict(ErrorKind.CONTENT_FILTER),
    "1302": Verdict(ErrorKind.RATE_LIMIT, "model", wait=5),  # too many at a time
    "1303": Verdict(ErrorKind.RATE_LIMIT, "model", wait=30),  # too often
    "1304": Verdict(ErrorKind.QUOTA, "account", wait=3600, until="midnight"),
    "1305": Verdict(ErrorKind.OVERLOADED, wait=2),  # the platform is, whoever asks
    "1308": Verdict(ErrorKind.QUOTA, "account", wait=3600, until="reset"),  # the five hours of a plan
    "1309": Verdict(ErrorKind.QUOTA, "account", wait=3600),  # the plan has ended
    "1310": Verdict(ErrorKind.QUOTA, "account", wait=3600, until="reset"),  # the week or the month of a plan
    "1311": Verdict(ErrorKind.QUOTA, "model", wait=3600),  # the plan does not include this model
    "1312": Verdict(ErrorKind.OVERLOADED, wait=5),
    "1313": Verdict(ErrorKind.RATE_LIMIT, "account", wait=3600),  # fair use
}


def classify(failure: UpstreamFailure, *, now: datetime | None = None) -> UpstreamError | None:
    """The error that a refusal is, by GLM's own code; None when it holds no code that is known."""
    code, message = _code_and_message(failure.body)
    verdict = VERDICTS.get(code)
    if verdict is None:
        return None
    wait = retry_after(failure.headers)
    return UpstreamError(
        verdict.kind,
        f"GLM: {message[:_MESSAGE_LENGTH] or 'no reason given'} (code {code})",
        scope=verdict.scope,
        retry_after=_wait(verdict, message, now or datetime.now(UTC)) if wait is None else wait,
        status=failure.status,
        code=code,
    )


def _wait(verdict: Verdict, message: str, now: datetime) -> float | None:
    if verdict.until is None:
        return verdict.wait
    until = _midnight(now) if verdict.until == "midnight" else _reset(message)
    return verdict.wait if until is None else min(max((until - now).total_seconds(), 1.0), _LONGEST_WAIT)


def _midnight(now: datetime) -> datetime:
    return now.astimezone(CHINA).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def _reset(message: str) -> datetime | None:
    """From "… Your limit will reset at 2026-11-22 18:30:00"."""
    found = re.search(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}", message)
    try:
        return datetime.fromisoformat(found.group()).replace(tzinfo=CHINA) if found else None
    except ValueError:
        return None


def _code_and_message(body: bytes) -> tuple[str, str]:
    """From ``{"error": {"code": "1302", "message": …}}``, the same without ``error``, or with ``msg``."""
    try:
        value = json.loads(body)
    except ValueError:
        return "", ""
    error = value.get("error", value) if isinstance(value, dict) else None
    if not isinstance(error, dict):
        return "", ""
    return _text(error.get("code")), _text(error.get("message") or error.get("msg"))


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
