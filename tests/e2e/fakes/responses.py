"""A fake OpenAI's Responses endpoint, whole and streamed. It stores its answers unless it is told not to."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Set

from e2e.fakes import openai_rules, responses_rules
from e2e.fakes.chat_wire import header_problems
from e2e.fakes.mind import CACHED, Answer, Prompt, Result, Turn, words
from e2e.fakes.openai import OpenAIWire
from e2e.fakes.vendor import Exchange, JsonObject, Problem

_CREATED = 1_790_000_000
_INCOMPLETE = {"length": "max_output_tokens", "filter": "content_filter"}


class ResponsesWire(OpenAIWire):
    """Beside Chat Completions, with its keys, headers and errors."""

    path = "/v1/responses"

    def __init__(self) -> None:
        super().__init__()
        self._numbers = itertools.count(1)
        self._issued: set[str] = set()
        self.stored: dict[str, list[JsonObject]] = {}
        """By the id of a response: what was said up to its end."""

    def check(self, exchange: Exchange, scripted: Set[str]) -> Iterator[Problem]:
        yield from header_problems(exchange.headers, ("x-api-key", "anthropic-version", "anthropic-beta"))
        if not exchange.json:
            yield Problem("We could not parse the JSON body of your request.")
            return
        previous = exchange.json.get("previous_response_id")
        if previous is not None and (not isinstance(previous, str) or previous not in self.stored):
            yield Problem(
                f"Previous response with id '{previous}' not found.",
                where="previous_response_id",
                code="previous_response_not_found",
            )
            return
        yield from responses_rules.problems(self._recalled(exchange.json), self._issued)

    def _recalled(self, body: JsonObject) -> JsonObject:
        """The request with the whole conversation, of which a stored response is the beginning."""
        previous = body.get("previous_response_id")
        if previous is None:
            return body
        said = responses_rules.items(body) if "input" in body else []
        kept = {name: value for name, value in body.items() if name != "previous_response_id"}
        return {**kept, "input": [*self.stored[previous], *said]}

    def understand(self, body: JsonObject) -> Prompt:
        items = responses_rules.items(self._recalled(body))
        choice = body.get("tool_choice")
        named = choice.get("name") if isinstance(choice, dict) else None
        said = [responses_rules.text(item) for item in items if item.get("role") in ("system", "developer")]
        return Prompt(
            turns=tuple(_turns(items)),
            system=" | ".join(filter(None, [body.get("instructions"), *said])),
            tools=tuple(tool["name"] for tool in body.get("tools", ()) if tool["type"] == "function"),
            must_call="*" if choice == "required" else named,
            may_call=choice != "none",
            parallel=body.get("parallel_tool_calls") is not False,
            thinking=_thinks(body),
            max_tokens=body.get("max_output_tokens"),
        )

    def whole(self, body: JsonObject, answer: Answer) -> JsonObject:
        items = list(self._items(body, answer))
        return self._ended(self._begun(body, items), items, answer)

    def frames(self, body: JsonObject, answer: Answer) -> Iterator[bytes]:
        items = list(self._items(body, answer))
        begun = self._begun(body, items)
        events = [
            {"type": "response.created", "response": begun},
            {"type": "response.in_progress", "response": begun},
            *(event for index, item in enumerate(items) for event in _grown(item, index)),
        ]
        ended = self._ended(begun, items, answer)
        events.append({"type": f"response.{ended['status']}", "response": ended})
        for number, event in enumerate(events):
            yield _event({**event, "sequence_number": number})

    def error_frame(self) -> bytes:
        failed = {"code": "server_error", "message": "The server had an error.", "param": None}
        return _event({"type": "error", **failed, "sequence_number": 99})

    def _begun(self, body: JsonObject, items: list[JsonObject]) -> JsonObject:
        """The response as it is announced; ``items`` are those that it will have."""
        response_id = f"resp_{next(self._numbers):048x}"
        if body.get("store") is not False:
            spoken = [item for item in items if item["type"] != "reasoning"]
            self.stored[response_id] = [*responses_rules.items(self._recalled(body)), *spoken]
        return {
            "id": response_id,
            "object": "response",
            "created_at": _CREATED,
            "status": "in_progress",
            "error": None,
            "incomplete_details": None,
            "instructions": body.get("instructions"),
            "max_output_tokens": body.get("max_output_tokens"),
            "model": f"{body['model']}-2026-08-06",
            "output": [],
            "parallel_tool_calls": body.get("parallel_tool_calls", True),
            "previous_response_id": body.get("previous_response_id"),
            "reasoning": {"effort": None, "summary": None, **(body.get("reasoning") or {})},
            "store": body.get("store") is not False,
            "temperature": body.get("temperature", 1.0),
            "text": {"format": {"type": "text"}, **(body.get("text") or {})},
            "tool_choice": body.get("tool_choice", "auto"),
            "tools": body.get("tools", []),
            "top_p": body.get("top_p", 1.0),
            "truncation": "disabled",
            "usage": None,
            "metadata": body.get("metadata") or {},
        }

    def _ended(self, begun: JsonObject, items: list[JsonObject], answer: Answer) -> JsonObject:
        reason = _INCOMPLETE.get(answer.finish)
        return {
            **begun,
            "status": "incomplete" if reason else "completed",
            "incomplete_details": {"reason": reason} if reason else None,
            "output": items,
            "usage": _spent(answer),
        }

    def _items(self, body: JsonObject, answer: Answer) -> Iterator[JsonObject]:
        status = "incomplete" if answer.finish in _INCOMPLETE else "completed"
        if answer.thinking:
            yield self._reasoning(body, answer.thinking)
        if answer.text:
            yield {
                "type": "message",
                "id": f"msg_{next(self._numbers):048x}",
                "role": "assistant",
                "status": status,
                "content": [{"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}],
            }
        for call in answer.calls:
            yield {
                "type": "function_call",
                "id": f"fc_{next(self._numbers):048x}",
                "call_id": f"call_{next(self._numbers):024d}",
                "name": call.name,
                "arguments": call.arguments,
                "status": status,
            }

    def _reasoning(self, body: JsonObject, thinking: str) -> JsonObject:
        shown = (body.get("reasoning") or {}).get("summary") is not None
        item: JsonObject = {
            "type": "reasoning",
            "id": f"rs_{next(self._numbers):048x}",
            "summary": [{"type": "summary_text", "text": thinking}] if shown else [],
        }
        if "reasoning.encrypted_content" in (body.get("include") or ()):
            digest = hashlib.sha256(f"{item['id']} {thinking}".encode())
            sealed = f"gAAA{digest.hexdigest()}"
            self._issued.add(sealed)
            item["encrypted_content"] = sealed
        return item


def _thinks(body: JsonObject) -> bool:
    return openai_rules.reasons(body["model"]) and (body.get("reasoning") or {}).get("effort") != "none"


def _grown(item: JsonObject, index: int) -> Iterator[JsonObject]:
    """The events of one item, from its announcement to its end."""
    empty = {"message": {"content": []}, "function_call": {"arguments": ""}, "reasoning": {"summary": []}}
    status = {} if item["type"] == "reasoning" else {"status": "in_progress"}
    yield {
        "type": "response.output_item.added",
        "output_index": index,
        "item": {**item, **empty[item["type"]], **status},
    }
    at = {"item_id": item["id"], "output_index": index}
    match item["type"]:
        case "message":
            yield from _text(at, item["content"][0])
        case "reasoning" if item["summary"]:
            yield from _summary(at, item["summary"][0])
        case "function_call":
            arguments = item["arguments"]
            for start in range(0, len(arguments), 6):
                delta = arguments[start : start + 6]
                yield {"type": "response.function_call_arguments.delta", **at, "delta": delta, "obfuscation": "x"}
            yield {
                "type": "response.function_call_arguments.done",
                **at,
                "name": item["name"],
                "arguments": arguments,
            }
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _text(at: JsonObject, part: JsonObject) -> Iterator[JsonObject]:
    at = {**at, "content_index": 0}
    yield {"type": "response.content_part.added", **at, "part": {**part, "text": ""}}
    for word in words(part["text"]):
        yield {"type": "response.output_text.delta", **at, "delta": word, "logprobs": [], "obfuscation": "x7"}
    yield {"type": "response.output_text.done", **at, "text": part["text"], "logprobs": []}
    yield {"type": "response.content_part.done", **at, "part": part}


def _summary(at: JsonObject, part: JsonObject) -> Iterator[JsonObject]:
    at = {**at, "summary_index": 0}
    yield {"type": "response.reasoning_summary_part.added", **at, "part": {**part, "text": ""}}
    for word in words(part["text"]):
        yield {"type": "response.reasoning_summary_text.delta", **at, "delta": word}
    yield {"type": "response.reasoning_summary_text.done", **at, "text": part["text"]}
    yield {"type": "response.reasoning_summary_part.done", **at, "part": part}


def _event(payload: JsonObject) -> bytes:
    text = json.dumps(payload, ensure_ascii=False)
    return f"event: {payload['type']}\ndata: {text}\n\n".encode()


def _spent(answer: Answer) -> JsonObject:
    return {
        "input_tokens": answer.input_tokens,
        "input_tokens_details": {"cached_tokens": CACHED},
        "output_tokens": answer.output_tokens,
        "output_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
        "total_tokens": answer.input_tokens + answer.output_tokens,
    }


def _turns(items: list[JsonObject]) -> Iterator[Turn]:
    spoken = [item for item in items if item["type"] != "reasoning" and item.get("role") not in ("system", "developer")]
    for role, group in itertools.groupby(spoken, key=responses_rules.speaker):
        said = list(group)
        if role == "results":
            results = tuple(Result(text=responses_rules.text(item)) for item in said)
            yield Turn(role="results", results=results)
        else:
            texts = filter(None, (responses_rules.text(item) for item in said))
            images = sum(part["type"] == "input_image" for item in said for part in responses_rules.parts(item))
            yield Turn(role="user" if role == "user" else "assistant", text="\n".join(texts), images=images)
