"""A strict reader of Messages streams, for tests: written from Anthropic's description, not from our encoder."""

from __future__ import annotations

import json
from typing import Any

from aigateway_core.dialects.sse import SseParser
from aigateway_core.model import JsonObject


def message_events(wire: bytes) -> list[JsonObject]:
    """The events of a stream; each has a name, and its ``type`` says the same."""
    parser = SseParser()
    events = []
    for event in [*parser.feed(wire), *parser.flush()]:
        data = json.loads(event.data)
        assert event.event == data["type"]
        events.append(data)
    return events


def shown(event: JsonObject) -> str:
    """One event in few words."""
    match event:
        case {
            "type": "content_block_start",
            "index": index,
            "content_block": {"type": "tool_use", "id": id_, "name": name},
        }:
            return f"start {index} tool_use {id_} {name}"
        case {"type": "content_block_start", "index": index, "content_block": {"type": kind}}:
            return f"start {index} {kind}"
        case {"type": "content_block_delta", "index": index, "delta": {"type": "signature_delta"}}:
            return f"signature {index}"
        case {"type": "content_block_delta", "index": index, "delta": delta}:
            kind = delta["type"].removesuffix("_delta").removeprefix("input_")
            return f"{kind} {index} {delta.get(kind, delta.get('partial_json'))}"
        case {"type": "content_block_stop", "index": index}:
            return f"stop {index}"
        case {"type": "message_delta", "delta": {"stop_reason": reason}}:
            return f"message_delta {reason}"
        case {"type": "error", "error": {"type": kind}}:
            return f"error {kind}"
        case _:
            return str(event["type"])


def outline(wire: bytes) -> list[str]:
    """A stream in few words, one line to an event."""
    return [shown(event) for event in message_events(wire)]


def assembled(wire: bytes) -> JsonObject:
    """The message that a whole stream spells, once its grammar has been checked."""
    events = [event for event in message_events(wire) if event["type"] != "ping"]
    assert [event["type"] for event in (events[0], *events[-2:])] == ["message_start", "message_delta", "message_stop"]
    message: JsonObject = events[0]["message"]
    _check_start(message)
    message["content"] = _blocks(events[1:-2])
    assert type(events[-2]["usage"]["output_tokens"]) is int
    delta: JsonObject = events[-2]["delta"]
    return message | delta | {"usage": message["usage"] | events[-2]["usage"]}


def _check_start(message: JsonObject) -> None:
    assert (message["type"], message["role"], message["content"]) == ("message", "assistant", [])
    assert message["stop_reason"] is None
    assert message["id"]
    assert type(message["usage"]["input_tokens"]) is int
    assert type(message["usage"]["output_tokens"]) is int


def _blocks(events: list[JsonObject]) -> list[JsonObject]:
    blocks: list[JsonObject] = []
    open_block: JsonObject | None = None
    for event in events:
        if event["type"] == "content_block_start":
            assert open_block is None, "a block begins while another is open"
            assert event["index"] == len(blocks), "indexes count from 0 without gaps"
            open_block = {**event["content_block"], "json": ""}
            blocks.append(open_block)
            continue
        assert open_block is not None, f"{event['type']} without an open block"
        assert event["index"] == len(blocks) - 1
        if event["type"] == "content_block_stop":
            _close(open_block)
            open_block = None
        else:
            assert event["type"] == "content_block_delta"
            _add(open_block, event["delta"])
    assert open_block is None, "a block is never closed"
    return blocks


def _add(block: JsonObject, delta: JsonObject) -> None:
    allowed = {
        "text": ["text_delta"],
        "thinking": ["thinking_delta", "signature_delta"],
        "tool_use": ["input_json_delta"],
    }
    assert delta["type"] in allowed[block["type"]]
    match delta["type"]:
        case "text_delta":
            block["text"] += delta["text"]
        case "thinking_delta":
            assert not block["signature"], "thinking after its signature"
            block["thinking"] += delta["thinking"]
        case "signature_delta":
            assert not block["signature"], "a second signature"
            block["signature"] = delta["signature"]
        case "input_json_delta":
            block["json"] += delta["partial_json"]


def _close(block: JsonObject) -> None:
    text: Any = block.pop("json")
    if block["type"] == "tool_use":
        assert block["input"] == {}, "input is delivered by deltas alone"
        block["input"] = json.loads(text or "{}")
        assert isinstance(block["input"], dict)
