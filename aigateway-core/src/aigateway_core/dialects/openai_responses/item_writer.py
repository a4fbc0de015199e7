"""Turns of the canonical form, written as the input items of a request.

The API refuses a call without an output, an output without its call, and a reasoning item without the item that it led
to; the first two are mended (``turns``), the last is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from aigateway_core.dialects.identifiers import legal_tool_id
from aigateway_core.dialects.openai_facts import note
from aigateway_core.dialects.openai_responses.call_forms import CallForms
from aigateway_core.dialects.openai_responses.content import write_content, write_output
from aigateway_core.dialects.openai_responses.profile import OpenAIResponsesProfile
from aigateway_core.dialects.openai_responses.reasoning import item_of
from aigateway_core.dialects.turns import paired
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

MOST_ID = 64
"""The longest id that the API takes."""


def write_items(turns: Sequence[Message], forms: CallForms, profile: OpenAIResponsesProfile) -> list[JsonObject]:
    """The items."""
    writer = _ItemWriter(forms, profile)
    return [item for turn in paired(turns) for item in writer.turn(turn)]


def is_unwritten(part: Part, origin: str) -> bool:
    """Whether nothing is left of this part but a note that it was there, or nothing at all."""
    return isinstance(part, ThinkingPart) and item_of(part, origin) is None


class _ItemWriter:
    def __init__(self, forms: CallForms, profile: OpenAIResponsesProfile) -> None:
        self._forms = forms
        self._profile = profile
        self._custom: set[str] = set()

    def turn(self, turn: Message) -> Iterator[JsonObject]:
        match turn.role:
            case "assistant":
                yield from self._assistant(turn.parts)
            case "tool":
                yield from (self._output(part) for part in turn.parts if isinstance(part, ToolResultPart))
            case "user":
                if content := write_content(turn.parts):
                    yield _message("user", content)
            case "system":
                if content := write_content(part for part in turn.parts if isinstance(part, TextPart)):
                    yield _message(self._profile.late_system, content)

    def _assistant(self, parts: Iterable[Part]) -> Iterator[JsonObject]:
        held: list[JsonObject] = []
        for part in parts:
            match part:
                case ThinkingPart():
                    item = item_of(part, self._profile.origin)
                    held += [item] if item is not None else []
                    continue
                case ImagePart():
                    # An item of it would need the id that it had as an output.
                    item = _message("assistant", note(part))
                case TextPart(text) if text:
                    # Parts would need the id that the message had as an output; a string needs none.
                    item = _message("assistant", text)
                case ToolCallPart():
                    item = self._call(part)
                case _:
                    continue
            yield from held
            held = []
            yield item

    def _call(self, part: ToolCallPart) -> JsonObject:
        item = self._forms.call(part, legal_tool_id(part.id, MOST_ID))
        if item["type"] == "custom_tool_call":
            self._custom.add(part.id)
        return item

    def _output(self, part: ToolResultPart) -> JsonObject:
        kind = "custom_tool_call_output" if part.call_id in self._custom else "function_call_output"
        return {"type": kind, "call_id": legal_tool_id(part.call_id, MOST_ID), "output": write_output(part)}


def _message(role: str, content: str | list[JsonObject]) -> JsonObject:
    return {"type": "message", "role": role, "content": content}
