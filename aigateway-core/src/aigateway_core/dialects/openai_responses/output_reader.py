"""The output of an upstream's answer, read into canonical events.

Text, reasoning and arguments come as deltas, or only with the item that is done, or only with the closed response, as
the server likes; whatever came earlier is not told twice. Of the tools that the vendor runs itself only the pictures
that one of them makes are told.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aigateway_core.dialects.identifiers import synthetic_tool_id
from aigateway_core.dialects.openai_facts import answer_seed
from aigateway_core.dialects.openai_responses.call_forms import CallForms
from aigateway_core.dialects.openai_responses.reasoning import part_of
from aigateway_core.dialects.openai_tools import wrapped_input
from aigateway_core.events import (
    GeneratedImage,
    RedactedThinking,
    SignatureDelta,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStart,
)
from aigateway_core.model import ChatRequest, ImagePart, JsonObject

_CALLS = ("function_call", "custom_tool_call")


class _Growing:
    """A text that comes in pieces. They are joined when it is asked for: a string would be copied at each of them."""

    __slots__ = ("_pieces", "length")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self.length = 0

    def add(self, piece: str) -> None:
        self._pieces.append(piece)
        self.length += len(piece)

    def joined(self) -> str:
        self._pieces = ["".join(self._pieces)]
        return self._pieces[0]

    def stands_in(self, whole: str, place: int = 0) -> bool:
        """Whether it stands at ``place`` of ``whole``."""
        return self.length + place <= len(whole) and whole.startswith(self.joined(), place)


class _Item:
    """What is known of one item: ``told`` is the text or the arguments that have been passed on, ``held`` waits."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.told = _Growing()
        self.held = _Growing()
        self.call: int | None = None
        self.part: Any = None
        self.done = False


