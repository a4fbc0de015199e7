"""Reasoning items: the vendor's own, and those that carry another maker's thinking.

A client keeps of a reasoning item what stands in ``encrypted_content`` and gives it back unread. To clients that is
always a gateway signature (``signatures``), which holds text, signature and origin of the thinking; an item that came
from the vendor itself has its id and encrypted content joined into one signature, because both have to go back.
"""

from __future__ import annotations

from aigateway_core.dialects.identifiers import digest
from aigateway_core.dialects.signatures import is_sealed, unseal_part
from aigateway_core.model import JsonObject, ThinkingPart

_SEPARATOR = "|"


def part_of(text: str, encrypted: str, item_id: str, origin: str) -> ThinkingPart | None:
    """The part behind a reasoning item; None when nothing of it is left. Without a proof it has no maker."""
    if is_sealed(encrypted):
        return unseal_part(encrypted, text)
    if encrypted:
        return ThinkingPart(text, f"{item_id}{_SEPARATOR}{encrypted}", origin)
    return ThinkingPart(text) if text.strip() else None


def item_of(part: ThinkingPart, origin: str) -> JsonObject | None:
    """The item for the upstream ``origin``; None for thinking that another one made, or that nothing proves."""
    if part.origin != origin or not part.signature:
        return None
    item_id, separator, encrypted = part.signature.partition(_SEPARATOR)
    if not separator:
        item_id, encrypted = "", part.signature
    return {
        "type": "reasoning",
        "id": item_id or f"rs_{digest(encrypted)}",
        "summary": [{"type": "summary_text", "text": part.text}] if part.text else [],
        "encrypted_content": encrypted,
    }
