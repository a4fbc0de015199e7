"""Every numbered case of Cloud Code's protocol is carried by a test, here or where the whole gateway is asked.

A test carries the case in its name (``test_S13_...``), or its parameter does (``id="S13 ..."``); one may carry several.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
FILES = (*HERE.glob("test_*.py"), HERE.parent / "e2e/test_antigravity.py")

SECTIONS = {
    "O": 17,  # logins
    "P": 12,  # projects
    "E": 21,  # envelopes
    "T": 12,  # thinking
    "G": 18,  # signatures
    "C": 24,  # contents, tools, images
    "S": 33,  # schemas
    "N": 7,  # names
    "R": 35,  # answers and streams
    "X": 33,  # errors, retries, quotas
}
CASES = {f"{letter}{number}" for letter, count in SECTIONS.items() for number in range(1, count + 1)}


def carried_by(path: Path) -> Iterator[str]:
    """The cases that the tests of a file carry."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if name.startswith("test_"):
                yield from re.findall(r"(?<=_)([OPETGCSNRX]\d{1,2})(?=_|$)", name.upper())
            case ast.keyword(arg="id" | "ids", value=value):
                for word in ast.walk(value):
                    if isinstance(word, ast.Constant) and isinstance(word.value, str):
                        yield from re.findall(r"\b([OPETGCSNRX]\d{1,2})\b", word.value)


def test_every_case_has_a_test_and_every_number_is_a_case() -> None:
    assert len(CASES) == 212
    assert {case for path in FILES for case in carried_by(path)} == CASES
