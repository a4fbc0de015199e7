"""The chunks of an upstream's stream, read into canonical events, whatever the server makes of the format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from typing_extensions import override

from aigateway_core.dialects.dialect import Classify, StreamDecoder
from aigateway_core.dialects.identifiers import restoring_names
from aigateway_core.dialects.openai_chat.outcome import read_finish, read_usage, settled
from aigateway_core.dialects.openai_chat.profile import OpenAIChatProfile
from aigateway_core.dialects.openai_chat.response import (
    failed_finish,
    images_in,
    parse,
    text_in,
    thinking_in,
)
from aigateway_core.dialects.openai_chat.tool_fragments import ToolFragments
from aigateway_core.dialects.openai_facts import answer_seed
from aigateway_core.dialects.sse import ServerSentEvent
from aigateway_core.errors import ErrorKind, UpstreamError, UpstreamFailure
from aigateway_core.events import (
    GeneratedImage,
    StreamEvent,
    StreamFinish,
    StreamStart,
    TextDelta,
    ThinkingDelta,
    UsageUpdate,
)
from aigateway_core.model import ChatRequest, FinishReason, JsonObject, Usage

DONE = b"[DONE]"


def read_chunk(event: ServerSentEvent, classify: Classify) -> JsonObject | None:
    """The chunk in an event, None for an empty one. Raises :class:`UpstreamError` for an error, or for what is none."""
    data = event.data.strip()
    if event.event == "error":
        raise classify(UpstreamFailure(200, {}, data))
    return parse(data, classify) if data else None


def first_choice(chunk: JsonObject) -> JsonObject | None:
    """The one choice that counts; None in chunks without any (usage, filter results)."""
    choices = chunk.get("choices")
    if type(choices) is not list:
        return None
    for choice in choices:  # a generator would be resumed for each
        if type(choice) is dict and choice.get("index") in (0, None):
            return choice
    return None


def cut() -> UpstreamError:
    """What it means when a stream ends before its end."""
    return UpstreamError(ErrorKind.PROTOCOL, "the upstream broke off its stream before the answer was complete")


class ChatStreamDecoder(StreamDecoder):
    """One answer. Its end is held back until the usage has had a chance to come: it often follows the finish reason."""

    def __init__(self, request: ChatRequest, profile: OpenAIChatProfile, classify: Classify) -> None:
        self._request = request
        self._profile = profile
        self._classify = classify
        self._tools = ToolFragments(partial(_restored, request, {}))
        self._id: str | None = None
        self._usage: Usage | None = None
        self._reason: FinishReason | None = None
        self._spoke = self._refused = self._over = False

    @override
    def feed(self, event: ServerSentEvent) -> Sequence[StreamEvent]:
        if self._over:
            return ()
        if event.data.strip() == DONE:
            return list(self._finish())
        chunk = read_chunk(event, self._classify)
        return () if chunk is None else self._chunk(chunk)

    @override
    def end(self) -> Sequence[StreamEvent]:
        if self._over:
            return ()
        if self._reason is None:
            raise cut()
        return list(self._finish())

    def _chunk(self, chunk: JsonObject) -> list[StreamEvent]:
        choice = first_choice(chunk)
        found: list[StreamEvent] = []
        if choice is not None and self._id is None:
            found.append(self._start(chunk))
            if self._usage is not None:
                found.append(UsageUpdate(self._usage))
        if choice is not None and self._reason is None:
            delta = choice.get("delta")
            if type(delta) is dict:
                self._read_delta(delta, found)
            if word := choice.get("finish_reason"):
                self._reason = self._finish_reason(word)
        if usage := chunk.get("usage") or (choice and choice.get("usage")):
            found += self._count(usage)
        if choice is None and self._reason is not None and self._usage is not None:
            found += self._finish()
        return found

    def _start(self, chunk: JsonObject) -> StreamStart:
        given, model = chunk.get("id"), chunk.get("model")
        self._id = given if type(given) is str else ""
        return StreamStart(
            self._id or f"chatcmpl-{answer_seed('', self._request)}",
            model if type(model) is str and model else self._request.model,
        )

    def _read_delta(self, delta: JsonObject, found: list[StreamEvent]) -> None:
        if thinking := thinking_in(delta):
            found.append(ThinkingDelta(thinking, self._profile.origin))
        if text := text_in(delta.get("content")):
            self._spoke = True
            found.append(TextDelta(text))
        refusal = delta.get("refusal")
        if type(refusal) is str and refusal:
            self._spoke = self._refused = True
            found.append(TextDelta(refusal))
        for image in images_in(delta) if "images" in delta else ():
            self._spoke = True
            found.append(GeneratedImage(image))
        fragments = delta.get("tool_calls")
        if type(fragments) is list:
            for fragment in fragments:
                found += self._tools.feed(fragment)
        if type(delta.get("function_call")) is dict:
            found += self._tools.feed({"index": 0, "function": delta["function_call"]})

    def _count(self, value: Any) -> Iterator[StreamEvent]:
        usage = read_usage(value)
        if usage is None or usage == self._usage:
            return
        self._usage = usage
        if self._id is not None:
            yield UsageUpdate(usage)

    def _finish_reason(self, word: Any) -> FinishReason | None:
        reason = read_finish(word, self._profile.finish_reasons)
        if reason == "error":
            raise failed_finish(word)
        return reason

    def _finish(self) -> Iterator[StreamEvent]:
        """The last events. ``[DONE]`` without a finish reason ends an answer that looks whole, and no other."""
        if self._reason is None and not ((self._spoke or self._tools.seen) and self._tools.all_complete()):
            raise cut()
        self._over = True
        yield from self._tools.finish(answer_seed(self._id or "", self._request))
        reason = settled(self._reason or "stop", called=self._tools.started > 0, refused=self._refused)
        yield StreamFinish(reason)


def _restored(request: ChatRequest, names: dict[str, str], name: str) -> str:
    """The client's own name of a tool; ``names`` are looked for when the first is asked for."""
    if not names:
        names.update(restoring_names(request.tools))
    return names.get(name, name)
