"""A light client of OpenAI Responses."""

from __future__ import annotations

import json
from collections.abc import Sequence

from e2e.light.client import SCHEMA, SYSTEM, TOOL, Call, Heard, JsonObject, events

_FINISH = {None: "stop", "max_output_tokens": "length", "content_filter": "filter"}
_LAST = ("response.completed", "response.incomplete", "response.failed")


class ResponsesClient:
    """Keeps the conversation itself, as clients of a gateway have to."""

    dialect = "openai-responses"
    stream_type = "text/event-stream"

    def path(self, model: str, *, stream: bool) -> str:
        return "/v1/responses"

    def user(self, text: str, image: str | None = None) -> Sequence[JsonObject]:
        source = f"data:image/png;base64,{image}"
        shown = [] if image is None else [{"type": "input_image", "detail": "auto", "image_url": source}]
        return [{"role": "user", "content": [{"type": "input_text", "text": text}, *shown]}]

    def result(self, call: Call, text: str) -> Sequence[JsonObject]:
        return [{"type": "function_call_output", "call_id": call.id, "output": text}]

    def body(self, model: str, history: Sequence[JsonObject], *, stream: bool, thinking: bool) -> JsonObject:
        return {
            "model": model,
            "instructions": SYSTEM,
            "input": list(history),
            "tools": [{"type": "function", "name": TOOL, "parameters": SCHEMA, "strict": False}],
            "store": False,
            "include": ["reasoning.encrypted_content"],
            **({"reasoning": {"effort": "medium", "summary": "auto"}} if thinking else {}),
            **({"stream": True} if stream else {}),
        }

    def whole(self, body: JsonObject) -> Heard:
        assert (body["object"], body["error"]) == ("response", None)
        assert all(item.get("status", "completed") == "completed" for item in body["output"])
        return self._heard(body)

    def streamed(self, content: bytes) -> Heard:
        found = events(content)
        assert all(name == data["type"] for name, data in found)
        told = [data for _, data in found]
        assert [event["sequence_number"] for event in told] == list(range(len(told)))
        assert told[0]["type"] == "response.created"
        assert [event["type"] for event in told if event["type"] in _LAST] == [told[-1]["type"]]
        last = told[-1]["response"]
        assert last["id"] == told[0]["response"]["id"]
        text = "".join(event["delta"] for event in told if event["type"] == "response.output_text.delta")
        if told[-1]["type"] == "response.failed":
            assert last["status"] == "failed"
            return Heard(text=text, error=last["error"])
        done = [event for event in told if event["type"] == "response.output_item.done"]
        assert [event["output_index"] for event in done] == list(range(len(done)))
        assert [event["item"] for event in done] == last["output"]
        heard = self._heard(last)
        assert heard.text == text
        return heard

    def assert_error(self, status: int, body: JsonObject) -> None:
        assert body.keys() == {"error"}
        assert body["error"].keys() == {"message", "type", "param", "code"}
        assert body["error"]["type"].endswith(("_error", "_quota"))
        assert len(body["error"]["message"]) >= 10
        assert status >= 400

    def assert_error_within(self, error: JsonObject) -> None:
        assert error.keys() == {"code", "message"}
        assert len(error["message"]) >= 10

    def _heard(self, response: JsonObject) -> Heard:
        output, usage = response["output"], response["usage"]
        said = [part for item in output if item["type"] == "message" for part in item["content"]]
        calls = tuple(
            Call(id=item["call_id"], name=item["name"], arguments=json.loads(item["arguments"]))
            for item in output
            if item["type"] == "function_call"
        )
        summaries = [part["text"] for item in output if item["type"] == "reasoning" for part in item["summary"]]
        reason = (response["incomplete_details"] or {}).get("reason")
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
        return Heard(
            text="".join(part["text"] for part in said if part["type"] == "output_text"),
            thinking="".join(summaries),
            calls=calls,
            finish="tools" if calls else _FINISH[reason],
            model=response["model"],
            tokens=(usage["input_tokens"], usage["output_tokens"]),
            turn=output,
        )
