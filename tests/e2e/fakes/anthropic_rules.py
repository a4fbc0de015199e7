"""What Anthropic's Messages endpoint refuses, after its documentation and the official SDK's request types."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from anthropic.types import message_create_params
from e2e.fakes import anthropic_turns
from e2e.fakes.sdk_types import RequestType
from e2e.fakes.vendor import JsonObject, Problem

NEWEST = "2026-10-21"
VERSIONS = ("2023-01-01", "2023-06-01", NEWEST)

_WHOLE = RequestType(message_create_params.MessageCreateParamsNonStreaming)
_STREAMED = RequestType(message_create_params.MessageCreateParamsStreaming)
# These two are arguments of the SDK that travel as headers.
_FIELDS = frozenset(message_create_params.MessageCreateParamsBase.__annotations__) - {
    "user_profile_id",
    "workspace_id",
} | {"stream"}
_BETA_FIELDS = {"context_management": "context-management-2025-06-27", "mcp_servers": "mcp-client-2025-11-20"}
# Gone from the SDK's types with the newest version of the API, and still good under the older ones.
_SAMPLING: dict[str, tuple[float, float]] = {"temperature": (0, 1), "top_p": (0, 1), "top_k": (0, 500)}
_NOT_HELD = {
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength"),
    *("maxItems", "uniqueItems", "oneOf", "not", "patternProperties", "propertyNames"),
}
"""What no model is held to (platform.claude.com, structured outputs, JSON Schema limitations)."""
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")


def problems(body: JsonObject, headers: Mapping[str, str], issued: Mapping[str, str]) -> Iterator[Problem]:
    """Everything that is wrong with ``body``; ``issued`` has the text of each signature that this server gave out."""
    betas = headers.get("anthropic-beta", "")
    extra = {name for name, beta in _BETA_FIELDS.items() if beta in betas}
    if headers.get("anthropic-version") != NEWEST:
        extra |= _SAMPLING.keys()
    for name in body.keys() - _FIELDS - extra:
        yield Problem(f"{name}: Extra inputs are not permitted", where=name)
    known = {name: value for name, value in body.items() if name in _FIELDS}
    typed = list((_STREAMED if body.get("stream") is True else _WHOLE).problems(known))
    yield from typed
    if not typed:
        for rule in (_limits, _sampling, _texts, _tools, _structured, _thinking, _cache_control):
            yield from rule(body)
        yield from anthropic_turns.problems(body, issued)


def thinks(body: JsonObject) -> bool:
    """Whether thinking is asked for."""
    return body.get("thinking", {}).get("type") in ("enabled", "adaptive")


def _limits(body: JsonObject) -> Iterator[Problem]:
    if body["max_tokens"] < 0:
        yield Problem("max_tokens: Input should be greater than or equal to 0")
    if body["max_tokens"] > 128_000:
        yield Problem(f"max_tokens: {body['max_tokens']} > 128000, the most output tokens for {body['model']}")
    stops = body.get("stop_sequences", [])
    if not isinstance(stops, list):
        yield Problem("stop_sequences: Input should be a valid list")
    elif any(not stop.strip() for stop in stops):
        yield Problem("stop_sequences: each stop sequence must contain non-whitespace")


def _sampling(body: JsonObject) -> Iterator[Problem]:
    for name, (least, most) in _SAMPLING.items():
        value = body.get(name)
        if value is None:
            continue
        if not isinstance(value, int | float) or not least <= value <= most:
            yield Problem(f"{name}: Input should be between {least} and {most}")
        elif name != "top_p" and thinks(body) and (name, value) != ("temperature", 1):
            yield Problem(f"`{name}` may not be set when thinking is enabled.")


def _texts(body: JsonObject) -> Iterator[Problem]:
    system = body.get("system", [])
    for block in system if isinstance(system, list) else []:
        if not block["text"].strip():
            yield Problem("system: text content blocks must be non-empty")


def _tools(body: JsonObject) -> Iterator[Problem]:
    tools = body.get("tools", [])
    names = [tool["name"] for tool in tools if "name" in tool]
    if len(set(names)) < len(names):
        yield Problem("tools: Tool names must be unique.")
    for number, tool in enumerate(tools):
        if not _TOOL_NAME.fullmatch(tool.get("name", "toolset")):
            yield Problem(f"tools.{number}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        if tool.get("type") in (None, "custom") and tool["input_schema"].get("type") != "object":
            yield Problem(f"tools.{number}.custom.input_schema.type: Field required")
    yield from _choice(body, names)


def _choice(body: JsonObject, names: list[str]) -> Iterator[Problem]:
    choice: Any = body.get("tool_choice")
    if choice is None:
        return
    if not names:
        yield Problem("tool_choice may only be specified while providing tools.")
    if choice["type"] == "tool" and choice["name"] not in names:
        yield Problem(f"tool_choice.name: Tool '{choice['name']}' not found in provided tools")
    if choice["type"] in ("any", "tool") and body.get("thinking", {}).get("type") == "enabled":
        yield Problem("Thinking may not be enabled when tool_choice forces tool use.")


def _structured(body: JsonObject) -> Iterator[Problem]:
    """Schemas that the model is held to, of answers and of strict tools."""
    form = (body.get("output_config") or {}).get("format")
    if form is not None:
        yield from _schema(form["schema"], "output_config.format.schema")
    strict = [(number, tool) for number, tool in enumerate(body.get("tools", [])) if tool.get("strict")]
    if len(strict) > 20:
        yield Problem(f"Too many strict tools: {len(strict)} > 20")
    for number, tool in strict:
        yield from _schema(tool["input_schema"], f"tools.{number}.custom.input_schema")


def _schema(node: Any, where: str) -> Iterator[Problem]:
    if not isinstance(node, dict):
        return
    kind = node.get("type")
    for name in sorted(node.keys() & _NOT_HELD):
        yield Problem(f"{where}: For '{kind}' type, property '{name}' is not supported")
    if node.get("minItems", 0) > 1:
        yield Problem(f"{where}: For 'array' type, 'minItems' values other than 0 or 1 are not supported")
    if kind == "object" and node.get("additionalProperties") is not False:
        yield Problem(f"{where}: For 'object' type, 'additionalProperties' must be explicitly set to false")
    for name in ("properties", "$defs"):
        for key, inner in node.get(name, {}).items():
            yield from _schema(inner, f"{where}.{name}.{key}")
    for inner in (*node.get("anyOf", ()), node.get("items")):
        yield from _schema(inner, where)


def _thinking(body: JsonObject) -> Iterator[Problem]:
    thinking = body.get("thinking", {})
    if thinking.get("type") != "enabled":
        return
    if thinking["budget_tokens"] < 1024:
        yield Problem("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
    if thinking["budget_tokens"] >= body["max_tokens"]:
        yield Problem("`max_tokens` must be greater than `thinking.budget_tokens`.")


def _cache_control(body: JsonObject) -> Iterator[Problem]:
    found = _count_cache_control([body.get("system"), body.get("tools"), body["messages"]])
    if found > 4:
        yield Problem(f"A maximum of 4 blocks with cache_control may be provided. Found {found}.")


def _count_cache_control(node: Any) -> int:
    if isinstance(node, list):
        return sum(_count_cache_control(one) for one in node)
    if not isinstance(node, dict):
        return 0
    return ("cache_control" in node) + sum(
        _count_cache_control(value) for key, value in node.items() if key in ("content", "source")
    )
