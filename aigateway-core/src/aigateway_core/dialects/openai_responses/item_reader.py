"""The input items of a request, read into turns of the canonical form.

Items: the type ``ResponseInputItem`` of OpenAI's SDK; one without a ``type`` but with a role is a message. The rule
for what another vendor has no notion of:

* calls of OpenAI's own tools that run at the client (shell, patch, computer), and their outputs, become ordinary calls;
* an item that points at, or holds, what its maker alone can read (``item_reference``, ``compaction``) is refused,
  since the conversation would be another one without it;
* records of what OpenAI ran itself (searches, MCP, images), and kinds that are not known, are passed over: new ones
  appear with every version of this API. They are named among what the request loses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aigateway_core.dialects.checks import mapping, missing, one_of, optional_string, path_text, sequence, string
from aigateway_core.dialects.openai_responses.content import (
    ASSISTANT_PARTS,
    USER_PARTS,
    read_any_output,
    read_content,
    read_output,
    required,
)
from aigateway_core.dialects.openai_responses.reasoning import part_of
from aigateway_core.dialects.openai_responses.tools import joined_name, read_tools
from aigateway_core.dialects.openai_tools import wrapped_input
from aigateway_core.dialects.turns import latest
from aigateway_core.errors import InvalidRequestError
from aigateway_core.jsontext import dumps
from aigateway_core.model import (
    HostedTool,
    ImagePart,
    JsonObject,
    Message,
    Part,
    TextPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
)

_ROLES = ("user", "assistant", "system", "developer")
_OWN_CALLS = ("local_shell_call", "shell_call", "apply_patch_call", "computer_call")
_NOT_ARGUMENTS = frozenset({"type", "id", "call_id", "status"})
_REFUSED = {
    "item_reference": "this gateway stores no items; send the item itself",
    "compaction": "only the provider that compacted this conversation can read it; send the items themselves",
}


class InputReader:
    """Takes the items one by one; :meth:`turns` gives them in normal form. ``origin`` signs the vendor's reasoning.

    ``unread`` has the first item of each kind that was passed over, by ``messages.`` and its kind.
    """

    def __init__(self, origin: str) -> None:
        self.system: list[str] = []
        self.tools: list[Tool | HostedTool] = []
        self.unread: dict[str, JsonObject] = {}
        self._origin = origin
        self._turns: list[Message] = []
        self._continues = False
        self._calls: dict[str, int] = {}
        self._answers: dict[int, list[ToolResultPart]] = {}

    def read(self, value: Any, *path: str | int) -> None:
        """Take in the item at ``path``. Raises :class:`InvalidRequestError`."""
        item = mapping(value, *path)
        kind = optional_string(item.get("type"), *path, "type")
        if kind is None:
            if "role" not in item:
                missing(*path, "type")
            kind = "message"
        if kind in _REFUSED:
            raise InvalidRequestError(_REFUSED[kind], path=path_text(path))
        if (reader := _READERS.get(kind)) is not None:
            reader(self, item, *path)
        else:
            self.unread.setdefault(f"messages.{kind}", item)

    def turns(self) -> tuple[Message, ...]:
        """The turns, each result directly after the call that it answers."""
        turns: list[Message] = []
        for position, turn in enumerate(self._turns):
            _append(turns, turn)
            if answers := self._answers.get(position):
                _append(turns, Message("tool", latest(turn.parts, answers)))
        return tuple(turns)

    def say(self, parts: tuple[Part, ...]) -> None:
        """What the user said."""
        self._turns.append(Message("user", parts))

    def read_message(self, item: JsonObject, *path: str | int) -> None:
        """A message of any role."""
        role = one_of(required(item, "role", *path), _ROLES, *path, "role")
        content, at = required(item, "content", *path), (*path, "content")
        if role == "user":
            self.say(read_content(content, USER_PARTS, *at))
        elif role == "assistant":
            self._extend(*(() if content is None else read_content(content, ASSISTANT_PARTS, *at)))
        else:
            self._system([part for part in read_content(content, USER_PARTS, *at) if isinstance(part, TextPart)])

    def _system(self, texts: list[TextPart]) -> None:
        if not self._turns:
            self.system.extend(part.text for part in texts)
        elif texts:
            self._turns.append(Message("system", tuple(texts)))

    def _extend(self, *parts: Part) -> None:
        """Items of the model's in a row are one turn; an output among them begins another (cases 102 to 106)."""
        if not parts:
            return
        if self._continues and self._turns[-1].role == "assistant":
            self._turns[-1] = Message("assistant", self._turns[-1].parts + parts)
        else:
            self._turns.append(Message("assistant", parts))
        self._continues = True

    def read_reasoning(self, item: JsonObject, *path: str | int) -> None:
        """What the model thought; summaries are joined as they are (case 105)."""
        text = _joined(item, "summary", *path) or _joined(item, "content", *path)
        encrypted = optional_string(item.get("encrypted_content"), *path, "encrypted_content") or ""
        item_id = optional_string(item.get("id"), *path, "id") or ""
        if (part := part_of(text, encrypted, item_id, self._origin)) is not None:
            self._extend(part)

    def read_function_call(self, item: JsonObject, *path: str | int) -> None:
        """A call of a function, which may stand in a namespace; an object in place of its JSON text is taken too."""
        arguments = item.get("arguments")
        if type(arguments) is dict:
            text = dumps(arguments).decode()
        else:
            text = optional_string(arguments, *path, "arguments") or ""
        self._call(item, text if text.strip() else "{}", *path)

    def read_custom_call(self, item: JsonObject, *path: str | int) -> None:
        """A call with free text."""
        self._call(item, wrapped_input(string(required(item, "input", *path), *path, "input")), *path)

    def _call(self, item: JsonObject, arguments: str, *path: str | int) -> None:
        call_id = string(required(item, "call_id", *path), *path, "call_id")
        namespace = optional_string(item.get("namespace"), *path, "namespace")
        name = string(required(item, "name", *path), *path, "name")
        self._place(ToolCallPart(call_id, joined_name(namespace, name), arguments))

    def _place(self, call: ToolCallPart) -> None:
        self._extend(call)
        self._calls[call.id] = len(self._turns) - 1

    def read_own_call(self, item: JsonObject, *path: str | int) -> None:
        """A call of a tool that OpenAI defines and the client runs."""
        name = string(item["type"], *path, "type").removesuffix("_call")
        arguments = {key: value for key, value in item.items() if key not in _NOT_ARGUMENTS}
        self._place(ToolCallPart(_call_id(item, *path), name, dumps(arguments).decode()))

    def read_result(self, item: JsonObject, *path: str | int) -> None:
        """The output of a call; one without an id answers nothing and is left out (case 127)."""
        call_id = string(required(item, "call_id", *path), *path, "call_id")
        if call_id:
            content = read_output(required(item, "output", *path), *path, "output")
            self._answer(ToolResultPart(call_id, content))

    def read_own_result(self, item: JsonObject, *path: str | int) -> None:
        """The output of a tool that OpenAI defines and the client runs."""
        content = read_any_output(item.get("output"), *path, "output")
        self._answer(ToolResultPart(_call_id(item, *path), content))

    def _answer(self, result: ToolResultPart) -> None:
        self._continues = False
        if (turn := self._calls.get(result.call_id)) is None:
            self._turns.append(Message("tool", (result,)))
        else:
            self._answers.setdefault(turn, []).append(result)

    def read_picture(self, item: JsonObject, *path: str | int) -> None:
        """A picture that the model made; one that is not whole is left out."""
        if data := optional_string(item.get("result"), *path, "result"):
            kind = optional_string(item.get("output_format"), *path, "output_format") or "png"
            self._extend(ImagePart(f"image/{kind}", data))

    def read_additional_tools(self, item: JsonObject, *path: str | int) -> None:
        """Tools that are offered from here on; other vendors are told of them at once."""
        self.tools.extend(read_tools(item.get("tools"), *path, "tools"))


