"""OpenAI's Chat Completions, the dialect that most vendors speak."""

from __future__ import annotations

from typing import ClassVar

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
from aigateway_core.dialects.openai_chat.changes import CHANGES
from aigateway_core.dialects.openai_chat.errors import write_stream_error
from aigateway_core.dialects.openai_chat.native import relayed_request
from aigateway_core.dialects.openai_chat.profile import OpenAIChatProfile
from aigateway_core.dialects.openai_chat.request_reader import read_messages, read_request
from aigateway_core.dialects.openai_chat.request_writer import unwritten, write_request
from aigateway_core.dialects.openai_chat.response import read_native, read_response, write_response
from aigateway_core.dialects.openai_chat.stream_decoder import ChatStreamDecoder
from aigateway_core.dialects.openai_chat.stream_encoder import ChatStreamEncoder
from aigateway_core.dialects.openai_chat.tap import ChatStreamTap
from aigateway_core.dialects.openai_errors import read_error, write_error
from aigateway_core.errors import GatewayError, UpstreamError, UpstreamFailure
from aigateway_core.model import ChatRequest, ChatResponse, JsonObject

_CANNOT_EXPRESS = {
    "top_k": Loss(
        "dropped",
        "OpenAI API reference, create chat completion: temperature and top_p are the only sampling parameters",
    ),
    "n": Loss("refused", "ChatResponse holds one answer; several reach the client on the native path alone (case 135)"),
    "logprobs": Loss(
        "refused", "ChatResponse has no place for log probabilities; they reach the client on the native path alone"
    ),
    "top_logprobs": Loss("refused", "as logprobs, without which it has no meaning"),
    "audio_output": Loss(
        "refused", "ChatResponse has no place for sound; it reaches the client on the native path alone"
    ),
}


_OPENAI = OpenAIChatProfile()


class OpenAIChat(Dialect):
    """The dialect ``openai-chat`` with one vendor's profile; without one it is OpenAI's own.

    Besides the fields in ``cannot_express`` a translated request loses: tools that a vendor runs itself; the thinking
    of earlier turns, unless the profile names a field for it; the boundaries between several system texts, or several
    texts of one message without attachments (they become one text); the failure mark of a tool result (it becomes the
    word ``Error:``). Tools with free text are told to the upstream as functions. Of an answer it loses every call but
    the first where the client declared the old ``functions``, and signatures of thinking that no call follows.
    """

    name: ClassVar[str] = "openai-chat"
    changes = CHANGES

    def __init__(self, profile: OpenAIChatProfile = _OPENAI) -> None:
        self.profile = profile
        self.cannot_express = {**_CANNOT_EXPRESS, **profile.cannot_express}

    # -- the client's side

    @override
    def peek(self, body: JsonObject) -> Peek:
        peeked = super().peek(body)
        messages = body.get("messages")
        if type(messages) is not list or not messages:
            read_messages(body)  # which says what is wrong
        return peeked

    @override
    def decode_request(self, body: JsonObject) -> ChatRequest:
        peeked = super().peek(body)
        return read_request(body, model=peeked.model, stream=peeked.stream)

    @override
    def encode_response(self, response: ChatResponse, request: ChatRequest) -> JsonObject:
        return write_response(response, request)

    @override
    def stream_encoder(self, request: ChatRequest) -> StreamEncoder:
        return ChatStreamEncoder(request)

    @override
    def encode_error(self, error: GatewayError, request_id: str) -> ErrorReply:
        return write_error(error, request_id)

    @override
    def encode_stream_error(self, error: GatewayError, request_id: str) -> bytes:
        return write_stream_error(error)

    # -- the upstream's side

    @override
    def losses(self, request: ChatRequest) -> Losses:
        lost = super().losses(request)
        more = unwritten(request, self.profile)
        return Losses(tuple(dict.fromkeys((*lost.dropped, *more))), lost.refused)

    @override
    def encode_request(self, request: ChatRequest) -> JsonObject:
        return write_request(request, self.profile)

    @override
    def decode_response(self, body: JsonObject, request: ChatRequest, classify: Classify | None = None) -> ChatResponse:
        return read_response(body, request, self.profile, classify or self.decode_error)

    @override
    def stream_decoder(self, request: ChatRequest, classify: Classify | None = None) -> StreamDecoder:
        return ChatStreamDecoder(request, self.profile, classify or self.decode_error)

    @override
    def decode_error(self, failure: UpstreamFailure) -> UpstreamError:
        return read_error(failure, self.profile.error_codes)

    # -- the native path

    @override
    def native_request(self, body: JsonObject, model: str) -> JsonObject:
        return relayed_request(body, model, refuses_thinking=self.profile.refuses_thinking)

    @override
    def native_response(self, body: bytes, client_model: str, classify: Classify | None = None) -> NativeAnswer:
        return read_native(body, client_model, self.profile, classify or self.decode_error)

    @override
    def stream_tap(self, body: JsonObject, client_model: str, classify: Classify | None = None) -> StreamTap:
        options = body.get("stream_options")
        asked = type(options) is dict and options.get("include_usage") is True
        return ChatStreamTap(
            client_model, asked_for_usage=asked, profile=self.profile, classify=classify or self.decode_error
        )
