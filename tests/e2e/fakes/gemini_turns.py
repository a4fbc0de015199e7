"""What Gemini refuses in a conversation: in its parts, in the order of its turns, in the signatures."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator

from e2e.fakes.chat_rules import is_base64
from e2e.fakes.sdk_types import ModelType
from e2e.fakes.vendor import JsonObject, Problem
from google.genai import types

PLACEHOLDERS = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")
"""What a call may bear that this vendor did not make."""

_CONTENT = ModelType(types.Content)
_ROLES = ("user", "model", "function")
_MEDIA = {
    *("image/png", "image/jpeg", "image/webp", "image/heic", "image/heif", "application/pdf", "text/plain"),
    *("audio/wav", "audio/mp3", "audio/mpeg", "audio/aiff", "audio/aac", "audio/ogg", "audio/flac", "video/mp4"),
}
# Of the SDK's types, what only Google's other platform takes; the SDK itself refuses to send it here.
_ELSEWHERE = {
    "functionCall": {"partialArgs", "willContinue"},
    "inlineData": {"displayName"},
    "fileData": {"displayName"},
}
_DATA = {
    *("text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult"),
    *("toolCall", "toolResponse"),
}
_BESIDE = {"thought", "thoughtSignature", "videoMetadata", "mediaResolution", "partMetadata"}


class Signatures:
    """What this server signed, by the signature: ``call`` and its name, or ``text``."""

    def __init__(self) -> None:
        self._issued: dict[bytes, tuple[str, str]] = {}

    def issue(self, kind: str, name: str) -> str:
        """A new signature."""
        raw = b"\x12\xfb" + f"{kind} {name} {len(self._issued)}".encode()
        self._issued[raw] = (kind, name)
        return base64.b64encode(raw).decode()

    def signed(self, signature: str) -> tuple[str, str] | None:
        """What it is the signature of; None for one that this server did not make."""
        padded = signature.replace("-", "+").replace("_", "/") + "=" * (-len(signature) % 4)
        return self._issued.get(base64.b64decode(padded)) if is_base64(padded) else None


def merged(contents: list[JsonObject]) -> list[tuple[str, list[JsonObject]]]:
    """Role (``user`` or ``model``) and parts of each turn; neighbours of one role are one turn."""
    sides = itertools.groupby(contents, key=lambda content: content.get("role") == "model")
    return [
        ("model" if model else "user", [part for content in group for part in content["parts"]])
        for model, group in sides
    ]


def problems(contents: object, *, signed: bool, signatures: Signatures) -> Iterator[Problem]:
    """Everything that is wrong with ``contents``; ``signed``: the first call of each turn has to bear a signature."""
    shape = list(shape_problems(contents))
    yield from shape
    if shape or not isinstance(contents, list):
        return
    yield from order_problems(contents)
    for number, content in enumerate(contents):
        yield from _signed(content, f"contents[{number}]", signatures)
    if signed:
        for role, parts in merged(contents):
            yield from _first_call(parts) if role == "model" else ()


def shape_problems(contents: object) -> Iterator[Problem]:
    """What is wrong with ``contents`` wherever they stand: no turns, no parts, parts of a kind that there is not."""
    if not isinstance(contents, list) or not contents:
        yield Problem("* GenerateContentRequest.contents: contents is not specified", where="contents")
        return
    for number, one in enumerate(contents):
        yield from _content(one, f"contents[{number}]")


def order_problems(contents: list[JsonObject]) -> Iterator[Problem]:
    """What is wrong with the order of turns that are each well shaped."""
    if contents[-1].get("role") == "model":
        yield Problem("Please ensure that multiturn requests end with a user role or a function response.")
    yield from _pairing(contents)


def _content(content: object, where: str) -> Iterator[Problem]:
    typed = list(_CONTENT.problems(content, where))
    yield from typed
    if typed or not isinstance(content, dict):
        return
    if content.get("role", "user") not in _ROLES:
        yield Problem("Please use a valid role: user, model.", where=f"{where}.role")
    if not content.get("parts"):
        yield Problem("Unable to submit request because it must include at least one parts field.", where=where)
    for position, part in enumerate(content.get("parts") or ()):
        yield from _part(part, content.get("role", "user"), f"{where}.parts[{position}]")


def _part(part: JsonObject, role: str, where: str) -> Iterator[Problem]:
    unknown = part.keys() - _DATA - _BESIDE
    for name in unknown:
        yield Problem(f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.', where=where)
    for name, others in _ELSEWHERE.items():
        for other in others & (part.get(name) or {}).keys():
            yield Problem(f'Unknown name "{other}": Cannot find field.', where=f"{where}.{name}")
    said = part.keys() & _DATA
    if len(said) != 1 or (part.get("text") == "" and "thoughtSignature" not in part):
        yield Problem("required oneof field 'data' must have one initialized field", where=f"{where}.data")
    if ("functionCall" in part or "thought" in part) and role != "model":
        yield Problem("Function calls and thoughts are the model's.", where=where)
    if "functionResponse" in part and role == "model":
        yield Problem("Function responses are the user's.", where=where)
    yield from _media(part, where)


def _media(part: JsonObject, where: str) -> Iterator[Problem]:
    inline = part.get("inlineData")
    if inline is not None and inline.get("mimeType") not in _MEDIA:
        yield Problem(f"Unsupported MIME type: {inline.get('mimeType')}", where=where)
    if inline is not None and not is_base64(inline.get("data", "")):
        yield Problem("Base64 decoding failed", where=f"{where}.inlineData")
    if "fileData" in part and not part["fileData"].get("fileUri", "").startswith("https://"):
        yield Problem("Cannot fetch content from the provided URL.", where=f"{where}.fileData")
    for inner in (part.get("functionResponse") or {}).get("parts") or ():
        yield from _media(inner, f"{where}.functionResponse")


def _pairing(contents: list[JsonObject]) -> Iterator[Problem]:
    """A turn of calls follows the user's turn, and is followed by one content with a response for each call."""
    waiting: list[JsonObject] = []
    before = ""
    for number, content in enumerate(contents):
        where = f"contents[{number}]"
        responses = [part["functionResponse"] for part in content["parts"] if "functionResponse" in part]
        yield from _responses(waiting, responses, where)
        waiting = [part["functionCall"] for part in content["parts"] if "functionCall" in part]
        if waiting and before != "user":
            yield Problem(
                "Please ensure that function call turn comes immediately after a user turn or after a function "
                "response turn.",
                where=where,
            )
        before = "model" if content.get("role") == "model" else "user"
    yield from _responses(waiting, [], f"contents[{len(contents)}]")


