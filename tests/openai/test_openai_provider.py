"""What OpenAI's provider adds to the dialect."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import attrs
import pytest

import aigateway_openai
from aigateway_core.plugin import ChatRequest, ErrorKind, Message, ProviderSpec, Reasoning, TextPart, UpstreamError
from aigateway_core.testing import FakeUpstream, Reply, openai_chat_vendor
from aigateway_openai import OpenAIConfig, OpenAIProvider
from aigateway_openai.models import MODELS, reasons

pytestmark = pytest.mark.anyio

MakeUpstream = Callable[..., FakeUpstream]
HELLO = ChatRequest(model="gpt-4o", messages=(Message("user", (TextPart("Hello"),)),))


async def sent(request: ChatRequest, upstream: FakeUpstream) -> Any:
    await OpenAIProvider(OpenAIConfig()).complete(request, upstream)
    return json.loads(upstream.requests[0].content)


@pytest.fixture
def answering(fake_upstream: MakeUpstream) -> FakeUpstream:
    return fake_upstream(Reply(openai_chat_vendor().text))


def test_it_registers_one_provider_with_an_api_key() -> None:
    specs: Iterable[ProviderSpec[OpenAIConfig]] = aigateway_openai.aigateway_register_providers()
    [spec] = specs
    assert (spec.name, spec.auth, spec.risk) == ("openai", "api_key", None)
    assert spec.config().base_url == "https://api.openai.com/v1"


async def test_it_calls_the_configured_place_with_the_configured_headers(answering: FakeUpstream) -> None:
    config = OpenAIConfig(base_url="https://eu.api.openai.com/v1/", headers={"OpenAI-Project": "proj_1"})
    await OpenAIProvider(config).complete(HELLO, answering)
    request = answering.requests[0]
    assert str(request.url) == "https://eu.api.openai.com/v1/chat/completions"
    assert request.headers["openai-project"] == "proj_1"


@pytest.mark.parametrize(
    "model", ["o1", "o3-mini", "o4-mini", "gpt-5", "gpt-5.5-pro", "gpt-6-astra", "codex-mini-latest"]
)
def test_models_that_reason_are_known_by_name(model: str) -> None:
    assert reasons(model)


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4.1", "gpt-3.5-turbo", "gpt-5-chat-latest", "chatgpt-4o-latest"])
def test_models_that_do_not_reason_are_left_alone(model: str) -> None:
    assert not reasons(model)


def test_the_table_of_models_agrees_with_the_names_that_reason() -> None:
    assert all(("thinking" in model.capabilities) == reasons(model.id) for model in MODELS)


async def test_a_model_that_reasons_is_sent_no_sampling(answering: FakeUpstream) -> None:
    body = await sent(attrs.evolve(HELLO, model="gpt-5", temperature=0.2, top_p=0.9, max_tokens=50), answering)
    assert "temperature" not in body
    assert "top_p" not in body
    assert body["max_completion_tokens"] == 50
    assert "max_tokens" not in body


async def test_a_temperature_of_one_is_kept(answering: FakeUpstream) -> None:
    assert (await sent(attrs.evolve(HELLO, model="gpt-5", temperature=1.0), answering))["temperature"] == 1.0


async def test_other_models_are_sent_their_sampling(answering: FakeUpstream) -> None:
    body = await sent(attrs.evolve(HELLO, temperature=0.2, top_p=0.9, stop=("END",)), answering)
    assert (body["temperature"], body["top_p"], body["stop"]) == (0.2, 0.9, ["END"])


async def test_only_models_that_reason_are_sent_an_effort(answering: FakeUpstream) -> None:
    asked = attrs.evolve(HELLO, reasoning=Reasoning(effort="low"))
    assert "reasoning_effort" not in await sent(asked, answering)
    assert "reasoning" in OpenAIProvider(OpenAIConfig()).losses(asked).dropped


async def test_a_model_that_reasons_is_sent_the_effort(answering: FakeUpstream) -> None:
    body = await sent(attrs.evolve(HELLO, model="gpt-5", reasoning=Reasoning(effort="low")), answering)
    assert body["reasoning_effort"] == "low"


def test_what_is_lost_is_declared() -> None:
    provider = OpenAIProvider(OpenAIConfig())
    losses = provider.losses(attrs.evolve(HELLO, model="o3", temperature=0.2, stop=("END",)))
    assert "temperature" in losses.dropped
    assert losses.refused == ("stop",)
    plain = provider.losses(attrs.evolve(HELLO, temperature=0.2, stop=("END",)))
    assert (plain.dropped, plain.refused) == ((), ())


async def test_an_openai_client_is_left_to_hear_it_from_openai() -> None:
    endpoint = OpenAIProvider(OpenAIConfig()).endpoint("openai-chat", "chat", "o3")
    assert endpoint is not None
    assert endpoint.prepare is not None
    body = endpoint.dialect.native_request({"model": "o3", "messages": [], "temperature": 0.2}, "o3")
    assert endpoint.prepare(body)["temperature"] == 0.2


@pytest.mark.parametrize(
    ("status", "code", "kind", "scope"),
    [
        (401, "invalid_api_key", ErrorKind.CREDENTIAL, "account"),
        (429, "insufficient_quota", ErrorKind.QUOTA, "account"),
        (429, "rate_limit_exceeded", ErrorKind.RATE_LIMIT, "model"),
        (429, "slow_down", ErrorKind.OVERLOADED, "request"),
        (400, "context_length_exceeded", ErrorKind.CONTEXT_LENGTH, "request"),
        (400, "unsupported_value", ErrorKind.INVALID_REQUEST, "request"),
        (404, "model_not_found", ErrorKind.MODEL_NOT_FOUND, "request"),
        (503, "server_is_overloaded", ErrorKind.OVERLOADED, "request"),
    ],
)
async def test_openais_codes_have_their_kind_and_scope(
    fake_upstream: MakeUpstream, status: int, code: str, kind: ErrorKind, scope: str
) -> None:
    body = {"error": {"message": "no", "type": "some_error", "param": None, "code": code}}
    provider = OpenAIProvider(OpenAIConfig())
    upstream = fake_upstream(Reply(json.dumps(body).encode(), status=status), provider=provider)
    with pytest.raises(UpstreamError) as caught:
        await provider.complete(HELLO, upstream)
    assert (caught.value.kind, caught.value.scope) == (kind, scope)
