"""The words of an upstream's refusal, as far as a client may see them."""

from __future__ import annotations

import re
from typing import Any

from aigateway_core.errors import ErrorKind, Verdict

MAX_MESSAGE = 2000
"""Characters of an upstream's message that are passed on."""


_SHUT_OUT = re.compile(
    r"\b(?:account|organi[sz]ation|workspace|consumer)\b[^.]{0,80}\b(?:has|have) been (?:\w+ )?"
    r"(?:banned|suspended|deactivated|disabled|terminated|blocked)\b"
    r"|\bfor (?:a )?violati(?:on|ng) (?:of )?(?:the |our )?terms of service\b",
    re.IGNORECASE,
)
_NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1f]")
_ORGANISATION_DISABLED = re.compile(r"this organi[sz]ation has been disabled\.?", re.IGNORECASE)


def readable(value: Any) -> str | None:
    """A message fit to be shown: no page of HTML, no bytes of anything, never longer than :data:`MAX_MESSAGE`."""
    if type(value) is not str:
        return None
    text = value.strip()
    if not text or _NO_TEXT.search(text) or text.startswith("<") or "<html" in text[:MAX_MESSAGE].lower():
        return None
    return text[:MAX_MESSAGE]


def shut_out(status: int, message: str | None) -> Verdict | None:
    """What it means when a vendor says that it has shut this account out; None when it does not say so.

    Believed only where the status speaks of the caller: a 400 may repeat what stood in the request. Anthropic alone
    says it with a 400, and nothing else.
    """
    if message is None:
        return None
    if status in (401, 403):
        found = _SHUT_OUT.search(message)
    else:
        found = _ORGANISATION_DISABLED.fullmatch(message) if status == 400 else None
    return (ErrorKind.BANNED, "account") if found else None
