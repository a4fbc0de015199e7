"""What a dialect is: a wire format turned into the canonical form and back, in both directions.

================  ==================  ===================
of                the client's side   the upstream's side
================  ==================  ===================
a request         ``decode_request``  ``encode_request``
a whole answer    ``encode_response`` ``decode_response``
a stream          ``stream_encoder``  ``stream_decoder``
an error          ``encode_error``    ``decode_error``
================  ==================  ===================

``native_request``, ``native_response`` and ``stream_tap`` serve the native path, on which the client and the upstream
speak the same dialect and nothing is translated.

Dialects do no I/O. An instance is stateless; what a stream needs to remember lives in the encoder, decoder or tap that
it hands out for that stream.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar, Literal

import attrs

from aigateway_core.dialects.checks import missing, optional_boolean, refuse
from aigateway_core.dialects.sse import ServerSentEvent
from aigateway_core.errors import GatewayError, InvalidRequestError, UpstreamError, UpstreamFailure
from aigateway_core.events import StreamEvent
from aigateway_core.model import ChatRequest, ChatResponse, FinishReason, JsonObject, Usage

Classify = Callable[[UpstreamFailure], UpstreamError]
"""Turns an upstream's refusal into an error with kind and scope: a provider's ``classify_error``, say."""


@attrs.frozen
class Loss:
    """What becomes of a field that a dialect cannot express: left out, or the request refused because of it.

    ``source`` cites the vendor document or the numbered case that says so.
    """

    effect: Literal["dropped", "refused"]
    source: str


@attrs.frozen
class Change:
    """What becomes, under a condition, of a field or a kind of part that a dialect keeps otherwise.

    ``name`` as in :class:`Losses`. ``converted``: it is said in another way, or as nearly as the API allows; that is
    not counted among the losses of a request. ``when`` is the condition, ``source`` as in :class:`Loss`.
    """

    name: str
    effect: Literal["converted", "dropped", "refused"]
    when: str
    source: str


SHORTENED = tuple(
    Change(
        name,
        "converted",
        "too long, or with characters that the API refuses: shortened, the same way on every turn" + then,
        source,
    )
    for name, then, source in (
        ("tools.name", "; answers bear the client's own", "translation table, 1.5 (case 49)"),
        ("messages.tool_call.name", "", "translation table, 1.5 (case 49)"),
        ("messages.tool_call.id", "; so is its result's", "translation table, 1.6 (case 48)"),
        ("messages.tool_result.call_id", "; so is its call's", "translation table, 1.6 (case 48)"),
    )
)
"""What holds of every dialect, with limits of its own."""


@attrs.frozen
class Losses:
    """What one request would lose on its way: names of fields."""

    dropped: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


@attrs.frozen
class Peek:
    """What routing needs to know of a body before it is decoded."""

    model: str
    stream: bool


@attrs.frozen
class ErrorReply:
    """An error in a dialect's own shape."""

    status: int
    body: JsonObject
    headers: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class NativeAnswer:
    """A whole answer relayed on the native path, and what was read from it in passing."""

    body: bytes
    usage: Usage | None = None
    finish_reason: FinishReason | None = None


class StreamEncoder(ABC):
    """Canonical events in, bytes of a stream in the client's dialect out. One per stream."""

    @abstractmethod
    def encode(self, event: StreamEvent) -> bytes:
        """The bytes that this event adds: whole server-sent events, or nothing."""

    @abstractmethod
    def end(self) -> bytes:
        """The closing bytes, once the events have ended in good order."""

    def fail(self, error: GatewayError, request_id: str) -> bytes | None:  # noqa: ARG002
        """The error in-band, where it has to fit what was sent before (an id, a running number).

        None where :meth:`Dialect.encode_stream_error`, which knows nothing of this stream, says it just as well.
        """
        return None


class StreamDecoder(ABC):
    """Server-sent events of an upstream in, canonical events out. One per stream."""

    @abstractmethod
    def feed(self, event: ServerSentEvent) -> Sequence[StreamEvent]:
        """The canonical events that this one brings. Raises :class:`UpstreamError` for an error inside the stream."""

    @abstractmethod
    def end(self) -> Sequence[StreamEvent]:
        """What is still held back, when the bytes have ended.

        Raises :class:`UpstreamError` (kind ``protocol``) when the stream was cut before its end.
        """


class StreamTap(ABC):
    """Watches a native stream pass. One per stream.

    After each :meth:`feed`: ``committed`` is true once something has passed that a client would show or act on,
    ``ended`` once the stream's last word has passed (what comes after it is for nobody), ``error`` is set when the
    upstream reported an error inside the stream (its event is not relayed), ``usage`` and ``finish_reason`` are what
    has been seen so far.
    """

    committed: bool = False
    ended: bool = False
    error: UpstreamError | None = None
    usage: Usage | None = None
    finish_reason: FinishReason | None = None

    @abstractmethod
    def feed(self, chunk: bytes) -> bytes:
        """The bytes to relay now: whole events, with the client's name for the model in them."""

    @abstractmethod
    def end(self) -> bytes:
        """The bytes that are left. Sets ``error`` when the stream was cut before its end."""

    def fail(self, error: GatewayError, request_id: str) -> bytes | None:  # noqa: ARG002
        """As :meth:`StreamEncoder.fail`, of a stream that was relayed so far."""
        return None


