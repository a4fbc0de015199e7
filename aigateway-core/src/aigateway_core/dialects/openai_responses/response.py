"""Whole answers, in both directions: a stream of one event, so that both tell the same."""

from __future__ import annotations

from typing import NoReturn

from aigateway_core.dialects.dialect import Classify, NativeAnswer
from aigateway_core.dialects.openai_responses.assembly import Assembly
from aigateway_core.dialects.openai_responses.outcome import read_finish, read_usage
from aigateway_core.dialects.openai_responses.output_reader import word
from aigateway_core.dialects.openai_responses.stream_decoder import ResponsesStreamDecoder, failed
from aigateway_core.errors import ErrorKind, UpstreamError, UpstreamFailure
from aigateway_core.events import fold, unfold
from aigateway_core.jsontext import dumps, loads_upstream
from aigateway_core.model import ChatRequest, ChatResponse, JsonObject

_CALLS = ("function_call", "custom_tool_call")


def write_response(response: ChatResponse, request: ChatRequest) -> JsonObject:
    """The ``response`` object for a client. Raises :class:`UpstreamError` when a call in it is broken."""
    assembly = Assembly(request)
    for event in unfold(response):
        assembly.feed(event)
    return assembly.closed()


def read_response(body: JsonObject, request: ChatRequest, origin: str, classify: Classify) -> ChatResponse:
    """The canonical answer. Raises :class:`UpstreamError` for a failed one, and for what is none."""
    kind = f"response.{checked(body, classify)}"
    return fold(ResponsesStreamDecoder(request, origin, classify).close(kind, body))


def read_native(body: bytes, client_model: str, classify: Classify) -> NativeAnswer:
    """A whole answer to relay, under the client's name for the model."""
    parsed = loads_upstream(body)
    status = checked(parsed, classify)
    kinds = [item.get("type") for item in parsed["output"] if type(item) is dict]
    called = any(kind in _CALLS for kind in kinds)
    finish = read_finish({**parsed, "status": status}, called=called, refused=False)
    usage = read_usage(parsed.get("usage"))
    if parsed.get("model") != client_model:
        parsed["model"] = client_model
        body = dumps(parsed)
    return NativeAnswer(body, usage, finish)


def checked(body: JsonObject, classify: Classify) -> str:
    """The status of an answer that has ended well. Raises :class:`UpstreamError` for any other, and for what is none.

    Servers that forget the status mean that the answer is complete.
    """
    status = word(body, "status") or "completed"
    if body.get("error") or status in ("failed", "cancelled"):
        if body.get("object") == "response" or "output" in body:
            raise failed(body, classify)
        raise classify(UpstreamFailure(200, {}, dumps(body)))
    if type(body.get("output")) is not list:
        if any(type(body.get(name)) is str for name in ("message", "msg", "detail")):
            raise classify(UpstreamFailure(200, {}, dumps(body)))
        _no_answer("the upstream's answer holds no output")
    if status not in ("completed", "incomplete"):
        _no_answer(f"the upstream's answer is not complete ({status[:60]})")
    return status


def _no_answer(message: str) -> NoReturn:
    raise UpstreamError(ErrorKind.PROTOCOL, message)
