"""OpenAI's Chat Completions, by the book."""

from __future__ import annotations

from typing import Any

import attrs
from typing_extensions import override

from aigateway_core.plugin import ChatRequest, Losses, OpenAICompatibleConfig, OpenAICompatibleProvider
from aigateway_openai.models import MODELS, PATTERNS, reasons


@attrs.frozen(kw_only=True)
class OpenAIConfig(OpenAICompatibleConfig):
    """``headers`` may name an organisation or a project: ``{OpenAI-Organization: org-…}``."""

    base_url: str = "https://api.openai.com/v1"


class OpenAIProvider(OpenAICompatibleProvider):
    """OpenAI itself; the dialect's defaults are its own habits.

    What is left to know is that models that reason take no stop texts, and no temperature or top_p but 1
    (https://platform.openai.com/docs/guides/reasoning), and that the others take no effort. A client of OpenAI's own
    dialect hears that from OpenAI; for clients of other dialects, who cannot know it, these are left out.
    """

    known_models = MODELS
    known_patterns = PATTERNS

    @override
    def losses(self, request: ChatRequest) -> Losses:
        """What the dialect cannot express, and what the model does not take."""
        losses = super().losses(request)
        refused = ("stop",) if request.stop and reasons(request.model) else ()
        return Losses((*losses.dropped, *_not_taken(request)), (*losses.refused, *refused))

    @override
    def adapt(self, request: ChatRequest) -> ChatRequest:
        """Without the settings that the model does not take."""
        unset: dict[str, Any] = dict.fromkeys(_not_taken(request))
        return attrs.evolve(request, **unset)


def _not_taken(request: ChatRequest) -> tuple[str, ...]:
    if reasons(request.model):
        return tuple(name for name in ("temperature", "top_p") if getattr(request, name) not in (None, 1))
    return ("reasoning",) if request.reasoning is not None else ()
