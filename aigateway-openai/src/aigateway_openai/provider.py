"""OpenAI's two APIs for conversations, by the book."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import attrs
from typing_extensions import override

from aigateway_core.plugin import (
    ChatRequest,
    Losses,
    OpenAIChat,
    OpenAIChatProfile,
    OpenAICompatibleConfig,
    OpenAICompatibleProvider,
    OpenAIResponses,
    OpenAIResponsesProfile,
    Wire,
)
from aigateway_openai.models import MODELS, PATTERNS, has_chat, has_responses, reasons


@attrs.frozen(kw_only=True)
class OpenAIConfig(OpenAICompatibleConfig):
    """``headers`` may name an organisation or a project: ``{OpenAI-Organization: org-…}``.

    ``reasoning_summary`` is what clients of other dialects are shown of a model's thinking when they ask to see it.
    OpenAI gives summaries to verified organisations alone and answers 400 to others: those say ``null``.
    """

    base_url: str = "https://api.openai.com/v1"
    wires: tuple[Literal["chat", "responses"], ...] = attrs.field(
        default=("chat", "responses"), validator=attrs.validators.min_len(1)
    )
    reasoning_summary: Literal["auto", "concise", "detailed"] | None = "auto"


class OpenAIProvider(OpenAICompatibleProvider):
    """OpenAI itself; the dialects' defaults are its own habits.

    What is left to know is that models that reason take no stop texts, and no temperature or top_p but 1
    (https://platform.openai.com/docs/guides/reasoning), and that the others take no effort. A client of OpenAI's own
    dialects hears that from OpenAI; for clients of other dialects, who cannot know it, these are left out.
    """

    dialect = OpenAIChat(OpenAIChatProfile(refuses_thinking=True))
    # The client's, for a request that it sends again itself: https://platform.openai.com/docs/api-reference
    forwarded_headers = ("idempotency-key",)
    known_models = MODELS
    known_patterns = PATTERNS

    def __init__(self, config: OpenAIConfig) -> None:
        self.responses = OpenAIResponses(OpenAIResponsesProfile(summary=config.reasoning_summary))
        super().__init__(config)

    @override
    def wires(self, model: str) -> Sequence[Wire]:
        """Those that serve this model; for one that reasons, Responses comes first.

        There alone are its thoughts shown and given back to it, and the newer ones (from gpt-5.4 on) take function
        tools nowhere else: "not supported in /v1/chat/completions". Chat Completions knows settings of the others
        (``stop``, ``seed``, ``logit_bias`` and the penalties) that Responses does not.
        """
        configured = super().wires(model)
        serving = [wire for wire in configured if self._serves(wire, model)]
        return sorted(serving or configured, key=lambda wire: self._is_responses(wire) != reasons(model))

    def _serves(self, wire: Wire, model: str) -> bool:
        return has_responses(model) if self._is_responses(wire) else has_chat(model)

    def _is_responses(self, wire: Wire) -> bool:
        return wire.dialect is self.responses

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
