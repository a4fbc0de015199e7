"""How GLM's chat completions differ from OpenAI's, as data and small steps over a request body.

Source: the API reference and thinking mode pages of docs.z.ai and docs.bigmodel.cn, and the vendor's own SDK (2026).
The profile is for requests that were translated; :func:`prepare` is for those and for the bodies of OpenAI's clients
alike, so it does everything, and a second time changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, TypeGuard

from aigateway_core.plugin import JsonObject, Loss, OpenAIChatProfile, UnsupportedFeatureError
from aigateway_glm.errors import VERDICTS
from aigateway_glm.messages import add_to_system, prepare_messages
from aigateway_glm.models import GLMModel, find

_NO_SUCH_FIELD = "docs.z.ai, API reference, chat completion: no such field"

REFUSED = ("n", "logprobs", "audio_output")
"""Fields of a request without which the answer would be another one."""

_UNKNOWN_TO_GLM = (
    *("presence_penalty", "frequency_penalty", "logit_bias", "top_logprobs", "parallel_tool_calls", "metadata"),
    *("service_tier", "verbosity"),
)

PROFILE = OpenAIChatProfile(
    origin="glm",
    late_system="reminder",
    max_tokens_field="max_tokens",
    user_field="user_id",
    user_length=(6, 128),
    max_stop=1,
    tool_choices=frozenset({"auto"}),
    reasoning_field="reasoning_content",
    empty_content="",
    attachments=frozenset({"image"}),
    image_details=frozenset({"auto", "low", "high"}),
    json_schema=False,
    needs_user_message=True,
    finish_reasons={
        "sensitive": "content_filter",
        "model_context_window_exceeded": "context_window",
        "network_error": "error",
    },
    repeats_role=True,
    error_codes={code: (verdict.kind, verdict.scope) for code, verdict in VERDICTS.items()},
    cannot_express={
        **{name: Loss("refused", _NO_SUCH_FIELD) for name in REFUSED},
        **{name: Loss("dropped", _NO_SUCH_FIELD) for name in _UNKNOWN_TO_GLM},
    },
)

DROPPED = (
    *_UNKNOWN_TO_GLM,
    *("n", "logprobs", "modalities", "audio", "prediction", "web_search_options", "store", "moderation"),
    *("functions", "function_call"),
    *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
)
"""OpenAI's fields that GLM does not have. Fields that nobody knows are passed on: they may be GLM's next ones."""

_LEAST, _MOST = 0.01, 0.99
"""What the vendor's SDK keeps ``temperature`` and ``top_p`` within."""

_ALWAYS_THINKING: Mapping[str, str] = {
    "none": "low",
    "minimal": "low",
    "low": "low",
    "medium": "high",
    "high": "high",
    "xhigh": "max",
    "max": "max",
}


def prepare(body: JsonObject) -> JsonObject:
    """A body as GLM takes it; ``body`` itself is left as it is.

    Raises :class:`UnsupportedFeatureError` for what GLM cannot do and must not leave out in silence.
    """
    # A null is a field that was not given.
    prepared = {name: value for name, value in body.items() if value is not None}
    model = _model(prepared)
    for step in _STEPS:
        step(prepared)
    for step_by_model in _STEPS_BY_MODEL:
        step_by_model(prepared, model)
    return prepared


def prepare_for_anthropic(body: JsonObject) -> JsonObject:
    """A body of the Messages API as GLM's copy takes it: its limits are the models', whoever asks."""
    prepared = dict(body)
    _clamp(prepared, _model(prepared))
    return prepared


def _model(body: JsonObject) -> GLMModel:
    """The model that is asked for, its name without what is none of it."""
    name = body.get("model")
    if not isinstance(name, str):
        return find("")
    # Claude Code's mark for a long context: part of its settings, not of the name.
    body["model"] = name.removesuffix("[1m]")
    return find(body["model"])


def _refuse(body: JsonObject) -> None:
    asked = {
        "n": isinstance(body.get("n"), int) and body["n"] > 1,
        "logprobs": body.get("logprobs") is True,
        "modalities": isinstance(body.get("modalities"), list) and "audio" in body["modalities"],
        "functions": bool(body.get("functions")),
    }
    for field, wanted in asked.items():
        if wanted:
            raise UnsupportedFeatureError("GLM does not have this; leave it out or choose another model", path=field)


def _drop(body: JsonObject) -> None:
    for name in DROPPED:
        body.pop(name, None)


def _max_tokens(body: JsonObject, model: GLMModel) -> None:
    newer = body.pop("max_completion_tokens", None)
    if body.get("max_tokens") is None and newer is not None:
        body["max_tokens"] = newer
    _clamp(body, model)


def _clamp(body: JsonObject, model: GLMModel) -> None:
    """More than a model can say is a 400 (code 1210)."""
    if model.output is not None and isinstance(body.get("max_tokens"), int):
        body["max_tokens"] = min(body["max_tokens"], model.output)


