"""What clients of each API send, on its way to the wire: through the dialects and the provider's own passes."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from aigateway_antigravity.catalogue import Catalogue
from aigateway_antigravity.config import AntigravityConfig
from aigateway_antigravity.models import Asked
from aigateway_antigravity.session import session_of
from aigateway_antigravity.signatures import ThoughtMemory
from aigateway_antigravity.translation import body_of, native_body
from aigateway_core.plugin import (
    Anthropic,
    ChatRequest,
    Dialect,
    Gemini,
    JsonObject,
    OpenAIChat,
    OpenAIResponses,
    Secret,
)

CLAUDE = "claude-opus-4-6-thinking"
FLASH = "gemini-3-flash"
LITE = "gemini-3.1-flash-lite"
PAINTER = "gemini-3.1-flash-image"
OSS = "gpt-oss-120b-medium"
SENTINEL = "skip_thought_signature_validator"

CATALOGUE = Catalogue(AntigravityConfig(oauth_client_id="id", oauth_client_secret=Secret("x")))


def claudes(text: str = "one") -> str:
    """A signature in Claude's own form; the frames are those of real ones."""
    inner = bytes([0x08, 0x04, 0x18, 0x02]) + text.encode().ljust(40, b"\x22")
    middle = bytes([0x0A, len(inner)]) + inner
    return b64encode(bytes([0x12, len(middle)]) + middle).decode()


def wired(signature: str) -> str:
    """The same on the wire."""
    return b64encode(signature.encode()).decode()


def geminis(text: str = "one") -> str:
    """A signature in the form of Gemini's that begins like Claude's."""
    inner = b"\x01" + text.encode().ljust(40, b"\xbe")
    middle = bytes([0x0A, len(inner)]) + inner
    return b64encode(bytes([0x12, len(middle)]) + middle).decode()


def find(model: str) -> Asked:
    """What the name of a model means."""
    return CATALOGUE.find(model)


def read(dialect: Dialect, body: JsonObject, model: str) -> ChatRequest:
    """The canonical request behind a client's body."""
    return dialect.decode_request({"model": model, **body})


def sent(request: ChatRequest, model: str, memory: ThoughtMemory | None = None) -> JsonObject:
    """The inner request that goes out for a canonical one."""
    return body_of(request, find(model), memory or ThoughtMemory(), session_of(request))


def by_anthropic(model: str, *messages: JsonObject, memory: ThoughtMemory | None = None, **fields: Any) -> JsonObject:
    """What goes out for a client of Anthropic's API."""
    body = {"max_tokens": 32_000, "messages": list(messages) or [said("hi")], **fields}
    return sent(read(Anthropic(), body, model), model, memory)


def by_openai(model: str, *messages: JsonObject, memory: ThoughtMemory | None = None, **fields: Any) -> JsonObject:
    """What goes out for a client of OpenAI's Chat Completions."""
    return sent(read(OpenAIChat(), {"messages": list(messages) or [said("hi")], **fields}, model), model, memory)


def by_responses(model: str, **fields: Any) -> JsonObject:
    """What goes out for a client of OpenAI's Responses."""
    return sent(read(OpenAIResponses(), {"input": "hi", **fields}, model), model)


def by_gemini(model: str, *contents: JsonObject, **fields: Any) -> JsonObject:
    """What goes out for a client of Gemini's API whose model is another maker's."""
    return sent(read(Gemini(), {"contents": list(contents) or [content("hi")], **fields}, model), model)


def natively(model: str, *contents: JsonObject, **fields: Any) -> JsonObject:
    """What goes out for a client of Gemini's API, untranslated."""
    body = {"model": model, "contents": list(contents) or [content("hi")], **fields}
    return native_body(Gemini().native_request(body, model), find(model))


# -- what they say


def said(text: str, role: str = "user") -> JsonObject:
    """A message of Anthropic's or OpenAI's."""
    return {"role": role, "content": text}


def user(*blocks: JsonObject) -> JsonObject:
    """A user's turn in Anthropic's blocks."""
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: JsonObject) -> JsonObject:
    """The model's turn in Anthropic's blocks."""
    return {"role": "assistant", "content": list(blocks)}


