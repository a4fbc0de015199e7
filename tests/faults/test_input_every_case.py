"""Which cases of the catalogue of abused input, I-01 to I-36, are carried by tests, and which are not.

A test carries a case in its name, wherever in the tree it belongs: ``test_i_18_...``; one may carry several.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
CASES = {f"I-{number:02}" for number in range(1, 37)}

MISSING = {
    "I-01": "an empty body is tested where it is parsed, not at each route",
    "I-02": "a body of any content type is taken; none is refused with a 415",
    "I-14": "odd values of max_tokens are tested in parts, with each dialect",
    "I-17": "text of all of Unicode is tested where it is parsed, not up to the upstream",
    "I-19": "unknown fields are tested with each dialect; of routing by them nothing is shown",
    "I-22": "no nginx stands in front in any test",
    "I-24": "odd paths are tested with a small app, not with the gateway's own routes and keys",
    "I-25": "methods are tested at some routes, not at each",
    "I-27": "a TLS hello and noise are tested, a megabyte of zeros is not",
    "I-28": "what a stored key may hold is not shown for each of the odd ones",
    "I-29": "odd names of models are tested, what stands in the upstream's path then is not",
    "I-30": "that a log line stays one line is not shown for all that a client can put into it",
    "I-31": "odd queries of the admin lists are not shown over a million rows",
    "I-33": "heads that trickle are tested one by one, not by the hundred beside other traffic",
}
"""What no test shows in full, and what of it there is."""


def carried_by(path: Path) -> Iterator[str]:
    """The cases that the tests of a file carry."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield from (f"I-{number}" for number in re.findall(r"(?<=_)i_(\d\d)(?=_)", node.name.lower()))


def test_every_case_has_a_test_or_stands_among_the_missing_and_never_both() -> None:
    carried = {case for path in TESTS.rglob("test_*.py") for case in carried_by(path)}
    assert carried | set(MISSING) == CASES
    assert carried & set(MISSING) == set()
