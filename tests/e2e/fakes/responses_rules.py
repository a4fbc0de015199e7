"""What OpenAI's Responses endpoint refuses, after its documentation and the official SDK's request types."""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import Any

from e2e.fakes import chat_rules, openai_rules
from e2e.fakes.chat_rules import NAME
from e2e.fakes.sdk_types import RequestType
from e2e.fakes.vendor import JsonObject, Problem
from openai.types.responses import response_create_params

_WHOLE = RequestType(response_create_params.ResponseCreateParamsNonStreaming)
_STREAMED = RequestType(response_create_params.ResponseCreateParamsStreaming)
# Codex sends it, and no type names it.
_UNTYPED = {"client_metadata"}
_FIELDS = frozenset(response_create_params.ResponseCreateParamsBase.__annotations__) | {"stream"}
_MAX_ID = 64
_PREFIX = {"message": "msg_", "function_call": "fc_", "reasoning": "rs_"}
_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "top_logprobs": (0, 20),
    "max_output_tokens": (16, 128_000),
}


def items(body: JsonObject) -> list[JsonObject]:
    """The input as items that name their type, whatever form it has."""
    given = body["input"]
    listed = [{"role": "user", "content": given}] if isinstance(given, str) else given
    return [{"type": "message", **item} for item in listed]


def parts(item: JsonObject) -> list[JsonObject]:
    """What an item holds, as parts."""
    value = item.get("output" if "call_id" in item else "content") or []
    return [{"type": "input_text", "text": value}] if isinstance(value, str) else value


def text(item: JsonObject) -> str:
    """The text of an item."""
    return "".join(part["text"] for part in parts(item) if part["type"] in ("input_text", "output_text"))


def speaker(item: JsonObject) -> str:
    """Who says it: ``user``, ``assistant``, or ``results`` for what tools answered."""
    if item["type"].endswith("_output"):
        return "results"
    return "user" if item.get("role") == "user" else "assistant"


def problems(body: JsonObject, issued: Set[str]) -> Iterator[Problem]:
    """Everything that is wrong with ``body``; ``issued`` is the encrypted reasoning that this server gave out."""
    for name in body.keys() - _FIELDS - _UNTYPED:
        yield Problem(f"Unknown parameter: '{name}'.", where=name, code="unknown_parameter")
    known = {name: value for name, value in body.items() if name in _FIELDS}
    if isinstance(body.get("input"), list):
        known["input"] = [_typed(item) for item in body["input"]]
    if isinstance(body.get("tools"), list):
        known["tools"] = [_typed_tool(tool) for tool in body["tools"]]
    typed = list((_STREAMED if body.get("stream") is True else _WHOLE).problems(known))
    yield from typed
    if typed:
        return
    for rule in (_limits, _items, _pairing, _tools, _models):
        yield from rule(body)
    yield from _reasoning(body, issued)


def _typed(item: Any) -> Any:
    """An item without what the types do not mention, and OpenAI takes from its own agent all the same."""
    if not isinstance(item, dict):
        return item
    if item.get("type") == "reasoning" and item.get("content", ()) is None:
        return {name: value for name, value in item.items() if name != "content"}
    spoken = item.get("role") in ("user", "developer", "system")
    return {name: value for name, value in item.items() if name != "id" or not spoken}


def _typed_tool(tool: Any) -> Any:
    """A tool without what OpenAI's own agent puts on a search beyond the types."""
    if not isinstance(tool, dict) or tool.get("type") != "web_search":
        return tool
    return {name: value for name, value in tool.items() if name != "search_content_types"}


def _limits(body: JsonObject) -> Iterator[Problem]:
    for name, (least, most) in _RANGES.items():
        value = body.get(name)
        if value is not None and not least <= value <= most:
            yield Problem(f"Invalid '{name}': {value} is not between {least} and {most}.", where=name)
    form = (body.get("text") or {}).get("format") or {"type": "text"}
    if form["type"] == "json_schema":
        if not NAME.fullmatch(form["name"]):
            yield Problem("Invalid 'text.format.name': string does not match pattern.", where="text.format.name")
        if form.get("strict"):
            yield from openai_rules.strict_schema(form["schema"], "text.format.schema")


