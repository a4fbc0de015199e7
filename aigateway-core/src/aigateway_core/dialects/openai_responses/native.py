"""The native path's request: everything passes but the model, and reasoning that another vendor made."""

from __future__ import annotations

from typing import Any

from aigateway_core.dialects.openai_responses.reasoning import item_of
from aigateway_core.dialects.signatures import is_sealed, unseal_part
from aigateway_core.model import JsonObject


def relayed_request(body: JsonObject, model: str, origin: str) -> JsonObject:
    """``body`` for the upstream ``origin``.

    Reasoning under a gateway signature is restored if it came from there, and left out if it did not (case 166).
    """
    relayed = {**body, "model": model}
    items = body.get("input")
    if type(items) is list and any(map(_is_sealed, items)):
        relayed["input"] = [kept for item in items if (kept := _restored(item, origin)) is not None]
    return relayed


def _is_sealed(item: Any) -> bool:
    if type(item) is not dict or item.get("type") != "reasoning":
        return False
    encrypted = item.get("encrypted_content")
    return type(encrypted) is str and is_sealed(encrypted)


def _restored(item: Any, origin: str) -> Any:
    if not _is_sealed(item):
        return item
    part = unseal_part(item["encrypted_content"])
    return None if part is None else item_of(part, origin)