def _responses(calls: list[JsonObject], responses: list[JsonObject], where: str) -> Iterator[Problem]:
    if len(calls) != len(responses):
        yield Problem(
            "Please ensure that the number of function response parts is equal to the number of function call parts "
            f"of the function call turn ({len(responses)} for {len(calls)}).",
            where=where,
        )
        return
    for response in responses:
        match = next((call for call in calls if _answers(response, call)), None)
        if match is None:
            yield Problem(f"Function response {response.get('name')!r} answers no call", where=where)
        if not isinstance(response.get("response"), dict):
            yield Problem("GenerateContentRequest.function_response.response: required", where=where)


def _answers(response: JsonObject, call: JsonObject) -> bool:
    same = "id" not in response or "id" not in call or response["id"] == call["id"]
    return same and response.get("name") == call.get("name")


def _signed(content: JsonObject, where: str, signatures: Signatures) -> Iterator[Problem]:
    """A signature is this server's own, and stands where it was given out; calls may bear the placeholder."""
    calls = 0
    for position, part in enumerate(content["parts"]):
        call = part.get("functionCall")
        calls += call is not None
        signature = part.get("thoughtSignature")
        if signature is None or (signature in PLACEHOLDERS and calls == 1 and call is not None):
            continue
        wanted = ("text", "") if call is None else ("call", call["name"])
        if signatures.signed(signature) != wanted:
            yield Problem("Thought signature is not valid.", where=f"{where}.parts[{position}]")


def _first_call(parts: list[JsonObject]) -> Iterator[Problem]:
    first = next((part for part in parts if "functionCall" in part), None)
    if first is not None and not first.get("thoughtSignature"):
        yield Problem("Function call is missing a thought_signature in functionCall parts.", where="contents")
