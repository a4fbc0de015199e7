"""Client keys and mappings, as the official SDKs meet them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai
import pytest
from e2e.fakes.vendor import Script
from e2e.gateway_process import GatewayProcess
from e2e.house import Vendors
from google import genai
from google.genai import errors, types

HELLO: Any = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def gateway(start_gateway: Callable[..., GatewayProcess], vendors: Vendors) -> GatewayProcess:
    """A gateway whose client keys are all made over its admin API."""
    return start_gateway({"providers": vendors.providers()}, client_key=None)


@pytest.fixture
def make(gateway: GatewayProcess) -> Iterator[Callable[..., dict[str, Any]]]:
    """Makes a key; at the end none of them stands in what the gateway has printed."""
    made: list[dict[str, Any]] = []

    def one(**body: Any) -> dict[str, Any]:
        made.append(gateway.admin("POST", "/keys", body))
        return made[-1]

    yield one
    assert not [each["id"] for each in made if each["key"].removeprefix(each["prefix"]) in gateway.output]


def openai_with(gateway: GatewayProcess, key: str) -> openai.OpenAI:
    return openai.OpenAI(api_key=key, base_url=f"{gateway.url}/v1", max_retries=0, timeout=30)


def test_openais_sdk_meets_the_limit_of_requests_a_minute(
    gateway: GatewayProcess, make: Callable[..., dict[str, Any]]
) -> None:
    with openai_with(gateway, make(requests_per_minute=2)["key"]) as client:
        first = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=HELLO)
        assert first.headers["x-ratelimit-limit-requests"] == "2"
        assert first.headers["x-ratelimit-remaining-requests"] == "1"
        client.chat.completions.create(model="gpt-4o", messages=HELLO)
        with pytest.raises(openai.RateLimitError, match="this key may make 2 requests a minute") as limited:
            client.chat.completions.create(model="gpt-4o", messages=HELLO)
        assert 1 <= int(limited.value.response.headers["retry-after"]) <= 30
        assert limited.value.code == "rate_limit_exceeded"


def test_anthropics_sdk_meets_the_limit_and_its_counts_are_requests(
    gateway: GatewayProcess, make: Callable[..., dict[str, Any]]
) -> None:
    key = make(requests_per_minute=1)["key"]
    with anthropic.Anthropic(api_key=key, base_url=gateway.url, max_retries=0, timeout=30) as client:
        client.messages.count_tokens(model="claude-of-the-keys", messages=HELLO)
        with pytest.raises(anthropic.RateLimitError, match="this key may make 1 request a minute"):
            client.messages.create(model="claude-of-the-keys", max_tokens=9, messages=HELLO)


def test_googles_sdk_meets_the_limit(gateway: GatewayProcess, make: Callable[..., dict[str, Any]]) -> None:
    options = types.HttpOptions(base_url=gateway.url, timeout=30_000)
    with genai.Client(api_key=make(requests_per_minute=1)["key"], http_options=options) as client:
        client.models.generate_content(model="gemini-3-pro", contents="hello")
        with pytest.raises(errors.ClientError) as limited:
            client.models.generate_content(model="gemini-3-pro", contents="hello")
    assert (limited.value.code, limited.value.status) == (429, "RESOURCE_EXHAUSTED")


def test_a_stream_keeps_its_place_until_its_client_leaves(
    gateway: GatewayProcess, vendors: Vendors, make: Callable[..., dict[str, Any]]
) -> None:
    vendors.openai.script(Script(after=4, end="silence"), model="gpt-4o-slow")
    with openai_with(gateway, make(concurrency=1)["key"]) as client:
        stream = client.chat.completions.create(model="gpt-4o-slow", messages=HELLO, stream=True)
        next(iter(stream))
        with pytest.raises(openai.RateLimitError, match="this key may have 1 request under way at a time"):
            client.chat.completions.create(model="gpt-4o", messages=HELLO)
        stream.close()
        deadline = time.monotonic() + 10
        while True:
            try:
                client.chat.completions.create(model="gpt-4o", messages=HELLO)
                break
            except openai.RateLimitError:
                assert time.monotonic() < deadline
                time.sleep(0.05)


def test_a_key_opens_what_it_names_until_it_is_revoked(
    gateway: GatewayProcess, make: Callable[..., dict[str, Any]]
) -> None:
    made = make(models=["gpt-4o"])
    with openai_with(gateway, made["key"]) as client:
        assert [model.id for model in client.models.list()] == ["gpt-4o"]
        client.chat.completions.create(model="gpt-4o", messages=HELLO)
        with pytest.raises(openai.PermissionDeniedError, match="this key may not use the model 'beta-1'"):
            client.chat.completions.create(model="beta-1", messages=HELLO)
        gateway.admin("DELETE", f"/keys/{made['id']}")
        with pytest.raises(openai.AuthenticationError):
            client.chat.completions.create(model="gpt-4o", messages=HELLO)


def test_an_alias_answers_from_its_next_target_when_the_first_fails(
    gateway: GatewayProcess, vendors: Vendors, make: Callable[..., dict[str, Any]]
) -> None:
    vendors.openai.script(vendors.openai.refuse(503, "overloaded"), model="gpt-down")
    targets = [{"provider": "openai", "model": "gpt-down"}, {"provider": "beta", "model": "beta-1"}]
    gateway.admin("POST", "/model-mappings", {"alias": "team/best", "targets": targets})
    since = gateway.mark()
    with openai_with(gateway, make()["key"]) as client:
        assert "team/best" in [model.id for model in client.models.list()]
        answer = client.chat.completions.create(model="team/best", messages=HELLO)
        assert answer.model == "team/best"
        chunks = list(client.chat.completions.create(model="team/best", messages=HELLO, stream=True))
        assert {chunk.model for chunk in chunks} == {"team/best"}
    rows = gateway.rows(since, 2)
    assert [(row["model"], row["provider_id"], row["upstream_model"]) for row in rows] == [
        ("team/best", "beta", "beta-1")
    ] * 2
    assert all([attempt["error_kind"] for attempt in row["attempts"]] == ["overloaded", None] for row in rows)
