"""Thinking signatures of Claude on this wire, and a memory for clients that cannot carry signatures at all.

Claude's own signature is base64 that begins with ``E`` (its first byte is 0x12). On this wire it stands in base64 once
more, so that it begins with ``R``. In the canonical form it is the native one, under the origin ``anthropic``:
Anthropic documents its signatures as portable between the platforms that offer its models.
"""

from __future__ import annotations

import hashlib
import time
from base64 import b64decode, b64encode
from collections import OrderedDict
from collections.abc import Callable, Sequence

import attrs

from aigateway_core.plugin import (
    GeneratedImage,
    Message,
    Part,
    RedactedThinking,
    SignatureDelta,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ThinkingPart,
    ToolCallPart,
    ToolCallStart,
)

CLAUDE = "anthropic"
"""The maker of Claude's signatures, by the name that the core's own Anthropic dialect has for it."""

GEMINI = "gemini"

_FIRST_BYTE = 0x12
_TAG = "claude#"
_LIFE_SECONDS = 3 * 3600.0


def to_wire(signature: str) -> str | None:
    """Claude's signature as this wire has it; None for one that Claude did not make, which would be a 400."""
    signature = signature.removeprefix(_TAG)
    if signature.startswith("R"):
        return signature if native_of(signature) is not None else None
    return b64encode(signature.encode()).decode() if _is_claudes(signature) else None


def from_wire(signature: str) -> str:
    """Claude's own signature out of that of this wire; what is none of the kind stays as it is."""
    return native_of(signature) or signature


def native_of(signature: str) -> str | None:
    """The native signature inside of one of this wire; None where there is none."""
    if not signature.startswith("R"):
        return None
    inner = (_decoded(signature) or b"").decode("ascii", "replace")
    return inner if _is_claudes(inner) else None


def is_claudes(signature: str) -> bool:
    """Whether this is certainly Claude's, in whichever form; Gemini's own may begin with the same letter."""
    return signature.startswith(_TAG) or native_of(signature) is not None


def _is_claudes(signature: str) -> bool:
    raw = _decoded(signature) if signature.startswith("E") else None
    return raw is not None and raw[:1] == bytes([_FIRST_BYTE]) and not _is_geminis(raw)


def _decoded(text: str) -> bytes | None:
    try:
        return b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return None


def _is_geminis(raw: bytes) -> bool:
    """Whether this is Gemini's shape under the same first byte: what its two frames hold begins with no field number.

    Claude's frames hold fields, whose tags are 8 at least; Gemini's hold sealed bytes that begin with a version, 1.
    """
    inner = _after_tag(_after_tag(raw, _FIRST_BYTE), 0x0A)
    return inner is not None and inner[:1] == b"\x01"


def _after_tag(raw: bytes | None, tag: int) -> bytes | None:
    """What a length-delimited field holds, if it is the first one and has this tag (protobuf's wire format)."""
    if not raw or raw[0] != tag:
        return None
    end = next((place for place, byte in enumerate(raw[1:6], 1) if byte < 0x80), None)
    return None if end is None else raw[end + 1 :]


@attrs.frozen
class _Kept:
    parts: tuple[ThinkingPart, ...]
    until: float
    size: int


