"""How an answer ended and what it used: this API's words for it, in both directions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from aigateway_core.dialects.openai_facts import usage_in
from aigateway_core.model import FinishReason, JsonObject, Usage

CUT_REASONS: dict[FinishReason, str] = {
    "length": "max_output_tokens",
    "context_window": "max_output_tokens",
    "content_filter": "content_filter",
}
"""Why an answer is ``incomplete``. Codex gives up on such a one, so that nothing else is told this way."""

_READ: dict[Any, FinishReason] = {
    "max_output_tokens": "length",
    "content_filter": "content_filter",
    "steered": "stop",
}


def read_finish(response: JsonObject, *, called: bool, refused: bool) -> FinishReason:
    """Why the model stopped, of a response that is ``completed`` or ``incomplete``."""
    if response.get("status") == "incomplete":
        details = response.get("incomplete_details")
        word = details.get("reason") if type(details) is dict else None
        return _READ.get(word, "length") if type(word) is str else "length"
    if called:
        return "tool_calls"
    return "content_filter" if refused else "stop"


read_usage: Callable[[Any], Usage | None] = partial(usage_in, prompt="input_tokens", answer="output_tokens")
"""The tokens that an upstream reports; None when it reports none, or nothing that can be read."""


def write_usage(usage: Usage) -> JsonObject:
    """The ``usage`` object of an answer; the SDK's types ask for every one of its fields."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
