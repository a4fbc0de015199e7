"""How an answer ended and what it used: this API's words for it, in both directions."""

from __future__ import annotations

from typing import Any

from aigateway_core.dialects.checks import optional_mapping, optional_tokens
from aigateway_core.dialects.gemini.keys import field
from aigateway_core.errors import ErrorKind, UpstreamError
from aigateway_core.model import FinishReason, JsonObject, Usage

_FILTERS = (
    *("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR"),
    *("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "IMAGE_OTHER"),
)
_READ: dict[str, FinishReason] = {"MAX_TOKENS": "length", **dict.fromkeys(_FILTERS, "content_filter")}

_FAILED = frozenset(
    {
        *("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE"),
        "MALFORMED_RESPONSE",
    }
)
"""Ends at which the model meant to act and could not. An agent that took them for a clean end would wait forever."""

_WRITTEN: dict[FinishReason, str] = {
    "length": "MAX_TOKENS",
    "context_window": "MAX_TOKENS",
    "content_filter": "SAFETY",
}

CUT_REASONS: frozenset[FinishReason] = frozenset({"length", "context_window", "content_filter"})
"""Ends that may come in the middle of a tool call."""

_MOST_WORD = 60


def read_finish(word: str, *, called: bool, spoke: bool) -> FinishReason:
    """Why the model stopped; ``called`` and ``spoke`` say whether the answer holds a call, and anything at all.

    A word that is not known is an ordinary end. Raises :class:`UpstreamError` for an end that is a failure.
    """
    word = word.upper()
    if (word in _FAILED and not called) or (word == "OTHER" and not spoke):
        word = word[:_MOST_WORD]
        raise UpstreamError(ErrorKind.SERVER, f"the upstream gave up on its answer ({word})", code=word)
    reason = _READ.get(word, "stop")
    return "tool_calls" if called and reason == "stop" else reason


def finish_word(reason: FinishReason) -> str:
    """This API's word for why the model stopped; a tool call is an ordinary end to it."""
    return _WRITTEN.get(reason, "STOP")


def blocked_prompt(body: JsonObject) -> str | None:
    """Why the prompt was blocked, in an answer without candidates; None when it was not."""
    feedback = optional_mapping(field(body, "promptFeedback"), "promptFeedback") or {}
    reason = field(feedback, "blockReason")
    return reason[:_MOST_WORD] if type(reason) is str and reason else None


def read_usage(value: Any) -> Usage | None:
    """What ``usageMetadata`` says; None when it says nothing. Raises :class:`InvalidRequestError` for wrong types.

    Thoughts are not among the candidates' tokens, and what tools of the vendor's own read is not in the prompt's.
    """
    counts = optional_mapping(value, "usageMetadata") or {}
    prompt, candidates = _count(counts, "promptTokenCount"), _count(counts, "candidatesTokenCount")
    total = _count(counts, "totalTokenCount")
    if prompt is None and candidates is None and total is None:
        return None
    thoughts = _count(counts, "thoughtsTokenCount") or 0
    read = (prompt or 0) + (_count(counts, "toolUsePromptTokenCount") or 0)
    output = (candidates or 0) + thoughts
    if candidates is None and total is not None:
        output = max(total - read, thoughts)
    return Usage(
        input_tokens=read,
        output_tokens=output,
        cache_read_tokens=min(_count(counts, "cachedContentTokenCount") or 0, read),
        reasoning_tokens=thoughts,
    )


def write_usage(usage: Usage) -> JsonObject:
    """The ``usageMetadata`` of an answer; zero counts are left out but for the two that clients read first."""
    thoughts = min(max(usage.reasoning_tokens, 0), usage.output_tokens)
    counts: JsonObject = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": usage.output_tokens - thoughts,
        "totalTokenCount": usage.input_tokens + usage.output_tokens,
    }
    if usage.cache_read_tokens > 0:
        counts["cachedContentTokenCount"] = min(usage.cache_read_tokens, usage.input_tokens)
    if thoughts:
        counts["thoughtsTokenCount"] = thoughts
    return counts


def _count(counts: JsonObject, name: str) -> int | None:
    return optional_tokens(field(counts, name), "usageMetadata", name)
