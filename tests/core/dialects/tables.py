"""The tables of ``aigateway-core/docs/dialects.md``, made by asking the dialects themselves.

After a change of what a dialect keeps: PYTHONPATH=tests python tests/core/dialects/tables.py
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from core.dialects.differences import differences

from aigateway_core.dialects.anthropic import Anthropic
from aigateway_core.dialects.dialect import Change, Dialect
from aigateway_core.dialects.gemini import Gemini
from aigateway_core.dialects.openai_chat import OpenAIChat
from aigateway_core.dialects.openai_responses import OpenAIResponses
from aigateway_core.errors import ErrorKind, UpstreamError
from aigateway_core.jsontext import dumps, loads_object
from aigateway_core.model import (
    AudioPart,
    ChatRequest,
    ChatResponse,
    DocumentPart,
    FinishReason,
    HostedTool,
    ImagePart,
    JsonObject,
    Message,
    Part,
    Reasoning,
    ResponseFormat,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
)

DOCUMENT = Path(__file__).resolve().parents[3] / "aigateway-core" / "docs" / "dialects.md"
BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)

MODELS: Mapping[Dialect, tuple[str, ...]] = {
    Anthropic(): ("claude-opus-5", "claude-sonnet-4-5"),
    OpenAIChat(): ("gpt-5",),
    OpenAIResponses(): ("gpt-5",),
    Gemini(): ("gemini-4",),
}
"""The dialects with their own vendors' newest models, and an older one where the newest takes less."""

USER = Message("user", (TextPart("hi"),))
OBJECT: JsonObject = {"type": "object", "properties": {"a": {"type": "string"}}}
TOOL = Tool("f", "d", OBJECT)
BESIDE: dict[str, Any] = {
    "messages": (USER,),
    "tools": (TOOL,),
    "tool_choice": ToolChoice("required"),
    "max_tokens": 4096,
    "verbosity": "high",
}
"""What stands beside each field that is looked at, so that its own place is told from that of the object around it."""

FIELDS: dict[str, Any] = {
    "system": ("s",),
    "max_tokens": 64,
    "temperature": 0.5,
    "top_p": 0.5,
    "top_k": 3,
    "stop": ("END",),
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "seed": 7,
    "n": 2,
    "logprobs": True,
    "top_logprobs": 3,
    "logit_bias": {"7": 1},
    "tools": (TOOL,),
    "tool_choice": ToolChoice("required", ("f",)),
    "parallel_tool_calls": False,
    "reasoning": Reasoning("high"),
    "verbosity": "low",
    "response_format": ResponseFormat("json_schema", "n", {**OBJECT, "additionalProperties": False}),
    "audio_output": {"voice": "alloy", "format": "wav"},
    "user": "someone",
    "metadata": {"team": "a"},
    "service_tier": "auto",
    "stream": True,
}
_CONTAINERS: Mapping[str, set[str]] = {
    "anthropic": {"output_config", "metadata"},
    "openai-chat": {"stream_options"},
    "openai-responses": {"text"},
    "gemini": {"generationConfig", "toolConfig"},
}
"""Objects of requests that hold several fields of the canonical form."""

