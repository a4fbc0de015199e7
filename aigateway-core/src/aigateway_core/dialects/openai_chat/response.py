"""Whole answers, in both directions."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, NoReturn

from aigateway_core.dialects.dialect import Classify, NativeAnswer
from aigateway_core.dialects.estimate import usage_of
from aigateway_core.dialects.identifiers import restoring_names, synthetic_tool_id
from aigateway_core.dialects.openai_chat.calls import GOOGLE, CallForms, carried
from aigateway_core.dialects.openai_chat.errors import holds_error
from aigateway_core.dialects.openai_chat.outcome import read_finish, read_usage, settled, write_usage
from aigateway_core.dialects.openai_chat.profile import OpenAIChatProfile
from aigateway_core.dialects.openai_chat.spelling import known_finish
from aigateway_core.dialects.openai_facts import answer_seed, image_url, read_data_url
from aigateway_core.errors import ErrorKind, UpstreamError, UpstreamFailure
from aigateway_core.jsontext import dumps, loads_upstream
from aigateway_core.model import (
    ChatRequest,
    ChatResponse,
    FinishReason,
    ImagePart,
    JsonObject,
    Part,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    Usage,
)


def completion_id(response_id: str, request: ChatRequest) -> str:
    """An id as OpenAI's look; another vendor's is kept behind the prefix, so that it can still be traced."""
    if response_id.startswith("chatcmpl-"):
        return response_id
    return f"chatcmpl-{response_id or answer_seed('', request)}"


def write_response(response: ChatResponse, request: ChatRequest) -> JsonObject:
    """The ``chat.completion`` object for a client."""
    forms = CallForms(request.tools)
    calls = forms.message_fields(_with_thinking(response.parts), response.finish_reason)
    thinking = "".join(part.text for part in response.parts if isinstance(part, ThinkingPart))
    message: JsonObject = {"role": "assistant", "content": response.text or (None if calls else ""), "refusal": None}
    if thinking:
        message["reasoning_content"] = thinking
    if images := [shown for part in response.parts if isinstance(part, ImagePart) for shown in shown_image(part)]:
        message["images"] = images
    message |= calls | carried(_text_signature(response.parts))
    finish = forms.finish_word(response.finish_reason, called=bool(calls))
    return {
        "id": completion_id(response.id, request),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": request.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": write_usage(response.usage or usage_of(request, response)),
        "system_fingerprint": None,
    }


def _with_thinking(parts: Iterable[Part]) -> Iterator[tuple[ThinkingPart | None, ToolCallPart]]:
    """The calls, each with the thinking that stands directly before it."""
    thinking: ThinkingPart | None = None
    for part in parts:
        if isinstance(part, ToolCallPart):
            yield thinking, part
        thinking = part if isinstance(part, ThinkingPart) else None


def _text_signature(parts: Iterable[Part]) -> ThinkingPart | None:
    """What Google signed a text with, which stands behind it."""
    signature: ThinkingPart | None = None
    for before, part in pairwise(parts):
        if isinstance(before, TextPart | ImagePart) and isinstance(part, ThinkingPart) and part.origin == GOOGLE:
            signature = part if part.signature and not part.text else signature
    return signature


def read_response(
    body: JsonObject, request: ChatRequest, profile: OpenAIChatProfile, classify: Classify
) -> ChatResponse:
    """The canonical answer. Raises :class:`UpstreamError` for an error that came as 200, and for what is no answer."""
    if holds_error(body):
        raise classify(UpstreamFailure(200, {}, dumps(body)))
    choice, message = _answer(body)
    parts: list[Part] = []
    if thinking := thinking_in(message):
        parts.append(ThinkingPart(thinking, origin=profile.origin))
    refusal = message.get("refusal")
    refused = refusal if type(refusal) is str else ""
    if text := text_in(message.get("content")) + refused:
        parts.append(TextPart(text))
    parts += images_in(message)
    response_id = _string(body, "id")
    calls = _read_calls(message, response_id, request)
    return ChatResponse(
        id=response_id or f"chatcmpl-{answer_seed('', request)}",
        model=_string(body, "model") or request.model,
        parts=(*parts, *calls),
        finish_reason=settled(_finish(choice, profile), called=bool(calls), refused=bool(refused)),
        usage=_usage(body),
    )


def read_native(body: bytes, client_model: str, profile: OpenAIChatProfile, classify: Classify) -> NativeAnswer:
    """A whole answer to relay, under the client's name for the model."""
    parsed = parse(body, classify)
    choice, message = _answer(parsed)
    if type(content := message.get("content")) is not str:
        text_in(content)
    finish = settled(_finish(choice, profile), called=bool(message.get("tool_calls") or message.get("function_call")))
    usage = _usage(parsed)
    renamed = parsed.get("model") != client_model
    if renamed:
        parsed["model"] = client_model
    if profile.finish_reasons and "finish_reason" in choice:
        choice["finish_reason"] = known_finish(choice["finish_reason"], profile.finish_reasons)
        renamed = True
    return NativeAnswer(dumps(parsed) if renamed else body, usage, finish)


