"""Tool calls put together from the fragments in which servers stream them.

OpenAI sends id, name and index first and the arguments after; every one of these is missing, late, empty or repeated at
some compatible server. A call is told once its id and its name are known, or, if they never come, at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from aigateway_core.dialects.arguments import GrowingArguments
from aigateway_core.dialects.identifiers import synthetic_tool_id
from aigateway_core.dialects.openai_chat.response import arguments_in
from aigateway_core.events import StreamEvent, ToolCallDelta, ToolCallStart
from aigateway_core.model import JsonObject


class _Call:
    __slots__ = ("_seen", "_text", "arguments", "id", "index", "name", "ordinal")

    def __init__(self, index: int | None) -> None:
        self.index = index
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []
        self.ordinal: int | None = None
        self._text = GrowingArguments()
        self._seen = 0

    def is_complete(self) -> bool:
        """Whether the arguments so far are the whole of an object. Where nobody asks, nobody looks at them."""
        for fragment in self.arguments[self._seen :]:
            self._text.add(fragment)
        self._seen = len(self.arguments)
        return self._text.complete


class ToolFragments:
    """The calls of one answer. ``restore`` turns a name on the wire into the client's own."""

    def __init__(self, restore: Callable[[str], str]) -> None:
        self._restore = restore
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}
        self.started = 0

    def feed(self, fragment: Any) -> Iterator[StreamEvent]:
        """Take in one entry of ``tool_calls``."""
        if type(fragment) is not dict:
            return
        function = fragment.get("function")
        if type(function) is not dict:
            function = {}
        call_id, name, arguments = _word(fragment, "id"), _word(function, "name"), arguments_in(function)
        call = self._call(fragment.get("index"), call_id, name, arguments)
        call.id = call.id or call_id
        call.name = call.name or name
        self._by_id.setdefault(call.id, call)
        if call.ordinal is None and call.id and call.name:
            yield from self._start(call)
        if arguments:
            call.arguments.append(arguments)
            if call.ordinal is not None:
                yield ToolCallDelta(call.ordinal, arguments)

    def finish(self, seed: str) -> Iterator[StreamEvent]:
        """The calls that were held back for want of an id or a name, in the order of their indexes.

        ``seed`` is what missing ids are made from. A call of which nothing came at all is left out.
        """
        waiting = [call for call in self._calls if call.ordinal is None and (call.id or call.name or call.arguments)]
        for call in sorted(waiting, key=lambda call: -1 if call.index is None else call.index):
            call.id = call.id or synthetic_tool_id(seed, self.started)
            call.name = call.name or f"tool_{self.started if call.index is None else call.index}"
            yield from self._start(call)

    @property
    def seen(self) -> bool:
        """Whether anything of a call has come."""
        return any(call.id or call.name or call.arguments for call in self._calls)

    def all_complete(self) -> bool:
        """Whether no call was cut in the middle of its arguments."""
        return all(call.is_complete() for call in self._calls if call.id or call.name or call.arguments)

    def _start(self, call: _Call) -> Iterator[StreamEvent]:
        call.ordinal = self.started
        self.started += 1
        yield ToolCallStart(call.ordinal, call.id, self._restore(call.name))
        if held := "".join(call.arguments):
            yield ToolCallDelta(call.ordinal, held)

    def _call(self, index: Any, call_id: str, name: str, arguments: str) -> _Call:
        """The call that a fragment belongs to: by index, else by id, else the last one."""
        if type(index) is int:
            call = self._by_index.get(index)
            if call is None or _shares_its_index(call, call_id, name, arguments):
                call = self._by_index[index] = self._new(index)
            return call
        if call_id and (known := self._by_id.get(call_id)):
            return known
        last = self._calls[-1] if self._calls else None
        if last is None or (call_id and last.id) or _comes_after(last, name, arguments):
            return self._new(None)
        return last

    def _new(self, index: int | None) -> _Call:
        call = _Call(index)
        self._calls.append(call)
        return call


def _shares_its_index(call: _Call, call_id: str, name: str, arguments: str) -> bool:
    """Whether a fragment with the index of ``call`` is another call all the same: some servers number every call 0.

    An id of its own does not tell, since some servers make up one for each fragment; a name beside it does.
    """
    if not (name and call.name):
        return False
    if call_id and call_id != call.id:
        return bool(call.id) and (name != call.name or call.is_complete())
    return not call_id and bool(arguments.strip()) and call.is_complete()


def _comes_after(call: _Call, name: str, arguments: str) -> bool:
    """Whether a fragment with neither index nor id begins another call: one with a name, when ``call`` can be whole."""
    if not (name and call.name):
        return False
    if name != call.name and not call.arguments:
        return True
    return (name != call.name or bool(arguments.strip())) and call.is_complete()


def _word(owner: JsonObject, name: str) -> str:
    value = owner.get(name)
    return value if type(value) is str else ""