def _items(body: JsonObject) -> Iterator[Problem]:
    listed = items(body)
    if not listed:
        yield Problem("Invalid 'input': empty array.", where="input", code="empty_array")
    for number, item in enumerate(listed):
        where = f"input[{number}]"
        prefix = _PREFIX.get(item["type"], "")
        if "id" in item and not str(item["id"]).startswith(prefix):
            yield Problem(f"Invalid '{where}.id': expected an ID that begins with '{prefix}'.", where=where)
        if "call_id" in item and not 1 <= len(item["call_id"]) <= _MAX_ID:
            yield Problem(f"Invalid '{where}.call_id': 1 to {_MAX_ID} characters.", where=where)
        if item["type"] == "function_call" and not NAME.fullmatch(item["name"]):
            yield Problem(f"Invalid '{where}.name': string does not match pattern.", where=where)
        if item["type"] == "message":
            yield from _content(item, where)


def _content(item: JsonObject, where: str) -> Iterator[Problem]:
    wanted = ("output_text", "refusal") if item["role"] == "assistant" else ("input_text", "input_image", "input_file")
    for position, part in enumerate(item["content"] if isinstance(item["content"], list) else []):
        at = f"{where}.content[{position}]"
        if part["type"] not in wanted:
            yield Problem(f"Invalid value: '{part['type']}'. Supported values are: {wanted}.", where=at)
        if part["type"] == "input_image" and part.get("image_url"):
            yield from chat_rules.picture(part["image_url"], f"{at}.image_url")


def _pairing(body: JsonObject) -> Iterator[Problem]:
    called: list[str] = []
    answered: list[str] = []
    for item in items(body):
        if item["type"] in ("function_call", "custom_tool_call"):
            called.append(item["call_id"])
        elif item["type"] in ("function_call_output", "custom_tool_call_output"):
            if item["call_id"] not in called:
                yield Problem(f"No tool call found for function call output with call_id {item['call_id']}.")
            answered.append(item["call_id"])
    for call in called:
        if call not in answered:
            yield Problem(f"No tool output found for function call {call}.", where="input")
    for listed in (called, answered):
        if len(set(listed)) < len(listed):
            yield Problem("Duplicate call_id.", where="input")


def _tools(body: JsonObject) -> Iterator[Problem]:
    tools = body.get("tools") or []
    functions = [tool for tool in tools if tool["type"] == "function"]
    for number, tool in enumerate(functions):
        where = f"tools[{number}]"
        if not NAME.fullmatch(tool["name"]):
            yield Problem(f"Invalid '{where}.name': string does not match pattern.", where=where)
        parameters = tool.get("parameters")
        if parameters is None:
            continue
        if parameters.get("type") != "object":
            yield Problem(f"Invalid schema for function '{tool['name']}': must be of type object.", where=where)
        yield from chat_rules.schema(parameters, f"{where}.parameters")
        # Here, unlike in Chat Completions, strict is what silence means; every writer has to say what it wants.
        if tool.get("strict"):
            yield from openai_rules.strict_schema(parameters, f"{where}.parameters")
    yield from _choice(body.get("tool_choice"), {tool.get("name") for tool in tools}, declared=bool(tools))


def _choice(choice: Any, names: Set[Any], *, declared: bool) -> Iterator[Problem]:
    if choice not in (None, "auto", "none") and not declared:
        yield Problem("Tool choice must be specified together with 'tools'.", where="tool_choice")
    elif isinstance(choice, dict) and choice["type"] in ("function", "custom") and choice["name"] not in names:
        yield Problem(f"Tool choice '{choice['name']}' not found in 'tools' parameter.", where="tool_choice")


def _models(body: JsonObject) -> Iterator[Problem]:
    if any(part in body["model"] for part in ("-audio", "-search-")):
        yield Problem("This model is only supported in v1/chat/completions and not in v1/responses.", where="model")
    if not openai_rules.reasons(body["model"]):
        if (body.get("reasoning") or {}).get("effort") or body.get("include"):
            yield Problem("Unsupported parameter: 'reasoning.effort' or 'include'", where="reasoning")
        return
    for name in ("temperature", "top_p"):
        if body.get(name) not in (None, 1):
            yield Problem(f"Unsupported parameter: '{name}' is not supported with this model.", where=name)


def _reasoning(body: JsonObject, issued: Set[str]) -> Iterator[Problem]:
    """Reasoning comes back as it was given out, and is followed by what it led to."""
    listed = items(body)
    for number, item in enumerate(listed):
        if item["type"] != "reasoning":
            continue
        where = f"input[{number}]"
        if item.get("encrypted_content") not in issued:
            yield Problem("The encrypted content could not be verified.", where=where, code="invalid_encrypted_content")
        after = listed[number + 1] if number + 1 < len(listed) else {"type": "reasoning"}
        if after["type"] == "reasoning" or speaker(after) != "assistant":
            yield Problem(f"Item of type 'reasoning' was provided without its required following item ({where}).")
