"""Cloud Code Assist as a provider: requests of Gemini's shape in an envelope, at one host after the other.

Gemini's own clients are passed on untranslated where a model of Gemini's answers; everybody else is translated. Whole
answers are streams that were put together, so that there is one way to read them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial

from aigateway_antigravity.calls import Calls
from aigateway_antigravity.catalogue import Catalogue
from aigateway_antigravity.config import AntigravityConfig, address
from aigateway_antigravity.dialect import CloudCode
from aigateway_antigravity.envelope import Kind, enclosed
from aigateway_antigravity.errors import classify, is_about_thinking, may_pass
from aigateway_antigravity.hosts import at_the_next, host_of
from aigateway_antigravity.losses import losses
from aigateway_antigravity.models import Asked
from aigateway_antigravity.profiles import profile_of
from aigateway_antigravity.project import Projects
from aigateway_antigravity.quota import Quotas
from aigateway_antigravity.searching import kind_of
from aigateway_antigravity.session import kept_for, native_session, session_of
from aigateway_antigravity.shape import shaped
from aigateway_antigravity.signatures import ThoughtMemory
from aigateway_antigravity.translation import body_of, native_body, search_body_of, without_thinking
from aigateway_core.plugin import (
    ChatRequest,
    ChatResponse,
    Endpoint,
    JsonObject,
    Losses,
    ModelInfo,
    QuotaLeft,
    ServerSentEvent,
    StreamEvent,
    Upstream,
    UpstreamError,
    UpstreamFailure,
    fold,
)

_WHOLE, _STREAMED = "generateContent", "streamGenerateContent?alt=sse"


class AntigravityProvider:
    """The models of an account that logged in with Google."""

    def __init__(self, config: AntigravityConfig) -> None:
        self._config = config
        self._catalogue = Catalogue(config)
        self._projects = Projects(config)
        self._quotas = Quotas(config, self._projects, self._catalogue)
        self._memory = ThoughtMemory()

    # -- models

    @property
    def models(self) -> Sequence[ModelInfo]:
        """Those that are known, or that the accounts have."""
        return self._catalogue.infos

    @property
    def model_patterns(self) -> Sequence[str]:
        """All names that may mean one of them."""
        return self._catalogue.patterns

    def describe_model(self, name: str) -> ModelInfo:
        """What is known of the model that this name means."""
        return self._catalogue.info(name)

    async def quota(self, upstream: Upstream) -> Sequence[QuotaLeft]:
        """What the account has left of each model."""
        return await self._quotas.of(upstream)

    # -- translated

    async def complete(self, request: ChatRequest, upstream: Upstream) -> ChatResponse:
        """The whole answer."""
        async with aclosing(self.stream(request, upstream)) as events:
            return fold([event async for event in events])

    async def stream(self, request: ChatRequest, upstream: Upstream) -> AsyncGenerator[StreamEvent, None]:
        """The answer as it comes."""
        asked, kind = self._asked(request)
        inner = self._inner(request, asked, kind)
        project = await self._projects.of(upstream)
        calls = Calls(request.tools, placeholders=asked.model.family == "claude")
        watch = self._memory.watch(kept_for(request))
        body = enclosed(inner, model=asked.model.id, project=project, session=session_of(request), kind=kind)
        async with aclosing(self._ask(body, request, asked, upstream)) as events:
            async for event in events:
                watch.feed(event)
                yield calls.told(event)
        self._quotas.glance(upstream)

    async def _ask(
        self, body: JsonObject, request: ChatRequest, asked: Asked, upstream: Upstream
    ) -> AsyncGenerator[StreamEvent, None]:
        """The events of the answer of the request's host."""
        decoder = CloudCode(profile_of(asked.model)).stream_decoder(request, classify)
        headers = {"accept": "text/event-stream", **self._config.headers}
        url = address(host_of(request, self._config.base_urls), _STREAMED)
        async with upstream.stream(url, json=body, headers=headers) as reply:
            if reply.is_json:
                # An error, mostly; a host of somebody else's may answer whole.
                for event in decoder.feed(ServerSentEvent("", await reply.read())):
                    yield event
            else:
                async for received in reply.events():
                    for event in decoder.feed(received):
                        yield event
            for event in decoder.end():
                yield event

    def _asked(self, request: ChatRequest) -> tuple[Asked, Kind]:
        """The model that answers, and what it is asked for: searches have a model of their own."""
        asked = self._catalogue.find(request.model)
        kind = kind_of(request, asked.model, self._catalogue.web_search_model)
        return (self._catalogue.find(self._catalogue.web_search_model) if kind == "web_search" else asked), kind

    def _inner(self, request: ChatRequest, asked: Asked, kind: Kind) -> JsonObject:
        if kind == "web_search":
            return search_body_of(request, asked)
        return body_of(request, asked, self._memory, kept_for(request))

    # -- native

    def endpoint(self, dialect: str, operation: str, model: str) -> Endpoint | None:
        """For Gemini's clients, where a model of Gemini's answers."""
        asked = self._catalogue.find(model)
        if (dialect, operation) != ("gemini", "chat") or asked.model.family != "gemini":
            return None
        codec = CloudCode(profile_of(asked.model))
        endpoint: Endpoint | None = None
        for base_url in reversed(self._config.base_urls):
            endpoint = Endpoint(
                address(base_url, _WHOLE),
                codec,
                self._config.headers,
                partial(native_body, asked=asked),
                stream_url=address(base_url, _STREAMED),
                enclose=partial(self._enclose, asked),
                mend=partial(_mended, asked),
                fallback=endpoint,
            )
        return endpoint

    async def _enclose(self, asked: Asked, inner: JsonObject, upstream: Upstream) -> JsonObject:
        kind: Kind = "image_gen" if asked.model.makes_images else "agent"
        project = await self._projects.of(upstream)
        self._quotas.glance(upstream)
        return enclosed(inner, model=asked.model.id, project=project, session=native_session(inner), kind=kind)

    # -- what goes wrong

    def classify_error(self, failure: UpstreamFailure) -> UpstreamError:
        """By what Google says in the details."""
        return classify(failure)

    def mend(self, request: ChatRequest, error: UpstreamError) -> ChatRequest | None:
        """Without thinking where a signature was refused; the same once more where the model failed in its answer.

        At the next host where one cannot answer.
        """
        if is_about_thinking(error):
            return without_thinking(request, self._memory, kept_for(request))
        if may_pass(error):
            return request
        return at_the_next(request, self._config.base_urls) if error.is_the_hosts else None

    def losses(self, request: ChatRequest) -> Losses:
        """What the model is not told of a request."""
        asked, kind = self._asked(request)
        searches = kind == "web_search"
        return losses(request, asked, searches=searches, memory=self._memory, session=kept_for(request))


def _mended(asked: Asked, body: JsonObject, error: UpstreamError) -> JsonObject | None:
    if is_about_thinking(error):
        return shaped(body, asked, thinking=False)
    return body if may_pass(error) else None
