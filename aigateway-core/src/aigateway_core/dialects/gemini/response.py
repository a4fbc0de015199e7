"""Whole answers, both ways."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aigateway_core.dialects.arguments import parse_arguments
from aigateway_core.dialects.checks import (
    Path,
    from_upstream,
    mapping,
    optional_mapping,
    optional_string,
    sequence,
    string,
)
from aigateway_core.dialects.dialect import Classify
from aigateway_core.dialects.estimate import usage_of
from aigateway_core.dialects.gemini.content_reader import ran_code
from aigateway_core.dialects.gemini.content_writer import sign
from aigateway_core.dialects.gemini.errors import holds_error
from aigateway_core.dialects.gemini.keys import field
from aigateway_core.dialects.gemini.media import read_inline, write_media
from aigateway_core.dialects.gemini.names import restoring
from aigateway_core.dialects.gemini.outcome import (
    CUT_REASONS,
    blocked_prompt,
    finish_word,
    read_finish,
    read_usage,
    write_usage,
)
from aigateway_core.dialects.gemini.signing import sealed_thinking
from aigateway_core.dialects.identifiers import digest, synthetic_tool_id
from aigateway_core.errors import ErrorKind, UpstreamError, UpstreamFailure
from aigateway_core.events import (
    GeneratedImage,
    RedactedThinking,
    SignatureDelta,
    StreamEvent,
    StreamFinish,
    StreamStart,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageUpdate,
    fold,
)
from aigateway_core.jsontext import dumps, loads_upstream
from aigateway_core.model import (
    ChatRequest,
    ChatResponse,
    FinishReason,
    ImagePart,
    JsonObject,
    TextPart,
    ThinkingPart,
    ToolCallPart,
)

# -- out of an upstream


def parse(raw: bytes, classify: Classify) -> JsonObject:
    """The answer, or the piece of one, that came with status 200: by itself or in an array of one (case 145).

    Raises :class:`UpstreamError` for an error, or for what is no answer.
    """
    if raw.lstrip()[:1] == b"[":
        listed = loads_upstream(b'{"all":' + raw + b"}")["all"]
        value = listed[0] if listed else None
        if type(value) is not dict:
            raise no_answer()
    else:
        value = loads_upstream(raw)
    if holds_error(value):
        raise classify(UpstreamFailure(200, {}, raw))
    return value


def no_answer() -> UpstreamError:
    """What it means when neither an answer came nor a reason why there is none."""
    return UpstreamError(ErrorKind.PROTOCOL, "the upstream's answer holds no candidate")


class AnswerReader:
    """Reads the candidates of one answer, whole or piece by piece, as canonical events."""

    def __init__(self, request: ChatRequest, origin: str) -> None:
        self._request = request
        self._origin = origin
        self._names = restoring(request.tools)
        self._calls = 0
        self._id = ""
        self.spoke = False
        self.blocked = False
        self.word: str | None = None

    def start(self, body: JsonObject) -> StreamStart:
        """The beginning of the answer. Without an id of its own it gets one that the next turn does not."""
        last = self._request.messages[-1].text[-500:] if self._request.messages else ""
        made_up = digest(self._request.model, len(self._request.messages), last)
        self._id = optional_string(field(body, "responseId"), "responseId") or made_up
        return StreamStart(
            self._id, optional_string(field(body, "modelVersion"), "modelVersion") or self._request.model
        )

    def content(self, body: JsonObject) -> Iterator[StreamEvent]:
        """The events of the first candidate; keeps the word for why the model stopped, if it has come."""
        if not (candidate := first_candidate(body)):
            self.blocked = self.blocked or blocked_prompt(body) is not None
            return
        content = optional_mapping(candidate.get("content"), "candidates", 0, "content") or {}
        path = ("candidates", 0, "content", "parts")
        for index, part in enumerate(sequence(content.get("parts") or [], *path)):
            yield from self._part(mapping(part, *path, index), (*path, index))
        self.word = finish_in(candidate) or self.word

    @property
    def ended(self) -> bool:
        """Whether the upstream has said how the answer ends."""
        return self.word is not None or self.blocked

    def finish(self) -> FinishReason:
        """Why the model stopped; a blocked prompt is a filter's doing (case 144)."""
        if self.word is None and self.blocked:
            return "content_filter"
        return read_finish(self.word or "STOP", called=self._calls > 0, spoke=self.spoke)

    def _part(self, part: JsonObject, path: Path) -> Iterator[StreamEvent]:
        signature = optional_string(field(part, "thoughtSignature"), *path, "thoughtSignature")
        if (call := field(part, "functionCall")) is not None:
            self.spoke = True
            yield from self._call(mapping(call, *path, "functionCall"), signature, (*path, "functionCall"))
            return
        if (blob := field(part, "inlineData")) is not None:
            yield from self._image(blob, (*path, "inlineData"))
        text = optional_string(part.get("text"), *path, "text")
        if text is None and (ran := ran_code(part, path)) is not None:
            text = ran.text
        if text:
            self.spoke = True
            yield ThinkingDelta(text, self._origin) if part.get("thought") is True else TextDelta(text)
        if signature:
            yield SignatureDelta(signature, self._origin)

    def _image(self, blob: Any, path: Path) -> Iterator[StreamEvent]:
        """A picture; what else the model made cannot be passed on."""
        made = read_inline(blob, path)
        if isinstance(made, ImagePart):
            self.spoke = True
            yield GeneratedImage(made)

    def _call(self, call: JsonObject, signature: str | None, path: Path) -> Iterator[StreamEvent]:
        """A call comes whole. Its signature goes before it, where it stays apart from that of a thought."""
        name = string(call.get("name"), *path, "name")
        index, self._calls = self._calls, self._calls + 1
        call_id = optional_string(call.get("id"), *path, "id") or synthetic_tool_id(self._id, index)
        arguments = optional_mapping(call.get("args"), *path, "args") or {}
        if signature:
            yield RedactedThinking(signature, self._origin)
        yield ToolCallStart(index, call_id, self._names.get(name, name))
        yield ToolCallDelta(index, dumps(arguments).decode())


