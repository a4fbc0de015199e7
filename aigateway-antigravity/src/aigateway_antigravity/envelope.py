"""Cloud Code's envelope around a request of Gemini's shape."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Literal, TypeAlias

from aigateway_core.plugin import JsonObject, UpstreamError, dumps, loads_upstream

Kind: TypeAlias = Literal["agent", "image_gen", "web_search"]
"""What a request is for: a turn of a conversation, a picture, or a search of the web and nothing else."""

_CLIENT = "antigravity"
_KINDS: Mapping[object, Kind] = {"agent": "agent", "image_gen": "image_gen"}


def enclosed(inner: JsonObject, *, model: str, project: str, session: str | None, kind: Kind = "agent") -> JsonObject:
    """The body of one attempt: every attempt has an id of its own, but for a search, which has none.

    ``session`` counts for turns of a conversation alone: the other kinds stand by themselves.
    """
    request = {name: value for name, value in inner.items() if name != "sessionId"}
    if kind == "agent" and session is not None:
        request["sessionId"] = session
    envelope: JsonObject = {"project": project, "userAgent": _CLIENT, "requestType": kind, "model": model}
    if kind != "web_search":
        envelope["requestId"] = _request_id(kind)
    return {**envelope, "request": request}


def with_another_id(body: bytes) -> bytes:
    """The same envelope for another attempt. What has no id stays as it is, and what is no envelope that we made."""
    try:
        envelope = loads_upstream(body)
    except UpstreamError:
        return body
    kind = _KINDS.get(envelope.get("requestType"))
    return dumps({**envelope, "requestId": _request_id(kind)}) if kind and "requestId" in envelope else body


def _request_id(kind: Kind) -> str:
    unique = uuid.uuid4()
    return f"agent-{unique}" if kind == "agent" else f"{kind}/{time.time_ns() // 1_000_000}/{unique}/12"
