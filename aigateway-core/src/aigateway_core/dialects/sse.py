"""Server-sent events, read from bytes in any chunks and written as bytes.

The format: https://html.spec.whatwg.org/multipage/server-sent-events.html. Lines end in LF, CRLF or CR; a blank line
ends an event; ``data`` lines of one event are joined by LF; lines that start with a colon are comments.
"""

from __future__ import annotations

import attrs

from aigateway_core.errors import ErrorKind, UpstreamError

MAX_EVENT_BYTES = 16 << 20
"""An event that grows past this is refused: a stream without line ends must not fill the memory.

One event may carry a whole picture."""

_BOM = b"\xef\xbb\xbf"
_JSON = (b"{", b"[")


@attrs.frozen
class ServerSentEvent:
    """One event: its name (empty when none was given) and its data, still bytes."""

    event: str
    data: bytes


class BlockSplitter:
    """Cuts a byte stream into whole events, each a block of bytes with its blank line, whatever the chunks are.

    Feeding ``ab`` or ``a`` then ``b`` gives the same blocks. Line ends come out as LF.
    """

    __slots__ = ("_begun", "_rest", "_swallow_lf")

    def __init__(self) -> None:
        self._rest = bytearray()
        self._begun = False
        self._swallow_lf = False

    def feed(self, chunk: bytes) -> bytes:
        """The whole events that are complete now, one after the other as they came; empty while none is."""
        if self._begun and not self._rest and chunk.endswith(b"\n\n") and b"\r" not in chunk and not self._swallow_lf:
            return chunk  # whole events and nothing else, as nearly every chunk is
        if not chunk:
            return b""
        # The blank line may straddle the seam between the rest and the chunk; before that the rest holds none.
        seam = max(len(self._rest) - 1, 0)
        self._rest += self._normal(chunk)
        if not self._begun:
            if len(self._rest) < len(_BOM) and _BOM.startswith(self._rest):
                return b""
            self._begun = True
            if self._rest.startswith(_BOM):
                del self._rest[: len(_BOM)]
                seam = 0
        end = self._rest.rfind(b"\n\n", seam)
        if end < 0:
            if len(self._rest) > MAX_EVENT_BYTES:
                raise UpstreamError(ErrorKind.PROTOCOL, "the upstream sent an event without an end")
            return b""
        blocks = bytes(self._rest[: end + 2])
        del self._rest[: end + 2]
        return blocks

    def flush(self) -> bytes:
        """What is left when the stream has ended: an event whose blank line never came (or nothing)."""
        rest, self._rest = self._rest, bytearray()
        return bytes(rest)

    def _normal(self, chunk: bytes) -> bytes:
        if self._swallow_lf and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        self._swallow_lf = False
        if b"\r" in chunk:
            self._swallow_lf = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return chunk


def parted(blocks: bytes) -> tuple[bytes, bytes] | None:
    """Some events in two parts; None for a single one.

    Who looks for what is in few events of many finds it so without taking all of them apart. What is looked for stands
    at the end of a stream mostly: the second part is the shorter one.
    """
    place = len(blocks) * 7 // 8
    end = blocks.find(b"\n\n", place) + 2
    if not 2 <= end < len(blocks):
        # One long event reaches to the end.
        end = blocks.rfind(b"\n\n", 0, min(place, len(blocks) - 2) + 1) + 2
    return (blocks[:end], blocks[end:]) if 2 <= end < len(blocks) else None


def parse_block(block: bytes) -> ServerSentEvent | None:
    """The event in one block; None for a block of comments alone.

    A block that is bare JSON counts as the data of an event: vendors, Google above all, break a stream off with the
    body of their error as it is.
    """
    if block.startswith(b"data: ") and b"\n" not in block:
        return ServerSentEvent("", block[6:])  # as nearly every event is
    if block.lstrip()[:1] in _JSON:
        return ServerSentEvent("", block.strip())
    name = ""
    data: list[bytes] = []
    for line in block.split(b"\n"):
        if line.startswith(b"data:"):
            value = line[5:]
            data.append(value[1:] if value.startswith(b" ") else value)
        elif line.startswith(b"event:"):
            name = line[6:].strip().decode("utf-8", "replace")
        elif line == b"data":
            data.append(b"")
    return ServerSentEvent(name, b"\n".join(data)) if data or name else None


class SseParser:
    """Events out of chunks of bytes."""

    __slots__ = ("_splitter",)

    def __init__(self) -> None:
        self._splitter = BlockSplitter()

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events that are complete now."""
        return _events(self._splitter.feed(chunk))

    def flush(self) -> list[ServerSentEvent]:
        """The last event, when the stream ended without its blank line: servers forget it, and clients forgive them."""
        return _events(self._splitter.flush())


def _events(blocks: bytes) -> list[ServerSentEvent]:
    if not blocks:
        return []
    return [event for block in blocks.split(b"\n\n") if block and (event := parse_block(block)) is not None]


def format_event(data: bytes, event: str | None = None) -> bytes:
    """An event as bytes; ``data`` must hold no line end (JSON never does)."""
    if event is None:
        return b"data: " + data + b"\n\n"
    return b"event: " + event.encode() + b"\ndata: " + data + b"\n\n"