class Dialect(ABC):
    """Base of every dialect. Subclasses set ``name`` and ``keepalive`` and fill the table above."""

    name: ClassVar[str]
    """``openai-chat``, ``anthropic``, …"""

    keepalive: ClassVar[bytes] = b": keep-alive\n\n"
    """What is sent while an upstream is silent, so that nobody between takes the stream for dead."""

    cannot_express: Mapping[str, Loss] = {}
    """Fields of :class:`ChatRequest` that ``encode_request`` has no place for."""

    changes: Sequence[Change] = ()
    """What ``encode_request`` does not keep as it is in every case; nothing else changes."""

    # -- the client's side

    def peek(self, body: JsonObject) -> Peek:
        """Model and stream flag of a request body. Raises :class:`InvalidRequestError` when they are unusable."""
        if "model" not in body:
            missing("model")
        model = body["model"]
        if type(model) is not str:
            refuse("a string", model, "model")
        if not model.strip():
            raise InvalidRequestError("the name of a model is required", path="model")
        stream = body.get("stream")
        return Peek(model, stream if type(stream) is bool else bool(optional_boolean(stream, "stream")))

    @abstractmethod
    def decode_request(self, body: JsonObject) -> ChatRequest:
        """The canonical request. Raises :class:`InvalidRequestError` with the path of the first thing that is wrong."""

    @abstractmethod
    def encode_response(self, response: ChatResponse, request: ChatRequest) -> JsonObject:
        """The body of a whole answer to ``request`` (whose ``model`` is the name that the client used)."""

    @abstractmethod
    def stream_encoder(self, request: ChatRequest) -> StreamEncoder:
        """An encoder for one streamed answer to ``request``."""

    @abstractmethod
    def encode_error(self, error: GatewayError, request_id: str) -> ErrorReply:
        """The error as the dialect's own vendor would have put it."""

    @abstractmethod
    def encode_stream_error(self, error: GatewayError, request_id: str) -> bytes:
        """The same, in-band: the last bytes of a stream that has already begun."""

    # -- the upstream's side

    def losses(self, request: ChatRequest) -> Losses:
        """What ``encode_request`` would have to leave out of this request, and what it must refuse.

        May raise :class:`InvalidRequestError` as ``encode_request`` does.
        """
        lost = {name: loss for name, loss in self.cannot_express.items() if _is_set(request, name)}
        return Losses(
            dropped=(*(name for name, loss in lost.items() if loss.effect == "dropped"), *request.extra),
            refused=tuple(name for name, loss in lost.items() if loss.effect == "refused"),
        )

    @abstractmethod
    def encode_request(self, request: ChatRequest) -> JsonObject:
        """The body for an upstream that speaks this dialect; ``request.model`` is the upstream's name for the model."""

    @abstractmethod
    def decode_response(self, body: JsonObject, request: ChatRequest, classify: Classify | None = None) -> ChatResponse:
        """The canonical answer.

        Raises :class:`UpstreamError`: what ``classify`` (default: :meth:`decode_error`) makes of an error that has
        status 200, or one of kind ``protocol`` when the body cannot be an answer.
        """

    @abstractmethod
    def stream_decoder(self, request: ChatRequest, classify: Classify | None = None) -> StreamDecoder:
        """A decoder for one streamed answer; ``classify`` (default: :meth:`decode_error`) judges an error inside it."""

    @abstractmethod
    def decode_error(self, failure: UpstreamFailure) -> UpstreamError:
        """Kind, scope and message of a refusal, by status and the dialect's own codes."""

    # -- the native path

    @abstractmethod
    def native_request(self, body: JsonObject, model: str) -> JsonObject:
        """``body`` for an upstream of the same dialect: everything as it is, but for model and stream options."""

    def refused_extra(self, body: JsonObject, error: UpstreamError) -> str | None:  # noqa: ARG002
        """The field of a client's ``body`` that an upstream refuses because it has no such field.

        None unless it is one that a translated request would lose too: an answer without it means the same.
        """
        return None

    @abstractmethod
    def native_response(self, body: bytes, client_model: str, classify: Classify | None = None) -> NativeAnswer:
        """A whole answer to relay, with the client's name for the model in it.

        Raises :class:`UpstreamError` when the body is an error, or no answer at all.
        """

    @abstractmethod
    def stream_tap(self, body: JsonObject, client_model: str, classify: Classify | None = None) -> StreamTap:
        """A tap for one native stream that answers ``body`` (the client's own, unchanged)."""

    def reframe(self, tap: StreamTap) -> StreamTap:
        """The tap of an upstream of this dialect, relaying the stream in the form that this client asked for.

        That is ``tap`` itself, but in a dialect whose streams come in more than one form.
        """
        return tap


def _is_set(request: ChatRequest, name: str) -> bool:
    value = getattr(request, name)
    if name == "n":
        return value is not None and value > 1
    if name == "top_logprobs":
        return bool(value)
    if name == "parallel_tool_calls":
        # Silence means yes here, and nothing at all where nothing can be called.
        forbidden = request.tool_choice is not None and request.tool_choice.mode == "none"
        return value is False and bool(request.tools) and not forbidden
    return value not in (None, (), {}) and value is not False


def decode_events(decoder: StreamDecoder, events: Iterable[ServerSentEvent]) -> list[StreamEvent]:
    """All canonical events of a finished stream."""
    decoded: list[StreamEvent] = []
    for event in events:
        decoded.extend(decoder.feed(event))
    decoded.extend(decoder.end())
    return decoded
