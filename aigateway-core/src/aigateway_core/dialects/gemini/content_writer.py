"""Turns of the canonical form, written as the ``contents`` of a request.

What the API insists on: a turn of the model that calls functions follows a turn of the user's, and is followed by one
response for each call; no part is empty; on newer models the first call of a turn bears a signature (ai.google.dev,
"function calling", "thought signatures").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from aigateway_core.dialects.arguments import told_arguments
from aigateway_core.dialects.gemini.media import is_readable, write_media
from aigateway_core.dialects.gemini.names import wire_name
from aigateway_core.dialects.gemini.profile import GeminiProfile, ModelRule
from aigateway_core.dialects.gemini.results import OMITTED_IMAGE, document_text, texts, write_result
from aigateway_core.dialects.identifiers import legal_tool_id
from aigateway_core.dialects.turns import paired
from aigateway_core.model import (
    AudioPart,
    DocumentPart,
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
"""The longest call id that is passed on as it is; this API names no limit."""

_PLACEHOLDER = "."
"""What a turn says that exists only because the API wants a user's turn there."""


def write_contents(messages: Sequence[Message], rule: ModelRule, profile: GeminiProfile) -> list[JsonObject]:
    """The ``contents``: never empty, beginning and ending with the user, who cannot begin the model's answer."""
    writer = _ContentWriter(rule, profile)
    for message in paired(messages):
        writer.add(message)
    return writer.finished()


def ends_with_the_model(messages: Sequence[Message], profile: GeminiProfile) -> bool:
    """Whether the conversation ends with words of the model's that it is to go on with (case 47)."""
    last = next((message for message in reversed(messages) if message.role not in unseen(profile)), None)
    return last is not None and last.role == "assistant" and bool(last.text)


def unseen(profile: GeminiProfile) -> tuple[str, ...]:
    """The roles whose messages do not stand in ``contents``."""
    return ("system",) if profile.late_system == "instruction" else ()


def is_unwritten(part: Part, origin: str) -> bool:
    """Whether nothing is left of this part but a note, or nothing at all."""
    if isinstance(part, ThinkingPart):
        return part.origin != origin or not (part.signature or part.redacted)
    if isinstance(part, ImagePart) and not is_readable(part):
        return True
    return isinstance(part, ImagePart | DocumentPart) and shown(part) is None


def signs_nothing(messages: Iterable[Message]) -> bool:
    """Whether the signature of a call stands somewhere without its call."""
    return any(
        isinstance(part, ThinkingPart) and part.redacted is not None and not isinstance(following, ToolCallPart)
        for message in messages
        for part, following in pairwise((*message.parts, None))
    )


class _ContentWriter:
    def __init__(self, rule: ModelRule, profile: GeminiProfile) -> None:
        self._rule = rule
        self._profile = profile
        self._contents: list[JsonObject] = []
        self._names: dict[str, str] = {}

    def add(self, message: Message) -> None:
        match message.role:
            case "assistant":
                self._names |= {part.id: part.name for part in message.parts if isinstance(part, ToolCallPart)}
                self._model(model_parts(message.parts, self._rule, self._profile))
            case "tool":
                self._results([part for part in message.parts if isinstance(part, ToolResultPart)])
            case "user":
                self._user([written for part in message.parts for written in _titled(part)])
            case "system" if self._profile.late_system == "reminder":
                if reminder := "\n\n".join(texts(message.parts)):
                    self._user([{"text": f"<system-reminder>\n{reminder}\n</system-reminder>"}])
            case _:
                pass

    def finished(self) -> list[JsonObject]:
        while self._contents and self._contents[-1]["role"] == "model":
            self._contents.pop()
        if not self._contents or self._contents[0]["role"] == "model":
            self._contents.insert(0, {"role": "user", "parts": [{"text": _PLACEHOLDER}]})
        return self._contents

    def _user(self, parts: list[JsonObject]) -> None:
        if parts:
            self._contents.append({"role": "user", "parts": parts})

    def _model(self, parts: list[JsonObject]) -> None:
        if not parts:
            return
        if self._contents and self._contents[-1]["role"] == "model":
            self._contents[-1]["parts"] += parts
        else:
            self._contents.append({"role": "model", "parts": parts})

    def _results(self, results: Iterable[ToolResultPart]) -> None:
        """All responses in one turn, and in another what older models cannot take inside of them."""
        responses: list[JsonObject] = []
        following: list[JsonObject] = []
        for result in results:
            name = wire_name(self._names.get(result.call_id, result.call_id))
            response, attached = write_result(
                result, legal_tool_id(result.call_id, MOST_ID), name, media=self._rule.media_in_results
            )
            responses.append(response)
            if attached:
                following += [{"text": f"Attached to the response of {name}:"}, *attached]
        self._user(responses)
        self._user(following)


def _titled(part: Part) -> list[JsonObject]:
    """A part of a user's turn, behind the title of a document that has no other place for it."""
    written = shown(part)
    if written is None:
        return []
    title = part.title if isinstance(part, DocumentPart) and "text" not in written else None
    return [{"text": f"[{title}]"}, written] if title else [written]


def shown(part: Part) -> JsonObject | None:
    """A part of a user's turn; None for one that shows nothing."""
    match part:
        case TextPart() | DocumentPart(text=str()):
            text = document_text(part)
            return {"text": text} if text else None
        case ImagePart() if not is_readable(part):
            return {"text": OMITTED_IMAGE}
        case ImagePart() | DocumentPart() | AudioPart():
            return write_media(part)
        case _:
            return None


def model_parts(parts: Iterable[Part], rule: ModelRule, profile: GeminiProfile) -> list[JsonObject]:
    """The parts of a model's turn; thinking of other makers, and thinking without a signature, is left out."""
    written: list[JsonObject] = []
    held: str | None = None
    for part in parts:
        match part:
            case ThinkingPart(redacted=str(signature)) if part.origin == profile.origin:
                held = signature
                continue
            case ThinkingPart(text, str(signature)) if part.origin == profile.origin and signature:
                sign(written, text, signature)
            case ToolCallPart():
                written.append(_call(part, held))
            case _ if (seen := shown(part)) is not None:
                written.append(seen)
        held = None
    if rule.signed_calls and profile.skip_signature is not None:
        sign_first_call(written, profile.skip_signature)
    return written


def sign(written: list[JsonObject], text: str, signature: str) -> None:
    """Add a signed thought; a signature without any belongs to the text before it."""
    if text:
        written.append({"text": text, "thought": True, "thoughtSignature": signature})
    elif written and written[-1].keys() in ({"text"}, {"inlineData"}):
        written[-1]["thoughtSignature"] = signature
    else:
        written.append({"text": "", "thoughtSignature": signature})


def sign_first_call(written: list[JsonObject], signature: str) -> None:
    """Put ``signature`` on the first call, if that has none: of parallel calls only the first needs one."""
    first = next((part for part in written if "functionCall" in part), None)
    if first is not None and not first.get("thoughtSignature"):
        first["thoughtSignature"] = signature


def _call(part: ToolCallPart, signature: str | None) -> JsonObject:
    arguments = told_arguments(part.arguments)
    call = {"id": legal_tool_id(part.id, MOST_ID), "name": wire_name(part.name), "args": arguments}
    return {"functionCall": call} | ({} if signature is None else {"thoughtSignature": signature})
