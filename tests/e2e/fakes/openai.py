"""A fake OpenAI: Chat Completions with the strictness of the documents, and nothing that they do not allow."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Set

from e2e.fakes import openai_rules
from e2e.fakes.chat_wire import data, header_problems, system, turns
from e2e.fakes.mind import CACHED, Answer, Prompt, words
from e2e.fakes.vendor import Exchange, JsonObject, Problem

_TYPES = {
    400: "invalid_request_error",
    401: "invalid_request_error",
    404: "invalid_request_error",
    429: "requests",
    500: "server_error",
}
_FINISH = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "filter": "content_filter",
}
_CREATED = 1_790_000_000


class OpenAIWire:
    """``reasoning_content`` makes it one of the compatible servers that show and take back the model's thinking."""

    path = "/v1/chat/completions"

    def __init__(self, *, reasoning_content: bool = False) -> None:
        self._reasoning_content = reasoning_content
        self._ids = itertools.count(1)

    def authenticate(self, exchange: Exchange, keys: Set[str]) -> Problem | None:
        scheme, _, token = exchange.headers.get("authorization", "").partition(" ")
        if scheme == "Bearer" and token in keys:
            return None
        return Problem("Incorrect API key provided.", code="invalid_api_key", status=401)

    def check(self, exchange: Exchange, scripted: Set[str]) -> Iterator[Problem]:
        yield from header_problems(exchange.headers, ("x-api-key", "anthropic-version", "anthropic-beta"))
        if not exchange.json:
            yield Problem("We could not parse the JSON body of your request.")
            return
        yield from openai_rules.problems(exchange.json, reasoning_content=self._reasoning_content)

    def headers(self) -> dict[str, str]:
        return {
            "x-request-id": f"req_{next(self._ids):032x}",
            "openai-version": "2020-10-01",
            "openai-processing-ms": "12",
            "x-ratelimit-remaining-requests": "4999",
            "x-ratelimit-reset-requests": "12ms",
        }

    def understand(self, body: JsonObject) -> Prompt:
        choice = body.get("tool_choice")
        named = choice["function"]["name"] if isinstance(choice, dict) and choice["type"] == "function" else None
        stop = body.get("stop") or ()
        return Prompt(
            turns=tuple(turns(body["messages"])),
            system=system(body["messages"]),
            tools=tuple(tool["function"]["name"] for tool in body.get("tools", ()) if tool["type"] == "function"),
            must_call="*" if choice == "required" else named,
            may_call=choice != "none",
            parallel=body.get("parallel_tool_calls") is not False,
            thinking=self._thinks(body),
            max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
            stop=(stop,) if isinstance(stop, str) else tuple(stop),
        )

    def whole(self, body: JsonObject, answer: Answer) -> JsonObject:
        message: JsonObject = {"role": "assistant", "content": answer.text or None, "refusal": None, "annotations": []}
        if answer.thinking and self._reasoning_content:
            message["reasoning_content"] = answer.thinking
        if answer.calls:
            message["tool_calls"] = self._tool_calls(answer)
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _FINISH[answer.finish]}
        return {**self._envelope(body, "chat.completion"), "choices": [choice], "usage": _usage(answer)}

    def frames(self, body: JsonObject, answer: Answer) -> Iterator[bytes]:
        envelope = self._envelope(body, "chat.completion.chunk")
        counted = bool((body.get("stream_options") or {}).get("include_usage"))
        for delta, finish in self._deltas(answer):
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            yield data({**envelope, "choices": [choice], **({"usage": None} if counted else {}), "obfuscation": "x7"})
        if counted:
            yield data({**envelope, "choices": [], "usage": _usage(answer), "obfuscation": ""})
        yield b"data: [DONE]\n\n"

    def error(self, problem: Problem) -> JsonObject:
        kind = _TYPES.get(problem.status, "server_error" if problem.status >= 500 else "invalid_request_error")
        return {"error": {"message": problem.message, "type": kind, "param": problem.where, "code": problem.code}}

    def error_frame(self) -> bytes:
        return data(
            {
                "error": {
                    "message": "The server had an error while processing your request.",
                    "type": "server_error",
                    "param": None,
                    "code": None,
                }
            }
        )

    def _thinks(self, body: JsonObject) -> bool:
        effort = body.get("reasoning_effort")
        return effort is not None and effort != "none"

    def _envelope(self, body: JsonObject, kind: str) -> JsonObject:
        # The real one answers with the dated name of the model, which is not the one that was asked for.
        return {
            "id": f"chatcmpl-{next(self._ids)}",
            "object": kind,
            "created": _CREATED,
            "model": f"{body['model']}-2026-08-06",
            "service_tier": "default",
            "system_fingerprint": "fp_44709d6fcb",
        }

    def _tool_calls(self, answer: Answer) -> list[JsonObject]:
        return [
            {
                "id": f"call_{next(self._ids):024d}",
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in answer.calls
        ]

    def _deltas(self, answer: Answer) -> Iterator[tuple[JsonObject, str | None]]:
        yield {"role": "assistant", "content": "", "refusal": None}, None
        if self._reasoning_content:
            for word in words(answer.thinking):
                yield {"reasoning_content": word}, None
        for word in words(answer.text):
            yield {"content": word}, None
        for index, call in enumerate(self._tool_calls(answer)):
            arguments = call["function"]["arguments"]
            yield (
                {
                    "tool_calls": [
                        {"index": index, **call, "function": {"name": call["function"]["name"], "arguments": ""}}
                    ]
                },
                None,
            )
            for start in range(0, len(arguments), 5):
                yield {"tool_calls": [{"index": index, "function": {"arguments": arguments[start : start + 5]}}]}, None
        yield {}, _FINISH[answer.finish]


def _usage(answer: Answer) -> JsonObject:
    """The tokens in OpenAI's words."""
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": CACHED, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": answer.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
