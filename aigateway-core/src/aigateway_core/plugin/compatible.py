"""Providers whose vendor speaks a known dialect: a table of facts is all that is left to write.

A subclass sets class attributes; what its vendor spells differently goes into the dialect's profile, or into
:meth:`_Compatible.prepare` where no profile field fits.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import ClassVar

import attrs

from aigateway_core.dialects.anthropic import Anthropic
from aigateway_core.dialects.dialect import Dialect, Losses
from aigateway_core.dialects.openai_chat import OpenAIChat
from aigateway_core.errors import UpstreamError, UpstreamFailure
from aigateway_core.events import StreamEvent, unfold
from aigateway_core.jsontext import dumps, loads_upstream
from aigateway_core.model import ChatRequest, ChatResponse, JsonObject, ModelInfo
from aigateway_core.plugin.provider import Endpoint
from aigateway_core.upstream import Upstream


@attrs.frozen(kw_only=True)
class OpenAICompatibleConfig:
    """``base_url`` includes the version (``https://api.example.com/v1``).

    ``models`` are added to the ones the provider knows; one that ends in ``*`` is a pattern. ``headers`` are sent with
    every request.
    """

    base_url: str
    models: tuple[str, ...] = ()
    headers: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class AnthropicCompatibleConfig:
    """``base_url`` excludes the version (``https://api.example.com``), as Anthropic's own clients have it."""

    base_url: str
    models: tuple[str, ...] = ()
    headers: Mapping[str, str] = attrs.field(factory=dict)


class _Compatible:
    """A provider on one dialect: encodes, posts, decodes, whole and streamed, and offers the native path."""

    dialect: ClassVar[Dialect]
    path: ClassVar[str]
    forwarded_headers: ClassVar[tuple[str, ...]] = ()
    known_models: ClassVar[Sequence[ModelInfo]] = ()
    known_patterns: ClassVar[Sequence[str]] = ()

    def __init__(self, config: OpenAICompatibleConfig | AnthropicCompatibleConfig) -> None:
        self._url = config.base_url.rstrip("/") + self.path
        self._headers = dict(config.headers)
        known = {model.id for model in self.known_models}
        added = [ModelInfo(id=name) for name in config.models if not name.endswith("*") and name not in known]
        self.models: Sequence[ModelInfo] = (*self.known_models, *added)
        self.model_patterns: Sequence[str] = (
            *self.known_patterns,
            *(name for name in config.models if name.endswith("*")),
        )

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
        return self.dialect.losses(request)

    def endpoint(self, dialect: str, operation: str, model: str) -> Endpoint | None:  # noqa: ARG002 - the Protocol
        """The native path, for clients of the same dialect."""
        if dialect != self.dialect.name or operation != "chat":
            return None
        return Endpoint(self._url, self.dialect, self._headers, self.prepare, self.forwarded_headers)

    async def complete(self, request: ChatRequest, upstream: Upstream) -> ChatResponse:
        """The whole answer."""
        response = await upstream.post(self._url, content=self._body(request), headers=self._headers)
        return self.dialect.decode_response(loads_upstream(response.content), request, self.classify_error)

    async def stream(self, request: ChatRequest, upstream: Upstream) -> AsyncIterator[StreamEvent]:
        """The answer as it comes."""
        decoder = self.dialect.stream_decoder(request, self.classify_error)
        async with upstream.stream(self._url, content=self._body(request), headers=self._headers) as reply:
            if reply.is_json:
                # Some servers answer whole whatever they are asked for.
                body = loads_upstream(await reply.read())
                for event in unfold(self.dialect.decode_response(body, request, self.classify_error)):
                    yield event
                return
            async for received in reply.events():
                for decoded in decoder.feed(received):
                    yield decoded
            for decoded in decoder.end():
                yield decoded

    def _body(self, request: ChatRequest) -> bytes:
        return dumps(self.prepare(self.dialect.encode_request(self.adapt(request))))


class OpenAICompatibleProvider(_Compatible):
    """A vendor with an OpenAI-like ``/chat/completions``."""

    dialect = OpenAIChat()
    path = "/chat/completions"

    def __init__(self, config: OpenAICompatibleConfig) -> None:
        super().__init__(config)


class AnthropicCompatibleProvider(_Compatible):
    """A vendor with an Anthropic-like ``/v1/messages``."""

    dialect: ClassVar[Anthropic] = Anthropic()
    path = "/v1/messages"
    # Fields that a beta brought are refused without its header: a gateway has to pass both on.
    forwarded_headers = ("anthropic-beta", "anthropic-version")

    def __init__(self, config: AnthropicCompatibleConfig) -> None:
        super().__init__(config)
        # The API asks for its version; one that the configuration names comes later and wins.
        self._headers = {"anthropic-version": self.dialect.profile.version, **self._headers}
