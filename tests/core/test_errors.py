"""The error tree."""

from __future__ import annotations

import inspect
import re

import pytest

from aigateway_core import errors
from aigateway_core.errors import (
    ErrorKind,
    GatewayError,
    InvalidRequestError,
    NoAccountError,
    SettingsError,
    UnsupportedFeatureError,
    UpstreamError,
    UpstreamFailure,
)


def test_the_tree_in_the_documentation_is_the_tree_in_the_code() -> None:
    drawn = re.findall(r"[A-Z]\w+Error", (errors.__doc__ or "").split("Text reaches")[0])
    real = [
        name
        for name, value in inspect.getmembers(errors, inspect.isclass)
        if issubclass(value, Exception) and value.__module__ == errors.__name__
    ]
    assert sorted(drawn) == sorted(real)


def test_every_error_of_ours_is_caught_as_one() -> None:
    for value in vars(errors).values():
        if inspect.isclass(value) and issubclass(value, Exception):
            assert issubclass(value, GatewayError)


@pytest.mark.parametrize("kind", [InvalidRequestError, UnsupportedFeatureError])
def test_the_path_of_a_problem_stands_in_its_message(
    kind: type[InvalidRequestError] | type[UnsupportedFeatureError],
) -> None:
    error = kind("expected a string, got null", path="messages[0].role")
    assert error.message == str(error) == "messages[0].role: expected a string, got null"
    assert error.path == "messages[0].role"
    assert kind("no JSON").message == "no JSON"


def test_every_problem_of_the_settings_is_kept() -> None:
    error = SettingsError(["server.port: not a number", "redis.prot: unknown key"])
    assert error.problems == ["server.port: not a number", "redis.prot: unknown key"]
    assert "server.port" in str(error)
    assert "redis.prot" in str(error)


def test_a_failure_is_held_against_nobody_unless_it_says_so() -> None:
    error = UpstreamError(ErrorKind.SERVER, "boom")
    assert error.scope == "request"
    assert error.dispatched
    assert (error.retry_after, error.status, error.code) == (None, None, None)


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_only_what_is_not_the_request_s_own_fault_may_be_tried_again(kind: ErrorKind) -> None:
    again = {
        "rate_limit",
        "quota",
        "credential",
        "banned",
        "overloaded",
        "server",
        "unavailable",
        "timeout",
        "protocol",
    }
    assert UpstreamError(kind, "x").retryable == (kind.value in again)


def test_having_no_account_can_mean_more_than_a_rate_limit() -> None:
    assert NoAccountError("busy", retry_after=2.0).kind is ErrorKind.RATE_LIMIT
    assert NoAccountError("empty", kind=ErrorKind.QUOTA).kind is ErrorKind.QUOTA


def test_the_body_of_a_refusal_does_not_show_in_its_repr() -> None:
    assert repr(UpstreamFailure(401, {"authorization": "hush"}, b"hush")) == "UpstreamFailure(status=401, 4 bytes)"
