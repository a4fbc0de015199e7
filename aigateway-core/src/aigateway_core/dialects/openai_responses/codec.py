"""The dialect: its parts put together."""

from __future__ import annotations

from typing import ClassVar

import attrs
from typing_extensions import override

from aigateway_core.dialects.dialect import (
    Classify,
    Dialect,
    ErrorReply,
    Loss,
    Losses,
    NativeAnswer,
    Peek,
    StreamDecoder,
    StreamEncoder,
    StreamTap,
)
from aigateway_core.dialects.openai_responses import errors
from aigateway_core.dialects.openai_responses.changes import CHANGES
from aigateway_core.dialects.openai_responses.native import relayed_request
from aigateway_core.dialects.openai_responses.profile import OpenAIResponsesProfile
from aigateway_core.dialects.openai_responses.request_reader import check_input, read_request
from aigateway_core.dialects.openai_responses.request_writer import unwritten, write_request
from aigateway_core.dialects.openai_responses.response import read_native, read_response, write_response
from aigateway_core.dialects.openai_responses.response_object import response_id, response_object
from aigateway_core.dialects.openai_responses.stream_decoder import ResponsesStreamDecoder
from aigateway_core.dialects.openai_responses.stream_encoder import ResponsesStreamEncoder, write_event
from aigateway_core.dialects.openai_responses.tap import ResponsesStreamTap
from aigateway_core.errors import GatewayError, UpstreamError, UpstreamFailure
from aigateway_core.model import ChatRequest, ChatResponse, JsonObject

_NO_FIELD = "no such field: OpenAI API reference, create a model response (translation table, 1)"

_CANNOT_EXPRESS = {
    "top_k": Loss("dropped", _NO_FIELD),
    "stop": Loss("dropped", _NO_FIELD),
    "presence_penalty": Loss("dropped", _NO_FIELD),
    "frequency_penalty": Loss("dropped", _NO_FIELD),
    "seed": Loss("dropped", _NO_FIELD),
    "logit_bias": Loss("dropped", _NO_FIELD),
    "n": Loss("refused", "one answer for each request (case 135)"),
    "logprobs": Loss(
        "refused", "ChatResponse has no place for log probabilities; they reach the client on the native path alone"
    ),
    "top_logprobs": Loss("refused", "as logprobs, without which it has no meaning"),
    "audio_output": Loss("refused", _NO_FIELD),
}

_OPENAI = OpenAIResponsesProfile()


class OpenAIResponses(Dialect):
    """The dialect ``openai-responses`` with one vendor's profile; without one it is OpenAI's own.

    Besides the fields in ``cannot_express`` a translated request loses: tools that another vendor runs itself; thinking
    that another one made; the boundaries between several system texts (they become one text); the failure mark of a
    tool result (it becomes the word ``Error:``). The gateway stores nothing: ``store`` has no
    effect on a translated request, and one that builds on something stored is refused. On the native path both are the
    vendor's, which keeps what it stores with the account that made it.
    """

    name: ClassVar[str] = "openai-responses"
    changes = CHANGES

    def __init__(self, profile: OpenAIResponsesProfile = _OPENAI) -> None:
        self.profile = profile
        self.cannot_express = {**_CANNOT_EXPRESS, **profile.cannot_express}

    # -- the client's side

    @override
    def peek(self, body: JsonObject) -> Peek:
        peeked = super().peek(body)
        check_input(body)
        return peeked

    @override
    def decode_request(self, body: JsonObject) -> ChatRequest:
        peeked = super().peek(body)
        return read_request(body, model=peeked.model, stream=peeked.stream, origin=self.profile.origin)

    @override
    def encode_response(self, response: ChatResponse, request: ChatRequest) -> JsonObject:
        return write_response(response, request)

    @override
    def stream_encoder(self, request: ChatRequest) -> StreamEncoder:
        return ResponsesStreamEncoder(request)

    @override
    def encode_error(self, error: GatewayError, request_id: str) -> ErrorReply:
        return errors.reply(error, request_id)

    @override
    def encode_stream_error(self, error: GatewayError, request_id: str) -> bytes:
        """``response.failed`` of a response that nothing is known of; encoders and taps know better (``fail``)."""
        unknown = ChatRequest(model="unknown")
        response = response_object(unknown, response_id(request_id, unknown))
        failed = {**response, "status": "failed", "error": errors.failure(error)}
        return write_event({"type": "response.failed", "response": failed}, 0)

    # -- the upstream's side

    @override
    def losses(self, request: ChatRequest) -> Losses:
        lost = super().losses(request)
        more = unwritten(request, self.profile)
        return attrs.evolve(lost, dropped=tuple(dict.fromkeys((*lost.dropped, *more))))

    @override
    def encode_request(self, request: ChatRequest) -> JsonObject:
        return write_request(request, self.profile)

    @override
    def decode_response(self, body: JsonObject, request: ChatRequest, classify: Classify | None = None) -> ChatResponse:
        return read_response(body, request, self.profile.origin, classify or self.decode_error)

    @override
    def stream_decoder(self, request: ChatRequest, classify: Classify | None = None) -> StreamDecoder:
        return ResponsesStreamDecoder(request, self.profile.origin, classify or self.decode_error)

    @override
    def decode_error(self, failure: UpstreamFailure) -> UpstreamError:
        return errors.refusal(failure, self.profile.error_codes)

    # -- the native path

    @override
    def native_request(self, body: JsonObject, model: str) -> JsonObject:
        return relayed_request(body, model, self.profile.origin)

    @override
    def native_response(self, body: bytes, client_model: str, classify: Classify | None = None) -> NativeAnswer:
        return read_native(body, client_model, classify or self.decode_error)

    @override
    def stream_tap(self, body: JsonObject, client_model: str, classify: Classify | None = None) -> StreamTap:
        return ResponsesStreamTap(client_model, classify or self.decode_error)
