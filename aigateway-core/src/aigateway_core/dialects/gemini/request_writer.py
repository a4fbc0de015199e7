"""A canonical request into a body for an upstream of this API, and what of it that body cannot hold."""

from __future__ import annotations

from typing import Any

from aigateway_core.dialects.dialect import Loss
from aigateway_core.dialects.gemini.classic_schema import classic_schema
from aigateway_core.dialects.gemini.content_writer import (
    ends_with_the_model,
    is_unwritten,
    signs_nothing,
    unseen,
    write_contents,
)
from aigateway_core.dialects.gemini.profile import GeminiProfile, ModelRule
from aigateway_core.dialects.gemini.reasoning import write_reasoning
from aigateway_core.dialects.gemini.results import texts
from aigateway_core.dialects.gemini.tools import HOSTED, write_tool_choice, write_tools
from aigateway_core.dialects.lost_parts import lost_hints, lost_last_words, lost_parts, lost_tools
from aigateway_core.model import ChatRequest, JsonObject, Reasoning, ResponseFormat, Tool, ToolChoice

_NO_FIELD = "no such field: ai.google.dev, API reference, generateContent and GenerationConfig"

CANNOT_EXPRESS: dict[str, Loss] = {
    "parallel_tool_calls": Loss("dropped", "parallel calls cannot be switched off: translation table, section 1"),
    "logit_bias": Loss("dropped", _NO_FIELD),
    "verbosity": Loss("dropped", _NO_FIELD),
    "user": Loss("dropped", _NO_FIELD),
    "metadata": Loss("dropped", _NO_FIELD),
    "service_tier": Loss("dropped", "other vendors' words: translation table, section 1"),
    "n": Loss("refused", "ChatResponse holds one answer; several reach the client on the native path alone (case 135)"),
    "logprobs": Loss(
        "refused", "ChatResponse has no place for log probabilities; they reach the client on the native path alone"
    ),
    "top_logprobs": Loss("refused", "as logprobs, without which it has no meaning"),
    "audio_output": Loss(
        "refused", "ChatResponse has no place for sound; it reaches the client on the native path alone"
    ),
}

_SAMPLING = {
    "max_tokens": "maxOutputTokens",
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}


def write_request(request: ChatRequest, profile: GeminiProfile) -> JsonObject:
    """The body, without the model's name, which stands in the URL together with whether to stream."""
    rule = profile.rule(request.model)
    fields: dict[str, Any] = {
        "contents": write_contents(request.messages, rule, profile),
        "systemInstruction": _system(request, profile),
        "tools": write_tools(request, profile),
        "toolConfig": write_tool_choice(request),
        "generationConfig": _generation_config(request, profile),
    }
    return {name: value for name, value in fields.items() if value}


def unwritten(request: ChatRequest, profile: GeminiProfile) -> list[str]:
    """Names of what is left out of this request because of its values or its model, beyond :data:`CANNOT_EXPRESS`."""
    lost = lost_tools(request, lambda tool: tool.type not in HOSTED)
    if len(_stop(request)) > profile.max_stop:
        lost.append("stop")
    if request.reasoning is not None and _loses_thinking(request.reasoning, profile.rule(request.model)):
        lost.append("reasoning")
    if request.tool_choice not in (None, ToolChoice("auto"), ToolChoice("none")) and write_tool_choice(request) is None:
        lost.append("tool_choice")
    if any(isinstance(tool, Tool) and tool.strict for tool in request.tools):
        lost.append("tools.strict")
    if ends_with_the_model(request.messages, profile):
        lost.append("messages.prefill")
    return [
        *lost,
        *lost_parts(request.messages, lambda part: is_unwritten(part, profile.origin)),
        *(["messages.thinking"] if signs_nothing(request.messages) else []),
        *lost_last_words(request.messages, unseen(profile)),
        *lost_hints(request.messages, detail=True),
        *lost_hints((turn for turn in request.messages if turn.role == "tool"), title=True),
    ]


def _loses_thinking(wish: Reasoning, rule: ModelRule) -> bool:
    """Whether the client said how much to think, and the model cannot be told."""
    return rule.thinking == "none" and (wish.effort or wish.budget) not in (None, "none")


def unkept(request: ChatRequest, profile: GeminiProfile) -> list[str]:
    """Names of what changes the answer, and what this model cannot be asked for beside the rest of the request."""
    declared = any(isinstance(tool, Tool) for tool in request.tools)
    kept = profile.rule(request.model).json_with_tools or not declared or request.response_format is None
    return [] if kept else ["response_format"]


def _system(request: ChatRequest, profile: GeminiProfile) -> JsonObject | None:
    """Each text as a part; those from the midst of the conversation too, where the profile says so."""
    said = [text for text in request.system if text]
    if profile.late_system == "instruction":
        said += (text for message in request.messages if message.role == "system" for text in texts(message.parts))
    return {"parts": [{"text": text} for text in said]} if said else None


def _stop(request: ChatRequest) -> list[str]:
    return [text for text in request.stop if text]


def _int32(seed: int) -> int:
    """The seed in 32 bits, which is all that the field has; the same one for the same."""
    return (seed + 2**31) % 2**32 - 2**31


def _generation_config(request: ChatRequest, profile: GeminiProfile) -> JsonObject:
    config: JsonObject = {
        name: value for own, name in _SAMPLING.items() if (value := getattr(request, own)) is not None
    }
    if request.seed is not None:
        config["seed"] = _int32(request.seed)
    if stop := _stop(request)[: profile.max_stop]:
        config["stopSequences"] = stop
    if (thinking := write_reasoning(request.reasoning, profile.rule(request.model))) is not None:
        config["thinkingConfig"] = thinking
    if request.response_format is not None:
        config |= _response_format(request.response_format, profile)
    return config


def _response_format(wanted: ResponseFormat, profile: GeminiProfile) -> JsonObject:
    config: JsonObject = {"responseMimeType": "application/json"}
    if wanted.schema is None:
        return config
    schema = dict(wanted.schema)
    if profile.json_schemas:
        config["responseJsonSchema"] = schema
    else:
        config["responseSchema"] = classic_schema(schema, profile.schema_keywords)
    return config