_READERS: dict[str, Callable[..., None]] = {
    "message": InputReader.read_message,
    "reasoning": InputReader.read_reasoning,
    "function_call": InputReader.read_function_call,
    "function_call_output": InputReader.read_result,
    "custom_tool_call": InputReader.read_custom_call,
    "custom_tool_call_output": InputReader.read_result,
    "image_generation_call": InputReader.read_picture,
    "additional_tools": InputReader.read_additional_tools,
    **dict.fromkeys(_OWN_CALLS, InputReader.read_own_call),
    **dict.fromkeys([f"{kind}_output" for kind in _OWN_CALLS], InputReader.read_own_result),
}


def _append(turns: list[Message], turn: Message) -> None:
    if turn.role == "tool" and turns and turns[-1].role == "tool":
        turns[-1] = Message("tool", turns[-1].parts + turn.parts)
    else:
        turns.append(turn)


def _call_id(item: JsonObject, *path: str | int) -> str:
    """The id of a call: the outputs of the older shell tool have it as their ``id``."""
    return string(item["call_id"] if "call_id" in item else required(item, "id", *path), *path, "call_id")


def _joined(item: JsonObject, name: str, *path: str | int) -> str:
    if (value := item.get(name)) is None:
        return ""
    texts = []
    for index, raw in enumerate(sequence(value, *path, name)):
        at = (*path, name, index)
        texts.append(string(required(mapping(raw, *at), "text", *at), *at, "text"))
    return "".join(texts)
