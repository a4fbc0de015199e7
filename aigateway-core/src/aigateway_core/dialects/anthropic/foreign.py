"""Thinking on the native path of a copy of this API, whose signatures Anthropic refuses.

To clients these go under a gateway signature with the maker's name, and come back to their maker as they were; what
another one signed is not for it (translation table, 3.7; case 166).
"""

from __future__ import annotations

from typing import Any

from aigateway_core.dialects.anthropic.profile import AnthropicProfile
from aigateway_core.dialects.signatures import is_sealed, mark, seal, unseal
from aigateway_core.model import JsonObject

ANTHROPIC = AnthropicProfile().origin
"""The maker of signatures that bear no name."""

_SIGNED = {"thinking": "signature", "signature_delta": "signature", "redacted_thinking": "data"}
"""Where the proof stands, by the type of a block or delta."""


def proof(block: Any) -> str | None:
    """The signature of a thinking block, or the data of a redacted one; None where there is none."""
    field = _SIGNED.get(str(block.get("type"))) if isinstance(block, dict) else None
    value = block.get(field) if field else None
    return value if isinstance(value, str) and value else None


def marked(block: JsonObject, origin: str) -> JsonObject:
    """A block, or a delta of one, as a client gets it from ``origin``."""
    signature = proof(block)
    if signature is None:
        return block
    if block["type"] == "redacted_thinking":
        return {**block, "data": seal(signature, None, origin)}
    return {**block, "signature": mark(signature, origin)}


def is_at_home(block: Any, origin: str) -> bool:
    """Whether a block of a request can go to ``origin`` as it is."""
    signature = proof(block)
    return signature is None or (origin == ANTHROPIC and not is_sealed(signature))


def restored(block: Any, origin: str) -> Any:
    """A block of a request as ``origin`` made it; None for one that another made, or of which no proof is left."""
    if is_at_home(block, origin):
        return block
    signature = proof(block) or ""
    sealed = unseal(signature)
    if not is_sealed(signature) or sealed.origin != origin:
        return None
    if block["type"] == "redacted_thinking":
        return None if sealed.text is None else {**block, "data": sealed.text}
    if not sealed.signature:
        return None
    text = {} if sealed.text is None else {"thinking": sealed.text}
    return {**block, **text, "signature": sealed.signature}
