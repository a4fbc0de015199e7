"""What OpenAI's Chat Completions endpoint refuses, after its documentation and the official SDK's request types."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from typing import Any

from e2e.fakes import chat_rules
from e2e.fakes.chat_rules import NAME
from e2e.fakes.sdk_types import RequestType
from e2e.fakes.vendor import JsonObject, Problem
from openai.types.chat import completion_create_params

_WHOLE = RequestType(completion_create_params.CompletionCreateParamsNonStreaming)
_STREAMED = RequestType(completion_create_params.CompletionCreateParamsStreaming)
_FIELDS = frozenset(completion_create_params.CompletionCreateParamsBase.__annotations__) | {"stream"}

_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "top_logprobs": (0, 20),
    "n": (1, 128),
    "max_tokens": (1, 128_000),
    "max_completion_tokens": (1, 128_000),
}


def reasons(model: str) -> bool:
    """Whether the model is one that thinks before it answers: those take other parameters."""
    return model.startswith(("o1", "o3", "o4", "gpt-5"))


def problems(body: JsonObject, *, reasoning_content: bool) -> Iterator[Problem]:
    """Everything that is wrong with ``body``; what the types refuse keeps the rules from being asked.

    With ``reasoning_content`` it is judged as a compatible server does, which takes thinking back on an assistant's
    messages and has no models of OpenAI's.
    """
    unknown = [name for name in body if name not in _FIELDS]
    for name in unknown:
        yield Problem(f"Unrecognized request argument supplied: {name}")
    known = {name: value for name, value in body.items() if name in _FIELDS}
    # The vendor's own examples send an answer's message back as the SDK holds it: with the annotations that no type
    # mentions, and with null for the calls that there were not.
    echoed = {"annotations", "reasoning_content"} if reasoning_content else {"annotations"}
    typed = list((_STREAMED if body.get("stream") is True else _WHOLE).problems(_without(known, echoed)))
    yield from typed
    if not typed:
        for rule in (_messages, _limits, _combinations, _tools, _response_format, _texts):
            yield from rule(body)
        if not reasoning_content:
            yield from _for_reasoning(body)


def _without(body: JsonObject, keys: Set[str]) -> JsonObject:
    """Without these keys of the assistant's messages, and without calls that are null."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        return body
    return {**body, "messages": [_stripped(one, keys) if isinstance(one, dict) else one for one in messages]}


def _stripped(message: JsonObject, keys: Set[str]) -> JsonObject:
    if message.get("role") != "assistant":
        return message
    return {key: value for key, value in message.items() if key not in keys and (key, value) != ("tool_calls", None)}


def _messages(body: JsonObject) -> Iterator[Problem]:
    messages = body["messages"]
    if not messages:
        yield Problem(
            "Invalid 'messages': empty array. Expected an array with minimum length 1.",
            where="messages",
            code="empty_array",
        )
    yield from chat_rules.content(messages)
    yield from chat_rules.tool_calls(messages)
    yield from chat_rules.pairing(messages)


def _limits(body: JsonObject) -> Iterator[Problem]:
    for name, (least, most) in _RANGES.items():
        value = body.get(name)
        if value is not None and not least <= value <= most:
            yield Problem(
                f"Invalid '{name}': {value} is not between {least} and {most}.",
                where=name,
                code="invalid_value",
            )
    stop = body.get("stop")
    if stop is not None and not 1 <= len([stop] if isinstance(stop, str) else stop) <= 4:
        yield Problem(
            "Invalid 'stop': array too long or empty. Expected 1 to 4 strings.",
            where="stop",
            code="array_above_max_length",
        )
    for value in (body.get("logit_bias") or {}).values():
        if not -100 <= value <= 100:
            yield Problem("Invalid 'logit_bias'.", where="logit_bias", code="invalid_value")


def _combinations(body: JsonObject) -> Iterator[Problem]:
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        yield Problem(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            where="max_tokens",
        )
    if body.get("stream_options") is not None and not body.get("stream"):
        yield Problem(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.", where="stream_options"
        )
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        yield Problem("'top_logprobs' requires 'logprobs' to be true.", where="top_logprobs")
    if "web_search_options" in body and "search" not in body["model"]:
        yield Problem("Web search options not supported with this model.", where="web_search_options")


