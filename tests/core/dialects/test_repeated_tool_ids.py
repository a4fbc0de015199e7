"""Calls of one turn that share an id, as servers that count badly give them out and clients repeat them.

Each keeps its own result on the way from any client to any vendor, and has an id of its own there; of two results for
one call the last counts (case 24).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aigateway_core.dialects.dialect import Dialect
from aigateway_core.plugin import Anthropic, Gemini, JsonObject, OpenAIChat, OpenAIResponses, dumps

CALLS, Results = ("Oslo", "Rome"), tuple[str, ...]


def by_chat(ids: str, results: Results) -> JsonObject:
    calls = [
        {"id": name, "type": "function", "function": {"name": "weather", "arguments": f'{{"city":"{city}"}}'}}
        for name, city in zip(ids, CALLS, strict=False)
    ]
    said = [{"role": "tool", "tool_call_id": "a", "content": text} for text in results]
    return {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "tool_calls": calls}, *said]}


def by_responses(ids: str, results: Results) -> JsonObject:
    calls = [
        {"type": "function_call", "call_id": name, "name": "weather", "arguments": f'{{"city":"{city}"}}'}
        for name, city in zip(ids, CALLS, strict=False)
    ]
    said = [{"type": "function_call_output", "call_id": "a", "output": text} for text in results]
    return {"input": [{"role": "user", "content": "hi"}, *calls, *said]}


def by_gemini(ids: str, results: Results) -> JsonObject:
    calls = [
        {"functionCall": {"id": name, "name": "weather", "args": {"city": city}}}
        for name, city in zip(ids, CALLS, strict=False)
    ]
    said = [{"functionResponse": {"id": "a", "name": "weather", "response": {"output": text}}} for text in results]
    turns = [("user", [{"text": "hi"}]), ("model", calls), ("user", said)]
    return {"contents": [{"role": role, "parts": parts} for role, parts in turns]}


def by_anthropic(ids: str, results: Results) -> JsonObject:
    calls = [
        {"type": "tool_use", "id": name, "name": "weather", "input": {"city": city}}
        for name, city in zip(ids, CALLS, strict=False)
    ]
    said = [{"type": "tool_result", "tool_use_id": "a", "content": text} for text in results]
    turns = [("user", "hi"), ("assistant", calls), ("user", said)]
    return {"max_tokens": 9, "messages": [{"role": role, "content": content} for role, content in turns]}


def in_chat(body: JsonObject) -> Any:
    calls = [call for message in body["messages"] for call in message.get("tool_calls", ())]
    said = {each["tool_call_id"]: each["content"] for each in body["messages"] if each["role"] == "tool"}
    return [(each["id"], each["function"]["arguments"]) for each in calls], said


def in_responses(body: JsonObject) -> Any:
    calls = [item for item in body["input"] if item.get("type") == "function_call"]
    said = {each["call_id"]: each["output"] for each in body["input"] if each.get("type") == "function_call_output"}
    return [(each["call_id"], each["arguments"]) for each in calls], said


def in_gemini(body: JsonObject) -> Any:
    parts = [part for content in body["contents"] for part in content["parts"]]
    calls = [part["functionCall"] for part in parts if "functionCall" in part]
    answers = [part["functionResponse"] for part in parts if "functionResponse" in part]
    said = {each["id"]: each["response"]["output"] for each in answers}
    return [(each["id"], dumps(each["args"]).decode()) for each in calls], said


def in_anthropic(body: JsonObject) -> Any:
    blocks = [block for message in body["messages"] for block in message["content"] if type(block) is dict]
    calls = [block for block in blocks if block["type"] == "tool_use"]
    said = {block["tool_use_id"]: block["content"] for block in blocks if block["type"] == "tool_result"}
    return [(each["id"], dumps(each["input"]).decode()) for each in calls], said


CLIENTS = {
    "chat": (OpenAIChat(), by_chat),
    "responses": (OpenAIResponses(), by_responses),
    "gemini": (Gemini(), by_gemini),
    "anthropic": (Anthropic(), by_anthropic),
}
VENDORS = {
    "chat": (OpenAIChat(), in_chat),
    "responses": (OpenAIResponses(), in_responses),
    "gemini": (Gemini(), in_gemini),
    "anthropic": (Anthropic(), in_anthropic),
}


def carried(client: str, vendor: str, ids: str, results: Results) -> list[tuple[str, Any]]:
    """What the vendor is told each call was answered with, by the city that it asked for."""
    reader: tuple[Dialect, Callable[..., JsonObject]] = CLIENTS[client]
    writer: tuple[Dialect, Callable[[JsonObject], Any]] = VENDORS[vendor]
    request = reader[0].decode_request({"model": "m", **reader[1](ids, results)})
    calls, said = writer[1](writer[0].encode_request(request))
    assert len({name for name, _ in calls}) == len(calls) == len(said)
    return [(next(city for city in CALLS if city in arguments), said[name]) for name, arguments in calls]


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("client", CLIENTS)
def test_each_of_two_calls_with_one_id_keeps_its_own_result(client: str, vendor: str) -> None:
    found = carried(client, vendor, "aa", ("snow", "sun"))
    assert [(city, _text(said)) for city, said in found] == [("Oslo", "snow"), ("Rome", "sun")]


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("client", CLIENTS)
def test_of_two_results_for_one_call_the_last_counts(client: str, vendor: str) -> None:
    found = carried(client, vendor, "a", ("early", "late"))
    assert [(city, _text(said)) for city, said in found] == [("Oslo", "late")]


def _text(said: Any) -> str:
    return said if type(said) is str else "".join(block["text"] for block in said)
