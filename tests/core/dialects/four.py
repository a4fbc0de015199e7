"""The four dialects side by side: a conversation in each, as clients write it and as upstreams shall see it."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import attrs
from typing_extensions import override

from aigateway_core.dialects.anthropic import Anthropic
from aigateway_core.dialects.dialect import Dialect
from aigateway_core.dialects.gemini import Gemini
from aigateway_core.dialects.openai_chat import OpenAIChat
from aigateway_core.dialects.openai_responses import OpenAIResponses
from aigateway_core.model import JsonObject

MODEL = "claude-opus-4-5"
"""A model whose vendor takes a schema for the answer; the others do not look at its name."""

SCHEMA: JsonObject = {"type": "object", "properties": {"a": {"type": "integer"}}}


@attrs.frozen
class Said:
    """What somebody said."""

    who: str
    text: str


@attrs.frozen
class Called:
    """A call that the model made."""

    id: str
    name: str


@attrs.frozen
class Answered:
    """What came of a call."""

    id: str
    name: str
    text: str


Turn: TypeAlias = Said | Called | Answered


class Tongue(ABC):
    """How one dialect writes a conversation, and how it is read out of a body that an upstream is sent."""

    dialect: Dialect

    @abstractmethod
    def request(self, turns: Sequence[Turn], tools: Sequence[str] = (), **fields: Any) -> JsonObject:
        """A request as a client of this dialect writes it."""

    @abstractmethod
    def choice(self, mode: str, name: str = "") -> JsonObject:
        """The fields for a choice of tools: ``auto``, ``none``, ``any``, or ``one`` with its name."""

    @abstractmethod
    def schema(self, schema: JsonObject) -> JsonObject:
        """The fields for an answer that fits this schema."""

    @abstractmethod
    def hosted(self) -> JsonObject:
        """A tool that the vendor of this dialect runs itself, as an entry of ``tools``."""

    @abstractmethod
    def document(self, data: str, title: str) -> JsonObject:
        """A user's turn that holds a PDF with a title."""

    @abstractmethod
    def image(self, data: str) -> JsonObject:
        """A user's turn that holds a picture."""

    @abstractmethod
    def turns(self, body: JsonObject) -> Iterator[Turn]:
        """The conversation in a body for an upstream."""

    @abstractmethod
    def tools(self, body: JsonObject) -> list[str]:
        """The names of the functions in a body for an upstream."""

    @abstractmethod
    def answer(self, *calls: Called) -> JsonObject:
        """An upstream's answer that makes these calls."""

    @abstractmethod
    def calls(self, answer: JsonObject) -> list[Called]:
        """The calls in an answer to a client."""


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content or ())


class Messages(Tongue):
    dialect = Anthropic()

    @override
    def request(self, turns: Sequence[Turn], tools: Sequence[str] = (), **fields: Any) -> JsonObject:
        named = [{"name": name, "input_schema": SCHEMA} for name in tools]
        return {
            "model": MODEL,
            "max_tokens": 99,
            "messages": [self._turn(turn) for turn in turns],
            "tools": named,
            **fields,
        }

    def _turn(self, turn: Turn) -> JsonObject:
        match turn:
            case Said(who, text):
                return {"role": who, "content": text}
            case Called(call_id, name):
                block = {"type": "tool_use", "id": call_id, "name": name, "input": {"a": 1}}
                return {"role": "assistant", "content": [block]}
            case Answered(call_id, _, text):
                return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call_id, "content": text}]}

    @override
    def choice(self, mode: str, name: str = "") -> JsonObject:
        return {"tool_choice": {"type": "tool", "name": name} if mode == "one" else {"type": mode}}

    @override
    def schema(self, schema: JsonObject) -> JsonObject:
        return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}

    @override
    def hosted(self) -> JsonObject:
        return {"type": "web_search_20250305", "name": "web_search"}

    @override
    def document(self, data: str, title: str) -> JsonObject:
        source = {"type": "base64", "media_type": "application/pdf", "data": data}
        return {"role": "user", "content": [{"type": "document", "source": source, "title": title}]}

    @override
    def image(self, data: str) -> JsonObject:
        source = {"type": "base64", "media_type": "image/png", "data": data}
        return {"role": "user", "content": [{"type": "image", "source": source}]}

    @override
    def turns(self, body: JsonObject) -> Iterator[Turn]:
        names: dict[str, str] = {}
        for message in body["messages"]:
            content = message["content"]
            for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
                match block["type"]:
                    case "text":
                        yield Said(message["role"], block["text"])
                    case "tool_use":
                        names[block["id"]] = block["name"]
                        yield Called(block["id"], block["name"])
                    case "tool_result":
                        call_id = block["tool_use_id"]
                        yield Answered(call_id, names[call_id], _text(block.get("content")))

    @override
    def tools(self, body: JsonObject) -> list[str]:
        return [tool["name"] for tool in body.get("tools", ())]

    @override
    def answer(self, *calls: Called) -> JsonObject:
        content = [{"type": "tool_use", "id": call.id, "name": call.name, "input": {"a": 1}} for call in calls]
        usage = {"input_tokens": 1, "output_tokens": 1}
        told = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content}
        return told | {"stop_reason": "tool_use", "stop_sequence": None, "usage": usage}

    @override
    def calls(self, answer: JsonObject) -> list[Called]:
        return [Called(block["id"], block["name"]) for block in answer["content"] if block["type"] == "tool_use"]


