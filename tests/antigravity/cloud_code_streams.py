"""Streams of the Gemini API, as Cloud Code sends them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence


def enveloped(stream: Iterable[bytes]) -> Sequence[bytes]:
    """Each event in Cloud Code's envelope."""
    pieces = (json.loads(event.removeprefix(b"data: ")) for event in stream)
    return [b"data: " + json.dumps({"response": piece, "traceId": "t1"}).encode() + b"\n\n" for piece in pieces]
