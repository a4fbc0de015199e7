"""Thinking of other makers on its way through a client that knows one maker alone, and back.

Anthropic's clients return thinking only together with its signature, OpenAI's only what stands in
``encrypted_content``, and some leave out the text. So a thinking part that another vendor made leaves under a signature
of the gateway's own, ``gw1.<origin>.<payload>``, whose payload holds the text and the maker's own signature, if it had
one. When it comes back, both are restored from it (translation table, 3.7).
"""

from __future__ import annotations

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode

import attrs
import orjson

from aigateway_core.model import ThinkingPart

PREFIX = "gw1."

_MOST_EXPANSION = 8
"""How many times its own size a payload may unpack to: one that a client made up must not fill the memory."""


@attrs.frozen
class Sealed:
    """What a gateway signature holds; ``text`` is None when it was not put in, or when the payload was damaged."""

    origin: str | None
    text: str | None
    signature: str | None = attrs.field(default=None, repr=False)
    redacted: str | None = attrs.field(default=None, repr=False)


def is_sealed(value: str) -> bool:
    """Whether this signature, or this redacted block, is one of the gateway's."""
    return value.startswith(PREFIX)


def seal(text: str, signature: str | None, origin: str | None, redacted: str | None = None) -> str:
    """A signature that holds all of them."""
    return _packed([text, signature] if redacted is None else [text, signature, redacted], origin)


def mark(signature: str, origin: str) -> str:
    """A signature that ``origin`` made, under the gateway's: the text that it signs goes beside it, as it came."""
    return _packed([None, signature], origin)


def _packed(values: list[str | None], origin: str | None) -> str:
    content = orjson.dumps(values)
    packed = zlib.compress(content)
    if len(content) > _MOST_EXPANSION * len(packed):
        packed = zlib.compress(content, level=0)
    return f"{PREFIX}{origin or ''}.{urlsafe_b64encode(packed).rstrip(b'=').decode()}"


def unseal(value: str) -> Sealed:
    """What :func:`seal` put into ``value``."""
    origin, _, payload = value.removeprefix(PREFIX).rpartition(".")
    try:
        text, signature, *rest = orjson.loads(_unpack(payload))
    except (ValueError, TypeError, zlib.error):
        return Sealed(origin or None, None)
    redacted = rest[0] if rest else None
    if text is None and isinstance(signature, str):
        return Sealed(origin or None, None, signature)
    if not isinstance(text, str) or not isinstance(signature, str | None) or not isinstance(redacted, str | None):
        return Sealed(origin or None, None)
    return Sealed(origin or None, text, signature, redacted)


def _unpack(payload: str) -> bytes:
    packed = urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    unpacker = zlib.decompressobj()
    # One byte more than allowed: zlib reports the end only where it has room to go on.
    content = unpacker.decompress(packed, _MOST_EXPANSION * len(packed) + 1)
    if not unpacker.eof:
        raise ValueError("the payload unpacks to more than it may")
    return content


def client_signature(part: ThinkingPart, origin: str) -> str:
    """The signature under which ``part`` goes to a client: its own if ``origin`` made it, else a gateway signature."""
    if part.origin == origin and part.signature and not is_sealed(part.signature):
        return part.signature
    return seal(part.text, part.signature, part.origin)


def client_redacted(part: ThinkingPart, origin: str) -> str:
    """The data of a redacted block for a client: as it is if ``origin`` made it, else inside a gateway signature."""
    data = part.redacted or ""
    return data if part.origin == origin and not is_sealed(data) else seal(data, None, part.origin)


def thinking_from_client(text: str, signature: str, origin: str) -> ThinkingPart | None:
    """The part behind a thinking block that a client sent; None when nothing of it is left.

    A signature without the gateway's prefix is one of ``origin``'s; a block without any names no maker.
    """
    if is_sealed(signature):
        sealed = unseal(signature)
        part = ThinkingPart(text if sealed.text is None else sealed.text, sealed.signature, sealed.origin)
    else:
        part = ThinkingPart(text, signature or None, origin if signature else None)
    return part if part.signature or part.text.strip() else None


def redacted_from_client(data: str, origin: str) -> ThinkingPart | None:
    """The part behind a redacted block that a client sent; None when its payload was damaged."""
    if not is_sealed(data):
        return ThinkingPart("", origin=origin, redacted=data)
    sealed = unseal(data)
    return None if sealed.text is None else ThinkingPart("", origin=sealed.origin, redacted=sealed.text)


def seal_part(part: ThinkingPart) -> str:
    """A signature that holds the whole part, for a dialect that has one field for all kinds of thinking."""
    return seal(part.text, part.signature, part.origin, part.redacted)


def unseal_part(value: str, text: str = "") -> ThinkingPart | None:
    """The part that :func:`seal_part` put into ``value``, or ``text`` where it was damaged; None if nothing is left."""
    sealed = unseal(value)
    if sealed.redacted is not None:
        return ThinkingPart("", origin=sealed.origin, redacted=sealed.redacted)
    part = ThinkingPart(text if sealed.text is None else sealed.text, sealed.signature, sealed.origin)
    return part if part.signature or part.text.strip() else None
