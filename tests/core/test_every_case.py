"""Every numbered case of the translation sheet is carried by a test, wherever in the tree it belongs.

A test carries a number in its name: ``test_case_101_...``, or, where the cases are data, ``case(101, "title", ...)``
(``core/dialects/sheet.py``), which gives the parameter such a name. ``pytest -k case_101`` runs what carries it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
CASES = range(1, 171)


def numbers(path: Path) -> Iterator[int]:
    """The numbers that the tests of a file carry."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if name.startswith("test_"):
                yield from map(int, re.findall(r"case_(\d{3})_", name))
            case ast.Call(func=ast.Name("case"), args=[ast.Constant(int(number)), *_]):
                yield number


@pytest.fixture(scope="module")
def carried() -> set[int]:
    return {number for path in TESTS.rglob("test_*.py") for number in numbers(path)}


def test_every_case_has_a_test_and_every_number_is_a_case(carried: set[int]) -> None:
    assert carried == set(CASES)
