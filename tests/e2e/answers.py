"""Answers read straight from the bytes, in each dialect, whole or streamed: what was called, and what was said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class Heard:
    """The calls, with their arguments as objects, and the text without the thinking."""

    calls: tuple[tuple[str, Any], ...]
    text: str


def heard(dialect: str, answer: bytes, *, streamed: bool) -> Heard:
    """What ``answer`` says."""
    wholes, streams = _WHOLE[dialect], _STREAM[dialect]
    return streams(_events(answer)) if streamed else wholes(json.loads(answer))


def _events(answer: bytes) -> list[Any]:
    lines = answer.decode("utf-8").splitlines()
    data = [line.removeprefix("data:").strip() for line in lines if line.startswith("data:")]
    return [json.loads(one) for one in data if one != "[DONE]"]


def _called(name: str, given: str) -> tuple[str, Any]:
    return name, json.loads(given or "{}")


def _chat(body: Mapping[str, Any]) -> Heard:
    message = body["choices"][0]["message"]
    functions = [call["function"] for call in message.get("tool_calls") or ()]
    calls = tuple(_called(function["name"], function["arguments"]) for function in functions)
    return Heard(calls=calls, text=message["content"] or "")


def _chat_stream(events: Iterable[Any]) -> Heard:
    text, calls = "", {}
    for delta in (choice["delta"] for event in events for choice in event["choices"]):
        text += delta.get("content") or ""
        for piece in delta.get("tool_calls") or ():
            call = calls.setdefault(piece["index"], {"name": "", "arguments": ""})
            for key, value in piece["function"].items():
                call[key] += value or ""
    return Heard(calls=tuple(_called(call["name"], call["arguments"]) for call in calls.values()), text=text)


def _messages(body: Mapping[str, Any]) -> Heard:
    blocks = body["content"]
    calls = tuple((block["name"], block["input"]) for block in blocks if block["type"] == "tool_use")
    return Heard(calls=calls, text="".join(block["text"] for block in blocks if block["type"] == "text"))


def _messages_stream(events: Iterable[Any]) -> Heard:
    text, calls = "", {}
    for event in events:
        block, delta = event.get("content_block", {}), event.get("delta", {})
        if block.get("type") == "tool_use":
            calls[event["index"]] = [block["name"], ""]
        elif delta.get("type") == "input_json_delta":
            calls[event["index"]][1] += delta["partial_json"]
        elif delta.get("type") == "text_delta":
            text += delta["text"]
    return Heard(calls=tuple(_called(name, given) for name, given in calls.values()), text=text)


def _responses(body: Mapping[str, Any]) -> Heard:
    items = body["output"]
    parts = [part for item in items if item["type"] == "message" for part in item["content"]]
    calls = tuple(_called(item["name"], item["arguments"]) for item in items if item["type"] == "function_call")
    return Heard(calls=calls, text="".join(part["text"] for part in parts if part["type"] == "output_text"))


def _responses_stream(events: Iterable[Any]) -> Heard:
    # Some clients read the items as each is done, others the last event: both have to say the same.
    known = list(events)
    items = [event["item"] for event in known if event["type"] == "response.output_item.done"]
    assert known[-1]["type"] == "response.completed"
    assert known[-1]["response"]["output"] == items
    return _responses({"output": items})


def _gemini(body: Mapping[str, Any]) -> Heard:
    return _gemini_stream([body])


def _gemini_stream(events: Iterable[Any]) -> Heard:
    candidates = [one for event in events for one in event.get("candidates", ())]
    parts = [part for one in candidates for part in one.get("content", {}).get("parts", ())]
    calls = [part["functionCall"] for part in parts if "functionCall" in part]
    said = [part["text"] for part in parts if "text" in part and not part.get("thought")]
    return Heard(calls=tuple((call["name"], call.get("args", {})) for call in calls), text="".join(said))


_WHOLE: Mapping[str, Callable[[Mapping[str, Any]], Heard]] = {
    "openai-chat": _chat,
    "anthropic": _messages,
    "openai-responses": _responses,
    "gemini": _gemini,
}
_STREAM: Mapping[str, Callable[[Iterable[Any]], Heard]] = {
    "openai-chat": _chat_stream,
    "anthropic": _messages_stream,
    "openai-responses": _responses_stream,
    "gemini": _gemini_stream,
}
