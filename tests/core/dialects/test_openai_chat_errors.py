from __future__ import annotations

from typing import Any

import orjson
import pytest

from aigateway_core.dialects.gemini import Gemini
from aigateway_core.dialects.openai_chat import OpenAIChat, OpenAIChatProfile
from aigateway_core.dialects.openai_responses import OpenAIResponses
from aigateway_core.errors import (
    ErrorKind,
    GatewayError,
    InvalidRequestError,
    NoAccountError,
    Scope,
    UnauthorizedError,
    UnknownModelError,
    UnsupportedFeatureError,
    UpstreamError,
    UpstreamFailure,
)
from aigateway_core.jsontext import dumps

DIALECT = OpenAIChat()


def decode(status: int, body: Any = b"", **headers: str) -> UpstreamError:
    raw = body if isinstance(body, bytes) else dumps(body)
    return DIALECT.decode_error(
        UpstreamFailure(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)
    )


# -- written for clients


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_every_kind_of_error_has_a_shape(kind: ErrorKind) -> None:
    error = UpstreamError(kind, "what happened")
    reply = DIALECT.encode_error(error, "req-1")
    assert 400 <= reply.status < 600
    assert set(reply.body["error"]) == {"message", "type", "param", "code"}
    assert reply.body["error"]["message"] == "what happened"
    assert reply.headers["x-request-id"] == "req-1"
    assert DIALECT.encode_stream_error(error, "req-1") == b"data: " + dumps(reply.body) + b"\n\n"


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (UnauthorizedError("x"), 401, "invalid_request_error", "invalid_api_key"),
        (UnknownModelError("x"), 404, "invalid_request_error", "model_not_found"),
        (UnsupportedFeatureError("x"), 400, "invalid_request_error", "unsupported_parameter"),
        (NoAccountError("x"), 429, "rate_limit_error", "rate_limit_exceeded"),
        (NoAccountError("x", kind=ErrorKind.QUOTA), 429, "insufficient_quota", "insufficient_quota"),
        (UpstreamError(ErrorKind.CREDENTIAL, "x", scope="account", status=401), 502, "server_error", None),
        (UpstreamError(ErrorKind.OVERLOADED, "x"), 503, "service_unavailable_error", "server_is_overloaded"),
        (UpstreamError(ErrorKind.CONTEXT_LENGTH, "x"), 400, "invalid_request_error", "context_length_exceeded"),
        (
            UpstreamError(ErrorKind.INVALID_REQUEST, "x", code="unsupported_value"),
            400,
            "invalid_request_error",
            "unsupported_value",
        ),
        (UpstreamError(ErrorKind.SERVER, "x", code="1234"), 500, "server_error", None),
        (UpstreamError(ErrorKind.PROTOCOL, "x"), 502, "server_error", None),
        (UpstreamError(ErrorKind.TIMEOUT, "x"), 504, "server_error", None),
        (GatewayError("internal error"), 500, "server_error", None),
    ],
)
def test_errors_have_openai_s_status_and_words(error: GatewayError, status: int, kind: str, code: str | None) -> None:
    reply = DIALECT.encode_error(error, "req-1")
    assert (reply.status, reply.body["error"]["type"], reply.body["error"]["code"]) == (status, kind, code)


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequestError("expected a string", path="messages[0].role"),
        UnsupportedFeatureError("no", path="messages[0].role"),
    ],
)
def test_the_path_of_a_problem_is_the_param(error: GatewayError) -> None:
    assert DIALECT.encode_error(error, "r").body["error"]["param"] == "messages[0].role"


def test_only_a_wrong_key_forbids_to_try_again() -> None:
    assert DIALECT.encode_error(UnauthorizedError("x"), "r").headers["x-should-retry"] == "false"
    assert "x-should-retry" not in DIALECT.encode_error(NoAccountError("x"), "r").headers


@pytest.mark.parametrize(("seconds", "header"), [(0.0, "1"), (0.2, "1"), (1.0, "1"), (1.2, "2"), (90, "90")])
def test_the_wait_is_in_whole_seconds(seconds: float, header: str) -> None:
    assert DIALECT.encode_error(NoAccountError("x", retry_after=seconds), "r").headers["retry-after"] == header


def test_without_a_wait_there_is_no_header() -> None:
    assert "retry-after" not in DIALECT.encode_error(NoAccountError("x"), "r").headers


# -- read from upstreams


def openai(code: Any = None, kind: Any = "invalid_request_error", message: str = "what they said") -> Any:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


