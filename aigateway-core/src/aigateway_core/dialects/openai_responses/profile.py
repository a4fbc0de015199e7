"""What vendors with a Responses endpoint spell differently, as data."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Literal

import attrs

from aigateway_core.dialects.dialect import Loss
from aigateway_core.dialects.openai_facts import are_fields
from aigateway_core.errors import ErrorKind, Scope
from aigateway_core.model import Effort


@attrs.frozen(kw_only=True)
class OpenAIResponsesProfile:
    """The facts of one vendor; the defaults are OpenAI's own (the type definitions of its SDK)."""

    origin: str = "openai-responses"
    """The maker's name on the reasoning that comes from here (:attr:`ThinkingPart.origin`)."""

    late_system: Literal["developer", "system"] = "developer"
    """The role of a system text in mid-conversation; the leading ones are the ``instructions``."""

    min_output_tokens: int = 16
    """A smaller ``max_output_tokens`` is a 400; this is sent instead."""

    user_length: tuple[int, int] = (1, 64)
    """Fewest and most characters of the user's id; another length is replaced by a hash."""

    efforts: Mapping[Effort, str | None] = attrs.field(factory=dict)
    """Effort words that are sent as another one, or (None) not at all; words that are not here stay as they are."""

    summary: Literal["auto", "concise", "detailed"] | None = "auto"
    """What is asked for when a client wants to see the reasoning; None: the vendor gives none, or not to everybody."""

    without_reasoning: tuple[str, ...] = ("gpt-3*", "gpt-4*", "chatgpt-4*")
    """Shell patterns of models that refuse ``reasoning`` and encrypted reasoning with a 400."""

    error_codes: Mapping[str, tuple[ErrorKind, Scope]] = attrs.field(factory=dict)
    """Codes (and types) of the vendor's own for what went wrong; they win over OpenAI's."""

    cannot_express: Mapping[str, Loss] = attrs.field(factory=dict, validator=are_fields)
    """Fields of :class:`ChatRequest` that this vendor has no place for, besides the ones that OpenAI has none for."""

    def reasons(self, model: str) -> bool:
        """Whether this model may be asked to reason."""
        return not any(fnmatchcase(model, pattern) for pattern in self.without_reasoning)
