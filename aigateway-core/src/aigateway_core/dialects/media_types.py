"""Media types as they are registered."""

from __future__ import annotations

_SPELLINGS = {"image/jpg": "image/jpeg"}
"""What clients write, and vendors refuse or pass over."""


def registered(media_type: str) -> str:
    """The type under the name that every vendor knows it by."""
    return _SPELLINGS.get(media_type.lower(), media_type)
