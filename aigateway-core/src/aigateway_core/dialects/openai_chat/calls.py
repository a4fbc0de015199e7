"""The calls in an answer to a client, in the form in which it declared its tools.

A function of ``tools`` is called in ``tool_calls``; one of ``functions``, the older field, in ``function_call``, of
which an answer has one; a custom tool with free text instead of arguments. Clients see no more of the thinking before
a call than they can show, so what its maker wants back travels on the call, under the name that Google's own endpoint
of this API gave it: ``extra_content.google.thought_signature`` (ai.google.dev, "OpenAI compatibility"). It is sealed,
so that the native path knows it from what an upstream of this dialect gave itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from aigateway_core.dialects.openai_chat.outcome import finish_word
from aigateway_core.dialects.openai_tools import OpenAITool, free_text
from aigateway_core.dialects.signatures import is_sealed, seal_part, unseal_part
from aigateway_core.errors import ErrorKind, UpstreamError
from aigateway_core.events import (
    GeneratedImage,
    RedactedThinking,
    SignatureDelta,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallStart,
)
from aigateway_core.model import FinishReason, HostedTool, JsonObject, ThinkingPart, Tool, ToolCallPart

GOOGLE = "gemini"
"""The maker that signs texts and calls too (:attr:`GeminiProfile.origin`)."""

_CUT: frozenset[FinishReason] = frozenset({"length", "context_window", "content_filter"})


def carried(part: ThinkingPart | None) -> JsonObject:
    """The fields that bring this thinking back; none for thinking that nobody signed."""
    if part is None or not (part.signature or part.redacted):
        return {}
    return {"extra_content": {"google": {"thought_signature": seal_part(part)}}}


def brought_back(signature: str, *, before_call: bool) -> ThinkingPart | None:
    """The thinking behind a signature that a client returned, sealed or as Google gave it; None for a damaged one."""
    if is_sealed(signature):
        return unseal_part(signature)
    return ThinkingPart("", None, GOOGLE, signature) if before_call else ThinkingPart("", signature, GOOGLE)


class CallForms:
    """The forms of the calls of these tools."""

    def __init__(self, tools: Iterable[Tool | HostedTool]) -> None:
        own = [tool for tool in tools if isinstance(tool, OpenAITool)]
        self.legacy = any(tool.legacy for tool in own)
        self._custom = frozenset(tool.name for tool in own if tool.custom)

    def is_custom(self, name: str) -> bool:
        """Whether this tool is called with free text."""
        return name in self._custom

    def finish_word(self, reason: FinishReason, *, called: bool) -> str:
        """OpenAI's word for why the model stopped."""
        word = finish_word(reason, called=called)
        return "function_call" if self.legacy and word == "tool_calls" else word

    def message_fields(
        self, calls: Iterable[tuple[ThinkingPart | None, ToolCallPart]], reason: FinishReason
    ) -> JsonObject:
        """``tool_calls`` of a whole answer, or ``function_call``; each call with the thinking directly before it."""
        written = [one for thinking, call in calls for one in self._written(thinking, call, reason)]
        if not written:
            return {}
        return {"function_call": written[0]["function"]} if self.legacy else {"tool_calls": written}

    def _written(self, thinking: ThinkingPart | None, call: ToolCallPart, reason: FinishReason) -> Iterator[JsonObject]:
        if not self.is_custom(call.name):
            arguments = call.arguments if call.arguments.strip() else "{}"
            function = {"name": call.name, "arguments": arguments}
            yield {"id": call.id, "type": "function", "function": function, **carried(thinking)}
        elif (text := custom_input(call.arguments, reason)) is not None:
            custom = {"name": call.name, "input": text}
            yield {"id": call.id, "type": "custom", "custom": custom, **carried(thinking)}


def custom_input(arguments: str, reason: FinishReason) -> str | None:
    """The free text of a call; None for one that the end of the answer cut off, which must not be run as if whole.

    Raises :class:`UpstreamError` when it is broken though the answer is said to be whole.
    """
    text = free_text(arguments)
    if text is None and reason not in _CUT:
        raise UpstreamError(ErrorKind.PROTOCOL, "the upstream broke off the arguments of a tool call")
    return text if arguments.strip() else None if reason in _CUT else ""


