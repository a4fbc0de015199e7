"""A native stream, watched while it passes.

Until something has passed that a client would show, every event is parsed. From then on the bytes are relayed as they
come, and only what can hold a finish reason, the usage or an error is looked at. The first two are told by the bytes
that must stand before them, which a text inside JSON cannot contain, since its quotes are escaped; an error by its
name.
"""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from aigateway_core.dialects.dialect import Classify, StreamTap
from aigateway_core.dialects.openai_chat.outcome import read_finish, read_usage
from aigateway_core.dialects.openai_chat.profile import OpenAIChatProfile
from aigateway_core.dialects.openai_chat.response import failed_finish, text_in, thinking_in
from aigateway_core.dialects.openai_chat.spelling import Roles, with_known_finish
from aigateway_core.dialects.openai_chat.stream_decoder import DONE, cut, read_chunk
from aigateway_core.dialects.sse import BlockSplitter, format_event, parse_block, parted
from aigateway_core.errors import UpstreamError
from aigateway_core.jsontext import dumps
from aigateway_core.model import JsonObject

# Each is looked for at the speed of memory; one pattern for all would be tried at every byte.
_TELLING = (b'"finish_reason":"', b'"finish_reason": "', b'"usage":{', b'"usage": {', b"[DONE]", b"error")
_MOST_NAMES = 8
"""Spellings of the upstream's name for the model that are learnt; each is looked for in every event after it."""

_CONTENT = ("refusal", "tool_calls", "function_call", "audio", "images")


class ChatStreamTap(StreamTap):
    """One stream; ``asked_for_usage``: the client wants the usage chunk, which the upstream is always asked for."""

    def __init__(
        self, client_model: str, *, asked_for_usage: bool, profile: OpenAIChatProfile, classify: Classify
    ) -> None:
        self._splitter = BlockSplitter()
        self._model = client_model
        self._asked_for_usage = asked_for_usage
        self._profile = profile
        self._roles = Roles() if profile.repeats_role else None
        self._classify = classify
        self._names: set[bytes] = set()
        self._new_name = b'"model":' + dumps(client_model)
        self._over = False

    @override
    def feed(self, chunk: bytes) -> bytes:
        if self._over:
            return b""
        try:
            blocks = self._splitter.feed(chunk)
        except UpstreamError as error:
            return self._fail(error)
        relayed = self._unread(blocks)
        if relayed is None:
            relayed = self._told(blocks)
        return self._with_one_role(relayed) if self._roles else relayed

    @override
    def end(self) -> bytes:
        if self._over:
            return b""
        # A server may forget the last blank line, or be cut in the middle of an event: only reading it tells.
        rest = self._splitter.flush()
        relayed = self._inspected(rest.rstrip(b"\n") + b"\n\n") if rest.strip() else b""
        if self._cut_short():
            self._fail(cut())
        self._over = True
        return self._with_one_role(relayed)

    def _with_one_role(self, events: bytes) -> bytes:
        return events if self._roles is None else self._roles.once(events)

    def _cut_short(self) -> bool:
        return not self._over and self.finish_reason is None

    def _pass(self, blocks: bytes) -> bytes:
        """The events to relay: those together that nothing has to be read of, and the others by themselves."""
        if self._over:
            return b""
        relayed = self._unread(blocks)
        return self._told(blocks) if relayed is None else relayed

    def _told(self, blocks: bytes) -> bytes:
        """The same of events one of which has to be read."""
        if parts := parted(blocks):
            return self._pass(parts[0]) + self._pass(parts[1])
        return self._inspected(blocks) if blocks.strip(b"\n") else b""

    def _unread(self, blocks: bytes) -> bytes | None:
        """The events under the client's name for the model, if none of them, be it one or many, has to be read.

        Every spelling of the upstream's name that was learnt so far is replaced; one never seen has to be read.
        """
        if not self.committed or any(map(blocks.__contains__, _TELLING)):
            return None
        if blocks.count(b'"model":') != sum(map(blocks.count, self._names)):
            return None
        for name in self._names:
            blocks = blocks.replace(name, self._new_name)
        return blocks

    def _inspected(self, block: bytes) -> bytes:
        """One event, after it was read; empty when it is not for the client."""
        if (event := parse_block(block)) is None:
            return block
        if event.data.strip() == DONE:
            return self._done(block)
        try:
            chunk = read_chunk(event, self._classify)
            return block if chunk is None else self._read(chunk, block)
        except UpstreamError as error:
            return self._fail(error)

    def _read(self, chunk: JsonObject, block: bytes) -> bytes:
        choices, chosen = chunk.get("choices"), False
        for choice in choices if type(choices) is list else ():
            if type(choice) is dict:
                chosen = True
                self._choice(choice)
        if (usage := read_usage(chunk.get("usage"))) is not None:
            self.usage = usage
            if not chosen and not self._asked_for_usage:
                return b""
        named = self._with_name(chunk, block)
        return with_known_finish(named, self._profile.finish_reasons) if self._profile.finish_reasons else named

    def _choice(self, choice: JsonObject) -> None:
        delta = choice.get("delta")
        if type(delta) is dict:
            content = delta.get("content")
            if type(content) is not str:
                text_in(content)
            if not self.committed:
                self.committed = bool(content or thinking_in(delta) or any(map(delta.get, _CONTENT)))
        reason = read_finish(choice.get("finish_reason"), self._profile.finish_reasons)
        if reason == "error":
            raise failed_finish(choice["finish_reason"])
        if reason is not None:
            self.finish_reason = reason
            self.committed = True

    def _done(self, block: bytes) -> bytes:
        if not self.committed:
            return self._fail(cut())
        self._over = self.ended = True
        return block

    def _fail(self, error: UpstreamError) -> bytes:
        self.error = error
        self._over = True
        return b""

    def _with_name(self, chunk: JsonObject, block: bytes) -> bytes:
        """The event under the client's name for the model; learns how the upstream writes its own."""
        name: Any = chunk.get("model")
        if type(name) is not str:
            return block
        quoted = dumps(name)
        for spelling in (b'"model":' + quoted, b'"model": ' + quoted):
            if spelling in block:
                if len(self._names) < _MOST_NAMES:
                    self._names.add(spelling)
                return block.replace(spelling, self._new_name)
        return format_event(dumps({**chunk, "model": self._model}))
