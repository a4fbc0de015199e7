"""The session that a conversation belongs to: Google's prompt cache and its memory of thinking hang on it.

It must be the same for all turns of a conversation, and is never made up anew. Clients may name it; otherwise it comes
from the first words that the user wrote: SHA-256, of that the first eight bytes without the top bit, as a decimal
behind a minus sign, which is the form that the vendor's own ids have.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

from aigateway_core.plugin import ChatRequest, JsonObject, TextPart

_REMINDER = "<system-reminder>"
_NAMES = ("sessionId", "session_id")
_LONGEST = 4096


def session_id(contents: Iterable[Any], given: str | None) -> str:
    """The session of these ``contents``: the one that is given, else that of the user's first words."""
    if given:
        return given
    listed = [content for content in contents if isinstance(content, dict)]
    users = (content for content in listed if content.get("role", "user") == "user")
    said = next((text for content in users for text in _written(content)), None)
    return _numbered(said if said is not None else json.dumps(listed[:1], sort_keys=True))


def session_of(request: ChatRequest) -> str:
    """The session of a canonical request: as the client names it, or as :func:`session_id` has it of what is sent.

    A name in a field of its own is used as it is; Claude Code names its session within ``metadata.user_id``, OpenAI's
    clients a ``prompt_cache_key``: of these comes a number of the usual form.
    """
    if given := _given(request.extra):
        return given
    named = _session_in(request.user) or request.extra.get("prompt_cache_key")
    if isinstance(named, str) and named:
        return _numbered(named)
    said = next((text for text in _said(request) if _counts(text)), None)
    return _numbered(said if said is not None else "\0".join(request.system))


def kept_for(request: ChatRequest) -> str:
    """The conversation for which is kept what the model thought.

    Two clients whose first words are the same have the same session at Google, and share nothing here.
    """
    return request.conversation or session_of(request)


def native_session(body: JsonObject) -> str:
    """The session of a body that goes on untranslated."""
    contents = body.get("contents")
    return session_id(contents if isinstance(contents, list) else (), _given(body))


def _given(fields: Any) -> str | None:
    named = next((value for name in _NAMES if (value := fields.get(name))), None)
    return named if isinstance(named, str) and len(named) <= _LONGEST else None


def _session_in(user: str | None) -> str | None:
    """The session in Claude Code's ``user_id``: JSON text in newer versions, words joined by underscores before."""
    if user is None or len(user) > _LONGEST:
        return None
    if not user.startswith("{"):
        return user.partition("_session_")[2] or None
    try:
        session = json.loads(user).get("session_id")
    except ValueError:
        return None
    return session if isinstance(session, str) else None


def _said(request: ChatRequest) -> Iterator[str]:
    for message in request.messages:
        if message.role == "user":
            yield from (part.text for part in message.parts if isinstance(part, TextPart))


def _written(content: JsonObject) -> Iterator[str]:
    parts = content.get("parts")
    for part in parts if isinstance(parts, list) else ():
        text = part.get("text") if isinstance(part, dict) else None
        if isinstance(text, str) and _counts(text):
            yield text


def _counts(text: str) -> bool:
    """Whether the user wrote this: agents put notes of their own before it, which change on the way."""
    return bool(text) and not text.startswith(_REMINDER)


def _numbered(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return f"-{int.from_bytes(digest[:8], 'big') & (2**63 - 1)}"
