"""``POST /v1/embeddings``: relayed and never translated, since the vectors of one model fit no other.

Source: platform.openai.com, API reference, "create embeddings".
"""

from __future__ import annotations

from typing_extensions import override

from aigateway_core.dialects.checks import missing
from aigateway_core.dialects.dialect import Classify, Dialect, NativeAnswer, Peek
from aigateway_core.dialects.openai_chat.codec import OpenAIChat
from aigateway_core.dialects.openai_chat.outcome import read_usage
from aigateway_core.dialects.openai_chat.response import parse, protocol_error
from aigateway_core.jsontext import dumps
from aigateway_core.model import JsonObject


class OpenAIEmbeddings(OpenAIChat):
    """The dialect of this operation, which has the errors of chat, and bodies that pass but for the model's name."""

    @override
    def peek(self, body: JsonObject) -> Peek:
        model = Dialect.peek(self, body).model
        if body.get("input") is None:
            missing("input")
        return Peek(model, stream=False)

    @override
    def native_request(self, body: JsonObject, model: str) -> JsonObject:
        return {**body, "model": model}

    @override
    def native_response(self, body: bytes, client_model: str, classify: Classify | None = None) -> NativeAnswer:
        parsed = parse(body, classify or self.decode_error)
        if type(parsed.get("data")) is not list:
            protocol_error("the upstream's answer holds no embeddings")
        usage = read_usage(parsed.get("usage"))
        return NativeAnswer(dumps({**parsed, "model": client_model}), usage)