def first_candidate(body: JsonObject) -> JsonObject | None:
    """The one candidate that counts; None in a piece that holds none."""
    value = body.get("candidates")
    candidates = sequence([] if value is None else value, "candidates")
    listed = (mapping(item, "candidates", index) for index, item in enumerate(candidates))
    return next((candidate for candidate in listed if candidate.get("index") in (0, None)), None)


def finish_in(candidate: JsonObject) -> str | None:
    """The word for why the model stopped, once there is one."""
    return optional_string(field(candidate, "finishReason"), "candidates", 0, "finishReason") or None


def read_response(body: JsonObject, request: ChatRequest, origin: str, classify: Classify) -> ChatResponse:
    """The answer that ``body`` spells. Raises :class:`UpstreamError` when it is none."""
    if holds_error(body):
        raise classify(UpstreamFailure(200, {}, dumps(body)))
    return from_upstream(lambda: fold(_events(body, AnswerReader(request, origin))))


def _events(body: JsonObject, reader: AnswerReader) -> Iterator[StreamEvent]:
    """The answer as the events of a stream: folding them gives the same parts as the stream itself would."""
    yield reader.start(body)
    yield from reader.content(body)
    if not (reader.ended or first_candidate(body)):
        raise no_answer()
    if (usage := read_usage(field(body, "usageMetadata"))) is not None:
        yield UsageUpdate(usage)
    yield StreamFinish(reader.finish())


# -- to a client


def write_response(response: ChatResponse, request: ChatRequest, origin: str) -> JsonObject:
    """The answer for a client. Raises :class:`UpstreamError` when a tool call in it is broken."""
    parts = _parts(response, origin, hidden=hides_thinking(request))
    return {
        "candidates": [
            {
                "content": {"parts": parts or [{"text": ""}], "role": "model"},
                "finishReason": finish_word(response.finish_reason),
                "index": 0,
            }
        ],
        "usageMetadata": write_usage(response.usage or usage_of(request, response)),
        "modelVersion": request.model,
        "responseId": response_id(response.id, request),
    }


def hides_thinking(request: ChatRequest) -> bool:
    """Whether the client is shown no thoughts, as nobody is who does not ask for them (``includeThoughts``)."""
    return request.reasoning is None or not request.reasoning.summary


def response_id(upstream_id: str, request: ChatRequest) -> str:
    """The upstream's id, or one that is made up."""
    return upstream_id or digest(request.model, len(request.messages))


def _parts(response: ChatResponse, origin: str, *, hidden: bool) -> list[JsonObject]:
    written: list[JsonObject] = []
    held: str | None = None
    for part in response.parts:
        match part:
            case ThinkingPart(redacted=str(signature)) if part.origin == origin:
                held = signature
                continue
            case ThinkingPart():
                _write_thinking(written, part, origin, hidden=hidden)
            case TextPart(text) if text:
                written.append({"text": text})
            case ImagePart() if (shown := write_media(part)) is not None:
                written.append(shown)
            case ToolCallPart():
                written += write_call(part, held, response.finish_reason)
            case _:
                pass
        held = None
    return written


def _write_thinking(written: list[JsonObject], part: ThinkingPart, origin: str, *, hidden: bool) -> None:
    shown = "" if hidden else part.text
    if part.origin != origin:
        written.append(thought(shown, sealed_thinking(part)))
    elif part.signature and part.text:
        written.append(thought(shown, part.signature))
    elif part.signature:
        sign(written, "", part.signature)
    elif shown:
        written.append(thought(shown))


def thought(text: str, signature: str | None = None) -> JsonObject:
    """A part that shows, or signs, what the model thought."""
    part: JsonObject = {"text": text, "thought": True}
    return part if signature is None else {**part, "thoughtSignature": signature}


def write_call(call: ToolCallPart, signature: str | None, reason: FinishReason) -> list[JsonObject]:
    """The part of a call; nothing for one that the end of the answer cut off, which must never be run (U-19)."""
    arguments = parse_arguments(call.arguments)
    if arguments is None:
        if reason in CUT_REASONS:
            return []
        raise UpstreamError(ErrorKind.PROTOCOL, f"the upstream broke off the arguments of its call of {call.name!r}")
    function: dict[str, Any] = {"id": call.id, "name": call.name, "args": arguments}
    part: JsonObject = {"functionCall": function if call.id else {"name": call.name, "args": arguments}}
    return [part if signature is None else {**part, "thoughtSignature": signature}]