class Chat(Tongue):
    dialect = OpenAIChat()

    @override
    def request(self, turns: Sequence[Turn], tools: Sequence[str] = (), **fields: Any) -> JsonObject:
        named = [{"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in tools]
        return {"model": MODEL, "messages": [self._turn(turn) for turn in turns], "tools": named, **fields}

    def _turn(self, turn: Turn) -> JsonObject:
        match turn:
            case Said(who, text):
                return {"role": who, "content": text}
            case Called():
                return {"role": "assistant", "content": None, "tool_calls": [self._call(turn)]}
            case Answered(call_id, _, text):
                return {"role": "tool", "tool_call_id": call_id, "content": text}

    def _call(self, call: Called) -> JsonObject:
        return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": '{"a":1}'}}

    @override
    def choice(self, mode: str, name: str = "") -> JsonObject:
        if mode == "one":
            return {"tool_choice": {"type": "function", "function": {"name": name}}}
        return {"tool_choice": "required" if mode == "any" else mode}

    @override
    def schema(self, schema: JsonObject) -> JsonObject:
        return {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}}

    @override
    def hosted(self) -> JsonObject:
        return {"type": "browser", "browser": {}}

    @override
    def document(self, data: str, title: str) -> JsonObject:
        file = {"filename": title, "file_data": f"data:application/pdf;base64,{data}"}
        return {"role": "user", "content": [{"type": "file", "file": file}]}

    @override
    def image(self, data: str) -> JsonObject:
        url = {"url": f"data:image/png;base64,{data}"}
        return {"role": "user", "content": [{"type": "image_url", "image_url": url}]}

    @override
    def turns(self, body: JsonObject) -> Iterator[Turn]:
        names: dict[str, str] = {}
        for message in body["messages"]:
            if message["role"] == "tool":
                yield Answered(message["tool_call_id"], names[message["tool_call_id"]], _text(message["content"]))
                continue
            if message["content"]:
                yield Said(message["role"], _text(message["content"]))
            for call in message.get("tool_calls", ()):
                names[call["id"]] = call["function"]["name"]
                yield Called(call["id"], call["function"]["name"])

    @override
    def tools(self, body: JsonObject) -> list[str]:
        return [tool["function"]["name"] for tool in body.get("tools", ())]

    @override
    def answer(self, *calls: Called) -> JsonObject:
        message = {"role": "assistant", "content": None, "tool_calls": [self._call(call) for call in calls]}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}

    @override
    def calls(self, answer: JsonObject) -> list[Called]:
        made = answer["choices"][0]["message"]["tool_calls"]
        return [Called(call["id"], call["function"]["name"]) for call in made]