class OutputReader:
    """The items of one answer to ``request``; ``origin`` signs its reasoning."""

    def __init__(self, request: ChatRequest, origin: str) -> None:
        self._request = request
        self._origin = origin
        self._forms = CallForms(request.tools, legal=True)
        self._by_index: dict[int, _Item] = {}
        self._by_id: dict[str, _Item] = {}
        self._unsigned = False
        self.response_id = ""
        self.calls = 0
        self.refused = False

    def added(self, body: JsonObject) -> Iterator[StreamEvent]:
        """An item begins."""
        given = body.get("item")
        if type(given) is dict:
            item = self._item(body.get("output_index"), word(given, "id"), word(given, "type"))
            if item.kind in _CALLS:
                yield from self._start(item, given)

    def text(self, body: JsonObject, *, refused: bool = False) -> Iterator[StreamEvent]:
        """A delta of text, or of the words of a refusal."""
        item = self._item(body.get("output_index"), word(body, "item_id"), "message")
        self.refused = self.refused or refused
        yield from self._tell_text(item, word(body, "delta"))

    def reasoning(self, body: JsonObject, part: str) -> Iterator[StreamEvent]:
        """A delta of reasoning; ``part`` names the kind of it (of which the first counts) and its number."""
        item = self._item(body.get("output_index"), word(body, "item_id"), "reasoning")
        if (delta := word(body, "delta")) and (item.part is None or item.part.split()[0] == part.split()[0]):
            gap = "\n\n" if item.part is not None and item.part != part else ""
            item.part = part
            yield from self._tell_thinking(item, gap + delta)

    def arguments(self, body: JsonObject, kind: str, *, whole: str | None = None) -> Iterator[StreamEvent]:
        """A delta of a call's arguments, or (``whole``) all of them."""
        item = self._item(body.get("output_index"), word(body, "item_id"), kind)
        if item.done:
            return
        if whole is None:
            item.held.add(word(body, "delta"))
        else:
            _hold_rest(item, whole)
        yield from self._tell_arguments(item)

    def finished(self, given: Any, index: Any) -> Iterator[StreamEvent]:
        """An item as it is in the end: what of it has not been told yet."""
        if type(given) is not dict:
            return
        item = self._item(index, word(given, "id"), word(given, "type"))
        if item.done or item.kind != word(given, "type"):
            return
        item.done = True
        if item.kind == "message":
            yield from self._message(item, given.get("content"))
        elif item.kind == "reasoning":
            yield from self._proof(item, given)
        elif item.kind == "image_generation_call" and (data := word(given, "result")):
            self._unsigned = False
            yield GeneratedImage(ImagePart(f"image/{word(given, 'output_format') or 'png'}", data))
        elif item.kind in _CALLS:
            yield from self._finish_call(item, given)

    def rest(self, *, cut: bool) -> Iterator[StreamEvent]:
        """Free texts whose item never came; ``cut``: they were broken off, and must not look as if they were whole."""
        for item in self._by_index.values():
            if item.kind == "custom_tool_call" and item.call is not None and not item.done and item.held.length:
                arguments = wrapped_input(item.held.joined())
                yield ToolCallDelta(item.call, arguments[:-2] if cut else arguments)

    def _item(self, index: Any, item_id: str, kind: str) -> _Item:
        """By id, else by place; an item that nobody announced begins here."""
        known = self._by_id.get(item_id) if item_id else None
        if known is None and type(index) is int:
            known = self._by_index.get(index)
        if known is None:
            known = _Item(kind)
            self._by_index[index if type(index) is int else -1 - len(self._by_index)] = known
            if item_id:
                self._by_id[item_id] = known
        return known

    def _tell_text(self, item: _Item, text: str) -> Iterator[StreamEvent]:
        if text:
            item.told.add(text)
            self._unsigned = False
            yield TextDelta(text)

    def _message(self, item: _Item, content: Any) -> Iterator[StreamEvent]:
        text = ""
        for part in content if type(content) is list else ():
            if type(part) is dict:
                refusal = word(part, "refusal") if part.get("type") == "refusal" else ""
                self.refused = self.refused or bool(refusal)
                text += refusal or word(part, "text")
        if item.told.stands_in(text):
            yield from self._tell_text(item, text[item.told.length :])

    def _tell_thinking(self, item: _Item, text: str, origin: str | None = None) -> Iterator[StreamEvent]:
        if self._unsigned and not item.told.length:
            text = "\n\n" + text
        item.told.add(text)
        self._unsigned = True
        yield ThinkingDelta(text, origin or self._origin)

    def _proof(self, item: _Item, given: JsonObject) -> Iterator[StreamEvent]:
        """What proves the reasoning; of its text only what no delta has told."""
        text = _joined(given.get("summary")) or _joined(given.get("content"))
        part = part_of(text, word(given, "encrypted_content"), word(given, "id"), self._origin)
        if part is None:
            return
        if part.redacted is not None:
            self._unsigned = False
            yield RedactedThinking(part.redacted, part.origin)
            return
        if item.told.length and not self._unsigned:
            # It comes too late: what it proves is no longer the last that was told.
            return
        if part.text and not item.told.length:
            yield from self._tell_thinking(item, part.text, part.origin)
        if part.signature is not None:
            self._unsigned = False
            yield SignatureDelta(part.signature, part.origin)

    def _start(self, item: _Item, given: JsonObject, *, now: bool = False) -> Iterator[StreamEvent]:
        """Tell of a call once its id and its name are known, or ``now``."""
        call_id, name = word(given, "call_id"), word(given, "name")
        if item.call is not None or not (now or (call_id and name)):
            return
        item.call = self.calls
        self.calls += 1
        self._unsigned = False
        seed = answer_seed(self.response_id, self._request)
        namespace = word(given, "namespace") or None
        known = self._forms.canonical(namespace, name) if name else f"tool_{item.call}"
        yield ToolCallStart(item.call, call_id or synthetic_tool_id(seed, item.call), known)

    def _tell_arguments(self, item: _Item) -> Iterator[StreamEvent]:
        if item.held.length and item.call is not None and item.kind == "function_call":
            held, item.held = item.held.joined(), _Growing()
            item.told.add(held)
            yield ToolCallDelta(item.call, held)

    def _finish_call(self, item: _Item, given: JsonObject) -> Iterator[StreamEvent]:
        yield from self._start(item, given, now=True)
        if item.call is None:
            return
        if item.kind == "custom_tool_call":
            text = word(given, "input") or item.held.joined()
            yield ToolCallDelta(item.call, wrapped_input(text))
            return
        _hold_rest(item, word(given, "arguments"))
        yield from self._tell_arguments(item)


def _hold_rest(item: _Item, whole: str) -> None:
    """Hold what the whole of the arguments has besides what is known of them."""
    if item.told.stands_in(whole) and item.held.stands_in(whole, item.told.length):
        item.held.add(whole[item.told.length + item.held.length :])


def word(owner: JsonObject, name: str) -> str:
    """A text field; empty when it is not there, or no text."""
    value = owner.get(name)
    return value if type(value) is str else ""


def _joined(parts: Any) -> str:
    """The texts of the parts of a summary, each a paragraph (translation table, 3.5)."""
    if type(parts) is not list:
        return ""
    return "\n\n".join(text for part in parts if type(part) is dict and (text := word(part, "text")))
