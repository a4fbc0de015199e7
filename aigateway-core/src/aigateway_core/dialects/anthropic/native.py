"""The native path: client and upstream speak the same API, so bodies pass but for what has to change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aigateway_core.dialects.anthropic.content_writer import starts_with_thinking
from aigateway_core.dialects.anthropic.foreign import ANTHROPIC, is_at_home, marked, restored
from aigateway_core.dialects.anthropic.response import message
from aigateway_core.dialects.anthropic.usage import read_finish, read_usage
from aigateway_core.dialects.checks import from_upstream, optional_string
from aigateway_core.dialects.dialect import Classify, NativeAnswer
from aigateway_core.errors import UpstreamFailure
from aigateway_core.jsontext import dumps, loads_upstream
from aigateway_core.model import JsonObject

_CLEAR_THINKING = "clear_thinking_20251015"


def relayed_request(body: JsonObject, model: str, origin: str) -> JsonObject:
    """``body`` for the upstream ``origin``: its name for the model, and no thinking that another vendor made.

    Thinking of its own that went out under a gateway signature gets back what it had (case 166).
    """
    relayed = {**body, "model": model}
    messages = body.get("messages")
    if isinstance(messages, list) and any(_has_foreign_thinking(turn, origin) for turn in messages):
        _replace(relayed, _restored(messages, origin))
    if _thinks(relayed) == "disabled" and "context_management" in relayed:
        _drop_thinking_edit(relayed)
    return relayed


def without_thinking(body: JsonObject) -> JsonObject | None:
    """``body`` without what was thought in its conversation; None where there is none of it."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not any(_is_thinking(block) for turn in messages for block in _blocks(turn)):
        return None
    bare = dict(body)
    _replace(bare, [said for turn in messages if (said := _bare(turn)) is not None])
    if _thinks(bare) == "disabled" and "context_management" in bare:
        _drop_thinking_edit(bare)
    return bare


def _bare(turn: Any) -> Any:
    """A turn without thinking; None where nothing is left of it."""
    blocks = _blocks(turn)
    said = [block for block in blocks if not _is_thinking(block)]
    return turn if len(said) == len(blocks) else {**turn, "content": said} if said else None


def _is_thinking(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") in ("thinking", "redacted_thinking")


def _replace(body: JsonObject, messages: list[Any]) -> None:
    """Other messages, and no thinking where they do not allow it."""
    body["messages"] = messages
    if _thinks(body) == "enabled" and not _may_think(messages):
        body["thinking"] = {"type": "disabled"}


def _thinks(body: JsonObject) -> Any:
    thinking = body.get("thinking")
    return thinking.get("type") if isinstance(thinking, dict) else None


def _blocks(turn: Any) -> list[Any]:
    content = turn.get("content") if isinstance(turn, dict) else None
    return content if isinstance(content, list) else []


def _has_foreign_thinking(turn: Any, origin: str) -> bool:
    return not all(is_at_home(block, origin) for block in _blocks(turn))


def _restored(messages: list[Any], origin: str) -> list[Any]:
    kept = []
    for turn in messages:
        if not _has_foreign_thinking(turn, origin):
            kept.append(turn)
        elif content := [block for one in turn["content"] if (block := restored(one, origin)) is not None]:
            kept.append({**turn, "content": content})
    return kept


def _may_think(messages: Sequence[Any]) -> bool:
    """As :func:`starts_with_thinking`, on turns that nobody has checked."""
    typed = [
        {
            "role": turn.get("role"),
            "content": [block for block in _blocks(turn) if isinstance(block, dict) and "type" in block],
        }
        for turn in messages
        if isinstance(turn, dict)
    ]
    return starts_with_thinking([turn for turn in typed if turn["content"] or turn["role"] != "assistant"])


def _drop_thinking_edit(body: JsonObject) -> None:
    """An edit that clears thinking is a 400 while there is none (case 168)."""
    management = body["context_management"]
    edits = management.get("edits") if isinstance(management, dict) else None
    if not isinstance(edits, list):
        return
    kept = [edit for edit in edits if not (isinstance(edit, dict) and edit.get("type") == _CLEAR_THINKING)]
    if len(kept) == len(edits):
        return
    if kept:
        body["context_management"] = {**management, "edits": kept}
    else:
        del body["context_management"]


def relayed_response(body: bytes, client_model: str, origin: str, classify: Classify) -> NativeAnswer:
    """``body`` for the client, with its name for the model, and the maker's name on thinking that is not Anthropic's.

    Raises :class:`UpstreamError` for a body that is an error (U-10) or no message (U-11, U-13).
    """
    answer = loads_upstream(body)
    if answer.get("type") == "error" or answer.get("error"):
        raise classify(UpstreamFailure(200, {}, body))
    from_upstream(lambda: message(answer))
    usage = from_upstream(lambda: read_usage(answer.get("usage"), "usage"))
    reason = from_upstream(lambda: optional_string(answer.get("stop_reason"), "stop_reason"))
    if answer["model"] != client_model or origin != ANTHROPIC:
        answer["model"] = client_model
        if origin != ANTHROPIC:
            answer["content"] = [marked(block, origin) for block in answer["content"]]
        body = dumps(answer)
    return NativeAnswer(body, usage, read_finish(reason, called=reason == "tool_use"))
