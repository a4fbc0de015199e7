"""A long conversation takes time in proportion to its length: one request must not stop the others for minutes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from aigateway_core.dialects.anthropic import Anthropic
from aigateway_core.dialects.dialect import Dialect
from aigateway_core.dialects.gemini import Gemini
from aigateway_core.dialects.openai_chat import OpenAIChat

OPENAI, ANTHROPIC, GEMINI = OpenAIChat(), Anthropic(), Gemini()
MANY = 100_000
USER, ASSISTANT, SYSTEM = ({"role": role, "content": "x"} for role in ("user", "assistant", "system"))


def calls(number: int) -> list[dict[str, Any]]:
    asked = [
        {"id": f"c{each}", "type": "function", "function": {"name": "f", "arguments": "{}"}} for each in range(number)
    ]
    return [
        USER,
        {"role": "assistant", "tool_calls": asked},
        *({"role": "tool", "tool_call_id": f"c{each}", "content": "x"} for each in range(number)),
    ]


def uses(number: int) -> list[dict[str, Any]]:
    asked = [{"type": "tool_use", "id": f"c{each}", "name": "f", "input": {}} for each in range(number)]
    told = [{"type": "tool_result", "tool_use_id": f"c{each}", "content": "x"} for each in range(number)]
    return [USER, {"role": "assistant", "content": asked}, {"role": "user", "content": told}]


def scattered(number: int) -> list[dict[str, Any]]:
    asked = [{"type": "tool_use", "id": f"c{each}", "name": "f", "input": {}} for each in range(number)]
    told = [
        [{"type": "tool_result", "tool_use_id": f"c{each}", "content": "x"}, {"type": "text", "text": "and"}]
        for each in range(number)
    ]
    return [USER, {"role": "assistant", "content": asked}, *({"role": "user", "content": each} for each in told)]


SHAPES: Mapping[str, Callable[[int], list[dict[str, Any]]]] = {
    "user after user": lambda number: [USER] * number,
    "answer after answer": lambda number: [USER, *[ASSISTANT] * number],
    "back and forth": lambda number: [USER, ASSISTANT] * (number // 2),
    "system after system": lambda number: [USER, *[SYSTEM] * number],
    "system now and then": lambda number: [USER, SYSTEM] * (number // 2),
    "parts": lambda number: [{"role": "user", "content": [{"type": "text", "text": "x"}] * number}],
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("target", [OPENAI, ANTHROPIC], ids=["to openai", "to anthropic"])
@pytest.mark.parametrize("source", [OPENAI, ANTHROPIC], ids=["from openai", "from anthropic"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_a_hundred_thousand_messages(
    shape: Callable[[int], list[dict[str, Any]]], source: Dialect, target: Dialect
) -> None:
    body = {"model": "m", "max_tokens": 5, "messages": shape(MANY)}
    assert target.encode_request(source.decode_request(body))["messages"]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("target", [OPENAI, ANTHROPIC], ids=["to openai", "to anthropic"])
@pytest.mark.parametrize(
    ("source", "shape"),
    [(OPENAI, calls), (ANTHROPIC, uses), (ANTHROPIC, scattered)],
    ids=["chat", "messages", "scattered"],
)
def test_fifty_thousand_tool_calls(
    source: Dialect, shape: Callable[[int], list[dict[str, Any]]], target: Dialect
) -> None:
    body = {"model": "m", "max_tokens": 5, "messages": shape(MANY // 2)}
    assert target.encode_request(source.decode_request(body))["messages"]


ASKED = 15_000
"""Calls of one turn; it takes more than two seconds to go through them all for each of them."""


def gemini_turns(named: Callable[[int], dict[str, Any]], answered: Callable[[int], dict[str, Any]]) -> dict[str, Any]:
    """So many calls in one turn, and a response for each; a list in a body has 5,000 objects at the most."""
    calls = [{"functionCall": named(each)} for each in range(ASKED)]
    responses = [{"functionResponse": answered(each)} for each in range(ASKED)]
    contents = [
        {"role": role, "parts": parts[start : start + 4_000]}
        for role, parts in (("model", calls), ("user", responses))
        for start in range(0, ASKED, 4_000)
    ]
    return {"model": "m", "contents": [{"parts": [{"text": "x"}]}, *contents]}


def seconds(source: Dialect, body: dict[str, Any]) -> float:
    """Of the processor, to read this request and to write it for OpenAI."""
    began = time.process_time()
    assert OPENAI.encode_request(source.decode_request(body))["messages"]
    return time.process_time() - began


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("named", "answered"),
    [
        (lambda each: {"name": "f"}, lambda each: {"name": "g"}),
        (lambda each: {"name": f"f{each}"}, lambda each: {"name": f"f{ASKED - each - 1}"}),
        (lambda each: {"name": "f", "id": f"c{each}"}, lambda each: {"name": "f", "id": f"c{ASKED - each - 1}"}),
        (lambda each: {"name": f"f{each}", "id": "c"}, lambda each: {"name": f"f{ASKED - each - 1}", "id": "c"}),
    ],
    ids=["names that no call has", "names in reverse", "ids in reverse", "one id for all"],
)
def test_no_response_of_geminis_is_looked_for_among_all_calls(
    named: Callable[[int], dict[str, Any]], answered: Callable[[int], dict[str, Any]]
) -> None:
    in_order = seconds(GEMINI, gemini_turns(lambda _: {"name": "f"}, lambda _: {"name": "f"}))
    # Others are at work on this machine too: one try of three will do.
    assert any(seconds(GEMINI, gemini_turns(named, answered)) < 4 * in_order for _ in range(3))


@pytest.mark.timeout(120)
def test_a_text_of_geminis_in_pieces_is_not_copied_for_each_of_them() -> None:
    def body(*texts: str) -> dict[str, Any]:
        return {"model": "m", "contents": [{"role": "model", "parts": [{"text": text}]} for text in texts]}

    vast, few = "x" * (12 << 20), ["x"] * 5_000
    apart = seconds(GEMINI, body(vast)) + seconds(GEMINI, body(*few))
    assert seconds(GEMINI, body(vast, *few)) < 60 * apart  # copied for each, it took 400 times as long


@pytest.mark.timeout(120)
def test_responses_of_geminis_that_no_call_has_asked_for_are_put_together_once() -> None:
    stray, said = {"functionResponse": {"name": "f"}}, {"text": "x"}
    few, many = ([{"parts": [stray]}] * number for number in (ASKED, 4 * ASKED))
    took = seconds(GEMINI, {"model": "m", "contents": [{"parts": [said]}, *few]})
    assert any(seconds(GEMINI, {"model": "m", "contents": [{"parts": [said]}, *many]}) < 8 * took for _ in range(3))
