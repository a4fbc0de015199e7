"""How an answer ended and what it used: OpenAI's words for it, in both directions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

from aigateway_core.dialects.openai_facts import usage_in
from aigateway_core.model import FinishReason, JsonObject, Usage

_READ: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}

_WRITTEN: dict[FinishReason, str] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "context_window": "length",
    "pause": "stop",
}


def read_finish(
    word: Any, own_words: Mapping[str, FinishReason | Literal["error"]]
) -> FinishReason | Literal["error"] | None:
    """What ``finish_reason`` means, in the vendor's own words first; an unknown word is ``stop``, None no word at all.

    Servers send null or an empty string for "not yet".
    """
    if type(word) is not str or not word:
        return None
    return own_words.get(word) or _READ.get(word, "stop")


def settled(reason: FinishReason, *, called: bool, refused: bool = False) -> FinishReason:
    """The reason that fits what was seen: servers say ``stop`` after tool calls, and ``tool_calls`` without any.

    ``length`` and ``content_filter`` stand whatever was seen before: a call that was cut must not look whole.
    """
    if refused and reason == "stop":
        return "content_filter"
    if called and reason in ("stop", "stop_sequence", "pause"):
        return "tool_calls"
    if reason == "tool_calls" and not called:
        return "stop"
    return reason


def plain_finish(reason: FinishReason) -> str:
    """OpenAI's word for this reason, whatever else was seen."""
    return _WRITTEN[reason]


def finish_word(reason: FinishReason, *, called: bool) -> str:
    """OpenAI's word for why the model stopped."""
    return plain_finish(settled(reason, called=called))


read_usage: Callable[[Any], Usage | None] = partial(usage_in, prompt="prompt_tokens", answer="completion_tokens")
"""The tokens that an upstream reports; None when it reports none, or nothing that can be read."""


def write_usage(usage: Usage) -> JsonObject:
    """The ``usage`` object of an answer."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
