"""A Responses request, read into the canonical form."""

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
from aigateway_core.dialects.openai_facts import EFFORTS
from aigateway_core.dialects.openai_responses.errors import PreviousResponseError
from aigateway_core.dialects.openai_responses.item_reader import InputReader
from aigateway_core.dialects.openai_responses.tools import merged, read_tool_choice, read_tools
from aigateway_core.errors import InvalidRequestError, UnsupportedFeatureError
from aigateway_core.model import ChatRequest, JsonObject, Reasoning, ResponseFormat, TextPart

_KNOWN = frozenset(
    {
        *("model", "input", "instructions", "stream", "tools", "tool_choice", "parallel_tool_calls", "reasoning"),
        *("max_output_tokens", "temperature", "top_p", "top_logprobs", "text", "include", "metadata", "service_tier"),
        *("user", "store", "stream_options", "previous_response_id", "conversation", "background", "prompt"),
    }
)
"""Fields that are read, and (``store``, ``stream_options``) those that a gateway without a memory has heeded."""

_STORED = ("previous_response_id", "conversation", "prompt")
"""What may stand in place of an input: things that the vendor keeps with the account they were made with."""

_LOGPROBS = "message.output_text.logprobs"


def check_input(body: JsonObject) -> None:
    """What has to hold on every path. Raises :class:`InvalidRequestError` with the path of what is wrong.

    Something has to be said, in this request or in what its vendor has stored. Nobody could fetch later what runs in
    the background.
    """
    if optional_boolean(body.get("background"), "background"):
        raise UnsupportedFeatureError(
            "background: this gateway stores no responses, so none can be fetched later", path="background"
        )
    given = body.get("input")
    if given is not None and type(given) not in (str, list):
        refuse("a string or an array of items", given, "input")
    if given in (None, []) and all(body.get(name) is None for name in _STORED):
        if given is None:
            missing("input")
        raise InvalidRequestError("at least one item is required", path="input")


def read_input(body: JsonObject) -> Any:
    """The input of a request that is to be translated: nothing that one vendor has stored is known to another.

    Raises :class:`InvalidRequestError` as :func:`check_input`, and for what a gateway without a memory cannot do.
    """
    check_input(body)
    if optional_string(body.get("previous_response_id"), "previous_response_id") is not None:
        raise PreviousResponseError(
            "this gateway stores no responses; send the whole conversation as input", path="previous_response_id"
        )
    for name in ("conversation", "prompt"):
        if body.get(name) is not None:
            raise UnsupportedFeatureError(
                f"{name}: this model's provider has no stored ones; send the whole conversation as input", path=name
            )
    return body["input"]


def read_request(body: JsonObject, *, model: str, stream: bool, origin: str) -> ChatRequest:
    """The canonical request. Raises :class:`InvalidRequestError` with the path of the first thing that is wrong."""
    reader = _items(read_input(body), origin)
    instructions = optional_string(body.get("instructions"), "instructions")
    text = optional_mapping(body.get("text"), "text") or {}
    extra = {name: value for name, value in body.items() if name not in _KNOWN and value is not None}
    # "disabled" is what happens anyway: no vendor is asked to cut a conversation that is too long.
    if extra.get("truncation") == "disabled":
        del extra["truncation"]
    top_logprobs = optional_integer(body.get("top_logprobs"), "top_logprobs") or None
    return ChatRequest(
        model=model,
        stream=stream,
        system=((instructions,) if instructions else ()) + tuple(reader.system),
        messages=reader.turns(),
        tools=merged((*read_tools(body.get("tools"), "tools"), *reader.tools)),
        tool_choice=read_tool_choice(body.get("tool_choice")),
        parallel_tool_calls=optional_boolean(body.get("parallel_tool_calls"), "parallel_tool_calls"),
        max_tokens=optional_count(body.get("max_output_tokens"), "max_output_tokens"),
        temperature=optional_number(body.get("temperature"), "temperature"),
        top_p=optional_number(body.get("top_p"), "top_p"),
        logprobs=_logprobs(body.get("include"), extra) or None,
        top_logprobs=top_logprobs,
        reasoning=_reasoning(body.get("reasoning"), extra),
        response_format=_response_format(text.get("format")),
        verbosity=optional_string(text.get("verbosity"), "text", "verbosity"),
        metadata=_metadata(body.get("metadata")),
        user=_user(body, extra),
        service_tier=optional_string(body.get("service_tier"), "service_tier"),
        extra=extra | reader.unread,
    )


def _items(value: Any, origin: str) -> InputReader:
    reader = InputReader(origin)
    if type(value) is str:
        reader.say((TextPart(value),) if value else ())
        return reader
    for index, item in enumerate(value):
        reader.read(item, "input", index)
    return reader


def _logprobs(value: Any, extra: JsonObject) -> bool:
    """Whether log probabilities are wanted; encrypted reasoning is given anyway, the rest has no other place."""
    if value is None:
        return False
    wanted = [string(word, "include", index) for index, word in enumerate(sequence(value, "include"))]
    if rest := [word for word in wanted if word not in (_LOGPROBS, "reasoning.encrypted_content")]:
        extra["include"] = rest
    return _LOGPROBS in wanted


def _reasoning(value: Any, extra: JsonObject) -> Reasoning | None:
    """Effort, and whether to show the reasoning: this API shows none unless a kind of summary is asked for."""
    if value is None:
        return None
    config = mapping(value, "reasoning")
    summary = config.get("summary") if config.get("summary") is not None else config.get("generate_summary")
    for name in ("context", "mode"):
        if config.get(name) is not None:
            extra[f"reasoning.{name}"] = config[name]
    shown = optional_string(summary, "reasoning", "summary") is not None
    if config.get("effort") is None:
        return Reasoning(summary=shown)
    word = one_of(config["effort"], EFFORTS, "reasoning", "effort")
    return Reasoning(effort=next(effort for effort in EFFORTS if effort == word), summary=shown)


def _response_format(value: Any) -> ResponseFormat | None:
    if value is None:
        return None
    path = ("text", "format")
    form = mapping(value, *path)
    if "type" not in form:
        missing(*path, "type")
    kind = one_of(form["type"], ("text", "json_object", "json_schema"), *path, "type")
    if kind != "json_schema":
        return ResponseFormat("json_object") if kind == "json_object" else None
    return ResponseFormat(
        "json_schema",
        name=optional_string(form.get("name"), *path, "name"),
        schema=optional_mapping(form.get("schema"), *path, "schema"),
        strict=optional_boolean(form.get("strict"), *path, "strict"),
        description=optional_string(form.get("description"), *path, "description"),
    )


def _metadata(value: Any) -> dict[str, str] | None:
    if (metadata := optional_mapping(value, "metadata")) is None:
        return None
    return {name: string(text, "metadata", name) for name, text in metadata.items()}


def _user(body: JsonObject, extra: JsonObject) -> str | None:
    """``user``, or ``safety_identifier``, which replaces it in OpenAI's newer documents."""
    if (user := optional_string(body.get("user"), "user")) is not None:
        return user
    return optional_string(extra.pop("safety_identifier", None), "safety_identifier")
