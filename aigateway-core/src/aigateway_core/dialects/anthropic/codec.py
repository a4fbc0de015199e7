"""The dialect: its parts put together."""

from __future__ import annotations

from typing import ClassVar

import attrs
from typing_extensions import override

from aigateway_core.dialects.anthropic.changes import CHANGES
from aigateway_core.dialects.anthropic.errors import (
    ThreadUnsupportedError,
    read_error,
    refused_field,
    write_error,
    write_stream_error,
)
from aigateway_core.dialects.anthropic.native import relayed_request, relayed_response
from aigateway_core.dialects.anthropic.profile import AnthropicProfile
from aigateway_core.dialects.anthropic.request_reader import is_extra, read_request
from aigateway_core.dialects.anthropic.request_writer import CANNOT_EXPRESS, unwritten, write_request
from aigateway_core.dialects.anthropic.response import read_response, write_response
from aigateway_core.dialects.anthropic.stream_decoder import AnthropicStreamDecoder
from aigateway_core.dialects.anthropic.stream_encoder import AnthropicStreamEncoder
from aigateway_core.dialects.anthropic.tap import AnthropicStreamTap
from aigateway_core.dialects.checks import missing, sequence
from aigateway_core.dialects.dialect import (
    Classify,
    Dialect,
    ErrorReply,
    Losses,
    NativeAnswer,
    Peek,
    StreamDecoder,
    StreamEncoder,
    StreamTap,
)
from aigateway_core.dialects.sse import format_event
from aigateway_core.errors import GatewayError, UpstreamError, UpstreamFailure
from aigateway_core.jsontext import dumps
from aigateway_core.model import ChatRequest, ChatResponse, JsonObject

_ANTHROPIC_ITSELF = AnthropicProfile()


class Anthropic(Dialect):
    """Anthropic's Messages API, versions ``2023-06-01`` and ``2026-10-21``."""

    name: ClassVar[str] = "anthropic"
    keepalive: ClassVar[bytes] = format_event(b'{"type":"ping"}', "ping")
    cannot_express = CANNOT_EXPRESS
    changes = CHANGES

    def __init__(self, profile: AnthropicProfile = _ANTHROPIC_ITSELF) -> None:
        self.profile = profile

    @override
    def peek(self, body: JsonObject) -> Peek:
        """As for every dialect; besides, a conversation kept by the server is refused on every path.

        It belongs to the account that it was begun with, and calls go to many. The SDK goes on without when told so.
        """
        if body.get("thread") is not None:
            raise ThreadUnsupportedError(
                "conversations kept by the server are not supported; send the messages", path="thread"
            )
        if "messages" not in body:
            missing("messages")
        sequence(body["messages"], "messages")
        return super().peek(body)

    @override
    def decode_request(self, body: JsonObject) -> ChatRequest:
        self.peek(body)
        return read_request(body, self.profile.origin)

    @override
    def encode_response(self, response: ChatResponse, request: ChatRequest) -> JsonObject:
        return write_response(response, request, self.profile.origin)

    @override
    def stream_encoder(self, request: ChatRequest) -> StreamEncoder:
        return AnthropicStreamEncoder(request, self.profile.origin)

    @override
    def encode_error(self, error: GatewayError, request_id: str) -> ErrorReply:
        return write_error(error, request_id)

    @override
    def encode_stream_error(self, error: GatewayError, request_id: str) -> bytes:
        return write_stream_error(error, request_id)

    @override
    def losses(self, request: ChatRequest) -> Losses:
        losses = super().losses(request)
        return attrs.evolve(losses, dropped=tuple(dict.fromkeys((*losses.dropped, *unwritten(request, self.profile)))))

    @override
    def encode_request(self, request: ChatRequest) -> JsonObject:
        return write_request(request, self.profile)

    @override
    def decode_response(self, body: JsonObject, request: ChatRequest, classify: Classify | None = None) -> ChatResponse:
        if body.get("type") == "error" or body.get("error"):
            raise (classify or self.decode_error)(UpstreamFailure(200, {}, dumps(body)))
        return read_response(body, request, self.profile.origin)

    @override
    def stream_decoder(self, request: ChatRequest, classify: Classify | None = None) -> StreamDecoder:
        return AnthropicStreamDecoder(request, self.profile.origin, classify or self.decode_error)

    @override
    def decode_error(self, failure: UpstreamFailure) -> UpstreamError:
        return read_error(failure)

    @override
    def native_request(self, body: JsonObject, model: str) -> JsonObject:
        return relayed_request(body, model, self.profile.origin)

    @override
    def refused_extra(self, body: JsonObject, error: UpstreamError) -> str | None:
        name = refused_field(error)
        return name if name is not None and name in body and is_extra(name) else None

    @override
    def native_response(self, body: bytes, client_model: str, classify: Classify | None = None) -> NativeAnswer:
        return relayed_response(body, client_model, self.profile.origin, classify or self.decode_error)

    @override
    def stream_tap(self, body: JsonObject, client_model: str, classify: Classify | None = None) -> StreamTap:
        return AnthropicStreamTap(client_model, self.profile.origin, classify or self.decode_error)
