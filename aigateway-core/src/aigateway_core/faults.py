"""What a failure at an upstream means: its kind, what it is held against, and whether the request was sent.

Two tables: one for a call that got no answer (httpx's exceptions), one for an answer that is a refusal (its status).
"""

from __future__ import annotations

from typing import NamedTuple

import httpx

from aigateway_core.dialects.waits import retry_after
from aigateway_core.errors import BY_STATUS, ErrorKind, Scope, UpstreamError, UpstreamFailure


class AddressRefusedError(httpx.ConnectError):
    """An engine will not connect to this address unless the operator allows it (``security.allow_private_hosts``)."""


NOT_SENT = "the upstream has seen nothing of the request"
"""The note that an engine leaves on a cancellation which met it before it had sent anything."""


class _Fault(NamedTuple):
    kind: ErrorKind
    scope: Scope
    dispatched: bool
    """Whether the upstream may have seen the request."""
    message: str


FAULTS = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError)
"""What a transport may raise."""

_UNKNOWN = _Fault(ErrorKind.INTERNAL, "request", False, "the request to the upstream could not be made")

_TABLE: dict[type[Exception], _Fault] = {
    # Most specific first.
    AddressRefusedError: _Fault(
        ErrorKind.INTERNAL,
        "request",
        False,
        "the upstream's address is not public; name it in security.allow_private_hosts to allow it",
    ),
    httpx.ConnectTimeout: _Fault(
        ErrorKind.TIMEOUT, "endpoint", False, "no connection to the upstream within the time limit"
    ),
    httpx.PoolTimeout: _Fault(ErrorKind.UNAVAILABLE, "request", False, "the gateway cannot open another connection"),
    httpx.ReadTimeout: _Fault(ErrorKind.TIMEOUT, "request", True, "the upstream fell silent"),
    httpx.WriteTimeout: _Fault(ErrorKind.TIMEOUT, "request", True, "the upstream stopped reading the request"),
    httpx.ProxyError: _Fault(
        ErrorKind.UNAVAILABLE, "outbound_proxy", False, "the outbound proxy did not let us through"
    ),
    httpx.ConnectError: _Fault(ErrorKind.UNAVAILABLE, "endpoint", False, "the upstream cannot be reached"),
    httpx.UnsupportedProtocol: _Fault(
        ErrorKind.INTERNAL, "request", False, "the upstream's address is not an http or https URL"
    ),
    httpx.InvalidURL: _Fault(ErrorKind.INTERNAL, "request", False, "the upstream's address is not a valid URL"),
    httpx.LocalProtocolError: _UNKNOWN,
    httpx.RemoteProtocolError: _Fault(ErrorKind.PROTOCOL, "request", True, "the upstream broke off its answer"),
    httpx.DecodingError: _Fault(ErrorKind.PROTOCOL, "request", True, "the upstream's answer cannot be decoded"),
    httpx.NetworkError: _Fault(ErrorKind.UNAVAILABLE, "request", True, "the connection to the upstream broke"),
    httpx.TransportError: _Fault(ErrorKind.UNAVAILABLE, "request", True, "the connection to the upstream failed"),
    httpx.HTTPError: _Fault(ErrorKind.PROTOCOL, "request", True, "the exchange with the upstream failed"),
    httpx.StreamError: _Fault(ErrorKind.INTERNAL, "request", True, "the upstream's answer was read twice"),
}


def fault_of(error: Exception, *, proxied: bool) -> UpstreamError:
    """One of :data:`FAULTS` (or anything else) as an :class:`UpstreamError`.

    Where an outbound proxy stands between, a connection that cannot be made is held against the proxy: through it, an
    upstream that is away cannot be told from a proxy that has no way out.
    """
    fault = next((fault for known, fault in _TABLE.items() if isinstance(error, known)), _UNKNOWN)
    scope: Scope = "outbound_proxy" if proxied and fault.scope == "endpoint" else fault.scope
    return UpstreamError(fault.kind, fault.message, scope=scope, dispatched=fault.dispatched)


def classify_status(failure: UpstreamFailure) -> UpstreamError:
    """Kind and scope by HTTP status alone: what stands when neither the provider nor its dialect knows better.

    401 and 402 speak about the account, 429 about the account with this model, everything else about the request alone.
    """
    other = ErrorKind.SERVER if failure.status >= 500 else ErrorKind.INVALID_REQUEST
    kind, scope = BY_STATUS.get(failure.status, (other, "request"))
    return UpstreamError(
        kind,
        f"the upstream answered with status {failure.status}",
        scope=scope,
        retry_after=retry_after(failure.headers),
        status=failure.status,
    )
