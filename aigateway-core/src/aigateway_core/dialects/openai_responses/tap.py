"""A native stream, watched while it passes.

Until something has passed that a client would show, every event is parsed. From then on the bytes are relayed as they
come, and only events that hold a response or an error are opened: they are told by the bytes that must stand before
these, which a text inside JSON cannot contain, since its quotes are escaped.
"""

from __future__ import annotations

import re

from typing_extensions import override

from aigateway_core.dialects.dialect import Classify, StreamTap
from aigateway_core.dialects.openai_responses.errors import failure
from aigateway_core.dialects.openai_responses.outcome import read_finish, read_usage
from aigateway_core.dialects.openai_responses.response import checked
from aigateway_core.dialects.openai_responses.stream_decoder import cut, is_end, read_event, status_of
from aigateway_core.dialects.openai_responses.stream_encoder import write_event
from aigateway_core.dialects.sse import BlockSplitter, format_event, parse_block, parted
from aigateway_core.errors import GatewayError, UpstreamError
from aigateway_core.jsontext import dumps
from aigateway_core.model import JsonObject

_TELLING = re.compile(
    rb'"(?:response|error)"\s*:|event: ?error'
    rb'|"type"\s*:\s*"(?:error|response\.(?:completed|incomplete|failed|cancelled))"'
)
_WORDS = (b'"response"', b"error", b".completed", b".incomplete", b".failed", b".cancelled")
"""One of these is in everything that :data:`_TELLING` finds. They are looked for at the speed of memory."""

_NUMBER = re.compile(rb'"sequence_number"\s*:\s*(\d{1,15})\b')
_CALLS = ("function_call", "custom_tool_call")


class ResponsesStreamTap(StreamTap):
    """One stream; lifecycle events alone are no commitment."""

    def __init__(self, client_model: str, classify: Classify) -> None:
        self._splitter = BlockSplitter()
        self._model = client_model
        self._classify = classify
        self._response: JsonObject | None = None
        self._last = b""

    @override
    def feed(self, chunk: bytes) -> bytes:
        if self.error is not None:
            return b""
        try:
            blocks = self._splitter.feed(chunk)
        except UpstreamError as error:
            self.error = error
            return b""
        return self._pass(blocks) if blocks else b""

    @override
    def end(self) -> bytes:
        if self.error is not None:
            return b""
        # A server may forget the last blank line, or be cut in the middle of an event: only reading it tells.
        rest = self._splitter.flush()
        relayed = self._pass(rest.rstrip(b"\n") + b"\n\n") if rest.strip() else b""
        self._conclude()
        return relayed

    @override
    def fail(self, error: GatewayError, request_id: str) -> bytes | None:
        """``response.failed`` of the response that has begun; None while none has."""
        if self._response is None:
            return None
        numbers = _NUMBER.findall(self._last)
        response = {**self._response, "status": "failed", "error": failure(error)}
        return write_event({"type": "response.failed", "response": response}, int(numbers[-1]) + 1 if numbers else 0)

    def _conclude(self) -> None:
        if self.error is None and not self.ended:
            self.error = cut()

    def _pass(self, blocks: bytes) -> bytes:
        """The events to relay: those together that nothing has to be read of, and the others by themselves."""
        if self.error is not None:
            return b""
        if self._passes_unread(blocks):
            self._last = blocks
            return blocks
        if parts := parted(blocks):
            return self._pass(parts[0]) + self._pass(parts[1])
        relayed = self._block(blocks) if blocks.strip(b"\n") else b""
        self._last = relayed or self._last
        return relayed

    def _passes_unread(self, blocks: bytes) -> bool:
        if self.ended or not self.committed:
            return self.ended
        return not any(map(blocks.__contains__, _WORDS)) or _TELLING.search(blocks) is None

    def _block(self, block: bytes) -> bytes:
        """One event; empty when it is an error, which is kept instead."""
        if (event := parse_block(block)) is None:
            return block
        try:
            read = read_event(event, self._classify)
            return block if read is None else self._read(*read, block, event.event)
        except UpstreamError as error:
            self.error = error
            return b""

    def _read(self, kind: str, body: JsonObject, block: bytes, name: str) -> bytes:
        response = body.get("response")
        if type(response) is not dict:
            if is_end(kind):
                raise cut()
            self.committed = self.committed or kind.startswith("response.")
            return block
        response = {**response, "model": self._model}
        if is_end(kind):
            self._end(kind, response)
        self._response = response
        if body["response"].get("model") == self._model:
            return block
        return format_event(dumps({**body, "response": response}), name or None)

    def _end(self, kind: str, response: JsonObject) -> None:
        status = status_of(kind, response)
        # Codex needs no output in the last event, and not every server sends one.
        output = response.get("output")
        items = output if type(output) is list else []
        checked({**response, "status": status, "output": items}, self._classify)
        called = any(type(item) is dict and item.get("type") in _CALLS for item in items)
        self.usage = read_usage(response.get("usage"))
        self.finish_reason = read_finish({**response, "status": status}, called=called, refused=False)
        self.committed = self.ended = True
