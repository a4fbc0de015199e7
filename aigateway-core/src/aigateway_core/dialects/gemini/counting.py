"""``:countTokens``: a prompt, or a whole request in ``generateContentRequest``, whose answer is a number.

Source: ai.google.dev, API reference, "counting tokens".
"""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from aigateway_core.dialects.checks import from_upstream, integer, mapping
from aigateway_core.dialects.dialect import Classify, NativeAnswer, Peek
from aigateway_core.dialects.gemini.codec import Gemini
from aigateway_core.dialects.gemini.errors import holds_error
from aigateway_core.dialects.gemini.keys import field, spellings
from aigateway_core.dialects.gemini.profile import resource_name
from aigateway_core.errors import UpstreamFailure
from aigateway_core.jsontext import dumps, loads_upstream
from aigateway_core.model import ChatRequest, ChatResponse, JsonObject, Usage

_WHOLE = "generateContentRequest"
_WHOLE_SPELLINGS = spellings(_WHOLE)


class GeminiTokenCount(Gemini):
    """The dialect of this operation: requests in either form, answers that are nothing but usage.

    Upstreams are asked in the second form, which alone counts system instruction and tools too.
    """

    @override
    def peek(self, body: JsonObject) -> Peek:
        return super().peek(_asked(body))

    @override
    def decode_request(self, body: JsonObject) -> ChatRequest:
        return super().decode_request(_asked(body))

    @override
    def encode_request(self, request: ChatRequest) -> JsonObject:
        return {_WHOLE: {"model": resource_name(request.model), **super().encode_request(request)}}

    @override
    def encode_response(self, response: ChatResponse, request: ChatRequest) -> JsonObject:
        return {"totalTokens": response.usage.input_tokens if response.usage else 0}

    @override
    def decode_response(self, body: JsonObject, request: ChatRequest, classify: Classify | None = None) -> ChatResponse:
        if holds_error(body):
            raise (classify or self.decode_error)(UpstreamFailure(200, {}, dumps(body)))
        tokens = from_upstream(lambda: integer(field(body, "totalTokens"), "totalTokens"))
        return ChatResponse(id="", model=request.model, usage=Usage(input_tokens=tokens))

    @override
    def native_request(self, body: JsonObject, model: str) -> JsonObject:
        whole = _whole(body)
        if whole is None:
            return super().native_request(body, model)
        relayed = {**super().native_request(whole, model), "model": resource_name(model)}
        return {name: relayed if name in _WHOLE_SPELLINGS else value for name, value in body.items() if name != "model"}

    @override
    def native_response(self, body: bytes, client_model: str, classify: Classify | None = None) -> NativeAnswer:
        """The count, as it came. Nothing was used up by it, so that there is no usage to be read."""
        self.decode_response(loads_upstream(body), ChatRequest(model=client_model), classify)
        return NativeAnswer(body)


def _whole(body: JsonObject) -> JsonObject | None:
    value: Any = field(body, _WHOLE)
    return None if value is None else mapping(value, _WHOLE)


def _asked(body: JsonObject) -> JsonObject:
    """The request whose prompt is to be counted. The model is the one in the URL, whatever stands within."""
    whole = _whole(body)
    return {**(body if whole is None else whole), "model": body.get("model"), "stream": False}
