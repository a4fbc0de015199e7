"""What Gemini's ``generateContent`` refuses, after its documentation and the types of Google's SDK."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from e2e.fakes import gemini_turns
from e2e.fakes.gemini_turns import Signatures
from e2e.fakes.sdk_types import ModelType
from e2e.fakes.vendor import JsonObject, Problem
from google.genai import types

_FIELDS = {
    *("contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings"),
    *("cachedContent", "labels", "store", "serviceTier"),
}
_TYPES = {
    "systemInstruction": ModelType(types.Content),
    "tools": ModelType(list[types.Tool]),
    "toolConfig": ModelType(types.ToolConfig),
    "generationConfig": ModelType(types.GenerationConfig),
    "safetySettings": ModelType(list[types.SafetySetting]),
}
# Of the SDK's type, what only Google's other platform takes.
_ELSEWHERE = {"audioTimestamp", "routingConfig", "modelSelectionConfig", "labels"}
_FUNCTION = {"name", "description", "behavior", "parameters", "parametersJsonSchema", "response", "responseJsonSchema"}
# The classic schema message, as the API's reference lists it: $ref, $defs, additionalProperties are not in it.
_SCHEMA = {
    *("type", "format", "title", "description", "nullable", "enum", "maxItems", "minItems", "properties", "required"),
    *("minProperties", "maxProperties", "minLength", "maxLength", "pattern", "example", "anyOf", "propertyOrdering"),
    *("default", "items", "minimum", "maximum"),
}
_KINDS = {"string", "number", "integer", "boolean", "array", "object", "null"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}")
_MODEL = re.compile(r"gemini-(\d+)(?:\.\d+)?-")
_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "topP": (0, 1),
    "topK": (1, 1000),
    "maxOutputTokens": (1, 65_536),
    "candidateCount": (1, 8),
    "presencePenalty": (-2, 2),
    "frequencyPenalty": (-2, 2),
    "seed": (-(2**31), 2**31 - 1),
}
_SNAKE = re.compile(r"_([a-z])")
_DATA = {
    *("args", "response", "parametersJsonSchema", "responseJsonSchema", "properties", "default", "example", "labels"),
    "partMetadata",
}
_LEVELS = ("minimal", "low", "medium", "high")
_MIME = ("text/plain", "application/json", "text/x.enum")


def plain(node: Any) -> Any:
    """The body with its names in camel case, which may come in snake case as well; data and names of users stay."""
    if isinstance(node, list):
        return [plain(one) for one in node]
    if not isinstance(node, dict):
        return node
    named = {_SNAKE.sub(lambda found: found[1].upper(), name): value for name, value in node.items()}
    return {name: value if name in _DATA else plain(value) for name, value in named.items()}


def signs(model: str) -> bool:
    """Whether the model signs its calls, and wants the signatures back: all do since the third generation."""
    return _generation(model) >= 3


def thinks(model: str, config: JsonObject) -> bool:
    """Whether it thinks before it answers: the newer ones always, 2.5 unless its budget is 0."""
    if signs(model):
        return True
    return model.startswith("gemini-2.5") and config.get("thinkingConfig", {}).get("thinkingBudget") != 0


def problems(body: JsonObject, model: str, signatures: Signatures) -> Iterator[Problem]:
    """Everything that is wrong with ``body``."""
    for name in body.keys() - _FIELDS:
        yield Problem(f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.', where=name)
    typed = [problem for name, kind in _TYPES.items() if name in body for problem in kind.problems(body[name], name)]
    yield from typed
    yield from gemini_turns.problems(body.get("contents"), signed=signs(model), signatures=signatures)
    if typed:
        return
    for rule in (system_problems, tools_problems, _schemas, choice_problems):
        yield from rule(body)
    yield from config_problems(body, model)
    yield from _thinking(body, model)


def count_problems(body: JsonObject, model: str, signatures: Signatures) -> Iterator[Problem]:
    """The same of a request to count: either contents alone, or a whole request, which names its model."""
    if body.keys() == {"contents"}:
        yield from problems(body, model, signatures)
    elif body.keys() == {"generateContentRequest"} and isinstance(body["generateContentRequest"], dict):
        asked = dict(body["generateContentRequest"])
        if asked.pop("model", None) != f"models/{model}":
            yield Problem("generate_content_request.model must be the model of the path", where="model")
        yield from problems(asked, model, signatures)
    else:
        yield Problem("contents and generateContentRequest exclude each other, and nothing else is known")


def _generation(model: str) -> int:
    found = _MODEL.match(model)
    return int(found[1]) if found else 4


def system_problems(body: JsonObject) -> Iterator[Problem]:
    """What is wrong with the system instruction."""
    for part in body.get("systemInstruction", {"parts": [{"text": "x"}]}).get("parts") or [{}]:
        if part.keys() != {"text"} or not part["text"]:
            yield Problem("system_instruction holds text, and no empty one", where="systemInstruction")


def functions(body: JsonObject) -> list[JsonObject]:
    """The functions that are declared."""
    return [one for tool in body.get("tools", []) for one in tool.get("functionDeclarations") or ()]


def tools_problems(body: JsonObject) -> Iterator[Problem]:
    """What is wrong with the tools as a whole."""
    tools, declared = body.get("tools", []), functions(body)
    names = [function.get("name") for function in declared]
    if len(set(names)) < len(names):
        yield Problem(f"Duplicate function declaration found: {names}", where="tools")
    if declared and any("functionDeclarations" not in tool for tool in tools):
        yield Problem("Tool use with function calling is unsupported beside Google's own tools.", where="tools")
    for tool in tools:
        if not tool or not all(isinstance(value, dict) or value for value in tool.values()):
            yield Problem("A tool must declare something", where="tools")


def _schemas(body: JsonObject) -> Iterator[Problem]:
    for number, function in enumerate(functions(body)):
        yield from _function(function, f"tools[0].function_declarations[{number}]")
    config = body.get("generationConfig", {})
    if "responseSchema" in config:
        yield from _classic(config["responseSchema"], "generationConfig.responseSchema")


def _function(function: JsonObject, where: str) -> Iterator[Problem]:
    for name in function.keys() - _FUNCTION:
        yield Problem(f'Unknown name "{name}": Cannot find field.', where=where)
    if not _NAME.fullmatch(function.get("name") or ""):
        yield Problem(f"Invalid function name: {function.get('name')!r}", where=where)
    if "parameters" in function and "parametersJsonSchema" in function:
        yield Problem("parameters and parameters_json_schema exclude each other", where=where)
    if "parameters" in function:
        yield from _classic(function["parameters"], f"{where}.parameters")
    if "parametersJsonSchema" in function and function["parametersJsonSchema"].get("type") != "object":
        yield Problem("The schema of parameters must be one of an object", where=f"{where}.parameters_json_schema")


def _classic(schema: Any, where: str) -> Iterator[Problem]:
    if not isinstance(schema, dict):
        yield Problem("A schema is an object", where=where)
        return
    for name in schema.keys() - _SCHEMA:
        yield Problem(f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.', where=where)
    kind = schema.get("type")
    if kind is not None and str(kind).lower() not in _KINDS:
        yield Problem(f"Invalid value at type: {kind!r}", where=where)
    if str(kind).lower() == "array" and "items" not in schema:
        yield Problem("items: missing field.", where=where)
    if "enum" in schema and str(kind).lower() != "string":
        yield Problem("enum: only allowed for STRING type", where=where)
    if set(schema.get("required", ())) - schema.get("properties", {}).keys():
        yield Problem("required: property is not defined", where=where)
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", ())]
    for one in [*inner, *([schema["items"]] if "items" in schema else [])]:
        yield from _classic(one, f"{where}.schema")


def choice_problems(body: JsonObject) -> Iterator[Problem]:
    """What is wrong with the choice of functions."""
    calling = body.get("toolConfig", {}).get("functionCallingConfig")
    if calling is None:
        return
    declared = {one["name"] for one in functions(body)}
    mode, allowed = calling.get("mode", "AUTO"), calling.get("allowedFunctionNames")
    if mode not in ("AUTO", "ANY", "NONE", "VALIDATED"):
        yield Problem(f"Invalid value at function_calling_config.mode: {mode!r}", where="toolConfig")
    if not declared:
        yield Problem("Function calling config is set without function_declarations.", where="toolConfig")
    if allowed is not None and (mode not in ("ANY", "VALIDATED") or not allowed or set(allowed) - declared):
        yield Problem("allowed_function_names needs mode ANY and declared names", where="toolConfig")


def config_problems(body: JsonObject, model: str) -> Iterator[Problem]:
    """What is wrong with the configuration, but for its schema and the thinking."""
    config = body.get("generationConfig", {})
    for name in config.keys() & _ELSEWHERE:
        yield Problem(f'Unknown name "{name}": Cannot find field.', where="generationConfig")
    for name, (least, most) in _RANGES.items():
        if name in config and not least <= config[name] <= most:
            yield Problem(f"{name} must be in the range [{least}, {most}]", where=f"generationConfig.{name}")
    if len(config.get("stopSequences", ())) > 5 or "" in config.get("stopSequences", ()):
        yield Problem("stop_sequences: at most five, and none empty", where="generationConfig.stopSequences")
    yield from _json(config, declares="tools" in body, model=model)


def _json(config: JsonObject, *, declares: bool, model: str) -> Iterator[Problem]:
    kind = config.get("responseMimeType", "text/plain")
    schemas = config.keys() & {"responseSchema", "responseJsonSchema"}
    if kind not in _MIME:
        yield Problem(f"response_mime_type: {kind!r} is not supported", where="generationConfig")
    if len(schemas) == 2 or (schemas and kind == "text/plain"):
        yield Problem("A response schema needs response_mime_type, and excludes the other", where="generationConfig")
    if kind == "application/json" and declares and not signs(model):
        yield Problem("Function calling with a response mime type: 'application/json' is unsupported")


def _thinking(body: JsonObject, model: str) -> Iterator[Problem]:
    thinking = body.get("generationConfig", {}).get("thinkingConfig")
    if thinking is None:
        return
    level, budget = thinking.get("thinkingLevel"), thinking.get("thinkingBudget")
    if level is not None and budget is not None:
        yield Problem("You can only set only one of thinking budget and thinking level.", where="thinkingConfig")
    if level is not None and (not signs(model) or str(level).lower() not in _LEVELS):
        yield Problem(f"Thinking level {level} is not supported for this model.", where="thinkingConfig")
    if budget is not None and not -1 <= budget <= 32_768:
        yield Problem(f"The thinking budget {budget} is invalid.", where="thinkingConfig")
    if not thinks(model, {}):
        yield Problem("Unable to submit request because thinking is not supported by this model.")
