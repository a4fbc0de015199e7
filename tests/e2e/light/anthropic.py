"""A light client of Anthropic Messages."""

from __future__ import annotations

import json
from collections.abc import Sequence

from e2e.light.client import SCHEMA, SYSTEM, TOOL, Call, Heard, JsonObject, events


class AnthropicClient:
    """Anthropic Messages."""

    dialect = "anthropic"
    stream_type = "text/event-stream"
    _finish = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tools", "refusal": "filter"}

    def path(self, model: str, *, stream: bool) -> str:
        return "/v1/messages"

    def user(self, text: str, image: str | None = None) -> Sequence[JsonObject]:
        source = {"type": "base64", "media_type": "image/png", "data": image}
        shown = [] if image is None else [{"type": "image", "source": source}]
        return [{"role": "user", "content": [*shown, {"type": "text", "text": text}]}]

    def result(self, call: Call, text: str) -> Sequence[JsonObject]:
        return [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": text}]}]

    def body(self, model: str, history: Sequence[JsonObject], *, stream: bool, thinking: bool) -> JsonObject:
        return {
            "model": model,
            "max_tokens": 4096,
            "system": SYSTEM,
            "messages": list(history),
            "tools": [{"name": TOOL, "input_schema": SCHEMA}],
            **({"thinking": {"type": "enabled", "budget_tokens": 2048}} if thinking else {}),
            **({"stream": True} if stream else {}),
        }

    def whole(self, body: JsonObject) -> Heard:
        assert (body["type"], body["role"]) == ("message", "assistant")
        return self._heard(body)

    def streamed(self, content: bytes) -> Heard:
        found = events(content)
        assert all(name == data["type"] for name, data in found)
        told = [data for _, data in found if data["type"] != "ping"]
        assert told[0]["type"] == "message_start"
        message = told[0]["message"]
        if told[-1]["type"] == "error":
            assert not any(data["type"] in ("message_delta", "message_stop") for data in told)
            said = [data["delta"].get("text", "") for data in told if data["type"] == "content_block_delta"]
            return Heard(text="".join(said), error=told[-1])
        assert [data["type"] for data in told[-2:]] == ["message_delta", "message_stop"]
        message |= told[-2]["delta"]
        message["usage"] |= told[-2]["usage"]
        return self._heard({**message, "content": list(_blocks(told[1:-2]))})

    def assert_error(self, status: int, body: JsonObject) -> None:
        self.assert_error_within(body)
        assert status >= 400

    def assert_error_within(self, error: JsonObject) -> None:
        assert error["type"] == "error"
        assert error["error"].keys() == {"type", "message"}
        assert error["error"]["type"].endswith("_error")
        assert len(error["error"]["message"]) >= 10

    def _heard(self, message: JsonObject) -> Heard:
        content, usage = message["content"], message["usage"]
        calls = [block for block in content if block["type"] == "tool_use"]
        cached = usage.get("cache_read_input_tokens") or 0
        return Heard(
            text="".join(block["text"] for block in content if block["type"] == "text"),
            thinking="".join(block["thinking"] for block in content if block["type"] == "thinking"),
            calls=tuple(Call(id=call["id"], name=call["name"], arguments=call["input"]) for call in calls),
            finish=self._finish[message["stop_reason"]],
            model=message["model"],
            tokens=(usage["input_tokens"] + cached, usage["output_tokens"]),
            turn=[{"role": "assistant", "content": content}],
        )


def _blocks(told: Sequence[JsonObject]) -> Sequence[JsonObject]:
    """The blocks that a stream spells: each is opened, filled and closed before the next."""
    blocks: list[JsonObject] = []
    texts: dict[str, str] = {}
    opened = False
    for event in told:
        assert opened == (event["type"] != "content_block_start")
        assert event["index"] == len(blocks) - opened
        match event["type"]:
            case "content_block_start":
                blocks.append(event["content_block"])
                texts, opened = {}, True
            case "content_block_delta":
                fields = {key: value for key, value in event["delta"].items() if key != "type"}
                texts |= {key: texts.get(key, "") + value for key, value in fields.items()}
            case "content_block_stop":
                opened = False
                spelt = texts.pop("partial_json", None)
                blocks[-1] |= texts if spelt is None else {"input": json.loads(spelt or "{}")}
            case other:
                raise AssertionError(other)
    assert not opened
    return blocks
