"""The keys that only the environment may give: what opens the gateway, and what its secrets are sealed with."""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from aigateway_core.secret import Secret

_MAKE_KEY = "python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
_MIN_KEY_LENGTH = 32
_MIN_KEY_VARIETY = 8
_PLACEHOLDER = re.compile(r"(?i)change[-_ ]?me|your[-_ ]|placeholder|replace[-_ ]|example|^sk-1234|password")


@attrs.frozen(kw_only=True)
class KeySettings:
    """Keys that only the environment may give: ``AIGATEWAY_ADMIN_KEY`` and its like."""

    admin: Secret | None = None
    client: Secret | None = None
    master: Secret | None = None


def keys_of(environ: Mapping[str, str]) -> tuple[KeySettings, list[str]]:
    """The keys, and a line for each that will not do."""
    given = {role: _secret(environ.get(f"AIGATEWAY_{role}_KEY")) for role in ("ADMIN", "CLIENT", "MASTER")}
    problems = [
        f"AIGATEWAY_{role}_KEY: {trouble}; make one with: {_MAKE_KEY}"
        for role in ("ADMIN", "CLIENT")
        if (key := given[role]) and (trouble := _weakness(key.reveal()))
    ]
    if given["ADMIN"] and given["ADMIN"] == given["CLIENT"]:
        problems.append("AIGATEWAY_CLIENT_KEY: is the admin key; the two must differ")
    return KeySettings(admin=given["ADMIN"], client=given["CLIENT"], master=given["MASTER"]), problems


def _secret(value: str | None) -> Secret | None:
    return Secret(value) if value else None


def _weakness(key: str) -> str | None:
    if not key.isascii() or not key.isprintable() or " " in key:
        return "has characters that no HTTP header can carry"
    if _PLACEHOLDER.search(key) or len(set(key)) < min(_MIN_KEY_VARIETY, len(key)):
        return "is a placeholder"
    if len(key) < _MIN_KEY_LENGTH:
        return f"is too short: at least {_MIN_KEY_LENGTH} characters"
    return None
