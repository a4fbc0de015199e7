"""What a refusal may be taken for: the widest reading of each status that is still true.

A status says little. 401 and 402 speak about the account; 429 about the account, or less; 400, 413 and 422 about this
one request; 5xx about the vendor's machinery at most, never about the account. A provider that knows its vendor's codes
may say something narrower, and nothing wider.
"""

from __future__ import annotations

import attrs

from aigateway_core.plugin import ErrorKind, Scope, UpstreamError

_THIS_REQUEST = frozenset(
    {
        ErrorKind.INVALID_REQUEST,
        ErrorKind.UNSUPPORTED,
        ErrorKind.CONTEXT_LENGTH,
        ErrorKind.CONTENT_FILTER,
        ErrorKind.TOO_LARGE,
        ErrorKind.MODEL_NOT_FOUND,
        ErrorKind.NOT_FOUND,
    }
)
_MACHINERY = frozenset(
    {ErrorKind.SERVER, ErrorKind.OVERLOADED, ErrorKind.UNAVAILABLE, ErrorKind.TIMEOUT, ErrorKind.PROTOCOL}
)


@attrs.frozen
class Reading:
    """The kinds and scopes that a refusal with one status may be given."""

    kinds: frozenset[ErrorKind]
    scopes: frozenset[Scope]


def _reading(kinds: frozenset[ErrorKind] | set[ErrorKind], *scopes: Scope) -> Reading:
    return Reading(frozenset(kinds), frozenset({"request", *scopes}))


READINGS: dict[int, Reading] = {
    400: _reading(_THIS_REQUEST),
    401: _reading({ErrorKind.CREDENTIAL, ErrorKind.BANNED}, "model", "account"),
    402: _reading({ErrorKind.QUOTA, ErrorKind.CREDENTIAL}, "model", "account"),
    403: _reading(
        _THIS_REQUEST | {ErrorKind.CREDENTIAL, ErrorKind.BANNED, ErrorKind.QUOTA, ErrorKind.FORBIDDEN},
        "model",
        "account",
    ),
    404: _reading(_THIS_REQUEST, "model", "endpoint"),
    408: _reading({ErrorKind.TIMEOUT}, "endpoint"),
    413: _reading(_THIS_REQUEST),
    422: _reading(_THIS_REQUEST),
    429: _reading({ErrorKind.RATE_LIMIT, ErrorKind.QUOTA, ErrorKind.OVERLOADED}, "model", "account"),
    500: _reading(_MACHINERY, "model", "endpoint"),
    502: _reading(_MACHINERY, "model", "endpoint"),
    503: _reading(_MACHINERY, "model", "endpoint"),
    529: _reading(_MACHINERY, "model", "endpoint"),
}
"""By HTTP status. The ``model`` scope (this account with this model) is narrower than ``account``."""


STRANGE_BODIES: dict[str, bytes] = {
    "nothing": b"",
    "a page": b"<html><body>Bad gateway</body></html>",
    "a list": b'[{"error":{"message":"no"}}]',
    "null": b"null",
    "a text as the error": b'{"error":"no"}',
    "an error without words": b'{"error":{"message":null,"type":null,"code":7}}',
    "half a body": b'{"error":{"mess',
    "no text at all": b"\xff\xfe\x00",
}
"""What proxies, load balancers and careless vendors answer with."""


def check_reading(status: int, error: UpstreamError) -> None:
    """Assert that ``error`` is a true reading of ``status``."""
    reading = READINGS[status]
    kinds, scopes = ", ".join(sorted(reading.kinds)), ", ".join(sorted(reading.scopes))
    assert error.kind in reading.kinds, f"status {status} was read as {error.kind}; true would be one of: {kinds}"
    assert error.scope in reading.scopes, f"status {status} speaks about {scopes} at most, not about the {error.scope}"
    assert error.status in (None, status), f"status {status} was recorded as {error.status}"
