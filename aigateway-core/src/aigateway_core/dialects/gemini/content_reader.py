"""The ``contents`` of a request, read into turns of the canonical form."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from aigateway_core.dialects.checks import (
    Path,
    mapping,
    missing,
    one_of,
    optional_boolean,
    optional_string,
    path_text,
    string,
)
from aigateway_core.dialects.gemini.keys import elements, field, spellings
from aigateway_core.dialects.gemini.media import read_file, read_inline
from aigateway_core.dialects.gemini.results import read_result
from aigateway_core.dialects.gemini.signing import is_foreign, is_placeholder, unsealed
from aigateway_core.dialects.identifiers import digest
from aigateway_core.dialects.turns import latest, merged
from aigateway_core.errors import InvalidRequestError
from aigateway_core.jsontext import dumps
from aigateway_core.model import (
    ImagePart,
    JsonObject,
    Message,
    Part,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
)

_ROLES = ("user", "model", "function")
_READ = spellings(
    *("text", "thought", "thoughtSignature", "inlineData", "fileData"),
    *("functionCall", "functionResponse", "executableCode", "codeExecutionResult"),
)
"""The fields of a part that are read; the others are kinds of content, or hints, of later versions of this API."""


@attrs.define(eq=False)
class _OpenCall:
    """A call of the last turn."""

    id: str
    name: str
    answered: bool = False


class _OpenCalls:
    """The calls of the last turn that nothing has answered yet, to be found by id and by name."""

    def __init__(self) -> None:
        self._by_id: defaultdict[str, deque[_OpenCall]] = defaultdict(deque)
        self._by_name: defaultdict[str, deque[_OpenCall]] = defaultdict(deque)

    def add(self, call: _OpenCall) -> None:
        self._by_id[call.id].append(call)
        self._by_name[call.name].append(call)

    def answer(self, call_id: str) -> _OpenCall | None:
        """The first with this id, which is answered now."""
        return _answered(self._by_id.get(call_id))

    def answer_named(self, name: str) -> _OpenCall | None:
        """The first with this name, which is answered now."""
        return _answered(self._by_name.get(name))


def _answered(calls: deque[_OpenCall] | None) -> _OpenCall | None:
    while calls:
        call = calls.popleft()
        if not call.answered:
            call.answered = True
            return call
    return None


class ContentReader:
    """Takes the contents one by one; :meth:`turns` gives them in normal form.

    Calls and responses without ids are paired by name in the order in which they come, within one turn: vendors use
    an id again in a later one (case 136). ``unread`` has what parts held besides, by ``messages.`` and the field.
    """

    def __init__(self, origin: str) -> None:
        self.unread: JsonObject = {}
        self._origin = origin
        self._turns: list[Message] = []
        self._answers: dict[int, list[ToolResultPart]] = {}
        self._asked: dict[str, int] = {}
        self._open = _OpenCalls()
        self._unnamed: Counter[str] = Counter()
        self._model: list[tuple[JsonObject, Path]] = []

    def read(self, value: Any, path: Path) -> None:
        """Take in the content at ``path``. Raises :class:`InvalidRequestError`."""
        content = mapping(value, *path)
        role = one_of(content.get("role") or "user", _ROLES, *path, "role")
        given = content.get("parts")
        listed = [] if given is None else elements(given, *path, "parts")
        parts = [(mapping(part, *place), place) for part, place in listed]
        for part, _ in parts:
            self._note(part)
        if role == "model":
            # SDKs keep each chunk of a stream as a content of its own.
            self._model += parts
            return
        self._end_of_model_turn()
        self._user(parts)

    def turns(self) -> tuple[Message, ...]:
        """The turns, each response directly after the call that it answers."""
        self._end_of_model_turn()
        return tuple(merged(self._with_answers(), ("tool",)))

    def _with_answers(self) -> Iterator[Message]:
        for position, turn in enumerate(self._turns):
            yield turn
            if answers := self._answers.get(position):
                yield Message("tool", latest(turn.parts, answers))

    def _note(self, part: JsonObject) -> None:
        for name, value in part.items():
            if name not in _READ and value is not None:
                self.unread.setdefault(f"messages.{name}", value)

    def _end_of_model_turn(self) -> None:
        if not self._model:
            return
        reader = _ModelTurn(self._origin)
        for part, path in self._model:
            if (call := field(part, "functionCall")) is not None:
                reader.call(self._call(call, (*path, "functionCall"), first=not reader.called), _signature(part, path))
            else:
                reader.read(part, path)
        self._model = []
        if parts := reader.finished():
            self._turns.append(Message("assistant", parts))

    def _call(self, value: Any, path: Path, *, first: bool) -> ToolCallPart:
        call = mapping(value, *path)
        name = _name(call, path)
        arguments = call.get("args")
        if first:
            self._open = _OpenCalls()
        call_id = optional_string(call.get("id"), *path, "id") or self._made_up("call", name)
        self._open.add(_OpenCall(call_id, name))
        self._asked[call_id] = len(self._turns)
        text = "{}" if arguments is None else dumps(mapping(arguments, *path, "args")).decode()
        return ToolCallPart(call_id, name, text)

    def _user(self, parts: Iterable[tuple[JsonObject, Path]]) -> None:
        shown: list[Part] = []
        strays: list[Part] = []
        for part, path in parts:
            if (response := field(part, "functionResponse")) is not None:
                strays += self._response(response, (*path, "functionResponse"))
            elif (seen := _shown(part, path)) is not None:
                shown.append(seen)
        if strays:
            self._turns.append(Message("tool", tuple(strays)))
        if shown:
            self._turns.append(Message("user", tuple(shown)))

    def _response(self, value: Any, path: Path) -> list[ToolResultPart]:
        """The response put to its call; given back when it has none."""
        response = mapping(value, *path)
        name = _name(response, path)
        given = optional_string(response.get("id"), *path, "id")
        call = self._answered(given, name)
        call_id = call.id if call else given or self._made_up("response", name)
        result = read_result(response, call_id, path)
        turn = self._asked.get(call_id)
        if turn is None:
            return [result]
        self._answers.setdefault(turn, []).append(result)
        return []

    def _answered(self, given: str | None, name: str) -> _OpenCall | None:
        """The open call that a response answers: the one with its id, else the first with its name."""
        call = self._open.answer(given) if given is not None else None
        if call is None and given not in self._asked:
            call = self._open.answer_named(name)
        return call

    def _made_up(self, kind: str, name: str) -> str:
        """An id that nobody gave: the same whenever the same conversation comes again."""
        self._unnamed[f"{kind} {name}"] += 1
        return "call_" + digest(kind, name, self._unnamed[f"{kind} {name}"])


class _ModelTurn:
    """One turn of the model. Its texts may come in pieces, and its thoughts in pieces with a signature behind them."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._parts: list[Part] = []
        self._thoughts: list[str] = []
        self._pieces: dict[int, list[str]] = {}
        self.called = False

    def read(self, part: JsonObject, path: Path) -> None:
        text = optional_string(part.get("text"), *path, "text")
        signature = _signature(part, path)
        if text is not None and optional_boolean(part.get("thought"), *path, "thought"):
            self._thoughts.append(text)
            self._sign(signature)
        elif text is not None:
            self._text(text, signature)
        elif (seen := _shown(part, path)) is not None:
            self._end_of_thoughts()
            self._parts.append(seen)
            self._sign(signature if isinstance(seen, ImagePart) else None)

    def call(self, call: ToolCallPart, signature: str | None) -> None:
        self._end_of_thoughts()
        self.called = True
        if signature is not None and not is_foreign(signature):
            self._parts.append(ThinkingPart("", origin=self._origin, redacted=signature))
        self._parts.append(call)

    def finished(self) -> tuple[Part, ...]:
        self._end_of_thoughts()
        for place, pieces in self._pieces.items():
            self._parts[place] = TextPart("".join(pieces))
        return tuple(self._parts)

    def _text(self, text: str, signature: str | None) -> None:
        if text:
            self._end_of_thoughts()
            last = self._parts[-1] if self._parts else None
            if isinstance(last, TextPart):
                self._pieces.setdefault(len(self._parts) - 1, [last.text]).append(text)
            else:
                self._parts.append(TextPart(text))
        self._sign(signature)

    def _sign(self, signature: str | None) -> None:
        """A signature closes the thoughts before it; one of the gateway's own holds them in full."""
        if signature is None:
            return
        thinking = unsealed(signature, "".join(self._thoughts), self._origin)
        self._thoughts = []
        if thinking is not None:
            self._parts.append(thinking)

    def _end_of_thoughts(self) -> None:
        text, self._thoughts = "".join(self._thoughts), []
        if text.strip():
            self._parts.append(ThinkingPart(text, origin=self._origin))


