"""The canonical request, written as the body of a Chat Completions request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aigateway_core.dialects.identifiers import legal_tool_name
from aigateway_core.dialects.lost_parts import lost_parts, lost_pictures, lost_tools
from aigateway_core.dialects.openai_chat.message_writer import is_unwritten, write_messages
from aigateway_core.dialects.openai_chat.profile import OpenAIChatProfile
from aigateway_core.dialects.openai_facts import (
    SERVICE_TIERS,
    effort_word,
    function_schema,
    loses_strictness,
    may_be_strict,
    schema_name,
    user_id,
    without,
)
from aigateway_core.jsontext import dumps
from aigateway_core.model import ChatRequest, JsonObject, Reasoning, ResponseFormat, Tool, ToolChoice

_SAME = (
    *("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "n", "logprobs", "top_logprobs"),
    *("logit_bias", "verbosity", "metadata"),
)
"""Fields that have one name and one meaning here and there."""


def write_request(request: ChatRequest, profile: OpenAIChatProfile) -> JsonObject:
    """The body for the upstream; only what ``profile`` has a place for."""
    request = without(request, profile.cannot_express)
    system = list(request.system)
    body: JsonObject = {"model": request.model, "messages": []}
    for name in _SAME:
        if (value := getattr(request, name)) is not None:
            body[name] = dict(value) if isinstance(value, Mapping) else value
    if request.max_tokens is not None:
        body[profile.max_tokens_field] = request.max_tokens
    if request.stop and profile.max_stop:
        body["stop"] = list(request.stop[: profile.max_stop])
    if request.service_tier in SERVICE_TIERS:
        body["service_tier"] = request.service_tier
    if request.user:
        body[profile.user_field] = user_id(request.user, *profile.user_length)
    if request.audio_output is not None:
        body |= {"modalities": ["text", "audio"], "audio": dict(request.audio_output)}
    if request.reasoning is not None and (effort := effort_word(request.reasoning, profile.efforts)) is not None:
        body["reasoning_effort"] = effort
    if request.response_format is not None:
        body["response_format"] = _response_format(request.response_format, profile, system)
    body |= _tools(request, profile)
    body["messages"] = write_messages(system, request.messages, profile)
    if request.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def unwritten(request: ChatRequest, profile: OpenAIChatProfile) -> list[str]:
    """What of this request the body has no place for, besides whole fields that this API or vendor lacks."""
    request = without(request, profile.cannot_express)
    checks = {
        "stop": len(request.stop) > profile.max_stop,
        "tool_choice": request.tool_choice is not None
        and not _keeps_tool_choice(request, request.tool_choice, profile),
        "reasoning": request.reasoning is not None and _loses_effort(request.reasoning, profile),
        "service_tier": request.service_tier is not None and request.service_tier not in SERVICE_TIERS,
    }
    return [
        *lost_tools(request, lambda _: True),
        *(["tools.strict"] if loses_strictness(_sent_tools(request, profile)) else []),
        *(name for name, is_lost in checks.items() if is_lost),
        *lost_pictures(request.messages),
        *lost_parts(request.messages, lambda part: is_unwritten(part, profile)),
    ]


def _keeps_tool_choice(request: ChatRequest, choice: ToolChoice, profile: OpenAIChatProfile) -> bool:
    """Whether the vendor can be told this choice as it was meant."""
    if choice.mode == "none" or choice == ToolChoice("auto"):
        # Where it cannot be said that no tool may be called, none is sent.
        return True
    known = {tool.name for tool in request.tools if isinstance(tool, Tool)}
    return _form(choice, choice.names) in profile.tool_choices and bool(known.intersection(choice.names or known))


def _loses_effort(wish: Reasoning, profile: OpenAIChatProfile) -> bool:
    """Whether the vendor has no word for this much thinking, nor a near one."""
    return effort_word(wish, {}) is not None and effort_word(wish, profile.efforts) is None


def _response_format(wanted: ResponseFormat, profile: OpenAIChatProfile, system: list[str]) -> JsonObject:
    if wanted.kind == "json_object":
        return {"type": "json_object"}
    if not profile.json_schema:
        schema = dumps(dict(wanted.schema or {})).decode()
        system.append(f"Answer with one JSON object that fits this JSON Schema, and with nothing else:\n{schema}")
        return {"type": "json_object"}
    schema_of: JsonObject = {"name": schema_name(wanted)}
    if wanted.description is not None:
        schema_of["description"] = wanted.description
    if wanted.schema is not None:
        schema_of["schema"] = dict(wanted.schema)
    if wanted.strict is not None:
        schema_of["strict"] = wanted.strict
    return {"type": "json_schema", "json_schema": schema_of}


def _tools(request: ChatRequest, profile: OpenAIChatProfile) -> JsonObject:
    """``tools``, ``tool_choice`` and ``parallel_tool_calls``: the last two are refused where there are no tools.

    A choice that the vendor cannot be told narrows the tools instead: what it forbade is not offered.
    """
    tools = [tool for tool in request.tools if isinstance(tool, Tool)]
    choice = request.tool_choice
    chosen: Any = None
    if choice is not None:
        names = tuple(name for name in choice.names if any(tool.name == name for tool in tools))
        form = _form(choice, names)
        if form not in profile.tool_choices:
            tools = [tool for tool in tools if choice.mode != "none" and (not names or tool.name in names)]
        if not choice.names or names or choice.mode == "none":
            chosen = _tool_choice(choice, names, profile)
    if not tools:
        return {}
    body: JsonObject = {"tools": [_tool(tool) for tool in tools]}
    if chosen is not None:
        body["tool_choice"] = chosen
    if request.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = request.parallel_tool_calls
    return body


def _sent_tools(request: ChatRequest, profile: OpenAIChatProfile) -> list[Tool]:
    """The functions that are left of the tools."""
    names = {tool["function"]["name"] for tool in _tools(request, profile).get("tools", ())}
    return [tool for tool in request.tools if isinstance(tool, Tool) and legal_tool_name(tool.name) in names]


def _form(choice: ToolChoice, names: tuple[str, ...]) -> str:
    if not names or choice.mode == "none":
        return choice.mode
    return "named" if choice.mode == "required" and len(names) == 1 else "allowed_tools"


def _tool_choice(choice: ToolChoice, names: tuple[str, ...], profile: OpenAIChatProfile) -> Any:
    form = _form(choice, names)
    functions = [{"type": "function", "function": {"name": legal_tool_name(name)}} for name in names]
    if form not in profile.tool_choices:
        return next((mode for mode in (choice.mode, "auto") if mode in profile.tool_choices), None)
    if form == "named":
        return functions[0]
    if form == "allowed_tools":
        return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": functions}}
    return choice.mode


def _tool(tool: Tool) -> JsonObject:
    function: JsonObject = {"name": legal_tool_name(tool.name)}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = function_schema(tool.parameters)
    if tool.strict is not None:
        function["strict"] = may_be_strict(tool)
    return {"type": "function", "function": function}
