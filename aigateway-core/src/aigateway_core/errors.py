"""Everything that can go wrong, as one tree.

::

    GatewayError                        kind, message (safe to show to a client), retry_after
    ├── ConfigurationError              at start only: exit code 78
    │   ├── SettingsError               problems: one line each, with its path
    │   └── PluginError                 a plugin that cannot be loaded or used
    ├── ClientError                     the caller's to mend
    │   ├── InvalidRequestError         problem at a path in the body
    │   ├── InvalidEntityError          what is to be stored is not acceptable: every problem, with its path
    │   ├── UnsupportedFeatureError     understood, but this provider cannot do it
    │   ├── UnauthorizedError           no or wrong key
    │   ├── ForbiddenError              right key, not allowed
    │   ├── UnknownModelError           no provider for this model
    │   ├── NotFoundError               no such thing
    │   ├── MethodNotAllowedError       the path exists, but not for this method
    │   ├── ConflictError               contradicts what is stored, or what the configuration file says
    │   │   └── StaleChangeError        what was read has been changed since
    │   ├── RequestTooLargeError        over the body cap
    │   └── RequestTimeoutError         the body came too slowly
    ├── NoAccountError                  no account that could serve it now
    ├── UnavailableError                a part of the gateway is away (storage) or it is stopping
    └── UpstreamError                   a provider's answer, or the lack of one: with its scope
        └── LoginNeededError            the account's login is over

Text reaches a client only from these classes; any other exception is answered with a bare "internal error".
A dialect maps :class:`ErrorKind` to its own status and words.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar, Literal, TypeAlias, get_args

from typing_extensions import override


class ErrorKind(StrEnum):
    """What happened, in the gateway's own terms: each dialect has a table from these to its statuses and types."""

    INVALID_REQUEST = "invalid_request"
    UNSUPPORTED = "unsupported"
    CONTEXT_LENGTH = "context_length"
    CONTENT_FILTER = "content_filter"
    TOO_LARGE = "too_large"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    MODEL_NOT_FOUND = "model_not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    CONFLICT = "conflict"
    REQUEST_TIMEOUT = "request_timeout"
    RATE_LIMIT = "rate_limit"
    QUOTA = "quota"
    CREDENTIAL = "credential"
    BANNED = "banned"
    OVERLOADED = "overloaded"
    SERVER = "server"
    UNAVAILABLE = "unavailable"
    TIMEOUT = "timeout"
    PROTOCOL = "protocol"
    INTERNAL = "internal"


Scope: TypeAlias = Literal["request", "model", "quota_group", "account", "endpoint", "outbound_proxy", "provider"]
"""What a failure speaks about. ``request``: this one call, nothing is held against anybody. ``model``: this account
with this model. ``quota_group``: this account with every model that shares a quota with this one. ``account``: the
account whatever the model. ``endpoint``: this base URL. ``outbound_proxy``: the way out. ``provider``: the vendor as a
whole."""

Verdict: TypeAlias = tuple[ErrorKind, Scope]
"""What a refusal means, and how far it reaches."""

BY_STATUS: Mapping[int, Verdict] = {
    400: (ErrorKind.INVALID_REQUEST, "request"),
    401: (ErrorKind.CREDENTIAL, "account"),
    402: (ErrorKind.QUOTA, "account"),
    403: (ErrorKind.CREDENTIAL, "request"),
    404: (ErrorKind.MODEL_NOT_FOUND, "request"),
    408: (ErrorKind.TIMEOUT, "request"),
    413: (ErrorKind.TOO_LARGE, "request"),
    422: (ErrorKind.INVALID_REQUEST, "request"),
    429: (ErrorKind.RATE_LIMIT, "model"),
    503: (ErrorKind.OVERLOADED, "request"),
    504: (ErrorKind.TIMEOUT, "request"),
    # It goes round in a circle: asking again only makes more of it.
    508: (ErrorKind.INTERNAL, "request"),
    529: (ErrorKind.OVERLOADED, "request"),
}
"""What an upstream's HTTP status says by itself, where neither its vendor nor its dialect knows better."""

_RETRYABLE = frozenset(
    {
        ErrorKind.RATE_LIMIT,
        ErrorKind.QUOTA,
        ErrorKind.CREDENTIAL,
        ErrorKind.BANNED,
        ErrorKind.OVERLOADED,
        ErrorKind.SERVER,
        ErrorKind.UNAVAILABLE,
        ErrorKind.TIMEOUT,
        ErrorKind.PROTOCOL,
    }
)


_A_HOSTS_OWN = frozenset({ErrorKind.OVERLOADED, ErrorKind.SERVER, ErrorKind.UNAVAILABLE, ErrorKind.MODEL_NOT_FOUND})


class GatewayError(Exception):
    """Root of the tree. ``message`` may be shown to a client; ``retry_after`` is in seconds."""

    kind: ErrorKind = ErrorKind.INTERNAL

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after


class ConfigurationError(GatewayError):
    """The gateway cannot start as it is configured."""

    exit_code: ClassVar[int] = 78


