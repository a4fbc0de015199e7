"""Which requests belong to one conversation: they go to one account, where the vendor's prompt cache knows them.

What names a conversation, the surest first: a header of the client's own, the session in Anthropic's
``metadata.user_id`` (Claude Code), a field of the body, and where nobody names it, the way it began. Only a digest
leaves this module, made with the caller's id: no text and no session id of a client is kept anywhere, and nobody meets
the conversations of others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs
import orjson

from aigateway_core.model import JsonObject

HEADERS = ("x-claude-code-session-id", "session-id", "session_id", "x-session-id", "x-session-affinity")
"""Claude Code's, Codex' (two spellings), and those that other clients and gateways use."""

FIELDS = ("session_id", "sessionId", "prompt_cache_key")
_ANSWERING = ("assistant", "model", "tool", "function")
_LONGEST = 4096
"""Characters that tell one conversation from another; no need to look at a whole book."""


@attrs.frozen
class Conversation:
    """A conversation: its digest, and whether this request is its first.

    A first request that nobody named ``begins`` one: there is no account yet that knows it, even if somebody else has
    begun with the same words.
    """

    key: str
    begins: bool = False


def conversation(caller_id: str, header: Callable[[str], str | None], body: JsonObject) -> Conversation | None:
    """The conversation that a request belongs to, in whichever dialect its body is; None if nothing tells."""
    how, what, continues = "named", _name(header, body), True
    if what is None:
        how = "opened"
        what, continues = _opening(body)
        if what is None:
            return None
    text = "\0".join((caller_id, how, what[:_LONGEST])).encode("utf-8", "surrogatepass")
    return Conversation(hashlib.blake2b(text, digest_size=16).hexdigest(), begins=not continues)


def _name(header: Callable[[str], str | None], body: JsonObject) -> str | None:
    for name in HEADERS:
        if value := header(name):
            return value
    metadata = body.get("metadata")
    if type(metadata) is dict and (session := _session(metadata.get("user_id"))):
        return session
    for name in FIELDS:
        if type(value := body.get(name)) is str and value:
            return value
    kept = body.get("conversation")
    if type(kept) is dict:
        kept = kept.get("id")
    return kept if type(kept) is str and kept else None


def _session(user_id: Any) -> str | None:
    """The session in Claude Code's ``user_id``: JSON text today, words joined by underscores before."""
    if type(user_id) is not str or len(user_id) > _LONGEST:
        return None
    if not user_id.startswith("{"):
        return user_id.partition("_session_")[2] or None
    try:
        session = orjson.loads(user_id).get("session_id")
    except orjson.JSONDecodeError:
        return None
    return session if type(session) is str else None


def _opening(body: JsonObject) -> tuple[str | None, bool]:
    """The first words of the user, and whether anybody has answered them yet."""
    items = body.get("messages") or body.get("input") or body.get("contents") or None
    if type(items) is str:
        return items, False
    opening: str | None = None
    for item in items if type(items) is list else ():
        if type(item) is not dict:
            continue
        # What comes from the model, or answers it: a turn, a call of a tool, what the tool said.
        role = item.get("role")
        if role in _ANSWERING or (role is None and item.get("type", "message") != "message"):
            return opening, True
        if opening is None and (role == "user" or "role" not in item):
            opening = _words(item)
    return opening, False


def _words(item: JsonObject) -> str | None:
    content = item.get("content", item.get("parts"))
    if type(content) is str:
        return content
    return next(_texts(content if type(content) is list else ()), None)


def _texts(blocks: Iterable[Any]) -> Iterator[str]:
    """What the user wrote; agents put notes of their own before it, which change from request to request."""
    for block in blocks:
        text = block.get("text") if type(block) is dict else None
        if type(text) is str and text and not text.startswith("<system-reminder>"):
            yield text
