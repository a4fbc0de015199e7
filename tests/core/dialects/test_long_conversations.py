"""A long conversation takes time in proportion to its length: one request must not stop the others for minutes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from aigateway_core.dialects.anthropic import Anthropic
from aigateway_core.dialects.dialect import Dialect
from aigateway_core.dialects.openai_chat import OpenAIChat

OPENAI, ANTHROPIC = OpenAIChat(), Anthropic()
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
