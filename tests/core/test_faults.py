"""What failures mean: every exception of httpx, every status."""

from __future__ import annotations

import httpx
import pytest

from aigateway_core.errors import ErrorKind, Scope, UpstreamFailure
from aigateway_core.faults import FAULTS, AddressRefusedError, classify_status, fault_of

MEANINGS: dict[type[Exception], tuple[ErrorKind, Scope, bool]] = {
    AddressRefusedError: (ErrorKind.INTERNAL, "request", False),
    httpx.CloseError: (ErrorKind.UNAVAILABLE, "request", True),
    httpx.ConnectError: (ErrorKind.UNAVAILABLE, "endpoint", False),
    httpx.ConnectTimeout: (ErrorKind.TIMEOUT, "endpoint", False),
    httpx.DecodingError: (ErrorKind.PROTOCOL, "request", True),
    httpx.HTTPStatusError: (ErrorKind.PROTOCOL, "request", True),
    httpx.InvalidURL: (ErrorKind.INTERNAL, "request", False),
    httpx.LocalProtocolError: (ErrorKind.INTERNAL, "request", False),
    httpx.PoolTimeout: (ErrorKind.UNAVAILABLE, "request", False),
    httpx.ProxyError: (ErrorKind.UNAVAILABLE, "outbound_proxy", False),
    httpx.ReadError: (ErrorKind.UNAVAILABLE, "request", True),
    httpx.ReadTimeout: (ErrorKind.TIMEOUT, "request", True),
    httpx.RemoteProtocolError: (ErrorKind.PROTOCOL, "request", True),
    httpx.RequestNotRead: (ErrorKind.INTERNAL, "request", True),
    httpx.ResponseNotRead: (ErrorKind.INTERNAL, "request", True),
    httpx.StreamClosed: (ErrorKind.INTERNAL, "request", True),
    httpx.StreamConsumed: (ErrorKind.INTERNAL, "request", True),
    httpx.TooManyRedirects: (ErrorKind.PROTOCOL, "request", True),
    httpx.UnsupportedProtocol: (ErrorKind.INTERNAL, "request", False),
    httpx.WriteError: (ErrorKind.UNAVAILABLE, "request", True),
    httpx.WriteTimeout: (ErrorKind.TIMEOUT, "request", True),
}

OF_THE_CLIENT_CLASS = {httpx.CookieConflict}
"""What only httpx.AsyncClient could raise, which is not used."""


def test_no_exception_of_httpx_is_forgotten() -> None:
    every = {kind for kind in vars(httpx).values() if isinstance(kind, type) and issubclass(kind, Exception)}
    leaves = {kind for kind in every if not any(other is not kind and issubclass(other, kind) for other in every)}
    assert leaves - OF_THE_CLIENT_CLASS == MEANINGS.keys() - {AddressRefusedError, httpx.ConnectError} | {
        httpx.ConnectError
    }
    assert all(issubclass(kind, FAULTS) for kind in MEANINGS)


def instance(kind: type[Exception]) -> Exception:
    error = kind.__new__(kind)
    error.args = ("https://user:hunter22@vendor.test/?key=hunter22",)
    return error


@pytest.mark.parametrize("kind", MEANINGS, ids=lambda kind: kind.__name__)
def test_an_exception_has_its_meaning_and_shows_nothing_of_itself(kind: type[Exception]) -> None:
    error = fault_of(instance(kind), proxied=False)
    assert (error.kind, error.scope, error.dispatched) == MEANINGS[kind]
    assert "hunter22" not in str(error)


@pytest.mark.parametrize("kind", MEANINGS, ids=lambda kind: kind.__name__)
def test_with_a_proxy_between_only_a_failure_to_connect_is_held_against_it(kind: type[Exception]) -> None:
    expected = MEANINGS[kind][1]
    blamed = "outbound_proxy" if expected == "endpoint" else expected
    assert fault_of(instance(kind), proxied=True).scope == blamed


def test_the_scope_is_never_wider_than_what_could_not_be_reached() -> None:
    assert {scope for _, scope, _ in MEANINGS.values()} == {"request", "endpoint", "outbound_proxy"}
    assert all(not dispatched for _, scope, dispatched in MEANINGS.values() if scope != "request")


@pytest.mark.parametrize(
    ("status", "kind", "scope"),
    [
        (400, ErrorKind.INVALID_REQUEST, "request"),
        (401, ErrorKind.CREDENTIAL, "account"),
        (402, ErrorKind.QUOTA, "account"),
        (403, ErrorKind.CREDENTIAL, "request"),
        (404, ErrorKind.MODEL_NOT_FOUND, "request"),
        (408, ErrorKind.TIMEOUT, "request"),
        (413, ErrorKind.TOO_LARGE, "request"),
        (418, ErrorKind.INVALID_REQUEST, "request"),
        (422, ErrorKind.INVALID_REQUEST, "request"),
        (429, ErrorKind.RATE_LIMIT, "model"),
        (500, ErrorKind.SERVER, "request"),
        (502, ErrorKind.SERVER, "request"),
        (503, ErrorKind.OVERLOADED, "request"),
        (504, ErrorKind.TIMEOUT, "request"),
        (529, ErrorKind.OVERLOADED, "request"),
        (599, ErrorKind.SERVER, "request"),
    ],
)
def test_a_status_has_its_kind_and_scope(status: int, kind: ErrorKind, scope: Scope) -> None:
    error = classify_status(UpstreamFailure(status, {"retry-after": "7"}, b"no"))
    assert (error.kind, error.scope, error.status, error.retry_after) == (kind, scope, status, 7.0)
    assert error.dispatched
