"""Messages in the order that strict APIs insist on: calls and results by each other, each under an id of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aigateway_core.dialects.turns import paired
from aigateway_core.model import Message, TextPart, ToolCallPart, ToolResultPart

HI = Message("user", (TextPart("hi"),))


def called(*ids: str) -> Message:
    return Message("assistant", tuple(ToolCallPart(identity, "clock", "{}") for identity in ids))


def answered(*results: tuple[str, str]) -> Message:
    return Message("tool", tuple(ToolResultPart(identity, (TextPart(text),)) for identity, text in results))


def calls_in(messages: list[Message]) -> Iterator[str]:
    return (part.id for message in messages for part in message.parts if isinstance(part, ToolCallPart))


def results_in(messages: list[Message]) -> list[tuple[str, str]]:
    parts = (part for message in messages for part in message.parts if isinstance(part, ToolResultPart))
    return [(part.call_id, "".join(str(getattr(one, "text", "")) for one in part.content)) for part in parts]


@pytest.mark.parametrize(
    ("answers", "texts"),
    [
        (["one", "two"], ["one", "two"]),
        (["zero", "one", "two"], ["one", "two"]),
        (["both"], ["both", "both"]),
        ([], ["(no result)", "(no result)"]),
    ],
)
def test_calls_of_one_turn_that_share_an_id_get_results_and_ids_of_their_own(
    answers: list[str], texts: list[str]
) -> None:
    found = paired([HI, called("a", "a"), answered(*(("a", text) for text in answers))])
    ids = list(calls_in(found))
    assert len(set(ids)) == 2
    assert results_in(found) == list(zip(ids, texts, strict=True))


def test_an_id_that_served_a_turn_before_is_not_used_again() -> None:
    found = paired([HI, called("a"), answered(("a", "one")), called("a", "b"), answered(("b", "two"), ("a", "three"))])
    ids = list(calls_in(found))
    assert len(set(ids)) == 3
    assert results_in(found) == list(zip(ids, ("one", "three", "two"), strict=True))


def test_turns_that_are_in_order_are_left_alone() -> None:
    turns = [HI, called("a", "b"), answered(("a", "one"), ("b", "two")), HI]
    assert paired(turns) == turns
