"""The dialect: its parts put together."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

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
from aigateway_core.dialects.gemini.changes import CHANGES
from aigateway_core.dialects.gemini.errors import read_error, write_error, write_stream_error
from aigateway_core.dialects.gemini.framing import Framing
from aigateway_core.dialects.gemini.native import relayed_request, relayed_response
from aigateway_core.dialects.gemini.profile import GeminiProfile
from aigateway_core.dialects.gemini.request_reader import read_contents, read_request
from aigateway_core.dialects.gemini.request_writer import CANNOT_EXPRESS, unkept, unwritten, write_request
from aigateway_core.dialects.gemini.response import read_response, write_response
from aigateway_core.dialects.gemini.stream_decoder import GeminiStreamDecoder
from aigateway_core.dialects.gemini.stream_encoder import GeminiStreamEncoder
from aigateway_core.dialects.gemini.tap import GeminiArrayTap, GeminiStreamTap
from aigateway_core.errors import GatewayError, UpstreamError, UpstreamFailure
from aigateway_core.model import ChatRequest, ChatResponse, JsonObject

_GOOGLE = GeminiProfile()


class Gemini(Dialect):
    """Google's ``generateContent`` and ``streamGenerateContent``.

    The model and whether to stream stand in the URL. Whoever receives a request puts both into its body, as ``model``
    and ``stream``, before anything here is called; :meth:`native_request` takes them out again, and
    :meth:`encode_request` does not write them, so that a provider chooses path and ``?alt=sse`` itself.

    An empty line keeps a silent stream alive: Google's SDK for Python fails at the comments of server-sent events.

    Besides the fields in ``cannot_express`` a translated request loses: other vendors' hosted tools; thinking without
    a signature of this maker; an assistant turn at the very end, which this API does not continue (case 47). The
    title of a document becomes a text before it. Of an answer it loses sound.
    """

    name: ClassVar[str] = "gemini"
    keepalive: ClassVar[bytes] = b"\n"
    framing: ClassVar[Framing] = "sse"
    cannot_express = CANNOT_EXPRESS
    changes = CHANGES

    def __init__(self, profile: GeminiProfile = _GOOGLE) -> None:
        self.profile = profile

    @override
    def peek(self, body: JsonObject) -> Peek:
        """Model and stream flag, which the endpoint has put into the body: see the class."""
        peeked = super().peek(body)
        read_contents(body)
        return peeked

    @override
    def decode_request(self, body: JsonObject) -> ChatRequest:
        peeked = super().peek(body)
        return read_request(body, model=peeked.model, stream=peeked.stream, origin=self.profile.origin)

    @override
    def encode_response(self, response: ChatResponse, request: ChatRequest) -> JsonObject:
        return write_response(response, request, self.profile.origin)

    @override
    def stream_encoder(self, request: ChatRequest) -> StreamEncoder:
        return GeminiStreamEncoder(request, self.profile.origin, self.framing)

    @override
    def encode_error(self, error: GatewayError, request_id: str) -> ErrorReply:
        return write_error(error, request_id)

    @override
    def encode_stream_error(self, error: GatewayError, request_id: str) -> bytes:
        return write_stream_error(error, self.framing)

    @override
    def losses(self, request: ChatRequest) -> Losses:
        losses = super().losses(request)
        return Losses(
            dropped=tuple(dict.fromkeys((*losses.dropped, *unwritten(request, self.profile)))),
            refused=(*losses.refused, *unkept(request, self.profile)),
        )

    @override
    def encode_request(self, request: ChatRequest) -> JsonObject:
        return write_request(request, self.profile)

    @override
    def decode_response(self, body: JsonObject, request: ChatRequest, classify: Classify | None = None) -> ChatResponse:
        return read_response(body, request, self.profile.origin, classify or self.decode_error)

    @override
    def stream_decoder(self, request: ChatRequest, classify: Classify | None = None) -> StreamDecoder:
        return GeminiStreamDecoder(request, self.profile.origin, classify or self.decode_error)

    @override
    def decode_error(self, failure: UpstreamFailure) -> UpstreamError:
        return read_error(failure)

    @override
    def native_request(self, body: JsonObject, model: str) -> JsonObject:
        """``body`` for the upstream, without ``model`` and ``stream``, which belong into the URL: see the class."""
        return relayed_request(body, model, self.profile)

    @override
    def native_response(self, body: bytes, client_model: str, classify: Classify | None = None) -> NativeAnswer:
        return relayed_response(body, client_model, classify or self.decode_error)

    @override
    def stream_tap(self, body: JsonObject, client_model: str, classify: Classify | None = None) -> StreamTap:
        return self.reframe(GeminiStreamTap(client_model, classify or self.decode_error))


class GeminiArray(Gemini):
    """The same for a client that streams without ``?alt=sse``: its stream is one JSON array (case 147)."""

    framing: ClassVar[Framing] = "array"

    @override
    def reframe(self, tap: StreamTap) -> StreamTap:
        return GeminiArrayTap(tap)
