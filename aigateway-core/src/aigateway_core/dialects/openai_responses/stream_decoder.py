"""The events of an upstream's stream, read into canonical events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from typing_extensions import override

from aigateway_core.dialects.dialect import Classify, StreamDecoder
from aigateway_core.dialects.openai_facts import answer_seed
from aigateway_core.dialects.openai_responses.outcome import read_finish, read_usage
from aigateway_core.dialects.openai_responses.output_reader import OutputReader, word
from aigateway_core.dialects.sse import ServerSentEvent
from aigateway_core.errors import ErrorKind, UpstreamError, UpstreamFailure
from aigateway_core.events import StreamEvent, StreamFinish, StreamStart, UsageUpdate
from aigateway_core.jsontext import dumps, loads_upstream
from aigateway_core.model import ChatRequest, JsonObject

_ENDS = {"response.completed": "completed", "response.incomplete": "incomplete"}
_FAILURES = {"response.failed": "failed", "response.cancelled": "cancelled"}


def read_event(event: ServerSentEvent, classify: Classify) -> tuple[str, JsonObject] | None:
    """Kind and body of an event; None for one that says nothing. Raises :class:`UpstreamError` for an error."""
    data = event.data.strip()
    if not data or data == b"[DONE]":
        if event.event == "error":
            raise classify(UpstreamFailure(200, {}, data))
        return None
    if event.event == "error":
        raise classify(UpstreamFailure(200, {}, data))
    body = loads_upstream(data)
    kind = word(body, "type") or event.event
    if kind == "error" or body.get("error"):
        raise classify(UpstreamFailure(200, {}, data))
    if kind in _FAILURES:
        raise failed(body.get("response"), classify)
    return kind, body


def failed(response: Any, classify: Classify) -> UpstreamError:
    """What a response that failed, or was cancelled, means."""
    error = response.get("error") if type(response) is dict else None
    if error:
        return classify(UpstreamFailure(200, {}, dumps({"error": error})))
    return UpstreamError(ErrorKind.SERVER, "the upstream failed while answering")


def status_of(kind: str, response: JsonObject) -> str:
    """How a closed response ended: its own word, else that of the event."""
    return word(response, "status") or _ENDS.get(kind, "")


def cut() -> UpstreamError:
    """What it means when a stream ends before its end."""
    return UpstreamError(ErrorKind.PROTOCOL, "the upstream broke off its stream before the answer was complete")


def is_end(kind: str) -> bool:
    """Whether this is the last event of an answer."""
    return kind in _ENDS


class ResponsesStreamDecoder(StreamDecoder):
    """One answer. It is whole with ``response.completed`` or ``response.incomplete``, and with nothing else."""

    def __init__(self, request: ChatRequest, origin: str, classify: Classify) -> None:
        self._request = request
        self._classify = classify
        self._reader = OutputReader(request, origin)
        self._started = self._over = False

    @override
    def feed(self, event: ServerSentEvent) -> Sequence[StreamEvent]:
        if self._over or (read := read_event(event, self._classify)) is None:
            return ()
        return list(self._read(*read))

    @override
    def end(self) -> Sequence[StreamEvent]:
        if not self._over:
            raise cut()
        return ()

    def close(self, kind: str, response: JsonObject) -> Iterator[StreamEvent]:
        """The end of the answer: what its items have not told yet, its usage, and why it stopped."""
        yield from self._start(response)
        output = response.get("output")
        for index, item in enumerate(output if type(output) is list else ()):
            yield from self._reader.finished(item, index)
        incomplete = status_of(kind, response) == "incomplete"
        yield from self._reader.rest(cut=incomplete)
        if (usage := read_usage(response.get("usage"))) is not None:
            yield UsageUpdate(usage)
        ended = {**response, "status": status_of(kind, response)}
        self._over = True
        yield StreamFinish(read_finish(ended, called=self._reader.calls > 0, refused=self._reader.refused))

    def _read(self, kind: str, body: JsonObject) -> Iterator[StreamEvent]:
        response = body.get("response")
        if type(response) is dict:
            if is_end(kind):
                yield from self.close(kind, response)
            else:
                yield from self._start(response)
        elif is_end(kind):
            raise UpstreamError(ErrorKind.PROTOCOL, "the upstream's last event holds no response")
        elif events := list(self._content(kind, body)):
            yield from self._start({})
            yield from events

    def _start(self, response: JsonObject) -> Iterator[StreamEvent]:
        if self._started:
            return
        self._started = True
        self._reader.response_id = word(response, "id")
        given = self._reader.response_id or f"resp_{answer_seed('', self._request)}"
        yield StreamStart(given, word(response, "model") or self._request.model)

    def _content(self, kind: str, body: JsonObject) -> Iterator[StreamEvent]:
        match kind:
            case "response.output_text.delta":
                yield from self._reader.text(body)
            case "response.function_call_arguments.delta":
                yield from self._reader.arguments(body, "function_call")
            case "response.reasoning_summary_text.delta":
                yield from self._reader.reasoning(body, f"summary {body.get('summary_index')}")
            case "response.reasoning_text.delta":
                yield from self._reader.reasoning(body, f"text {body.get('content_index')}")
            case "response.refusal.delta":
                yield from self._reader.text(body, refused=True)
            case "response.custom_tool_call_input.delta":
                yield from self._reader.arguments(body, "custom_tool_call")
            case "response.function_call_arguments.done":
                yield from self._reader.arguments(body, "function_call", whole=word(body, "arguments"))
            case "response.output_item.added":
                yield from self._reader.added(body)
            case "response.output_item.done":
                yield from self._reader.finished(body.get("item"), body.get("output_index"))
