"""The official SDKs list the models and look one up, each in its own vendor's shape."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import openai
import pytest
from e2e.gateway_process import CLIENT_KEY, GatewayProcess
from google import genai
from google.genai import errors, types


@pytest.fixture(params=["v1beta", "v1"])
def gemini_client(request: pytest.FixtureRequest, gateway: GatewayProcess) -> Iterator[genai.Client]:
    """Google's SDK, pointed at the gateway, with either version of its API."""
    options = types.HttpOptions(base_url=gateway.url, api_version=request.param, timeout=30_000)
    with genai.Client(api_key=CLIENT_KEY, http_options=options) as client:
        yield client


def known(client: openai.OpenAI) -> list[str]:
    """The ids of all models, as OpenAI's SDK lists them."""
    return [model.id for model in client.models.list()]


def test_anthropics_sdk_turns_the_pages(anthropic_client: anthropic.Anthropic, openai_client: openai.OpenAI) -> None:
    """Case 164."""
    everything = known(openai_client)
    assert len(everything) > 8
    assert [model.id for model in anthropic_client.models.list(limit=3)] == everything
    last = anthropic_client.models.list(limit=3, before_id=everything[-1])
    assert [model.id for model in last.data] == everything[-4:-1]
    assert last.has_more
    assert [model.id for model in last.get_next_page().data] == everything[-7:-4]


def test_anthropics_sdk_looks_one_up(anthropic_client: anthropic.Anthropic) -> None:
    model = anthropic_client.models.retrieve("gpt-4o")
    assert (model.type, model.id, model.display_name, model.lifecycle) == ("model", "gpt-4o", "GPT-4o", "active")
    assert (model.max_input_tokens, model.max_tokens) == (128_000, 16_384)
    with pytest.raises(anthropic.NotFoundError):
        anthropic_client.models.retrieve("nobody-1")


def test_googles_sdk_turns_the_pages(gemini_client: genai.Client, openai_client: openai.OpenAI) -> None:
    listed = gemini_client.models.list(config={"page_size": 3})
    assert len(listed.page) == 3
    assert [model.name for model in listed] == [f"models/{name}" for name in known(openai_client)]


def test_googles_sdk_looks_one_up_with_its_limits(gemini_client: genai.Client) -> None:
    for name in ("gpt-4o", "models/gpt-4o"):
        model = gemini_client.models.get(model=name)
        assert (model.name, model.display_name) == ("models/gpt-4o", "GPT-4o")
        assert (model.input_token_limit, model.output_token_limit) == (128_000, 16_384)
        assert model.supported_actions == ["generateContent", "countTokens"]
    with pytest.raises(errors.ClientError) as caught:
        gemini_client.models.get(model="nobody-1")
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")


def test_openais_sdk_looks_one_up(openai_client: openai.OpenAI) -> None:
    assert openai_client.models.retrieve("gpt-4o").owned_by == "openai"
    with pytest.raises(openai.NotFoundError):
        openai_client.models.retrieve("nobody-1")
