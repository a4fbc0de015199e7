"""Answers as Cloud Code sends them, and the ways to read them."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import Any

from aigateway_antigravity.dialect import CloudCode
from aigateway_core.plugin import (
    Anthropic,
    ChatRequest,
    ChatResponse,
    Dialect,
    GeminiProfile,
    JsonObject,
    Message,
    OpenAIChat,
    Reasoning,
    ServerSentEvent,
    SseParser,
    StreamEvent,
    TextPart,
    Tool,
    UsageUpdate,
    fold,
)

GEMINI = CloudCode()
CLAUDE = CloudCode(GeminiProfile(origin="anthropic", skip_signature=None))

NATIVE = b64encode(b"\x12\x0a\x08\x01claude").decode()
"""A signature as Claude makes it; on the wire it is in base64 once more."""
WIRE = b64encode(NATIVE.encode()).decode()

LIST_FILES = Tool("list_files", parameters={"type": "object", "properties": {"path": {"type": "string"}}})
REQUEST = ChatRequest(
    model="claude-opus-4-6-thinking",
    messages=(Message("user", (TextPart("hi"),)),),
    tools=(LIST_FILES,),
    reasoning=Reasoning(summary=True),
    stream=True,
    include_usage=True,
)
USAGE = {"promptTokenCount": 90, "candidatesTokenCount": 30, "thoughtsTokenCount": 12, "totalTokenCount": 132}


def body(*parts: JsonObject, finish: str | None = None, usage: JsonObject | None = None, **more: Any) -> JsonObject:
    """A piece of an answer, or a whole one, without its envelope."""
    candidate: JsonObject = {"content": {"role": "model", "parts": list(parts)}} if parts else {}
    if finish is not None:
        candidate["finishReason"] = finish
    counted = {} if usage is None else {"usageMetadata": usage}
    return {**({"candidates": [candidate]} if candidate else {}), **counted, **more}


def enveloped(piece: JsonObject) -> JsonObject:
    return {"response": piece, "traceId": "t1"}


def line(piece: JsonObject) -> bytes:
    """One event of a stream."""
    return b"data: " + json.dumps(enveloped(piece), ensure_ascii=False).encode() + b"\n\n"


def stream(*pieces: JsonObject) -> bytes:
    return b"".join(map(line, pieces))


def text(words: str) -> JsonObject:
    return {"text": words}


def thought(words: str, signature: str | None = None) -> JsonObject:
    part = {"text": words, "thought": True}
    return part if signature is None else {**part, "thoughtSignature": signature}


def call(name: str = "list_files", call_id: str = "toolu_vrtx_01B", **arguments: Any) -> JsonObject:
    return {"functionCall": {"id": call_id, "name": name, "args": arguments}}


STOPPED = body(text(""), finish="STOP", usage=USAGE)

SHEET = [
    body(thought("Let me think"), modelVersion="claude-opus-4-6-thinking", responseId="msg_vrtx_01A"),
    body(thought("", WIRE)),
    body(text("Here it is.")),
    body(call(path=".")),
    STOPPED,
]
"""The stream that the sheet of facts shows."""


ONE = body(
    thought("Let me think", WIRE),
    text("Here it is."),
    call(path="."),
    finish="STOP",
    usage=USAGE,
    modelVersion="claude-opus-4-6-thinking",
    responseId="msg_vrtx_01A",
)
"""The same as a whole answer."""


def events(
    wire: bytes | Iterable[bytes], dialect: Dialect = CLAUDE, request: ChatRequest = REQUEST
) -> list[StreamEvent]:
    """The canonical events of a stream, however its bytes are cut."""
    decoder = dialect.stream_decoder(request)
    decoded = [each for event in parsed(wire) for each in decoder.feed(event)]
    return [*decoded, *decoder.end()]


def parsed(wire: bytes | Iterable[bytes]) -> list[ServerSentEvent]:
    """The server-sent events of a stream."""
    parser = SseParser()
    found = [event for chunk in ([wire] if isinstance(wire, bytes) else wire) for event in parser.feed(chunk)]
    return [*found, *parser.flush()]


def read(*pieces: JsonObject, dialect: Dialect = CLAUDE, request: ChatRequest = REQUEST) -> ChatResponse:
    """The answer that a stream of these pieces is."""
    return fold(events(stream(*pieces), dialect, request))


def whole(piece: JsonObject, dialect: Dialect = CLAUDE, request: ChatRequest = REQUEST) -> ChatResponse:
    return dialect.decode_response(enveloped(piece), request)


def encoded(decoded: Sequence[StreamEvent], client: Dialect, request: ChatRequest = REQUEST) -> bytes:
    encoder = client.stream_encoder(request)
    return b"".join(map(encoder.encode, decoded)) + encoder.end()


def messages(*pieces: JsonObject, request: ChatRequest = REQUEST) -> list[JsonObject]:
    """What a client of Anthropic's API receives of a stream."""
    return _data(encoded(events(stream(*pieces), request=request), Anthropic(), request))


def chunks(*pieces: JsonObject, request: ChatRequest = REQUEST) -> list[JsonObject]:
    """What a client of Chat Completions receives of a stream."""
    return _data(encoded(events(stream(*pieces), request=request), OpenAIChat(), request))


def _data(wire: bytes) -> list[JsonObject]:
    return [json.loads(event.data) for event in parsed(wire) if event.data != b"[DONE]"]


def tapped(wire: bytes | Iterable[bytes], dialect: Dialect = GEMINI, name: str = "mine") -> list[JsonObject]:
    """What a client of Gemini's own API receives of a stream; raises what went wrong with it."""
    tap = dialect.stream_tap({}, name)
    relayed = b"".join(map(tap.feed, [wire] if isinstance(wire, bytes) else wire)) + tap.end()
    if tap.error is not None:
        raise tap.error
    return _data(relayed)


def told(decoded: Iterable[StreamEvent]) -> UsageUpdate:
    """The last usage of a stream."""
    return [event for event in decoded if isinstance(event, UsageUpdate)][-1]