class ThoughtMemory:
    """What a model thought before it called a tool, for a while: by conversation (``session``) and the id of the call.

    Clients of OpenAI's APIs, for one, drop what their SDK has no field for; the model's next turn depends on it. Some
    show thinking back without its signature, which is then known by its text. At most ``most`` entries with
    ``most_characters`` are kept for ``life`` seconds, the most recently used the longest. It is a help and no more:
    what is not here is left out, or marked as lost.
    """

    def __init__(
        self,
        *,
        life: float = _LIFE_SECONDS,
        most: int = 10_000,
        most_characters: int = 32_000_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._life = life
        self._most = most
        self._most_characters = most_characters
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._characters = 0

    def keep(self, session: str, call_id: str, parts: Sequence[ThinkingPart]) -> None:
        """Keep what was thought, if anything of it is signed."""
        signed = tuple(part for part in parts if part.signature or part.redacted)
        if not signed:
            return
        size = sum(len(part.text) + len(part.signature or "") + len(part.redacted or "") for part in signed)
        size += len(session) + len(call_id)
        self.forget(session, call_id)
        self._kept[session, call_id] = _Kept(signed, self._clock() + self._life, size)
        self._characters += size
        while len(self._kept) > self._most or self._characters > self._most_characters:
            self.forget(*next(iter(self._kept)))

    def recall(self, session: str, call_id: str) -> tuple[ThinkingPart, ...]:
        """What was thought before this call; nothing where nobody knows any more."""
        kept = self._kept.get((session, call_id))
        if kept is None:
            return ()
        if kept.until <= self._clock():
            self.forget(session, call_id)
            return ()
        self._kept[session, call_id] = attrs.evolve(kept, until=self._clock() + self._life)
        self._kept.move_to_end((session, call_id))
        return kept.parts

    def forget(self, session: str, call_id: str) -> None:
        """Forget what was thought before this call: its signatures were refused, say."""
        if (kept := self._kept.pop((session, call_id), None)) is not None:
            self._characters -= kept.size

    def restored(self, session: str, message: Message, origin: str) -> Message:
        """The assistant's turn with the thinking that its client dropped, if ``origin`` made it.

        A turn that still bears a signature of that maker is left alone. Thinking goes before everything else, what
        signs a call directly before that call.
        """
        if any(_is_signed(part, origin) for part in message.parts):
            return message
        parts: list[Part] = []
        thoughts: dict[Part, None] = {}
        for part in message.parts:
            if isinstance(part, ToolCallPart):
                known = [one for one in self.recall(session, part.id) if one.origin == origin]
                thoughts |= dict.fromkeys(one for one in known if one.redacted is None)
                parts += (one for one in known if one.redacted is not None)
            elif isinstance(part, ThinkingPart) and not part.signature:
                thoughts |= dict.fromkeys(one for one in self.recall(session, _key(part.text)) if one.origin == origin)
            parts.append(part)
        if thoughts:
            parts = [part for part in parts if not _is_unsigned(part)]
        return attrs.evolve(message, parts=(*thoughts, *parts))

    def watch(self, session: str) -> ThoughtWatch:
        """Something to show the events of an answer to, as they come."""
        return ThoughtWatch(self, session)


class ThoughtWatch:
    """Keeps what an answer's events say of thinking before its calls."""

    def __init__(self, memory: ThoughtMemory, session: str) -> None:
        self._memory = memory
        self._session = session
        self._text: list[str] = []
        self._origin: str | None = None
        self._parts: list[ThinkingPart] = []

    def feed(self, event: StreamEvent) -> None:
        """See one event."""
        match event:
            case ThinkingDelta(text, origin):
                self._text.append(text)
                self._origin = origin
            case SignatureDelta(signature, origin):
                self._close(signature, origin)
            case RedactedThinking(data, origin):
                self._close()
                self._parts.append(ThinkingPart("", origin=origin, redacted=data))
            case ToolCallStart(_, call_id):
                self._close()
                self._memory.keep(self._session, call_id, self._parts)
                self._parts = []
            case TextDelta() | GeneratedImage():
                self._close()

    def _close(self, signature: str | None = None, origin: str | None = None) -> None:
        """The thinking so far as a part; a signature without thinking signs a text, which every call can do without."""
        text, self._text = "".join(self._text), []
        if text and signature:
            part = ThinkingPart(text, signature, origin or self._origin)
            self._parts.append(part)
            self._memory.keep(self._session, _key(text), (part,))


def _key(text: str) -> str:
    """What stands for the id of a call where a thought is known by its text alone."""
    return "thought " + hashlib.sha256(text.strip().encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _is_signed(part: Part, origin: str) -> bool:
    return isinstance(part, ThinkingPart) and part.origin == origin and bool(part.signature or part.redacted)


def _is_unsigned(part: Part) -> bool:
    return isinstance(part, ThinkingPart) and not (part.signature or part.redacted)