def parse(raw: bytes, classify: Classify) -> JsonObject:
    """The object that came with status 200. Raises :class:`UpstreamError` for an error, or for what is none."""
    if raw.lstrip()[:1] == b"[":
        # Google's OpenAI endpoint puts its errors into an array.
        raise classify(UpstreamFailure(200, {}, raw))
    value = loads_upstream(raw)
    if ("choices" not in value or "error" in value) and holds_error(value):
        raise classify(UpstreamFailure(200, {}, raw))
    return value


def protocol_error(message: str) -> NoReturn:
    """Raise :class:`UpstreamError` for an answer that is none."""
    raise UpstreamError(ErrorKind.PROTOCOL, message)


def thinking_in(message: JsonObject) -> str:
    """The reasoning in a message or delta, under any of the names that servers use."""
    for name in ("reasoning_content", "reasoning"):
        text = message.get(name)
        if type(text) is str and text:
            return text
    return text_in(details) if type(details := message.get("reasoning_details")) is list else ""


def shown_image(image: ImagePart) -> list[JsonObject]:
    """A picture of an answer as OpenRouter has it (openrouter.ai, "image generation"); OpenAI's chat knows none."""
    url = image_url(image)
    return [] if url is None else [{"type": "image_url", "image_url": {"url": url}}]


def images_in(message: JsonObject) -> list[ImagePart]:
    """The pictures in a message or delta, in that form."""
    listed = message.get("images")
    found: list[ImagePart] = []
    for item in listed if type(listed) is list else ():
        given = item.get("image_url") if type(item) is dict else None
        url = given.get("url") if type(given) is dict else given
        if type(url) is str and url:
            inline = read_data_url(url)
            found.append(ImagePart(url=url) if inline is None else ImagePart(*inline))
    return found


def text_in(content: Any) -> str:
    """The text of a content: a string, an array of parts (some servers send one), or null."""
    if type(content) is str:
        return content
    if content is None:
        return ""
    if type(content) is not list:
        protocol_error("the upstream's answer has a content that is no text")
    return "".join(part["text"] for part in content if type(part) is dict and type(part.get("text")) is str)


def arguments_in(function: JsonObject) -> str:
    """The arguments of a call as text; some servers send the object itself."""
    arguments = function.get("arguments")
    if type(arguments) is str:
        return arguments
    return dumps(arguments).decode() if type(arguments) is dict else ""


def _answer(body: JsonObject) -> tuple[JsonObject, JsonObject]:
    """The choice and its message."""
    choices = body.get("choices")
    choice = choices[0] if type(choices) is list and choices else None
    message = choice.get("message") if type(choice) is dict else None
    if type(choice) is not dict or type(message) is not dict:
        protocol_error("the upstream's answer holds no message")
    return choice, message


def _finish(choice: JsonObject, profile: OpenAIChatProfile) -> FinishReason:
    reason = read_finish(choice.get("finish_reason"), profile.finish_reasons)
    if reason == "error":
        raise failed_finish(choice["finish_reason"])
    return reason or "stop"


def failed_finish(word: str) -> UpstreamError:
    """What a vendor's word for "it failed" means where others say why the model stopped."""
    return UpstreamError(ErrorKind.SERVER, f"the upstream failed while answering ({word[:60]})", code=word[:60])


def _usage(body: JsonObject) -> Usage | None:
    value = body.get("usage")
    if value is not None and type(value) is not dict:
        protocol_error("the upstream's answer has a usage that is no object")
    return read_usage(value)


def _string(body: JsonObject, name: str) -> str:
    value = body.get(name)
    return value if type(value) is str else ""


def _read_calls(message: JsonObject, response_id: str, request: ChatRequest) -> list[ToolCallPart]:
    raw = message.get("tool_calls")
    calls = list(raw) if type(raw) is list else []
    if type(message.get("function_call")) is dict:
        calls.append({"function": message["function_call"]})
    if not calls:
        return []
    names = restoring_names(request.tools)
    seed = answer_seed(response_id, request)
    read: list[ToolCallPart] = []
    for call in calls:
        if type(call) is dict and (part := _read_call(call, len(read), names, seed)) is not None:
            read.append(part)
    return read


def _read_call(call: JsonObject, position: int, names: dict[str, str], seed: str) -> ToolCallPart | None:
    function = call.get("function")
    if type(function) is not dict:
        function = {}
    call_id, name, arguments = _string(call, "id"), _string(function, "name"), arguments_in(function)
    if not (call_id or name or arguments):
        return None
    return ToolCallPart(
        call_id or synthetic_tool_id(seed, position),
        names.get(name, name) or f"tool_{position}",
        arguments if arguments and not arguments.isspace() else "{}",
    )