def text(words: str) -> JsonObject:
    """A block of text."""
    return {"type": "text", "text": words}


def thinking(words: str, signature: str | None = None) -> JsonObject:
    """A block of thinking."""
    return {"type": "thinking", "thinking": words} | ({} if signature is None else {"signature": signature})


def use(call_id: str, name: str = "look", **fields: Any) -> JsonObject:
    """A block that calls a tool."""
    return {"type": "tool_use", "id": call_id, "name": name, "input": {}, **fields}


def result(call_id: str, answer: Any = "ok", **fields: Any) -> JsonObject:
    """A block with what a tool answered."""
    return {"type": "tool_result", "tool_use_id": call_id, "content": answer, **fields}


def tool(name: str = "look", **fields: Any) -> JsonObject:
    """A tool in Anthropic's form."""
    schema = {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}
    return {"name": name, "input_schema": schema, **fields}


def function(name: str = "look", **fields: Any) -> JsonObject:
    """A tool in OpenAI's form."""
    return {"type": "function", "function": {"name": name, "parameters": tool()["input_schema"], **fields}}


def asked(*calls: tuple[str, str, str], **fields: Any) -> JsonObject:
    """OpenAI's message in which the model calls tools: id, name, arguments."""
    listed = [
        {"id": one, "type": "function", "function": {"name": name, "arguments": arguments}}
        for one, name, arguments in calls
    ]
    return {"role": "assistant", "content": None, "tool_calls": listed, **fields}


def answered(call_id: str, answer: Any = "ok") -> JsonObject:
    """OpenAI's message in which a tool answers."""
    return {"role": "tool", "tool_call_id": call_id, "content": answer}


def content(*parts: JsonObject | str, role: str = "user") -> JsonObject:
    """A content of Gemini's; strings are parts of text."""
    return {"role": role, "parts": [{"text": part} if isinstance(part, str) else part for part in parts]}


def call(name: str = "look", **fields: Any) -> JsonObject:
    """A part of Gemini's that calls a function."""
    return {"functionCall": {"name": name, "args": {}, **fields}}


def response(name: str = "look", **fields: Any) -> JsonObject:
    """A part of Gemini's with what a function answered."""
    return {"functionResponse": {"name": name, "response": {"output": "ok"}, **fields}}


# -- what is found on the wire


def parts_of(request: JsonObject, role: str | None = None) -> list[JsonObject]:
    """All parts of all contents, or of those of one side."""
    return [part for turn in request["contents"] if role in (None, turn["role"]) for part in turn["parts"]]


def roles_of(request: JsonObject) -> list[str]:
    """Who speaks, turn by turn."""
    return [turn["role"] for turn in request["contents"]]


def thoughts_of(request: JsonObject) -> list[tuple[str, str | None]]:
    """The thoughts on the wire, each with its signature."""
    return [(part["text"], part.get("thoughtSignature")) for part in parts_of(request) if part.get("thought")]


def calls_of(request: JsonObject) -> list[JsonObject]:
    """The calls on the wire."""
    return [part["functionCall"] for part in parts_of(request) if "functionCall" in part]


def responses_of(request: JsonObject) -> list[JsonObject]:
    """The responses on the wire."""
    return [part["functionResponse"] for part in parts_of(request) if "functionResponse" in part]


def config_of(request: JsonObject) -> JsonObject:
    """Its ``generationConfig``."""
    config: JsonObject = request.get("generationConfig", {})
    return config


def think_of(request: JsonObject) -> JsonObject | None:
    """Its ``thinkingConfig``."""
    return config_of(request).get("thinkingConfig")


def system_of(request: JsonObject) -> list[str]:
    """The texts of its system instruction."""
    return [part["text"] for part in request.get("systemInstruction", {"parts": []})["parts"]]


def declared_in(request: JsonObject) -> list[str]:
    """The names of the functions it declares."""
    return [one["name"] for entry in request.get("tools", ()) for one in entry.get("functionDeclarations", ())]


def names_in(value: Any) -> set[str]:
    """Every key anywhere in a value."""
    if isinstance(value, dict):
        return set(value) | {name for inner in value.values() for name in names_in(inner)}
    return {name for inner in value for name in names_in(inner)} if isinstance(value, list) else set()
