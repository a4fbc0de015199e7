"""A conversation through the official ``anthropic`` SDK."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import anthropic
from anthropic.types import Message, RawMessageStreamEvent
from e2e.talkers import Mode, Reply, ToolCall, ToolSpec, arguments

_FINISH = {
    "end_turn": "stop",
    "max_tokens": "length",
    "tool_use": "tools",
    "refusal": "filter",
    "stop_sequence": "stop_sequence",
}


class AnthropicTalker:
    """``options`` go into every request."""

    def __init__(
        self,
        client: anthropic.Anthropic,
        model: str,
        mode: Mode,
        *,
        system: str = "",
        tools: Sequence[ToolSpec] = (),
        max_tokens: int = 4096,
        **options: Any,
    ) -> None:
        self._client = client
        self._mode = mode
        self._messages: list[Any] = []
        self._options: dict[str, Any] = {"model": model, "max_tokens": max_tokens, **options}
        if system:
            self._options["system"] = system
        if tools:
            self._options["tools"] = [{"name": tool.name, "input_schema": tool.schema} for tool in tools]

    def switch(self, model: str) -> None:
        """Go on with another model."""
        self._options["model"] = model

    def say(self, text: str, *, images: Sequence[str] = ()) -> Reply:
        content: list[Any] = [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": image}}
            for image in images
        ]
        self._messages.append(
            {"role": "user", "content": [*content, {"type": "text", "text": text}] if content else text}
        )
        return self._ask()

    def answer(self, results: Mapping[str, str]) -> Reply:
        blocks = [{"type": "tool_result", "tool_use_id": call_id, "content": text} for call_id, text in results.items()]
        self._messages.append({"role": "user", "content": blocks})
        return self._ask()

    def _ask(self) -> Reply:
        match self._mode:
            case "whole":
                return self._heard(self._client.messages.create(messages=self._messages, **self._options))
            case "stream":
                with self._client.messages.create(messages=self._messages, stream=True, **self._options) as stream:
                    return self._heard(_joined(list(stream)))
            case "helper":
                with self._client.messages.stream(messages=self._messages, **self._options) as stream:
                    return self._heard(stream.get_final_message())

    def _heard(self, message: Message) -> Reply:
        self._messages.append({"role": "assistant", "content": message.content})
        usage = message.usage
        cached = usage.cache_read_input_tokens or 0
        assert message.stop_reason is not None
        return Reply(
            text="".join(block.text for block in message.content if block.type == "text"),
            thinking="".join(block.thinking for block in message.content if block.type == "thinking"),
            calls=tuple(
                ToolCall(id=block.id, name=block.name, arguments=dict(block.input))
                for block in message.content
                if block.type == "tool_use"
            ),
            model=message.model,
            finish=_FINISH[message.stop_reason],
            input_tokens=usage.input_tokens + cached + (usage.cache_creation_input_tokens or 0),
            cached_tokens=cached,
            output_tokens=usage.output_tokens,
        )


def _joined(events: Sequence[RawMessageStreamEvent]) -> Message:
    """The message that a stream spells, put together by hand; the order of the events is asserted on the way."""
    assert [event.type for event in events].count("message_start") == 1
    assert [event.type for event in events[-2:]] == ["message_delta", "message_stop"]
    message: dict[str, Any] = {}
    open_block: dict[str, Any] | None = None
    for event in events:
        match event.type:
            case "message_start":
                message = event.message.model_dump()
            case "content_block_start":
                assert open_block is None
                assert event.index == len(message["content"])
                open_block = {**event.content_block.model_dump(), "_json": ""}
            case "content_block_delta":
                assert open_block is not None
                _extend(open_block, event.delta.model_dump())
            case "content_block_stop":
                assert open_block is not None
                message["content"].append(_closed(open_block))
                open_block = None
            case "message_delta":
                message.update(event.delta.model_dump(exclude_none=True))
                message["usage"].update(event.usage.model_dump(exclude_none=True))
    return Message.model_validate(message)


def _extend(block: dict[str, Any], delta: dict[str, Any]) -> None:
    match delta["type"]:
        case "text_delta":
            block["text"] += delta["text"]
        case "thinking_delta":
            block["thinking"] += delta["thinking"]
        case "signature_delta":
            block["signature"] += delta["signature"]
        case "input_json_delta":
            block["_json"] += delta["partial_json"]


def _closed(block: dict[str, Any]) -> dict[str, Any]:
    text = block.pop("_json")
    return {**block, "input": arguments(text or "{}")} if block["type"] == "tool_use" else block
