"""Providers whose vendor speaks a known dialect: a table of facts is all that is left to write.

A subclass sets class attributes; what its vendor spells differently goes into the dialect's profile, or into
:meth:`_Compatible.prepare` where no profile field fits.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal
from urllib.parse import quote

import attrs
from typing_extensions import override

from aigateway_core.dialects.anthropic import Anthropic, AnthropicTokenCount
from aigateway_core.dialects.anthropic.errors import is_about_signatures
from aigateway_core.dialects.anthropic.native import without_thinking
from aigateway_core.dialects.dialect import Dialect, Losses
from aigateway_core.dialects.gemini import Gemini, GeminiTokenCount, resource_name
from aigateway_core.dialects.openai_chat import OpenAIChat, OpenAIEmbeddings
from aigateway_core.dialects.openai_responses import OpenAIResponses
from aigateway_core.errors import ErrorKind, UpstreamError, UpstreamFailure
from aigateway_core.events import StreamEvent, unfold
from aigateway_core.jsontext import dumps, loads_upstream
from aigateway_core.model import ChatRequest, ChatResponse, JsonObject, Message, ModelInfo, Part, ThinkingPart
from aigateway_core.plugin.provider import Endpoint
from aigateway_core.upstream import Upstream

_REMEMBERED = 1024
"""Models whose endpoints are kept; callers make up the names of models, so there is a bound."""


@attrs.frozen(kw_only=True)
class OpenAICompatibleConfig:
    """``base_url`` includes the version (``https://api.example.com/v1``).

    ``models`` are added to the ones the provider knows; one that ends in ``*`` is a pattern. ``headers`` are sent with
    every request. ``wires`` are the APIs that the server has: ``chat`` (``/chat/completions``) and ``responses``
    (``/responses``). Clients of either are passed on untranslated; other clients are translated over the first one.
    """

    base_url: str
    models: tuple[str, ...] = ()
    headers: Mapping[str, str] = attrs.field(factory=dict)
    wires: tuple[Literal["chat", "responses"], ...] = attrs.field(
        default=("chat",), validator=attrs.validators.min_len(1)
    )


def _plain_word(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,39}", value):
        message = f"is to be a plain word of lower-case letters, digits and hyphens, got {value[:40]!r}"
        raise ValueError(message, attribute)


@attrs.frozen(kw_only=True)
class AnthropicCompatibleConfig:
    """``base_url`` excludes the version (``https://api.example.com``), as Anthropic's own clients have it.

    ``count_tokens`` says whether the server has an operation for that; false spares it the question. ``origin`` names
    the maker of models that are not Anthropic's: thinking is then kept between that maker and its clients.
    """

    base_url: str
    models: tuple[str, ...] = ()
    headers: Mapping[str, str] = attrs.field(factory=dict)
    count_tokens: bool = True
    origin: str | None = attrs.field(default=None, validator=attrs.validators.optional(_plain_word))


@attrs.frozen(kw_only=True)
class GeminiCompatibleConfig:
    """``base_url`` excludes the version, as Google's own clients have it: ``/v1beta`` is put behind it.

    Google's own is ``https://generativelanguage.googleapis.com``. ``count_tokens`` as for Anthropic's.
    """

    base_url: str
    models: tuple[str, ...] = ()
    headers: Mapping[str, str] = attrs.field(factory=dict)
    count_tokens: bool = True


@attrs.frozen
class Wire:
    """A dialect that a vendor speaks, and the path below ``base_url`` where it does.

    ``{model}`` in a path stands for the model as Gemini has it there: ``models/gemini-3-pro``. ``stream_path`` is where
    streams are asked for; None: at ``path`` too. ``forwarded`` and ``prepare`` as of :class:`Endpoint`; ``prepare``
    sees translated bodies too.
    """

    dialect: Dialect
    path: str
    forwarded: tuple[str, ...] = ()
    prepare: Callable[[JsonObject], JsonObject] | None = None
    stream_path: str | None = None


class _Compatible:
    """A provider on a known dialect: encodes, posts, decodes, whole and streamed, and offers the native path."""

    dialect: ClassVar[Dialect]
    path: ClassVar[str]
    stream_path: ClassVar[str | None] = None
    forwarded_headers: ClassVar[tuple[str, ...]] = ()
    known_models: ClassVar[Sequence[ModelInfo]] = ()
    known_patterns: ClassVar[Sequence[str]] = ()

    def __init__(self, config: OpenAICompatibleConfig | AnthropicCompatibleConfig | GeminiCompatibleConfig) -> None:
        self._base_url = config.base_url.rstrip("/")
        prepare = None if type(self).prepare is _Compatible.prepare else self.prepare
        self._wire = Wire(self.dialect, self.path, self.forwarded_headers, prepare, self.stream_path)
        self._headers = {name.lower(): value for name, value in config.headers.items()}
        self._endpoints: dict[tuple[str, str, str], Endpoint | None] = {}
        known = {model.id for model in self.known_models}
        added = [ModelInfo(id=name) for name in config.models if not name.endswith("*") and name not in known]
        self.models: Sequence[ModelInfo] = (*self.known_models, *added)
        self.model_patterns: Sequence[str] = (
            *self.known_patterns,
            *(name for name in config.models if name.endswith("*")),
        )

    def wires(self, model: str) -> Sequence[Wire]:  # noqa: ARG002 - for vendors whose models differ in this
        """What the vendor speaks for this model: requests are translated over the first, the others are native too."""
        return (self._wire,)

    def offers(self, operation: str, model: str) -> Wire | None:  # noqa: ARG002 - most offer nothing besides
        """How the vendor is asked for something else than ``chat`` (see :class:`SpeaksNatively`), if it offers it."""
        return None

    def adapt(self, request: ChatRequest) -> ChatRequest:
        """A request that is to be translated, without what this vendor's model would refuse.

        Returns it, or another; the default changes nothing. Requests on the native path do not come by here: their
        clients speak the vendor's own dialect and mean what they say.
        """
        return request

    def prepare(self, body: JsonObject) -> JsonObject:
        """The vendor's last touch on a body, translated or native.

        Returns it, or another; the default changes nothing.
        """
        return body

    def classify_error(self, failure: UpstreamFailure) -> UpstreamError:
        """By the dialect's own codes; a vendor with codes of its own overrides this."""
        return self.dialect.decode_error(failure)

    def losses(self, request: ChatRequest) -> Losses:
        """What the dialect cannot express."""
        return self.wires(request.model)[0].dialect.losses(request)

    def endpoint(self, dialect: str, operation: str, model: str) -> Endpoint | None:
        """The native path, for clients of a dialect that the vendor speaks for this model."""
        asked = dialect, operation, model
        if asked not in self._endpoints:
            if len(self._endpoints) >= _REMEMBERED:
                self._endpoints.clear()
            self._endpoints[asked] = self._endpoint(dialect, operation, model)
        return self._endpoints[asked]

    def _endpoint(self, dialect: str, operation: str, model: str) -> Endpoint | None:
        spoken = self.wires(model) if operation == "chat" else (self.offers(operation, model),)
        wire = next((one for one in spoken if one and one.dialect.name == dialect), None)
        if wire is None:
            return None
        return Endpoint(
            self._url(wire, model),
            wire.dialect,
            self._headers,
            wire.prepare,
            wire.forwarded,
            stream_url=self._url(wire, model, stream=True),
        )

    async def complete(self, request: ChatRequest, upstream: Upstream) -> ChatResponse:
        """The whole answer."""
        wire = self.wires(request.model)[0]
        url, content = self._url(wire, request.model), self._body(request, wire)
        response = await upstream.post(url, content=content, headers=self._headers)
        return wire.dialect.decode_response(loads_upstream(response.content), request, self.classify_error)

    async def stream(self, request: ChatRequest, upstream: Upstream) -> AsyncIterator[StreamEvent]:
        """The answer as it comes."""
        wire = self.wires(request.model)[0]
        url, content = self._url(wire, request.model, stream=True), self._body(request, wire)
        decoder = wire.dialect.stream_decoder(request, self.classify_error)
        async with upstream.stream(url, content=content, headers=self._headers) as reply:
            if reply.is_json:
                # Some servers answer whole whatever they are asked for.
                body = loads_upstream(await reply.read())
                for event in unfold(wire.dialect.decode_response(body, request, self.classify_error)):
                    yield event
                return
            async for received in reply.events():
                for decoded in decoder.feed(received):
                    yield decoded
            for decoded in decoder.end():
                yield decoded

    def _url(self, wire: Wire, model: str, *, stream: bool = False) -> str:
        path = wire.stream_path if stream and wire.stream_path else wire.path
        return self._base_url + (path.replace("{model}", _resource(model)) if "{model}" in path else path)

    def _body(self, request: ChatRequest, wire: Wire) -> bytes:
        body = wire.dialect.encode_request(self.adapt(request))
        return dumps(wire.prepare(body) if wire.prepare else body)


class _Counting(_Compatible):
    """A provider on a dialect that can ask for the tokens of a prompt; ``counting`` is how, if the vendor has it."""

    counting: Wire | None = None

    @override
    def offers(self, operation: str, model: str) -> Wire | None:
        """The vendor's counter."""
        return self.counting if operation == "count_tokens" else super().offers(operation, model)

    def counts_tokens(self, model: str) -> bool:
        """Unless the configuration says that it does not."""
        return self.offers("count_tokens", model) is not None

    async def count_tokens(self, request: ChatRequest, upstream: Upstream) -> int:
        """The vendor's count."""
        wire = self.offers("count_tokens", request.model)
        if wire is None:
            raise UpstreamError(ErrorKind.UNSUPPORTED, "this vendor does not count tokens", dispatched=False)
        url, content = self._url(wire, request.model), self._body(request, wire)
        response = await upstream.post(url, content=content, headers=self._headers)
        counted = wire.dialect.decode_response(loads_upstream(response.content), request, self.classify_error)
        return counted.usage.input_tokens if counted.usage else 0


class OpenAICompatibleProvider(_Compatible):
    """A vendor with an OpenAI-like ``/chat/completions``, ``/responses``, or both, as its configuration says.

    Embeddings are passed on to ``/embeddings``. :meth:`prepare` is asked for bodies of Chat Completions alone.
    """

    dialect = OpenAIChat()
    path = "/chat/completions"
    responses: OpenAIResponses = OpenAIResponses()

    def __init__(self, config: OpenAICompatibleConfig) -> None:
        super().__init__(config)
        spoken = {"chat": self._wire, "responses": Wire(self.responses, "/responses", self.forwarded_headers)}
        self._wires = tuple(spoken[name] for name in dict.fromkeys(config.wires))
        self._embeddings = Wire(OpenAIEmbeddings(), "/embeddings")

    @override
    def offers(self, operation: str, model: str) -> Wire | None:
        """Embeddings, whether this server has any or not: it says so best itself."""
        return self._embeddings if operation == "embeddings" else None

    @override
    def wires(self, model: str) -> Sequence[Wire]:
        """Those that the configuration names."""
        return self._wires

    @override
    def classify_error(self, failure: UpstreamFailure) -> UpstreamError:
        """By the dialect's own codes; those of Responses are more, and the others mean the same there."""
        dialects = (wire.dialect for wire in self._wires)
        return next((one for one in dialects if one is self.responses), self.dialect).decode_error(failure)


class AnthropicCompatibleProvider(_Counting):
    """A vendor with an Anthropic-like ``/v1/messages``."""

    dialect: ClassVar[Anthropic] = Anthropic()
    path = "/v1/messages"
    # Fields that a beta brought are refused without its header: a gateway has to pass both on.
    forwarded_headers = ("anthropic-beta", "anthropic-version")

    def __init__(self, config: AnthropicCompatibleConfig) -> None:
        super().__init__(config)
        profile = self.dialect.profile
        if config.origin is not None:
            profile = attrs.evolve(profile, origin=config.origin)
            self._wire = attrs.evolve(self._wire, dialect=Anthropic(profile))
        # The API asks for its version; one that the configuration names comes later and wins.
        self._headers = {"anthropic-version": profile.version, **self._headers}
        if config.count_tokens:
            dialect = AnthropicTokenCount(profile)
            self.counting = attrs.evolve(self._wire, dialect=dialect, path=f"{self.path}/count_tokens")

    @override
    def _endpoint(self, dialect: str, operation: str, model: str) -> Endpoint | None:
        endpoint = super()._endpoint(dialect, operation, model)
        return endpoint and attrs.evolve(endpoint, mend=_unsigned)

    def mend(self, request: ChatRequest, error: UpstreamError) -> ChatRequest | None:
        """The conversation without its earlier thinking, where this vendor refuses the proof of that.

        It may be another vendor's, or another model's, whose signatures bear no name either.
        """
        kept = tuple(attrs.evolve(turn, parts=_said(turn)) for turn in request.messages)
        if kept == request.messages or not is_about_signatures(error):
            return None
        return attrs.evolve(request, messages=tuple(turn for turn in kept if turn.parts))


def _said(turn: Message) -> tuple[Part, ...]:
    return tuple(part for part in turn.parts if not isinstance(part, ThinkingPart))


def _unsigned(body: JsonObject, error: UpstreamError) -> JsonObject | None:
    """The same for a body on the native path."""
    return without_thinking(body) if is_about_signatures(error) else None


class GeminiCompatibleProvider(_Counting):
    """A vendor with a Gemini-like ``:generateContent``, which says model and kind of answer in the URL."""

    dialect: ClassVar[Gemini] = Gemini()
    path = "/v1beta/{model}:generateContent"
    # Without ``alt`` a stream would come as one JSON array.
    stream_path = "/v1beta/{model}:streamGenerateContent?alt=sse"

    def __init__(self, config: GeminiCompatibleConfig) -> None:
        super().__init__(config)
        if config.count_tokens:
            dialect = GeminiTokenCount(self.dialect.profile)
            self.counting = Wire(dialect, "/v1beta/{model}:countTokens", self.forwarded_headers, self.prepare)


def _resource(model: str) -> str:
    """The model's name as a path. It comes from clients, so that nothing in it may be taken for a part of the URL."""
    collection, _, name = resource_name(model).partition("/")
    return f"{collection}/{quote(name, safe='')}"
