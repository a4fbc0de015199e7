"""What the tests of the Gemini dialect share: bodies with something of everything, and the types of Google's SDK."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.genai import types

from aigateway_core.dialects.dialect import Dialect, decode_events
from aigateway_core.dialects.gemini import Gemini, GeminiArray, GeminiProfile
from aigateway_core.dialects.sse import SseParser
from aigateway_core.events import StreamEvent, fold
from aigateway_core.jsontext import dumps, loads_object
from aigateway_core.model import ChatRequest, ChatResponse, JsonObject, Message, Reasoning, TextPart

GEMINI = Gemini()
ARRAY = GeminiArray()
CLASSIC = Gemini(GeminiProfile(json_schemas=False))

NEWEST = "gemini-4-flash"
OLDER = "gemini-2.5-flash"

REQUEST = ChatRequest(
    model="mine", messages=(Message("user", (TextPart("hi"),)),), reasoning=Reasoning(summary=True), stream=True
)

GENERATE_REQUEST: JsonObject = {
    "model": "gemini-4-flash",
    "stream": True,
    "systemInstruction": {"parts": [{"text": "Be kind"}]},
    "contents": [
        {
            "role": "user",
            "parts": [
                {"text": "hi"},
                {"inline_data": {"mime_type": "image/png", "data": "aW1n"}},
                {"inlineData": {"mimeType": "audio/mpeg", "data": "c25k"}},
                {"fileData": {"mimeType": "application/pdf", "fileUri": "https://a.test/a.pdf"}},
            ],
        },
        {
            "role": "model",
            "parts": [
                {"text": "hm", "thought": True, "thoughtSignature": "c2ln"},
                {"text": "ok", "thoughtSignature": "c2lnMg=="},
                {"functionCall": {"name": "w", "args": {"a": 1}}, "thoughtSignature": "c2lnMw=="},
                {"functionCall": {"id": "c2", "name": "w", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "w", "response": {"output": "1"}}},
                {"functionResponse": {"id": "c2", "name": "w", "response": {"error": "boom"}}},
            ],
        },
    ],
    "tools": [
        {
            "functionDeclarations": [
                {"name": "w", "description": "d", "parameters": {"type": "OBJECT", "properties": {"a": {}}}}
            ]
        },
        {"googleSearch": {}},
    ],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["w"]}},
    "generationConfig": {
        "maxOutputTokens": 100,
        "temperature": 1,
        "topK": 40.0,
        "stopSequences": ["END"],
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "OBJECT", "properties": {"x": {"type": "STRING", "nullable": True}}},
        "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "HIGH"},
        "responseModalities": ["TEXT"],
    },
    "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
}

ANSWER: JsonObject = {
    "candidates": [
        {
            "content": {
                "parts": [
                    {"text": "hm", "thought": True},
                    {"text": "hi", "thoughtSignature": "c2ln"},
                    {"functionCall": {"id": "c1", "name": "w", "args": {"a": 1}}, "thoughtSignature": "c2lnMg=="},
                ],
                "role": "model",
            },
            "finishReason": "STOP",
            "index": 0,
        }
    ],
    "usageMetadata": {
        "promptTokenCount": 29,
        "candidatesTokenCount": 10,
        "thoughtsTokenCount": 202,
        "cachedContentTokenCount": 9,
        "totalTokenCount": 241,
    },
    "modelVersion": "gemini-upstream",
    "responseId": "r1",
}

REFUSAL: JsonObject = {
    "error": {
        "code": 429,
        "message": "You have exhausted your capacity on this model.",
        "status": "RESOURCE_EXHAUSTED",
        "details": [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED", "metadata": {}},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3.2s"},
        ],
    }
}


def chunk(*parts: JsonObject, finish: str | None = None, **top: Any) -> JsonObject:
    """One event of a stream; names in ``top`` replace those of the answer."""
    candidate: JsonObject = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": "gemini-upstream", "responseId": "r1"} | top


STREAM: list[JsonObject] = [
    chunk({"text": "hm", "thought": True}),
    chunk({"text": "hel"}),
    chunk({"text": "lo"}),
    chunk({"text": "", "thoughtSignature": "c2ln"}),
    chunk({"functionCall": {"name": "w", "args": {"a": 1}}, "thoughtSignature": "c2lnMg=="}),
    chunk({"text": ""}, finish="STOP", usageMetadata=ANSWER["usageMetadata"]),
]


def wire(chunks: Iterable[Any]) -> bytes:
    """The chunks as server-sent events."""
    return b"".join(b"data: " + dumps(item) + b"\n\n" for item in chunks)


def encoded(dialect: Dialect, events: Iterable[StreamEvent], request: ChatRequest = REQUEST) -> bytes:
    encoder = dialect.stream_encoder(request)
    return b"".join(map(encoder.encode, events)) + encoder.end()


def decoded(pieces: Iterable[bytes], request: ChatRequest = REQUEST) -> list[StreamEvent]:
    parser = SseParser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    return decode_events(GEMINI.stream_decoder(request), [*events, *parser.flush()])


def read(stream: bytes, request: ChatRequest = REQUEST) -> ChatResponse:
    return fold(decoded([stream], request))


def chunks_of(stream: bytes) -> list[JsonObject]:
    return [loads_object(event.data) for event in SseParser().feed(stream)]


def over_the_wire(body: JsonObject) -> JsonObject:
    """What is left of a body after it was bytes."""
    return loads_object(dumps(body))


def with_model(body: JsonObject, model: str) -> JsonObject:
    """A body as an endpoint hands it over."""
    return {**body, "model": model}


def check_answer(body: JsonObject) -> types.GenerateContentResponse:
    """Hold an answer, or a chunk of one, against the official SDK's type, which knows no other fields."""
    return types.GenerateContentResponse.model_validate(body)


def check_request(body: JsonObject) -> None:
    """Hold a body against the official SDK's types; it has none for a whole one."""
    assert body.keys() <= {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig"}
    for content in body["contents"]:
        typed = types.Content.model_validate(content)
        assert typed.role in ("user", "model")
        assert typed.parts
    if "systemInstruction" in body:
        types.Content.model_validate(body["systemInstruction"])
    for tool in body.get("tools", ()):
        types.Tool.model_validate(tool)
    if "toolConfig" in body:
        types.ToolConfig.model_validate(body["toolConfig"])
    if "generationConfig" in body:
        types.GenerationConfig.model_validate(body["generationConfig"])
