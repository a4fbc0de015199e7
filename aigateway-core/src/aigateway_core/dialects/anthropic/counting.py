"""``POST /v1/messages/count_tokens``: a request whose answer is one number.

Source: platform.claude.com, API reference, "count tokens in a message".
"""

from __future__ import annotations

import attrs
from typing_extensions import override

from aigateway_core.dialects.anthropic.codec import Anthropic
from aigateway_core.dialects.checks import from_upstream, integer
from aigateway_core.dialects.dialect import Classify, NativeAnswer, Peek
from aigateway_core.errors import UpstreamFailure
from aigateway_core.jsontext import dumps, loads_upstream
from aigateway_core.model import ChatRequest, ChatResponse, JsonObject, Usage

_COUNTED = frozenset({"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config"})
"""The fields that shape a prompt; the API takes no other, a limit least of all."""


class AnthropicTokenCount(Anthropic):
    """The dialect of this operation: requests as they are sent to be answered, answers that are nothing but usage."""

    @override
    def peek(self, body: JsonObject) -> Peek:
        return Peek(super().peek(body).model, stream=False)

    @override
    def decode_request(self, body: JsonObject) -> ChatRequest:
        return attrs.evolve(super().decode_request(body), stream=False)

    @override
    def encode_request(self, request: ChatRequest) -> JsonObject:
        return {name: value for name, value in super().encode_request(request).items() if name in _COUNTED}

    @override
    def encode_response(self, response: ChatResponse, request: ChatRequest) -> JsonObject:
        return {"input_tokens": response.usage.input_tokens if response.usage else 0}

    @override
    def decode_response(self, body: JsonObject, request: ChatRequest, classify: Classify | None = None) -> ChatResponse:
        if body.get("type") == "error" or body.get("error"):
            raise (classify or self.decode_error)(UpstreamFailure(200, {}, dumps(body)))
        tokens = from_upstream(lambda: integer(body.get("input_tokens"), "input_tokens"))
        return ChatResponse(id="", model=request.model, usage=Usage(input_tokens=tokens))

    @override
    def native_response(self, body: bytes, client_model: str, classify: Classify | None = None) -> NativeAnswer:
        """The count, as it came. Nothing was used up by it, so that there is no usage to be read."""
        self.decode_response(loads_upstream(body), ChatRequest(model=client_model), classify)
        return NativeAnswer(body)
