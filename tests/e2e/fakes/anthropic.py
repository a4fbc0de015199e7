"""A fake Anthropic: the Messages endpoint, whole and streamed."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Set

from e2e.fakes import anthropic_rules
from e2e.fakes.anthropic_turns import blocks, merged
from e2e.fakes.chat_wire import header_problems
from e2e.fakes.mind import CACHED, Answer, Prompt, Result, Turn, words
from e2e.fakes.vendor import Exchange, JsonObject, Problem

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}
_STOP = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "filter": "refusal",
}


class AnthropicWire:
    """Signs the thinking it shows, and refuses thinking that it did not sign."""

    path = "/v1/messages"

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self._issued: dict[str, str] = {}

    def authenticate(self, exchange: Exchange, keys: Set[str]) -> Problem | None:
        if exchange.key in keys:
            return None
        return Problem("invalid x-api-key" if exchange.key else "x-api-key header is required", status=401)

    def check(self, exchange: Exchange, scripted: Set[str]) -> Iterator[Problem]:
        yield from header_problems(exchange.headers, ())
        version = exchange.headers.get("anthropic-version")
        if version is None:
            yield Problem("anthropic-version: header is required")
        elif version not in anthropic_rules.VERSIONS:
            yield Problem(f"anthropic-version: {version!r} is not a valid version")
        if not exchange.json:
            yield Problem("The request body is not valid JSON")
            return
        yield from self.body_problems(exchange)

    def body_problems(self, exchange: Exchange) -> Iterator[Problem]:
        """What is wrong with a body that is JSON."""
        return anthropic_rules.problems(exchange.json, exchange.headers, self._issued)

    @property
    def issued(self) -> dict[str, str]:
        """The text of each signature that this server gave out."""
        return self._issued

    def headers(self) -> dict[str, str]:
        return {"request-id": f"req_{next(self._ids):024d}", "anthropic-ratelimit-tokens-remaining": "39000"}

    def understand(self, body: JsonObject) -> Prompt:
        choice = body.get("tool_choice", {"type": "auto"})
        return Prompt(
            turns=tuple(_turns(body["messages"])),
            system=_system(body),
            tools=tuple(tool["name"] for tool in body.get("tools", ())),
            must_call={"any": "*", "tool": choice.get("name")}.get(choice["type"]),
            may_call=choice["type"] != "none",
            parallel=not choice.get("disable_parallel_tool_use"),
            thinking=anthropic_rules.thinks(body),
            max_tokens=body["max_tokens"],
            stop=tuple(body.get("stop_sequences", ())),
        )

    def whole(self, body: JsonObject, answer: Answer) -> JsonObject:
        stop = {"stop_reason": _STOP[answer.finish], "stop_sequence": answer.stop_sequence}
        message = self._message(body, answer)
        return {
            **message,
            **stop,
            "content": list(self._content(body, answer)),
            "usage": {**message["usage"], **_spent(answer)},
        }

    def frames(self, body: JsonObject, answer: Answer) -> Iterator[bytes]:
        message = self._message(body, answer)
        yield _event("message_start", message=message)
        yield _event("ping")
        for index, block in enumerate(self._content(body, answer)):
            yield _event("content_block_start", index=index, content_block={**block, **_EMPTY[block["type"]]})
            for delta in _deltas(block):
                yield _event("content_block_delta", index=index, delta=delta)
            yield _event("content_block_stop", index=index)
        delta = {"stop_reason": _STOP[answer.finish], "stop_sequence": answer.stop_sequence}
        yield _event("message_delta", delta=delta, usage=_spent(answer))
        yield _event("message_stop")

    def error(self, problem: Problem) -> JsonObject:
        kind = _TYPES.get(problem.status, "api_error")
        return {
            "type": "error",
            "error": {"type": kind, "message": problem.message},
            "request_id": f"req_{next(self._ids):024d}",
        }

    def error_frame(self) -> bytes:
        return _event("error", error={"type": "overloaded_error", "message": "Overloaded"})

    def _message(self, body: JsonObject, answer: Answer) -> JsonObject:
        """The message as it stands when the answer begins: nothing said, and only the prompt counted."""
        spent = {
            "input_tokens": answer.input_tokens - CACHED,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": CACHED,
            "output_tokens": 1,
            "service_tier": "standard",
        }
        return {
            "id": f"msg_{next(self._ids):024d}",
            "type": "message",
            "role": "assistant",
            "model": f"{body['model']}-20260815",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": spent,
        }

    def _content(self, body: JsonObject, answer: Answer) -> Iterator[JsonObject]:
        if answer.thinking:
            shown = "" if body["thinking"].get("display") == "omitted" else answer.thinking
            yield {"type": "thinking", "thinking": shown, "signature": self._sign(shown, answer.thinking)}
        if answer.text:
            yield {"type": "text", "text": answer.text}
        for call in answer.calls:
            yield {
                "type": "tool_use",
                "id": f"toolu_{next(self._ids):024d}",
                "name": call.name,
                "input": json.loads(call.arguments),
            }

    def _sign(self, shown: str, thinking: str) -> str:
        signature = f"Eq{hashlib.sha256(f'{next(self._ids)} {thinking}'.encode()).hexdigest()}=="
        self._issued[signature] = shown
        return signature


_EMPTY: dict[str, JsonObject] = {
    "thinking": {"thinking": "", "signature": ""},
    "text": {"text": ""},
    "tool_use": {"input": {}},
}


def _deltas(block: JsonObject) -> Iterator[JsonObject]:
    match block["type"]:
        case "thinking":
            for word in words(block["thinking"]):
                yield {"type": "thinking_delta", "thinking": word}
            yield {"type": "signature_delta", "signature": block["signature"]}
        case "text":
            for word in words(block["text"]):
                yield {"type": "text_delta", "text": word}
        case _:
            yield {"type": "input_json_delta", "partial_json": ""}
            text = json.dumps(block["input"], ensure_ascii=False) if block["input"] else ""
            for start in range(0, len(text), 7):
                yield {"type": "input_json_delta", "partial_json": text[start : start + 7]}


def _event(name: str, **fields: object) -> bytes:
    return (
        f"event: {name}\n".encode()
        + b"data: "
        + json.dumps({"type": name, **fields}, ensure_ascii=False).encode()
        + b"\n\n"
    )


def _spent(answer: Answer) -> JsonObject:
    return {
        "output_tokens": answer.output_tokens,
        "output_tokens_details": {"thinking_tokens": answer.reasoning_tokens},
    }


def _system(body: JsonObject) -> str:
    later = [message["content"] for message in body["messages"] if message["role"] == "system"]
    texts = [block["text"] for content in (body.get("system", []), *later) for block in blocks(content)]
    return " | ".join(texts)


def _turns(messages: list[JsonObject]) -> Iterator[Turn]:
    for role, content in merged([message for message in messages if message["role"] != "system"]):
        text = "".join(block["text"] for block in content if block["type"] == "text")
        images = sum(block["type"] == "image" for block in content)
        results = tuple(_result(block) for block in content if block["type"] == "tool_result")
        if role == "user" and results and not text:
            yield Turn(role="results", results=results)
        else:
            yield Turn(role="user" if role == "user" else "assistant", text=text, images=images, results=results)


def _result(block: JsonObject) -> Result:
    text = "".join(inner["text"] for inner in blocks(block.get("content") or []) if inner["type"] == "text")
    return Result(text=text, failed=bool(block.get("is_error")))