def _signature(part: JsonObject, path: Path) -> str | None:
    """The part's signature, if it has one that says anything."""
    signature = optional_string(field(part, "thoughtSignature"), *path, "thoughtSignature")
    return None if not signature or is_placeholder(signature) else signature


def _name(owner: JsonObject, path: Path) -> str:
    if "name" not in owner:
        missing(*path, "name")
    name = string(owner["name"], *path, "name")
    if not name:
        raise InvalidRequestError("the name of a function is required", path=path_text((*path, "name")))
    return name


def _shown(part: JsonObject, path: Path) -> Part | None:
    """What a part shows; None for thoughts, and for what no other vendor could be told of."""
    if (text := optional_string(part.get("text"), *path, "text")) is not None:
        return TextPart(text) if text and part.get("thought") is not True else None
    if (blob := field(part, "inlineData")) is not None:
        return read_inline(blob, (*path, "inlineData"))
    if (file := field(part, "fileData")) is not None:
        return read_file(file, (*path, "fileData"))
    return ran_code(part, path)


def ran_code(part: JsonObject, path: Path) -> TextPart | None:
    """Code that Google ran for the model, or what came of it, as text."""
    for name, value in (("executableCode", "code"), ("codeExecutionResult", "output")):
        if (ran := field(part, name)) is not None:
            text = optional_string(mapping(ran, *path, name).get(value), *path, name, value)
            return TextPart(f"\n```\n{text}\n```\n") if text else None
    return None
