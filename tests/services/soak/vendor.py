"""The vendors of a soak: three wires on one server, which counts each request that it is asked, and by whom."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from scripted_upstream import ScriptedUpstream, Wire, chunk_of, head_of
from services.soak.questions import MODELS, Question

_ASKED = re.compile(rb"soak (\d+) (\w+) ")
_MOMENT = 0.01
"""Seconds between two events of a stream whose client leaves in its middle."""

KEYS = tuple(f"key-of-the-soak-{number}" for number in (1, 2, 3))


class SoakVendor:
    """Answers as a question's number says. ``calls`` counts requests by key and wire, ``violations`` is what is wrong.

    ``upstream`` is the server it plays on.
    """

    def __init__(self, upstream: ScriptedUpstream) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()
        self.violations: list[str] = []
        self._upstream = upstream
        self._tries: Counter[int] = Counter()
        self._arrived: dict[int, asyncio.Event] = {}
        upstream.play(self._play)

    @property
    def providers(self) -> dict[str, Any]:
        """The sections of the configuration that lead here."""
        url = self._upstream.url
        kinds = {
            "chat": ("openai-compatible", f"{url}/v1"),
            "messages": ("anthropic-compatible", url),
            "contents": ("gemini-compatible", url),
        }
        return {
            name: {"kind": kind, "base_url": base, "models": [MODELS[name]]} for name, (kind, base) in kinds.items()
        }

    def arrived(self, number: int) -> asyncio.Event:
        """Set once the question with this number has arrived. Whoever asks for it forgets it with :meth:`forget`."""
        return self._arrived.setdefault(number, asyncio.Event())

    def forget(self, number: int) -> None:
        """Nobody waits for this question any more."""
        self._arrived.pop(number, None)

    async def _play(self, wire: Wire) -> None:
        request = wire.request
        self._upstream.requests.clear()  # a soak is long
        if (request.method, request.target, request.body) == ("GET", "/", b""):
            # Whether the outbound proxy leads here: no call of anybody's.
            await wire.send(_whole(b"", 404))
            return
        name, streamed = _wire_of(request.target, request.body)
        key = _key_of(request.headers)
        self.calls[key, name] += 1
        found = _ASKED.search(request.body)
        if found is None or key not in KEYS or MODELS[name].encode() not in request.body + request.target.encode():
            self.violations.append(f"{request.target} {key} {request.body[:200]!r}")
            await wire.send(_whole(b"{}", 418))
            return
        question = Question.of(int(found[1]))
        if question.streamed != streamed:
            self.violations.append(f"question {question.number}: streamed {streamed}")
        if (event := self._arrived.get(question.number)) is not None:
            event.set()
        await self._answer(wire, name, question)

    async def _answer(self, wire: Wire, name: str, question: Question) -> None:
        match question.fate:
            case "refused":
                await wire.send(_whole(_ERRORS[name](400), 400))
            case "broken":
                await wire.send(_whole(_ERRORS[name](500), 500))
            case "flaky" if self._is_first(question):
                await wire.send(_whole(_ERRORS[name](500), 500))
            case "reset":
                # A kept connection that breaks at once was closing before the request came: nobody knows of it then.
                await wire.send(b"HTTP/1.1 ")
                await asyncio.sleep(_MOMENT)
                wire.reset()
            case "leaves_waiting":
                await wire.gone()
                wire.close()
            case "leaves_midway":
                await wire.head(200, content_type="text/event-stream", transfer_encoding="chunked")
                events = _STREAMS[name](question.answer)
                await wire.send(*map(chunk_of, [*events[:-1], *[events[1]] * 500]), every=_MOMENT)
            case fate:
                await _deliver(wire, name, question, cut=fate == "cut")

    def _is_first(self, question: Question) -> bool:
        self._tries[question.number] += 1
        if is_first := self._tries[question.number] == 1:
            return is_first
        del self._tries[question.number]
        return False


async def _deliver(wire: Wire, name: str, question: Question, *, cut: bool) -> None:
    if question.streamed:
        events = _STREAMS[name](question.answer)
        sent = events[: len(events) // 2] if cut else events
        head = head_of(content_type="text/event-stream", transfer_encoding="chunked")
        await wire.send(head + b"".join(map(chunk_of, sent)) + (b"" if cut else chunk_of(b"")))
    else:
        answer = _whole(_WHOLES[name](question.answer))
        await wire.send(answer[: -len(answer) // 4] if cut else answer)
    if cut:
        await asyncio.sleep(_MOMENT)
        wire.close()


def _wire_of(target: str, body: bytes) -> tuple[str, bool]:
    if target.startswith("/v1beta/"):
        return "contents", ":stream" in target
    name = "messages" if target.startswith("/v1/messages") else "chat"
    return name, b'"stream":true' in body.replace(b" ", b"")


def _key_of(headers: Mapping[str, str]) -> str:
    told = headers.get("x-api-key") or headers.get("x-goog-api-key") or headers.get("authorization", "")
    return told.removeprefix("Bearer ")


def _whole(body: bytes, status: int = 200) -> bytes:
    return head_of(status, content_type="application/json", content_length=str(len(body))) + body


def _event(data: object, name: str = "") -> bytes:
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


def _chat_whole(text: str) -> bytes:
    message = {"role": "assistant", "content": text}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return json.dumps({**_CHAT, "object": "chat.completion", "choices": choices, "usage": _CHAT_USAGE}).encode()


def _chat_stream(text: str) -> list[bytes]:
    def chunk(delta: Mapping[str, str], finish: str | None = None) -> bytes:
        choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
        return _event({**_CHAT, "object": "chat.completion.chunk", "choices": choices})

    usage = {**_CHAT, "object": "chat.completion.chunk", "choices": [], "usage": _CHAT_USAGE}
    said = [chunk({"role": "assistant", "content": ""}), chunk({"content": text}), chunk({"content": " and more"})]
    return [*said, chunk({}, "stop"), _event(usage), _event("[DONE]")]


def _messages_whole(text: str) -> bytes:
    return json.dumps({**_message([{"type": "text", "text": text}]), "stop_reason": "end_turn"}).encode()


def _messages_stream(text: str) -> list[bytes]:
    def delta(said: str) -> dict[str, Any]:
        return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": said}}

    end = {"stop_reason": "end_turn", "stop_sequence": None}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": _message([])},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        delta(text),
        delta(" and more"),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": end, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ]
    return [_event(each, each["type"]) for each in events]


def _message(content: list[dict[str, str]]) -> dict[str, Any]:
    known = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODELS["messages"], "content": content}
    return {**known, "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 3, "output_tokens": 2}}


def _contents(text: str, finish: str | None = None) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
    ended = {"finishReason": finish} if finish else {}
    return {"candidates": [{**candidate, **ended}], "usageMetadata": usage, "modelVersion": MODELS["contents"]}


def _contents_stream(text: str) -> list[bytes]:
    return [_event(_contents(text)), _event(_contents(" and more")), _event(_contents(".", "STOP"))]


_CHAT = {"id": "chatcmpl-1", "created": 1, "model": MODELS["chat"]}
_CHAT_USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
_WHOLES: Mapping[str, Callable[[str], bytes]] = {
    "chat": _chat_whole,
    "messages": _messages_whole,
    "contents": lambda text: json.dumps(_contents(text, "STOP")).encode(),
}
_STREAMS: Mapping[str, Callable[[str], list[bytes]]] = {
    "chat": _chat_stream,
    "messages": _messages_stream,
    "contents": _contents_stream,
}


def _openai_error(status: int) -> bytes:
    kind = "invalid_request_error" if status == 400 else "server_error"
    return json.dumps({"error": {"message": "no", "type": kind, "param": None, "code": None}}).encode()


def _anthropic_error(status: int) -> bytes:
    kind = "invalid_request_error" if status == 400 else "api_error"
    return json.dumps({"type": "error", "error": {"type": kind, "message": "no"}}).encode()


def _gemini_error(status: int) -> bytes:
    kind = "INVALID_ARGUMENT" if status == 400 else "INTERNAL"
    return json.dumps({"error": {"code": status, "message": "no", "status": kind}}).encode()


_ERRORS: Mapping[str, Callable[[int], bytes]] = {
    "chat": _openai_error,
    "messages": _anthropic_error,
    "contents": _gemini_error,
}
