"""Embeddings in OpenAI's shape, relayed."""

from __future__ import annotations

import json

import pytest

from aigateway_core.dialects.openai_chat import OpenAIEmbeddings
from aigateway_core.errors import ErrorKind, InvalidRequestError, UpstreamError
from aigateway_core.jsontext import dumps
from aigateway_core.model import JsonObject

DIALECT = OpenAIEmbeddings()
ANSWER: JsonObject = {
    "object": "list",
    "data": [
        {"object": "embedding", "index": 0, "embedding": [0.1, -1e-9, 1.0]},
        {"object": "embedding", "index": 1, "embedding": "AACAPw=="},
    ],
    "model": "theirs-2026",
    "usage": {"prompt_tokens": 8, "total_tokens": 8},
    "x_new": True,
}


@pytest.mark.parametrize("given", ["text", ["a", "b"], [1, 2], [[1], [2, 3]], ""])
def test_input_of_every_kind_is_the_vendors_to_judge(given: object) -> None:
    body = {"model": "mine", "input": given, "encoding_format": "base64", "dimensions": 3, "x_new": 1}
    assert (DIALECT.peek(body).model, DIALECT.peek(body).stream) == ("mine", False)
    assert DIALECT.native_request(body, "theirs") == {**body, "model": "theirs"}


@pytest.mark.parametrize(
    ("body", "path"), [({"input": "a"}, "model"), ({"model": "m"}, "input"), ({"model": 5, "input": "a"}, "model")]
)
def test_model_and_input_are_asked_for(body: JsonObject, path: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        DIALECT.peek(body)
    assert caught.value.path == path


def test_an_answer_passes_with_the_clients_name_for_the_model() -> None:
    relayed = DIALECT.native_response(dumps(ANSWER), "mine")
    assert json.loads(relayed.body) == {**ANSWER, "model": "mine"}
    assert relayed.usage is not None
    assert (relayed.usage.input_tokens, relayed.usage.output_tokens) == (8, 0)


def test_a_vendor_that_tells_no_usage_is_believed_all_the_same() -> None:
    assert DIALECT.native_response(dumps({"data": []}), "mine").usage is None


@pytest.mark.parametrize("answer", [{}, {"data": None}, {"data": {"embedding": [1]}}])
def test_what_holds_no_embeddings_is_an_error_of_the_upstream(answer: JsonObject) -> None:
    with pytest.raises(UpstreamError) as caught:
        DIALECT.native_response(dumps(answer), "mine")
    assert caught.value.kind is ErrorKind.PROTOCOL


def test_an_error_that_came_with_status_200_is_the_error() -> None:
    error = {"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded", "param": None}}
    with pytest.raises(UpstreamError, match="slow down") as caught:
        DIALECT.native_response(dumps(error), "mine")
    assert caught.value.kind is ErrorKind.RATE_LIMIT
