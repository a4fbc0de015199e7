"""The official SDK asks for vectors through the gateway."""

from __future__ import annotations

from typing import Any, Literal

import openai
import pytest
from e2e.fakes.embeddings import vector
from e2e.house import Vendors

MODELS = {"text-embedding-3-small": "openai", "beta-embed": "beta"}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_vectors_arrive_as_the_vendor_made_them(
    model: str, encoding: Literal["float", "base64"] | None, openai_client: openai.OpenAI, vendors: Vendors
) -> None:
    """None is what the SDK does by itself: it asks for base64 and unpacks it."""
    texts = ["first", "second \u26a1"]
    options: dict[str, Any] = {} if encoding is None else {"encoding_format": encoding}
    answer = openai_client.embeddings.create(model=model, input=texts, dimensions=12, **options)
    expected = [vector(text, 12) for text in texts]
    if encoding == "base64":
        assert all(isinstance(each.embedding, str) for each in answer.data)
    else:
        assert [each.embedding for each in answer.data] == expected
    assert [each.index for each in answer.data] == [0, 1]
    assert answer.model == model
    assert answer.usage.prompt_tokens > 0
    asked = vendors.named(MODELS[model]).asked(model=model)[-1]
    assert asked.path == "/v1/embeddings"
    assert asked.json["encoding_format"] == (encoding or "base64")


@pytest.mark.parametrize("given", ["text", [1, 2, 3], [[1, 2], [3]]])
def test_input_of_every_kind_is_passed_on(given: Any, openai_client: openai.OpenAI) -> None:
    answer = openai_client.embeddings.create(model="text-embedding-3-small", input=given)
    assert len(answer.data) == (2 if given == [[1, 2], [3]] else 1)


def test_the_prefix_of_the_provider_is_the_clients_own_name_for_the_model(
    openai_client: openai.OpenAI, vendors: Vendors
) -> None:
    answer = openai_client.embeddings.create(model="openai/text-embedding-3-large", input="hi")
    assert answer.model == "openai/text-embedding-3-large"
    assert vendors.openai.asked(model="text-embedding-3-large")


@pytest.mark.parametrize(("model", "provider"), [("claude-sonnet-5", "acme"), ("gemini-3-flash", "gamma")])
def test_a_provider_without_embeddings_is_named(model: str, provider: str, openai_client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        openai_client.embeddings.create(model=model, input="hi")
    assert caught.value.param == "model"
    assert f"{provider!r} offers no embeddings" in caught.value.message


def test_what_openai_does_not_know_is_passed_on_and_refused_there(
    openai_client: openai.OpenAI, vendors: Vendors
) -> None:
    with pytest.raises(openai.BadRequestError, match="Unrecognized request argument supplied: x_new"):
        openai_client.embeddings.create(model="text-embedding-3-small", input="hi", extra_body={"x_new": 1})
    vendors.openai.violations.clear()


def test_what_the_vendor_refuses_is_told(openai_client: openai.OpenAI, vendors: Vendors) -> None:
    with pytest.raises(openai.NotFoundError):
        openai_client.embeddings.create(model="gpt-4o", input="hi")
    with pytest.raises(openai.BadRequestError):
        openai_client.embeddings.create(model="text-embedding-3-small", input="")
    vendors.openai.violations.clear()
