"""What a fake OpenAI has beside its chat: texts as vectors."""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Iterator, Set
from typing import Any

from e2e.fakes.chat_wire import header_problems
from e2e.fakes.mind import Answer, Prompt, Turn
from e2e.fakes.openai import OpenAIWire
from e2e.fakes.sdk_types import RequestType
from e2e.fakes.vendor import Exchange, JsonObject, Problem
from openai.types import embedding_create_params

_BODY = RequestType(embedding_create_params.EmbeddingCreateParams)
_MODELS = ("text-embedding-", "beta-embed")
_MOST_INPUTS = 2048


def vector(text: Any, size: int) -> list[float]:
    """What this vendor makes of ``text``: numbers that a float of 32 bits holds exactly."""
    seed = hashlib.sha256(repr(text).encode()).digest()
    return [(seed[index % len(seed)] - 128) / 128 for index in range(size)]


class EmbeddingsWire(OpenAIWire):
    """Vectors as numbers, or as base64 of little-endian floats, which the official SDK asks for by default."""

    path = "/v1/embeddings"

    def check(self, exchange: Exchange, scripted: Set[str]) -> Iterator[Problem]:
        yield from header_problems(exchange.headers, ("x-api-key", "anthropic-version", "anthropic-beta"))
        body = exchange.json
        unknown = body.keys() - embedding_create_params.EmbeddingCreateParams.__annotations__.keys()
        yield from (Problem(f"Unrecognized request argument supplied: {name}") for name in unknown)
        yield from _BODY.problems({name: value for name, value in body.items() if name not in unknown})
        if not exchange.model.startswith(_MODELS):
            yield Problem(
                f"The model {exchange.model} does not exist", where="model", code="model_not_found", status=404
            )
        given = body.get("input")
        if given in ("", []) or (isinstance(given, list) and len(given) > _MOST_INPUTS):
            yield Problem("'$.input' is invalid.", where="input")

    def understand(self, body: JsonObject) -> Prompt:
        return Prompt(turns=(Turn(role="user", text=str(body["input"])),))

    def whole(self, body: JsonObject, answer: Answer) -> JsonObject:
        given = body["input"]
        inputs = given if isinstance(given, list) and not isinstance(given[0], int) else [given]
        written = _base64 if body.get("encoding_format") == "base64" else list
        vectors = [written(vector(text, body.get("dimensions", 8))) for text in inputs]
        return {
            "object": "list",
            "data": [{"object": "embedding", "index": at, "embedding": one} for at, one in enumerate(vectors)],
            "model": f"{body['model']}-v1",
            "usage": {"prompt_tokens": answer.input_tokens, "total_tokens": answer.input_tokens},
        }


def _base64(numbers: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
