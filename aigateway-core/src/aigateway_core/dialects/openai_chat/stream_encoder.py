"""Canonical events, written as the chunks of a streamed Chat Completion.

Order, as on api.openai.com: a chunk with the role; deltas; a chunk with the finish reason and an empty delta; when
asked for, a chunk with no choices and the usage; ``[DONE]``. All chunks share id, time and model.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from typing_extensions import override

from aigateway_core.dialects.dialect import StreamEncoder
from aigateway_core.dialects.estimate import OutputMeter
from aigateway_core.dialects.openai_chat.calls import CallForms, StreamedCalls, ThinkingBefore, carried
from aigateway_core.dialects.openai_chat.outcome import write_usage
from aigateway_core.dialects.openai_chat.response import completion_id, shown_image
from aigateway_core.events import (
    GeneratedImage,
    SignatureDelta,
    StreamEvent,
    StreamFinish,
    StreamStart,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
    UsageUpdate,
)
from aigateway_core.jsontext import dumps
from aigateway_core.model import ChatRequest, JsonObject, Usage

DONE = b"data: [DONE]\n\n"


class ChatStreamEncoder(StreamEncoder):
    """One answer; see the module for its order."""

    def __init__(self, request: ChatRequest) -> None:
        self._request = request
        self._meter = OutputMeter() if request.include_usage else None
        self._usage: Usage | None = None
        self._forms = CallForms(request.tools)
        self._calls = StreamedCalls(self._forms)
        self._thinking = ThinkingBefore()
        self._head, self._tail = b"", b""

    @override
    def encode(self, event: StreamEvent) -> bytes:
        if self._meter is not None:
            self._meter.feed(event)
        before = self._thinking.feed(event)
        match event:
            case TextDelta(text):
                return self._chunk({"content": text}) if text else b""
            case ThinkingDelta(text):
                return self._chunk({"reasoning_content": text}) if text else b""
            case ToolCallDelta(index, arguments):
                return self._chunks(self._calls.arguments(index, arguments))
            case ToolCallStart():
                return self._chunks(self._calls.start(event, before))
            case GeneratedImage(image) if images := shown_image(image):
                return self._chunk({"images": images})
            case SignatureDelta() if before is not None:
                return self._chunk(carried(before))
            case StreamStart(response_id):
                self._begin(response_id)
                return self._chunk({"role": "assistant", "content": "", "refusal": None})
            case UsageUpdate(usage):
                self._usage = usage
            case StreamFinish():
                return self._finish(event)
            case _:
                # Signatures and sealed thinking have no place in this dialect, but that of a text and that of a call.
                pass
        return b""

    @override
    def end(self) -> bytes:
        if self._meter is None:
            return DONE
        usage = dumps(write_usage(self._usage or self._meter.usage(self._request)))
        return self._head + b'"choices":[],"usage":' + usage + b"}\n\n" + DONE

    def _begin(self, response_id: str) -> None:
        shared = {
            "id": completion_id(response_id, self._request),
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": self._request.model,
            "system_fingerprint": None,
        }
        self._head = b"data: " + dumps(shared)[:-1] + b","
        self._tail = b',"usage":null}\n\n' if self._meter is not None else b"}\n\n"

    def _chunk(self, delta: JsonObject, finish: bytes = b"null") -> bytes:
        choice = (
            b'"choices":[{"index":0,"delta":' + dumps(delta) + b',"logprobs":null,"finish_reason":' + finish + b"}]"
        )
        return self._head + choice + self._tail

    def _chunks(self, deltas: Iterable[JsonObject]) -> bytes:
        return b"".join(map(self._chunk, deltas))

    def _finish(self, event: StreamFinish) -> bytes:
        """The last chunk of the choice, after what is left of the calls. Raises :class:`UpstreamError`."""
        left = self._chunks(self._calls.finish(event.reason))
        word = self._forms.finish_word(event.reason, called=self._calls.called)
        return left + self._chunk({}, b'"' + word.encode() + b'"')
