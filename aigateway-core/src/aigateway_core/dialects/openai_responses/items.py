"""The output items of an answer to a client: what each of them sends while it grows, and what it is in the end.

Events and their fields: the types ``Response…Event`` of OpenAI's SDK. Sequence numbers are added by the encoder.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, TypeAlias

from typing_extensions import override

from aigateway_core.dialects.arguments import parse_arguments
from aigateway_core.dialects.openai_responses.call_forms import CallForms
from aigateway_core.dialects.openai_tools import free_text
from aigateway_core.dialects.signatures import seal_part
from aigateway_core.model import ImagePart, JsonObject, ThinkingPart, ToolCallPart

Events: TypeAlias = list[JsonObject]
Status: TypeAlias = Literal["in_progress", "completed", "incomplete"]


class OutputItem(ABC):
    """One item; ``index`` is its place in the output."""

    prefix: ClassVar[str]

    def __init__(self, index: int, seed: str) -> None:
        self.index = index
        self.id = f"{self.prefix}_{seed}_{index}"
        self.final: JsonObject | None = None
        """What it is once it has ended; None while it grows, and for ever if it must not be used."""

    @abstractmethod
    def opening(self) -> Events:
        """The events that announce it."""

    @abstractmethod
    def closing(self, status: Status) -> Events:
        """The events that end it."""

    def _event(self, kind: str, **fields: object) -> JsonObject:
        return {"type": f"response.{kind}", "item_id": self.id, "output_index": self.index, **fields}

    def _added(self, item: JsonObject) -> JsonObject:
        return {"type": "response.output_item.added", "output_index": self.index, "item": item}

    def _done(self, item: JsonObject) -> JsonObject:
        self.final = item
        return {"type": "response.output_item.done", "output_index": self.index, "item": item}


def _text_content(text: str) -> JsonObject:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


class MessageItem(OutputItem):
    """Text."""

    prefix = "msg"

    def __init__(self, index: int, seed: str) -> None:
        super().__init__(index, seed)
        self._texts: list[str] = []

    @override
    def opening(self) -> Events:
        part = self._event("content_part.added", content_index=0, part=_text_content(""))
        return [self._added(self._item("in_progress", [])), part]

    def add(self, text: str) -> Events:
        """More of it."""
        self._texts.append(text)
        return [self._event("output_text.delta", content_index=0, delta=text, logprobs=[])]

    @override
    def closing(self, status: Status) -> Events:
        text = "".join(self._texts)
        part = _text_content(text)
        return [
            self._event("output_text.done", content_index=0, text=text, logprobs=[]),
            self._event("content_part.done", content_index=0, part=part),
            self._done(self._item(status, [part])),
        ]

    def _item(self, status: Status, content: list[JsonObject]) -> JsonObject:
        return {"type": "message", "id": self.id, "role": "assistant", "status": status, "content": content}


class ReasoningItem(OutputItem):
    """Thinking of any maker, sealed so that it comes back; its text is shown as a summary unless it is ``hidden``."""

    prefix = "rs"

    def __init__(self, index: int, seed: str, *, hidden: bool) -> None:
        super().__init__(index, seed)
        self._hidden = hidden
        self._texts: list[str] = []
        self._origin: str | None = None
        self._signature: str | None = None
        self._redacted: str | None = None

    @override
    def opening(self) -> Events:
        return [self._added({"type": "reasoning", "id": self.id, "summary": []})]

    def add(self, text: str, origin: str | None) -> Events:
        """More of it."""
        begins = not self._texts
        self._texts.append(text)
        self._origin = self._origin or origin
        if self._hidden:
            return []
        delta = self._event("reasoning_summary_text.delta", summary_index=0, delta=text)
        return [self._part("added", ""), delta] if begins else [delta]

    def sign(self, signature: str, origin: str | None) -> None:
        """The maker's proof of it."""
        self._signature, self._origin = signature, origin or self._origin

    def redact(self, data: str, origin: str | None) -> None:
        """It is nothing but what its maker can read."""
        self._redacted, self._origin = data, origin

    @override
    def closing(self, status: Status) -> Events:
        text = "".join(self._texts)
        part = ThinkingPart(text, self._signature, self._origin, self._redacted)
        shown = bool(text) and not self._hidden
        summary = [{"type": "summary_text", "text": text}] if shown else []
        item = {"type": "reasoning", "id": self.id, "summary": summary, "encrypted_content": seal_part(part)}
        ended = [
            self._event("reasoning_summary_text.done", summary_index=0, text=text),
            self._part("done", text),
        ]
        return [*(ended if shown else []), self._done(item)]

    def _part(self, what: str, text: str) -> JsonObject:
        part = {"type": "summary_text", "text": text}
        return self._event(f"reasoning_summary_part.{what}", summary_index=0, part=part)


