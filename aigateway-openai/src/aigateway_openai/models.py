"""OpenAI's models: the ones worth listing, and the names that are OpenAI's whatever comes next.

Limits: OpenAI's model pages, as collected in the public catalogue models.dev (2026). A model that is not listed is
routed here all the same when a pattern fits its name.
"""

from __future__ import annotations

import re

from aigateway_core.plugin import ModelInfo

_TOOLS = frozenset({"tools", "images", "json_schema"})
_THINKS = _TOOLS | {"thinking"}


def _model(name: str, title: str, context: int, output: int, capabilities: frozenset[str]) -> ModelInfo:
    return ModelInfo(
        id=name, display_name=title, context_window=context, max_output_tokens=output, capabilities=capabilities
    )


MODELS = (
    _model("gpt-5.5", "GPT-5.5", 1_050_000, 128_000, _THINKS),
    _model("gpt-5.4", "GPT-5.4", 1_050_000, 128_000, _THINKS),
    _model("gpt-5.2", "GPT-5.2", 400_000, 128_000, _THINKS),
    _model("gpt-5", "GPT-5", 400_000, 128_000, _THINKS),
    _model("gpt-5-mini", "GPT-5 mini", 400_000, 128_000, _THINKS),
    _model("gpt-4o", "GPT-4o", 128_000, 16_384, _TOOLS),
    _model("o3", "o3", 200_000, 100_000, _THINKS),
    _model("o4-mini", "o4-mini", 200_000, 100_000, _THINKS),
)

PATTERNS = ("gpt-*", "o1*", "o3*", "o4*", "chatgpt-*", "codex-*", "text-embedding-*")

_REASONS = re.compile(r"(?:o\d|codex-|gpt-(?:[5-9]|\d\d))(?!.*-chat)")

_RESPONSES_ALONE = re.compile(r"codex-|.*-codex|.*-pro(?:-\d{4}|$)|.*-deep-research|computer-use-")
_CHAT_ALONE = re.compile(r".*-search-(?:preview|api)|.*-audio|gpt-audio|o1-mini")


def reasons(model: str) -> bool:
    """Whether this is one of the models that think before they answer, and that take no sampling parameters."""
    return _REASONS.match(model) is not None


def has_chat(model: str) -> bool:
    """Whether Chat Completions serves this model.

    Codex models, the pro ones, deep research and computer use have Responses alone (their pages at
    https://platform.openai.com/docs/models; the API says "only supported in v1/responses").
    """
    return _RESPONSES_ALONE.match(model) is None


def has_responses(model: str) -> bool:
    """Whether Responses serves this model: all do but those for searching, for sound, and o1-mini (model pages)."""
    return _CHAT_ALONE.match(model) is None
