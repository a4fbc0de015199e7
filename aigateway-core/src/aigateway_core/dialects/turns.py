"""Canonical messages put into the order that strict APIs insist on, before they are written.

Anthropic: every ``tool_use`` of an assistant turn needs its ``tool_result`` in the very next user turn, and a result
its ``tool_use`` in the turn before; Gemini likewise. Either without the other is a 400. Others are less strict, and
clients cancel calls.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from itertools import chain, groupby

import attrs

from aigateway_core.model import Message, Part, Role, TextPart, ToolCallPart, ToolResultPart

NO_RESULT = "(no result)"
"""Stands for the result of a call that the client never answered (case 23)."""


def paired(messages: Sequence[Message]) -> list[Message]:
    """The messages with assistant turns merged and each call followed by one result, in the order of the calls.

    Of several results for one call the last counts (case 24); a result for no call becomes text (case 22).
    """
    ordered: list[Message] = []
    pending: list[str] = []
    for message in merged(messages):
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
    """An id that served a call before gets a number: ids must be unique, and some servers count anew each time.

    The results of a turn stand in the order of its calls, and have their names.
    """
    uses: Counter[str] = Counter()
    renamed: list[Message] = []
    names: deque[str] = deque()
    for message in messages:
        if message.role == "assistant":
            names.clear()
        parts = tuple(_numbered(part, uses, names) for part in message.parts)
        renamed.append(message if parts == message.parts else attrs.evolve(message, parts=parts))
    return renamed


def _numbered(part: Part, uses: Counter[str], names: deque[str]) -> Part:
    match part:
        case ToolCallPart(identifier):
            uses[identifier] += 1
            names.append(identifier if uses[identifier] == 1 else f"{identifier}-{uses[identifier]}")
            return part if names[-1] == identifier else attrs.evolve(part, id=names[-1])
        case ToolResultPart(identifier):
            name = names.popleft() if names else identifier
            return part if name == identifier else attrs.evolve(part, call_id=name)
        case _:
            return part


def merged(messages: Iterable[Message], roles: Sequence[Role] = ("assistant", "tool")) -> list[Message]:
    """Neighbouring messages of each of these roles as one."""
    turns: list[Message] = []
    for role, group in groupby(messages, lambda message: message.role):
        neighbours = list(group)
        if role in roles and len(neighbours) > 1:
            parts = chain.from_iterable(message.parts for message in neighbours)
            neighbours = [attrs.evolve(neighbours[0], parts=tuple(parts))]
        turns += neighbours
    return turns


def latest(calls: Iterable[Part], results: Sequence[ToolResultPart]) -> tuple[ToolResultPart, ...]:
    """Of the results for these calls, as many of each id as calls have it: the last ones count (case 24)."""
    wanted = Counter(part.id for part in calls if isinstance(part, ToolCallPart))
    kept: list[ToolResultPart] = []
    for result in reversed(results):
        if wanted[result.call_id]:
            wanted[result.call_id] -= 1
            kept.append(result)
    return tuple(reversed(kept))


def matched(calls: Sequence[str], results: Iterable[ToolResultPart]) -> list[ToolResultPart | None]:
    """The result of each call. Calls that share an id get its last results in their order, or the only one."""
    given: dict[str, list[ToolResultPart]] = {}
    for result in results:
        given.setdefault(result.call_id, []).append(result)
    waiting = {call: deque(given.get(call, ())[-number:]) for call, number in Counter(calls).items()}
    return [_next(waiting[call]) for call in calls]


def _answered(pending: Sequence[str], parts: Iterable[Part]) -> list[Message]:
    """One result for each pending call, then what is left over as a user message."""
    results = [part for part in parts if isinstance(part, ToolResultPart)]
    found = zip(pending, matched(pending, results), strict=True)
    answers = tuple(result or ToolResultPart(call, (TextPart(NO_RESULT),)) for call, result in found)
    asked = {"", *pending}
    left = {result.call_id: result for result in results if result.call_id not in asked}
    stray = tuple(piece for result in left.values() for piece in _as_text(result))
    messages = [Message("tool", answers)] if answers else []
    return [*messages, Message("user", stray)] if stray else messages


def _next(results: deque[ToolResultPart]) -> ToolResultPart | None:
    """The first of them, which is used up unless it is the last."""
    if len(results) > 1:
        return results.popleft()
    return results[0] if results else None


def _as_text(result: ToolResultPart) -> tuple[Part, ...]:
    label = f"[tool result {result.call_id}]"
    first, *rest = result.content or (TextPart(""),)
    if isinstance(first, TextPart):
        return (TextPart(f"{label} {first.text}".rstrip()), *rest)
    return (TextPart(label), first, *rest)