@pytest.mark.parametrize(
    ("status", "body", "kind", "scope"),
    [
        (400, openai("unsupported_value"), ErrorKind.INVALID_REQUEST, "request"),
        (400, openai("context_length_exceeded"), ErrorKind.CONTEXT_LENGTH, "request"),
        (
            400,
            openai(400, message="This model's maximum context length is 4096 tokens."),
            ErrorKind.CONTEXT_LENGTH,
            "request",
        ),
        (400, openai("content_filter"), ErrorKind.CONTENT_FILTER, "request"),
        (400, openai("content_policy_violation"), ErrorKind.CONTENT_FILTER, "request"),
        (401, openai("invalid_api_key"), ErrorKind.CREDENTIAL, "account"),
        (401, openai(), ErrorKind.CREDENTIAL, "account"),
        (402, openai(), ErrorKind.QUOTA, "account"),
        (403, openai("unsupported_country_region_territory"), ErrorKind.CREDENTIAL, "request"),
        (403, openai("account_deactivated"), ErrorKind.BANNED, "account"),
        (404, openai("model_not_found"), ErrorKind.MODEL_NOT_FOUND, "request"),
        (404, b"Not Found", ErrorKind.MODEL_NOT_FOUND, "request"),
        (408, b"", ErrorKind.TIMEOUT, "request"),
        (413, openai(), ErrorKind.TOO_LARGE, "request"),
        (422, {"detail": "bad"}, ErrorKind.INVALID_REQUEST, "request"),
        (429, openai("rate_limit_exceeded", "requests"), ErrorKind.RATE_LIMIT, "model"),
        (429, openai(None, None), ErrorKind.RATE_LIMIT, "model"),
        (429, openai("slow_down", "rate_limit_error"), ErrorKind.OVERLOADED, "request"),
        (429, openai("insufficient_quota", "insufficient_quota"), ErrorKind.QUOTA, "account"),
        (429, openai(None, "insufficient_quota"), ErrorKind.QUOTA, "account"),
        (429, openai("credit_balance_exhausted"), ErrorKind.QUOTA, "account"),
        (500, openai(None, "server_error"), ErrorKind.SERVER, "request"),
        (502, b"<html>Bad gateway</html>", ErrorKind.SERVER, "request"),
        (503, openai("server_is_overloaded", "service_unavailable_error"), ErrorKind.OVERLOADED, "request"),
        (503, b"", ErrorKind.OVERLOADED, "request"),
        (504, b"", ErrorKind.TIMEOUT, "request"),
        (529, b"", ErrorKind.OVERLOADED, "request"),
    ],
)
def test_status_and_code_tell_kind_and_scope(status: int, body: Any, kind: ErrorKind, scope: Scope) -> None:
    error = decode(status, body)
    assert (error.kind, error.scope, error.status) == (kind, scope, status)


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        ({"error": {"message": "m", "code": "c"}}, "m", "c"),
        ({"error": {"message": "m", "code": 1210}}, "m", "1210"),
        ({"error": "m", "code": "c"}, "m", "c"),
        ({"error": "m"}, "m", None),
        ({"code": "1210", "message": "m"}, "m", "1210"),
        ({"success": False, "code": 500, "msg": "m"}, "m", "500"),
        ({"detail": "m"}, "m", None),
        ([{"error": {"code": 400, "message": "m", "status": "INVALID_ARGUMENT"}}], "m", "400"),
        ({"type": "error", "error": {"type": "invalid_request_error", "message": "m"}}, "m", "invalid_request_error"),
        (
            {"type": "error", "error": {"type": "x_error", "message": "m", "details": {"error_code": "deep"}}},
            "m",
            "deep",
        ),
        (b"m", "m", None),
        (b"", "the upstream answered with status 400", None),
        (b"<!doctype html><title>no</title>", "the upstream answered with status 400", None),
        (b"Oops <HTML><body>no", "the upstream answered with status 400", None),
        (b"\xff\xfe", "\ufffd\ufffd", None),
        ({"error": {}}, "the upstream answered with status 400", None),
        ({"error": {"message": "<html>", "code": "c"}}, "the upstream answered with status 400", "c"),
        ({"error": {"message": 5}}, "the upstream answered with status 400", None),
        ([], "the upstream answered with status 400", None),
        (b"5", "the upstream answered with status 400", None),
    ],
)
def test_every_shape_of_an_error_is_read(body: Any, message: str, code: str | None) -> None:
    error = decode(400, body)
    assert (error.message, error.code) == (message, code)


EXTRA = {"type": "extra_forbidden", "msg": "Extra inputs are not permitted", "input": "very private"}


