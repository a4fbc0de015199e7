"""The canonical request, written as the body of a Responses request."""

from __future__ import annotations

from typing import Any

from aigateway_core.dialects.lost_parts import lost_parts, lost_pictures, lost_tools
from aigateway_core.dialects.openai_facts import (
    SERVICE_TIERS,
    effort_word,
    loses_strictness,
    schema_name,
    user_id,
    without,
)
from aigateway_core.dialects.openai_responses.call_forms import CallForms
from aigateway_core.dialects.openai_responses.item_writer import is_unwritten, write_items
from aigateway_core.dialects.openai_responses.profile import OpenAIResponsesProfile
from aigateway_core.dialects.openai_responses.tools import is_foreign, write_tool_choice, write_tools
from aigateway_core.model import ChatRequest, JsonObject, Reasoning, ResponseFormat, ToolChoice

_SAME = ("temperature", "top_p", "top_logprobs")
"""Fields that have one name and one meaning here and there."""

TIERS = SERVICE_TIERS | {"ultrafast"}

ENCRYPTED = "reasoning.encrypted_content"

_PLACEHOLDER = "."
"""What a user says who exists only because the API wants an input item."""


def write_request(request: ChatRequest, profile: OpenAIResponsesProfile) -> JsonObject:
    """The body for the upstream; nothing of the call is to be stored there."""
    request = without(request, profile.cannot_express)
    forms = CallForms(request.tools, legal=True)
    body: JsonObject = {"model": request.model, "input": write_items(request.messages, forms, profile), "store": False}
    if not body["input"]:
        body["input"] = [{"type": "message", "role": "user", "content": _PLACEHOLDER}]
    if instructions := "\n\n".join(text for text in request.system if text):
        body["instructions"] = instructions
    for name in _SAME:
        if (value := getattr(request, name)) is not None:
            body[name] = value
    if request.max_tokens is not None:
        body["max_output_tokens"] = max(request.max_tokens, profile.min_output_tokens)
    if request.metadata is not None:
        body["metadata"] = dict(request.metadata)
    if request.user:
        body["user"] = user_id(request.user, *profile.user_length)
    if request.service_tier in TIERS:
        body["service_tier"] = request.service_tier
    if text := write_text(request):
        body["text"] = text
    body |= _reasoning(request, profile) | _tools(request)
    if request.stream:
        body["stream"] = True
    return body


def unwritten(request: ChatRequest, profile: OpenAIResponsesProfile) -> list[str]:
    """What of this request the body has no place for, besides whole fields that this API lacks."""
    lost = lost_tools(request, is_foreign)
    if loses_strictness(request.tools):
        lost.append("tools.strict")
    if request.tool_choice is not None and _loses_tool_choice(request, request.tool_choice):
        lost.append("tool_choice")
    if request.reasoning is not None and _loses_effort(request, profile):
        lost.append("reasoning")
    if request.service_tier is not None and request.service_tier not in TIERS:
        lost.append("service_tier")
    parts = lost_parts(request.messages, lambda part: is_unwritten(part, profile.origin))
    return [*lost, *parts, *lost_pictures(request.messages)]


def _loses_tool_choice(request: ChatRequest, choice: ToolChoice) -> bool:
    if choice.mode == "none" or choice == ToolChoice("auto"):
        return False
    return all(map(is_foreign, request.tools)) or write_tool_choice(choice, request.tools) is None


def _loses_effort(request: ChatRequest, profile: OpenAIResponsesProfile) -> bool:
    """Whether the client said how much to think, and the model is not told."""
    wish = request.reasoning
    if wish is None or effort_word(wish, {}) in (None, "none"):
        return False
    return not profile.reasons(request.model) or effort_word(wish, profile.efforts) is None


def _reasoning(request: ChatRequest, profile: OpenAIResponsesProfile) -> JsonObject:
    """What is said of reasoning; it is always asked for in encrypted form, since nothing is stored there."""
    if not profile.reasons(request.model):
        return {}
    written: JsonObject = {"include": [ENCRYPTED]}
    if request.reasoning is not None and (reasoning := write_reasoning(request.reasoning, profile)):
        written["reasoning"] = reasoning
    return written


def write_reasoning(reasoning: Reasoning, profile: OpenAIResponsesProfile) -> JsonObject:
    """Effort, and the kind of summary where the client wants to see the reasoning."""
    written: JsonObject = {}
    if (effort := effort_word(reasoning, profile.efforts)) is not None:
        written["effort"] = effort
    if reasoning.summary and profile.summary is not None and effort != "none":
        written["summary"] = profile.summary
    return written


def write_text(request: ChatRequest) -> JsonObject:
    """The form of the text that is wanted."""
    written: JsonObject = {}
    if request.response_format is not None:
        written["format"] = _format(request.response_format)
    if request.verbosity is not None:
        written["verbosity"] = request.verbosity
    return written


def _format(wanted: ResponseFormat) -> JsonObject:
    if wanted.kind == "json_object":
        return {"type": "json_object"}
    # The API insists on a schema; an empty one accepts everything.
    schema = {} if wanted.schema is None else dict(wanted.schema)
    written: JsonObject = {"type": "json_schema", "name": schema_name(wanted), "schema": schema}
    if wanted.description is not None:
        written["description"] = wanted.description
    if wanted.strict is not None:
        written["strict"] = wanted.strict
    return written


def _tools(request: ChatRequest) -> JsonObject:
    """``tools``, ``tool_choice`` and ``parallel_tool_calls``: nothing is said of tools where there are none."""
    tools = write_tools(request.tools)
    if not tools:
        return {}
    written: JsonObject = {"tools": tools}
    chosen: Any = None if request.tool_choice is None else write_tool_choice(request.tool_choice, request.tools)
    if chosen is not None:
        written["tool_choice"] = chosen
    if request.parallel_tool_calls is not None:
        written["parallel_tool_calls"] = request.parallel_tool_calls
    return written
