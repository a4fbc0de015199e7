"""The native path: client and upstream speak the same API, so bodies pass but for what has to change."""

from __future__ import annotations

from typing import Any

from aigateway_core.dialects.checks import from_upstream, mapping
from aigateway_core.dialects.dialect import Classify, NativeAnswer
from aigateway_core.dialects.gemini.keys import field, spellings
from aigateway_core.dialects.gemini.outcome import blocked_prompt, read_finish, read_usage
from aigateway_core.dialects.gemini.profile import GeminiProfile
from aigateway_core.dialects.gemini.response import finish_in, first_candidate, no_answer, parse
from aigateway_core.dialects.gemini.signing import is_foreign
from aigateway_core.errors import UpstreamError
from aigateway_core.jsontext import dumps
from aigateway_core.model import FinishReason, JsonObject

_NOT_IN_THE_BODY = ("model", "stream")
_SIGNATURES = spellings("thoughtSignature")


def relayed_request(body: JsonObject, model: str, profile: GeminiProfile) -> JsonObject:
    """``body`` for the upstream: no thinking that another vendor made, and a signature where one is asked for.

    A conversation may have been with another vendor before, whose calls bear no signature; the newer models refuse
    them without (case 142).
    """
    relayed = {name: value for name, value in body.items() if name not in _NOT_IN_THE_BODY}
    contents = body.get("contents")
    if isinstance(contents, list):
        skip = profile.skip_signature if profile.rule(model).signed_calls else None
        kept = (_relayed_content(content, skip) for content in contents)
        relayed["contents"] = [content for content in kept if content is not None]
    return relayed


def _relayed_content(content: Any, skip: str | None) -> Any:
    """The content as it goes on; None when nothing of it is left."""
    parts = content.get("parts") if isinstance(content, dict) else None
    if not isinstance(parts, list) or content.get("role") != "model":
        return content
    kept = [_without_seal(part) for part in parts if not _is_foreign_thought(part)]
    if skip is not None:
        _sign_first_call(kept, skip)
    if kept == parts:
        return content
    return {**content, "parts": kept} if kept else None


def _seal_of(part: Any) -> bool:
    signature = field(part, "thoughtSignature") if isinstance(part, dict) else None
    return isinstance(signature, str) and is_foreign(signature)


def _is_foreign_thought(part: Any) -> bool:
    return _seal_of(part) and part.get("thought") is True


def _without_seal(part: Any) -> Any:
    return {name: value for name, value in part.items() if name not in _SIGNATURES} if _seal_of(part) else part


def _sign_first_call(parts: list[Any], signature: str) -> None:
    for index, part in enumerate(parts):
        if isinstance(part, dict) and field(part, "functionCall") is not None:
            if not field(part, "thoughtSignature"):
                parts[index] = {**part, "thoughtSignature": signature}
            return


def relayed_response(body: bytes, client_model: str, classify: Classify) -> NativeAnswer:
    """``body`` for the client, with its name for the model.

    Raises :class:`UpstreamError` for a body that is an error (U-10) or no answer (U-11, U-13).
    """
    answer = parse(body, classify)
    usage = from_upstream(lambda: read_usage(field(answer, "usageMetadata")))
    seen = from_upstream(lambda: look_at(answer))
    if seen.finish is None and not seen.content and not seen.candidate:
        raise no_answer()
    answer.pop("model_version", None)
    answer["modelVersion"] = client_model
    return NativeAnswer(dumps(answer), usage, seen.finish or "stop")


class Seen:
    """What one relayed answer, or one chunk of it, tells."""

    __slots__ = ("called", "candidate", "content", "failure", "finish")

    def __init__(self) -> None:
        self.candidate = False
        self.content = False
        self.called = False
        self.finish: FinishReason | None = None
        self.failure: UpstreamError | None = None


def look_at(body: JsonObject, *, called: bool = False) -> Seen:
    """What ``body`` tells; ``called`` when a call has passed before. Raises :class:`InvalidRequestError`.

    An end that is a failure raises nothing where something was said: a client of this API knows these ends itself.
    """
    seen = Seen()
    candidate = first_candidate(body)
    if candidate is None:
        seen.finish = "content_filter" if blocked_prompt(body) is not None else None
        return seen
    seen.candidate = True
    content = candidate.get("content")
    parts = mapping(content, "candidates", 0, "content").get("parts") if content is not None else None
    for part in parts if isinstance(parts, list) else []:
        call = isinstance(part, dict) and field(part, "functionCall") is not None
        seen.called = seen.called or call
        seen.content = seen.content or call or (isinstance(part, dict) and _says_something(part))
    if (word := finish_in(candidate)) is not None:
        _judge(seen, word, called=called or seen.called)
    return seen


def _says_something(part: JsonObject) -> bool:
    return bool(part.get("text")) or any(name not in ("text", "thought", *_SIGNATURES) for name in part)


def _judge(seen: Seen, word: str, *, called: bool) -> None:
    try:
        seen.finish = read_finish(word, called=called, spoke=True)
    except UpstreamError as failure:
        seen.finish, seen.failure = "stop", failure
