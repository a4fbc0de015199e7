"""Thought signatures: this maker's own, and what the gateway puts in their place for the thinking of others.

Gemini may sign any part of an answer, and wants each signature back on the part that bore it (ai.google.dev, "thought
signatures"). The canonical form signs thinking alone, so that

* the signature of a thought is that of its :class:`ThinkingPart`;
* the signature of a text is an empty thinking part behind it;
* the signature of a function call is a redacted thinking part directly before it.

All three travel through every client that returns thinking, Anthropic's for one, without further ado.

A signature is bytes on this wire, which SDKs decode from base64 and encode again, in either alphabet. What the gateway
seals (:mod:`aigateway_core.dialects.signatures`) is therefore put into base64 as a whole.
"""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64decode

from aigateway_core.dialects.gemini.profile import SKIP_SIGNATURE
from aigateway_core.dialects.signatures import is_sealed, seal_part, unseal_part
from aigateway_core.model import ThinkingPart

_PLACEHOLDERS = (SKIP_SIGNATURE, "context_engineering_is_the_way_to_go")
"""Values that say that there is no signature; both are documented for calls that Gemini did not make."""


def _packed(text: str) -> str:
    return b64encode(text.encode("utf-8", "replace")).decode()


_PACKED_PLACEHOLDERS = tuple(_packed(word).rstrip("=") for word in _PLACEHOLDERS)


def is_placeholder(signature: str) -> bool:
    """Whether this says that there is no signature: as it is written, or as an SDK writes it that reads bytes."""
    return signature in _PLACEHOLDERS or signature.rstrip("=") in _PACKED_PLACEHOLDERS


def sealed_thinking(part: ThinkingPart) -> str:
    """The signature under which thinking of another maker goes to a client of this API."""
    return _packed(seal_part(part))


def is_foreign(signature: str) -> bool:
    """Whether the gateway made this signature, for thinking that another vendor made."""
    return _unpacked(signature) is not None


def unsealed(signature: str, text: str, origin: str) -> ThinkingPart | None:
    """The thinking behind a part that a client returned; None when nothing of it is left.

    ``text`` is what the client showed of it: it stands where the gateway's payload is damaged.
    """
    seal = _unpacked(signature)
    return ThinkingPart(text, signature, origin) if seal is None else unseal_part(seal, text)


def _unpacked(signature: str) -> str | None:
    """The gateway's own words in a signature; None when it is somebody else's."""
    try:
        padded = signature.replace("+", "-").replace("/", "_") + "=" * (-len(signature) % 4)
        text = urlsafe_b64decode(padded).decode()
    except ValueError:
        return None
    return text if is_sealed(text) else None