_GEMINI_URL = {"stream": "in the URL"}


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table as forges show it."""
    columns = list(columns)
    lines = [columns, ["---"] * len(columns), *map(list, rows)]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _headed(first: str) -> list[str]:
    return [first, *(dialect.name for dialect in MODELS)]


def _code(text: str) -> str:
    return f"`{text}`"


# -- fields


def fields() -> str:
    """Where each field of a request stands, or what becomes of it."""
    return table(_headed("field"), ([_code(name), *(_field(dialect, name) for dialect in MODELS)] for name in FIELDS))


def _field(dialect: Dialect, name: str) -> str:
    told = [_told(dialect, model, name) for model in MODELS[dialect]]
    best = next((cell for cell in told if cell.startswith("`")), told[0])
    conditional = any(change.name.partition(".")[0] == name for change in dialect.changes)
    return f"{best} ¹" if conditional else best


def _told(dialect: Dialect, model: str, name: str) -> str:
    about = {"tools", "tool_choice"} if name == "tools" else {name}
    beside = {field: value for field, value in BESIDE.items() if field not in about}
    if name == "stream" and dialect.name == "gemini":
        return _GEMINI_URL[name]
    plain, asked = ChatRequest(model=model, **beside), ChatRequest(model=model, **beside, **{name: FIELDS[name]})
    losses = dialect.losses(asked)
    if name in losses.refused:
        return "**refused**"
    if name in losses.dropped:
        return "dropped"
    containers = _CONTAINERS[dialect.name]
    places = list(_changed(dialect.encode_request(plain), dialect.encode_request(asked), containers))
    return ", ".join(map(_code, places)) or "no field"


def _changed(before: Any, after: Any, containers: set[str], path: str = "") -> Iterator[str]:
    """The paths at which two bodies differ, down to the objects that hold several fields."""
    for key, value in after.items():
        place = f"{path}{key}"
        if before.get(key) == value:
            continue
        inner = before.get(key) if isinstance(before.get(key), dict) else {}
        if isinstance(value, dict) and (inner or key in containers):
            yield from _changed(inner, value, containers, f"{place}.")
        else:
            yield place


# -- parts


def _user(*parts: Part) -> tuple[Message, ...]:
    return (Message("user", parts),)


def _assistant(*parts: Part) -> tuple[Message, ...]:
    return (USER, Message("assistant", (*parts, TextPart("so"))), USER)


def _answered(*content: Any, failed: bool = False) -> tuple[Message, ...]:
    result = ToolResultPart("c1", content, failed)
    return (USER, Message("assistant", (ToolCallPart("c1", "f", '{"a":"b"}'),)), Message("tool", (result,)))


PICTURE, PDF = ImagePart("image/png", "AAAA"), "application/pdf"
PARTS: dict[str, tuple[tuple[Message, ...], str]] = {
    "picture, inline": (_user(PICTURE), "messages.image"),
    "picture, by address": (_user(ImagePart(url="https://example.com/a.png")), "messages.image"),
    "picture, by file id": (_user(ImagePart(file_id="file-1")), "messages.image"),
    "its `detail`": (_user(ImagePart("image/png", "AAAA", detail="low")), "messages.image.detail"),
    "PDF, inline": (_user(DocumentPart(PDF, "AAAA")), "messages.document"),
    "PDF, by address": (_user(DocumentPart(PDF, url="https://example.com/a.pdf")), "messages.document"),
    "PDF, by file id": (_user(DocumentPart(PDF, file_id="file-1")), "messages.document"),
    "its title": (_user(DocumentPart(PDF, "AAAA", title="t")), "messages.document.title"),
    "document of plain text": (_user(DocumentPart(text="hello")), "messages.document"),
    "other file, inline": (_user(DocumentPart("video/mp4", "AAAA", title="t")), "messages.document"),
    "sound": (_user(AudioPart("AAAA", "wav")), "messages.audio"),
    "system text between the turns": ((USER, Message("system", (TextPart("s"),))), "messages.system"),
    "beginning of an answer (prefill)": ((USER, Message("assistant", (TextPart("Once"),))), "messages.prefill"),
    "tool call": (_answered(TextPart("r")), "messages.tool_call"),
    "tool result: text": (_answered(TextPart("r")), "messages.text"),
    "tool result: picture": (_answered(PICTURE), "messages.tool_result.content"),
    "tool result: failure": (_answered(TextPart("r"), failed=True), "messages.tool_result.is_error"),
    "thinking signed by Anthropic": (_assistant(ThinkingPart("t", "c2ln", "anthropic")), "messages.thinking"),
    "thinking signed by OpenAI": (_assistant(ThinkingPart("t", "rs_1|x", "openai-responses")), "messages.thinking"),
    "thinking signed by Google": (_assistant(ThinkingPart("t", "c2ln", "gemini")), "messages.thinking"),
    "thinking without a signature": (_assistant(ThinkingPart("t", origin="glm")), "messages.thinking"),
}


def parts() -> str:
    """What becomes of each kind of content."""
    return table(_headed("content"), ([kind, *(_part(dialect, *PARTS[kind]) for dialect in MODELS)] for kind in PARTS))


def _part(dialect: Dialect, messages: tuple[Message, ...], name: str) -> str:
    request = ChatRequest(model=MODELS[dialect][0], messages=messages)
    body = loads_object(dumps(dialect.encode_request(request)))
    found = differences(request, dialect.decode_request({"model": request.model, **body}))
    if name in dialect.losses(request).dropped:
        return "dropped"
    if f"{name}.as_text" in found:
        return "as text"
    return "converted" if name in found else "kept"


# -- conditions


def conditions() -> str:
    """All that a dialect does not keep, with its sources."""
    return "\n".join(f"### {dialect.name}\n\n{_conditions(dialect)}" for dialect in MODELS)


def _conditions(dialect: Dialect) -> str:
    always = [Change(name, loss.effect, "always", loss.source) for name, loss in dialect.cannot_express.items()]
    rows = sorted([*always, *dialect.changes], key=lambda change: (change.name, change.effect))
    return table(
        ["what", "becomes", "when", "source"],
        ([_code(change.name), change.effect, change.when, change.source] for change in rows),
    )


# -- answers


def finishes() -> str:
    """The words for why an answer ended."""
    reasons: tuple[FinishReason, ...] = get_args(FinishReason)
    return table(
        _headed("reason"), ([_code(word), *(_finish(dialect, word) for dialect in MODELS)] for word in reasons)
    )


def _finish(dialect: Dialect, reason: FinishReason) -> str:
    said: tuple[Part, ...] = (ToolCallPart("c1", "f", "{}"),) if reason == "tool_calls" else (TextPart("a"),)
    body = dialect.encode_response(
        ChatResponse(id="r", model="m", parts=said, finish_reason=reason), ChatRequest(model="m")
    )
    match body:
        case {"stop_reason": word} | {"choices": [{"finish_reason": word}]} | {"candidates": [{"finishReason": word}]}:
            return _code(word)
        case {"status": status, "incomplete_details": details}:
            return _code(f"{status}: {details['reason']}" if details else status)
        case _:
            raise AssertionError(body)


def errors() -> str:
    """Status and word of each kind of error."""
    return table(_headed("kind"), ([_code(kind), *(_error(dialect, kind) for dialect in MODELS)] for kind in ErrorKind))


def _error(dialect: Dialect, kind: ErrorKind) -> str:
    reply = dialect.encode_error(UpstreamError(kind, "m"), "req_1")
    error = reply.body["error"]
    word = error["status"] if dialect.name == "gemini" else error.get("code") or error["type"]
    return f"{reply.status} {_code(word)}"


def hosted() -> str:
    """Which tools that vendors run themselves go to which dialect."""
    kinds = (
        HostedTool("web_search_20250305", "web_search"),
        HostedTool("code_execution_20250522", "code_execution"),
        HostedTool("web_search", "web_search"),
        HostedTool("code_interpreter", "code_interpreter"),
        HostedTool("googleSearch", "googleSearch"),
        HostedTool("codeExecution", "codeExecution"),
    )
    return table(
        _headed("tool"), ([_code(tool.type), *(_hosted(dialect, tool) for dialect in MODELS)] for tool in kinds)
    )


def _hosted(dialect: Dialect, tool: HostedTool) -> str:
    request = ChatRequest(model=MODELS[dialect][0], messages=(USER,), tools=(tool,))
    return "dropped" if dialect.losses(request).dropped else "kept"


TABLES: Mapping[str, Callable[[], str]] = {
    made.__name__: made for made in (fields, parts, hosted, finishes, errors, conditions)
}


def current(text: str) -> str:
    """The document with its tables as they are to be."""
    return BLOCK.sub(lambda block: f"{block[1]}\n{TABLES[block[2]]()}\n{block[4]}", text)


if __name__ == "__main__":
    DOCUMENT.write_text(current(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
