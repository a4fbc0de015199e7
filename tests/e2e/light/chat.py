"""A light client of OpenAI Chat Completions."""

from __future__ import annotations

import json
from collections.abc import Sequence

from e2e.light.client import SCHEMA, SYSTEM, TOOL, Call, Heard, JsonObject, events, only


class ChatClient:
    """OpenAI Chat Completions."""

    dialect = "openai-chat"
    stream_type = "text/event-stream"
    _finish = {"stop": "stop", "length": "length", "tool_calls": "tools", "content_filter": "filter"}

    def path(self, model: str, *, stream: bool) -> str:
        return "/v1/chat/completions"

    def user(self, text: str, image: str | None = None) -> Sequence[JsonObject]:
        if image is None:
            return [{"role": "user", "content": text}]
        shown = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}}
        return [{"role": "user", "content": [{"type": "text", "text": text}, shown]}]

    def result(self, call: Call, text: str) -> Sequence[JsonObject]:
        return [{"role": "tool", "tool_call_id": call.id, "content": text}]

    def body(self, model: str, history: Sequence[JsonObject], *, stream: bool, thinking: bool) -> JsonObject:
        function = {"name": TOOL, "parameters": SCHEMA}
        return {
            "model": model,
            "messages": [{"role": "system", "content": SYSTEM}, *history],
            "tools": [{"type": "function", "function": function}],
            **({"reasoning_effort": "medium"} if thinking else {}),
            **({"stream": True, "stream_options": {"include_usage": True}} if stream else {}),
        }

    def whole(self, body: JsonObject) -> Heard:
        assert body["object"] == "chat.completion"
        choice = only(body["choices"])
        return self._heard(choice["message"], choice["finish_reason"], body, body["usage"])

    def streamed(self, content: bytes) -> Heard:
        found = [data for _, data in events(content)]
        if isinstance(found[-1], dict) and "error" in found[-1]:
            assert not any(choice.get("finish_reason") for chunk in found[:-1] for choice in chunk["choices"])
            said = [choice["delta"] for chunk in found[:-1] for choice in chunk["choices"]]
            return Heard(text="".join(delta.get("content") or "" for delta in said), error=found[-1]["error"])
        assert found.pop() == "[DONE]"
        assert len({(chunk["id"], chunk["model"], chunk["created"]) for chunk in found}) == 1
        assert {chunk["object"] for chunk in found} == {"chat.completion.chunk"}
        *chunks, counted = found
        assert counted["choices"] == []
        choices = [only(chunk["choices"]) for chunk in chunks]
        assert [bool(choice["finish_reason"]) for choice in choices] == [False] * (len(choices) - 1) + [True]
        message = _joined([choice["delta"] for choice in choices])
        return self._heard(message, choices[-1]["finish_reason"], counted, counted["usage"])

    def assert_error(self, status: int, body: JsonObject) -> None:
        assert body.keys() == {"error"}
        self.assert_error_within(body["error"])
        assert status >= 400

    def assert_error_within(self, error: JsonObject) -> None:
        assert error.keys() == {"message", "type", "param", "code"}
        assert len(error["message"]) >= 10
        assert error["type"].endswith(("_error", "_quota"))

    def _heard(self, message: JsonObject, finish: str, body: JsonObject, usage: JsonObject) -> Heard:
        calls = [
            Call(id=call["id"], name=call["function"]["name"], arguments=json.loads(call["function"]["arguments"]))
            for call in message.get("tool_calls") or ()
        ]
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
        return Heard(
            text=message.get("content") or "",
            thinking=message.get("reasoning_content") or "",
            calls=tuple(calls),
            finish=self._finish[finish],
            model=body["model"],
            tokens=(usage["prompt_tokens"], usage["completion_tokens"]),
            turn=[message],
        )


def _joined(deltas: Sequence[JsonObject]) -> JsonObject:
    message: JsonObject = {"role": "assistant", "content": None}
    assert [delta["role"] for delta in deltas if "role" in delta] == ["assistant"]
    calls: list[JsonObject] = []
    for delta in deltas:
        for key in ("content", "reasoning_content"):
            if delta.get(key):
                message[key] = (message.get(key) or "") + delta[key]
        for fragment in delta.get("tool_calls") or ():
            if fragment["index"] == len(calls):
                calls.append({"id": fragment["id"], "type": "function", "function": {**fragment["function"]}})
            else:
                assert fragment["index"] == len(calls) - 1
                calls[-1]["function"]["arguments"] += fragment["function"]["arguments"]
    return {**message, "tool_calls": calls} if calls else message
