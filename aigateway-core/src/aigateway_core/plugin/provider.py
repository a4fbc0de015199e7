"""What a provider is, and the optional things that one may do besides."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import attrs

from aigateway_core.dialects.dialect import Dialect, Losses
from aigateway_core.errors import UpstreamError, UpstreamFailure
from aigateway_core.events import StreamEvent
from aigateway_core.model import ChatRequest, ChatResponse, JsonObject, ModelInfo
from aigateway_core.upstream import Upstream

ConfigT = TypeVar("ConfigT")


class Provider(Protocol):
    """A vendor behind the gateway.

    ``models`` are the models it is known to have, ``model_patterns`` further names it answers for: a name that ends in
    ``*`` stands for every name that begins so (``glm-*``). What is routed here is read once, at start; ``models`` is
    read again whenever somebody asks which there are.
    """

    @property
    def models(self) -> Sequence[ModelInfo]:
        """The known models."""

    @property
    def model_patterns(self) -> Sequence[str]:
        """Patterns of model names that are routed here."""

    async def complete(self, request: ChatRequest, upstream: Upstream) -> ChatResponse:
        """The whole answer to ``request``, whose ``model`` is the vendor's name for it.

        Raises :class:`UpstreamError`; those that ``upstream`` raises are passed on untouched. Asks no host twice.
        """

    def stream(self, request: ChatRequest, upstream: Upstream) -> AsyncIterator[StreamEvent]:
        """The events of a streamed answer: an async generator, so ``async def`` with ``yield``.

        Errors as for :meth:`complete`. A stream that ends without ``StreamFinish`` counts as cut.
        """


@attrs.frozen
class Endpoint:
    """Where a vendor takes requests in a dialect of its own, so that they need no translation.

    ``dialect`` is the codec with the vendor's profile; ``prepare`` is the vendor's last touch on the body (renaming a
    field that it spells differently, say). ``forwarded`` are the headers, in lower case, that are part of the dialect
    and so are passed on from the client; they win over ``headers``. ``stream_url`` is where streams are asked for, in
    a dialect that says so in the URL; None: at ``url`` too.

    ``enclose`` puts around the body what depends on the account that asks, and is called for each attempt. ``mend``
    takes out of a body what the error complains of, or gives None; its account is then asked once more. ``fallback``
    is another host of the vendor, asked with the same account when this one cannot answer
    (:attr:`UpstreamError.is_the_hosts`); of it, the URLs alone count.
    """

    url: str
    dialect: Dialect
    headers: Mapping[str, str] = attrs.field(factory=dict)
    prepare: Callable[[JsonObject], JsonObject] | None = None
    forwarded: tuple[str, ...] = ()
    stream_url: str | None = None
    enclose: Callable[[JsonObject, Upstream], Awaitable[JsonObject]] | None = None
    mend: Callable[[JsonObject, UpstreamError], JsonObject | None] | None = None
    fallback: Endpoint | None = None


@runtime_checkable
class SpeaksNatively(Protocol):
    """A provider whose vendor understands a client dialect as it is."""

    def endpoint(self, dialect: str, operation: str, model: str) -> Endpoint | None:
        """Where to send ``operation`` in this dialect; None when the vendor does not take it so.

        A ``chat`` is then translated. ``count_tokens`` (dialects ``anthropic`` and ``gemini``) is left to
        :class:`CountsTokens`, or to an estimate; ``embeddings`` (dialect ``openai-chat``) is refused.
        """


@runtime_checkable
class ClassifiesErrors(Protocol):
    """A provider that knows its vendor's error codes."""

    def classify_error(self, failure: UpstreamFailure) -> UpstreamError:
        """Kind and scope of a refusal. The scope must be no wider than what is certain."""


@runtime_checkable
class DeclaresLosses(Protocol):
    """A provider that can say beforehand what of a request it cannot honour."""

    def losses(self, request: ChatRequest) -> Losses:
        """Fields that would be left out, and fields because of which it refuses."""


@runtime_checkable
class MendsRequests(Protocol):
    """A provider whose vendor refuses some requests that it takes in another form, or answers when asked again."""

    def mend(self, request: ChatRequest, error: UpstreamError) -> ChatRequest | None:
        """What to ask instead, or the same once more; None when nothing would help.

        The account that refused is asked, at once and once only, and nothing is held against it before that. For an
        error that is the host's (:attr:`UpstreamError.is_the_hosts`) it may be a request that goes to another host:
        that is asked besides, and so is the next one when it fails in the same way.
        """


@runtime_checkable
class CountsTokens(Protocol):
    """A provider whose vendor counts the tokens of a prompt; what it does not count, the gateway estimates."""

    def counts_tokens(self, model: str) -> bool:
        """Whether the vendor counts for this model."""

    async def count_tokens(self, request: ChatRequest, upstream: Upstream) -> int:
        """The input tokens of ``request``. Errors as for :meth:`Provider.complete`: the gateway then estimates."""


@runtime_checkable
class DescribesModels(Protocol):
    """A provider that answers for more names than it lists, and knows which models they mean."""

    def describe_model(self, name: str) -> ModelInfo:
        """What is known of the model that this name leads to, its ``quota_group`` above all. Remembered for a while."""


@attrs.frozen(kw_only=True)
class QuotaLeft:
    """What an account has left of one quota: that of a ``model``, or of all models of a ``quota_group``.

    ``fraction`` is between 0 (nothing) and 1 (all of it), None when the vendor does not say; ``resets_at`` is when it
    is full again, if that is known.
    """

    model: str | None = None
    quota_group: str | None = None
    fraction: float | None = None
    resets_at: datetime | None = None


@runtime_checkable
class ReportsQuota(Protocol):
    """A provider whose vendor tells what an account has left."""

    async def quota(self, upstream: Upstream) -> Sequence[QuotaLeft]:
        """What this account has left, as the vendor tells it now. Errors as for :meth:`Provider.complete`."""


@attrs.frozen(kw_only=True)
class ProviderSpec(Generic[ConfigT]):
    """A provider as a plugin offers it: nothing is built before the configuration has been read.

    ``name`` is the key under ``providers`` in the configuration; ``config`` the attrs class that section is structured
    into; ``build`` makes the provider from it. ``auth`` names the auth strategy (``api_key``, ``bearer``, ``oauth``,
    ``none`` or a plugin's own) and ``auth_options`` are options for it, or a function that makes them from the
    provider's config, so that the operator can give some there. ``risk`` is a sentence that the operator shall read
    before using this provider; ``advice`` says what this config leaves to be desired, if anything, at every start.
    """

    name: str
    config: type[ConfigT]
    build: Callable[[ConfigT], Provider]
    title: str = ""
    auth: str = "api_key"
    auth_options: Mapping[str, Any] | Callable[[ConfigT], Mapping[str, Any]] = attrs.field(factory=dict)
    risk: str | None = None
    advice: Callable[[ConfigT], str | None] | None = None
