"""A canonical request into a body for an upstream of this API, and what of it that body cannot hold."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from aigateway_core.dialects.anthropic.content_writer import (
    is_unwritten,
    loses_prefill,
    starts_with_thinking,
    write_turns,
)
from aigateway_core.dialects.anthropic.profile import AnthropicProfile, ModelRule
from aigateway_core.dialects.anthropic.reasoning import Thinking, plan_thinking
from aigateway_core.dialects.anthropic.structured_output import structured
from aigateway_core.dialects.anthropic.tools import (
    is_foreign,
    loses_strictness,
    loses_tool_choice,
    write_tool_choice,
    write_tools,
)
from aigateway_core.dialects.dialect import Loss
from aigateway_core.dialects.lost_parts import lost_hints, lost_last_words, lost_parts, lost_pictures, lost_tools
from aigateway_core.jsontext import dumps
from aigateway_core.model import ChatRequest, JsonObject, Reasoning

_NO_FIELD = "no such field: platform.claude.com, API reference, create a message"

CANNOT_EXPRESS: dict[str, Loss] = {
    "presence_penalty": Loss("dropped", _NO_FIELD),
    "frequency_penalty": Loss("dropped", _NO_FIELD),
    "seed": Loss("dropped", _NO_FIELD),
    "logit_bias": Loss("dropped", _NO_FIELD),
    "verbosity": Loss("dropped", _NO_FIELD),
    "metadata": Loss("dropped", "metadata holds user_id and nothing else: platform.claude.com, API reference"),
    "n": Loss("refused", "one answer for each request: case 135"),
    "logprobs": Loss("refused", _NO_FIELD),
    "top_logprobs": Loss("refused", _NO_FIELD),
    "audio_output": Loss("refused", _NO_FIELD),
}

_TIERS = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}

_MOST_USER = 256
"""The longest ``metadata.user_id`` (platform.claude.com, API reference)."""

_LEAST_TOP_P = 0.95
"""The lowest ``top_p`` while thinking; the other sampling fields must be left out then (page "extended thinking")."""

_JSON_ONLY = "Answer with a single JSON object and nothing else: no explanation, no code fence."


def write_request(request: ChatRequest, profile: AnthropicProfile) -> JsonObject:
    """The body. Raises :class:`InvalidRequestError` for a document of text that is not in base64."""
    rule = profile.rule(request.model)
    turns = write_turns(request.messages, rule, profile.origin)
    tools = write_tools(request, rule)
    choice = write_tool_choice(request, tools)
    thinking = _thinking(request, rule, profile, turns, choice)
    body: JsonObject = {"model": request.model, "max_tokens": thinking.max_tokens, "messages": turns}
    fields: dict[str, Any] = {
        "system": _system(request, rule),
        "tools": tools,
        "tool_choice": choice,
        "thinking": thinking.config,
        "output_config": _output_config(request, rule, thinking),
        "stop_sequences": [text for text in request.stop if text.strip()],
        "metadata": {"user_id": _user(request.user)} if request.user else None,
        "service_tier": _TIERS.get(request.service_tier or ""),
    }
    body.update((name, value) for name, value in fields.items() if value)
    body.update(_sampling(request, rule, thinking))
    if request.stream:
        body["stream"] = True
    return body


def unwritten(request: ChatRequest, profile: AnthropicProfile) -> list[str]:
    """Names of what is left out of this request because of its model or its values, beyond :data:`CANNOT_EXPRESS`."""
    rule = profile.rule(request.model)
    tools = write_tools(request, rule)
    choice = write_tool_choice(request, tools)
    turns = write_turns(request.messages, rule, profile.origin)
    thinking = _thinking(request, rule, profile, turns, choice)
    written = _sampling(request, rule, thinking)
    checks = {
        **{
            name: getattr(request, name) is not None and name not in written
            for name in ("temperature", "top_p", "top_k")
        },
        "reasoning": _wants_thinking(request.reasoning) and not thinking.on,
        "tool_choice": loses_tool_choice(request, choice),
        "response_format": request.response_format is not None and _format(request, rule) is None,
        "service_tier": request.service_tier is not None and request.service_tier not in _TIERS,
        "stop": any(not text.strip() for text in request.stop),
        "messages.prefill": loses_prefill(request.messages, rule),
    }
    return [
        *(name for name, is_lost in checks.items() if is_lost),
        *lost_tools(request, is_foreign),
        *(["tools.strict"] if loses_strictness(request, tools) else []),
        *lost_parts(request.messages, lambda part: is_unwritten(part, profile.origin)),
        *([] if rule.prefill else lost_last_words(request.messages)),
        *lost_pictures(request.messages),
        *lost_hints(request.messages, detail=True),
    ]


def _thinking(
    request: ChatRequest, rule: ModelRule, profile: AnthropicProfile, turns: list[JsonObject], choice: JsonObject | None
) -> Thinking:
    """What is said of thinking: none with a budget where the turns or a forced tool exclude it."""
    thinking = plan_thinking(request, rule, profile)
    if thinking.manual and (_is_forced(choice) or not starts_with_thinking(turns)):
        return thinking.off()
    return thinking


def _wants_thinking(wish: Reasoning | None) -> bool:
    return wish is not None and (wish.budget is not None if wish.effort is None else wish.effort != "none")


def _is_forced(choice: JsonObject | None) -> bool:
    """Manual thinking and a forced tool exclude each other (platform.claude.com, "extended thinking")."""
    return choice is not None and choice["type"] in ("any", "tool")


def _user(user: str) -> str:
    return user if len(user) <= _MOST_USER else blake2b(user.encode("utf-8", "replace"), digest_size=16).hexdigest()


def _sampling(request: ChatRequest, rule: ModelRule, thinking: Thinking) -> JsonObject:
    """Sampling fields that this model takes in this mode.

    Temperature goes to 1 here and to 2 elsewhere. Models since Claude Opus 4.1 refuse ``temperature`` beside ``top_p``.
    """
    if not rule.sampling:
        return {}
    if thinking.on:
        return {"top_p": request.top_p} if request.top_p is not None and request.top_p >= _LEAST_TOP_P else {}
    fields: JsonObject = {}
    if request.temperature is not None:
        fields["temperature"] = min(request.temperature, 1)
    elif request.top_p is not None:
        fields["top_p"] = request.top_p
    if request.top_k is not None:
        fields["top_k"] = request.top_k
    return fields


# -- output as JSON


def _format(request: ChatRequest, rule: ModelRule) -> JsonObject | None:
    """The ``output_config.format``; None where an instruction has to stand for it."""
    wanted = request.response_format
    if wanted is None or wanted.schema is None or not rule.structured_output:
        return None
    schema = structured(wanted.schema)
    return None if schema is None else {"type": "json_schema", "schema": schema}


def _output_config(request: ChatRequest, rule: ModelRule, thinking: Thinking) -> JsonObject:
    config: JsonObject = {}
    if thinking.effort is not None:
        config["effort"] = thinking.effort
    if (form := _format(request, rule)) is not None:
        config["format"] = form
    return config


def _system(request: ChatRequest, rule: ModelRule) -> list[JsonObject]:
    texts = [text for text in request.system if text.strip()]
    if request.response_format is not None and _format(request, rule) is None:
        texts.append(_instruction(request.response_format.schema))
    return [{"type": "text", "text": text} for text in texts]


def _instruction(schema: Mapping[str, Any] | None) -> str:
    """What stands for a response format that the model has no field for (case 132)."""
    return _JSON_ONLY if schema is None else f"{_JSON_ONLY} It must fit this JSON Schema:\n{dumps(schema).decode()}"
