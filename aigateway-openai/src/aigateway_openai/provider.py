"""OpenAI's Chat Completions, by the book."""

from __future__ import annotations

from collections.abc import AsyncIterator

import attrs
from typing_extensions import override

from aigateway_core.plugin import (
    ChatRequest,
    ChatResponse,
    Losses,
    OpenAICompatibleConfig,
    OpenAICompatibleProvider,
    StreamEvent,
    Upstream,
)
from aigateway_openai.models import MODELS, PATTERNS, reasons


@attrs.frozen(kw_only=True)
class OpenAIConfig(OpenAICompatibleConfig):
    """``headers`` may name an organisation or a project: ``{OpenAI-Organization: org-…}``."""

    base_url: str = "https://api.openai.com/v1"


class OpenAIProvider(OpenAICompatibleProvider):
    """OpenAI itself; the dialect's defaults are its own habits.

    What is left to know is that models that reason take no stop texts, and no temperature or top_p but 1
    (https://platform.openai.com/docs/guides/reasoning). A client of OpenAI's own dialect hears that from OpenAI; for
    clients of other dialects, who cannot know it, the sampling is left out.
    """

    known_models = MODELS
    known_patterns = PATTERNS

    @override
    def losses(self, request: ChatRequest) -> Losses:
        """What the dialect cannot express, and what the model does not take."""
        losses = super().losses(request)
        if not reasons(request.model):
            return losses
        refused = ("stop",) if request.stop else ()
        return Losses((*losses.dropped, *_sampling(request)), (*losses.refused, *refused))

    @override
    async def complete(self, request: ChatRequest, upstream: Upstream) -> ChatResponse:
        """The whole answer."""
        return await super().complete(_without_sampling(request), upstream)

    @override
    def stream(self, request: ChatRequest, upstream: Upstream) -> AsyncIterator[StreamEvent]:
        """The answer as it comes."""
        return super().stream(_without_sampling(request), upstream)


def _sampling(request: ChatRequest) -> tuple[str, ...]:
    return tuple(name for name in ("temperature", "top_p") if getattr(request, name) not in (None, 1))


def _without_sampling(request: ChatRequest) -> ChatRequest:
    if reasons(request.model) and _sampling(request):
        return attrs.evolve(request, temperature=None, top_p=None)
    return request
