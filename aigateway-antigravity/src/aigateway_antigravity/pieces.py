"""The pieces of one answer, out of the envelope in which Cloud Code sends each of them.

A piece stands under ``response``, beside a ``traceId``; it may stand in an array, and without any envelope where
somebody else answers in Google's place. What remains is an ordinary answer of the Gemini API, but for a few habits of
this backend that are put right here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from aigateway_antigravity.fields import snake
from aigateway_antigravity.signatures import from_wire
from aigateway_core.plugin import JsonObject, UpstreamError, loads_upstream

_SIGNATURES = ("thoughtSignature", snake("thoughtSignature"))
_ORDINARY_ENDS = frozenset({"", "STOP", "FINISH_REASON_UNSPECIFIED"})
_LAST: JsonObject = {"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": "STOP"}
_SHARED = ("usageMetadata", "modelVersion", "responseId")


class Pieces:
    """Opens the envelopes of one answer, and remembers what was in them.

    ``claude``: a model of Anthropic's answers, whose signatures stand in base64 once more than they should.
    """

    def __init__(self, *, claude: bool) -> None:
        self._claude = claude
        self._thoughts = _Thoughts()
        self._unsigned = False
        self._spoke = False
        self._counted = False
        self._end: str | None = None
        self._damaged = False
        self._shared: JsonObject = {}

    def open(self, data: bytes) -> list[JsonObject]:
        """The pieces in one event, or in a whole body; none where it is damaged, which one event may be.

        Raises :class:`UpstreamError` for what is JSON and still no piece.
        """
        data = data.strip()
        if not data or data == b"[DONE]":
            return []
        found = _parsed(data)
        self._damaged = found is None
        return [self._put_right(_unwrapped(body)) for body in found or ()]

    @property
    def nothing(self) -> bool:
        """Whether nothing has come at all: no word, no count, and no reason why there is none."""
        return not (self._spoke or self._counted) and (self._end or "") in _ORDINARY_ENDS

    def closing(self) -> JsonObject | None:
        """The end that this backend leaves out of a whole answer now and then; None where none is missing.

        It never follows a damaged piece: what was cut there cannot be whole.
        """
        whole = self._spoke and self._counted and not self._damaged
        return {**self._shared, "candidates": [_LAST]} if whole and self._end is None else None

    def _put_right(self, body: JsonObject) -> JsonObject:
        came = parts_of(body)
        parts = self._thoughts.deltas(came)
        if self._claude:
            parts = list(self._signed(parts))
        self._spoke = self._spoke or any(map(says_something, parts))
        self._counted = self._counted or bool(_counts(body))
        self._end = _end_of(body) or self._end
        self._shared |= {name: body[name] for name in _SHARED if name in body}
        return body if parts == came else _with_parts(body, parts)

    def _signed(self, parts: Iterable[JsonObject]) -> Iterator[JsonObject]:
        """Claude signs its thinking alone: a signature anywhere else is that of the thinking before it."""
        for part in parts:
            found = _field(part, "thoughtSignature")
            signature = found if isinstance(found, str) and found else None
            bare = {name: value for name, value in part.items() if name not in _SIGNATURES}
            thought = part.get("thought") is True
            self._unsigned = self._unsigned or (thought and bool(part.get("text")))
            if signature is not None and (thought or self._unsigned):
                self._unsigned = False
                signed = {"thought": True, "thoughtSignature": from_wire(signature)}
                if thought:
                    yield {**bare, **signed}
                    continue
                yield {"text": "", **signed}
            if signature is None or bare != {"text": ""}:
                yield bare


class _Thoughts:
    """Thinking as what is new of it. Older backends repeat in every piece all that was thought so far.

    A backend does so always or never: the second piece of the first thinking tells.
    """

    def __init__(self) -> None:
        self._repeats: bool | None = None
        self._so_far = ""

    def deltas(self, parts: list[JsonObject]) -> list[JsonObject]:
        """The parts of one piece, without the thinking in them that has come before."""
        if self._repeats is False:
            return parts
        first = next((part for part in parts if part.get("text") or says_something(part)), None)
        if first is None:
            return parts
        text = first.get("text")
        if first.get("thought") is not True or not isinstance(text, str):
            self._so_far = ""
            return parts
        before, self._so_far = self._so_far, text
        if self._repeats is None and any(map(str.isalnum, before)):
            self._repeats = len(text) > len(before) and text.startswith(before)
        if not (self._repeats and before and text.startswith(before)):
            return parts
        return [{**part, "text": text[len(before) :]} if part is first else part for part in parts]


def parts_of(body: JsonObject) -> list[JsonObject]:
    """The parts of the candidate that counts; none in a piece without any."""
    content = _candidate(body).get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def says_something(part: JsonObject) -> bool:
    """Whether this part is more than a signature."""
    return bool(part.get("text")) or any(name not in ("text", "thought", *_SIGNATURES) for name in part)


def wrote_tokens(body: JsonObject) -> bool:
    """Whether this piece counts any token that the model wrote."""
    counts = _counts(body)
    total, prompt = counts.get("totalTokenCount"), counts.get("promptTokenCount")
    if isinstance(total, int) and isinstance(prompt, int) and total > prompt:
        return True
    return any(counts.get(name) for name in ("candidatesTokenCount", "thoughtsTokenCount"))


def _candidate(body: JsonObject) -> JsonObject:
    candidates = body.get("candidates")
    listed = [one for one in candidates if isinstance(one, dict)] if isinstance(candidates, list) else []
    return next((one for one in listed if one.get("index") in (0, None)), {})


def _counts(body: JsonObject) -> JsonObject:
    counts = _field(body, "usageMetadata")
    return counts if isinstance(counts, dict) else {}


def _end_of(body: JsonObject) -> str | None:
    end = _field(_candidate(body), "finishReason")
    return end if isinstance(end, str) else "BLOCKED" if _field(body, "promptFeedback") else None


def _field(owner: JsonObject, name: str) -> Any:
    value = owner.get(name)
    return owner.get(snake(name)) if value is None else value


def _with_parts(body: JsonObject, parts: list[JsonObject]) -> JsonObject:
    counted = _candidate(body)
    candidates = [
        {**one, "content": {**one["content"], "parts": parts}} if one is counted else one for one in body["candidates"]
    ]
    return {**body, "candidates": candidates}


def _unwrapped(body: JsonObject) -> JsonObject:
    inner = body.get("response")
    return inner if isinstance(inner, dict) else body


def _parsed(data: bytes) -> list[JsonObject] | None:
    """The objects that ``data`` holds, by themselves or in an array; None where it is no JSON."""
    try:
        if not data.startswith(b"["):
            return [loads_upstream(data)]
        listed: list[Any] = loads_upstream(b'{"all":' + data + b"}")["all"]
        return [one for one in listed if isinstance(one, dict)]
    except UpstreamError:
        if _is_json(data):
            raise
        return None


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    except RecursionError:
        return True
    return True