def _sampling(body: JsonObject) -> None:
    temperature = body.get("temperature")
    if _is_number(temperature) and temperature <= 0:
        body["do_sample"] = False
    for name in ("temperature", "top_p"):
        if _is_number(body.get(name)):
            body[name] = min(max(body[name], _LEAST), _MOST)


def _stop(body: JsonObject) -> None:
    stop = body.get("stop")
    if isinstance(stop, str):
        body["stop"] = [stop]
    elif isinstance(stop, list):
        body["stop"] = stop[:1]
    if not body.get("stop"):
        body.pop("stop", None)


def _tool_choice(body: JsonObject) -> None:
    """Only ``auto`` is known: ``none`` takes the tools away, a choice of some tools takes away the others."""
    choice = body.pop("tool_choice", None)
    tools = body.get("tools")
    if choice == "none" or tools == []:
        body.pop("tools", None)
    elif isinstance(tools, list):
        if names := _chosen(choice):
            body["tools"] = [tool for tool in tools if _tool_name(tool) in names] or tools
        body["tools"] = [_without_strict(tool) for tool in body["tools"]]
        body["tool_choice"] = "auto"


def _without_strict(tool: Any) -> Any:
    """OpenAI's promise that arguments fit their schema is none of GLM's."""
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict) or "strict" not in function:
        return tool
    return {**tool, "function": {name: value for name, value in function.items() if name != "strict"}}


def _chosen(choice: Any) -> set[str]:
    """The names in ``{"type": "function", "function": {"name": …}}``, or in a list of allowed tools."""
    if not isinstance(choice, dict):
        return set()
    allowed = choice.get("allowed_tools")
    chosen = allowed.get("tools") if isinstance(allowed, dict) else [choice]
    return {name for tool in chosen if (name := _tool_name(tool))} if isinstance(chosen, list) else set()


def _tool_name(tool: Any) -> str | None:
    function = tool.get("function") if isinstance(tool, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else None


def with_tool_stream(body: JsonObject) -> JsonObject:
    """The body with a wish for tool arguments as they are written; else a call comes in one piece, when it is whole.

    For translated requests alone: GLM repeats the id of a call in each of its pieces, which OpenAI's own client would
    string together.
    """
    return {"tool_stream": True, **body} if body.get("stream") is True and body.get("tools") else body


def _thinking(body: JsonObject, model: GLMModel) -> None:
    effort, thinking = body.get("reasoning_effort"), body.get("thinking")
    off = isinstance(thinking, dict) and thinking.get("type") == "disabled"
    if model.thinking == "never":
        body.pop("thinking", None)
    elif model.thinking == "always" and off:
        del body["thinking"]
        effort = "low"
    elif model.thinking == "switch" and model.efforts == "none" and isinstance(effort, str) and thinking is None:
        body["thinking"] = {"type": "disabled" if effort in ("none", "minimal") else "enabled"}
    if model.efforts == "none" or effort is None:
        body.pop("reasoning_effort", None)
    elif model.efforts == "three":
        body["reasoning_effort"] = _ALWAYS_THINKING.get(effort, effort) if isinstance(effort, str) else effort


def _response_format(body: JsonObject) -> None:
    """Any JSON is understood, a schema is not: it is put into words."""
    wanted = body.get("response_format")
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        return
    definition = wanted.get("json_schema")
    schema = json.dumps(definition.get("schema") or {} if isinstance(definition, dict) else {}, ensure_ascii=False)
    body["response_format"] = {"type": "json_object"}
    if isinstance(body.get("messages"), list):
        text = f"Answer with one JSON object that fits this JSON Schema, and with nothing else:\n{schema}"
        body["messages"] = add_to_system(body["messages"], text)


def _messages(body: JsonObject, model: GLMModel) -> None:
    if isinstance(body.get("messages"), list):
        body["messages"] = prepare_messages(body["messages"], model)


def _user(body: JsonObject) -> None:
    """GLM's ``user_id`` has 6 to 128 characters; another length is replaced by a hash."""
    given = [body.pop(name, None) for name in ("user_id", "safety_identifier", "user")]
    user = next((value for value in given if isinstance(value, str) and value), None)
    if user is not None:
        fits = 6 <= len(user) <= 128
        body["user_id"] = user if fits else f"user-{sha256(user.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


_STEPS: tuple[Callable[[JsonObject], None], ...] = (
    _refuse,
    _drop,
    _sampling,
    _stop,
    _tool_choice,
    _response_format,
    _user,
)

# After the others: a schema becomes a system text before the system texts are put together.
_STEPS_BY_MODEL: tuple[Callable[[JsonObject, GLMModel], None], ...] = (_max_tokens, _thinking, _messages)