class ImageItem(OutputItem):
    """A picture, which comes whole."""

    prefix = "ig"

    def __init__(self, index: int, seed: str, image: ImagePart) -> None:
        super().__init__(index, seed)
        self._image = image

    @override
    def opening(self) -> Events:
        return [self._added(self._item("in_progress", None)), self._event("image_generation_call.in_progress")]

    @override
    def closing(self, status: Status) -> Events:
        return [self._event("image_generation_call.completed"), self._done(self._item("completed", self._image.data))]

    def _item(self, status: Status, result: str | None) -> JsonObject:
        return {"type": "image_generation_call", "id": self.id, "status": status, "result": result}


class CallItem(OutputItem):
    """A call of a function. It ends with the answer: until then nobody knows whether it was cut off."""

    prefix = "fc"

    def __init__(self, index: int, seed: str, call_id: str, name: str, forms: CallForms) -> None:
        super().__init__(index, seed)
        self._call_id = call_id
        self._name = name
        self._forms = forms
        self._arguments: list[str] = []

    @override
    def opening(self) -> Events:
        return [self._added(self._item("in_progress", ""))]

    def add(self, fragment: str) -> Events:
        """More of its arguments."""
        self._arguments.append(fragment)
        return [self._event("function_call_arguments.delta", delta=fragment)]

    @property
    def arguments(self) -> str:
        """The arguments so far."""
        return "".join(self._arguments)

    @property
    def is_whole(self) -> bool:
        """Whether its arguments can be used though the answer was cut after them."""
        arguments = self.arguments
        return bool(arguments.strip()) and parse_arguments(arguments) is not None

    @property
    def is_broken(self) -> bool:
        """Whether it cannot be told as it is, though the answer is said to be whole."""
        return False

    @override
    def closing(self, status: Status) -> Events:
        given = self.arguments
        filled = given if given.strip() else "{}"
        missing = [] if filled == given else self.add(filled)
        return [
            *missing,
            self._event("function_call_arguments.done", arguments=filled),
            self._done(self._item(status, filled)),
        ]

    def cut(self) -> None:
        """The answer ended in the midst of it: it is told as incomplete, and no event calls it done."""
        self.final = self._item("incomplete", self.arguments)

    def _item(self, status: Status, arguments: str) -> JsonObject:
        named = self._forms.named(self._name)
        return {
            "type": "function_call",
            "id": self.id,
            "call_id": self._call_id,
            **named,
            "arguments": arguments,
            "status": status,
        }


class CustomCallItem(CallItem):
    """A call with free text, which stands inside the arguments: it is sent when they are whole."""

    prefix = "ctc"

    @override
    def opening(self) -> Events:
        return [self._added(self._free("in_progress", ""))]

    @override
    def add(self, fragment: str) -> Events:
        self._arguments.append(fragment)
        return []

    @property
    @override
    def is_broken(self) -> bool:
        return free_text(self.arguments) is None

    @override
    def closing(self, status: Status) -> Events:
        text = free_text(self.arguments) or ""
        return [
            *([self._event("custom_tool_call_input.delta", delta=text)] if text else []),
            self._event("custom_tool_call_input.done", input=text),
            self._done(self._free(status, text)),
        ]

    @override
    def cut(self) -> None:
        """It is not told at all: a part of a free text looks like a whole one, and must not be run as if it were."""

    def _free(self, status: Status, text: str) -> JsonObject:
        call = self._forms.call(ToolCallPart(self._call_id, self._name, ""), self._call_id)
        return {**call, "id": self.id, "status": status, "input": text}