class StreamedCalls:
    """The deltas of the calls of one streamed answer.

    Free text stands inside the arguments of its call, so that the call is told once they are whole; those after it wait
    as well, since clients count on the order of the indexes.
    """

    def __init__(self, forms: CallForms) -> None:
        self._forms = forms
        self._bare: set[int] = set()
        self._texts: dict[int, list[str]] = {}
        self._held: list[tuple[int, JsonObject]] = []
        self.called = False

    def start(self, event: ToolCallStart, thinking: ThinkingPart | None) -> Iterator[JsonObject]:
        """A call begins, after this thinking."""
        self.called = True
        call: JsonObject = {"index": event.index, "id": event.id, "type": "function", **carried(thinking)}
        if self._forms.is_custom(event.name):
            self._texts[event.index] = []
            self._held.append((event.index, {**call, "type": "custom", "custom": {"name": event.name}}))
            return
        self._bare.add(event.index)
        yield from self._tell(call | {"function": {"name": event.name, "arguments": ""}})

    def arguments(self, index: int, fragment: str) -> Iterator[JsonObject]:
        """More of its arguments."""
        if index in self._texts:
            self._texts[index].append(fragment)
        elif fragment:
            if not fragment.isspace():
                self._bare.discard(index)
            yield from self._tell({"index": index, "function": {"arguments": fragment}})

    def finish(self, reason: FinishReason) -> Iterator[JsonObject]:
        """What is left: ``{}`` for calls without arguments, as clients parse what they got, and what had to wait.

        Not after a cut: a call that was not finished must not look as if it were. Raises :class:`UpstreamError`.
        """
        if reason != "length":
            for index in sorted(self._bare):
                yield from self._tell({"index": index, "function": {"arguments": "{}"}})
        for index, call in self._held:
            if "custom" not in call:
                yield {"tool_calls": [call]}
            elif (text := custom_input("".join(self._texts[index]), reason)) is not None:
                yield {"tool_calls": [{**call, "custom": {**call["custom"], "input": text}}]}

    def _tell(self, call: JsonObject) -> Iterator[JsonObject]:
        if self._held:
            self._held.append((call["index"], call))
        elif not self._forms.legacy:
            yield {"tool_calls": [call]}
        elif call["index"] == 0:
            yield {"function_call": call["function"]}


class ThinkingBefore:
    """Follows a stream, and knows the thinking that stands directly before a call, or what a text was signed with."""

    def __init__(self) -> None:
        self._words: list[str] = []
        self._origin: str | None = None
        self._part: ThinkingPart | None = None
        self._said = False

    def feed(self, event: StreamEvent) -> ThinkingPart | None:
        """At a call the thinking before it, at a signature the part that it makes of the text before it."""
        match event:
            case ThinkingDelta(text, origin):
                self._words.append(text)
                self._origin = origin
            case SignatureDelta(signature, origin):
                return self._sign(signature, origin)
            case RedactedThinking(data, origin):
                self._words = []
                self._part = ThinkingPart("", origin=origin, redacted=data)
            case ToolCallStart() | TextDelta() | GeneratedImage():
                if self._words:
                    self._join()
                before_call, self._part = self._part, None
                self._said = not isinstance(event, ToolCallStart)
                return before_call
        return None

    def _join(self) -> None:
        """The words that nobody has signed yet are the last part now; a string of them would be copied at each word."""
        self._part, self._words = ThinkingPart("".join(self._words), origin=self._origin), []

    def _sign(self, signature: str, origin: str | None) -> ThinkingPart | None:
        if self._words:
            self._join()
        unsigned = self._part or ThinkingPart("")
        self._part = ThinkingPart(unsigned.text, signature, origin or unsigned.origin)
        signs_text = self._said and not unsigned.text and self._part.origin == GOOGLE
        self._said = False
        return self._part if signs_text else None
