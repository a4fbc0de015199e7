"""Canonical messages put into the order that strict APIs insist on, before they are written.

Anthropic: every ``tool_use`` of an assistant turn needs its ``tool_result`` in the very next user turn, and a result
its ``tool_use`` in the turn before; Gemini likewise. Either without the other is a 400. Others are less strict, and
clients cancel calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, groupby

import attrs

from aigateway_core.model import Message, Part, TextPart, ToolCallPart, ToolResultPart

NO_RESULT = "(no result)"
"""Stands for the result of a call that the client never answered (case 23)."""


def paired(messages: Sequence[Message]) -> list[Message]:
    """The messages with assistant turns merged and each call followed by one result, in the order of the calls.

    Of several results for one call the last counts (case 24); a result for no call becomes text (case 22).
    """
    ordered: list[Message] = []
    pending: list[str] = []
    for message in _merged(messages):
        if message.role == "tool":
            ordered += _answered(pending, message.parts)
            pending = []
            continue
        if pending:
            ordered += _answered(pending, ())
        ordered.append(message)
        pending = [part.id for part in message.parts if isinstance(part, ToolCallPart)]
    if pending:
        ordered += _answered(pending, ())
    return _with_own_ids(ordered)


def _with_own_ids(messages: Sequence[Message]) -> list[Message]:
    """An id that served an earlier turn gets a number: ids must be unique, and some servers count anew each time."""
    uses: Counter[str] = Counter()
    renamed: list[Message] = []
    for message in messages:
        if message.role == "assistant":
            uses.update({part.id for part in message.parts if isinstance(part, ToolCallPart)})
        renamed.append(attrs.evolve(message, parts=tuple(_numbered(part, uses) for part in message.parts)))
    return renamed


def _numbered(part: Part, uses: Counter[str]) -> Part:
    match part:
        case ToolCallPart(identifier) if uses[identifier] > 1:
            return attrs.evolve(part, id=f"{identifier}-{uses[identifier]}")
        case ToolResultPart(identifier) if uses[identifier] > 1:
            return attrs.evolve(part, call_id=f"{identifier}-{uses[identifier]}")
        case _:
            return part


def _merged(messages: Iterable[Message]) -> list[Message]:
    """Neighbouring assistant messages as one, and neighbouring tool messages as one."""
    merged: list[Message] = []
    for role, group in groupby(messages, lambda message: message.role):
        neighbours = list(group)
        if role in ("assistant", "tool") and len(neighbours) > 1:
            parts = chain.from_iterable(message.parts for message in neighbours)
            neighbours = [attrs.evolve(neighbours[0], parts=tuple(parts))]
        merged += neighbours
    return merged


def _answered(pending: Sequence[str], parts: Iterable[Part]) -> list[Message]:
    """One result for each pending call, then what is left over as a user message."""
    results = {part.call_id: part for part in parts if isinstance(part, ToolResultPart)}
    answers = tuple(results.get(call, ToolResultPart(call, (TextPart(NO_RESULT),))) for call in pending)
    asked = set(pending)
    unasked = [result for call, result in results.items() if call and call not in asked]
    stray = tuple(piece for result in unasked for piece in _as_text(result))
    messages = [Message("tool", answers)] if answers else []
    return [*messages, Message("user", stray)] if stray else messages


def _as_text(result: ToolResultPart) -> tuple[Part, ...]:
    label = f"[tool result {result.call_id}]"
    first, *rest = result.content or (TextPart(""),)
    if isinstance(first, TextPart):
        return (TextPart(f"{label} {first.text}".rstrip()), *rest)
    return (TextPart(label), first, *rest)
