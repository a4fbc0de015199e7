"""Token counts and stop reasons, read and written.

On this wire the three input counters are disjoint: the prompt is ``input_tokens`` plus what was read from the cache
plus what was written to it. The canonical ``input_tokens`` is that sum (translation table, 2.2; case 128).
"""

from __future__ import annotations

from typing import Any

from aigateway_core.dialects.checks import Path, optional_mapping, optional_tokens
from aigateway_core.model import FinishReason, JsonObject, Usage

_FINISH_REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "max_tokens": "length",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "refusal": "content_filter",
    "model_context_window_exceeded": "context_window",
}

_STOP_REASONS = {reason: word for word, reason in _FINISH_REASONS.items()}

CUT_REASONS: frozenset[FinishReason] = frozenset({"length", "context_window", "content_filter"})
"""Ends that may come in the middle of a tool call."""


def read_finish(stop_reason: str | None, *, called: bool) -> FinishReason:
    """Why the model stopped. Nothing, or a word that is not known, is an ordinary end, or that of a call."""
    return _told_by_calls(_FINISH_REASONS.get(stop_reason or "", "stop"), called=called)


def write_stop(reason: FinishReason, *, called: bool) -> str:
    """The ``stop_reason``; ``called`` says whether the answer holds a tool call (cases 54 and 55)."""
    return _STOP_REASONS[_told_by_calls(reason, called=called)]


def _told_by_calls(reason: FinishReason, *, called: bool) -> FinishReason:
    if reason in ("stop", "tool_calls"):
        return "tool_calls" if called else "stop"
    return reason


def read_usage(value: Any, *path: str | int) -> Usage | None:
    """What ``usage`` says; None when it says nothing. Raises :class:`InvalidRequestError` for wrong types."""
    counts = optional_mapping(value, *path) or {}
    fresh, output = _count(counts, "input_tokens", path), _count(counts, "output_tokens", path)
    if fresh is None and output is None:
        return None
    read = _count(counts, "cache_read_input_tokens", path) or 0
    written = _count(counts, "cache_creation_input_tokens", path) or 0
    details = optional_mapping(counts.get("output_tokens_details"), *path, "output_tokens_details") or {}
    return Usage(
        input_tokens=(fresh or 0) + read + written,
        output_tokens=output or 0,
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=_count(details, "thinking_tokens", (*path, "output_tokens_details")) or 0,
    )


def merged_usage(start: JsonObject, later: JsonObject) -> JsonObject:
    """The counts of ``message_start`` under those of ``message_delta``: totals, which win where they say anything."""
    return {**start, **{name: count for name, count in later.items() if count is not None}}


def write_usage(usage: Usage) -> JsonObject:
    """``usage`` of a whole answer or of ``message_delta``."""
    read = min(max(usage.cache_read_tokens, 0), usage.input_tokens)
    written = min(max(usage.cache_write_tokens, 0), usage.input_tokens - read)
    counts: JsonObject = {
        "input_tokens": usage.input_tokens - read - written,
        "output_tokens": usage.output_tokens,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
    }
    if usage.reasoning_tokens:
        counts["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return counts


def _count(counts: JsonObject, name: str, path: Path) -> int | None:
    return optional_tokens(counts.get(name), *path, name)
