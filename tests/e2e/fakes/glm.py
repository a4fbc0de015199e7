"""A fake GLM: like OpenAI at first sight, and different in most details."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Set

from e2e.fakes import chat_wire, glm_rules
from e2e.fakes.mind import CACHED, Answer, Prompt, words
from e2e.fakes.vendor import Exchange, JsonObject, Problem

_FINISH = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "filter": "sensitive",
}
_CREATED = 1_787_259_738


class GLMWire:
    """The general endpoint of GLM."""

    path = "/api/paas/v4/chat/completions"

    def __init__(self) -> None:
        self._ids = itertools.count(1)

    def authenticate(self, exchange: Exchange, keys: Set[str]) -> Problem | None:
        scheme, _, token = exchange.headers.get("authorization", "").partition(" ")
        if not token:
            return Problem("Header 'Authorization' was not received.", code="1001", status=401)
        if scheme != "Bearer" or token not in keys:
            return Problem("Authorization Token is invalid, please check it.", code="1002", status=401)
        return None

    def check(self, exchange: Exchange, scripted: Set[str]) -> Iterator[Problem]:
        yield from chat_wire.header_problems(exchange.headers, ("x-api-key", "anthropic-version", "anthropic-beta"))
        if not exchange.json:
            yield Problem("The request body is not JSON.", code="1214")
            return
        yield from glm_rules.problems(exchange.json, scripted)

    def headers(self) -> dict[str, str]:
        return {"x-log-id": f"20260821050214{next(self._ids):018x}"}

    def understand(self, body: JsonObject) -> Prompt:
        return Prompt(
            turns=tuple(chat_wire.turns(body["messages"])),
            system=chat_wire.system(body["messages"]),
            tools=tuple(tool["function"]["name"] for tool in body.get("tools", ()) if tool["type"] == "function"),
            thinking=self._thinks(body),
            max_tokens=body.get("max_tokens"),
            stop=tuple(body.get("stop", ())),
        )

    def whole(self, body: JsonObject, answer: Answer) -> JsonObject:
        message: JsonObject = {"role": "assistant", "content": answer.text}
        if answer.thinking:
            message["reasoning_content"] = answer.thinking
        if answer.calls:
            message["tool_calls"] = self._tool_calls(answer)
        envelope = self._envelope(body)
        choice = {"index": 0, "finish_reason": _FINISH[answer.finish], "message": message}
        return {
            **envelope,
            "request_id": envelope["id"],
            "object": "chat.completion",
            "choices": [choice],
            "usage": _usage(answer),
        }

    def frames(self, body: JsonObject, answer: Answer) -> Iterator[bytes]:
        envelope = self._envelope(body)
        for delta in self._deltas(answer, fragments=bool(body.get("tool_stream"))):
            yield chat_wire.data(
                {
                    **envelope,
                    "object": "chat.completion.chunk",
                    "choices": [{"index": 0, "delta": {"role": "assistant", **delta}}],
                }
            )
        last = {"index": 0, "finish_reason": _FINISH[answer.finish], "delta": {"role": "assistant", "content": ""}}
        yield chat_wire.data(
            {**envelope, "object": "chat.completion.chunk", "choices": [last], "usage": _usage(answer)}
        )
        yield b"data: [DONE]\n\n"

    def error(self, problem: Problem) -> JsonObject:
        return {"error": {"code": problem.code or "500", "message": problem.message}}

    def error_frame(self) -> bytes:
        return chat_wire.data({"error": {"code": "1234", "message": "Network error, error id: 20260821"}})

    def _thinks(self, body: JsonObject) -> bool:
        model = glm_rules.MODELS.get(body["model"], glm_rules.Model())
        if model.thinks == "always":
            return True
        if body.get("reasoning_effort") in ("none", "minimal"):
            return False
        wanted = body.get("thinking", {}).get("type")
        return wanted == "enabled" or (wanted is None and model.thinks == "by default")

    def _envelope(self, body: JsonObject) -> JsonObject:
        return {"id": f"20260821050214{next(self._ids):016x}", "created": _CREATED, "model": body["model"]}

    def _tool_calls(self, answer: Answer) -> list[JsonObject]:
        return [
            {
                "id": f"call_-{next(self._ids):019d}",
                "index": index,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for index, call in enumerate(answer.calls)
        ]

    def _deltas(self, answer: Answer, *, fragments: bool) -> Iterator[JsonObject]:
        for word in words(answer.thinking):
            yield {"reasoning_content": word}
        for word in words(answer.text):
            yield {"content": word}
        for call in self._tool_calls(answer):
            yield from _fragments(call) if fragments else [{"tool_calls": [call]}]
        yield {"content": ""}


def _fragments(call: JsonObject) -> Iterator[JsonObject]:
    """A call in pieces; GLM repeats the id in each of them, and the name only in the first."""
    name, arguments = call["function"]["name"], call["function"]["arguments"]
    yield {"tool_calls": [{**call, "function": {"name": name, "arguments": ""}}]}
    for start in range(0, len(arguments), 6):
        yield {"tool_calls": [{**call, "function": {"arguments": arguments[start : start + 6]}}]}


def _usage(answer: Answer) -> JsonObject:
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": CACHED},
        "completion_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
    }