@pytest.mark.parametrize(
    ("body", "message", "param"),
    [
        (
            {"detail": [{**EXTRA, "loc": ["body", "stream_options"]}]},
            "stream_options: Extra inputs are not permitted",
            "stream_options",
        ),
        (
            {"detail": [{"loc": ["body", "messages", 0, "role"], "msg": "Field required"}, {"msg": "Bad"}, 5, {}]},
            "messages[0].role: Field required; Bad",
            "messages[0].role",
        ),
        (
            {"object": "error", "message": {"detail": [{**EXTRA, "loc": ["body", "x"]}]}, "param": None},
            "x: Extra inputs are not permitted",
            "x",
        ),
        ({"error": {"message": "m", "param": "p", "detail": [{"loc": ["body"], "msg": "n"}]}}, "m", "p"),
        ({"detail": [{"loc": "body", "msg": "m"}]}, "m", None),
        ({"detail": [{"loc": ["body", {}], "msg": 5}]}, "the upstream answered with status 422", None),
        ({"detail": []}, "the upstream answered with status 422", None),
        ({"detail": [{"loc": ["body", "x" * 5000], "msg": "y" * 5000}] * 9}, "x" * 100 + ": " + "y" * 1898, "x" * 100),
    ],
)
def test_the_list_of_what_fastapi_finds_wrong_is_read(body: Any, message: str, param: str | None) -> None:
    error = decode(422, body)
    assert (error.kind, error.message, error.param) == (ErrorKind.INVALID_REQUEST, message, param)


def test_anthropic_s_types_are_understood() -> None:
    def kind(name: str, status: int = 200) -> ErrorKind:
        return decode(status, {"type": "error", "error": {"type": name, "message": "m"}}).kind

    assert kind("overloaded_error") is ErrorKind.OVERLOADED
    assert kind("authentication_error") is ErrorKind.CREDENTIAL
    assert kind("billing_error") is ErrorKind.QUOTA
    assert kind("rate_limit_error") is ErrorKind.RATE_LIMIT
    assert kind("invalid_request_error") is ErrorKind.INVALID_REQUEST
    assert kind("api_error") is ErrorKind.SERVER


def test_a_status_inside_the_body_counts_only_where_http_said_nothing() -> None:
    assert decode(200, {"error": {"code": 503, "message": "m"}}).kind is ErrorKind.OVERLOADED
    assert decode(200, {"error": {"code": 7, "message": "m"}}).kind is ErrorKind.SERVER
    assert decode(400, {"error": {"code": 503, "message": "m"}}).kind is ErrorKind.INVALID_REQUEST


def test_a_vendor_s_own_codes_win() -> None:
    own = OpenAIChat(
        OpenAIChatProfile(
            error_codes={"1302": (ErrorKind.RATE_LIMIT, "model"), "slow_down": (ErrorKind.QUOTA, "account")}
        )
    )
    told = own.decode_error(UpstreamFailure(400, {}, b'{"error":{"code":1302,"message":"m"}}'))
    assert (told.kind, told.scope) == (ErrorKind.RATE_LIMIT, "model")
    assert own.decode_error(UpstreamFailure(429, {}, dumps(openai("slow_down")))).kind is ErrorKind.QUOTA


def test_a_long_message_is_cut() -> None:
    assert len(decode(400, openai(message="x" * 5000)).message) == 2000


@pytest.mark.parametrize(
    ("message", "headers", "seconds"),
    [
        ("x", {"retry_after": "3"}, 3.0),
        ("x", {"retry_after_ms": "1500"}, 1.5),
        ("Please try again in 1.5s.", {}, 1.5),
        ("Please try again in 120ms.", {}, 0.12),
        ("Please try again in 6m0s. Visit", {}, 360.0),
        ("Please try again in 1.5s.", {"retry_after": "9"}, 9.0),
        ("Please try again later", {}, None),
    ],
)
def test_the_wait_is_in_a_header_or_in_the_text(message: str, headers: dict[str, str], seconds: float | None) -> None:
    assert decode(429, openai("rate_limit_exceeded", message=message), **headers).retry_after == pytest.approx(seconds)


def test_an_error_that_was_read_can_be_written_again() -> None:
    error = decode(400, openai("unsupported_value", message="'temperature' does not support 0"))
    reply = DIALECT.encode_error(error, "r")
    assert orjson.loads(dumps(reply.body)) == openai("unsupported_value", message="'temperature' does not support 0")


@pytest.mark.parametrize("param", ["messages[0].content", None])
def test_the_field_that_the_upstream_complains_of_is_told_to_clients_of_openai(param: str | None) -> None:
    body = {"error": {"message": "no", "type": "invalid_request_error", "param": param, "code": None}}
    error = decode(400, body)
    assert error.param == param
    for client in (DIALECT, OpenAIResponses()):
        assert client.encode_error(error, "r").body["error"]["param"] == param
    details = Gemini().encode_error(error, "r").body["error"].get("details")
    expected = [{"field": param, "description": "no"}]
    assert (details is None) if param is None else details[0]["fieldViolations"] == expected


@pytest.mark.parametrize("param", [5, ["a"], {}, "x" * 5000])
def test_a_field_that_is_no_name_does_no_harm(param: Any) -> None:
    error = decode(400, {"error": {"message": "no", "param": param}})
    assert error.param is None or len(error.param) <= 100