def _tools(body: JsonObject) -> Iterator[Problem]:
    tools = body.get("tools")
    if tools is None:
        for name in ("tool_choice", "parallel_tool_calls"):
            if name in body:
                yield Problem(
                    f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified.",
                    where=name,
                )
        return
    if not tools:
        yield Problem(
            "Invalid 'tools': empty array. Expected an array with minimum length 1.",
            where="tools",
            code="empty_array",
        )
    if len(tools) > 128:
        yield Problem(
            "Invalid 'tools': array too long. Expected an array with maximum length 128.",
            where="tools",
            code="array_above_max_length",
        )
    functions = [tool["function"] for tool in tools if tool["type"] == "function"]
    for number, function in enumerate(functions):
        yield from _function(function, f"tools[{number}].function")
    yield from _choice(body.get("tool_choice"), {function["name"] for function in functions})


def _function(function: JsonObject, where: str) -> Iterator[Problem]:
    if not NAME.fullmatch(function["name"]):
        yield Problem(
            f"Invalid '{where}.name': string does not match pattern.",
            where=f"{where}.name",
            code="invalid_value",
        )
    parameters = function.get("parameters")
    if parameters is None:
        return
    if parameters.get("type") != "object":
        message = (
            f"Invalid schema for function '{function['name']}': schema must be a JSON Schema of 'type: \"object\"'."
        )
        yield Problem(message, where=f"{where}.parameters", code="invalid_function_parameters")
    yield from chat_rules.schema(parameters, f"{where}.parameters")
    if function.get("strict"):
        yield from strict_schema(parameters, f"{where}.parameters")


def strict_schema(schema: Any, where: str) -> Iterator[Problem]:
    """What a schema lacks that its answers are to keep to the letter."""
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return
    if schema.get("additionalProperties") is not False:
        yield Problem("Invalid schema: 'additionalProperties' is required to be supplied and to be false.", where=where)
    if set(schema.get("required", ())) != set(properties):
        yield Problem("Invalid schema: 'required' must include every key in properties.", where=where)
    for name, child in properties.items():
        yield from strict_schema(child, f"{where}.{name}")


def _choice(choice: Any, names: set[str]) -> Iterator[Problem]:
    if isinstance(choice, dict) and choice["type"] == "function" and choice["function"]["name"] not in names:
        message = f"Invalid value for 'tool_choice': tool '{choice['function']['name']}' is not in 'tools'."
        yield Problem(message, where="tool_choice", code="invalid_value")


def _for_reasoning(body: JsonObject) -> Iterator[Problem]:
    if re.search(r"codex|-pro|-deep-research", body["model"]):
        yield Problem("This model is only supported in v1/responses and not in v1/chat/completions.", where="model")
    if re.match(r"gpt-5\.[4-9]", body["model"]) and body.get("tools") and body.get("reasoning_effort") != "none":
        message = f"Function tools with reasoning_effort are not supported for {body['model']} in /v1/chat/completions."
        yield Problem(f"{message} To use function tools, use /v1/responses.", where="reasoning_effort")
    if not reasons(body["model"]):
        if body.get("reasoning_effort") is not None:
            yield Problem("Unrecognized request argument supplied: reasoning_effort", where="reasoning_effort")
        return
    if body.get("max_tokens") is not None:
        message = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        )
        yield Problem(message, where="max_tokens", code="unsupported_parameter")
    for name, default in (("temperature", 1), ("top_p", 1), ("presence_penalty", 0), ("frequency_penalty", 0)):
        if body.get(name) not in (None, default):
            message = f"Unsupported value: '{name}' does not support {body[name]} with this model, only {default}."
            yield Problem(message, where=name, code="unsupported_value")
    if body.get("stop") is not None:
        yield Problem(
            "Unsupported parameter: 'stop' is not supported with this model.",
            where="stop",
            code="unsupported_parameter",
        )


def _response_format(body: JsonObject) -> Iterator[Problem]:
    form = body.get("response_format")
    if form is None or form["type"] != "json_schema":
        return
    wanted = form["json_schema"]
    if not NAME.fullmatch(wanted["name"]):
        yield Problem(
            "Invalid 'response_format.json_schema.name': string does not match pattern.",
            where="response_format",
            code="invalid_value",
        )
    if wanted.get("strict"):
        yield from strict_schema(wanted.get("schema") or {}, "response_format.json_schema.schema")


def _texts(body: JsonObject) -> Iterator[Problem]:
    metadata = body.get("metadata") or {}
    if len(metadata) > 16 or any(len(key) > 64 or len(value) > 512 for key, value in metadata.items()):
        yield Problem(
            "Invalid 'metadata': at most 16 pairs, keys up to 64 and values up to 512 characters.",
            where="metadata",
        )
    if len(body.get("safety_identifier") or "") > 128:
        yield Problem(
            "Invalid 'safety_identifier': string too long.",
            where="safety_identifier",
            code="string_above_max_length",
        )