class SettingsError(ConfigurationError):
    """The configuration is wrong; ``problems`` has one line for each thing to mend, with its path."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class PluginError(ConfigurationError):
    """A plugin cannot be loaded or used; the message names its distribution and the way out."""


class ClientError(GatewayError):
    """The caller has to change something."""

    kind = ErrorKind.INVALID_REQUEST


class InvalidRequestError(ClientError):
    """The body is not what the dialect asks for; ``path`` says where (``messages[2].content[0].type``)."""

    def __init__(self, message: str, *, path: str | None = None) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path


class InvalidEntityError(ClientError):
    """What is to be stored is not acceptable; ``problems`` has one line for each thing to mend, with its path."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class UnsupportedFeatureError(ClientError):
    """A field that changes the meaning of the answer, and that the chosen provider cannot honour."""

    kind = ErrorKind.UNSUPPORTED

    def __init__(self, message: str, *, path: str | None = None) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path


class UnauthorizedError(ClientError):
    """No key, or one that is not known. The message is the same for both."""

    kind = ErrorKind.UNAUTHORIZED


class ForbiddenError(ClientError):
    """The key is known, and does not open this."""

    kind = ErrorKind.FORBIDDEN


class UnknownModelError(ClientError):
    """No provider serves this model; ``model`` is the name that was asked for, which some dialects repeat alone."""

    kind = ErrorKind.MODEL_NOT_FOUND

    def __init__(self, message: str, *, model: str | None = None) -> None:
        super().__init__(message)
        self.model = model


class NotFoundError(ClientError):
    """There is no such path or thing."""

    kind = ErrorKind.NOT_FOUND


class MethodNotAllowedError(ClientError):
    """The path exists, but not for this method."""

    kind = ErrorKind.METHOD_NOT_ALLOWED


class ConflictError(ClientError):
    """The change contradicts what is stored, or what the configuration file says."""

    kind = ErrorKind.CONFLICT


class StaleChangeError(ConflictError):
    """What is to be changed is no longer what the caller has read (``If-Match``)."""


class RequestTooLargeError(ClientError):
    """The body is over the cap (``server.max_body_bytes``)."""

    kind = ErrorKind.TOO_LARGE


class RequestTimeoutError(ClientError):
    """The body did not arrive in time (``server.body_timeout``)."""

    kind = ErrorKind.REQUEST_TIMEOUT


class NoAccountError(GatewayError):
    """The provider has no account that could take the call now."""

    kind = ErrorKind.RATE_LIMIT

    def __init__(
        self, message: str, *, kind: ErrorKind = ErrorKind.RATE_LIMIT, retry_after: float | None = None
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.kind = kind


class UnavailableError(GatewayError):
    """A part of the gateway is away, or it is shutting down."""

    kind = ErrorKind.UNAVAILABLE
    SHUTTING_DOWN: ClassVar[str] = "the gateway is shutting down"


class UpstreamError(GatewayError):
    """A provider said no, said nonsense, or said nothing.

    ``scope`` decides what is held against whom: the default, ``request``, holds nothing against anybody, so that a
    plugin's mistake cannot punish an account. ``retry_after`` is in seconds; what is no time to wait counts as not
    said. ``dispatched`` is false when it is certain that the upstream never saw the request. ``status`` and ``code``
    are the upstream's own, for the log; ``param`` is the field that it complained of, if it said. ``remedy`` is what
    the account's owner has to do (an address to visit, say) before it can be used again: only operators are shown it.
    Raises :class:`ValueError` for a ``kind`` that does not exist.
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        scope: Scope = "request",
        retry_after: float | None = None,
        dispatched: bool = True,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        remedy: str | None = None,
    ) -> None:
        # What an upstream says may reach this place unread: odd values must not turn up where it is told or stored.
        super().__init__(str(message or "the upstream gave no reason"), retry_after=_wait(retry_after))
        self.kind = ErrorKind(kind)
        self.scope: Scope = scope if scope in get_args(Scope) else "request"
        self.dispatched = dispatched
        self.status = status if isinstance(status, int) else None
        self.code = None if code is None else str(code)
        self.param = None if param is None else str(param)
        self.remedy = None if remedy is None else str(remedy)

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed elsewhere: on another account, or a little later.

        A model that this account does not have, another one may.
        """
        return self.kind in _RETRYABLE or (self.kind is ErrorKind.MODEL_NOT_FOUND and self.scope == "model")

    @property
    def is_the_hosts(self) -> bool:
        """Whether another host of the same vendor might answer: this one is away, full, broken or behind.

        What is the account's own trouble (its identity provider is away, say), or its way out's, no host mends.
        """
        return self.scope == "endpoint" or (
            self.kind in _A_HOSTS_OWN and self.scope not in ("account", "outbound_proxy")
        )


class LoginNeededError(UpstreamError):
    """The login of an account is over: nothing but a new one by its owner brings it back.

    To be raised when that is certain (``invalid_grant``), since the account is not asked again before.
    """

    def __init__(self, message: str, *, status: int | None = None, code: str | None = None) -> None:
        super().__init__(ErrorKind.CREDENTIAL, message, scope="account", dispatched=False, status=status, code=code)


_LONGEST_WAIT = 30 * 86400.0


def _wait(seconds: float | None) -> float | None:
    """``seconds`` if they are a time that somebody could wait, at most a month."""
    if not isinstance(seconds, int | float) or not seconds >= 0:
        return None
    return min(seconds, _LONGEST_WAIT)


class UpstreamFailure:
    """A refusal as it came from an upstream: what a provider's ``classify_error`` turns into an :class:`UpstreamError`.

    ``status`` is the HTTP status (200 for an error inside a stream or an answer), ``headers`` have lower-case names,
    ``body`` is as received but for a compression that nobody asked for, cut after 64 KiB.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @override
    def __repr__(self) -> str:
        return f"UpstreamFailure(status={self.status}, {len(self.body)} bytes)"
