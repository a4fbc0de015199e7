"""What OpenAI's provider adds to the dialect."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Literal

import attrs
import pytest

import aigateway_openai
from aigateway_core.plugin import (
    ChatRequest,
    ErrorKind,
    Message,
    ProviderSpec,
    Reasoning,
    TextPart,
    UpstreamError,
    UpstreamFailure,
)
from aigateway_core.testing import FakeUpstream, Reply, openai_chat_vendor, openai_responses_vendor
from aigateway_openai import OpenAIConfig, OpenAIProvider
from aigateway_openai.models import MODELS, has_chat, has_responses, reasons

pytestmark = pytest.mark.anyio

MakeUpstream = Callable[..., FakeUpstream]
HELLO = ChatRequest(model="gpt-4o", messages=(Message("user", (TextPart("Hello"),)),))


async def asked(request: ChatRequest, config: OpenAIConfig | None = None) -> tuple[str, Any]:
    """The path that OpenAI is asked at, and the body it gets."""
    provider = OpenAIProvider(config or OpenAIConfig())
    over_chat = provider.wires(request.model)[0].path == "/chat/completions"
    upstream = FakeUpstream(Reply((openai_chat_vendor() if over_chat else openai_responses_vendor()).text))
    await provider.complete(request, upstream)
    return upstream.requests[0].url.path, json.loads(upstream.requests[0].content)


async def sent(request: ChatRequest, config: OpenAIConfig | None = None) -> Any:
    return (await asked(request, config))[1]


@pytest.fixture
def answering(fake_upstream: MakeUpstream) -> FakeUpstream:
    return fake_upstream(Reply(openai_chat_vendor().text))


def test_it_registers_one_provider_with_an_api_key() -> None:
    specs: Iterable[ProviderSpec[OpenAIConfig]] = aigateway_openai.aigateway_register_providers()
    [spec] = specs
    assert (spec.name, spec.auth, spec.risk) == ("openai", "api_key", None)
    assert spec.config().base_url == "https://api.openai.com/v1"


@pytest.mark.parametrize(("dialect", "model"), [("openai-chat", "gpt-4o"), ("openai-responses", "gpt-5")])
def test_u_29_the_clients_own_key_of_idempotency_is_passed_on(dialect: str, model: str) -> None:
    endpoint = OpenAIProvider(OpenAIConfig()).endpoint(dialect, "chat", model)
    assert endpoint is not None
    assert endpoint.forwarded == ("idempotency-key",)


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


OVER_CHAT = OpenAIConfig(wires=("chat",))
over_either = pytest.mark.parametrize("config", [OpenAIConfig(), OVER_CHAT], ids=["responses", "chat"])


@over_either
async def test_a_model_that_reasons_is_sent_no_sampling(config: OpenAIConfig) -> None:
    body = await sent(attrs.evolve(HELLO, model="gpt-5", temperature=0.2, top_p=0.9, max_tokens=50), config)
    assert "temperature" not in body
    assert "top_p" not in body
    assert body["max_completion_tokens" if config is OVER_CHAT else "max_output_tokens"] == 50
    assert "max_tokens" not in body


@over_either
async def test_a_temperature_of_one_is_kept(config: OpenAIConfig) -> None:
    assert (await sent(attrs.evolve(HELLO, model="gpt-5", temperature=1.0), config))["temperature"] == 1.0


async def test_other_models_are_sent_their_sampling() -> None:
    body = await sent(attrs.evolve(HELLO, temperature=0.2, top_p=0.9, stop=("END",)))
    assert (body["temperature"], body["top_p"], body["stop"]) == (0.2, 0.9, ["END"])


async def test_only_models_that_reason_are_sent_an_effort() -> None:
    thinking = attrs.evolve(HELLO, reasoning=Reasoning(effort="low"))
    assert "reasoning_effort" not in await sent(thinking)
    assert "reasoning" in OpenAIProvider(OpenAIConfig()).losses(thinking).dropped


async def test_a_model_that_reasons_is_sent_the_effort() -> None:
    thinking = attrs.evolve(HELLO, model="gpt-5", reasoning=Reasoning(effort="low", summary=False))
    assert (await sent(thinking))["reasoning"] == {"effort": "low"}
    assert (await sent(thinking, OVER_CHAT))["reasoning_effort"] == "low"


async def test_a_summary_of_the_thinking_is_asked_for_unless_the_configuration_says_no() -> None:
    thinking = attrs.evolve(HELLO, model="gpt-5", reasoning=Reasoning(effort="low", summary=True))
    assert (await sent(thinking))["reasoning"] == {"effort": "low", "summary": "auto"}
    assert (await sent(thinking, OpenAIConfig(reasoning_summary=None)))["reasoning"] == {"effort": "low"}


# -- two APIs

BOTH = {"openai-chat", "openai-responses"}
CHAT, RESPONSES = "openai-chat", "openai-responses"


@pytest.mark.parametrize(
    ("model", "native", "translated_over"),
    [
        ("gpt-4o", BOTH, CHAT),
        ("gpt-4.1-mini", BOTH, CHAT),
        ("gpt-5-chat-latest", BOTH, CHAT),
        ("gpt-5.5", BOTH, RESPONSES),
        ("o4-mini", BOTH, RESPONSES),
        *((name, {RESPONSES}, RESPONSES) for name in ("codex-mini-latest", "gpt-5-codex", "gpt-5.1-codex-max")),
        *((name, {RESPONSES}, RESPONSES) for name in ("o1-pro", "o3-pro-2025-06-10", "gpt-5.2-pro", "gpt-5-pro")),
        *((name, {RESPONSES}, RESPONSES) for name in ("o3-deep-research", "o4-mini-deep-research-2025-06-26")),
        *((name, {CHAT}, CHAT) for name in ("gpt-4o-search-preview", "gpt-4o-audio-preview", "gpt-audio-mini")),
        ("gpt-5-search-api", {CHAT}, CHAT),
    ],
)
def test_a_model_is_asked_over_an_api_that_it_has(model: str, native: set[str], translated_over: str) -> None:
    provider = OpenAIProvider(OpenAIConfig())
    assert {name for name in ("openai-chat", "openai-responses") if provider.endpoint(name, "chat", model)} == native
    assert provider.wires(model)[0].dialect.name == translated_over


def test_no_listed_model_is_without_an_api() -> None:
    assert all(has_chat(model.id) or has_responses(model.id) for model in MODELS)


@pytest.mark.parametrize("api", ["chat", "responses"])
@pytest.mark.parametrize("model", ["gpt-4o", "gpt-5", "o3-pro", "gpt-audio"])
def test_only_the_configured_apis_are_used(api: Literal["chat", "responses"], model: str) -> None:
    provider = OpenAIProvider(OpenAIConfig(wires=(api,)))
    assert [wire.dialect.name for wire in provider.wires(model)] == [f"openai-{api}"]


async def test_a_translated_request_goes_to_the_api_that_it_is_written_for() -> None:
    path, body = await asked(attrs.evolve(HELLO, model="gpt-5"))
    assert (path, body["store"], "input" in body) == ("/v1/responses", False, True)
    path, body = await asked(HELLO)
    assert (path, "messages" in body) == ("/v1/chat/completions", True)


def test_the_native_endpoints_are_openais_own() -> None:
    provider = OpenAIProvider(OpenAIConfig(base_url="https://eu.api.openai.com/v1/"))
    native = {name: provider.endpoint(name, "chat", "gpt-5") for name in ("openai-chat", "openai-responses")}
    assert {name: endpoint and endpoint.url for name, endpoint in native.items()} == {
        "openai-chat": "https://eu.api.openai.com/v1/chat/completions",
        "openai-responses": "https://eu.api.openai.com/v1/responses",
    }
    assert provider.endpoint("anthropic", "chat", "gpt-5") is None


def test_a_failure_inside_a_responses_stream_has_its_kind() -> None:
    body = json.dumps({"error": {"code": "invalid_prompt", "message": "no"}}).encode()
    error = OpenAIProvider(OpenAIConfig()).classify_error(UpstreamFailure(200, {}, body))
    assert (error.kind, error.scope) == (ErrorKind.INVALID_REQUEST, "request")


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
    assert endpoint.prepare is None, "nothing is left to be done to the body"
    body = {"model": "o3", "messages": [], "temperature": 0.2}
    assert endpoint.dialect.native_request(body, "o3") == body


async def test_thinking_of_another_vendor_is_left_out_of_a_native_conversation() -> None:
    """OpenAI answers 400 to a field of a message that it does not know, and chat has none for thinking."""
    endpoint = OpenAIProvider(OpenAIConfig()).endpoint("openai-chat", "chat", "gpt-4o")
    assert endpoint is not None
    thought = {"role": "assistant", "content": "4", "reasoning_content": "two and two", "x": 1}
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "2+2?"}, thought], "vendor_field": {"a": 1}}
    sent = endpoint.dialect.native_request(body, "gpt-4o")
    assert sent == {**body, "messages": [body["messages"][0], {"role": "assistant", "content": "4", "x": 1}]}
    assert thought["reasoning_content"] == "two and two"


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
