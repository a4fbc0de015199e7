"""A Chat Completions request, read into the canonical form."""

from __future__ import annotations

from typing import Any

from aigateway_core.dialects.checks import (
    mapping,
    missing,
    one_of,
    optional_boolean,
    optional_count,
    optional_integer,
    optional_mapping,
    optional_number,
    optional_string,
    refuse,
    sequence,
    string,
)
from aigateway_core.dialects.openai_chat.message_reader import MessageReader
from aigateway_core.dialects.openai_facts import EFFORTS
from aigateway_core.dialects.openai_tools import OpenAITool, free_text_schema
from aigateway_core.errors import InvalidRequestError
from aigateway_core.model import (
    ChatRequest,
    HostedTool,
    JsonObject,
    Reasoning,
    ResponseFormat,
    Tool,
    ToolChoice,
)

_MODES = ("auto", "none", "required")
_AUTO = "auto"

_KNOWN = frozenset(
    {
        *("model", "messages", "stream", "stream_options", "tools", "tool_choice", "parallel_tool_calls", "functions"),
        *("function_call", "max_tokens", "max_completion_tokens", "stop", "temperature", "top_p", "presence_penalty"),
        *("frequency_penalty", "seed", "n", "logprobs", "top_logprobs", "logit_bias", "reasoning_effort", "verbosity"),
        *("response_format", "user", "metadata", "service_tier"),
    }
)


def read_messages(body: JsonObject) -> list[Any]:
    """The messages, of which there must be one at least."""
    if "messages" not in body:
        missing("messages")
    messages = sequence(body["messages"], "messages")
    if not messages:
        raise InvalidRequestError("at least one message is required", path="messages")
    return messages


def read_request(body: JsonObject, *, model: str, stream: bool) -> ChatRequest:
    """The canonical request. Raises :class:`InvalidRequestError` with the path of the first thing that is wrong."""
    reader = MessageReader()
    for position, message in enumerate(read_messages(body)):
        reader.read(message, position)
    extra = {name: value for name, value in body.items() if name not in _KNOWN and value is not None}
    return ChatRequest(
        model=model,
        stream=stream,
        system=tuple(reader.system),
        messages=reader.turns(),
        tools=_tools(body),
        tool_choice=_tool_choice(body),
        parallel_tool_calls=_parallel(body),
        max_tokens=_max_tokens(body),
        stop=_stop(body.get("stop")),
        logprobs=optional_boolean(body.get("logprobs"), "logprobs"),
        logit_bias=_logit_bias(body.get("logit_bias")),
        reasoning=_reasoning(body.get("reasoning_effort")),
        response_format=_response_format(body.get("response_format")),
        audio_output=_audio_output(extra),
        user=_user(body, extra),
        metadata=_metadata(body.get("metadata")),
        include_usage=_include_usage(body.get("stream_options")),
        extra=extra | reader.unread,
        temperature=optional_number(body.get("temperature"), "temperature"),
        top_p=optional_number(body.get("top_p"), "top_p"),
        presence_penalty=optional_number(body.get("presence_penalty"), "presence_penalty"),
        frequency_penalty=optional_number(body.get("frequency_penalty"), "frequency_penalty"),
        seed=optional_integer(body.get("seed"), "seed"),
        n=optional_integer(body.get("n"), "n"),
        top_logprobs=optional_integer(body.get("top_logprobs"), "top_logprobs"),
        verbosity=optional_string(body.get("verbosity"), "verbosity"),
        service_tier=optional_string(body.get("service_tier"), "service_tier"),
    )


def _parallel(body: JsonObject) -> bool | None:
    """Whether several calls may be made at once: not where the answer has a place for one alone."""
    said = optional_boolean(body.get("parallel_tool_calls"), "parallel_tool_calls")
    return False if said is None and body.get("functions") and not body.get("tools") else said


