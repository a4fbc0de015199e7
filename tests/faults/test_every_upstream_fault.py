"""Which faults of upstreams, of the catalogue from U_01 to U_38, are carried by a test, and which are not and why.

A test carries an id in its name (``test_u_18_...``), or the name of a case does (``"U_11 null"``).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
FAULTS = {f"U_{number:02}" for number in range(1, 39)}

NOT_APPLICABLE = {
    "U_30": "answers are not kept for a second request with the same Idempotency-Key: the feature is not offered",
}
ELSEWHERE = {
    "U_19": "the translation sheet's cases of a cut within a tool call, whole and streamed (core/dialects)",
}
MISSING = {
    "U_02": "an unknown name is tested; a resolver that is slow, or fails for a moment, is not",
    "U_25": "no retry budget over all requests and no breaker: each request is tried up to max_attempts times",
    "U_26": "not tested that no chain of aliases can be written",
    "U_27": "what cannot be translated is refused unsent, but no malformed tool argument is tested through a gateway",
    "U_31": "a base URL that leads back to the gateway is not recognised",
}
PARTLY = {
    "U_01": "what the engine makes of it, and its telling; not the 50 ms",
    "U_08": "a line may have 16 MiB and a head 256 KiB, since an event may carry a picture",
    "U_22": "the time that was asked for; its forms and its bound are tested where headers are read",
    "U_29": "a call whose answer was lost is tried on another account, unasked; attempts say `dispatched`",
    "U_33": "a tunnel of garbage; a proxy that dies amid a stream is not told apart from an upstream that does",
}
"""Carried, but not to the letter."""


def carried_by(path: Path) -> Iterator[str]:
    """The ids that the tests of a file carry."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if name.startswith("test_"):
                yield from (f"U_{number}" for number in re.findall(r"_u_(\d{2})(?=_)", name))
            case ast.Constant(value=str(text)):
                yield from re.findall(r"^U_\d{2}(?= )", text)


def test_every_fault_has_a_test_or_a_reason_and_none_has_both() -> None:
    carried = {fault for path in TESTS.rglob("test_*.py") for fault in carried_by(path)}
    excused = [*NOT_APPLICABLE, *ELSEWHERE, *MISSING]
    assert carried.isdisjoint(excused)
    assert sorted([*carried, *excused]) == sorted(FAULTS)
    assert carried.issuperset(PARTLY)
