"""A caller's mistakes are told in the dialect of the endpoint, and each leaves one log row."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
from e2e.gateway_process import ADMIN_KEY, CLIENT_KEY, GatewayProcess
from e2e.house import Vendors
from e2e.light.client import LightClient
from e2e.light.four import CLIENTS
from e2e.mishaps import PATHS, ask, assert_shaped, question

in_each_dialect = pytest.mark.parametrize("dialect", list(PATHS))


@pytest.fixture
def web(gateway: GatewayProcess) -> Iterator[httpx.Client]:
    """Raw requests with a valid key."""
    headers = {"authorization": f"Bearer {CLIENT_KEY}", "content-type": "application/json"}
    with httpx.Client(base_url=gateway.url, headers=headers, trust_env=False, timeout=30) as client:
        yield client


MALFORMED = {
    "nothing": b"",
    "half an object": b'{"model": "gpt-4o", "messages": [',
    "an array": b"[]",
    "a bare word": b"hello",
    "not a number": b'{"model": "gpt-4o", "temperature": NaN, "messages": []}',
    "bytes that are no text": b'{"model": "\xff\xfe"}',
    "a hundred levels": b'{"model":' + b"[" * 100 + b"]" * 100 + b"}",
}


by_each_client = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.dialect)


@by_each_client
@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_body_that_is_no_json_object(
    client: LightClient, sent: bytes, web: httpx.Client, gateway: GatewayProcess
) -> None:
    assert_refused(client, web.post(client.path("gpt-4o", stream=False), content=sent, headers=numbered()), gateway)


def assert_refused(client: LightClient, response: httpx.Response, gateway: GatewayProcess) -> None:
    """Refused as the caller's mistake, in the caller's dialect, and written down as that."""
    assert response.status_code == 400, response.text
    client.assert_error(400, response.json())
    row = gateway.row(response.headers["x-request-id"])
    told = (row["outcome"], row["status_code"], row["dialect"], row["attempts"])
    assert told == ("invalid_request", 400, client.dialect, [])


def numbered() -> dict[str, str]:
    return {"x-request-id": f"refused-{uuid.uuid4()}"}


BAD: dict[str, tuple[str, Any]] = {
    "openai-chat messages": ("messages", 7),
    "openai-chat messages[1].role": ("messages", [{"role": "user", "content": "x"}, {"role": "narrator"}]),
    "openai-chat messages[0].content[0].text": ("messages", [{"role": "user", "content": [{"type": "text"}]}]),
    "openai-chat tools[0].function.name": ("tools", [{"type": "function", "function": {"name": 7}}]),
    "anthropic messages": ("messages", {}),
    "anthropic messages[0].role": ("messages", [{"role": "narrator", "content": "x"}]),
    "anthropic messages[0].content[0].text": ("messages", [{"role": "user", "content": [{"type": "text"}]}]),
    "anthropic tools[0].input_schema": ("tools", [{"name": "t", "input_schema": []}]),
    "openai-responses input": ("input", 7),
    "openai-responses input[0].role": ("input", [{"role": "narrator", "content": "x"}]),
    "openai-responses input[0].content[0].text": ("input", [{"role": "user", "content": [{"type": "input_text"}]}]),
    "openai-responses tools[0].name": ("tools", [{"type": "function", "name": 7}]),
    "gemini contents": ("contents", 7),
    "gemini contents[0].role": ("contents", [{"role": "narrator", "parts": [{"text": "x"}]}]),
    "gemini contents[0].parts[0].text": ("contents", [{"role": "user", "parts": [{"text": 7}]}]),
    "gemini tools[0].functionDeclarations[0].name": ("tools", [{"functionDeclarations": [{"name": 7}]}]),
}


@by_each_client
@pytest.mark.parametrize("model", ["glm-4.6", "claude-sonnet-5"])
def test_a_wrong_value_is_told_with_its_place(
    client: LightClient, model: str, web: httpx.Client, gateway: GatewayProcess
) -> None:
    # On the native path it is the vendor who judges the body.
    if (client.dialect, model) in {("openai-chat", "glm-4.6"), ("anthropic", "claude-sonnet-5")}:
        model = "gemini-3-flash"
    good = client.body(model, client.user("hi"), stream=False, thinking=False)
    for place, (field, value) in BAD.items():
        dialect, _, path = place.partition(" ")
        if dialect == client.dialect:
            response = web.post(client.path(model, stream=False), json={**good, field: value}, headers=numbered())
            assert_refused(client, response, gateway)
            assert path in response.json()["error"]["message"]


WRONG_TYPES: dict[str, dict[str, Any]] = {
    "model": {"model": 5},
    "no model": {"model": None},
    "stream": {"stream": "yes"},
    "messages": {"messages": "hello"},
    "message": {"messages": ["hello"]},
    "role": {"messages": [{"role": "narrator", "content": "x"}]},
    "content": {"messages": [{"role": "user", "content": 7}]},
    "part": {"messages": [{"role": "user", "content": [{"type": "text", "text": 7}]}]},
    "max_tokens": {"max_tokens": "many"},
    "temperature": {"temperature": "hot"},
    "tools": {"tools": {"name": "x"}},
}


@in_each_dialect
@pytest.mark.parametrize("change", WRONG_TYPES.values(), ids=WRONG_TYPES.keys())
@pytest.mark.parametrize("provider", ["openai", "acme"])
def test_a_value_of_the_wrong_type(
    dialect: str, change: dict[str, Any], provider: str, web: httpx.Client, gateway: GatewayProcess, vendors: Vendors
) -> None:
    mark = gateway.mark()
    model = {"openai": "gpt-4o", "acme": "claude-sonnet-5"}[provider]
    headers = {"anthropic-version": "2023-06-01"} if dialect == "anthropic" else {}
    response = web.post(PATHS[dialect], json={**question(model), **change}, headers=headers)
    assert response.status_code == 400, response.text
    assert_shaped(dialect, 400, response.json())
    [row] = gateway.rows(mark, 1)
    assert row["status_code"] == 400
    assert row["outcome"] in {"invalid_request", "upstream_error"}
    # On the native path it is the vendor who judges the body.
    if row["native"]:
        vendors.named(provider).violations.clear()
    else:
        assert next(iter(change)) in response.json()["error"]["message"]


@in_each_dialect
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_case_158_a_model_that_nobody_has(dialect: str, stream: bool, gateway: GatewayProcess) -> None:
    mark = gateway.mark()
    answer = ask(gateway, dialect, "llama-0815", stream=stream)
    assert isinstance(answer.raised, openai.NotFoundError | anthropic.NotFoundError)
    assert "llama-0815" in str(answer.raised)
    if isinstance(answer.raised, openai.NotFoundError):
        assert answer.raised.code == "model_not_found"
    [row] = gateway.rows(mark, 1)
    assert (row["outcome"], row["status_code"], row["model"]) == ("invalid_request", 404, "llama-0815")


@in_each_dialect
@pytest.mark.parametrize("declared", [True, False], ids=["length", "chunked"])
def test_a_body_of_30_megabytes(dialect: str, declared: bool, web: httpx.Client, gateway: GatewayProcess) -> None:
    mark = gateway.mark()
    sent = json.dumps(question(messages=[{"role": "user", "content": "x" * (30 << 20)}])).encode()
    pieces = (sent[start : start + (1 << 20)] for start in range(0, len(sent), 1 << 20))
    response = web.post(PATHS[dialect], content=sent if declared else pieces)
    assert response.status_code == 413
    assert_shaped(dialect, 413, response.json())
    [row] = gateway.rows(mark, 1)
    assert (row["outcome"], row["status_code"]) == ("invalid_request", 413)


@in_each_dialect
@pytest.mark.parametrize("key", ["no-such-key-0123456789abcdefghijkl", ADMIN_KEY], ids=["unknown", "admin"])
def test_case_157_a_key_that_is_no_client_key(dialect: str, key: str, gateway: GatewayProcess) -> None:
    mark = gateway.mark()
    answer = ask(gateway, dialect, "gpt-4o", stream=False, key=key)
    assert isinstance(answer.raised, openai.AuthenticationError | anthropic.AuthenticationError)
    # Without this header some clients repeat a 401 for minutes.
    assert answer.raised.response.headers["x-should-retry"] == "false"
    assert key not in str(answer.raised)
    gateway.rows(mark, 0)


@in_each_dialect
def test_no_key_at_all(dialect: str, gateway: GatewayProcess) -> None:
    mark = gateway.mark()
    response = httpx.post(gateway.url + PATHS[dialect], json=question(), trust_env=False)
    assert response.status_code == 401
    assert_shaped(dialect, 401, response.json())
    gateway.rows(mark, 0)


@in_each_dialect
def test_a_method_and_a_path_that_do_not_exist(dialect: str, web: httpx.Client) -> None:
    headers = {"anthropic-version": "2023-06-01"} if dialect == "anthropic" else {}
    for response, status in (
        (web.get(PATHS[dialect], headers=headers), 405),
        (web.post("/v1/nothing", headers=headers), 404),
    ):
        assert response.status_code == status
        assert_shaped(dialect, status, response.json())