class Responses(Tongue):
    dialect = OpenAIResponses()

    @override
    def request(self, turns: Sequence[Turn], tools: Sequence[str] = (), **fields: Any) -> JsonObject:
        named = [{"type": "function", "name": name, "parameters": SCHEMA} for name in tools]
        return {"model": MODEL, "input": [self._turn(turn) for turn in turns], "tools": named, **fields}

    def _turn(self, turn: Turn) -> JsonObject:
        match turn:
            case Said(who, text):
                return {"type": "message", "role": who, "content": text}
            case Called():
                return self._call(turn)
            case Answered(call_id, _, text):
                return {"type": "function_call_output", "call_id": call_id, "output": text}

    def _call(self, call: Called) -> JsonObject:
        return {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": '{"a":1}'}

    @override
    def choice(self, mode: str, name: str = "") -> JsonObject:
        if mode == "one":
            return {"tool_choice": {"type": "function", "name": name}}
        return {"tool_choice": "required" if mode == "any" else mode}

    @override
    def schema(self, schema: JsonObject) -> JsonObject:
        return {"text": {"format": {"type": "json_schema", "name": "n", "schema": schema}}}

    @override
    def hosted(self) -> JsonObject:
        return {"type": "code_interpreter", "container": {"type": "auto"}}

    @override
    def document(self, data: str, title: str) -> JsonObject:
        part = {"type": "input_file", "filename": title, "file_data": f"data:application/pdf;base64,{data}"}
        return {"type": "message", "role": "user", "content": [part]}

    @override
    def image(self, data: str) -> JsonObject:
        part = {"type": "input_image", "image_url": f"data:image/png;base64,{data}"}
        return {"type": "message", "role": "user", "content": [part]}

    @override
    def turns(self, body: JsonObject) -> Iterator[Turn]:
        names: dict[str, str] = {}
        for item in body["input"]:
            match item["type"]:
                case "message":
                    yield Said(item["role"], _text(item["content"]))
                case "function_call":
                    names[item["call_id"]] = item["name"]
                    yield Called(item["call_id"], item["name"])
                case "function_call_output":
                    yield Answered(item["call_id"], names[item["call_id"]], _text(item["output"]))

    @override
    def tools(self, body: JsonObject) -> list[str]:
        return [tool["name"] for tool in body.get("tools", ())]

    @override
    def answer(self, *calls: Called) -> JsonObject:
        output = [{**self._call(call), "id": f"fc_{index}"} for index, call in enumerate(calls)]
        return {"id": "resp_1", "object": "response", "model": "m", "status": "completed", "output": output}

    @override
    def calls(self, answer: JsonObject) -> list[Called]:
        return [Called(item["call_id"], item["name"]) for item in answer["output"] if item["type"] == "function_call"]


class Generate(Tongue):
    dialect = Gemini()

    @override
    def request(self, turns: Sequence[Turn], tools: Sequence[str] = (), **fields: Any) -> JsonObject:
        named = [{"name": name, "parametersJsonSchema": SCHEMA} for name in tools]
        declared = [{"functionDeclarations": named}] if named else []
        return {"model": MODEL, "contents": [self._turn(turn) for turn in turns], "tools": declared, **fields}

    def _turn(self, turn: Turn) -> JsonObject:
        match turn:
            case Said(who, text):
                return {"role": "model" if who == "assistant" else who, "parts": [{"text": text}]}
            case Called():
                return {"role": "model", "parts": [self._call(turn)]}
            case Answered(call_id, name, text):
                response = {"id": call_id, "name": name, "response": {"output": text}}
                return {"role": "user", "parts": [{"functionResponse": response}]}

    def _call(self, call: Called) -> JsonObject:
        return {"functionCall": {"id": call.id, "name": call.name, "args": {"a": 1}}}

    @override
    def choice(self, mode: str, name: str = "") -> JsonObject:
        config: JsonObject = {"mode": "ANY" if mode == "one" else mode.upper()}
        if mode == "one":
            config["allowedFunctionNames"] = [name]
        return {"toolConfig": {"functionCallingConfig": config}}

    @override
    def schema(self, schema: JsonObject) -> JsonObject:
        return {"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": schema}}

    @override
    def hosted(self) -> JsonObject:
        return {"googleSearch": {}}

    @override
    def document(self, data: str, title: str) -> JsonObject:
        blob = {"mimeType": "application/pdf", "data": data, "displayName": title}
        return {"role": "user", "parts": [{"inlineData": blob}]}

    @override
    def image(self, data: str) -> JsonObject:
        return {"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": data}}]}

    @override
    def turns(self, body: JsonObject) -> Iterator[Turn]:
        for content in body["contents"]:
            for part in content["parts"]:
                who = "assistant" if content["role"] == "model" else content["role"]
                if "text" in part:
                    yield Said(who, part["text"])
                elif "functionCall" in part:
                    yield Called(part["functionCall"].get("id", ""), part["functionCall"]["name"])
                elif "functionResponse" in part:
                    told = part["functionResponse"]
                    yield Answered(told.get("id", ""), told["name"], _output(told["response"]))

    @override
    def tools(self, body: JsonObject) -> list[str]:
        entries = body.get("tools", ())
        return [one["name"] for entry in entries for one in entry.get("functionDeclarations", ())]

    @override
    def answer(self, *calls: Called) -> JsonObject:
        content = {"role": "model", "parts": [self._call(call) for call in calls]}
        return {"responseId": "r1", "candidates": [{"content": content, "finishReason": "STOP", "index": 0}]}

    @override
    def calls(self, answer: JsonObject) -> list[Called]:
        parts = answer["candidates"][0]["content"]["parts"]
        made = [part["functionCall"] for part in parts if "functionCall" in part]
        return [Called(call.get("id", ""), call["name"]) for call in made]


def _output(response: JsonObject) -> str:
    value = response.get("output", response)
    return value if isinstance(value, str) else json.dumps(value)


TONGUES: dict[str, Tongue] = {
    "anthropic": Messages(),
    "openai-chat": Chat(),
    "openai-responses": Responses(),
    "gemini": Generate(),
}