def _max_tokens(body: JsonObject) -> int | None:
    newer = optional_count(body.get("max_completion_tokens"), "max_completion_tokens")
    older = optional_count(body.get("max_tokens"), "max_tokens")
    return newer if older is None else older


def _stop(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if type(value) is str:
        return (value,) if value else ()
    if type(value) is not list:
        refuse("a string or an array of strings", value, "stop")
    texts = (string(text, "stop", index) for index, text in enumerate(value))
    return tuple(text for text in texts if text)


def _logit_bias(value: Any) -> dict[str, float] | None:
    if (bias := optional_mapping(value, "logit_bias")) is None:
        return None
    for token, weight in bias.items():
        if optional_number(weight, "logit_bias", token) is None:
            refuse("a number", weight, "logit_bias", token)
    return bias


def _metadata(value: Any) -> dict[str, str] | None:
    if (metadata := optional_mapping(value, "metadata")) is None:
        return None
    return {name: string(text, "metadata", name) for name, text in metadata.items()}


def _reasoning(value: Any) -> Reasoning | None:
    """The effort; ``auto``, which other servers of this API know, leaves to the model how much it thinks."""
    if value is None:
        return None
    word = one_of(value.strip().lower() if type(value) is str else value, (*EFFORTS, _AUTO), "reasoning_effort")
    return Reasoning(effort=next((effort for effort in EFFORTS if effort == word), None))


def _include_usage(value: Any) -> bool:
    options = optional_mapping(value, "stream_options") or {}
    return bool(optional_boolean(options.get("include_usage"), "stream_options", "include_usage"))


def _user(body: JsonObject, extra: JsonObject) -> str | None:
    """``user``, or ``safety_identifier``, which replaces it in OpenAI's newer documents."""
    if (user := optional_string(body.get("user"), "user")) is not None:
        return user
    return optional_string(extra.pop("safety_identifier", None), "safety_identifier")


def _audio_output(extra: JsonObject) -> JsonObject | None:
    """The sound that is asked for; ``modalities`` of text alone is what happens anyway."""
    if "modalities" not in extra:
        return None
    modalities = [
        string(word, "modalities", index) for index, word in enumerate(sequence(extra["modalities"], "modalities"))
    ]
    if "audio" in modalities:
        del extra["modalities"]
        if "audio" not in extra:
            missing("audio")
        return mapping(extra.pop("audio"), "audio")
    if modalities == ["text"]:
        del extra["modalities"]
    return None


def _response_format(value: Any) -> ResponseFormat | None:
    if value is None:
        return None
    body = mapping(value, "response_format")
    if "type" not in body:
        missing("response_format", "type")
    kind = one_of(body["type"], ("text", "json_object", "json_schema"), "response_format", "type")
    if kind == "json_schema":
        return _json_schema(body)
    return ResponseFormat("json_object") if kind == "json_object" else None


def _json_schema(body: JsonObject) -> ResponseFormat:
    path = ("response_format", "json_schema")
    if "json_schema" not in body:
        missing(*path)
    definition = mapping(body["json_schema"], *path)
    return ResponseFormat(
        "json_schema",
        name=optional_string(definition.get("name"), *path, "name"),
        schema=optional_mapping(definition.get("schema"), *path, "schema"),
        strict=optional_boolean(definition.get("strict"), *path, "strict"),
        description=optional_string(definition.get("description"), *path, "description"),
    )


def _tools(body: JsonObject) -> tuple[Tool | HostedTool, ...]:
    tools: list[Tool | HostedTool] = []
    if body.get("tools") is not None:
        tools += (_tool(tool, index) for index, tool in enumerate(sequence(body["tools"], "tools")))
    if body.get("functions") is not None:
        functions = sequence(body["functions"], "functions")
        legacy = not tools
        tools += (_legacy_function(function, index, legacy=legacy) for index, function in enumerate(functions))
    return tuple(tools)


def _legacy_function(value: Any, index: int, *, legacy: bool) -> Tool:
    """A function in the older field; a client that knows ``tools`` as well is answered in the newer form."""
    tool = _function(value, "functions", index)
    if not legacy:
        return tool
    return OpenAITool(tool.name, tool.description, tool.parameters, tool.strict, own_name=tool.name, legacy=True)


def _tool(value: Any, index: int) -> Tool | HostedTool:
    """A function, or a tool of another type, which only the vendor that defines the type can be asked for."""
    tool = mapping(value, "tools", index)
    if "type" not in tool:
        missing("tools", index, "type")
    kind = string(tool["type"], "tools", index, "type")
    if kind == "custom":
        return _custom_tool(mapping(tool.get("custom"), "tools", index, "custom"), "tools", index, "custom")
    if kind != "function":
        own = tool.get(kind)
        name = own.get("name") if type(own) is dict else tool.get("name")
        return HostedTool(kind, name if type(name) is str else kind, tool)
    if "function" not in tool:
        missing("tools", index, "function")
    return _function(tool["function"], "tools", index, "function")


def _custom_tool(custom: JsonObject, *path: str | int) -> Tool:
    """A tool that takes free text, with its grammar in the form that Responses has for it."""
    name = _name(custom, *path)
    description = optional_string(custom.get("description"), *path, "description")
    form = optional_mapping(custom.get("format"), *path, "format")
    grammar = optional_mapping((form or {}).get("grammar"), *path, "format", "grammar")
    if form is not None and grammar is not None:
        form = {"type": form.get("type", "grammar"), **grammar}
    return OpenAITool(name, description, free_text_schema(form), own_name=name, custom=True, format=form)


def _function(value: Any, *path: str | int) -> Tool:
    function = mapping(value, *path)
    if "name" not in function:
        missing(*path, "name")
    return Tool(
        string(function["name"], *path, "name"),
        optional_string(function.get("description"), *path, "description"),
        optional_mapping(function.get("parameters"), *path, "parameters") or {},
        optional_boolean(function.get("strict"), *path, "strict"),
    )


def _tool_choice(body: JsonObject) -> ToolChoice | None:
    if (value := body.get("tool_choice")) is not None:
        return _mode(value, "tool_choice") if type(value) is str else _narrowed(mapping(value, "tool_choice"))
    if (value := body.get("function_call")) is not None:
        if type(value) is str:
            return _mode(value, "function_call")
        return ToolChoice("required", (_name(mapping(value, "function_call"), "function_call"),))
    return None


def _mode(value: str, field: str) -> ToolChoice:
    match one_of(value, _MODES, field):
        case "none":
            return ToolChoice("none")
        case "required":
            return ToolChoice("required")
        case _:
            return ToolChoice("auto")


def _narrowed(choice: JsonObject) -> ToolChoice:
    if "type" not in choice:
        missing("tool_choice", "type")
    kind = one_of(choice["type"], ("function", "custom", "allowed_tools"), "tool_choice", "type")
    if kind not in choice:
        missing("tool_choice", kind)
    given = mapping(choice[kind], "tool_choice", kind)
    if kind != "allowed_tools":
        return ToolChoice("required", (_name(given, "tool_choice", kind),))
    mode = one_of(given.get("mode", "auto"), ("auto", "required"), "tool_choice", kind, "mode")
    path = ("tool_choice", kind, "tools")
    tools = [mapping(tool, *path, index) for index, tool in enumerate(sequence(given.get("tools"), *path))]
    names = tuple(_allowed(tool, *path, index) for index, tool in enumerate(tools))
    return ToolChoice("required" if mode == "required" else "auto", names)


def _allowed(tool: JsonObject, *path: str | int) -> str:
    own = tool.get("function", tool.get("custom", tool))
    return _name(mapping(own, *path), *path)


def _name(owner: JsonObject, *path: str | int) -> str:
    if "name" not in owner:
        missing(*path, "name")
    return string(owner["name"], *path, "name")
