"""The built-in kinds: a vendor without a plugin, over a transport that answers as the vendor would."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from aigateway_core.builtin.providers import aigateway_register_providers
from aigateway_core.plugin import (
    ChatRequest,
    Dialect,
    Message,
    Provider,
    ProviderSpec,
    SpeaksNatively,
    TextPart,
    Upstream,
)
from aigateway_core.structuring import StructuringError, structure

pytestmark = pytest.mark.anyio

SPECS: dict[str, ProviderSpec[Any]] = {spec.name: spec for spec in aigateway_register_providers()}
QUESTION = ChatRequest(model="m-1", max_tokens=10, messages=(Message("user", (TextPart("hello"),)),))

OPENAI_ANSWER = {
    "id": "c-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m-1",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
RESPONSES_ANSWER = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "m-1",
    "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]}],
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
ANTHROPIC_ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m-1",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}


def built(kind: str, **options: Any) -> Provider:
    spec = SPECS[kind]
    return spec.build(structure({"base_url": "http://vendor.test/v1", **options}, spec.config))


async def asked(provider: Provider, answer: dict[str, Any]) -> httpx.Request:
    """The request that a question becomes; the answer has to come back whole."""
    seen: list[httpx.Request] = []

    def vendor(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, stream=httpx.ByteStream(json.dumps(answer).encode()))

    response = await provider.complete(QUESTION, Upstream(httpx.MockTransport(vendor)))
    assert response.text == "hi"
    (request,) = seen
    return request


async def test_an_openai_compatible_vendor_is_asked_at_its_base_url() -> None:
    request = await asked(built("openai-compatible", headers={"x-team": "a"}), OPENAI_ANSWER)
    assert str(request.url) == "http://vendor.test/v1/chat/completions"
    assert request.headers["x-team"] == "a"
    assert json.loads(request.content)["model"] == "m-1"


def native(provider: Provider) -> set[str]:
    """The dialects whose clients need no translation."""
    assert isinstance(provider, SpeaksNatively)
    return {name for name in ("openai-chat", "openai-responses", "anthropic") if provider.endpoint(name, "chat", "m-1")}


async def test_an_openai_compatible_vendor_has_chat_completions_unless_it_is_said_to_have_more() -> None:
    assert native(built("openai-compatible")) == {"openai-chat"}
    both = built("openai-compatible", wires=["chat", "responses"])
    assert native(both) == {"openai-chat", "openai-responses"}
    assert (await asked(both, OPENAI_ANSWER)).url.path == "/v1/chat/completions"


async def test_the_first_wire_is_the_one_that_is_translated_over() -> None:
    for wires in (["responses", "chat"], ["responses"]):
        request = await asked(built("openai-compatible", wires=wires), RESPONSES_ANSWER)
        assert str(request.url) == "http://vendor.test/v1/responses"
        assert json.loads(request.content)["input"][0]["role"] == "user"
    assert native(built("openai-compatible", wires=["responses"])) == {"openai-responses"}


@pytest.mark.parametrize("wires", [[], ["smoke-signals"], "chat"])
def test_wires_that_nobody_speaks_are_refused(wires: object) -> None:
    with pytest.raises(StructuringError, match="wires"):
        built("openai-compatible", wires=wires)


async def test_an_anthropic_compatible_vendor_is_asked_with_its_version_header() -> None:
    provider = built("anthropic-compatible", base_url="http://vendor.test/")
    request = await asked(provider, ANTHROPIC_ANSWER)
    assert str(request.url) == "http://vendor.test/v1/messages"
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert json.loads(request.content)["max_tokens"] == 10


async def test_the_configuration_may_set_another_version() -> None:
    provider = built("anthropic-compatible", headers={"Anthropic-Version": "2026-10-21", "x-team": "a"})
    request = await asked(provider, ANTHROPIC_ANSWER)
    assert request.headers.get_list("anthropic-version") == ["2026-10-21"]
    assert request.headers["x-team"] == "a"


@pytest.mark.parametrize("kind", ["openai-compatible", "anthropic-compatible"])
def test_models_and_patterns_come_from_the_configuration(kind: str) -> None:
    provider = built(kind, models=["one", "family-*"])
    assert [model.id for model in provider.models] == ["one"]
    assert list(provider.model_patterns) == ["family-*"]


def test_an_api_key_goes_where_each_kind_wants_it() -> None:
    assert SPECS["openai-compatible"].auth_options == {}
    assert SPECS["anthropic-compatible"].auth_options == {"header": "x-api-key", "prefix": ""}
    assert {spec.auth for spec in SPECS.values()} == {"api_key"}


def test_a_copy_of_anthropics_api_may_name_the_maker_of_its_models() -> None:
    thinking = {"type": "thinking", "thinking": "hm", "signature": "s-1"}
    answer = json.dumps({**ANTHROPIC_ANSWER, "content": [thinking]}).encode()

    def spoken(**options: Any) -> Dialect:
        provider = built("anthropic-compatible", **options)
        assert isinstance(provider, SpeaksNatively)
        endpoint = provider.endpoint("anthropic", "chat", "m-1")
        assert endpoint is not None
        return endpoint.dialect

    anthropic, copy, other = spoken(), spoken(origin="deepseek"), spoken(origin="kimi")
    assert json.loads(anthropic.native_response(answer, "m").body)["content"] == [thinking]
    shown = json.loads(copy.native_response(answer, "m").body)["content"]
    assert shown != [thinking]
    body: dict[str, Any] = {"messages": [{"role": "assistant", "content": [*shown, {"type": "text", "text": "a"}]}]}
    got = {
        name: dialect.native_request(body, "m")["messages"][0]["content"][:-1]
        for name, dialect in {"anthropic": anthropic, "copy": copy, "other": other}.items()
    }
    assert got == {"anthropic": [], "copy": [thinking], "other": []}


@pytest.mark.parametrize("origin", ["", "Deep Seek", "a.b", "-"])
def test_a_makers_name_is_a_plain_word(origin: str) -> None:
    with pytest.raises(StructuringError, match="origin"):
        built("anthropic-compatible", origin=origin)
