"""The response object of this API around the output: what was asked for, told again, as the SDK's types ask for it."""

from __future__ import annotations

import time
from typing import Any

from aigateway_core.dialects.identifiers import legal_tool_id
from aigateway_core.dialects.openai_facts import EFFORTS, answer_seed
from aigateway_core.dialects.openai_responses.item_writer import MOST_ID
from aigateway_core.dialects.openai_responses.request_writer import TIERS, write_text
from aigateway_core.dialects.openai_responses.tools import write_tool_choice, write_tools
from aigateway_core.model import ChatRequest, JsonObject


def response_id(upstream_id: str, request: ChatRequest) -> str:
    """An id as OpenAI's look; another vendor's is kept behind the prefix, so that it can still be traced."""
    if not upstream_id:
        return f"resp_{answer_seed('', request)}"
    legal = legal_tool_id(upstream_id, MOST_ID)
    return legal if legal.startswith("resp_") else f"resp_{legal}"


def response_object(request: ChatRequest, identifier: str) -> JsonObject:
    """A response that is ``in_progress`` and empty."""
    reasoning = request.reasoning
    choice = None if request.tool_choice is None else write_tool_choice(request.tool_choice, request.tools)
    effort = reasoning.effort if reasoning is not None and reasoning.effort in EFFORTS else None
    shown: Any = "auto" if reasoning is not None and reasoning.summary else None
    return {
        "id": identifier,
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "background": False,
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": request.max_tokens,
        "max_tool_calls": None,
        "model": request.model,
        "output": [],
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": None,
        "reasoning": {"effort": effort, "summary": shown},
        "service_tier": request.service_tier if request.service_tier in TIERS else "default",
        "store": False,
        "temperature": 1.0 if request.temperature is None else request.temperature,
        "text": {"format": {"type": "text"}, **write_text(request)},
        "tool_choice": "auto" if choice is None else choice,
        "tools": write_tools(request.tools),
        "top_logprobs": 0,
        "top_p": 1.0 if request.top_p is None else request.top_p,
        "truncation": "disabled",
        "usage": None,
        "user": request.user,
        "metadata": dict(request.metadata or {}),
    }
