"""What Cloud Code refuses: in its envelope, in the request inside it, and by whose model it is for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set

from e2e.fakes import cloud_code_claude, cloud_code_models, gemini_rules, gemini_turns
from e2e.fakes.cloud_code_accounts import project_problems
from e2e.fakes.cloud_code_claude import ClaudeSignatures
from e2e.fakes.cloud_code_models import CloudModel
from e2e.fakes.cloud_code_schemas import response_problems, tool_problems, unknown
from e2e.fakes.gemini_turns import Signatures
from e2e.fakes.sdk_types import ModelType
from e2e.fakes.vendor import JsonObject, Problem
from google.genai import types

_OUTER = {"project", "model", "request", "userAgent", "requestType", "requestId", "enabledCreditTypes"}
_INNER = {
    *("contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "sessionId", "safetySettings"),
    *("cachedContent", "labels"),
}
_TYPES = {
    "systemInstruction": ModelType(types.Content),
    "toolConfig": ModelType(types.ToolConfig),
    "safetySettings": ModelType(list[types.SafetySetting]),
}
_CONFIG = ModelType(types.GenerationConfig)
_DRAWING = ModelType(types.ImageConfig)
_TOOL = {"functionDeclarations", "googleSearch", "codeExecution", "urlContext"}
_FUNCTION = {"name", "description", "behavior", "parameters"}
_SEARCH = {"enhancedContent", "includedDomains", "excludeDomains", "timeRangeFilter"}
_NAMES = {
    "gemini": re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}"),
    "claude": re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}"),
}
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_IDS = {"agent": re.compile(rf"agent-{_UUID}"), "image_gen": re.compile(rf"image_gen/\d{{13}}/{_UUID}/\d+")}


class CloudCodeRules:
    """The rules, and what of earlier requests and answers they are about."""

    def __init__(self) -> None:
        self.signatures = Signatures()
        self.claude = ClaudeSignatures()
        self._ids: set[str] = set()

    def problems(self, body: JsonObject, project: str | None, scripted: Set[str]) -> Iterator[Problem]:
        """Everything that is wrong with ``body`` for an account with this ``project``."""
        body = gemini_rules.plain(body)
        yield from (unknown(name, "") for name in sorted(body.keys() - _OUTER))
        yield from project_problems(body.get("project"), project)
        name = body.get("model")
        if not isinstance(name, str) or (cloud_code_models.known(name) is None and name not in scripted):
            yield Problem("Requested entity was not found.", where=f"model {name!r}", status=404)
            return
        model = cloud_code_models.model(name)
        yield from self._envelope(body, model)
        inner = body.get("request")
        if not isinstance(inner, dict):
            yield Problem("Request contains an invalid argument: request is not specified.", where="request")
            return
        yield from _session(inner, body.get("requestType"))
        yield from self._inner(inner, name, model, body.get("requestType"))

    def count_problems(self, body: JsonObject) -> Iterator[Problem]:
        """The same of a request to count."""
        body = gemini_rules.plain(body)
        yield from (unknown(name, "") for name in sorted(body.keys() - _OUTER))
        inner = body.get("request") or {}
        yield from (unknown(name, "request") for name in sorted(inner.keys() - _INNER - {"model"}))
        yield from gemini_turns.shape_problems(inner.get("contents"))
        if any(part.get("thought") for content in inner.get("contents", ()) for part in content["parts"]):
            yield Problem("Thoughts cannot be counted.", where="request.contents")

    def _envelope(self, body: JsonObject, model: CloudModel) -> Iterator[Problem]:
        kind, identity = body.get("requestType"), body.get("requestId")
        if body.get("userAgent") != "antigravity":
            yield Problem("user_agent is not that of this API", where="userAgent")
        if kind not in ("agent", "image_gen", "web_search") or model.draws != (kind == "image_gen"):
            yield Problem(f"request_type {kind!r} does not fit the model", where="requestType")
            return
        if kind == "web_search" and not model.searches:
            yield Problem("This model does not search.", where="model")
        if (kind == "web_search") != (identity is None):
            yield Problem("Only a search has no request_id", where="requestId")
        elif identity is not None and not (isinstance(identity, str) and _IDS[kind].fullmatch(identity)):
            yield Problem(f"request_id {identity!r} is of no known form", where="requestId")
        elif identity in self._ids:
            yield Problem("request_id was there before", where="requestId")
        self._ids.add(str(identity))

    def _inner(self, inner: JsonObject, name: str, model: CloudModel, kind: object) -> Iterator[Problem]:
        yield from (unknown(field, "request") for field in sorted(inner.keys() - _INNER))
        shape = [*_typed(inner), *_declarations(inner.get("tools", []), model, kind)]
        yield from shape
        turns = inner.get("contents")
        if model.family == "gemini":
            turns = _with_an_opening(turns)
        flawed = list(gemini_turns.shape_problems(turns))
        yield from flawed
        if shape or flawed or not isinstance(turns, list):
            return
        inner = {**inner, "contents": turns}
        for rule in (gemini_rules.system_problems, gemini_rules.tools_problems, gemini_rules.choice_problems):
            yield from rule(inner)
        yield from gemini_rules.config_problems(inner, name)
        yield from _thinking(inner, model)
        yield from self._family(inner, name, model)
        if model.draws:
            yield from _drawing(inner)

    def _family(self, inner: JsonObject, name: str, model: CloudModel) -> Iterator[Problem]:
        config = inner.get("generationConfig", {})
        if model.family == "claude":
            yield from cloud_code_claude.problems(inner, name, self.claude)
            mode = inner.get("toolConfig", {}).get("functionCallingConfig", {}).get("mode")
            if gemini_rules.functions(inner) and mode != "VALIDATED":
                yield Problem(f"This model's calls are to be VALIDATED, not {mode}", where="toolConfig")
            return
        if config.get("maxOutputTokens", 1) > model.most_output:
            yield Problem(f"max_output_tokens: at most {model.most_output}", where="generationConfig")
        signed = model.family == "gemini" and gemini_rules.signs(name)
        yield from gemini_turns.problems(inner["contents"], signed=signed, signatures=self.signatures)


def _session(inner: JsonObject, kind: object) -> Iterator[Problem]:
    session = inner.get("sessionId")
    if kind == "agent":
        if not isinstance(session, str) or not session:
            yield Problem("session_id is a text, and always there", where="request.sessionId")
    elif session is not None:
        yield Problem(f"A {kind} has no session_id", where="request.sessionId")


def _with_an_opening(contents: object) -> object:
    """A conversation with a Gemini that began by itself is opened by an empty text, which stands there alone."""
    if isinstance(contents, list) and contents[:1] == [{"role": "user", "parts": [{"text": ""}]}]:
        return [{"role": "user", "parts": [{"text": "…"}]}, *contents[1:]]
    return contents


def _typed(inner: JsonObject) -> Iterator[Problem]:
    for name, kind in _TYPES.items():
        if name in inner:
            yield from kind.problems(inner[name], f"request.{name}")
    config = dict(inner.get("generationConfig", {}))
    if "responseSchema" in config:
        yield from response_problems(config.pop("responseSchema"), "request.generation_config.response_schema")
        config["responseJsonSchema"] = {}
    elif "responseJsonSchema" in config:
        yield unknown("responseJsonSchema", "request.generation_config")
    thinking = config.get("thinkingConfig")
    if isinstance(thinking, dict) and isinstance(thinking.get("thinkingLevel"), str):
        # The programs write it small, the type of the SDK knows it great.
        config["thinkingConfig"] = {**thinking, "thinkingLevel": thinking["thinkingLevel"].upper()}
    drawing = config.pop("imageConfig", {})
    yield from _DRAWING.problems(drawing, "request.generation_config.image_config")
    yield from _CONFIG.problems(config, "request.generation_config")


def _declarations(tools: object, model: CloudModel, kind: object) -> Iterator[Problem]:
    if not isinstance(tools, list):
        yield Problem("Invalid value at 'request.tools' (Tool)", where="request.tools")
        return
    if sum("functionDeclarations" in tool for tool in tools) > 1:
        yield Problem("Multiple tools are supported only when they are all search tools.", where="request.tools")
    if kind == "web_search" and [list(tool) for tool in tools] != [["googleSearch"]]:
        yield Problem("A web_search has one tool, which searches", where="request.tools")
    for number, tool in enumerate(tools):
        where = f"request.tools[{number}]"
        yield from (unknown(name, where) for name in sorted(tool.keys() - _TOOL))
        yield from (unknown(name, f"{where}.google_search") for name in tool.get("googleSearch", {}).keys() - _SEARCH)
        for position, function in enumerate(tool.get("functionDeclarations", ())):
            yield from _function(function, f"{where}.function_declarations[{position}]", model)


def _function(function: JsonObject, where: str, model: CloudModel) -> Iterator[Problem]:
    yield from (unknown(name, where) for name in sorted(function.keys() - _FUNCTION))
    pattern = _NAMES.get(model.family, _NAMES["claude"])
    if not isinstance(function.get("name"), str) or not pattern.fullmatch(function["name"]):
        yield Problem(f"Invalid function name: {function.get('name')!r}", where=where)
    if not isinstance(function.get("description", ""), str):
        yield Problem(f"Invalid value at '{where}.description' (TYPE_STRING)", where=where)
    if model.family == "claude" and "parameters" not in function:
        yield cloud_code_claude.refused("tools.0.custom.input_schema: Field required")
    if "parameters" in function:
        validated = model.family == "claude"
        yield from tool_problems(function["parameters"], f"{where}.parameters", validated=validated)


def _thinking(inner: JsonObject, model: CloudModel) -> Iterator[Problem]:
    thinking = inner.get("generationConfig", {}).get("thinkingConfig")
    if thinking is None:
        return
    level, budget = thinking.get("thinkingLevel"), thinking.get("thinkingBudget")
    if model.budgets is None:
        yield Problem("Unable to submit request because thinking is not supported by this model.")
        return
    if level is not None and budget is not None:
        yield Problem("You can only set only one of thinking budget and thinking level.", where="thinkingConfig")
    if level is not None and model.levels and str(level).lower() not in model.levels:
        yield Problem(f"Thinking level {level} is not supported for this model.", where="thinkingConfig")
    least, most = model.budgets
    if model.family == "gemini" and budget not in (None, -1) and not least <= budget <= most:
        yield Problem(f"The thinking budget {budget} is invalid.", where="thinkingConfig")


def _drawing(inner: JsonObject) -> Iterator[Problem]:
    for name in inner.keys() & {"tools", "toolConfig", "systemInstruction"}:
        yield Problem(f"{name} is not supported by a model that draws", where=f"request.{name}")
    if "thinkingConfig" in inner.get("generationConfig", {}):
        yield Problem("Thinking is not supported by a model that draws", where="request.generation_config")
